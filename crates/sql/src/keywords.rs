//! Spark's keywords: which there are, and which of them may be used as identifiers.

/// Every keyword, sorted.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "ADD", "AFTER", "AGGREGATE", "ALL", "ALTER", "ALWAYS", "ANALYZE", "AND", "ANTI", "ANY", "ANY_VALUE",
    "APPROX", "ARCHIVE", "ARRAY", "AS", "ASC", "ASENSITIVE", "AT", "ATOMIC", "AUTHORIZATION", "BEGIN",
    "BERNOULLI", "BETWEEN", "BIGINT", "BINARY", "BINDING", "BOOLEAN", "BOTH", "BUCKET", "BUCKETS", "BY",
    "BYTE", "CACHE", "CALL", "CALLED", "CASCADE", "CASE", "CAST", "CATALOG", "CATALOGS", "CHANGE",
    "CHANGES", "CHAR", "CHARACTER", "CHECK", "CLEAR", "CLOSE", "CLUSTER", "CLUSTERED", "CODEGEN",
    "COLLATE", "COLLATION", "COLLATIONS", "COLLECTION", "COLUMN", "COLUMNS", "COMMENT", "COMMIT",
    "COMPACT", "COMPACTIONS", "COMPENSATION", "COMPUTE", "CONCATENATE", "CONDITION", "CONSTRAINT",
    "CONTAINS", "CONTINUE", "COST", "CREATE", "CROSS", "CUBE", "CURRENT", "CURRENT_DATABASE",
    "CURRENT_DATE", "CURRENT_PATH", "CURRENT_SCHEMA", "CURRENT_TIME", "CURRENT_TIMESTAMP",
    "CURRENT_USER", "CURSOR", "DATA", "DATABASE", "DATABASES", "DATE", "DATEADD", "DATEDIFF",
    "DATE_ADD", "DATE_DIFF", "DAY", "DAYOFYEAR", "DAYS", "DBPROPERTIES", "DEC", "DECIMAL", "DECLARE",
    "DEFAULT", "DEFAULT_PATH", "DEFINED", "DEFINER", "DELAY", "DELETE", "DELIMITED", "DESC", "DESCRIBE",
    "DETERMINISTIC", "DFS", "DIRECTORIES", "DIRECTORY", "DISTANCE", "DISTINCT", "DISTRIBUTE", "DIV",
    "DO", "DOUBLE", "DROP", "ELSE", "ELSEIF", "END", "ENFORCED", "ESCAPE", "ESCAPED", "EVOLUTION",
    "EXACT", "EXCEPT", "EXCHANGE", "EXCLUDE", "EXCLUSIVE", "EXECUTE", "EXISTS", "EXIT", "EXPLAIN",
    "EXPORT", "EXTEND", "EXTENDED", "EXTERNAL", "EXTRACT", "FALSE", "FETCH", "FIELDS", "FILEFORMAT",
    "FILTER", "FIRST", "FLOAT", "FLOW", "FOLLOWING", "FOR", "FOREIGN", "FORMAT", "FORMATTED", "FOUND",
    "FROM", "FULL", "FUNCTION", "FUNCTIONS", "GENERATED", "GEOGRAPHY", "GEOMETRY", "GLOBAL", "GRANT",
    "GROUP", "GROUPING", "HANDLER", "HAVING", "HOUR", "HOURS", "IDENTIFIED", "IDENTIFIER", "IDENTITY",
    "IF", "IGNORE", "ILIKE", "IMMEDIATE", "IMPORT", "IN", "INCLUDE", "INCLUSIVE", "INCREMENT", "INDEX",
    "INDEXES", "INNER", "INPATH", "INPUT", "INPUTFORMAT", "INSENSITIVE", "INSERT", "INT", "INTEGER",
    "INTERSECT", "INTERVAL", "INTO", "INVOKER", "IS", "ITEMS", "ITERATE", "JOIN", "JSON", "KEY", "KEYS",
    "LANGUAGE", "LAST", "LATERAL", "LAZY", "LEADING", "LEAVE", "LEFT", "LEVEL", "LIKE", "LIMIT",
    "LINES", "LIST", "LOAD", "LOCAL", "LOCATION", "LOCK", "LOCKS", "LOGICAL", "LONG", "LOOP", "MACRO",
    "MAP", "MATCHED", "MATERIALIZED", "MAX", "MEASURE", "MERGE", "METRICS", "MICROSECOND",
    "MICROSECONDS", "MILLISECOND", "MILLISECONDS", "MINUS", "MINUTE", "MINUTES", "MODIFIES", "MONTH",
    "MONTHS", "MSCK", "NAME", "NAMESPACE", "NAMESPACES", "NANOSECOND", "NANOSECONDS", "NATURAL",
    "NEAREST", "NEXT", "NO", "NONE", "NORELY", "NOT", "NULL", "NULLS", "NUMERIC", "OF", "OFFSET", "ON",
    "ONLY", "OPEN", "OPTION", "OPTIONS", "OR", "ORDER", "OUT", "OUTER", "OUTPUTFORMAT", "OVER",
    "OVERLAPS", "OVERLAY", "OVERWRITE", "PARTITION", "PARTITIONED", "PARTITIONS", "PATH", "PERCENT",
    "PIVOT", "PLACING", "POSITION", "PRECEDING", "PRIMARY", "PRINCIPALS", "PROCEDURE", "PROCEDURES",
    "PROPERTIES", "PURGE", "QUALIFY", "QUARTER", "QUERY", "RANGE", "READ", "READS", "REAL",
    "RECORDREADER", "RECORDWRITER", "RECOVER", "RECURSION", "RECURSIVE", "REDUCE", "REFERENCES",
    "REFRESH", "REGEXP", "RELY", "RENAME", "REPAIR", "REPEAT", "REPEATABLE", "REPLACE", "RESET",
    "RESPECT", "RESTRICT", "RETURN", "RETURNS", "REVOKE", "RIGHT", "RLIKE", "ROLE", "ROLES", "ROLLBACK",
    "ROLLUP", "ROW", "ROWS", "SCHEMA", "SCHEMAS", "SECOND", "SECONDS", "SECURITY", "SELECT", "SEMI",
    "SEPARATED", "SERDE", "SERDEPROPERTIES", "SESSION_USER", "SET", "SETS", "SHORT", "SHOW",
    "SIMILARITY", "SINGLE", "SKEWED", "SMALLINT", "SOME", "SORT", "SORTED", "SOURCE", "SPECIFIC", "SQL",
    "SQLEXCEPTION", "SQLSTATE", "START", "STATISTICS", "STORED", "STRATIFY", "STREAM", "STREAMING",
    "STRING", "STRUCT", "SUBSTR", "SUBSTRING", "SYNC", "SYSTEM", "SYSTEM_PATH", "SYSTEM_TIME",
    "SYSTEM_VERSION", "TABLE", "TABLES", "TABLESAMPLE", "TARGET", "TBLPROPERTIES", "TEMP", "TEMPORARY",
    "TERMINATED", "THEN", "TIME", "TIMEDIFF", "TIMESTAMP", "TIMESTAMPADD", "TIMESTAMPDIFF",
    "TIMESTAMP_LTZ", "TIMESTAMP_NTZ", "TINYINT", "TO", "TOUCH", "TRAILING", "TRANSACTION",
    "TRANSACTIONS", "TRANSFORM", "TRIM", "TRUE", "TRUNCATE", "TRY_CAST", "TYPE", "UNARCHIVE",
    "UNBOUNDED", "UNCACHE", "UNION", "UNIQUE", "UNKNOWN", "UNLOCK", "UNPIVOT", "UNSET", "UNTIL",
    "UPDATE", "USE", "USER", "USING", "VALUE", "VALUES", "VAR", "VARCHAR", "VARIABLE", "VARIANT",
    "VERSION", "VIEW", "VIEWS", "VOID", "WATERMARK", "WEEK", "WEEKS", "WHEN", "WHERE", "WHILE",
    "WINDOW", "WITH", "WITHIN", "WITHOUT", "X", "YEAR", "YEARS", "ZONE",
];

