//! What became of the columns of a Delta table that a stream reads: which of them were renamed, dropped or widened, and whether the
//! stream may go over that. delta-spark's `DeltaSourceMetadataEvolutionSupport` and `DeltaColumnMapping`.

use boathouse_delta::is_wider;
use boathouse_engine::Session;
use boathouse_spec::{DataType, Error, Options, Result, StructType};

use super::delta_tracking::Entry;
use crate::options::Given;

const PHYSICAL_NAME: &str = "delta.columnMapping.physicalName";

const CONF_PREFIX: &str = "spark.databricks.delta.streaming.";

/// A column or a field inside of one: by the names that files have, those that users have, and its type.
struct Place<'a> {
    physical: Vec<String>,
    logical: Vec<&'a str>,
    data_type: &'a DataType,
}

/// All columns and fields, those around others first.
fn places(schema: &StructType) -> Vec<Place<'_>> {
    let mut out = Vec::new();
    add_fields(schema, &[], &[], &mut out);
    out
}

fn add_fields<'a>(
    schema: &'a StructType,
    physical: &[String],
    logical: &[&'a str],
    out: &mut Vec<Place<'a>>,
) {
    for field in &schema.fields {
        let stored = field.metadata_map().get(PHYSICAL_NAME).and_then(|n| n.as_str().map(str::to_string));
        let mut physical = physical.to_vec();
        physical.push(stored.unwrap_or_else(|| field.name.clone()));
        let mut logical = logical.to_vec();
        logical.push(&field.name);
        out.push(Place { physical: physical.clone(), logical: logical.clone(), data_type: &field.data_type });
        add_inner(&field.data_type, physical, logical, out);
    }
}

fn add_inner<'a>(t: &'a DataType, physical: Vec<String>, logical: Vec<&'a str>, out: &mut Vec<Place<'a>>) {
    let mut inside = |name: &'static str, t: &'a DataType| {
        let mut physical = physical.clone();
        physical.push(name.to_string());
        let mut logical = logical.clone();
        logical.push(name);
        out.push(Place { physical: physical.clone(), logical: logical.clone(), data_type: t });
        add_inner(t, physical, logical, out);
    };
    match t {
        DataType::Struct(schema) => add_fields(schema, &physical, &logical, out),
        DataType::Array { element, .. } => inside("element", element),
        DataType::Map { key, value, .. } => {
            inside("key", key);
            inside("value", value);
        }
        _ => {}
    }
}

/// What two schemas of a table differ in, beyond what was added.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    renamed: Vec<(String, String)>,
    dropped: Vec<String>,
    widened: Vec<(String, String, String)>,
}

impl Changes {
    pub fn between(old: &StructType, new: &StructType) -> Self {
        let new = places(new);
        let mut changes = Self::default();
        for place in places(old) {
            let shown = place.logical.join(".");
            let Some(now) = new.iter().find(|n| n.physical == place.physical) else {
                let parent = changes.dropped.iter().any(|d| shown.starts_with(&format!("{d}.")));
                if !parent {
                    changes.dropped.push(shown);
                }
                continue;
            };
            if now.logical.last() != place.logical.last() {
                changes.renamed.push((shown.clone(), now.logical.join(".")));
            }
            if is_wider(place.data_type, now.data_type) && place.data_type != now.data_type {
                changes.widened.push((shown, place.data_type.sql(), now.data_type.sql()));
            }
        }
        changes
    }

    /// Whether columns were renamed or dropped, which only a table with mapped columns can go on from.
    pub fn moves_columns(&self) -> bool {
        !self.renamed.is_empty() || !self.dropped.is_empty()
    }

