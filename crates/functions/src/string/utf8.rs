//! `is_valid_utf8` and its kin. A STRING here is valid by construction: only binaries can fail.

use arrow::array::ArrayRef;
use boathouse_spec::{DataType, Error, Result};

use super::{string_like, string_or_binary};
use crate::apply::{flag_rows, text_rows};
use crate::{Call, Inputs, Registry, Resolved};

pub(super) fn register(r: &mut Registry) {
    r.scalar(&["is_valid_utf8"], |c| checked(c, DataType::Boolean, is_valid));
    r.scalar(&["make_valid_utf8"], |c| checked(c, DataType::STRING, |i| made(i, OnInvalid::Replace)));
    r.scalar(&["validate_utf8"], |c| checked(c, DataType::STRING, |i| made(i, OnInvalid::Fail)));
    r.scalar(&["try_validate_utf8"], |c| checked(c, DataType::STRING, |i| made(i, OnInvalid::Null)));
}

#[derive(Debug, Clone, Copy)]
enum OnInvalid {
    Replace,
    Fail,
    Null,
}

fn checked(call: &Call, t: DataType, eval: fn(&Inputs) -> Result<ArrayRef>) -> Result<Resolved> {
    call.arity(1..=1)?;
    let coerced = call.want(&[string_or_binary()])?;
    let t = if t.is_string() { string_like(&coerced[0]) } else { t };
    Ok(Resolved::new(coerced, t, true, eval))
}

fn is_valid(inputs: &Inputs) -> Result<ArrayRef> {
    let bytes = inputs.bytes(0)?;
    flag_rows(inputs.rows(), |row| Ok(bytes.get(row).map(|b| std::str::from_utf8(b).is_ok())))
}

fn made(inputs: &Inputs, invalid: OnInvalid) -> Result<ArrayRef> {
    let bytes = inputs.bytes(0)?;
    text_rows(inputs.rows(), |row, out| {
        let Some(bytes) = bytes.get(row) else { return Ok(None) };
        match (std::str::from_utf8(bytes), invalid) {
            (Ok(text), _) => out.push_str(text),
            (Err(_), OnInvalid::Replace) => out.push_str(&String::from_utf8_lossy(bytes)),
            (Err(_), OnInvalid::Null) => return Ok(None),
            (Err(_), OnInvalid::Fail) => {
                let shown: String = bytes.iter().map(|b| format!("\\x{b:02X}")).collect();
                return Err(Error::new("INVALID_UTF8_STRING").param("str", &shown).message(format!(
                    "The bytes {shown} are no UTF-8. Use `try_validate_utf8` to get NULL."
                )));
            }
        }
        Ok(Some(()))
    })
}
