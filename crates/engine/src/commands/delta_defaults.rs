//! The properties of new Delta tables.

use boathouse_catalog::Properties;
use indexmap::IndexMap;

use crate::Session;

const DEFAULTS: &str = "spark.databricks.delta.properties.defaults.";
const DELETION_VECTORS: &str = "enableDeletionVectors";

/// Properties of the statement, then those of the session's defaults (`spark.databricks.delta.properties.defaults.*`) that
/// it does not name. Tables have deletion vectors where neither says otherwise, or asks for a protocol that does not know
/// them, or for files that Iceberg can read.
pub(super) fn properties(session: &Session, given: &Properties) -> Properties {
    let mut all = Properties::new();
    for (key, value) in given.iter().filter(|(k, _)| !k.starts_with("boathouse.constraints.")) {
        all.retain(|known, _| !known.eq_ignore_ascii_case(key));
        all.insert(key.clone(), value.clone());
    }
    let mut defaults = named(session);
    let vectors = format!("delta.{DELETION_VECTORS}");
    let for_iceberg = boathouse_delta::asks_for_iceberg(given.iter().chain(&defaults));
    if asks_for_old_protocol(given) {
        defaults.shift_remove(&vectors);
    } else if !for_iceberg && let Some(value) = session.conf().get(&format!("{DEFAULTS}{DELETION_VECTORS}")) {
        defaults.entry(vectors).or_insert(value);
    }
    for (key, value) in defaults {
        if !all.keys().any(|known| known.eq_ignore_ascii_case(&key)) {
            all.insert(key, value);
        }
    }
    all
}

/// The properties of new tables that the session names.
pub(super) fn named(session: &Session) -> IndexMap<String, String> {
    let set = session.conf().get_all(Some(DEFAULTS)).into_iter();
    set.map(|(key, value)| (format!("delta.{}", &key[DEFAULTS.len()..]), value)).collect()
}

/// Whether the statement names a protocol version below that of table features.
fn asks_for_old_protocol(given: &Properties) -> bool {
    let below = |key: &str, version: i32| {
        given
            .iter()
            .any(|(k, v)| k.eq_ignore_ascii_case(key) && v.trim().parse::<i32>().is_ok_and(|v| v < version))
    };
    below("delta.minReaderVersion", 3) || below("delta.minWriterVersion", 7)
}
