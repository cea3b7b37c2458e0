//! What a sum that leaves its type becomes, and the errors.

use boathouse_spec::Error;

/// What happens on overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    /// An error.
    Fail,
    /// The number wraps (integers without ANSI).
    Wrap,
    /// NULL (`try_sum`; decimals without ANSI).
    Null,
}

const ANSI: &str = "\"spark.sql.ansi.enabled\"";

pub(super) fn integer_overflow() -> Error {
    overflow("overflow", "try_add")
}

pub(super) fn decimal_overflow(instead: &str) -> Error {
    overflow("Overflow in sum of decimals", instead)
}

fn overflow(message: &str, instead: &str) -> Error {
    Error::new("ARITHMETIC_OVERFLOW")
        .param("message", message)
        .param("alternative", format!(" Use '{instead}' to tolerate overflow and return NULL instead."))
        .param("config", ANSI)
        .message(format!(
            "{message}. Use '{instead}' to get NULL instead of this error, or set {ANSI} to \"false\" to bypass it."
        ))
}

pub(super) fn interval_overflow() -> Error {
    Error::new("INTERVAL_ARITHMETIC_OVERFLOW.WITH_SUGGESTION").param("functionName", "`try_add`").message(
        "Integer overflow while adding intervals. Use `try_add` to tolerate overflow and return NULL instead.",
    )
}
