//! English names of time zones, as Java writes and reads them. The table is made by `tools/zone_names.py`.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The names of a zone in English.
#[derive(Debug, Clone, Copy)]
pub struct ZoneNames {
    pub short_standard: &'static str,
    pub short_daylight: &'static str,
    pub long_standard: &'static str,
    pub long_daylight: &'static str,
    pub short_generic: &'static str,
    pub long_generic: &'static str,
}

static TABLE: &str = include_str!("zone_names.tsv");

static BY_ZONE: LazyLock<HashMap<&'static str, ZoneNames>> = LazyLock::new(|| {
    let mut map = HashMap::new();
    for line in TABLE.lines() {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let ["Z", ss, sd, ls, ld, sg, lg, zones] = columns.as_slice() else { continue };
        let names = ZoneNames {
            short_standard: ss,
            short_daylight: sd,
            long_standard: ls,
            long_daylight: ld,
            short_generic: sg,
            long_generic: lg,
        };
        map.extend(zones.split(' ').map(|zone| (zone, names)));
    }
    map
});

/// Lower-case names and lower-case ids, longest first, with the zone that Java takes each for.
static BY_NAME: LazyLock<Vec<(String, &'static str)>> = LazyLock::new(|| {
    let mut names = Vec::new();
    for line in TABLE.lines() {
        let columns: Vec<&'static str> = line.split('\t').collect();
        match columns.as_slice() {
            ["P", name, zone] => names.push((name.to_lowercase(), *zone)),
            ["Z", _, _, _, _, _, _, zones] => names.extend(zones.split(' ').map(|z| (z.to_lowercase(), z))),
            _ => {}
        }
    }
    names.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
    names
});

/// The names of the zone with that id.
pub fn names_of(zone: &str) -> Option<&'static ZoneNames> {
    BY_ZONE.get(zone)
}

/// The longest zone id (and, with `names`, English zone name) at the start of a text in any case: its length in bytes
/// and the zone's id.
pub fn longest_prefix(text: &str, names: bool) -> Option<(usize, &'static str)> {
    BY_NAME.iter().find_map(|(name, zone)| {
        let matches = text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        (matches && (names || zone.eq_ignore_ascii_case(name))).then_some((name.len(), *zone))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_javas() {
        assert_eq!(names_of("Europe/Paris").map(|n| n.long_daylight), Some("Central European Summer Time"));
        assert_eq!(longest_prefix("pst rest", true), Some((3, "America/Los_Angeles")));
        assert_eq!(longest_prefix("pst rest", false), None);
        assert_eq!(longest_prefix("europe/paris", false), Some((12, "Europe/Paris")));
    }
}
