//! Which functions cannot fail, so that it does not matter for which rows they are evaluated.

/// Whether a function gives a value (or NULL) for every row whatever its arguments are, as long as patterns among them are constants.
/// Of the others nothing is said.
pub fn never_fails(name: &str) -> bool {
    NEVER_FAIL.contains(&name)
}

const NEVER_FAIL: &[&str] = &[
    "length",
    "len",
    "char_length",
    "character_length",
    "octet_length",
    "bit_length",
    "upper",
    "ucase",
    "lower",
    "lcase",
    "like",
    "ilike",
    "contains",
    "startswith",
    "endswith",
    "instr",
    "trim",
    "ltrim",
    "rtrim",
    "btrim",
    "substring",
    "substr",
    "left",
    "right",
    "reverse",
    "concat",
    "isnan",
    "year",
    "month",
    "day",
    "dayofmonth",
    "dayofweek",
    "weekday",
    "quarter",
    "dayofyear",
    "weekofyear",
    "hour",
    "minute",
    "second",
    "hash",
    "xxhash64",
];
