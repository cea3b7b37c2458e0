//! ALTER COLUMN .. SYNC IDENTITY: the numbers to come follow those that are there.

use boathouse_bridge::ResultExt;
use boathouse_spec::{Error, Result};
use datafusion::catalog::Session;
use datafusion::common::Column;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::collect;
use datafusion::scalar::ScalarValue;

use super::alter::transaction;
use super::delete::DmlOptions;
use super::dml;
use crate::scan::DeltaScan;
use crate::schema::identity::{self, identity_columns};
use crate::snapshot::Snapshot;
use crate::transaction::{Committed, Operation};

/// Moves the mark of an identity column behind the column's last number; `None` where it is there.
pub async fn sync_identity(
    table: &Snapshot,
    session: &dyn Session,
    column: &str,
    options: &DmlOptions,
) -> Result<Option<Committed>> {
    let columns = identity_columns(table.schema());
    let Some(identity) = columns.iter().find(|c| c.column.eq_ignore_ascii_case(column)) else {
        return Err(Error::new("DELTA_IDENTITY_COLUMNS_ALTER_NON_IDENTITY_COLUMN")
            .param("columnName", column)
            .message(format!("`{column}` is no identity column: there is nothing to synchronize."))
            .exception("AnalysisException"));
    };
    let values = Expr::Column(Column::from_name(&identity.column));
    let extreme = if identity.ascends() { max(values) } else { min(values) };
    let plan = dml::rows_of(DeltaScan::new(table.clone())?)?
        .aggregate(Vec::<Expr>::new(), vec![extreme.alias("extreme")])
        .spark()?
        .build()
        .spark()?;
    let physical = session.create_physical_plan(&plan).await.spark()?;
    let mut found = None;
    for batch in collect(physical, session.task_ctx()).await.spark()? {
        for row in 0..batch.num_rows() {
            if let ScalarValue::Int64(value) = ScalarValue::try_from_array(batch.column(0), row).spark()? {
                found = value;
            }
        }
    }
    let mut metadata = table.metadata().clone();
    let Some(mark) = identity.synchronized(found) else { return Ok(None) };
    identity::set_mark(&mut metadata, &identity.column, mark)?;
    if metadata == *table.metadata() {
        return Ok(None);
    }
    let old = table.schema().field(&identity.column).map(super::alter::field_json).unwrap_or_default();
    let operation = Operation::new("CHANGE COLUMN").json("column", &old);
    let mut transaction = transaction(table, operation, options);
    transaction.reads.whole_table = true;
    transaction.metadata = Some(metadata);
    transaction.commit().await.map(Some)
}
