//! Spark's errors about files.

use boathouse_spec::{DataType, Error, quote};

pub(crate) fn path_not_found(path: &str) -> Error {
    Error::new("PATH_NOT_FOUND")
        .param("path", path)
        .message(format!("There is nothing at the path {path}."))
        .exception("AnalysisException")
}

pub(crate) fn path_already_exists(path: &str) -> Error {
    Error::new("PATH_ALREADY_EXISTS")
        .param("outputPath", path)
        .message(format!("The path {path} exists already. Use the mode overwrite or append to write there."))
        .exception("AnalysisException")
}

/// A file that could not be read, with what was wrong.
pub(crate) fn failed_read(path: &str, cause: impl std::fmt::Display) -> Error {
    Error::new("FAILED_READ_FILE.NO_HINT")
        .param("path", path)
        .message(format!("The file {path} could not be read."))
        .caused_by(cause)
}

pub(crate) fn file_not_exist(path: &str) -> Error {
    Error::new("FAILED_READ_FILE.FILE_NOT_EXIST").param("path", path).message(format!(
        "The file {path} is gone: it was there when the query was planned. Run REFRESH TABLE, or read again."
    ))
}

pub(crate) fn unreadable_footer(path: &str, cause: impl std::fmt::Display) -> Error {
    Error::new("FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER")
        .param("path", path)
        .message(format!(
            "The footer of the file {path} could not be read: it is no file of this format, or it is cut off. \
             The option ignoreCorruptFiles leaves such files out."
        ))
        .caused_by(cause)
}

/// No file gives a schema. `format` as Spark shows it: `JSON`, `Parquet`.
pub(crate) fn unable_to_infer(format: &str) -> Error {
    Error::new("UNABLE_TO_INFER_SCHEMA")
        .param("format", format)
        .message(format!("There is no {format} file to take a schema from. Give the schema yourself."))
        .exception("AnalysisException")
}

pub(crate) fn only_corrupt_column() -> Error {
    Error::new("UNSUPPORTED_FEATURE.QUERY_ONLY_CORRUPT_RECORD_COLUMN")
        .message(
            "A query of JSON or CSV files cannot read the column of corrupt records alone, because what is corrupt depends \
             on the columns that are read. Cache or save the DataFrame first.",
        )
        .exception("AnalysisException")
}

pub(crate) fn column_already_exists(name: &str) -> Error {
    Error::new("COLUMN_ALREADY_EXISTS")
        .param("columnName", quote(&name.to_lowercase()))
        .message(format!("The column {} exists twice. Rename one of them.", quote(name)))
        .exception("AnalysisException")
}

/// A directory's value that is none of the type that the schema gives the column.
pub(crate) fn invalid_partition_value(value: &str, column: &str, data_type: &DataType) -> Error {
    Error::new("INVALID_PARTITION_VALUE")
        .param("value", format!("'{value}'"))
        .param("dataType", format!("\"{}\"", data_type.sql()))
        .param("columnName", quote(column))
        .message(format!(
            "The value '{value}' of the partition column {} is no {}.",
            quote(column),
            data_type.sql()
        ))
}

pub(crate) fn codec_not_available(codec: &str, available: &[&str]) -> Error {
    Error::new("CODEC_NOT_AVAILABLE.WITH_AVAILABLE_CODECS_SUGGESTION")
        .param("codecName", codec)
        .param("availableCodecs", available.join(", "))
        .message(format!("There is no codec {codec}. Codecs are: {}.", available.join(", ")))
}
