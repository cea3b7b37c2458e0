//! The file formats by their names.

use boathouse_spec::{Error, Result};

/// A file format that can be read and (binaryFile aside) written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Json,
    Csv,
    Parquet,
    Text,
    BinaryFile,
    Xml,
    Avro,
    Orc,
}

/// Names of formats, in lower case. The long ones are what old code says.
const NAMES: &[(Format, &[&str])] = &[
    (
        Format::Json,
        &[
            "json",
            "org.apache.spark.sql.json",
            "org.apache.spark.sql.execution.datasources.json.jsonfileformat",
        ],
    ),
    (
        Format::Csv,
        &["csv", "com.databricks.spark.csv", "org.apache.spark.sql.execution.datasources.csv.csvfileformat"],
    ),
    (
        Format::Parquet,
        &[
            "parquet",
            "org.apache.spark.sql.parquet",
            "org.apache.spark.sql.execution.datasources.parquet.parquetfileformat",
        ],
    ),
    (Format::Text, &["text", "org.apache.spark.sql.execution.datasources.text.textfileformat"]),
    (
        Format::Xml,
        &["xml", "com.databricks.spark.xml", "org.apache.spark.sql.execution.datasources.xml.xmlfileformat"],
    ),
    (Format::Avro, &["avro", "com.databricks.spark.avro", "org.apache.spark.sql.avro.avrofileformat"]),
    (
        Format::Orc,
        &[
            "orc",
            "org.apache.spark.sql.orc",
            "org.apache.spark.sql.hive.orc",
            "org.apache.spark.sql.execution.datasources.orc.orcfileformat",
        ],
    ),
    (
        Format::BinaryFile,
        &["binaryfile", "org.apache.spark.sql.execution.datasources.binaryfile.binaryfileformat"],
    ),
];

impl Format {
    /// The format of that name, in any case.
    pub fn find(name: &str) -> Result<Self> {
        let lower = name.to_lowercase();
        if let Some((format, _)) = NAMES.iter().find(|(_, names)| names.contains(&lower.as_str())) {
            return Ok(*format);
        }
        Err(Error::new("DATA_SOURCE_NOT_FOUND")
            .param("provider", name)
            .message(format!("There is no format or connector named {name}."))
            .exception("SparkClassNotFoundException"))
    }

    /// Whether readers of the format keep what the schema has no place for (`rescuedDataColumn`).
    pub fn rescues(self) -> bool {
        matches!(self, Self::Json | Self::Csv | Self::Xml | Self::Parquet | Self::Avro)
    }

    /// The short name, as options and catalogs have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Text => "text",
            Self::BinaryFile => "binaryFile",
            Self::Xml => "xml",
            Self::Avro => "avro",
            Self::Orc => "orc",
        }
    }

    /// The name in messages.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
            Self::Text => "Text",
            Self::BinaryFile => "binaryFile",
            Self::Xml => "XML",
            Self::Avro => "Avro",
            Self::Orc => "ORC",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Format::find("JSON").ok(), Some(Format::Json));
        assert_eq!(Format::find("binaryFile").ok(), Some(Format::BinaryFile));
        assert_eq!(Format::find("com.databricks.spark.csv").ok(), Some(Format::Csv));
        assert_eq!(Format::find("nope").unwrap_err().class(), "DATA_SOURCE_NOT_FOUND");
        assert_eq!(Format::find("AVRO").ok(), Some(Format::Avro));
        assert_eq!(Format::find("Orc").ok(), Some(Format::Orc));
    }
}
