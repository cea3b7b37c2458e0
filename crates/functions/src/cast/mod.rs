//! CAST between Spark types, in its three modes.

use arrow::array::ArrayRef;
use boathouse_spec::{DataType, Error, Result};

use crate::Context;

/// What a value that cannot be cast becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// An error.
    Ansi,
    /// NULL, or a wrapped number (`spark.sql.ansi.enabled` off).
    Legacy,
    /// NULL (`TRY_CAST`), by the rules of ANSI.
    Try,
}

/// Whether the cast exists at all (else DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION and its kin, made by the analyzer).
pub fn can_cast(_from: &DataType, _to: &DataType, _mode: Mode) -> bool {
    false
}

/// Whether a value of the type that is not NULL can become NULL.
pub fn may_give_null(_from: &DataType, _to: &DataType, _mode: Mode) -> bool {
    true
}

/// Whether the cast can only widen: no error, no NULL, no loss, so that Arrow's own cast does the same.
pub fn is_up_cast(_from: &DataType, _to: &DataType) -> bool {
    false
}

/// Casts an array.
pub fn cast(
    _array: &ArrayRef,
    from: &DataType,
    to: &DataType,
    _mode: Mode,
    _context: &Context,
) -> Result<ArrayRef> {
    Err(Error::unsupported(format!("the cast of {} to {}", from.sql(), to.sql())))
}
