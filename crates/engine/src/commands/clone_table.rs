//! `CREATE TABLE .. SHALLOW CLONE`.

use std::sync::Arc;

use boathouse_spec::{Error, Name, Options, Result, TimeTravel};

use crate::{QueryResult, Session};

pub(super) struct CloneTable {
    pub target: Name,
    pub source: Name,
    pub time_travel: Option<TimeTravel>,
    pub shallow: bool,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub properties: Options,
    pub location: Option<String>,
}

pub(super) async fn run(_session: &Arc<Session>, _clone: CloneTable) -> Result<QueryResult> {
    Err(Error::unsupported("CLONE"))
}
