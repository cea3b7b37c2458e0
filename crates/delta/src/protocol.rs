//! Protocol versions and table features: what a table asks for, and what we do ("Table Features" in PROTOCOL.md).

use boathouse_spec::{DataType, Error, Result, StructType};

use crate::action::{Metadata, Protocol};
use crate::error;
use crate::location::TableLocation;

/// Features that readers must know, and we do.
const READER_FEATURES: &[&str] = &[
    "columnMapping",
    "deletionVectors",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "variantShredding",
    "variantShredding-preview",
    "variantType",
    "variantType-preview",
];

/// Features that writers must know, and we do. What some of them ask of a write is checked by [`check_writable`].
const WRITER_FEATURES: &[&str] = &[
    "allowColumnDefaults",
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "checkpointProtection",
    "clustering",
    "columnMapping",
    "deletionVectors",
    "domainMetadata",
    "generatedColumns",
    "identityColumns",
    "inCommitTimestamp",
    "invariants",
    "rowTracking",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "variantShredding",
    "variantShredding-preview",
    "variantType",
    "variantType-preview",
];

/// Features that a table which exists gets only by `delta.feature.NAME = supported`.
const MANUAL: &[&str] = &["timestampNtz", "variantType"];

/// The features that writer versions below 7 stand for: (writer version, reader version, feature).
const LEGACY: &[(i32, i32, &str)] = &[
    (2, 1, "appendOnly"),
    (2, 1, "invariants"),
    (3, 1, "checkConstraints"),
    (4, 1, "changeDataFeed"),
    (4, 1, "generatedColumns"),
    (5, 2, "columnMapping"),
    (6, 1, "identityColumns"),
];

impl Default for Protocol {
    fn default() -> Self {
        Self { min_reader_version: 1, min_writer_version: 2, reader_features: None, writer_features: None }
    }
}

impl Protocol {
    /// The features a writer must know, those that the version stands for included.
    pub fn features(&self) -> Vec<String> {
        if self.min_writer_version >= 7 {
            return self.writer_features.clone().unwrap_or_default();
        }
        LEGACY
            .iter()
            .filter(|(writer, _, _)| *writer <= self.min_writer_version)
            .map(|(_, _, name)| name.to_string())
            .collect()
    }

    pub fn has(&self, feature: &str) -> bool {
        self.features().iter().any(|f| f == feature)
    }

    /// This protocol without a feature, by legacy versions where those say it.
    pub fn without_feature(&self, feature: &str) -> Protocol {
        let mut features = self.features();
        features.retain(|f| f != feature);
        let names: Vec<&str> = features.iter().map(String::as_str).collect();
        let is_legacy = |name: &str| LEGACY.iter().any(|(_, _, legacy)| *legacy == name);
        let lists_only_legacy = names.iter().all(|n| is_legacy(n));
        if lists_only_legacy && names.contains(&"appendOnly") && names.contains(&"invariants") {
            let plain = Protocol::default().with_features(&names);
            if plain.min_writer_version < 7 {
                return plain;
            }
        }
        let reader: Vec<String> = features.iter().filter(|f| is_reader_feature(f)).cloned().collect();
        let modern = reader.iter().any(|f| f != "columnMapping");
        Protocol {
            min_reader_version: match (modern, reader.is_empty()) {
                (true, _) => 3,
                (false, true) => 1,
                (false, false) => 2,
            },
            min_writer_version: 7,
            reader_features: modern.then_some(reader),
            writer_features: Some(features),
        }
    }

    /// This protocol by versions that are at least these; a version that lists features lists those it stood for.
    pub fn raised(&self, reader: i32, writer: i32) -> Protocol {
        let mut out = self.clone();
        if reader >= 3 && out.min_reader_version < 3 {
            let features = self.features();
            out.reader_features = Some(features.into_iter().filter(|f| f == "columnMapping").collect());
        }
        if writer >= 7 && out.min_writer_version < 7 {
            out.writer_features = Some(self.features());
        }
        out.min_reader_version = out.min_reader_version.max(reader);
        out.min_writer_version = out.min_writer_version.max(writer);
        out
    }

