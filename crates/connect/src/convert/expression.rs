//! Expressions.

use boathouse_spec::{
    Call, CastMode, Column, Expr, FrameBound, FrameUnits, Name, Origin, PlanSubqueryKind, Result, SortOrder,
    Star, WindowFrame, WindowSpec, parse_attribute_name,
};

use super::data_type::{data_type_from_proto, parse_type_text};
use super::literal::literal_from_proto;
use super::{Converter, Error, invalid_plan, missing, not_set, unknown_enum};
use crate::proto::spark::expression::{self as proto, ExprType, cast, window};
use crate::proto::spark::{self, subquery_expression};

/// Where a program called the function that gave the expression.
fn origin(message: &spark::Expression) -> Origin {
    let origin = message.common.as_ref().and_then(|c| c.origin.as_ref()).and_then(|o| o.function.as_ref());
    match origin {
        Some(spark::origin::Function::PythonOrigin(p)) => {
            Origin::of_call(p.fragment.clone(), p.call_site.clone())
        }
        _ => Origin::default(),
    }
}

const MESSAGE: &str = "spark.connect.Expression";

impl Converter<'_> {
    pub(super) fn expression(&mut self, message: spark::Expression) -> Result<Expr> {
        let origin = origin(&message);
        self.deeper(|this| Ok(this.expression_here(message)?.placed(&origin)))
    }

    fn expression_here(&mut self, message: spark::Expression) -> Result<Expr> {
        let expr_type = message.expr_type.ok_or_else(|| not_set(MESSAGE, "EXPRTYPE_NOT_SET"))?;
        Ok(match expr_type {
            ExprType::Literal(literal) => Expr::Literal(literal_from_proto(literal)?),
            ExprType::UnresolvedAttribute(a) => Expr::Column(Column {
                name: parse_attribute_name(&a.unparsed_identifier)?,
                plan_id: a.plan_id,
                is_metadata: a.is_metadata_column.unwrap_or(false),
                ..Column::default()
            }),
            ExprType::UnresolvedFunction(f) => self.function(f)?,
            ExprType::CallFunction(f) => Expr::Call(Box::new(Call {
                name: boathouse_sql::parse_name(&f.function_name)?,
                args: self.expressions(f.arguments)?,
                ..Call::default()
            })),
            ExprType::ExpressionString(e) => Expr::Text(e.expression),
            ExprType::UnresolvedStar(s) => star(s)?,
            ExprType::UnresolvedRegex(r) => regex(r)?,
            ExprType::Alias(a) => self.alias(*a)?,
            ExprType::Cast(c) => self.cast(*c)?,
            ExprType::SortOrder(o) => Expr::SortOrder(Box::new(self.sort_order(*o)?)),
            ExprType::LambdaFunction(l) => self.lambda(*l)?,
            ExprType::UnresolvedNamedLambdaVariable(v) => Expr::LambdaVariable(lambda_variable(v)?),
            ExprType::Window(w) => self.window(*w)?,
            ExprType::UnresolvedExtractValue(e) => {
                let extracted = self.required(e.child, "child")?;
                extracted.extract(self.required(e.extraction, "extraction")?)
            }
            ExprType::UpdateFields(u) => Expr::UpdateField {
                expr: self.boxed(u.struct_expression, "struct_expression")?,
                field: u.field_name,
                value: u.value_expression.map(|v| self.expression(*v)).transpose()?.map(Box::new),
            },
            ExprType::NamedArgumentExpression(n) => {
                Expr::NamedArgument { name: n.key, value: self.boxed(n.value, "value")? }
            }
            ExprType::CommonInlineUserDefinedFunction(f) => self.user_function(f)?,
            ExprType::SubqueryExpression(s) => self.subquery(s)?,
            ExprType::DirectShufflePartitionId(d) => Expr::Call(Box::new(Call {
                name: vec!["direct_shuffle_partition_id".into()],
                args: vec![self.required(d.child, "child")?],
                is_internal: true,
                ..Call::default()
            })),
            ExprType::MergeAction(_) => {
                return Err(invalid_plan("INVALID_ONE_OF_FIELD_NOT_SUPPORTED")
                    .param("fullName", MESSAGE)
                    .param("name", "MERGE_ACTION")
                    .param("number", 19)
                    .message("A merge action stands only in a MERGE command, not among expressions."));
            }
            ExprType::TypedAggregateExpression(_) => {
                return Err(Error::unsupported("typed aggregates of the Scala client"));
            }
            ExprType::Extension(any) => return Err(no_handler(&any.type_url)),
        })
    }

    pub(super) fn expressions(&mut self, messages: Vec<spark::Expression>) -> Result<Vec<Expr>> {
        messages.into_iter().map(|m| self.expression(m)).collect()
    }

    /// An expression that the message cannot do without.
    pub(super) fn required(&mut self, message: Option<Box<spark::Expression>>, field: &str) -> Result<Expr> {
        self.expression(*message.ok_or_else(|| missing(MESSAGE, field))?)
    }

    pub(super) fn optional(&mut self, message: Option<Box<spark::Expression>>) -> Result<Option<Expr>> {
        message.map(|m| self.expression(*m)).transpose()
    }

    fn boxed(&mut self, message: Option<Box<spark::Expression>>, field: &str) -> Result<Box<Expr>> {
        self.required(message, field).map(Box::new)
    }

    fn function(&mut self, f: proto::UnresolvedFunction) -> Result<Expr> {
        let is_operator = is_operator(&f.function_name);
        // SQL does not know it, and Python's clients do not say so.
        let is_internal = f.is_internal.unwrap_or(f.function_name == "product");
        let name = if f.is_user_defined_function {
            boathouse_sql::parse_name(&f.function_name)?
        } else {
            vec![f.function_name]
        };
        Ok(Expr::Call(Box::new(Call {
            name,
            args: self.expressions(f.arguments)?,
            distinct: f.is_distinct,
            is_operator,
            is_internal,
            ..Call::default()
        })))
    }

    pub(super) fn alias(&mut self, a: proto::Alias) -> Result<Expr> {
        if a.name.len() > 1 && a.metadata.is_some() {
            return Err(invalid_plan("ALIAS_WITH_MULTIPLE_IDENTIFIERS_AND_METADATA")
                .message("An alias with several names cannot carry metadata."));
        }
        Ok(Expr::Alias { expr: self.boxed(a.expr, "expr")?, names: a.name, metadata: a.metadata })
    }

    fn cast(&mut self, c: proto::Cast) -> Result<Expr> {
        use cast::{CastToType, EvalMode};
        let to = match c
            .cast_to_type
            .ok_or_else(|| not_set("spark.connect.Expression.Cast", "CASTTOTYPE_NOT_SET"))?
        {
            CastToType::Type(t) => data_type_from_proto(t)?,
            CastToType::TypeStr(text) => parse_type_text(&text)?,
        };
        let mode = match EvalMode::try_from(c.eval_mode) {
            Ok(EvalMode::Unspecified) => CastMode::Session,
            Ok(EvalMode::Legacy) => CastMode::Legacy,
            Ok(EvalMode::Ansi) => CastMode::Ansi,
            Ok(EvalMode::Try) => CastMode::Try,
            Err(_) => return Err(unknown_enum("spark.connect.Expression.Cast.EvalMode", c.eval_mode)),
        };
        Ok(Expr::Cast { expr: self.boxed(c.expr, "expr")?, to, mode, origin: Default::default() })
    }

    pub(super) fn sort_order(&mut self, o: proto::SortOrder) -> Result<SortOrder> {
        use proto::sort_order::{NullOrdering, SortDirection};
        let ascending = match SortDirection::try_from(o.direction) {
            Ok(SortDirection::Ascending) => true,
            Ok(SortDirection::Descending | SortDirection::Unspecified) => false,
            Err(_) => {
                return Err(unknown_enum("spark.connect.Expression.SortOrder.SortDirection", o.direction));
            }
        };
        let nulls_first = match NullOrdering::try_from(o.null_ordering) {
            Ok(NullOrdering::SortNullsFirst) => true,
            Ok(NullOrdering::SortNullsLast) => false,
            Ok(NullOrdering::SortNullsUnspecified) => ascending,
            Err(_) => {
                return Err(unknown_enum("spark.connect.Expression.SortOrder.NullOrdering", o.null_ordering));
            }
        };
        Ok(SortOrder { expr: self.required(o.child, "child")?, ascending, nulls_first })
    }

    pub(super) fn sort_orders(&mut self, orders: Vec<proto::SortOrder>) -> Result<Vec<SortOrder>> {
        orders.into_iter().map(|o| self.sort_order(o)).collect()
    }

    /// Sort keys given as plain expressions: ascending unless they say otherwise.
    pub(super) fn sort_expressions(&mut self, messages: Vec<spark::Expression>) -> Result<Vec<SortOrder>> {
        let exprs = self.expressions(messages)?;
        Ok(exprs
            .into_iter()
            .map(|e| match e {
                Expr::SortOrder(order) => *order,
                other => SortOrder::ascending(other),
            })
            .collect())
    }

    fn lambda(&mut self, l: proto::LambdaFunction) -> Result<Expr> {
        if l.arguments.is_empty() || l.arguments.len() > 3 {
            return Err(invalid_plan("LAMBDA_FUNCTION_ARGUMENT_COUNT_INVALID")
                .param("got", l.arguments.len())
                .message(format!("A lambda function has 1 to 3 parameters, not {}.", l.arguments.len())));
        }
        let parameters = l.arguments.into_iter().map(|v| Ok(lambda_variable(v)?.join(".")));
        let parameters = parameters.collect::<Result<Vec<_>>>()?;
        Ok(Expr::Lambda { body: self.boxed(l.function, "function")?, parameters })
    }

    fn window(&mut self, w: proto::Window) -> Result<Expr> {
        let function = w.window_function.ok_or_else(|| {
            invalid_plan("WINDOW_FUNCTION_REQUIRED").message("A window expression has no window function.")
        })?;
        let function = Box::new(self.expression(*function)?);
        let partition_by = self.expressions(w.partition_spec)?;
        let order_by = self.sort_orders(w.order_spec)?;
        let frame = w.frame_spec.map(|f| self.frame(*f)).transpose()?;
        let window = Box::new(WindowSpec::Inline { partition_by, order_by, frame });
        Ok(Expr::Window { function, window, origin: Default::default() })
    }

    fn frame(&mut self, f: window::WindowFrame) -> Result<WindowFrame> {
        use window::window_frame::FrameType;
        let units = match FrameType::try_from(f.frame_type) {
            Ok(FrameType::Row) => FrameUnits::Rows,
            Ok(FrameType::Range) => FrameUnits::Range,
            _ => {
                return Err(unknown_enum(
                    "spark.connect.Expression.Window.WindowFrame.FrameType",
                    f.frame_type,
                ));
            }
        };
        let lower = f.lower.ok_or_else(|| {
            invalid_plan("LOWER_BOUND_REQUIRED_IN_WINDOW_FRAME").message("A window frame has no lower bound.")
        })?;
        let upper = f.upper.ok_or_else(|| {
            invalid_plan("UPPER_BOUND_REQUIRED_IN_WINDOW_FRAME").message("A window frame has no upper bound.")
        })?;
        Ok(WindowFrame {
            units,
            start: self.bound(*lower, FrameBound::UnboundedPreceding)?,
            end: self.bound(*upper, FrameBound::UnboundedFollowing)?,
        })
    }

    fn bound(&mut self, b: window::window_frame::FrameBoundary, unbounded: FrameBound) -> Result<FrameBound> {
        use window::window_frame::frame_boundary::Boundary;
        match b.boundary {
            Some(Boundary::CurrentRow(_)) => Ok(FrameBound::CurrentRow),
            Some(Boundary::Unbounded(_)) => Ok(unbounded),
            Some(Boundary::Value(value)) => Ok(FrameBound::Offset(Box::new(self.expression(*value)?))),
            None => {
                Err(not_set("spark.connect.Expression.Window.WindowFrame.FrameBoundary", "BOUNDARY_NOT_SET"))
            }
        }
    }

    fn subquery(&mut self, s: spark::SubqueryExpression) -> Result<Expr> {
        use subquery_expression::SubqueryType;
        let kind = match SubqueryType::try_from(s.subquery_type) {
            Ok(SubqueryType::Scalar) => PlanSubqueryKind::Scalar,
            Ok(SubqueryType::Exists) => PlanSubqueryKind::Exists,
            Ok(SubqueryType::In) => PlanSubqueryKind::In(self.expressions(s.in_subquery_values)?),
            Ok(SubqueryType::TableArg) => {
                let options = s.table_arg_options.unwrap_or_default();
                PlanSubqueryKind::Table {
                    partition_by: self.expressions(options.partition_spec)?,
                    order_by: self.sort_orders(options.order_spec)?,
                    single_partition: options.with_single_partition.unwrap_or(false),
                }
            }
            _ => return Err(unknown_enum("spark.connect.SubqueryExpression.SubqueryType", s.subquery_type)),
        };
        Ok(Expr::PlanSubquery { plan_id: s.plan_id, kind })
    }
}