/// Keywords that cannot be identifiers when reserved keywords are enforced, sorted.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "ALL", "AND", "ANY", "AS", "AUTHORIZATION", "BOTH", "CALL", "CASE", "CAST", "CHECK", "COLLATE",
    "COLLATION", "COLLATIONS", "COLUMN", "CONSTRAINT", "CREATE", "CROSS", "CURRENT_DATE",
    "CURRENT_PATH", "CURRENT_SCHEMA", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "DISTINCT",
    "ELSE", "END", "ESCAPE", "EXCEPT", "EXECUTE", "FALSE", "FETCH", "FILTER", "FOR", "FOREIGN", "FROM",
    "FULL", "GRANT", "GROUP", "HAVING", "IN", "INNER", "INTERSECT", "INTO", "IS", "JOIN", "LATERAL",
    "LEADING", "LEFT", "NATURAL", "NOT", "NULL", "OFFSET", "ON", "ONLY", "OR", "ORDER", "OUTER",
    "OVERLAPS", "PRIMARY", "RECURSIVE", "REFERENCES", "RIGHT", "SELECT", "SESSION_USER", "SOME", "SQL",
    "TABLE", "THEN", "TIME", "TO", "TRAILING", "UNION", "UNIQUE", "UNKNOWN", "USER", "USING", "WHEN",
    "WHERE", "WITH", "WITHIN",
];

/// Keywords that can name columns but not be a table's alias when reserved keywords are not enforced, sorted.
#[rustfmt::skip]
const STRICT: &[&str] = &[
    "ANTI", "CROSS", "EXCEPT", "FULL", "INNER", "INTERSECT", "JOIN", "LATERAL", "LEFT", "MINUS",
    "NATURAL", "ON", "RIGHT", "SEMI", "UNION", "USING",
];

/// A keyword and whether ANSI mode with enforced reserved keywords reserves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyword {
    pub word: &'static str,
    pub reserved: bool,
}

/// All keywords, sorted.
pub fn keywords() -> Vec<Keyword> {
    WORDS.iter().map(|word| Keyword { word, reserved: is_reserved(word) }).collect()
}

/// The keyword that a word is, in upper case; of two spellings of one keyword the longer-standing.
pub(crate) fn lookup(word: &str) -> Option<&'static str> {
    const LONGEST: usize = 24;
    if word.len() > LONGEST || !word.is_ascii() {
        return None;
    }
    let upper = word.to_ascii_uppercase();
    let word = WORDS.binary_search(&upper.as_str()).ok().map(|i| WORDS[i])?;
    Some(match word {
        "TEMP" => "TEMPORARY",
        "REGEXP" => "RLIKE",
        other => other,
    })
}

pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

pub(crate) fn is_strict(word: &str) -> bool {
    STRICT.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_found() {
        assert!(WORDS.is_sorted() && RESERVED.is_sorted() && STRICT.is_sorted());
        assert_eq!(lookup("select"), Some("SELECT"));
        assert_eq!(lookup("selects"), None);
        assert_eq!(lookup("temp"), Some("TEMPORARY"));
        assert!(is_reserved("FROM") && !is_reserved("DATE"));
        assert!(is_strict("MINUS") && !is_reserved("MINUS"));
    }
}
