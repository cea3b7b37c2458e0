//! SQL on a running server.

use crate::arguments::Format;
use crate::exit::{Failure, Result};

pub fn sql(address: &str, _text: Option<&str>, _format: Format) -> Result<()> {
    Err(Failure::Usage(format!(
        "`boathouse sql` cannot use the server at {address} yet: unset SPARK_REMOTE to run here, or use PySpark (docs/limitations.md)"
    )))
}