    /// This protocol with more features, by the smallest versions that can state them all.
    pub fn with_features(&self, added: &[&str]) -> Protocol {
        if added.iter().all(|f| self.has(f)) {
            return self.clone();
        }
        let mut features = self.features();
        for feature in added.iter().flat_map(|f| std::iter::once(f).chain(needed_by(f))) {
            if !features.iter().any(|f| f == feature) {
                features.push((*feature).to_string());
            }
        }
        features.sort();
        let needs_list = self.min_writer_version >= 7
            || features.iter().any(|f| !LEGACY.iter().any(|(_, _, name)| name == f));
        if !needs_list {
            // A legacy version is exact only where it stands for these features and no others.
            for version in self.min_writer_version.max(2)..=6 {
                let mut stands_for: Vec<&str> =
                    LEGACY.iter().filter(|l| l.0 <= version).map(|l| l.2).collect();
                stands_for.sort_unstable();
                if stands_for.iter().copied().eq(features.iter().map(String::as_str)) {
                    let reader = LEGACY.iter().filter(|l| l.0 <= version).map(|l| l.1).max().unwrap_or(1);
                    return Protocol {
                        min_reader_version: self.min_reader_version.max(reader),
                        min_writer_version: version,
                        reader_features: None,
                        writer_features: None,
                    };
                }
            }
        }
        let reader: Vec<String> = features.iter().filter(|f| is_reader_feature(f)).cloned().collect();
        let modern_reader = reader.iter().any(|f| f != "columnMapping") || self.min_reader_version >= 3;
        let min_reader_version = if modern_reader {
            3
        } else if reader.is_empty() {
            self.min_reader_version.max(1)
        } else {
            2
        };
        Protocol {
            min_reader_version,
            min_writer_version: 7,
            reader_features: modern_reader.then_some(reader),
            writer_features: Some(features),
        }
    }
}

/// Whether tables with the feature can be written.
pub(crate) fn is_known_feature(feature: &str) -> bool {
    WRITER_FEATURES.contains(&feature)
}

/// The features that another one does not go without.
fn needed_by(feature: &str) -> &'static [&'static str] {
    match feature {
        "clustering" | "rowTracking" => &["domainMetadata"],
        _ => &[],
    }
}

/// The features of a table that do not go without this one.
pub(crate) fn dependents(protocol: &Protocol, feature: &str) -> Vec<String> {
    protocol.features().into_iter().filter(|f| needed_by(f).contains(&feature)).collect()
}

/// The features of tables that can be written.
pub(crate) fn known_features() -> impl Iterator<Item = &'static str> {
    WRITER_FEATURES.iter().copied()
}

/// Whether a feature changes what readers must do.
pub(crate) fn is_reader_feature(feature: &str) -> bool {
    READER_FEATURES.contains(&feature) || feature == "catalogManaged"
}

/// Refuses a table that needs a reader we are not.
pub(crate) fn check_readable(location: &TableLocation, protocol: &Protocol) -> Result<()> {
    if protocol.min_reader_version > 3 {
        return Err(error::protocol_version(
            location,
            protocol.min_reader_version,
            protocol.min_writer_version,
        ));
    }
    let unknown: Vec<String> = protocol
        .reader_features
        .iter()
        .flatten()
        .filter(|f| !READER_FEATURES.contains(&f.as_str()))
        .cloned()
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(error::unsupported_read_features(location, &unknown)) }
}

/// Refuses a write that would break what the table promises others.
pub(crate) fn check_writable(
    location: &TableLocation,
    protocol: &Protocol,
    metadata: &Metadata,
    _schema: &StructType,
) -> Result<()> {
    check_readable(location, protocol)?;
    if protocol.min_writer_version > 7 {
        return Err(error::protocol_version(
            location,
            protocol.min_reader_version,
            protocol.min_writer_version,
        ));
    }
    let unknown: Vec<String> =
        protocol.features().into_iter().filter(|f| !WRITER_FEATURES.contains(&f.as_str())).collect();
    if !unknown.is_empty() {
        return Err(error::unsupported_write_features(location, &unknown));
    }
    if metadata.format.provider != "parquet" {
        return Err(Error::unsupported(format!("a Delta table of {} files", metadata.format.provider)));
    }
    Ok(())
}