    fn name(&self) -> Option<&'static str> {
        Some(match (!self.renamed.is_empty(), !self.dropped.is_empty(), !self.widened.is_empty()) {
            (false, false, false) => return None,
            (true, false, false) => "RENAME COLUMN",
            (false, true, false) => "DROP COLUMN",
            (false, false, true) => "TYPE WIDENING",
            (true, true, false) => "RENAME AND DROP COLUMN",
            (true, false, true) => "RENAME AND TYPE WIDENING",
            (false, true, true) => "DROP AND TYPE WIDENING",
            (true, true, true) => "RENAME, DROP AND TYPE WIDENING",
        })
    }

    fn details(&self) -> String {
        let mut text = String::new();
        let mut list = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                text.push_str(&format!("{title}:\n{}\n", lines.join("\n")));
            }
        };
        list("Columns renamed", self.renamed.iter().map(|(a, b)| format!("'{a}' -> '{b}'")).collect());
        list("Columns dropped", self.dropped.iter().map(|a| format!("'{a}'")).collect());
        list(
            "Columns with widened types",
            self.widened.iter().map(|(c, a, b)| format!("'{c}': {a} -> {b}")).collect(),
        );
        text
    }

    /// The names of the options that let the stream go on, and those of the settings.
    fn keys(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let (renames, drops) = (!self.renamed.is_empty(), !self.dropped.is_empty());
        let (mut options, mut settings) = (Vec::new(), Vec::new());
        if renames {
            options.push(RENAME);
        }
        if drops {
            options.push(DROP);
        }
        match (renames, drops) {
            (true, true) => settings.push(BOTH),
            (true, false) => settings.push(RENAME),
            (false, true) => settings.push(DROP),
            (false, false) => {}
        }
        if !self.widened.is_empty() {
            options.push(TYPE);
            settings.push(TYPE);
        }
        (options, settings)
    }
}

const RENAME: &str = "allowSourceColumnRename";
const DROP: &str = "allowSourceColumnDrop";
const BOTH: &str = "allowSourceColumnRenameAndDrop";
const TYPE: &str = "allowSourceColumnTypeChange";

/// Lets the stream go on with an entry, in view of the one before, where only columns were added, or an option or a setting
/// says that whoever runs it has seen what else became of them.
pub(super) fn check_unblocked(
    session: &Session,
    options: &Options,
    source: &str,
    previous: &Entry,
    current: &Entry,
) -> Result<()> {
    let (old, new) = (previous.schema()?, current.schema()?);
    if changes_types(&old, &new) {
        return Err(schema_changed(current.delta_commit_version, &old, &new, false));
    }
    let changes = Changes::between(&old, &new);
    let Some(name) = changes.name() else { return Ok(()) };
    let unblocking = Unblocking { session, options, source, version: current.delta_commit_version };
    let allowed = |happened: bool, keys: &[&str]| !happened || keys.iter().any(|key| unblocking.allows(key));
    if allowed(!changes.renamed.is_empty(), &[RENAME, BOTH])
        && allowed(!changes.dropped.is_empty(), &[DROP, BOTH])
        && allowed(!changes.widened.is_empty(), &[TYPE])
    {
        return Ok(());
    }
    Err(unblocking.refused(name, previous.delta_commit_version, &changes))
}

struct Unblocking<'a> {
    session: &'a Session,
    options: &'a Options,
    source: &'a str,
    version: i64,
}

