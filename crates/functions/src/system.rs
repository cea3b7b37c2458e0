//! What the system says of itself and of values: `typeof`, `version`, `uuid`.

use std::sync::Arc;

use arrow::array::StringArray;
use boathouse_spec::{DataType, Error, Result};

use crate::{Call, Registry, Resolved};

/// The Spark release whose behaviour is given.
const SPARK_VERSION: &str = "4.2.0";

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["typeof"], type_of);
    r.scalar(&["version"], version);
    r.scalar(&["uuid"], uuid);
}

fn type_of(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let name = call.args[0].data_type.simple_string();
    Ok(Resolved::new(call.types(), DataType::STRING, false, move |inputs| {
        Ok(Arc::new(StringArray::from(vec![name.as_str(); inputs.rows()])))
    }))
}

fn version(call: &Call) -> Result<Resolved> {
    call.arity(0..=0)?;
    Ok(Resolved::new(vec![], DataType::STRING, false, |inputs| {
        // Spark adds the commit it was built from.
        let text = format!("{SPARK_VERSION} boathouse-{}", env!("CARGO_PKG_VERSION"));
        Ok(Arc::new(StringArray::from(vec![text.as_str(); inputs.rows()])))
    }))
}

fn uuid(call: &Call) -> Result<Resolved> {
    if !call.args.is_empty() {
        call.arity(0..=1)?;
        return Err(Error::unsupported("a seed of uuid()"));
    }
    Ok(Resolved::new(vec![], DataType::STRING, false, |inputs| {
        let values: Vec<String> = (0..inputs.rows()).map(|_| uuid::Uuid::new_v4().to_string()).collect();
        Ok(Arc::new(StringArray::from(values)))
    })
    .volatile())
}
