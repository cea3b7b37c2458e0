//! The rows of FSCK: the columns of Databricks' for files that are missing, one more where they were verified, and the
//! files of the log where only that was looked at.

use boathouse_spec::{DataType, Result, StructType};
use serde_json::{Value, json};

use super::{BrokenFile, BrokenLogFile, FsckMode};
use crate::report::{Report, field, required};

/// The rows about files of the table, the first `limit` of them.
pub fn fsck_report(mode: &FsckMode, broken: &[BrokenFile], limit: usize) -> Result<Report> {
    let mut columns = vec![
        required("dataFilePath", DataType::STRING),
        required("dataFileMissing", DataType::Boolean),
        field("deletionVectorPath", DataType::STRING),
        required("deletionVectorFileMissing", DataType::Boolean),
    ];
    if matches!(mode, FsckMode::Verify(_)) {
        columns.push(field("problem", DataType::STRING));
    }
    let row = |b: &BrokenFile| {
        json!({
            "dataFilePath": b.path,
            "dataFileMissing": b.data_missing,
            "deletionVectorPath": b.vector,
            "deletionVectorFileMissing": b.vector_missing,
            "problem": b.problem,
        })
    };
    let rows: Vec<Value> = broken.iter().take(limit).map(row).collect();
    Report::new(StructType::new(columns), &rows)
}

/// The rows about files of the log.
pub fn fsck_log_report(broken: &[BrokenLogFile], limit: usize) -> Result<Report> {
    let columns = vec![required("logFilePath", DataType::STRING), required("problem", DataType::STRING)];
    let row = |b: &BrokenLogFile| json!({ "logFilePath": b.name, "problem": b.problem });
    let rows: Vec<Value> = broken.iter().take(limit).map(row).collect();
    Report::new(StructType::new(columns), &rows)
}
