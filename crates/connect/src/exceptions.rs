//! Which exception an error is: clients raise by the names of the JVM classes that Spark would have thrown.
//!
//! `exceptions.tsv` holds, for each error class that does not follow its SQLSTATE, the class a running Spark throws.
//! [`Error::exception_name`] overrides it.

use std::collections::HashMap;
use std::sync::LazyLock;

use boathouse_spec::Error;

static TABLE: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    include_str!("exceptions.tsv").lines().filter_map(|line| line.split_once('\t')).collect()
});

/// The names of the exception's class and of all it derives from, most derived first.
pub fn hierarchy(error: &Error) -> Vec<&'static str> {
    // A full class name stands for its last part; a name nobody knows leaves the choice to the error class.
    let named = error.exception_name().map(|name| name.rsplit('.').next().unwrap_or(name)).and_then(of_name);
    let own = named.or_else(|| of_name(exception(error)));
    let own = own.unwrap_or(&["org.apache.spark.SparkRuntimeException", RUNTIME]);
    let mut all = own.to_vec();
    all.extend(["java.lang.Exception", "java.lang.Throwable", "java.lang.Object"]);
    all
}

const RUNTIME: &str = "java.lang.RuntimeException";
const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";
const ANALYSIS: &str = "org.apache.spark.sql.AnalysisException";
const DELTA_CONFLICT: &str = "io.delta.exceptions.DeltaConcurrentModificationException";
const CONCURRENT_MODIFICATION: &str = "java.util.ConcurrentModificationException";

/// The exception that goes with the error class.
fn exception(error: &Error) -> &'static str {
    let class = error.class();
    let main = class.split('.').next().unwrap_or(class);
    // A cast to a date or a time fails with another exception than one to a number.
    if main == "CAST_INVALID_INPUT" {
        let target = error.parameters().iter().find(|(key, _)| key == "targetType").map_or("", |(_, v)| v);
        let target = target.trim_matches('"');
        if target == "BOOLEAN" {
            return "SparkRuntimeException";
        }
        if target == "DATE" || target.starts_with("TIME") {
            return "SparkDateTimeException";
        }
    }
    if let Some(name) = TABLE.get(class).or_else(|| TABLE.get(main)) {
        return name;
    }
    if main.starts_with("DELTA_") {
        return "AnalysisException";
    }
    match error.sqlstate().get(..2) {
        Some("42" | "0A" | "46" | "56") => "AnalysisException",
        Some("HY") => "SparkSQLException",
        Some("XX" | "58") => "SparkException",
        _ => "SparkRuntimeException",
    }
}

