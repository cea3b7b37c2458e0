//! Spatial reference systems: the numbers and names that GEOMETRY and GEOGRAPHY types may have.

use std::sync::LazyLock;

use crate::{Error, Result};

/// Numbers in a row of one authority and kind.
struct Run {
    first: i32,
    last: i32,
    authority: &'static str,
    is_geographic: bool,
}

static RUNS: LazyLock<Vec<Run>> = LazyLock::new(|| {
    let run = |line: &'static str| {
        let mut parts = line.split('\t');
        Some(Run {
            first: parts.next()?.parse().ok()?,
            last: parts.next()?.parse().ok()?,
            authority: parts.next()?,
            is_geographic: parts.next()? == "G",
        })
    };
    include_str!("spatial_references.tsv").lines().filter_map(run).collect()
});

/// Systems that go by another name first, as the Parquet, Delta and Iceberg formats call them; all are geographic.
const OTHER_NAMES: [(i32, &str); 3] = [(4326, "OGC:CRS84"), (4267, "OGC:CRS27"), (4269, "OGC:CRS83")];

/// The name of the type whose values each have their own system.
const ANY: &str = "SRID:ANY";

/// The name of a system: of any for a geometry, of a geographic one for a geography.
fn name_of(srid: i32, is_geography: bool) -> Option<String> {
    if srid == 0 {
        return (!is_geography).then(|| "SRID:0".to_string());
    }
    let at = RUNS.partition_point(|run| run.last < srid);
    let run = RUNS.get(at).filter(|run| run.first <= srid)?;
    if is_geography && !run.is_geographic {
        return None;
    }
    let other = OTHER_NAMES.iter().find(|(known, _)| *known == srid);
    Some(other.map_or_else(|| format!("{}:{srid}", run.authority), |(_, name)| (*name).to_string()))
}

/// The name of a type's system, as schemas in JSON have it.
pub(crate) fn reference_name(srid: Option<i32>, is_geography: bool) -> String {
    srid.map_or_else(|| ANY.to_string(), |srid| name_of(srid, is_geography).unwrap_or_default())
}

/// The system that a schema in JSON names; `Some(None)`: each value has its own.
pub(crate) fn named_reference(name: &str, is_geography: bool) -> Option<Option<i32>> {
    if name.eq_ignore_ascii_case(ANY) {
        return Some(None);
    }
    if let Some((srid, _)) = OTHER_NAMES.iter().find(|(_, other)| *other == name) {
        return Some(Some(*srid));
    }
    let (authority, number) = name.split_once(':')?;
    let srid: i32 = number.parse().ok()?;
    let known = match srid {
        0 => authority == "SRID" && !is_geography,
        _ => RUNS.iter().any(|run| {
            (run.first..=run.last).contains(&srid)
                && run.authority == authority
                && (run.is_geographic || !is_geography)
        }),
    };
    known.then_some(Some(srid))
}

/// Refuses numbers that no system has.
pub fn check_srid(srid: i32, is_geography: bool) -> Result<i32> {
    if name_of(srid, is_geography).is_some() {
        return Ok(srid);
    }
    Err(Error::new("ST_INVALID_SRID_VALUE")
        .param("srid", srid)
        .message(format!("There is no spatial reference system {srid}, or none that serves here."))
        .exception("IllegalArgumentException"))
}

/// `spark.sql.geospatial.enabled` is off.
pub fn geospatial_disabled() -> Error {
    Error::new("UNSUPPORTED_FEATURE.GEOSPATIAL_DISABLED")
        .message(
            "Geospatial types and functions are turned off: set \"spark.sql.geospatial.enabled\" to true.",
        )
        .exception("AnalysisException")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_have_numbers_and_names() {
        assert_eq!(name_of(0, false).as_deref(), Some("SRID:0"));
        assert_eq!(name_of(0, true), None);
        assert_eq!(name_of(4326, true).as_deref(), Some("OGC:CRS84"));
        assert_eq!(name_of(3857, false).as_deref(), Some("EPSG:3857"));
        assert_eq!(name_of(3857, true), None);
        assert_eq!(name_of(115_953, false).as_deref(), Some("ESRI:115953"));
        assert!([77, 9999, 999_999, -1].iter().all(|srid| check_srid(*srid, false).is_err()));
        assert_eq!(named_reference("EPSG:4326", true), Some(Some(4326)));
        assert_eq!(named_reference("OGC:CRS84", false), Some(Some(4326)));
        assert_eq!(named_reference("srid:any", false), Some(None));
        assert_eq!(named_reference("EPSG:77", false), None);
    }
}
