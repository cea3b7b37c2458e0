//! Settings of object stores as Hadoop names them.

use std::collections::BTreeMap;
use std::fmt;

/// What configurations of Spark have before a key of Hadoop's.
const SPARK_PREFIX: &str = "spark.hadoop.";

/// The keys that are about file systems.
const KEYS: [&str; 2] = ["fs.", "google.cloud.auth."];

/// Settings of object stores as Hadoop names them (`fs.azure.account.key.A.dfs.core.windows.net`), from a session. Without
/// any the environment alone says how stores are reached.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreSettings(BTreeMap<String, String>);

impl StoreSettings {
    /// Those of a configuration that are about stores, with and without `spark.hadoop.` before them; without goes first.
    pub fn of<'a>(configuration: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut settings, mut of_spark) = (BTreeMap::new(), BTreeMap::new());
        for (key, value) in configuration {
            let (key, into) = match key.strip_prefix(SPARK_PREFIX) {
                Some(key) => (key, &mut of_spark),
                None => (key, &mut settings),
            };
            if is_of_stores(key) {
                into.insert(key.to_string(), value.to_string());
            }
        }
        of_spark.append(&mut settings);
        Self(of_spark)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of some keys that has a value.
    pub(super) fn first<K: AsRef<str>>(&self, keys: impl IntoIterator<Item = K>) -> Option<&str> {
        keys.into_iter().find_map(|key| self.get(key.as_ref()))
    }
}

fn is_of_stores(key: &str) -> bool {
    KEYS.iter().any(|prefix| key.starts_with(prefix))
}

/// Keys alone: values are secrets.
impl fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_stores() {
        let set = |pairs: &[(&'static str, &'static str)]| StoreSettings::of(pairs.iter().copied());
        let found = set(&[
            ("fs.s3a.access.key", "plain"),
            ("spark.hadoop.fs.s3a.access.key", "of Spark"),
            ("spark.hadoop.fs.gs.auth.type", "UNAUTHENTICATED"),
            ("spark.sql.ansi.enabled", "true"),
            ("spark.hadoop.mapreduce.x", "1"),
        ]);
        assert_eq!(found.get("fs.s3a.access.key"), Some("plain"));
        assert_eq!(found.get("fs.gs.auth.type"), Some("UNAUTHENTICATED"));
        assert_eq!(format!("{found:?}"), r#"{"fs.gs.auth.type", "fs.s3a.access.key"}"#);
        assert!(set(&[("spark.sql.ansi.enabled", "true")]).is_empty());
    }
}
