//! Python functions: calls in expressions, over windows, partitions and groups, and in FROM.

use std::sync::Arc;

use arrow::compute::SortOptions;
use boathouse_bridge::{ResultExt, typed_field};
use boathouse_python::EvalType;
use boathouse_spec::{
    DataSourceRef, DataType, Error, Expr, PlanSubqueryKind, PythonFunction, PythonUdf, Relation,
    RelationNode, Result, SortOrder, StructField, StructType, WindowSpec,
};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Aggregate, Expr as DfExpr, LogicalPlan, Union};

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr, project};
use super::project::named;
use crate::operators::{self, Scheme};
use crate::python::{self, ApplyGroups, Argument, PythonCall, PythonSource, Setup, TableFunction};

/// The rows of a table argument, and how they are divided.
struct TableArgument {
    query: Relation,
    partition_by: Vec<Expr>,
    order_by: Vec<SortOrder>,
}

impl Analyzer {
    pub(super) fn python_udf(&mut self, udf: &PythonUdf, over: &Analyzed) -> Result<TypedExpr> {
        self.python_call(&udf.name, &udf.function, &udf.args, udf.deterministic, over)
    }

    pub(super) fn python_call(
        &mut self,
        name: &str,
        function: &PythonFunction,
        args: &[Expr],
        deterministic: bool,
        over: &Analyzed,
    ) -> Result<TypedExpr> {
        let eval_type = EvalType(function.eval_type);
        let (names, values) = self.python_args(args, over)?;
        let shown = shown_call(name, &names, &values);
        if eval_type.is_scalar() {
            return self.python_expr(name, function, names, values, deterministic, shown);
        }
        if !eval_type.is_aggregate() {
            return Err(misplaced(name, function));
        }
        let types = values.iter().map(|v| v.data_type.clone()).collect();
        let rows = self.argument_rows(values)?;
        let list = self.builtin_aggregate("collect_list", vec![rows])?;
        self.python_aggregate(name, function, names, types, list, shown)
    }

    /// `f(..) OVER (..)`: the function over the list of each row's frame.
    pub(super) fn python_over_window(
        &mut self,
        udf: &PythonUdf,
        window: &WindowSpec,
        over: &Analyzed,
    ) -> Result<TypedExpr> {
        if !EvalType(udf.function.eval_type).is_aggregate() {
            return Err(misplaced(&udf.name, &udf.function));
        }
        let (names, values) = self.python_args(&udf.args, over)?;
        let shown = shown_call(&udf.name, &names, &values);
        let types = values.iter().map(|v| v.data_type.clone()).collect();
        let mut fields = Vec::with_capacity(2 * udf.args.len());
        for (i, arg) in udf.args.iter().enumerate() {
            fields.push(Expr::string(format!("_{i}")));
            fields.push(match arg {
                Expr::NamedArgument { value, .. } => value.as_ref().clone(),
                other => other.clone(),
            });
        }
        let rows = Expr::call("named_struct", fields);
        let collected = Expr::call("collect_list", vec![rows]);
        let list = self.window_expr(&collected, window, over)?;
        let suffix = list.name.find(" OVER ").map(|at| list.name[at..].to_string()).unwrap_or_default();
        self.python_aggregate(&udf.name, &udf.function, names, types, list, format!("{shown}{suffix}"))
    }

