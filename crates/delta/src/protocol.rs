//! Protocol versions and table features: what a table asks for, and what we do ("Table Features" in PROTOCOL.md).

use boathouse_spec::{DataType, Error, Result, StructType};

use crate::action::{Metadata, Protocol};
use crate::catalog_managed;
use crate::error;
use crate::iceberg_compat;
use crate::location::TableLocation;

/// Features that readers must know, and we do.
const READER_FEATURES: &[&str] = &[
    catalog_managed::FEATURE,
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
    catalog_managed::FEATURE,
    "changeDataFeed",
    "checkConstraints",
    "checkpointProtection",
    "clustering",
    "columnMapping",
    "deletionVectors",
    "domainMetadata",
    "generatedColumns",
    "icebergCompatV1",
    "icebergCompatV2",
    "identityColumns",
    "inCommitTimestamp",
    "invariants",
    "materializePartitionColumns",
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
const MANUAL: &[&str] = &["timestampNtz"];

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
    /// The protocol of versions; one that lists features lists none yet.
    pub fn of_versions(reader: i32, writer: i32) -> Self {
        Self {
            min_reader_version: reader,
            min_writer_version: writer,
            reader_features: (reader >= 3).then(Vec::new),
            writer_features: (writer >= 7).then(Vec::new),
        }
    }

    /// The protocol that says these features and no others: by a legacy version where one stands for just them, and by the
    /// smallest versions in any case (`Protocol.normalized` of delta-spark).
    pub fn of_features(mut features: Vec<String>) -> Self {
        features.sort();
        features.dedup();
        let legacy = |name: &str| LEGACY.iter().find(|(_, _, legacy)| *legacy == name);
        let reader_of = |name: &String| match legacy(name) {
            Some((_, reader, _)) => *reader,
            None if is_reader_feature(name) => 3,
            None => 1,
        };
        let reader = features.iter().map(reader_of).max().unwrap_or(1);
        let writer = features.iter().map(|f| legacy(f).map_or(7, |l| l.0)).max().unwrap_or(1);
        let plain = Self::of_versions(reader, writer);
        let mut stands_for = plain.features();
        stands_for.sort();
        if writer < 7 && stands_for == features {
            return plain;
        }
        let read = features.iter().filter(|f| is_reader_feature(f)).cloned();
        Self {
            min_reader_version: reader,
            min_writer_version: 7,
            reader_features: (reader >= 3).then(|| read.collect()),
            writer_features: Some(features),
        }
    }

    /// The features a writer must know, those that the versions stand for included.
    pub fn features(&self) -> Vec<String> {
        if self.min_writer_version >= 7 {
            return self.writer_features.clone().unwrap_or_default();
        }
        LEGACY
            .iter()
            .filter(|(writer, reader, _)| {
                *writer <= self.min_writer_version && *reader <= self.min_reader_version
            })
            .map(|(_, _, name)| name.to_string())
            .collect()
    }

    pub fn has(&self, feature: &str) -> bool {
        self.features().iter().any(|f| f == feature)
    }

    /// This protocol without a feature.
    pub fn without_feature(&self, feature: &str) -> Protocol {
        let mut features = self.features();
        features.retain(|f| f != feature);
        Self::of_features(features)
    }

    /// This protocol with what these versions stand for.
    pub fn with_versions(&self, reader: i32, writer: i32) -> Protocol {
        let mut features = self.features();
        features.extend(Self::of_versions(reader, writer).features());
        Self::of_features(features)
    }

    /// This protocol with more features.
    pub fn with_features(&self, added: &[&str]) -> Protocol {
        if added.iter().all(|f| self.has(f)) {
            return self.clone();
        }
        let mut features = self.features();
        for feature in added.iter().flat_map(|f| std::iter::once(f).chain(needed_by(f))) {
            features.push((*feature).to_string());
        }
        Self::of_features(features)
    }
}

/// Whether tables with the feature can be written.
pub(crate) fn is_known_feature(feature: &str) -> bool {
    WRITER_FEATURES.contains(&feature)
}

/// The features that another one does not go without.
fn needed_by(feature: &str) -> &'static [&'static str] {
    match feature {
        catalog_managed::FEATURE => &["inCommitTimestamp", "vacuumProtocolCheck"],
        "clustering" | "rowTracking" => &["domainMetadata"],
        "icebergCompatV1" | "icebergCompatV2" => &["columnMapping"],
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
    READER_FEATURES.contains(&feature)
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
    if !unknown.is_empty() {
        return Err(error::unsupported_read_features(location, &unknown));
    }
    if protocol.has(catalog_managed::FEATURE) && location.coordinator().is_none() {
        return Err(error::managed_by_a_catalog(location));
    }
    Ok(())
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
    if iceberg_compat::has_uniform(metadata) {
        return Err(Error::unsupported(format!(
            "a write to a table with UniForm ({})",
            iceberg_compat::UNIFORM_FORMATS
        )));
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
    if metadata.configuration.keys().any(|k| k.starts_with("delta.constraints.")) {
        needed.push("checkConstraints");
    }
    for (property, feature) in [
        ("delta.appendOnly", "appendOnly"),
        ("delta.enableChangeDataFeed", "changeDataFeed"),
        ("delta.enableDeletionVectors", "deletionVectors"),
        ("delta.enableIcebergCompatV1", "icebergCompatV1"),
        ("delta.enableIcebergCompatV2", "icebergCompatV2"),
        ("delta.enableInCommitTimestamps", "inCommitTimestamp"),
        ("delta.enableMaterializePartitionColumnsFeature", "materializePartitionColumns"),
        ("delta.enableTypeWidening", "typeWidening"),
        ("delta.enableVariantShredding", "variantShredding-preview"),
    ] {
        if metadata.is_on(property) {
            needed.push(feature);
        }
    }
    if metadata.is_on("delta.enableRowTracking") {
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
    fn versions_and_features_say_the_same() {
        // What delta-spark made of the same statements.
        let (plain, none) = (Protocol::default(), Protocol::of_features(Vec::new()));
        let versions = |p: &Protocol| (p.min_reader_version, p.min_writer_version);
        assert_eq!(versions(&none), (1, 1));
        assert_eq!(plain.with_versions(3, 7), plain);
        assert_eq!(versions(&plain.with_versions(2, 3)), (1, 3));
        assert_eq!(versions(&plain.with_versions(1, 5)), (1, 4));
        assert_eq!(versions(&plain.with_versions(2, 5)), (2, 5));
        assert_eq!(plain.with_versions(2, 5).with_versions(3, 7), plain.with_versions(2, 5));
        assert_eq!(versions(&plain.with_versions(1, 6)), (1, 6));
        assert_eq!(versions(&plain.with_versions(1, 6).with_versions(2, 5)), (2, 6));
        let mapped = plain.with_features(&["columnMapping"]);
        assert_eq!((versions(&mapped), mapped.reader_features.clone()), ((2, 7), None));
        let all = mapped.with_features(&["changeDataFeed", "checkConstraints", "generatedColumns"]);
        assert_eq!(versions(&all), (2, 5));
        assert_eq!(versions(&all.without_feature("checkConstraints")), (2, 7));
        let marked = all.with_features(&["deletionVectors"]);
        assert_eq!(versions(&marked), (3, 7));
        assert_eq!(marked.reader_features, Some(vec!["columnMapping".into(), "deletionVectors".into()]));
        assert_eq!(marked.without_feature("deletionVectors"), all);
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
