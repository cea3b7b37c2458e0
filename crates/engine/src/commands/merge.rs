//! `MERGE INTO`.

use std::sync::Arc;

use boathouse_spec::{DataType, Error, Merge, Result, StructType};

use crate::rows::column;
use crate::{QueryResult, Session};

pub(super) fn result_schema() -> StructType {
    StructType::new(vec![
        column("num_affected_rows", DataType::Long, true),
        column("num_updated_rows", DataType::Long, true),
        column("num_deleted_rows", DataType::Long, true),
        column("num_inserted_rows", DataType::Long, true),
    ])
}

pub(super) async fn run(_session: &Arc<Session>, _merge: Merge) -> Result<QueryResult> {
    Err(Error::unsupported("MERGE"))
}
