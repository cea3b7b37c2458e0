//! `bridge`: Spark's types and errors on one side, Arrow's and DataFusion's on the other. The only place that maps them.
//!
//! | Spark | Arrow |
//! |---|---|
//! | `STRING`, `CHAR`, `VARCHAR` | `Utf8` (never `Utf8View` or `LargeUtf8`) |
//! | `BINARY` | `Binary` |
//! | `TIMESTAMP` | `Timestamp(us, "UTC")`; the session zone matters for text and fields only |
//! | `TIMESTAMP_NTZ` | `Timestamp(us)` |
//! | `TIME(p)` | `Time64(ns)` |
//! | year-month, day-time interval | `Interval(YearMonth)`, `Duration(us)` |
//! | `INTERVAL` (calendar) | `Interval(MonthDayNano)` |
//! | `ARRAY` | `List`, element field named `item` |
//! | `MAP` | `Map`, `entries` of `key` and `value` |
//! | `VARIANT` | `Struct<metadata: Binary, value: Binary>` |
//! | `GEOMETRY`, `GEOGRAPHY` | `Struct<srid: Int32, wkb: Binary>` |
//!
//! What Arrow's type alone does not tell (length of a VARCHAR, fields of an interval, collation, VARIANT) is the
//! field metadata [`TYPE_KEY`]: the type's JSON. Nested fields carry their own.

mod conform;
mod errors;
mod footers;
mod plans;
mod types;

pub use conform::{conform, conform_batch};
pub use errors::{
    ResultExt, from_arrow, from_datafusion, from_datafusion_ref, is_overflow_text, to_arrow, to_datafusion,
};
pub use footers::Footers;
pub use plans::{one_partition, only};
pub use types::{
    METADATA_KEY, TYPE_KEY, UTC, arrow_field, arrow_schema, arrow_type, spark_field, spark_schema,
    spark_type, typed_field,
};
