//! The properties of new Delta tables.

use boathouse_catalog::Properties;

use crate::Session;

const DEFAULTS: &str = "spark.databricks.delta.properties.defaults.";
const DELETION_VECTORS: &str = "enableDeletionVectors";

/// Properties of the session's defaults (`spark.databricks.delta.properties.defaults.*`), then those of the statement.
/// Tables have deletion vectors where neither says otherwise, or asks for a protocol that does not know them.
pub(super) fn properties(session: &Session, given: &Properties) -> Properties {
    let mut all = Properties::new();
    if !asks_for_old_protocol(given)
        && let Some(value) = session.conf().get(&format!("{DEFAULTS}{DELETION_VECTORS}"))
    {
        all.insert(format!("delta.{DELETION_VECTORS}"), value);
    }
    for (key, value) in session.conf().get_all(Some(DEFAULTS)) {
        let name = &key[DEFAULTS.len()..];
        if name != DELETION_VECTORS {
            all.insert(format!("delta.{name}"), value);
        }
    }
    for (key, value) in given.iter().filter(|(k, _)| !k.starts_with("boathouse.constraints.")) {
        all.retain(|known, _| !known.eq_ignore_ascii_case(key));
        all.insert(key.clone(), value.clone());
    }
    all
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
