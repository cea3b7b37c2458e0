//! Which options the file formats know.
//!
//! Spark leaves options alone that a format does not know, and so do we, with a line in the log. Options that change rows
//! and are not built are refused.

use boathouse_spec::{Error, Result};

use crate::format::Format;

/// Options of all file formats.
const COMMON: &[&str] = &[
    "basePath",
    "compression",
    "codec",
    "ignoreCorruptFiles",
    "ignoreInvalidPartitionPaths",
    "ignoreMissingFiles",
    "maxRecordsPerFile",
    "modifiedAfter",
    "modifiedBefore",
    "partitionOverwriteMode",
    "path",
    "pathGlobFilter",
    "recursiveFileLookup",
    "timeZone",
];

/// Options of formats whose rows are text.
const TEXT: &[&str] = &[
    "charset",
    "columnNameOfCorruptRecord",
    "dateFormat",
    "enableDateTimeParsingFallback",
    "encoding",
    "lineSep",
    "locale",
    "mode",
    "multiLine",
    "samplingRatio",
    "timestampFormat",
    "timestampNTZFormat",
    "wholeFile",
];

const JSON: &[&str] = &[
    "allowBackslashEscapingAnyCharacter",
    "allowComments",
    "allowNonNumericNumbers",
    "allowNumericLeadingZeros",
    "allowSingleQuotes",
    "allowUnquotedControlChars",
    "allowUnquotedFieldNames",
    "dropFieldIfAllNull",
    "ignoreNullFields",
    "inferTimestamp",
    "maxNestingDepth",
    "maxNumLen",
    "maxStringLen",
    "prefersDecimal",
    "pretty",
    "primitivesAsString",
    "writeNonAsciiCharacterAsCodePoint",
];

const CSV: &[&str] = &[
    "charToEscapeQuoteEscaping",
    "comment",
    "delimiter",
    "emptyValue",
    "enforceSchema",
    "escape",
    "escapeQuotes",
    "extension",
    "header",
    "ignoreLeadingWhiteSpace",
    "ignoreTrailingWhiteSpace",
    "inferSchema",
    "maxCharsPerColumn",
    "maxColumns",
    "nanValue",
    "negativeInf",
    "nullValue",
    "positiveInf",
    "preferDate",
    "quote",
    "quoteAll",
    "sep",
    "unescapedQuoteHandling",
];

const XML: &[&str] = &[
    "arrayElementName",
    "attributePrefix",
    "declaration",
    "excludeAttribute",
    "ignoreNamespace",
    "ignoreSurroundingSpaces",
    "indent",
    "inferSchema",
    "nullValue",
    "prefersDate",
    "prefersDecimal",
    "rootTag",
    "rowTag",
    "valueTag",
    "wildcardColName",
];

const PARQUET: &[&str] = &["datetimeRebaseMode", "int96RebaseMode", "mergeSchema", "parquet.compression"];

const AVRO: &[&str] = &["datetimeRebaseMode", "ignoreExtension", "mode", "recordName", "recordNamespace"];

/// Options of Databricks that keep what the schema has no place for.
const RESCUE: &[&str] = &["rescuedDataColumn", "readerCaseSensitive"];

/// Options of Databricks that change what is read, and are not built.
const REFUSED: &[&str] = &["singleVariantColumn"];

/// Refuses what would be read differently, and notes what no format knows.
pub(crate) fn check(format: Format, options: &[(String, String)]) -> Result<()> {
    let own: &[&[&str]] = match format {
        Format::Json => &[COMMON, TEXT, JSON, RESCUE],
        Format::Csv => &[COMMON, TEXT, CSV, RESCUE],
        Format::Parquet => &[COMMON, PARQUET, RESCUE],
        Format::Text => &[COMMON, &["encoding", "lineSep", "wholetext"]],
        Format::BinaryFile => &[COMMON],
        Format::Xml => &[COMMON, TEXT, XML, RESCUE],
        Format::Avro => &[COMMON, AVRO, RESCUE],
        Format::Orc => &[COMMON, &["mergeSchema", "compression", "orc.compress"]],
    };
    for (key, _) in options {
        let refused: &[&str] = if format.rescues() { &[] } else { RESCUE };
        if let Some(name) = REFUSED.iter().chain(refused).find(|known| known.eq_ignore_ascii_case(key)) {
            return Err(Error::unsupported(format!("the option `{name}` of the format {}", format.name())));
        }
        if !own.iter().copied().flatten().any(|known| known.eq_ignore_ascii_case(key)) {
            tracing::debug!("the format {} has no option {key}; it is left alone", format.name());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_options_are_left_alone() {
        let given = |key: &str| vec![(key.to_string(), "x".to_string())];
        assert!(check(Format::Json, &given("anything")).is_ok());
        assert!(check(Format::Json, &given("RescuedDataColumn")).is_ok());
        assert!(check(Format::Orc, &given("RescuedDataColumn")).is_err());
        assert!(check(Format::Json, &given("singleVariantColumn")).is_err());
    }
}