impl Unblocking<'_> {
    /// Whether an option or a setting says `always`, or the version of the change.
    fn allows(&self, key: &str) -> bool {
        let version = self.version.to_string();
        let says = |value: Option<String>, this: bool| {
            value.is_some_and(|v| v.eq_ignore_ascii_case("always") || (this && v == version))
        };
        let setting = |suffix: &str| self.session.conf().get(&format!("{CONF_PREFIX}{key}{suffix}"));
        says(Given(self.options).text(key).map(str::to_string), true)
            || says(setting(""), false)
            || says(setting(&format!(".ckpt_{}", java_hash(self.source))), true)
    }

    fn refused(&self, name: &str, since: i64, changes: &Changes) -> Error {
        let (options, settings) = changes.keys();
        let (version, hash) = (self.version, java_hash(self.source));
        let lines = |keys: &[&str], line: &dyn Fn(&str) -> String| {
            keys.iter().map(|key| line(key)).collect::<Vec<_>>().join("\n")
        };
        let option = |value: &str| lines(&options, &|key| format!("  .option(\"{key}\", \"{value}\")"));
        let setting = |suffix: &str, value: &str| {
            lines(&settings, &|key| format!("  SET {CONF_PREFIX}{key}{suffix} = {value};"))
        };
        let of_stream = format!(".ckpt_{hash}");
        let parameters = [
            ("opType", name.to_string()),
            ("previousSchemaChangeVersion", since.to_string()),
            ("currentSchemaChangeVersion", version.to_string()),
            ("columnChangeDetails", changes.details()),
            ("unblockChangeOptions", option(&version.to_string())),
            ("unblockStreamOptions", option("always")),
            ("unblockChangeConfs", setting(&of_stream, &version.to_string())),
            ("unblockStreamConfs", setting(&of_stream, "\"always\"")),
            ("unblockAllConfs", setting("", "\"always\"")),
        ];
        let [_, _, _, details, change_options, stream_options, change_confs, stream_confs, all_confs] =
            parameters.clone().map(|(_, value)| value);
        let text = format!(
            "We've detected one or more non-additive schema change(s) ({name}) between Delta version {since} and {version} in the Delta \
             streaming source.\nChanges: \n{details}\nPlease check if you want to manually propagate the schema change(s) to the sink table \
             before we proceed with stream processing using the finalized schema at version {version}.\nOnce you have fixed the schema of \
             the sink table or have decided there is no need to fix, you can set the following configuration(s) to unblock the \
             non-additive schema change(s) and continue stream processing.\n\nUsing dataframe reader option(s):\nTo unblock for this \
             particular stream just for this series of schema change(s):\n{change_options}\nTo unblock for this particular \
             stream:\n{stream_options}\n\nUsing SQL configuration(s):\nTo unblock for this particular stream just for this series of schema \
             change(s):\n{change_confs}\nTo unblock for this particular stream:\n{stream_confs}\nTo unblock for all streams:\n{all_confs}\n"
        );
        let error = Error::new("DELTA_STREAMING_CANNOT_CONTINUE_PROCESSING_POST_SCHEMA_EVOLUTION");
        let error = parameters.into_iter().fold(error, |error, (key, value)| error.param(key, value));
        error.message(text).exception("RuntimeException")
    }
}

/// `String.hashCode` of Java, which names a checkpoint in settings.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// Whether a column that is still there has a type that values of the old one cannot be read as.
fn changes_types(old: &StructType, new: &StructType) -> bool {
    let new = places(new);
    places(old).iter().any(|place| {
        let now = new.iter().find(|n| n.physical == place.physical);
        now.is_some_and(|now| !holds(place.data_type, now.data_type))
    })
}

/// Whether values of a type are read as another, fields inside of them aside.
fn holds(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Struct(_), DataType::Struct(_))
        | (DataType::Array { .. }, DataType::Array { .. })
        | (DataType::Map { .. }, DataType::Map { .. }) => true,
        (from, to) => from.same_type(to) || is_wider(from, to),
    }
}

/// Whether rows of a schema can be read with another: all columns are there, of the same types or wider ones, and where one may be
/// NULL, so it may there (`SchemaUtils.isReadCompatible`).
pub(super) fn is_readable(existing: &StructType, read: &StructType) -> bool {
    existing.fields.iter().all(|field| {
        let found = read.fields.iter().find(|f| f.name.eq_ignore_ascii_case(&field.name));
        found.is_some_and(|f| {
            (f.nullable || !field.nullable) && type_is_readable(&field.data_type, &f.data_type)
        })
    })
}

fn type_is_readable(existing: &DataType, read: &DataType) -> bool {
    match (existing, read) {
        (DataType::Struct(a), DataType::Struct(b)) => is_readable(a, b),
        (DataType::Array { element: a, .. }, DataType::Array { element: b, .. }) => type_is_readable(a, b),
        (DataType::Map { key: a, value: v, .. }, DataType::Map { key: b, value: w, .. }) => {
            type_is_readable(a, b) && type_is_readable(v, w)
        }
        (a, b) => holds(a, b),
    }
}

