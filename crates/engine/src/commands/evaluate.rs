//! Expressions without a table, evaluated: constants, variables, scalar subqueries.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use boathouse_bridge::ResultExt;
use boathouse_spec::{DataType, Error, Expr, Literal, Relation, RelationNode, Result, StructType};
use datafusion::scalar::ScalarValue;

use crate::{Session, execute};

/// The values of expressions over no rows, with their types. Anything a query may hold is allowed.
pub(super) async fn row(session: &Arc<Session>, exprs: Vec<Expr>) -> Result<Vec<(ScalarValue, DataType)>> {
    // A name that none of them can write.
    named_row(session, exprs.into_iter().map(|e| (String::new(), e)).collect()).await
}

/// As [`row`], of a list whose later items see the earlier ones by their names.
pub(super) async fn named_row(
    session: &Arc<Session>,
    items: Vec<(String, Expr)>,
) -> Result<Vec<(ScalarValue, DataType)>> {
    let exprs = items.into_iter().map(|(name, e)| e.alias(name)).collect();
    let query = Relation::new(RelationNode::Project { input: Relation::new(RelationNode::OneRow), exprs });
    let (schema, batches) = query_rows(session, query).await?;
    first_row(&schema, &batches)
}

/// One value as a literal, for places that take the text of a value.
pub(crate) async fn literal(session: &Arc<Session>, expr: Expr) -> Result<Literal> {
    let mut values = row(session, vec![expr]).await?;
    let (value, data_type) = values.pop().ok_or_else(|| Error::internal("an expression has no value"))?;
    crate::literals::from_scalar(&value, &data_type)
}

/// One value as an expression that keeps its type.
pub(crate) async fn written(session: &Arc<Session>, expr: Expr) -> Result<Expr> {
    let mut values = row(session, vec![expr]).await?;
    let (value, data_type) = values.pop().ok_or_else(|| Error::internal("an expression has no value"))?;
    crate::literals::written(&value, &data_type)
}

/// A value of type string; NULL is `None`.
pub(super) async fn string(session: &Arc<Session>, expr: Expr) -> Result<(Option<String>, DataType)> {
    let mut values = row(session, vec![expr]).await?;
    let (value, data_type) = values.pop().ok_or_else(|| Error::internal("an expression has no value"))?;
    let text = match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => text,
        _ => None,
    };
    Ok((text, data_type))
}

/// All rows of a small query.
pub(super) async fn query_rows(
    session: &Arc<Session>,
    query: Relation,
) -> Result<(StructType, Vec<RecordBatch>)> {
    let analyzed = session.analyze(move |analyzer| analyzer.query(&query)).await?;
    let schema = analyzed.schema();
    let batches = execute::collect(session, &analyzed).await?;
    Ok((schema, batches))
}

/// The only row; NULLs where there is none.
pub(crate) fn first_row(
    schema: &StructType,
    batches: &[RecordBatch],
) -> Result<Vec<(ScalarValue, DataType)>> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if rows > 1 {
        return Err(Error::new("ROW_SUBQUERY_TOO_MANY_ROWS")
            .message("The query gave more than one row where one was expected.")
            .exception("SparkRuntimeException"));
    }
    let batch = batches.iter().find(|b| b.num_rows() == 1);
    schema
        .fields
        .iter()
        .enumerate()
        .map(|(i, field)| {
            let value = match batch {
                Some(batch) if !batch.column(i).is_empty() => {
                    ScalarValue::try_from_array(batch.column(i), 0).spark()?
                }
                _ => ScalarValue::try_from(&boathouse_bridge::arrow_type(&field.data_type)).spark()?,
            };
            Ok((value, field.data_type.clone()))
        })
        .collect()
}
