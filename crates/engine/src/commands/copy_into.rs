//! `COPY INTO`.

use std::sync::Arc;

use boathouse_spec::{CopyInto, DataType, Error, Result, StructType};

use crate::rows::column;
use crate::{QueryResult, Session};

pub(super) fn result_schema() -> StructType {
    StructType::new(vec![
        column("num_affected_rows", DataType::Long, true),
        column("num_inserted_rows", DataType::Long, true),
        column("num_skipped_corrupt_files", DataType::Integer, true),
    ])
}

pub(super) async fn run(_session: &Arc<Session>, _copy: CopyInto) -> Result<QueryResult> {
    Err(Error::unsupported("COPY INTO"))
}
