//! What the system says of itself and of values: `typeof`, `version`, `uuid`.

use std::sync::Arc;

use arrow::array::{Int32Array, Int64Array, StringArray};
use boathouse_spec::{DataType, Error, Result};

use crate::partition::{self, PerPartition};
use crate::{Call, Registry, Resolved};

/// The Spark release whose behaviour is given.
const SPARK_VERSION: &str = "4.2.0";

pub(crate) fn register(r: &mut Registry) {
    r.scalar(&["typeof"], type_of);
    r.scalar(&["version"], version);
    r.scalar(&["uuid"], uuid);
    r.scalar(&["unwrap_udt"], unwrap_udt);
    r.scalar(&["spark_partition_id"], partition_id);
    r.scalar(&["monotonically_increasing_id"], increasing_id);
}

fn type_of(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let name = call.args[0].data_type.simple_string();
    Ok(Resolved::new(call.types(), DataType::STRING, false, move |inputs| {
        Ok(Arc::new(StringArray::from(vec![name.as_str(); inputs.rows()])))
    })
    .of_types())
}

fn version(call: &Call) -> Result<Resolved> {
    call.arity(0..=0)?;
    Ok(Resolved::new(vec![], DataType::STRING, false, |inputs| {
        // Spark adds the commit it was built from.
        let text = format!("{SPARK_VERSION} boathouse-{}", env!("CARGO_PKG_VERSION"));
        Ok(Arc::new(StringArray::from(vec![text.as_str(); inputs.rows()])))
    }))
}

/// The value of a user-defined type as the type it is kept in.
fn unwrap_udt(call: &Call) -> Result<Resolved> {
    call.arity(1..=1)?;
    let DataType::Udt { sql_type, .. } = &call.args[0].data_type else {
        return Err(call.unexpected_input(0, "\"UserDefinedType\""));
    };
    let inner = sql_type.as_ref().clone();
    Ok(Resolved::new(call.types(), inner, call.args[0].nullable, |inputs| inputs.array(0)))
}

fn partition_id(call: &Call) -> Result<Resolved> {
    call.arity(0..=0)?;
    Ok(Resolved::new(vec![], DataType::Integer, false, |inputs| {
        Ok(Arc::new(Int32Array::from(vec![partition::current() as i32; inputs.rows()])))
    })
    .volatile()
    .shown_as("SPARK_PARTITION_ID"))
}

/// The partition's number in the upper 31 bits, the row's in the lower 33.
fn increasing_id(call: &Call) -> Result<Resolved> {
    call.arity(0..=0)?;
    let next = PerPartition::new(|partition| (partition as i64) << 33);
    Ok(Resolved::new(vec![], DataType::Long, false, move |inputs| {
        let rows = inputs.rows() as i64;
        let first = next.with(|next| {
            *next += rows;
            *next - rows
        });
        Ok(Arc::new(Int64Array::from_iter_values(first..first + rows)))
    })
    .volatile())
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
