//! Session configuration: Spark's keys, validated, with defaults.

mod keys;
mod zone;

use std::collections::BTreeMap;

use boathouse_connectors::StoreSettings;
use boathouse_formats::binary_style::BinaryStyle;
use boathouse_formats::zone::Zone;
use boathouse_functions::{Context, MapKeyPolicy};
use boathouse_spec::{Error, Expr, Result, clock};
use boathouse_sql::ParserOptions;
use parking_lot::RwLock;

pub(crate) use keys::{KeyKind, known_keys};
pub(crate) use zone::local_zone;

const TIME_ZONE: &str = "spark.sql.session.timeZone";

/// The settings of one session.
#[derive(Debug, Default)]
pub struct SessionConf {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default, Clone)]
struct Inner {
    set: BTreeMap<String, String>,
    /// What functions need to know, without the time of the query; rebuilt after a change.
    context: Option<Context>,
    /// Values of static keys, given when the engine was opened.
    fixed: BTreeMap<String, String>,
    /// The zone of the machine: what sessions begin with, and come back to, as in Spark.
    zone: Option<String>,
}

impl Clone for SessionConf {
    fn clone(&self) -> Self {
        Self { inner: RwLock::new(self.inner.read().clone()) }
    }
}

impl SessionConf {
    /// A configuration in which the static keys have these values.
    pub(crate) fn with_fixed(fixed: BTreeMap<String, String>) -> Self {
        Self { inner: RwLock::new(Inner { fixed, zone: zone::named_zone(), ..Inner::default() }) }
    }

    /// The value set, or the key's default.
    pub fn get(&self, key: &str) -> Option<String> {
        let key = keys::current_name(key);
        let inner = self.inner.read();
        lookup(&inner, key, 0)
    }

    /// The value set, or the default as Spark shows it; an error where there is neither.
    pub fn require(&self, key: &str) -> Result<String> {
        self.get(key).ok_or_else(|| {
            Error::new("SQL_CONF_NOT_FOUND")
                .param("sqlConf", format!("\"{key}\""))
                .message(format!("The configuration \"{key}\" is not set and has no default."))
        })
    }

    /// Whether a value was set in this session.
    pub fn is_set(&self, key: &str) -> bool {
        self.inner.read().set.contains_key(keys::current_name(key))
    }