/// Functions that columns are combined by with an operator or a method that stands for SQL syntax.
fn is_operator(name: &str) -> bool {
    let symbol = name.starts_with(|c: char| c.is_ascii_punctuation() && c != '_' && c != '`');
    symbol || matches!(name, "and" | "or" | "not" | "in" | "when" | "timestampadd" | "timestampdiff")
}

fn star(s: proto::UnresolvedStar) -> Result<Expr> {
    let target = s
        .unparsed_target
        .map(|target| match target.strip_suffix(".*") {
            Some(prefix) => parse_attribute_name(prefix),
            None => Err(invalid_plan("UNRESOLVED_STAR_TARGET_INVALID")
                .param("target", &target)
                .message(format!("The target of a star must end with `.*`, but it is {target}."))),
        })
        .transpose()?;
    if target.is_some() && s.plan_id.is_some() {
        return Err(invalid_plan("UNRESOLVED_STAR_WITH_BOTH_TARGET_AND_PLAN_ID")
            .message("A star has either a target or a plan id, not both."));
    }
    Ok(Expr::Star(Star { target, plan_id: s.plan_id, ..Star::default() }))
}

/// `` `regex` `` matches names; any other text is a plain column.
fn regex(r: proto::UnresolvedRegex) -> Result<Expr> {
    let quoted = |text: &str| text.len() > 2 && text.starts_with('`') && text.ends_with('`');
    if quoted(&r.col_name) {
        return Ok(Expr::ColumnRegex { pattern: r.col_name[1..r.col_name.len() - 1].to_string() });
    }
    if r.col_name.split_once('.').is_some_and(|(_, rest)| quoted(rest)) {
        return Ok(Expr::ColumnRegex { pattern: r.col_name });
    }
    let name = parse_attribute_name(&r.col_name)?;
    Ok(Expr::Column(Column { name, plan_id: r.plan_id, ..Column::default() }))
}

