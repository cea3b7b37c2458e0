//! Filters on partition columns that follow from filters on the columns they are generated from: who asks for
//! `ts >= '2024-05-06 07:00'` of a table partitioned by `d GENERATED ALWAYS AS (CAST(ts AS DATE))` reads the days from the 6th on.
//!
//! Times become dates in the session's zone here as they did when they were written; Spark relies on that too.

use std::sync::{Arc, Weak};

use boathouse_delta::{DeriveFilters, Snapshot};
use boathouse_functions::cast::Mode;
use boathouse_spec::{DataType, Expr, Result, StructField, StructType};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{BinaryExpr, Expr as DataFusionExpr, Operator};
use datafusion::scalar::ScalarValue;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::Session;
use crate::analyzer::{Analyzer, TypedExpr};
use crate::commands::TableScope;
use crate::sources;
use boathouse_bridge::ResultExt;

/// A generated partition column.
#[derive(Debug, Clone)]
struct Rule {
    partition: StructField,
    sql: String,
}

#[derive(Debug)]
pub(crate) struct GeneratedPartitions {
    session: Weak<Session>,
    schema: StructType,
    rules: Vec<Rule>,
}

impl GeneratedPartitions {
    /// `None` where no partition column is generated.
    pub fn of(session: &Arc<Session>, table: &Snapshot) -> Option<Self> {
        let rules: Vec<Rule> = table
            .partition_columns()
            .iter()
            .filter_map(|name| {
                let partition = table.schema().field(name)?.clone();
                let sql = crate::commands::generation(&partition)?;
                Some(Rule { partition, sql })
            })
            .collect();
        if rules.is_empty() {
            return None;
        }
        Some(Self { session: Arc::downgrade(session), schema: table.schema().clone(), rules })
    }
}

impl DeriveFilters for GeneratedPartitions {
    fn derive<'a>(&'a self, filters: &'a [DataFusionExpr]) -> BoxFuture<'a, Result<Vec<DataFusionExpr>>> {
        async move {
            let comparisons: Vec<Comparison> = filters.iter().filter_map(Comparison::of).collect();
            let Some(session) = self.session.upgrade().filter(|_| !comparisons.is_empty()) else {
                return Ok(Vec::new());
            };
            let (schema, rules) = (self.schema.clone(), self.rules.clone());
            session
                .analyze(move |analyzer| {
                    let mut out = Vec::new();
                    for rule in &rules {
                        let parsed = analyzer.session.conf().parse_expression(&rule.sql)?;
                        for comparison in &comparisons {
                            out.extend(derived(analyzer, &schema, rule, &parsed, comparison));
                        }
                    }
                    Ok(out)
                })
                .await
        }
        .boxed()
    }
}

/// `column op value`
#[derive(Debug, Clone)]
struct Comparison {
    column: String,
    operator: Operator,
    value: ScalarValue,
}

impl Comparison {
    fn of(filter: &DataFusionExpr) -> Option<Self> {
        let DataFusionExpr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
        let (column, operator, value) = match (left.as_ref(), right.as_ref()) {
            (DataFusionExpr::Column(c), DataFusionExpr::Literal(v, _)) => (c, *op, v),
            (DataFusionExpr::Literal(v, _), DataFusionExpr::Column(c)) => (c, op.swap()?, v),
            _ => return None,
        };
        use Operator::{Eq, Gt, GtEq, Lt, LtEq};
        let compares = matches!(operator, Eq | Lt | LtEq | Gt | GtEq) && !value.is_null();
        compares.then(|| Self { column: column.name.clone(), operator, value: value.clone() })
    }
}