    /// Sets a key, after checking that it may change and that the value fits it.
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        let key = keys::current_name(key);
        self.check_modifiable(key)?;
        if let Some(known) = keys::find(key) {
            known.check(value)?;
        }
        let mut inner = self.inner.write();
        inner.set.insert(key.to_string(), value.to_string());
        inner.context = None;
        Ok(())
    }

    /// Sets a key without a check: it was set in another session, or tells something to users.
    pub(crate) fn note(&self, key: &str, value: &str) {
        let mut inner = self.inner.write();
        inner.set.insert(key.to_string(), value.to_string());
        inner.context = None;
    }

    /// Back to the default.
    pub fn unset(&self, key: &str) -> Result<()> {
        let key = keys::current_name(key);
        self.check_modifiable(key)?;
        let mut inner = self.inner.write();
        inner.set.remove(key);
        inner.context = None;
        Ok(())
    }

    /// All keys back to their defaults.
    pub fn reset(&self) {
        let mut inner = self.inner.write();
        inner.set.clear();
        inner.context = None;
    }

    /// What was set, with keys starting with `prefix`.
    pub fn get_all(&self, prefix: Option<&str>) -> Vec<(String, String)> {
        let inner = self.inner.read();
        let mut all = inner.fixed.clone();
        all.extend(inner.set.clone());
        all.into_iter().filter(|(k, _)| prefix.is_none_or(|p| k.starts_with(p))).collect()
    }

    /// What was set in this session.
    pub fn changed(&self) -> Vec<(String, String)> {
        self.inner.read().set.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// What was set of how object stores are reached.
    pub(crate) fn stores(&self) -> StoreSettings {
        let inner = self.inner.read();
        StoreSettings::of(inner.set.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    }

    /// What was set of the keys that change what queries mean: recorded with views and functions.
    pub(crate) fn recorded(&self) -> Vec<(String, String)> {
        let inner = self.inner.read();
        let mut recorded: Vec<(String, String)> = inner
            .set
            .iter()
            .filter(|(k, _)| k.starts_with("spark.sql.") && !keys::is_session_only(k))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        for key in ["spark.sql.ansi.enabled", TIME_ZONE] {
            if !recorded.iter().any(|(k, _)| k == key)
                && let Some(value) = lookup(&inner, key, 0)
            {
                recorded.push((key.to_string(), value));
            }
        }
        recorded
    }

    /// The same settings with others in place of some: those recorded with a view.
    pub(crate) fn overlaid<'a>(&self, with: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut inner = self.inner.read().clone();
        for (key, value) in with {
            inner.set.insert(key.to_string(), value.to_string());
        }
        inner.context = None;
        Self { inner: RwLock::new(inner) }
    }

    /// Whether the key may change while the session runs.
    pub fn is_modifiable(&self, key: &str) -> bool {
        keys::find(keys::current_name(key)).is_some_and(|k| k.kind == KeyKind::Runtime)
    }

    fn check_modifiable(&self, key: &str) -> Result<()> {
        match keys::find(key).map(|k| k.kind) {
            Some(KeyKind::Static) => Err(Error::new("CANNOT_MODIFY_STATIC_CONFIG")
                .param("key", format!("\"{key}\""))
                .message(format!(
                    "\"{key}\" is fixed when the server starts and cannot be changed by a session."
                ))
                .exception("AnalysisException")),
            Some(KeyKind::Core) if self.flag("spark.sql.legacy.setCommandRejectsSparkCoreConfs") => {
                Err(Error::new("CANNOT_MODIFY_CONFIG")
                    .param("key", format!("\"{key}\""))
                    .param("docroot", "https://spark.apache.org/docs/latest")
                    .message(format!("\"{key}\" configures the cluster and cannot be changed by a session."))
                    .exception("AnalysisException"))
            }
            _ => Ok(()),
        }
    }

    pub fn flag(&self, key: &str) -> bool {
        self.get(key).is_some_and(|v| v.trim().eq_ignore_ascii_case("true"))
    }

    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        self.get(key)?.trim().parse().ok()
    }

    /// The same of a key without a default of its own here: only where it was set.
    pub(crate) fn set_integer(&self, key: &str) -> Option<i64> {
        self.is_set(key).then(|| self.integer(key)).flatten()
    }

    /// A size in bytes: `128m`, `134217728b`, `1g`.
    pub(crate) fn bytes(&self, key: &str) -> Option<i64> {
        keys::parse_bytes(&self.get(key)?)
    }

    pub fn ansi(&self) -> bool {
        self.flag("spark.sql.ansi.enabled")
    }

    /// `GROUP BY 1` names a column of the select list.
    pub(crate) fn group_by_ordinal(&self) -> bool {
        self.flag("spark.sql.groupByOrdinal")
    }

    /// `GROUP BY a` may name an alias of the select list.
    pub(crate) fn group_by_aliases(&self) -> bool {
        self.flag("spark.sql.groupByAliases")
    }

    /// `ORDER BY 1` names a column of the select list.
    pub(crate) fn order_by_ordinal(&self) -> bool {
        self.flag("spark.sql.orderByOrdinal")
    }

    /// What the parser needs to know.
    pub fn parser_options(&self) -> ParserOptions {
        ParserOptions {
            ansi: self.ansi(),
            enforce_reserved_keywords: self.flag("spark.sql.ansi.enforceReservedKeywords"),
            double_quoted_identifiers: self.flag("spark.sql.ansi.doubleQuotedIdentifiers"),
            escaped_string_literals: self.flag("spark.sql.parser.escapedStringLiterals"),
            quoted_regex_column_names: self.flag("spark.sql.parser.quotedRegexColumnNames"),
            having_as_where: self.flag("spark.sql.legacy.parser.havingWithoutGroupByAsWhere"),
            legacy_set_operation_precedence: self.flag("spark.sql.legacy.setopsPrecedence.enabled"),
            exponent_literal_as_decimal: self.flag("spark.sql.legacy.exponentLiteralAsDecimal.enabled"),
            legacy_interval: self.flag("spark.sql.legacy.interval.enabled"),
            no_geospatial: !self.flag("spark.sql.geospatial.enabled"),
            no_pipes: !self.flag("spark.sql.operatorPipeSyntaxEnabled"),
            cursors: self.flag("spark.sql.scripting.cursorEnabled"),
            legacy_identifier_clause: self.flag("spark.sql.legacy.identifierClause"),
            bang_equals_not: self.flag("spark.sql.legacy.bangEqualsNot"),
            consecutive_string_literals: self.flag("spark.sql.legacy.consecutiveStringLiterals.enabled"),
            char_varchar_as_string: self.flag("spark.sql.legacy.charVarcharAsString"),
            timestamp_ntz: self
                .get("spark.sql.timestampType")
                .is_some_and(|t| t.eq_ignore_ascii_case("TIMESTAMP_NTZ")),
            ..ParserOptions::default()
        }
    }

    /// Parses the text of an expression under these settings.
    pub(crate) fn parse_expression(&self, text: &str) -> Result<Expr> {
        boathouse_sql::parse_expression_with(text, &self.parser_options())
    }

    /// The session's time zone.
    pub fn zone(&self) -> Zone {
        let name = self.get(TIME_ZONE);
        name.and_then(|name| Zone::parse(&name)).unwrap_or(Zone::UTC)
    }

    /// What functions need to know, at this moment.
    pub fn function_context(&self) -> Context {
        if let Some(context) = &self.inner.read().context {
            return Context { now_us: clock::now_us(), ..context.clone() };
        }
        let context = self.build_context();
        self.inner.write().context = Some(context.clone());
        context
    }

    fn build_context(&self) -> Context {
        let name = self.get(TIME_ZONE).unwrap_or_else(|| "UTC".into());
        let is = |key: &str, value: &str| self.get(key).is_some_and(|v| v.eq_ignore_ascii_case(value));
        Context {
            ansi: self.ansi(),
            timezone_name: name.into(),
            map_key_policy: if is("spark.sql.mapKeyDedupPolicy", "LAST_WIN") {
                MapKeyPolicy::LastWins
            } else {
                MapKeyPolicy::Exception
            },
            allow_precision_loss: self.flag("spark.sql.decimalOperations.allowPrecisionLoss"),
            strict_time_parser: !is("spark.sql.legacy.timeParserPolicy", "LEGACY"),
            size_of_null: self.flag("spark.sql.legacy.sizeOfNull") && !self.ansi(),
            timestamp_ntz_default: is("spark.sql.timestampType", "TIMESTAMP_NTZ"),
            case_sensitive: self.flag("spark.sql.caseSensitive"),
            java_charsets: self.flag("spark.sql.legacy.javaCharsets"),
            replaces_coding_errors: self.flag("spark.sql.legacy.codingErrorAction"),
            base64_in_lines: self.flag("spark.sql.chunkBase64String.enabled"),
            inserts_before_last: self.flag("spark.sql.legacy.negativeIndexInArrayInsert"),
            concat_binary_as_string: self.flag("spark.sql.function.concatBinaryAsString"),
            elt_output_as_string: self.flag("spark.sql.function.eltOutputAsString"),
            legacy_interval: self.flag("spark.sql.legacy.interval.enabled"),
            geospatial: self.flag("spark.sql.geospatial.enabled"),
            binary_style: BinaryStyle::named(self.get("spark.sql.binaryOutputStyle").as_deref()),
            now_us: clock::now_us(),
        }
    }
}

