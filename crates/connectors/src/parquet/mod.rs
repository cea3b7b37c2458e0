//! Parquet files: schemas from footers, and the scan, which is DataFusion's.

mod adapter;
mod footer;
mod scan;
mod statistics;

pub(crate) use footer::{drop_unreadable, infer_schema, merge_all};
pub(crate) use scan::scan;
pub(crate) use statistics::{of_table as statistics, scaled};
