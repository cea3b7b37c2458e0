//! Function calls: operators and special forms first, then built-in functions, then the user's.

use boathouse_functions::{Call as FunctionCall, Entry, registry};
use boathouse_spec::{Call, Error, Expr, Result, Star};
use datafusion::logical_expr::Expr as DfExpr;
use datafusion::logical_expr::{cast, lit};

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr};
use super::canonical::same;
use super::{error, scalar_call::call_name};

/// What `grouping()` and `grouping_id()` mean inside an aggregation.
#[derive(Debug, Clone)]
pub(crate) struct GroupingScope {
    pub id: Attribute,
    pub keys: Vec<DfExpr>,
    /// Those that one of the sets has not, and that are computed.
    pub(super) left_out: Vec<DfExpr>,
    /// What the keys are called in the aggregation's output.
    pub(super) columns: Vec<DfExpr>,
}

impl GroupingScope {
    fn position(&self, arg: &DfExpr) -> Option<usize> {
        let at = |list: &[DfExpr]| list.iter().position(|k| same(k, arg));
        at(&self.keys).or_else(|| at(&self.columns))
    }
}

impl Analyzer {
    pub(super) fn grouping_scope(&mut self, scope: Option<GroupingScope>) -> Option<GroupingScope> {
        std::mem::replace(&mut self.grouping, scope)
    }

    pub(super) fn call(&mut self, call: &Call, over: &Analyzed) -> Result<TypedExpr> {
        let Some(name) = crate::functions::builtin_name(&call.name) else {
            return self.user_function(call, over);
        };
        if let Some(result) = self.special_form(&name, call, over)? {
            return Ok(result);
        }
        // Syntax of their own with a unit: there are no functions of these names.
        if !call.is_operator && matches!(name.as_str(), "timestampadd" | "timestampdiff") {
            return self.user_function(call, over);
        }
        // Programs have it, SQL has not.
        if name == "product" && !call.is_internal {
            return self.user_function(call, over);
        }
        let entries = registry().get(&name);
        if entries.is_empty() {
            return match name.as_str() {
                "cast" => self.cast_without_type(call, over),
                _ => self.user_function(call, over),
            };
        }
        let placed =
            super::named_arguments::positional(&name, call)?.map(|args| Call { args, ..call.clone() });
        let call = placed.as_ref().unwrap_or(call);
        // A name may mean a function of lambdas and one of values: the arguments say which.
        let has_lambda = call.args.iter().any(|a| matches!(a, Expr::Lambda { .. }));
        let of_lambdas = entries.iter().find(|e| has_lambda && matches!(e, Entry::HigherOrder(_)));
        let Some(entry) = of_lambdas.or(entries.first()) else { return self.user_function(call, over) };
        match entry {
            Entry::Scalar(resolve) => {
                self.forbid_aggregate_syntax(call)?;
                if has_lambda {
                    return Err(Error::new("INVALID_LAMBDA_FUNCTION_CALL.NON_HIGHER_ORDER_FUNCTION")
                        .param("class", &name)
                        .message(format!("The function {name} takes no lambda.")));
                }
                let args = self.args(&call.args, over)?;
                let minus = match args.as_slice() {
                    [arg] if call.is_operator && name == "negative" => Some(format!("(- {})", arg.name)),
                    [value, by] if call.is_operator => {
                        shift_symbol(&name).map(|s| format!("({} {s} {})", value.name, by.name))
                    }
                    _ => None,
                };
                // The type of a constant is known without it: its computation may fail.
                if let ("typeof", [arg]) = (name.as_str(), args.as_slice())
                    && super::expr::is_foldable(&arg.expr)
                {
                    let shown = format!("typeof({})", arg.name);
                    let text = lit(arg.data_type.simple_string());
                    return Ok(TypedExpr::new(text, boathouse_spec::DataType::STRING, false, shown));
                }
                let value = self.scalar(&name, *resolve, args)?;
                Ok(match minus {
                    Some(shown) => value.named(shown),
                    None => value,
                })
            }
            Entry::Aggregate(resolve) => self.aggregate_call(&name, *resolve, call, over),
            Entry::HigherOrder(function) => self.higher_order(&name, *function, call, over),
            Entry::Window(_) => Err(Error::new("WINDOW_FUNCTION_WITHOUT_OVER_CLAUSE")
                .param("funcName", format!("\"{name}()\""))
                .message(format!("The window function {name} needs an OVER clause."))),
            Entry::Generator(_) => Err(Error::new("UNSUPPORTED_GENERATOR.NESTED_IN_EXPRESSIONS")
                .param("expression", format!("\"{name}\""))
                .message(format!("The generator {name} can only be an item of its own in a SELECT list."))),
        }
    }

