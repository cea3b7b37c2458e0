//! Generators: `explode(..)` in SELECT, LATERAL VIEW, and as table functions.

use std::sync::Arc;

use boathouse_bridge::ResultExt;
use boathouse_functions::coercion::{Want, implicit_cast};
use boathouse_functions::{Call as FunctionCall, Entry, GeneratorCall, ResolvedGenerator, registry};
use boathouse_spec::{Call, DataType, Error, Expr, Literal, Relation, Result, StructField, StructType};
use datafusion::common::{NullHandling, UnnestOptions};
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlanBuilder};

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr, project};
use super::project::named;

/// Whether the function is there in FROM only (Spark's `TableFunctionRegistry`).
fn is_in_from_only(name: &str) -> bool {
    matches!(name, "variant_explode" | "variant_explode_outer")
}

impl Analyzer {
    fn generator(&self, call: &Call) -> Option<fn(&GeneratorCall) -> Result<ResolvedGenerator>> {
        let name = crate::functions::builtin_name(&call.name)?;
        registry().get(&name).iter().find_map(|e| match e {
            Entry::Generator(resolve) => Some(*resolve),
            _ => None,
        })
    }

    /// Whether an item of a SELECT list is a generator (under an alias or not).
    pub(super) fn is_generator_item(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Call(call) => self.generator(call).is_some(),
            Expr::Alias { expr, .. } => self.is_generator_item(expr),
            _ => false,
        }
    }

    /// The generator's call in an item, and what puts another expression in its place.
    pub(super) fn take_generator<'a>(
        &self,
        expr: &'a Expr,
    ) -> Result<(&'a Call, Box<dyn Fn(Expr) -> Expr + 'a>)> {
        match expr {
            Expr::Call(call)
                if call.name.last().is_some_and(|name| is_in_from_only(&name.to_lowercase())) =>
            {
                Err(super::error::not_a_scalar_function(&call.name))
            }
            Expr::Call(call) => Ok((call, Box::new(|e| e))),
            Expr::Alias { expr, names, metadata } => {
                let (call, inner) = self.take_generator(expr)?;
                Ok((
                    call,
                    Box::new(move |e| Expr::Alias {
                        expr: Box::new(inner(e)),
                        names: names.clone(),
                        metadata: metadata.clone(),
                    }),
                ))
            }
            _ => Err(Error::internal("no generator in the item")),
        }
    }

    pub(super) fn project_with_generator(&mut self, input: Analyzed, exprs: &[Expr]) -> Result<Analyzed> {
        let input_columns = input.output.clone();
        // One generator after the other, each for every row of those before it.
        let mut over = input;
        let mut generated = Vec::new();
        let generators: Vec<&Expr> = exprs.iter().filter(|e| self.is_generator_item(e)).collect();
        for expr in generators {
            let (call, _) = self.take_generator(expr)?;
            let call = call.clone();
            let columns = match expr {
                Expr::Alias { names, .. } => names.clone(),
                _ => Vec::new(),
            };
            let made = self.at(&call.origin, |a| a.generate(over, &call, None, &columns, false))?;
            let new: Vec<Attribute> = made.output[input_columns.len()..].to_vec();
            // Stars and names in the other items mean the input's columns.
            over = made;
            over.output.clone_from(&input_columns);
            over.hidden.splice(0..0, new.iter().cloned());
            generated.push(new);
        }
        let mut generated = generated.into_iter();
        let mut items = Vec::new();
        for expr in exprs {
            if self.is_generator_item(expr) {
                let new = generated.next().unwrap_or_default();
                items.extend(new.into_iter().map(super::project::Item::passing));
            } else {
                items.extend(self.items(std::slice::from_ref(expr), &over)?);
            }
        }
        self.project_items(over, items)
    }

    pub(super) fn lateral_view(
        &mut self,
        input: &Relation,
        generator: &Expr,
        table_alias: Option<&str>,
        columns: &[String],
        outer: bool,
    ) -> Result<Analyzed> {
        let input = self.relation(input)?;
        let Expr::Call(call) = generator else {
            return Err(Error::internal("LATERAL VIEW without a call"));
        };
        let last = call.name.last().map(|n| n.to_lowercase()).unwrap_or_default();
        let unknown = self.generator(call).is_none() && !registry().contains(&last);
        if is_in_from_only(&last) || unknown {
            let shown = boathouse_spec::quote_name(&call.name);
            return Err(Error::new("ROUTINE_NOT_FOUND")
                .param("routineName", &shown)
                .message(format!("There is no function {shown} for LATERAL VIEW.")));
        }
        self.generate(input, call, table_alias, columns, outer)
    }

    /// The input's columns and, for each row, the rows of the generator.
    pub(super) fn generate(
        &mut self,
        input: Analyzed,
        call: &Call,
        table_alias: Option<&str>,
        columns: &[String],
        outer: bool,
    ) -> Result<Analyzed> {
        let name = call.name.last().map(|n| n.to_lowercase()).unwrap_or_default();
        let Some(resolve) = self.generator(call) else {
            let known = registry().contains(&name);
            return Err(if known {
                Error::new("UNSUPPORTED_GENERATOR.NOT_GENERATOR")
                    .param("functionName", boathouse_spec::quote(&name))
                    .param("classCanonicalName", &name)
                    .message(format!("{name} is no generator."))
            } else {
                super::error::unresolved_routine(&call.name, &["`system`.`builtin`".to_string()])
            });
        };
        let outer = outer || name.ends_with("_outer");
        let (args, resolved) = self.resolved_generator(&name, resolve, call, &input)?;
        for a in &args {
            if super::aggregate::has_aggregate(&a.expr) {
                return Err(Error::new("UNSUPPORTED_GENERATOR.OUTSIDE_SELECT")
                    .param("plan", "Aggregate")
                    .message(format!("The generator {name} cannot take the aggregate {}.", a.name)));
            }
        }
        if !columns.is_empty() && columns.len() != resolved.columns.len() {
            return Err(Error::new("UDTF_ALIAS_NUMBER_MISMATCH")
                .param("aliasesSize", resolved.columns.len())
                .param("aliasesNames", columns.join(", "))
                .message(format!(
                    "{name} gives {} columns, but {} names were given.",
                    resolved.columns.len(),
                    columns.len()
                )));
        }
        let fields = resolved.columns.clone();
        let struct_elements = resolved.struct_elements;
        let array = self.resolved_scalar(&name, resolved.scalar, args)?;

        // Window functions may be arguments.
        let list_column = self.attribute("generated", array.data_type.clone(), true);
        let mut pairs: Vec<(DfExpr, Attribute)> = input.columns().map(|a| (a.column(), a.clone())).collect();
        pairs.push((array.expr, list_column.clone()));
        let (plan, pairs) = self.plan_windows(input.plan.clone(), pairs)?;
        let plan = project(pairs.iter().map(|(e, a)| named(e.clone(), a)).collect(), plan)?;
        let null_handling = if outer { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
        let options = UnnestOptions { null_handling, recursions: vec![] };
        let plan = LogicalPlanBuilder::from(plan)
            .unnest_columns_with_options(vec![list_column.df_column()], options)
            .spark()?
            .build()
            .spark()?;

        let mut exprs: Vec<DfExpr> = input.columns().map(Attribute::column).collect();
        let mut generated = Vec::new();
        let of_element = StructType::new(fields.clone());
        let element = DataType::Struct(of_element.clone());
        let element = TypedExpr::new(list_column.column(), element, true, "");
        for (i, field) in fields.iter().enumerate() {
            let StructField { name: own, data_type, nullable, .. } = field;
            let shown = columns.get(i).unwrap_or(own);
            let mut a = self.attribute(shown, data_type.clone(), *nullable || outer);
            a.qualifier = table_alias.map(|t| vec![t.to_string()]).unwrap_or_default();
            let value = if struct_elements {
                self.field_at(element.clone(), &of_element, i)?.expr
            } else {
                list_column.column()
            };
            exprs.push(named(value, &a));
            generated.push(a);
        }
        // Output first, hidden last.
        let at = input.output.len();
        let hidden_count = input.hidden.len();
        let tail: Vec<DfExpr> = exprs.drain(at..at + hidden_count).collect();
        exprs.extend(tail);
        let plan = project(exprs, plan)?;
        let output = input.output.iter().cloned().chain(generated).collect();
        Ok(Analyzed { plan, output, below: None, ..input })
    }

    fn resolved_generator(
        &mut self,
        name: &str,
        resolve: fn(&GeneratorCall) -> Result<ResolvedGenerator>,
        call: &Call,
        over: &Analyzed,
    ) -> Result<(Vec<TypedExpr>, ResolvedGenerator)> {
        let placed = super::named_arguments::positional(name, call)?;
        let given = placed.as_ref().unwrap_or(&call.args);
        self.forbid_sql_functions(given, "Generate")?;
        let args = self.args(given, over)?;
        let infos: Vec<_> = args.iter().map(|a| self.arg(a)).collect();
        let call = FunctionCall { name, args: &infos, context: &self.context };
        let resolved = resolve(&GeneratorCall { call })?;
        Ok((args, resolved))
    }

    /// Fails where a generator is asked for a field that its rows have not: they are structs of its columns
    /// (`explode(a).b`).
    pub(super) fn check_field_of_generator(
        &mut self,
        expr: &Expr,
        field: &Expr,
        over: &Analyzed,
    ) -> Result<()> {
        let (Expr::Call(call), Expr::Literal(Literal::String(field))) = (expr, field) else { return Ok(()) };
        let Some(resolve) = self.generator(call) else { return Ok(()) };
        let name = call.name.last().map(|n| n.to_lowercase()).unwrap_or_default();
        let (_, resolved) = self.resolved_generator(&name, resolve, call, over)?;
        let row = boathouse_spec::StructType::new(resolved.columns);
        match row.field(field) {
            Some(_) => Ok(()),
            None => Err(super::extract::no_such_field(field, &row)),
        }
    }

    /// A function in FROM.
    pub(super) fn table_function(&mut self, name: &[String], args: &[Expr]) -> Result<Analyzed> {
        let last = name.last().map(|n| n.to_lowercase()).unwrap_or_default();
        let is_builtin = crate::functions::builtin_name(name).is_some();
        if is_builtin && last == "range" {
            return self.range_function(args);
        }
        match last.as_str() {
            "collations" if is_builtin && args.is_empty() => return self.collations(),
            "sql_keywords" if is_builtin && args.is_empty() => return self.sql_keywords(),
            "table_changes" | "table_changes_by_path" if name.len() == 1 => {
                return self.table_changes(&last, args);
            }
            _ => {}
        }
        let call = Call { name: name.to_vec(), args: args.to_vec(), ..Default::default() };
        if self.generator(&call).is_some() {
            let input = Analyzed::one_row()?;
            return self.generate(input, &super::named_arguments::in_from(call)?, None, &[], false);
        }
        if let Some(analyzed) = self.sql_table_function(name, args)? {
            return Ok(analyzed);
        }
        if let [_] = name
            && let Some(function) = self.session.engine.table_functions.get(&last)
        {
            return self.service_function(&last, function, args);
        }
        if is_builtin && registry().contains(&last) {
            return Err(Error::new("NOT_A_TABLE_FUNCTION")
                .param("functionName", boathouse_spec::quote_name(name))
                .message(format!("`{last}` gives a value, not a table.")));
        }
        Err(Error::new("UNRESOLVABLE_TABLE_VALUED_FUNCTION")
            .param("name", boathouse_spec::quote_name(name))
            .message(format!("There is no table function named {}.", name.join("."))))
    }

    /// `collations()`: what SHOW COLLATIONS shows, with the schema they are in.
    fn collations(&mut self) -> Result<Analyzed> {
        let shown = self.command_result(None, &boathouse_spec::Command::ShowCollations { pattern: None })?;
        let mut pairs = Vec::with_capacity(shown.output.len() + 2);
        for (name, value) in [("CATALOG", "SYSTEM"), ("SCHEMA", "BUILTIN")] {
            if !shown.output.iter().any(|a| a.name == name) {
                let a = self.attribute(name, DataType::STRING, false);
                pairs.push((datafusion::logical_expr::lit(value), a));
            }
        }
        pairs.extend(shown.output.iter().map(|a| (a.column(), a.clone())));
        self.project_pairs(shown, pairs)
    }

    /// `sql_keywords()`
    fn sql_keywords(&mut self) -> Result<Analyzed> {
        use crate::rows::{Value, batch, column, text};
        let schema = boathouse_spec::StructType::new(vec![
            text("keyword", false),
            column("reserved", DataType::Boolean, false),
        ]);
        let options = self.session.conf().parser_options();
        let enforced = options.ansi && options.enforce_reserved_keywords;
        let rows: Vec<Vec<Value>> = boathouse_sql::keywords()
            .into_iter()
            .map(|k| vec![Value::from(k.word), Value::from(k.reserved && enforced)])
            .collect();
        let batch = batch(&schema, &rows)?;
        self.batches(&schema, vec![batch])
    }

    fn range_function(&mut self, args: &[Expr]) -> Result<Analyzed> {
        let one = Analyzed::one_row()?;
        let wrong = || {
            Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
                .param("functionName", "`range`")
                .param("expectedNum", "[1, 2, 3, 4]")
                .param("actualNum", args.len())
        };
        let mut numbers = Vec::new();
        for (i, arg) in args.iter().enumerate() {
            // The function's parameters have no names: an argument with one is no constant (Spark's `Range`).
            if let Expr::NamedArgument { name, .. } = arg {
                return Err(Error::new("NON_FOLDABLE_ARGUMENT")
                    .param("funcName", "`range`")
                    .param("paramName", boathouse_spec::quote(name))
                    .param("paramType", "\"BIGINT\"")
                    .message(format!("range takes its arguments by position: {name} has no place.")));
            }
            let value = self.expr(arg, &one)?;
            // Spark looks at the arguments before a variable alone has its value.
            if value.name.starts_with(super::session_function::VARIABLE) {
                let parameter = match (i, args.len()) {
                    (0, 1) | (1, _) => "`end`",
                    (0, _) => "`start`",
                    (2, _) => "`step`",
                    _ => "`numSlices`",
                };
                return Err(Error::new("NON_FOLDABLE_ARGUMENT")
                    .param("funcName", "`range`")
                    .param("paramName", parameter)
                    .param("paramType", if i == 3 { "\"INT\"" } else { "\"BIGINT\"" })
                    .message("An argument of range must be a constant: a variable alone is none."));
            }
            let unexpected = Error::new("UNEXPECTED_INPUT_TYPE")
                .param("functionName", "`range`")
                .param("paramIndex", super::values::ordinal_word(i))
                .param("requiredType", "\"BIGINT\"")
                .param("inputSql", format!("\"{}\"", value.name))
                .param("inputType", super::error::quoted(&value.data_type))
                .message(format!("range takes numbers, not {}.", value.name));
            if implicit_cast(&value.data_type, &Want::LONG, &self.context).is_none() {
                return Err(unexpected);
            }
            let value = self.implicit(value, &DataType::Long)?;
            match self.fold(&value)? {
                datafusion::scalar::ScalarValue::Int64(Some(n)) => numbers.push(n),
                _ => return Err(unexpected),
            }
        }
        match numbers.as_slice() {
            [end] => self.range(0, *end, 1, None),
            [start, end] => self.range(*start, *end, 1, None),
            [start, end, step] => self.range(*start, *end, *step, None),
            [start, end, step, partitions] => {
                self.range(*start, *end, *step, u32::try_from(*partitions).ok().filter(|p| *p > 0))
            }
            _ => Err(wrong().message(format!("range takes 1 to 4 numbers, not {}.", numbers.len()))),
        }
    }

    /// A SQL function that returns a table: its query in place of the call.
    fn sql_table_function(&mut self, name: &[String], args: &[Expr]) -> Result<Option<Analyzed>> {
        use crate::functions::SessionFunction as F;
        let function = match self.find_function(&name.to_vec())? {
            Some(F::Sql(function)) => function,
            Some(F::Python { function, is_table_function: true, .. }) => {
                let shown = name.last().cloned().unwrap_or_default();
                return self.python_table_function(&shown, args, &function).map(Some);
            }
            _ => return Ok(None),
        };
        if function.kind != boathouse_catalog::FunctionKind::Table {
            return Err(Error::new("NOT_A_TABLE_FUNCTION")
                .param("functionName", boathouse_spec::quote_name(name))
                .message(format!("`{}` gives a value, not a table.", name.join("."))));
        }
        let one = Analyzed::one_row()?;
        let (parameters, _) = self.bind_parameters(&function, args, &one)?;
        let analyzed = self.inside_function(&Arc::clone(&function), parameters, |analyzer| {
            let options = analyzer.session.conf().parser_options();
            let boathouse_spec::Plan::Query(query) =
                boathouse_sql::parse_statement(&function.body, &options)?
            else {
                return Err(Error::internal("the body of a table function is no query"));
            };
            analyzer.query(&query)
        })?;
        let analyzed = self.aliased(analyzed, vec![function.name.name.clone()])?;
        let fields = &function.return_columns.fields;
        if fields.is_empty() {
            return Ok(Some(analyzed));
        }
        if fields.len() != analyzed.output.len() {
            return Err(Error::new("USER_DEFINED_FUNCTIONS.RETURN_COLUMN_COUNT_MISMATCH")
                .param("outputSize", analyzed.output.len())
                .param("returnParamSize", fields.len())
                .param("name", boathouse_spec::quote_name(name))
                .message("The function's query gives another number of columns than it declares."));
        }
        let mut pairs = Vec::new();
        for (a, f) in analyzed.output.clone().iter().zip(fields) {
            let value = self.implicit(a.typed(), &f.data_type)?;
            let mut attribute = self.attribute(&f.name, f.data_type.clone(), value.nullable);
            attribute.qualifier.clone_from(&a.qualifier);
            pairs.push((value.expr, attribute));
        }
        self.project_pairs(analyzed, pairs).map(Some)
    }
}