/// The filter on a partition column that follows from a comparison; none where it does not, or cannot be told.
fn derived(
    analyzer: &mut Analyzer,
    schema: &StructType,
    rule: &Rule,
    generation: &Expr,
    comparison: &Comparison,
) -> Option<DataFusionExpr> {
    let source = schema.field(&comparison.column)?;
    // Any function takes equal values to equal values; only some keep their order.
    let operator = match comparison.operator {
        Operator::Eq => Operator::Eq,
        Operator::Lt | Operator::LtEq if keeps_order(generation, source) => Operator::LtEq,
        Operator::Gt | Operator::GtEq if keeps_order(generation, source) => Operator::GtEq,
        _ => return None,
    };
    let value = evaluated(analyzer, source, rule, generation, &comparison.value).ok()??;
    let column = DataFusionExpr::Column(Column::from_name(&rule.partition.name));
    let compared = DataFusionExpr::BinaryExpr(BinaryExpr::new(
        Box::new(column.clone()),
        operator,
        Box::new(DataFusionExpr::Literal(value, None)),
    ));
    Some(compared.or(column.is_null()))
}

/// What the expression gives for a value of its only column; none where it is made of others too, or gives NULL.
fn evaluated(
    analyzer: &mut Analyzer,
    source: &StructField,
    rule: &Rule,
    generation: &Expr,
    value: &ScalarValue,
) -> Result<Option<ScalarValue>> {
    let only = StructType::new(vec![StructField { nullable: true, ..source.clone() }]);
    let table = sources::empty("delta", only);
    let scope = TableScope::open(analyzer, &table, None)?;
    let typed = scope.expression(analyzer, generation)?;
    let expr = typed
        .expr
        .clone()
        .transform_up(|e| {
            Ok(match e {
                DataFusionExpr::Column(_) => Transformed::yes(DataFusionExpr::Literal(value.clone(), None)),
                other => Transformed::no(other),
            })
        })
        .map(|t| t.data)
        .spark()?;
    let typed = TypedExpr { expr, ..typed };
    let cast = analyzer.cast(typed, &rule.partition.data_type, Mode::Ansi)?;
    let value = analyzer.fold(&cast)?;
    Ok((!value.is_null()).then_some(value))
}

/// Whether a later value of the column never gives an earlier value of the expression.
fn keeps_order(expr: &Expr, source: &StructField) -> bool {
    let is_time = matches!(source.data_type, DataType::Timestamp | DataType::TimestampNtz | DataType::Date);
    match expr {
        Expr::Column(_) => true,
        Expr::Cast { expr, to: DataType::Date | DataType::Timestamp, .. } => {
            is_time && matches!(**expr, Expr::Column(_))
        }
        Expr::Call(call) => {
            let name = call.name.last().map(|n| n.to_lowercase()).unwrap_or_default();
            let first = call.args.first();
            let second = call.args.get(1);
            let of_column = |e: Option<&Expr>| {
                matches!(e, Some(Expr::Column(_)))
                    || matches!(e, Some(inner @ Expr::Cast { .. }) if keeps_order(inner, source))
            };
            match name.as_str() {
                "year" | "to_date" | "date" => is_time && call.args.len() == 1 && of_column(first),
                "date_trunc" => is_time && of_column(second),
                "trunc" => is_time && of_column(first),
                "date_format" => {
                    let format = second.and_then(text);
                    is_time && of_column(first) && format.is_some_and(|f| is_ordered_format(&f))
                }
                "substring" | "substr" => {
                    source.data_type.is_string() && of_column(first) && second.is_some_and(is_one)
                }
                "left" => source.data_type.is_string() && of_column(first),
                _ => false,
            }
        }
        _ => false,
    }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(boathouse_spec::Literal::String(text)) => Some(text.clone()),
        _ => None,
    }
}

fn is_one(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(boathouse_spec::Literal::Integer(0 | 1)))
}

/// Formats whose texts sort as their times.
fn is_ordered_format(format: &str) -> bool {
    matches!(format, "yyyy" | "yyyy-MM" | "yyyy-MM-dd" | "yyyy-MM-dd-HH" | "yyyyMM" | "yyyyMMdd")
}
