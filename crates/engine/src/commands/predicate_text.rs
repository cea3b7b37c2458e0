//! The text of a condition as Spark's `Expression.sql` has it once types are decided: literals say which type they became.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Cast, Expr, Operator};

/// The text; `None` where the condition has parts that are not comparisons of columns with constants.
pub(super) fn sql(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Column(column) => Some(boathouse_spec::quote_if_needed(&column.name)),
        Expr::Literal(value, _) => literal(value),
        Expr::Cast(Cast { expr, field }) => match expr.as_ref() {
            Expr::Literal(value, _) => literal(&value.cast_to(field.data_type()).ok()?),
            _ => None,
        },
        Expr::Alias(alias) => sql(&alias.expr),
        Expr::BinaryExpr(binary) => {
            let (left, right) = (sql(&binary.left)?, sql(&binary.right)?);
            let operator = match binary.op {
                Operator::Eq => "=",
                Operator::NotEq => return Some(format!("(NOT ({left} = {right}))")),
                Operator::Lt => "<",
                Operator::LtEq => "<=",
                Operator::Gt => ">",
                Operator::GtEq => ">=",
                Operator::IsNotDistinctFrom => "<=>",
                Operator::And => "AND",
                Operator::Or => "OR",
                _ => return None,
            };
            Some(format!("({left} {operator} {right})"))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let list = list.iter().map(sql).collect::<Option<Vec<_>>>()?.join(", ");
            let text = format!("({} IN ({list}))", sql(expr)?);
            Some(if *negated { format!("(NOT {text})") } else { text })
        }
        Expr::IsNull(expr) => Some(format!("({} IS NULL)", sql(expr)?)),
        Expr::IsNotNull(expr) => Some(format!("({} IS NOT NULL)", sql(expr)?)),
        Expr::Not(expr) => Some(format!("(NOT {})", sql(expr)?)),
        _ => None,
    }
}

fn literal(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Int8(Some(v)) => Some(format!("{v}Y")),
        ScalarValue::Int16(Some(v)) => Some(format!("{v}S")),
        ScalarValue::Int32(Some(v)) => Some(v.to_string()),
        ScalarValue::Int64(Some(v)) => Some(format!("{v}L")),
        ScalarValue::Boolean(Some(v)) => Some(v.to_string()),
        ScalarValue::Utf8(Some(v)) => Some(format!("'{}'", v.replace('\\', "\\\\").replace('\'', "\\'"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn literals_say_their_types() {
        let (id, p) = (|| col("id"), || col("p"));
        let cases = [
            (id().eq(lit(10i64)), "(id = 10L)"),
            (
                id().eq(lit(2i64)).and(p().in_list(vec![lit(1), lit(2)], false)).or(id().gt(lit(3i64))),
                "(((id = 2L) AND (p IN (1, 2))) OR (id > 3L))",
            ),
            (p().not_eq(lit("it's")), "(NOT (p = 'it\\'s'))"),
            (p().is_null(), "(p IS NULL)"),
        ];
        for (expr, wanted) in cases {
            assert_eq!(sql(&expr).as_deref(), Some(wanted));
        }
        assert_eq!(sql(&(id() + lit(1)).eq(lit(2))), None);
    }
}