/// The value of a key; some defaults are the value of another key.
fn lookup(inner: &Inner, key: &str, depth: usize) -> Option<String> {
    if let Some(value) = inner.set.get(key).or_else(|| inner.fixed.get(key)) {
        return Some(value.clone());
    }
    if key == TIME_ZONE && inner.zone.is_some() {
        return inner.zone.clone();
    }
    let known = keys::find(key)?;
    match (&known.default, &known.default_from) {
        (Some(value), _) => Some(known.read_default(value)),
        (None, Some(other)) if depth < 4 => lookup(inner, other, depth + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_changes() {
        let conf = SessionConf::default();
        assert_eq!(conf.get("spark.sql.shuffle.partitions").as_deref(), Some("200"));
        assert_eq!(conf.get("foo.bar"), None);
        conf.set("foo.bar", "3").unwrap();
        assert_eq!(conf.get("foo.bar").as_deref(), Some("3"));
        conf.set("mapred.reduce.tasks", "5").unwrap();
        assert_eq!(conf.get("spark.sql.shuffle.partitions").as_deref(), Some("5"));
        conf.reset();
        assert_eq!(conf.get("spark.sql.shuffle.partitions").as_deref(), Some("200"));
    }

    #[test]
    fn refusals_have_sparks_classes() {
        let conf = SessionConf::default();
        let class = |key: &str, value: &str| conf.set(key, value).unwrap_err().class().to_string();
        assert_eq!(class("spark.executor.memory", "1g"), "CANNOT_MODIFY_CONFIG");
        assert_eq!(class("spark.sql.warehouse.dir", "/x"), "CANNOT_MODIFY_STATIC_CONFIG");
        assert_eq!(class("spark.sql.shuffle.partitions", "abc"), "INVALID_CONF_VALUE.TYPE_MISMATCH");
        assert_eq!(class("spark.sql.shuffle.partitions", "-1"), "INVALID_CONF_VALUE.REQUIREMENT");
        assert_eq!(class("spark.sql.session.timeZone", "Foo/Bar"), "INVALID_CONF_VALUE.TIME_ZONE");
        assert_eq!(
            class("spark.sql.storeAssignmentPolicy", "foo"),
            "INVALID_CONF_VALUE.OUT_OF_RANGE_OF_OPTIONS"
        );
        assert_eq!(class("spark.sql.files.maxPartitionBytes", "zzz"), "INVALID_CONF_VALUE.TYPE_MISMATCH");
        conf.set("spark.sql.files.maxPartitionBytes", "128m").unwrap();
        assert_eq!(conf.bytes("spark.sql.files.maxPartitionBytes"), Some(128 << 20));
    }
}