/// The stream cannot read on: columns are not those that it began with.
pub(super) fn schema_changed(version: i64, old: &StructType, new: &StructType, has_start: bool) -> Error {
    let (class, more) = match has_start {
        false => ("DELTA_SCHEMA_CHANGED_WITH_VERSION", String::new()),
        true => (
            "DELTA_SCHEMA_CHANGED_WITH_STARTING_OPTIONS",
            format!(
                " If the issue persists after\nchanging to a new checkpoint directory, you may need to change the \
                 existing\n'startingVersion' or 'startingTimestamp' option to start from a version newer than\n{version} with a new \
                 checkpoint directory."
            ),
        ),
    };
    let (read, data) = (old.tree_string(None), new.tree_string(None));
    Error::new(class)
        .param("version", version)
        .param("readSchema", &read)
        .param("dataSchema", &data)
        .message(format!(
            "Detected schema change in version {version}:\nstreaming source schema: {read}\n\ndata file schema: {data}\n\nPlease try \
             restarting the query. If this issue repeats across query restarts without\nmaking progress, you have made an incompatible \
             schema change and need to start your\nquery from scratch using a new checkpoint directory.{more}\n"
        ))
        .exception("IllegalStateException")
}

/// The stream cannot read on without a log of schemas.
pub(super) fn needs_tracking(old: &StructType, new: &StructType) -> Error {
    let link = "https://docs.delta.io/latest/versioning.html#column-mapping";
    Error::new("DELTA_STREAMING_INCOMPATIBLE_SCHEMA_CHANGE_USE_SCHEMA_LOG")
        .param("docLink", link)
        .param("readSchema", old.json())
        .param("incompatibleSchema", new.json())
        .message(format!(
            "Streaming read is not supported on tables with read-incompatible schema changes (e.g. rename or drop or datatype \
             changes).\nPlease provide a 'schemaTrackingLocation' to enable non-additive schema evolution for Delta stream \
             processing.\nSee {link} for more details.\nRead schema: {}. Incompatible data schema: {}.",
            old.json(),
            new.json()
        ))
        .exception("UnsupportedOperationException")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> StructType {
        boathouse_sql::parse_schema(text).unwrap()
    }

    fn mapped(text: &str, physical: &[&str]) -> StructType {
        let mut schema = schema(text);
        for (field, name) in schema.fields.iter_mut().zip(physical) {
            field.metadata = format!("{{\"{PHYSICAL_NAME}\":\"{name}\"}}");
        }
        schema
    }

    #[test]
    fn changes_are_told_by_the_names_in_files() {
        let old = mapped("a INT, b STRING, s STRUCT<x: INT, y: INT>", &["p", "q", "r"]);
        let new = mapped("s STRUCT<x: BIGINT>, c STRING, d INT", &["r", "q", "z"]);
        let changes = Changes::between(&old, &new);
        assert_eq!(changes.renamed, [("b".to_string(), "c".to_string())]);
        assert_eq!(changes.dropped, ["a", "s.y"]);
        assert_eq!(changes.widened, [("s.x".to_string(), "INT".to_string(), "BIGINT".to_string())]);
        assert_eq!(changes.name(), Some("RENAME, DROP AND TYPE WIDENING"));
        assert_eq!(changes.keys(), (vec![RENAME, DROP, TYPE], vec![BOTH, TYPE]));
        assert_eq!(Changes::between(&schema("a INT"), &schema("a INT, b INT")), Changes::default());
        assert!(changes_types(&schema("a BIGINT"), &schema("a INT")) && !changes_types(&old, &new));
    }

    #[test]
    fn what_can_be_read() {
        assert!(is_readable(&schema("a INT"), &schema("a BIGINT, b INT")));
        assert!(!is_readable(&schema("a INT, b INT"), &schema("a INT")));
        assert!(!is_readable(&schema("a INT"), &schema("a INT NOT NULL")));
        assert!(is_readable(&schema("a STRUCT<x: INT>"), &schema("a STRUCT<x: INT, y: INT>")));
    }

    /// What `hashCode` of Java 17 gives, by which delta-spark 4.4 names checkpoints.
    #[test]
    fn checkpoints_have_javas_hash() {
        assert_eq!(java_hash("file:/data/my table/checkpoint/sources/0"), -1633340365);
    }
}