/// The classes between an exception and `java.lang.Exception`, by the short names of Python and the JVM.
fn of_name(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "ParseException" => &["org.apache.spark.sql.catalyst.parser.ParseException", ANALYSIS],
        "AnalysisException" => &[ANALYSIS],
        "StreamingQueryException" => &["org.apache.spark.sql.streaming.StreamingQueryException"],
        "QueryExecutionException" => &["org.apache.spark.sql.execution.QueryExecutionException"],
        "PythonException" => &["org.apache.spark.api.python.PythonException", RUNTIME],
        "InvalidPlanInput" => &["org.apache.spark.sql.connect.common.InvalidPlanInput", RUNTIME],
        // Clients know a PickleException by its name in the message.
        "SparkException" | "PickleException" => &["org.apache.spark.SparkException"],
        "SparkRuntimeException" => &["org.apache.spark.SparkRuntimeException", RUNTIME],
        "SparkUpgradeException" => &["org.apache.spark.SparkUpgradeException", RUNTIME],
        "SparkSecurityException" => {
            &["org.apache.spark.SparkSecurityException", "java.lang.SecurityException", RUNTIME]
        }
        "SparkIllegalStateException" => {
            &["org.apache.spark.SparkIllegalStateException", "java.lang.IllegalStateException", RUNTIME]
        }
        "ArithmeticException" | "SparkArithmeticException" => {
            &["org.apache.spark.SparkArithmeticException", "java.lang.ArithmeticException", RUNTIME]
        }
        "NumberFormatException" | "SparkNumberFormatException" => &[
            "org.apache.spark.SparkNumberFormatException",
            "java.lang.NumberFormatException",
            ILLEGAL_ARGUMENT,
            RUNTIME,
        ],
        "DateTimeException" | "SparkDateTimeException" => {
            &["org.apache.spark.SparkDateTimeException", "java.time.DateTimeException", RUNTIME]
        }
        "IllegalArgumentException" | "SparkIllegalArgumentException" => {
            &["org.apache.spark.SparkIllegalArgumentException", ILLEGAL_ARGUMENT, RUNTIME]
        }
        "ArrayIndexOutOfBoundsException" | "SparkArrayIndexOutOfBoundsException" => &[
            "org.apache.spark.SparkArrayIndexOutOfBoundsException",
            "java.lang.ArrayIndexOutOfBoundsException",
            "java.lang.IndexOutOfBoundsException",
            RUNTIME,
        ],
        "UnsupportedOperationException" | "SparkUnsupportedOperationException" => &[
            "org.apache.spark.SparkUnsupportedOperationException",
            "java.lang.UnsupportedOperationException",
            RUNTIME,
        ],
        "NoSuchElementException" | "SparkNoSuchElementException" => {
            &["org.apache.spark.SparkNoSuchElementException", "java.util.NoSuchElementException", RUNTIME]
        }
        "SparkConcurrentModificationException" => {
            &["org.apache.spark.SparkConcurrentModificationException", CONCURRENT_MODIFICATION, RUNTIME]
        }
        "SparkSQLException" => &["org.apache.spark.SparkSQLException", "java.sql.SQLException"],
        "SparkSQLFeatureNotSupportedException" => &[
            "org.apache.spark.SparkSQLFeatureNotSupportedException",
            "java.sql.SQLFeatureNotSupportedException",
            "java.sql.SQLNonTransientException",
            "java.sql.SQLException",
        ],
        "SparkClassNotFoundException" => &[
            "org.apache.spark.SparkClassNotFoundException",
            "java.lang.ClassNotFoundException",
            "java.lang.ReflectiveOperationException",
        ],
        "SparkFileNotFoundException" => &[
            "org.apache.spark.SparkFileNotFoundException",
            "java.io.FileNotFoundException",
            "java.io.IOException",
        ],
        "SparkFileAlreadyExistsException" => &[
            "org.apache.spark.SparkFileAlreadyExistsException",
            "org.apache.hadoop.fs.FileAlreadyExistsException",
            "java.io.IOException",
        ],
        "SparkOutOfMemoryError" => {
            &["org.apache.spark.memory.SparkOutOfMemoryError", "java.lang.OutOfMemoryError"]
        }
        "DeltaConcurrentAppend" | "ConcurrentAppendException" => &[
            "io.delta.exceptions.ConcurrentAppendException",
            DELTA_CONFLICT,
            CONCURRENT_MODIFICATION,
            RUNTIME,
        ],
        "DeltaConcurrentDeleteRead" | "ConcurrentDeleteReadException" => &[
            "io.delta.exceptions.ConcurrentDeleteReadException",
            DELTA_CONFLICT,
            CONCURRENT_MODIFICATION,
            RUNTIME,
        ],
        "DeltaConcurrentDeleteDelete" | "ConcurrentDeleteDeleteException" => &[
            "io.delta.exceptions.ConcurrentDeleteDeleteException",
            DELTA_CONFLICT,
            CONCURRENT_MODIFICATION,
            RUNTIME,
        ],
        "DeltaConcurrentTransaction" | "ConcurrentTransactionException" => &[
            "io.delta.exceptions.ConcurrentTransactionException",
            DELTA_CONFLICT,
            CONCURRENT_MODIFICATION,
            RUNTIME,
        ],
        "DeltaConcurrentWrite" | "ConcurrentWriteException" => &[
            "io.delta.exceptions.ConcurrentWriteException",
            DELTA_CONFLICT,
            CONCURRENT_MODIFICATION,
            RUNTIME,
        ],
        "DeltaMetadataChanged" | "MetadataChangedException" => &[
            "io.delta.exceptions.MetadataChangedException",
            DELTA_CONFLICT,
            CONCURRENT_MODIFICATION,
            RUNTIME,
        ],
        "DeltaProtocolChanged" | "ProtocolChangedException" => &[
            "io.delta.exceptions.ProtocolChangedException",
            DELTA_CONFLICT,
            CONCURRENT_MODIFICATION,
            RUNTIME,
        ],
        "DeltaInvariantViolation" | "DeltaInvariantViolationException" | "InvariantViolationException" => {
            &["org.apache.spark.sql.delta.schema.InvariantViolationException", RUNTIME]
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(class: &str) -> &'static str {
        hierarchy(&Error::new(class))[0]
    }

    #[test]
    fn classes_are_those_a_running_spark_threw() {
        assert_eq!(top("DIVIDE_BY_ZERO"), "org.apache.spark.SparkArithmeticException");
        assert_eq!(top("PARSE_SYNTAX_ERROR"), "org.apache.spark.sql.catalyst.parser.ParseException");
        assert_eq!(top("INVALID_ARRAY_INDEX"), "org.apache.spark.SparkArrayIndexOutOfBoundsException");
        assert_eq!(top("USER_RAISED_EXCEPTION"), "org.apache.spark.SparkRuntimeException");
        assert_eq!(top("SQL_CONF_NOT_FOUND"), "org.apache.spark.SparkNoSuchElementException");
        assert_eq!(top("CANNOT_PARSE_TIMESTAMP"), "org.apache.spark.SparkDateTimeException");
        assert_eq!(top("SCALAR_SUBQUERY_TOO_MANY_ROWS"), "org.apache.spark.SparkException");
        assert_eq!(top("INVALID_HANDLE.SESSION_CLOSED"), "org.apache.spark.SparkSQLException");
        for class in ["TABLE_OR_VIEW_NOT_FOUND", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "MISSING_GROUP_BY"] {
            assert_eq!(top(class), ANALYSIS, "{class}");
        }
    }

    #[test]
    fn casts_differ_by_their_target() {
        let cast = |target: &str| hierarchy(&Error::new("CAST_INVALID_INPUT").param("targetType", target));
        assert!(cast("\"INT\"").contains(&"java.lang.NumberFormatException"));
        assert!(cast("\"DATE\"").contains(&"java.time.DateTimeException"));
        assert!(cast("\"TIMESTAMP_NTZ\"").contains(&"java.time.DateTimeException"));
    }

    #[test]
    fn delta_conflicts_are_deltas() {
        let classes = hierarchy(&Error::new("DELTA_CONCURRENT_APPEND.WITHOUT_HINT"));
        assert_eq!(classes[..2], ["io.delta.exceptions.ConcurrentAppendException", DELTA_CONFLICT]);
    }

    #[test]
    fn names_override_classes() {
        let named = |name| hierarchy(&Error::new("DIVIDE_BY_ZERO").exception(name))[0];
        assert_eq!(named("ParseException"), "org.apache.spark.sql.catalyst.parser.ParseException");
        assert_eq!(
            named("io.delta.exceptions.MetadataChangedException"),
            "io.delta.exceptions.MetadataChangedException"
        );
        assert_eq!(named("NoSuchException"), "org.apache.spark.SparkArithmeticException");
    }

    #[test]
    fn the_table_names_only_known_exceptions() {
        for (class, name) in TABLE.iter() {
            assert!(of_name(name).is_some(), "{class}: {name}");
        }
    }
}