fn lambda_variable(v: proto::UnresolvedNamedLambdaVariable) -> Result<Name> {
    if v.name_parts.is_empty() {
        return Err(invalid_plan("UNRESOLVED_NAMED_LAMBDA_VARIABLE_REQUIRES_NAME_PART")
            .message("A lambda variable has no name."));
    }
    Ok(v.name_parts)
}

pub fn no_handler(type_url: &str) -> Error {
    invalid_plan("NO_HANDLER_FOR_EXTENSION")
        .param("extensionTypeUrl", type_url)
        .message(format!("No extension of this server reads messages of the type {type_url}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::test_support::Uploaded;

    fn convert(expr_type: ExprType) -> Result<Expr> {
        let artifacts = Uploaded::default();
        Converter::new(&artifacts).expression(spark::Expression { common: None, expr_type: Some(expr_type) })
    }

    #[test]
    fn operators_are_told_from_functions() {
        for (name, expected) in [("+", true), ("and", true), ("<=>", true), ("abs", false), ("_x", false)] {
            assert_eq!(is_operator(name), expected, "{name}");
        }
    }

    #[test]
    fn column_regexes() {
        let of = |text: &str| {
            convert(ExprType::UnresolvedRegex(proto::UnresolvedRegex {
                col_name: text.into(),
                plan_id: Some(1),
            }))
            .ok()
        };
        assert_eq!(of("`a.*`"), Some(Expr::ColumnRegex { pattern: "a.*".into() }));
        assert_eq!(of("t.`a.*`"), Some(Expr::ColumnRegex { pattern: "t.`a.*`".into() }));
        assert!(matches!(of("a"), Some(Expr::Column(_))));
    }

    #[test]
    fn stars_need_their_suffix() {
        let of = |target: &str| {
            let star = proto::UnresolvedStar { unparsed_target: Some(target.into()), plan_id: None };
            convert(ExprType::UnresolvedStar(star))
        };
        assert!(matches!(of("t.*"), Ok(Expr::Star(Star { target: Some(name), .. })) if name == ["t"]));
        assert!(of("t").is_err_and(|e| e.class() == "CONNECT_INVALID_PLAN.UNRESOLVED_STAR_TARGET_INVALID"));
    }

    #[test]
    fn depth_is_bounded() {
        let mut expr = spark::Expression::default();
        for _ in 0..3000 {
            let child = proto::Alias { expr: Some(Box::new(expr)), name: vec!["a".into()], metadata: None };
            expr = spark::Expression { common: None, expr_type: Some(ExprType::Alias(Box::new(child))) };
        }
        let artifacts = Uploaded::default();
        assert!(Converter::new(&artifacts).expression(expr).is_err_and(|e| e.is("CONNECT_INVALID_PLAN")));
    }
}