    pub(super) fn args(&mut self, args: &[Expr], over: &Analyzed) -> Result<Vec<TypedExpr>> {
        let mut out = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                // `struct(*)`, `array(t.*)`: the star's columns are arguments.
                Expr::Star(star) => {
                    let columns = self.expand_star(star, over)?;
                    out.extend(columns.into_iter().map(|c| match field_of_star(star, &c) {
                        Some(shown) => c.named(shown),
                        None => c,
                    }));
                }
                Expr::ColumnRegex { pattern } => out.extend(self.matching_columns(pattern, over)?),
                Expr::NamedArgument { value, .. } => out.push(self.expr(value, over)?),
                other => out.push(self.expr(other, over)?),
            }
        }
        Ok(out)
    }

    pub(super) fn forbid_aggregate_syntax(&self, call: &Call) -> Result<()> {
        let what = if call.distinct {
            "DISTINCT"
        } else if call.filter.is_some() {
            "FILTER CLAUSE"
        } else if call.ignore_nulls == Some(true) {
            "IGNORE NULLS"
        } else if !call.order_by.is_empty() {
            "WITHIN GROUP (ORDER BY ...)"
        } else {
            return Ok(());
        };
        let name = call.name.last().cloned().unwrap_or_default();
        Err(Error::new("INVALID_SQL_SYNTAX.FUNCTION_WITH_UNSUPPORTED_SYNTAX")
            .param("prettyName", boathouse_spec::quote(&name))
            .param("syntax", what)
            .message(format!("The function {name} does not take {what}.")))
    }

    /// Forms that are not plain functions: lazy, untyped, or dependent on the query around.
    fn special_form(&mut self, name: &str, call: &Call, over: &Analyzed) -> Result<Option<TypedExpr>> {
        if !matches!(name, "struct" | "in") {
            forbid_star(name, call)?;
        }
        if let Some(result) = self.boolean_operator(name, call, over)? {
            return Ok(Some(result));
        }
        if let Some(result) = self.conditional(name, call, over)? {
            return Ok(Some(result));
        }
        if let Some(result) = self.session_function(name, call)? {
            return Ok(Some(result));
        }
        match name {
            "grouping" | "grouping_id" => self.grouping_function(name, call, over).map(Some),
            "struct" => {
                let (args, shown) = self.struct_args(call, over)?;
                // A row `(a, b)` is shown with the names of its fields.
                let shown = match call.is_operator && !args.is_empty() {
                    true => {
                        let fields = args.iter().step_by(2).map(|key| key.name.clone());
                        let both: Vec<String> = fields.zip(shown).flat_map(|(f, v)| [f, v]).collect();
                        format!("named_struct({})", both.join(", "))
                    }
                    false => format!("struct({})", shown.join(", ")),
                };
                Ok(Some(self.builtin("named_struct", args)?.named(shown)))
            }
            "input_file_name" | "input_file_block_start" | "input_file_block_length"
                if call.args.is_empty() =>
            {
                self.input_file(name, over).map(Some)
            }
            "window_time" => self.window_time(call, over).map(Some),
            "distributed_sequence_id" if call.args.len() <= 1 => {
                let number = self.builtin("monotonically_increasing_id", Vec::new())?;
                Ok(Some(number.named("distributed_sequence_id()")))
            }
            "semi_structured_extract" => self.variant_path(call, over).map(Some),
            "unresolvedregex" | "unresolved_regex" => Err(Error::unsupported("this column pattern")),
            _ => Ok(None),
        }
    }

    /// `variant:path`
    fn variant_path(&mut self, call: &Call, over: &Analyzed) -> Result<TypedExpr> {
        let [value, path] = self.exactly(call, over)?;
        if value.data_type != boathouse_spec::DataType::Variant {
            return Err(Error::new("COLUMN_IS_NOT_VARIANT_TYPE").message(format!(
                "`:` takes a path into a VARIANT; {} is {}.",
                value.name,
                value.data_type.sql()
            )));
        }
        let name = path.name.clone();
        let shown = format!("variant_get({}, {name})", value.name);
        let as_variant = TypedExpr::new(lit("variant"), boathouse_spec::DataType::STRING, false, "variant");
        let found = self.builtin("variant_get", vec![value, path, as_variant])?;
        Ok(found.named(match last_field(&name) {
            Some(field) => format!("{shown} AS {field}"),
            None => shown,
        }))
    }

    /// `struct(a, b AS c, d + 1)`: names come from columns and aliases, else `col1`, `col2`, ... Beside the arguments of
    /// `named_struct`, how each value is shown.
    fn struct_args(&mut self, call: &Call, over: &Analyzed) -> Result<(Vec<TypedExpr>, Vec<String>)> {
        let mut out = Vec::new();
        let mut shown = Vec::new();
        let mut position = 0;
        for arg in &call.args {
            let (values, is_named): (Vec<TypedExpr>, bool) = match arg {
                Expr::Star(star) => (self.expand_star(star, over)?, true),
                Expr::ColumnRegex { pattern } => (self.matching_columns(pattern, over)?, true),
                Expr::Alias { .. } | Expr::Column(_) | Expr::LambdaVariable(_) => {
                    (vec![self.expr(arg, over)?], true)
                }
                Expr::Extract { extraction, .. } => {
                    let field =
                        matches!(extraction.as_ref(), Expr::Literal(boathouse_spec::Literal::String(_)));
                    (vec![self.expr(arg, over)?], field)
                }
                Expr::NamedArgument { name, value } => (vec![self.expr(value, over)?.named(name)], true),
                other => (vec![self.expr(other, over)?], false),
            };
            let under_alias = match arg {
                Expr::Alias { expr, names, .. } if names.len() == 1 => {
                    Some(format!("{} AS {}", self.expr(expr, over)?.name, quoted_if_needed(&names[0])))
                }
                _ => None,
            };
            for value in values {
                position += 1;
                shown.push(match (&under_alias, arg) {
                    (Some(text), _) => text.clone(),
                    (None, Expr::Star(star)) => {
                        field_of_star(star, &value).unwrap_or_else(|| value.name.clone())
                    }
                    (None, _) => value.name.clone(),
                });
                let field = if is_named {
                    // A nested column `a.b` gives the field `b`.
                    match arg {
                        Expr::Column(boathouse_spec::Column { name, .. }) | Expr::LambdaVariable(name) => {
                            name.last().cloned().unwrap_or_default()
                        }
                        Expr::Extract { extraction, .. } => match extraction.as_ref() {
                            Expr::Literal(boathouse_spec::Literal::String(field)) => field.clone(),
                            _ => value.name.clone(),
                        },
                        _ => value.name.clone(),
                    }
                } else {
                    format!("col{position}")
                };
                let key = TypedExpr::new(lit(field.clone()), boathouse_spec::DataType::STRING, false, field);
                out.push(key);
                out.push(value);
            }
        }
        Ok((out, shown))
    }

    fn grouping_function(&mut self, name: &str, call: &Call, over: &Analyzed) -> Result<TypedExpr> {
        use boathouse_spec::DataType;
        let Some(scope) = self.grouping.clone() else {
            return Err(Error::new("UNSUPPORTED_GROUPING_EXPRESSION")
                .message(format!("{name}() can only be used with GROUPING SETS, CUBE or ROLLUP.")));
        };
        let args = self.args(&call.args, over)?;
        let shown = call_name(name, &args);
        let position = |arg: &TypedExpr| {
            scope.position(&arg.expr).ok_or_else(|| {
                Error::new("GROUPING_COLUMN_MISMATCH")
                    .param("grouping", &arg.name)
                    .param("groupingColumns", "")
                    .message(format!("{} is no grouping column.", arg.name))
            })
        };
        let n = scope.keys.len();
        if name == "grouping" {
            let [arg] = args.as_slice() else {
                return Err(Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
                    .param("functionName", "`grouping`")
                    .param("expectedNum", 1)
                    .param("actualNum", args.len())
                    .message("grouping() takes one column."));
            };
            let shift = (n - 1 - position(arg)?) as i64;
            let bit = (scope.id.column() >> lit(shift)) & lit(1i64);
            return Ok(TypedExpr::new(
                cast(bit, arrow::datatypes::DataType::Int8),
                DataType::Byte,
                false,
                shown,
            ));
        }
        if !args.is_empty() {
            let given = args.iter().map(position).collect::<Result<Vec<_>>>()?;
            if given != (0..n).collect::<Vec<_>>() {
                return Err(Error::new("GROUPING_ID_COLUMN_MISMATCH")
                    .param(
                        "groupingIdColumn",
                        args.iter().map(|a| a.name.clone()).collect::<Vec<_>>().join(","),
                    )
                    .param("groupByColumns", "")
                    .message("grouping_id() takes all grouping columns in their order, or none."));
            }
        }
        Ok(TypedExpr::new(scope.id.column(), DataType::Long, false, shown))
    }

    /// `cast(a, b)`: only `CAST(a AS type)` is a call of this function.
    fn cast_without_type(&mut self, call: &Call, over: &Analyzed) -> Result<TypedExpr> {
        let args = self.args(&call.args, over)?;
        Err(Error::new("WRONG_NUM_ARGS.WITHOUT_SUGGESTION")
            .param("functionName", "`cast`")
            .param("expectedNum", 0)
            .param("actualNum", args.len())
            .message("A cast is written CAST(value AS type)."))
    }

    /// The functions of the user: SQL functions by name, else an error that names where was looked.
    fn user_function(&mut self, call: &Call, over: &Analyzed) -> Result<TypedExpr> {
        if let Some(result) = self.sql_function(call, over)? {
            return Ok(result);
        }
        if let [name] = call.name.as_slice()
            && matches!(name.to_lowercase().as_str(), "range" | "sql_keywords" | "collations")
        {
            return Err(error::not_a_scalar_function(&call.name));
        }
        self.refuse_package(call, over)?;
        self.check_catalog_of(&call.name)?;
        let (catalog, schema) = self.namespace.clone();
        let path = vec![
            "`system`.`builtin`".to_string(),
            "`system`.`session`".to_string(),
            boathouse_spec::quote_name(&[catalog, schema]),
        ];
        Err(error::unresolved_routine(&call.name, &path))
    }

    /// Functions of Spark's packages, which are not here.
    fn refuse_package(&mut self, call: &Call, over: &Analyzed) -> Result<()> {
        let [name] = call.name.as_slice() else { return Ok(()) };
        let name = name.to_lowercase();
        let refused = |infos: &[_], context: &_| {
            boathouse_functions::package_refusal(&FunctionCall { name: &name, args: infos, context })
        };
        if refused(&[], &self.context).is_none() {
            return Ok(());
        }
        let args = self.args(&call.args, over)?;
        let infos: Vec<_> = args.iter().map(|a| self.arg(a)).collect();
        refused(&infos, &self.context).map_or(Ok(()), Err)
    }
}