/// The features that a schema and properties need.
pub(crate) fn needed_features(metadata: &Metadata, schema: &StructType) -> Vec<&'static str> {
    let mut needed = Vec::new();
    let mut seen = Vec::new();
    schema.fields.iter().for_each(|f| collect_types(&f.data_type, &mut seen));
    if seen.contains(&"timestampNtz") {
        needed.push("timestampNtz");
    }
    if seen.contains(&"variantType") {
        needed.push("variantType");
    }
    let on = |key: &str| metadata.configuration.get(key).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    if metadata.configuration.keys().any(|k| k.starts_with("delta.constraints.")) {
        needed.push("checkConstraints");
    }
    for (property, feature) in [
        ("delta.appendOnly", "appendOnly"),
        ("delta.enableChangeDataFeed", "changeDataFeed"),
        ("delta.enableDeletionVectors", "deletionVectors"),
        ("delta.enableInCommitTimestamps", "inCommitTimestamp"),
        ("delta.enableTypeWidening", "typeWidening"),
        ("delta.enableVariantShredding", "variantShredding-preview"),
    ] {
        if on(property) {
            needed.push(feature);
        }
    }
    if on("delta.enableRowTracking") {
        needed.extend(["rowTracking", "domainMetadata"]);
    }
    if metadata.configuration.get("delta.columnMapping.mode").is_some_and(|m| m != "none") {
        needed.push("columnMapping");
    }
    if metadata.configuration.get("delta.checkpointPolicy").is_some_and(|m| m == "v2") {
        needed.push("v2Checkpoint");
    }
    for (note, feature) in [
        ("CURRENT_DEFAULT", "allowColumnDefaults"),
        ("delta.generationExpression", "generatedColumns"),
        ("delta.identity.start", "identityColumns"),
        ("delta.invariants", "invariants"),
    ] {
        if schema.fields.iter().any(|f| f.metadata_map().contains_key(note)) {
            needed.push(feature);
        }
    }
    needed
}

/// The protocol of a table that exists once it has this metadata. Some features turn on by themselves; types that other
/// readers may not know are asked for (delta-spark's `automaticallyUpdateProtocolOfExistingTables`).
pub(crate) fn upgraded(protocol: &Protocol, metadata: &Metadata, schema: &StructType) -> Result<Protocol> {
    let mut needed = needed_features(metadata, schema);
    needed.retain(|feature| !has_any(protocol, feature));
    let asked: Vec<&str> = needed.iter().copied().filter(|f| MANUAL.contains(f)).collect();
    if !asked.is_empty() {
        return Err(error::needs_features(&asked, &protocol.features()));
    }
    Ok(protocol.with_features(&needed))
}

/// Whether a table has the feature, before it was done or after.
fn has_any(protocol: &Protocol, feature: &str) -> bool {
    let done = feature.trim_end_matches("-preview");
    protocol.has(done) || protocol.has(&format!("{done}-preview"))
}

fn collect_types(t: &DataType, out: &mut Vec<&'static str>) {
    match t {
        DataType::TimestampNtz => out.push("timestampNtz"),
        DataType::Variant => out.push("variantType"),
        DataType::Array { element, .. } => collect_types(element, out),
        DataType::Map { key, value, .. } => {
            collect_types(key, out);
            collect_types(value, out);
        }
        DataType::Struct(s) => s.fields.iter().for_each(|f| collect_types(&f.data_type, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_the_smallest_that_say_it() {
        let p = Protocol::default();
        assert_eq!(p.features(), ["appendOnly", "invariants"]);
        assert_eq!(p.with_features(&["appendOnly"]), p);
        assert_eq!(p.with_features(&["checkConstraints"]).min_writer_version, 3);
        let ntz = p.with_features(&["timestampNtz"]);
        assert_eq!((ntz.min_reader_version, ntz.min_writer_version), (3, 7));
        assert_eq!(ntz.reader_features, Some(vec!["timestampNtz".to_string()]));
        assert_eq!(
            ntz.writer_features,
            Some(vec!["appendOnly".into(), "invariants".into(), "timestampNtz".into()])
        );
        assert!(p.with_features(&["rowTracking"]).has("domainMetadata"));
        // The change data feed alone is not what writer version 4 stands for.
        let feed = p.with_features(&["changeDataFeed"]);
        assert_eq!((feed.min_reader_version, feed.min_writer_version), (1, 7));
        assert_eq!(feed.reader_features, None);
    }

    #[test]
    fn unknown_features_are_named() {
        let location = TableLocation::local("/t").unwrap();
        let protocol = Protocol {
            min_reader_version: 3,
            min_writer_version: 7,
            reader_features: Some(vec!["deletionVectors".into(), "warpDrive".into()]),
            writer_features: Some(vec!["deletionVectors".into(), "warpDrive".into()]),
        };
        let e = check_readable(&location, &protocol).unwrap_err();
        assert_eq!(e.class(), "DELTA_UNSUPPORTED_FEATURES_FOR_READ");
        assert!(e.text().contains("warpDrive"));
    }
}