    fn python_args(
        &mut self,
        args: &[Expr],
        over: &Analyzed,
    ) -> Result<(Vec<Option<String>>, Vec<TypedExpr>)> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for arg in args {
            let (name, value) = match arg {
                Expr::NamedArgument { name, value } => (Some(name.clone()), value.as_ref()),
                other => (None, other),
            };
            if let Expr::Star(star) = value {
                for value in self.expand_star(star, over)? {
                    names.push(None);
                    values.push(value);
                }
                continue;
            }
            let mut value = self.expr(value, over)?;
            if value.data_type == DataType::Null {
                value = self.implicit(value, &DataType::STRING)?;
            }
            names.push(name);
            values.push(value);
        }
        Ok((names, values))
    }

    fn python_expr(
        &mut self,
        name: &str,
        function: &PythonFunction,
        names: Vec<Option<String>>,
        values: Vec<TypedExpr>,
        deterministic: bool,
        shown: String,
    ) -> Result<TypedExpr> {
        let returns = python::return_type(name, function)?;
        let args = names.into_iter().zip(values.iter().map(|v| v.data_type.clone())).collect();
        let setup = Setup::of(&self.session);
        let call = PythonCall::new(name, function.clone(), args, returns.clone(), deterministic, setup);
        let expr = call.call(values.into_iter().map(|v| v.expr).collect());
        Ok(TypedExpr::new(expr, returns, true, shown))
    }

    /// A struct of the arguments for each row.
    fn argument_rows(&mut self, values: Vec<TypedExpr>) -> Result<TypedExpr> {
        let mut fields = Vec::with_capacity(2 * values.len());
        for (i, value) in values.into_iter().enumerate() {
            let name = format!("_{i}");
            fields.push(TypedExpr::new(
                datafusion::logical_expr::lit(name.clone()),
                DataType::STRING,
                false,
                name,
            ));
            fields.push(value);
        }
        self.builtin("named_struct", fields)
    }

    fn python_aggregate(
        &mut self,
        name: &str,
        function: &PythonFunction,
        names: Vec<Option<String>>,
        types: Vec<DataType>,
        list: TypedExpr,
        shown: String,
    ) -> Result<TypedExpr> {
        let returns = python::return_type(name, function)?;
        let args = names.into_iter().zip(types).collect();
        let setup = Setup::of(&self.session);
        let call = PythonCall::new(name, function.clone(), args, returns.clone(), true, setup);
        Ok(TypedExpr::new(call.call(vec![list.expr]), returns, true, shown))
    }

    pub(super) fn map_in_python(
        &mut self,
        input: &Relation,
        function: &PythonFunction,
        name: &str,
    ) -> Result<Analyzed> {
        let input = self.query(input)?;
        let output = self.declared_columns(name, function)?;
        let columns = input.schema().fields;
        let setup = Setup::of(&self.session);
        let schema = df_schema(&output)?;
        let plan =
            python::map_partitions(input.plan.clone(), name, function.clone(), &columns, schema, setup);
        Ok(Analyzed { is_streaming: input.is_streaming, ..Analyzed::new(plan, output) })
    }

    /// The columns that a function declares to give.
    fn declared_columns(&mut self, name: &str, function: &PythonFunction) -> Result<Vec<Attribute>> {
        let DataType::Struct(fields) = python::return_type(name, function)? else {
            return Err(Error::new("INVALID_ARROW_UDTF_RETURN_TYPE")
                .message(format!("The Python function `{name}` must declare the columns it gives.")));
        };
        Ok(self.attributes_of(&fields))
    }

    pub(super) fn attributes_of(&mut self, fields: &StructType) -> Vec<Attribute> {
        fields.fields.iter().map(|f| self.attribute(&f.name, f.data_type.clone(), f.nullable)).collect()
    }

    pub(super) fn apply_in_python(
        &mut self,
        input: &Relation,
        grouping: &[Expr],
        function: &PythonFunction,
        name: &str,
    ) -> Result<Analyzed> {
        let input = self.query(input)?;
        let (key_columns, mut list) = self.keys_of_groups(grouping, &input)?;
        let packed = self.packed(&input)?;
        let rows = self.attribute("rows", packed.data_type.clone(), false);
        list.push(named(packed.expr, &rows));
        let plan = project(list, input.plan.clone())?;
        let grouped = self.collected(plan, &key_columns, &[rows])?;
        self.apply_groups(name, function, grouped, key_columns, vec![input.schema().fields])
    }

    /// The columns that groups are told by, and what they are over the input.
    pub(super) fn keys_of_groups(
        &mut self,
        grouping: &[Expr],
        input: &Analyzed,
    ) -> Result<(Vec<Attribute>, Vec<DfExpr>)> {
        let mut keys = Vec::with_capacity(grouping.len());
        let mut list = Vec::with_capacity(grouping.len());
        for item in self.items(grouping, input)? {
            let value = item.value;
            let key = self.attribute(&value.name, value.data_type, value.nullable);
            list.push(named(value.expr, &key));
            keys.push(key);
        }
        Ok((keys, list))
    }

    pub(super) fn cogroup_in_python(
        &mut self,
        sides: [(&Relation, &Vec<Expr>); 2],
        function: &PythonFunction,
        name: &str,
    ) -> Result<Analyzed> {
        let mut resolved = Vec::with_capacity(2);
        for (input, grouping) in sides {
            let input = self.query(input)?;
            let keys = self.items(grouping, &input)?.into_iter().map(|i| i.value).collect::<Vec<_>>();
            let packed = self.packed(&input)?;
            resolved.push((input, keys, packed));
        }
        let [(left, left_keys, left_rows), (right, right_keys, right_rows)] = resolved.as_slice() else {
            return Err(Error::internal("two sides are co-grouped"));
        };
        if left_keys.len() != right_keys.len() {
            return Err(Error::new("")
                .exception("IllegalArgumentException")
                .message("requirement failed: Cogroup keys must have same size."));
        }
        let mut key_columns = Vec::with_capacity(left_keys.len());
        for (l, r) in left_keys.iter().zip(right_keys) {
            let t = self.comparison_type(l, r).unwrap_or_else(|| l.data_type.clone());
            key_columns.push(self.attribute(&l.name, t, true));
        }
        let rows = [
            self.attribute("left", left_rows.data_type.clone(), true),
            self.attribute("right", right_rows.data_type.clone(), true),
        ];
        // The rows of both sides in one relation, each with the other side's column empty.
        let mut inputs = Vec::with_capacity(2);
        for (i, (side, keys, packed)) in
            [(left, left_keys, left_rows), (right, right_keys, right_rows)].into_iter().enumerate()
        {
            let mut list = Vec::with_capacity(key_columns.len() + 2);
            for (key, column) in keys.iter().zip(&key_columns) {
                list.push(named(self.implicit(key.clone(), &column.data_type)?.expr, column));
            }
            for (j, column) in rows.iter().enumerate() {
                let value = match i == j {
                    true => packed.expr.clone(),
                    false => {
                        let none = self.literal(&boathouse_spec::Literal::NULL)?;
                        self.implicit(none, &column.data_type)?.expr
                    }
                };
                list.push(named(value, column));
            }
            inputs.push(Arc::new(project(list, side.plan.clone())?));
        }
        let union = LogicalPlan::Union(Union::try_new(inputs).spark()?);
        let grouped = self.collected(union, &key_columns, &rows)?;
        let columns = vec![left.schema().fields, right.schema().fields];
        self.apply_groups(name, function, grouped, key_columns, columns)
    }

    /// A row a group, in the order of the keys: the keys, and a list of what is in each of the columns.
    fn collected(
        &mut self,
        plan: LogicalPlan,
        keys: &[Attribute],
        columns: &[Attribute],
    ) -> Result<Analyzed> {
        let mut output = keys.to_vec();
        let mut lists = Vec::with_capacity(columns.len());
        for column in columns {
            let list = self.builtin_aggregate("collect_list", vec![column.typed()])?;
            let a = self.attribute(&column.name, list.data_type, false);
            lists.push(list.expr.alias(a.internal_name()));
            output.push(a);
        }
        let by = keys.iter().map(Attribute::column).collect();
        let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(plan), by, lists).spark()?);
        let order = keys.iter().filter(|k| k.data_type.is_orderable());
        let order: Vec<Sort> = order.map(|k| Sort::new(k.column(), true, true)).collect();
        let grouped = Analyzed::new(plan, output);
        if order.is_empty() { Ok(grouped) } else { self.sorted(grouped, order) }
    }

    fn apply_groups(
        &mut self,
        name: &str,
        function: &PythonFunction,
        grouped: Analyzed,
        keys: Vec<Attribute>,
        sides: Vec<Vec<StructField>>,
    ) -> Result<Analyzed> {
        let output = self.declared_columns(name, function)?;
        let apply = ApplyGroups {
            name: name.to_string(),
            function: function.clone(),
            keys: keys.iter().map(Attribute::field).collect(),
            sides,
            setup: Setup::of(&self.session),
        };
        let plan = python::apply_groups(grouped.plan, apply, df_schema(&output)?);
        Ok(Analyzed::new(plan, output))
    }

    pub(super) fn python_data_source(
        &mut self,
        python: &PythonSource,
        source: &DataSourceRef,
    ) -> Result<Analyzed> {
        let setup = Setup::of(&self.session);
        let options = python::options_of(source);
        let (opened, plan) = self.wait(async {
            let opened = python.open(&setup, source.schema.as_ref(), &options).await?;
            let plan = python.plan(&setup, &opened).await?;
            Ok::<_, Error>((opened, plan))
        })?;
        let (schema, partitions) = plan.rows()?;
        let table = datafusion::datasource::MemTable::try_new(schema, partitions).spark()?;
        let partition = self.attribute("partition", DataType::Binary, true);
        let rows = super::values::scan(Arc::new(table), std::slice::from_ref(&partition))?;
        let output = self.attributes_of(&opened.schema);
        let columns = [partition.field()];
        let schema = df_schema(&output)?;
        let plan = python::map_partitions(rows, &python.name, plan.function, &columns, schema, setup);
        Ok(Analyzed::new(plan, output))
    }

    pub(super) fn python_table_function(
        &mut self,
        name: &str,
        args: &[Expr],
        function: &PythonFunction,
    ) -> Result<Analyzed> {
        let mut table = self.table_argument(args)?;
        let row = match &table {
            Some(table) => {
                let input = self.query(&table.query)?;
                Some(self.packed_as_named(&input)?)
            }
            None => None,
        };
        let values = self.table_function_values(args, row.as_ref(), &Analyzed::one_row()?)?;
        let (returns, analyzed) = self.declared_or_analyzed(name, function, args, &values, table.as_mut())?;
        let (input, values, partition_indexes, order) = match &table {
            None => (Analyzed::one_row()?, values, Vec::new(), None),
            Some(table) => {
                let (input, indexes, order) = self.table_rows(table)?;
                let row = self.packed_as_named(&input)?;
                let values = self.table_function_values(args, Some(&row), &Analyzed::one_row()?)?;
                (input, values, indexes, order)
            }
        };
        let mut list = Vec::with_capacity(values.len());
        for (_, value) in &values {
            let a = self.attribute("argument", value.data_type.clone(), true);
            list.push(named(value.expr.clone(), &a));
        }
        let mut plan = input.plan.clone();
        if let Some((scheme, keys)) = order {
            let count = match scheme {
                Scheme::Neighbours => 1,
                _ => self.session.engine.parallelism(),
            };
            plan = operators::shuffle(plan, scheme, count);
            if !keys.is_empty() {
                plan = operators::sort_within(plan, keys);
            }
        }
        let plan = project(list, plan)?;
        let output = self.attributes_of(&returns);
        let table = TableFunction {
            name: name.to_string(),
            function: function.clone(),
            args: values.into_iter().map(|(n, v)| (n, v.data_type)).collect(),
            returns,
            partition_indexes,
            analyzed,
            lateral: None,
            setup: Setup::of(&self.session),
        };
        let plan = python::table_function(plan, table, df_schema(&output)?);
        self.aliased(Analyzed::new(plan, output), vec![name.to_string()])
    }

    /// `LATERAL f(a, b)`: the rows that each row of the left side gives, beside it.
    pub(super) fn python_lateral(
        &mut self,
        left: Analyzed,
        name: &str,
        args: &[Expr],
        function: &PythonFunction,
        alias: (Option<&str>, &[String]),
        outer: bool,
    ) -> Result<Analyzed> {
        let left = left.without_hidden()?;
        let values = self.table_function_values(args, None, &left)?;
        let (mut returns, analyzed) = self.declared_or_analyzed(name, function, args, &values, None)?;
        let mut list: Vec<DfExpr> = left.output.iter().map(Attribute::column).collect();
        for (_, value) in &values {
            let a = self.attribute("argument", value.data_type.clone(), true);
            list.push(named(value.expr.clone(), &a));
        }
        let plan = project(list, left.plan.clone())?;
        let declared = returns.clone();
        for (field, shown) in returns.fields.iter_mut().zip(alias.1) {
            field.name.clone_from(shown);
        }
        let qualifier = vec![alias.0.unwrap_or(name).to_string()];
        let mut output = left.output.clone();
        for mut a in self.attributes_of(&returns) {
            a.qualifier.clone_from(&qualifier);
            output.push(if outer { a.nullable() } else { a });
        }
        let table = TableFunction {
            name: name.to_string(),
            function: function.clone(),
            args: values.into_iter().map(|(n, v)| (n, v.data_type)).collect(),
            returns: declared,
            partition_indexes: Vec::new(),
            analyzed,
            lateral: Some((left.output.len(), outer)),
            setup: Setup::of(&self.session),
        };
        let plan = python::table_function(plan, table, df_schema(&output)?);
        Ok(Analyzed { plan, output, below: None, ..left })
    }

    /// The arguments' values; the table argument is the row.
    fn table_function_values(
        &mut self,
        args: &[Expr],
        row: Option<&TypedExpr>,
        over: &Analyzed,
    ) -> Result<Vec<(Option<String>, TypedExpr)>> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            let (name, arg) = match arg {
                Expr::NamedArgument { name, value } => (Some(name.clone()), value.as_ref()),
                other => (None, other),
            };
            let value = match (is_table(arg), row) {
                (true, Some(row)) => row.clone(),
                _ => {
                    let (_, mut values) = self.python_args(std::slice::from_ref(arg), over)?;
                    values.pop().ok_or_else(|| Error::internal("an argument without a value"))?
                }
            };
            values.push((name, value));
        }
        Ok(values)
    }

    /// The columns that a table function declares, or that its class says for these arguments.
    fn declared_or_analyzed(
        &mut self,
        name: &str,
        function: &PythonFunction,
        args: &[Expr],
        values: &[(Option<String>, TypedExpr)],
        table: Option<&mut TableArgument>,
    ) -> Result<(StructType, Option<Vec<u8>>)> {
        match &function.return_type {
            Some(DataType::Struct(fields)) => return Ok((fields.clone(), None)),
            Some(other) => {
                return Err(Error::new("UDTF_INVALID_RETURN_TYPE")
                    .param("name", name)
                    .param("returnType", other.sql())
                    .message(format!(
                        "The table function `{name}` must return columns, not {}.",
                        other.sql()
                    )));
            }
            None => {}
        }
        let mut arguments = Vec::with_capacity(values.len());
        for (arg, (arg_name, value)) in args.iter().zip(values) {
            let is_table = is_table(match arg {
                Expr::NamedArgument { value, .. } => value,
                other => other,
            });
            arguments.push(Argument {
                name: arg_name.clone(),
                data_type: value.data_type.clone(),
                constant: if is_table { None } else { self.fold_if_constant(value) },
                is_table,
            });
        }
        let setup = Setup::of(&self.session);
        let analysis = self.wait(python::analyze(&setup, name, function, &arguments))?;
        if let Some(table) = table {
            if !analysis.select.is_empty() {
                let exprs = analysis.select;
                table.query = RelationNode::Project { input: table.query.clone(), exprs }.into();
            }
            if !analysis.partition_by.is_empty() {
                table.partition_by = analysis.partition_by;
            }
            if !analysis.order_by.is_empty() {
                table.order_by = analysis.order_by;
            }
        }
        Ok((analysis.returns, Some(analysis.result)))
    }

    /// The table among the arguments.
    fn table_argument(&mut self, args: &[Expr]) -> Result<Option<TableArgument>> {
        let mut found = None;
        for arg in args {
            let arg = match arg {
                Expr::NamedArgument { value, .. } => value.as_ref(),
                other => other,
            };
            let table = match arg {
                Expr::TableArgument { query, partition_by, order_by, .. } => TableArgument {
                    query: query.as_ref().clone(),
                    partition_by: partition_by.clone(),
                    order_by: order_by.clone(),
                },
                Expr::PlanSubquery {
                    plan_id,
                    kind: PlanSubqueryKind::Table { partition_by, order_by, .. },
                } => {
                    let query = self.references.get(plan_id).cloned().ok_or_else(|| {
                        Error::internal(format!("the plan {plan_id} of a table argument is not there"))
                    })?;
                    TableArgument { query, partition_by: partition_by.clone(), order_by: order_by.clone() }
                }
                _ => continue,
            };
            if found.is_some() {
                return Err(Error::new("TABLE_VALUED_FUNCTION_TOO_MANY_TABLE_ARGUMENTS")
                    .param("num", 2)
                    .message("A table function takes at most one table."));
            }
            found = Some(table);
        }
        Ok(found)
    }

    /// The rows of a table argument, with expressions to divide by among its columns, and the order they come in.
    fn table_rows(
        &mut self,
        table: &TableArgument,
    ) -> Result<(Analyzed, Vec<usize>, Option<(Scheme, Vec<(DfExpr, SortOptions)>)>)> {
        let mut input = self.query(&table.query)?;
        let mut indexes = Vec::new();
        let mut order = Vec::new();
        let keys = self
            .items(&super::project::parsed(&table.partition_by)?, &input)?
            .into_iter()
            .map(|i| i.value)
            .collect::<Vec<_>>();
        let sorts = table
            .order_by
            .iter()
            .map(|o| Ok((self.expr(&o.expr, &input)?, o)))
            .collect::<Result<Vec<_>>>()?;
        let sorts: Vec<_> = sorts
            .into_iter()
            .map(|(k, o)| (k.expr, SortOptions { descending: !o.ascending, nulls_first: o.nulls_first }))
            .collect();
        let mut pairs: Vec<(DfExpr, Attribute)> =
            input.output.iter().map(|a| (a.column(), a.clone())).collect();
        let mut columns = Vec::with_capacity(keys.len());
        for key in keys {
            // A column of its own, which the worker takes out of the row again.
            let at = pairs.len();
            let a = self.attribute(
                format!("partition_by_{}", columns.len()),
                key.data_type.clone(),
                key.nullable,
            );
            pairs.push((key.expr, a));
            indexes.push(at);
            order.push((pairs[at].1.column(), SortOptions::default()));
            columns.push(pairs[at].1.typed());
        }
        if pairs.len() > input.output.len() {
            input = self.project_pairs(input, pairs)?;
        }
        order.extend(sorts);
        let scheme = match columns.is_empty() {
            true => Scheme::Neighbours,
            false => Scheme::Direct(self.partition_of(columns, self.session.engine.parallelism())?),
        };
        Ok((input, indexes, Some((scheme, order))))
    }

    /// A relation's columns as one struct, its fields under the users' names.
    fn packed_as_named(&mut self, input: &Analyzed) -> Result<TypedExpr> {
        let mut args = Vec::with_capacity(2 * input.output.len());
        for a in &input.output {
            let name = a.name.clone();
            args.push(TypedExpr::new(
                datafusion::logical_expr::lit(name.clone()),
                DataType::STRING,
                false,
                name,
            ));
            args.push(a.typed());
        }
        self.builtin("named_struct", args)
    }
}

/// `f(a, name => b)`
fn shown_call(name: &str, names: &[Option<String>], values: &[TypedExpr]) -> String {
    let args = names.iter().zip(values).map(|(name, value)| match name {
        Some(name) => format!("{name} => {}", value.name),
        None => value.name.clone(),
    });
    format!("{name}({})", args.collect::<Vec<_>>().join(", "))
}

fn is_table(arg: &Expr) -> bool {
    matches!(
        arg,
        Expr::TableArgument { .. } | Expr::PlanSubquery { kind: PlanSubqueryKind::Table { .. }, .. }
    )
}

/// The columns as DataFusion has them.
pub(super) fn df_schema(output: &[Attribute]) -> Result<DFSchemaRef> {
    let fields: Vec<_> = output.iter().map(|a| typed_field(a.internal_name(), &a.data_type, true)).collect();
    Ok(Arc::new(DFSchema::from_unqualified_fields(fields.into(), Default::default()).spark()?))
}

fn misplaced(name: &str, function: &PythonFunction) -> Error {
    Error::new("UNSUPPORTED_FEATURE.PYTHON_FUNCTION_KIND").message(format!(
        "The Python function `{name}` (kind {}) cannot be called where a value is expected.",
        function.eval_type
    ))
}