/// How a field that `s.*` stands for is shown, where that is a struct: a column made for it.
fn field_of_star(star: &Star, field: &TypedExpr) -> Option<String> {
    let is_column = matches!(field.expr, DfExpr::Column(_) | DfExpr::OuterReferenceColumn(..));
    let target = star.target.as_deref().filter(|_| !is_column)?.join(".");
    Some(format!("{target}.{} AS {}", field.name, quoted_if_needed(&field.name)))
}

/// A name in backquotes, where it is no plain word.
fn quoted_if_needed(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.chars().all(|c| c.is_ascii_digit());
    if plain { name.to_string() } else { boathouse_spec::quote(name) }
}

/// The last name in a path into a variant: `b` of `$.a.b[0]`, `c d` of `$['c d']`.
fn last_field(path: &str) -> Option<&str> {
    let mut rest = path;
    while let Some(before) = rest.strip_suffix(']') {
        let (head, inner) = before.rsplit_once('[')?;
        let quoted = |q: char| inner.strip_prefix(q).and_then(|i| i.strip_suffix(q));
        match quoted('\'').or_else(|| quoted('"')) {
            Some(name) => return Some(name),
            None => rest = head,
        }
    }
    rest.rsplit_once('.').map(|(_, name)| name)
}

/// The operator that a function of shifting is written as.
fn shift_symbol(function: &str) -> Option<&'static str> {
    Some(match function {
        "shiftleft" => "<<",
        "shiftright" => ">>",
        "shiftrightunsigned" => ">>>",
        _ => return None,
    })
}

/// A star among the operands of an operator; Spark takes it among arguments only.
fn forbid_star(name: &str, call: &Call) -> Result<()> {
    if !call.is_operator || !call.args.iter().any(|a| matches!(a, Expr::Star(_))) {
        return Ok(());
    }
    let shown = match name {
        "+" => "add",
        "-" => "subtract",
        "*" => "multiply",
        "/" => "divide",
        "%" => "remainder",
        other => other,
    };
    Err(Error::new("INVALID_USAGE_OF_STAR_OR_REGEX")
        .param("elem", "'*'")
        .param("prettyName", format!("expression `{shown}`"))
        .message(format!("A star cannot be an operand of `{shown}`.")))
}
