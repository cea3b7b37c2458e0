//! `cloudFiles`: files as they arrive, with a schema that is found, kept, and grows.
//!
//! Files are found by listing. A file is read once however old it is; which ones were read is kept like a file stream's.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_connectors::ResolvedPath;
use boathouse_connectors::layout::Depth;
use boathouse_connectors::listing::Found;
use boathouse_engine::Session;
use boathouse_spec::{DataSourceRef, DataType, Error, Options, Result, StructField, StructType, option};
use datafusion::catalog::TableProvider;

use super::cleaner::{self, Cleaner, Cleaning};
use super::file_listing::Place;
use super::file_rules::{self, Rules};
use super::file_stream::{self, FileStream};
use super::schema_hints::{self, Hint};
use super::schema_log::SchemaLog;
use super::{Limit, Source};
use crate::checkpoint::Directory;
use crate::options::{Given, invalid};

/// Files a batch takes where no option says.
const DEFAULT_MAX_FILES: i64 = 1000;

/// Files that a schema is found from.
const SAMPLED_FILES: usize = 1000;

const PREFIX: &str = "cloudFiles.";

/// The option that names the column of rescued data, and the column where a schema is found and no option names one.
const RESCUED: (&str, &str) = ("rescuedDataColumn", "_rescued_data");

/// Options that have a meaning here, without their prefix.
const KNOWN: &[&str] = &[
    "allowoverwrites",
    "backfillinterval",
    "cleansource",
    "cleansource.movedestination",
    "cleansource.retentionduration",
    "format",
    "includeexistingfiles",
    "infercolumntypes",
    "inferschema",
    "maxbytespertrigger",
    "maxfileage",
    "maxfilespertrigger",
    "partitioncolumns",
    "schemaevolutionmode",
    "schemahints",
    "schemalocation",
    "useincrementallisting",
    "usemanagedfileevents",
    "usenotifications",
    "usestrictglobber",
    "validateoptions",
];

/// Ways to be told of files by a queue of the cloud: only to switch them off has a meaning here.
const NOTIFICATIONS: [&str; 2] = ["cloudFiles.useNotifications", "cloudFiles.useManagedFileEvents"];

/// Each batch lists all files, so that no way of listing finds others.
fn refuse_notifications(given: Given<'_>) -> Result<()> {
    for key in NOTIFICATIONS {
        if given.flag(key, false)? {
            return Err(Error::unsupported(format!(
                "{key} = true: files are found by listing, which is what its absence means"
            )));
        }
    }
    let key = "cloudFiles.useIncrementalListing";
    match given.text(key).map(str::to_lowercase).as_deref() {
        None | Some("auto" | "true" | "false") => Ok(()),
        Some(other) => Err(invalid(key, other, "it must be 'auto', 'true' or 'false'")),
    }
}

/// What becomes of columns that the schema does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evolution {
    /// They are noted and the query fails; started again, it has them.
    AddNewColumns,
    FailOnNewColumns,
    /// They are kept in the column of rescued data.
    Rescue,
    /// They are left out, unless an option names a column for them.
    None,
}

impl Evolution {
    /// Whether new columns end the query.
    fn watches(self) -> bool {
        matches!(self, Self::AddNewColumns | Self::FailOnNewColumns)
    }
}

struct Settings {
    format: String,
    /// Options of the format.
    reader: Options,
    infer_types: bool,
    hints: Vec<Hint>,
    evolution: Evolution,
    schema_location: Option<String>,
}

impl Settings {
    fn parse(source: &DataSourceRef) -> Result<Self> {
        let given = Given(&source.options);
        for (key, _) in &source.options {
            let lower = key.to_lowercase();
            if let Some(name) = lower.strip_prefix("cloudfiles.")
                && !KNOWN.contains(&name)
            {
                return Err(Error::unsupported(format!("the option {key}")));
            }
        }
        let text = |name: &str| given.text(&format!("{PREFIX}{name}"));
        refuse_notifications(given)?;
        // There is never a file that a backfill would find, either.
        given.duration_ms("cloudFiles.backfillInterval")?;
        let format = text("format").unwrap_or("json").to_lowercase();
        let rescues = boathouse_connectors::Format::find(&format)?.rescues();
        let reader =
            source.options.iter().filter(|(k, _)| !k.to_lowercase().starts_with("cloudfiles.")).cloned();
        let evolution = match text("schemaEvolutionMode").map(str::to_lowercase).as_deref() {
            None if source.schema.is_some() => Evolution::None,
            None | Some("addnewcolumns") => Evolution::AddNewColumns,
            Some("failonnewcolumns") => Evolution::FailOnNewColumns,
            Some("none") => Evolution::None,
            Some("rescue") if rescues => Evolution::Rescue,
            Some(mode @ ("rescue" | "addnewcolumnswithtypewidening")) => {
                return Err(Error::unsupported(format!(
                    "cloudFiles.schemaEvolutionMode = {mode} of files of the format {format}"
                )));
            }
            Some(other) => {
                return Err(invalid(
                    "cloudFiles.schemaEvolutionMode",
                    other,
                    "it must be 'addNewColumns', 'failOnNewColumns', 'rescue' or 'none'",
                ));
            }
        };
        if source.schema.is_some() && evolution == Evolution::AddNewColumns {
            return Err(Error::new("CF_ADD_NEW_NOT_SUPPORTED")
                .message("Schema evolution mode addNewColumns is not supported when the schema is specified.")
                .exception("AnalysisException"));
        }
        let mut reader: Options = reader.collect();
        let adds_column =
            source.schema.is_none() && evolution != Evolution::None || evolution == Evolution::Rescue;
        if rescues && adds_column && option(&reader, RESCUED.0).is_none() {
            reader.push((RESCUED.0.to_string(), RESCUED.1.to_string()));
        }
        Ok(Self {
            format,
            reader,
            // Column types are found unless the query asks for text: comparing text with numbers fails in ANSI mode.
            infer_types: given
                .flag("cloudFiles.inferColumnTypes", given.flag("cloudFiles.inferSchema", true)?)?,
            hints: text("schemaHints").map(schema_hints::parse).transpose()?.unwrap_or_default(),
            evolution,
            schema_location: text("schemaLocation").map(str::to_string),
        })
    }

    fn place(&self, session: &Arc<Session>, source: &DataSourceRef) -> Result<Place> {
        Place::new(
            &self.format,
            &DataSourceRef { options: self.reader.clone(), ..with_paths(source) },
            session.file_context()?,
            // Auto Loader looks into all directories.
            Depth::Everything,
        )
    }

    /// A schema with the column of rescued data, where there is one.
    fn with_rescued(&self, mut schema: StructType) -> StructType {
        if let Some(name) = option(&self.reader, RESCUED.0)
            && schema.field(name).is_none()
        {
            schema.fields.push(StructField::new(name, DataType::STRING, true));
        }
        schema
    }

    /// The columns of files, with the hints in force.
    async fn infer(&self, place: &Place, root: &ResolvedPath, found: Vec<Found>) -> Result<StructType> {
        let mut place = place.clone();
        let (key, value) = match self.format.as_str() {
            "json" => ("primitivesAsString", (!self.infer_types).to_string()),
            _ => ("inferSchema", self.infer_types.to_string()),
        };
        if Given(&place.options).text(key).is_none() {
            place.options.push((key.to_string(), value));
        }
        let found = found.into_iter().take(SAMPLED_FILES).collect();
        let table = file_stream::open(&place, None, root, found).await?;
        // What is rescued is no column of the files.
        let mut schema = table.spark_schema().clone();
        schema.fields.retain(|f| option(&self.reader, RESCUED.0).is_none_or(|name| f.name != name));
        schema_hints::apply(&schema, &self.hints)
    }
}

/// `load(path)` and the option `path` are one.
fn with_paths(source: &DataSourceRef) -> DataSourceRef {
    let mut source = source.clone();
    if source.paths.is_empty()
        && let Some(path) = boathouse_spec::option(&source.options, "path")
    {
        source.paths.push(path.to_string());
    }
    source
}

/// The columns of the stream, outside of a query.
pub(super) async fn schema(session: &Arc<Session>, source: &DataSourceRef) -> Result<StructType> {
    let options = Settings::parse(source)?;
    let place = options.place(session, source)?;
    if let Some(given) = &source.schema {
        return Ok(options.with_rescued(given.clone()));
    }
    if let Some(location) = &options.schema_location
        && let Some((_, known)) = SchemaLog::new(&Directory::open(session, location)?).latest().await?
    {
        return Ok(options.with_rescued(schema_hints::apply(&known, &options.hints)?));
    }
    let (root, found) = place.list().await?;
    Ok(options.with_rescued(infer_some(&options, &place, &root, found).await?))
}

async fn infer_some(
    options: &Settings,
    place: &Place,
    root: &ResolvedPath,
    found: Vec<Found>,
) -> Result<StructType> {
    let declared = matches!(options.format.as_str(), "text" | "binaryfile");
    if found.is_empty() && !declared {
        if !options.hints.is_empty() {
            return schema_hints::apply(&StructType::default(), &options.hints);
        }
        return Err(Error::new("CF_EMPTY_DIR_FOR_SCHEMA_INFERENCE")
            .message(format!(
                "Cannot infer schema when the input path {} is empty. Please try to start the stream when there are files in the input \
                 path, or specify the schema.",
                root.display()
            ))
            .exception("AnalysisException"));
    }
    options.infer(place, root, found).await
}

pub(super) struct CloudFiles {
    files: FileStream,
    options: Settings,
    /// The columns of the files, as far as they are known.
    known: StructType,
    /// The columns of the stream.
    schema: StructType,
    /// Where the schema is kept, where it was found and not given.
    log: Option<(SchemaLog, i64)>,
}

impl CloudFiles {
    pub async fn open(session: &Arc<Session>, source: &DataSourceRef, directory: Directory) -> Result<Self> {
        let options = Settings::parse(source)?;
        let place = options.place(session, source)?;
        let (known, log) = match &source.schema {
            Some(given) => (given.clone(), None),
            None => {
                let location = match &options.schema_location {
                    Some(location) => Directory::open(session, location)?,
                    None => directory.clone(),
                };
                let (schema, log, number) = kept_schema(SchemaLog::new(&location), &options, &place).await?;
                (schema, Some((log, number)))
            }
        };
        let rules = rules(session, source, &place)?;
        let schema = options.with_rescued(known.clone());
        let files = FileStream::with_rules(session, place, schema.clone(), rules, directory).await?;
        Ok(Self { files, options, known, schema, log })
    }

    /// Looks for columns that the schema does not have, in files that the next batch is to read, before an offset has them.
    async fn check_new_columns(&self, files: &[Found]) -> Result<()> {
        let Some((log, number)) = &self.log else { return Ok(()) };
        if !self.options.evolution.watches() {
            return Ok(());
        }
        let now = self.options.infer(self.files.place(), &self.files.root()?, files.to_vec()).await?;
        let Some(merged) = with_new_columns(&self.known, &now) else { return Ok(()) };
        let names: Vec<&str> = merged
            .fields
            .iter()
            .filter(|f| self.known.field(&f.name).is_none())
            .map(|f| f.name.as_str())
            .collect();
        let evolves = self.options.evolution == Evolution::AddNewColumns;
        if evolves {
            log.add(number + 1, &merged).await?;
        }
        Err(Error::new("UNKNOWN_FIELD_EXCEPTION.NEW_FIELDS_IN_FILE")
            .param("fileType", &self.options.format)
            .param("unknownFieldBlob", names.join(", "))
            .message(format!(
                "Encountered unknown fields during parsing: {}, which can be fixed by {}.",
                names.join(", "),
                if evolves { "an automatic retry: true" } else { "adding them to the schema" }
            )))
    }
}

/// The schema that the query began with, or the first one.
async fn kept_schema(
    log: SchemaLog,
    options: &Settings,
    place: &Place,
) -> Result<(StructType, SchemaLog, i64)> {
    if let Some((number, known)) = log.latest().await? {
        return Ok((schema_hints::apply(&known, &options.hints)?, log, number));
    }
    let (root, found) = place.list().await?;
    let schema = infer_some(options, place, &root, found).await?;
    log.add(0, &schema).await?;
    match log.latest().await? {
        Some((number, kept)) => Ok((schema_hints::apply(&kept, &options.hints)?, log, number)),
        None => Ok((schema, log, 0)),
    }
}

/// The schema with the columns, and fields of columns, that only the new one has; `None` where there are none.
fn with_new_columns(known: &StructType, new: &StructType) -> Option<StructType> {
    let mut merged = known.clone();
    let mut changed = false;
    for field in &new.fields {
        match merged.fields.iter_mut().find(|f| f.name.eq_ignore_ascii_case(&field.name)) {
            None => {
                merged.fields.push(field.clone());
                changed = true;
            }
            Some(existing) => {
                if let (DataType::Struct(a), DataType::Struct(b)) = (&existing.data_type, &field.data_type)
                    && let Some(inner) = with_new_columns(a, b)
                {
                    existing.data_type = DataType::Struct(inner);
                    changed = true;
                }
            }
        }
    }
    changed.then_some(merged)
}

fn rules(session: &Session, source: &DataSourceRef, place: &Place) -> Result<Rules> {
    let given = Given(&source.options);
    let max_bytes = given.bytes("cloudFiles.maxBytesPerTrigger")?;
    let max_files = given.positive("cloudFiles.maxFilesPerTrigger")?;
    Ok(Rules {
        max_files: max_files.or(if max_bytes.is_some() { None } else { Some(DEFAULT_MAX_FILES) }),
        max_bytes,
        latest_first: false,
        by_name: false,
        by_time: given.flag("cloudFiles.allowOverwrites", false)?,
        max_age_ms: given.duration_ms("cloudFiles.maxFileAge")?,
        max_cached: file_rules::MAX_CACHED_FILES,
        discard_ratio: file_rules::DISCARD_RATIO,
        ignore_missing: given.flag("ignoreMissingFiles", place.context.ignore_missing_files)?,
        include_existing: given.flag("cloudFiles.includeExistingFiles", true)?,
        cleaner: cleaning(given, place, cleaner::at_once(session))?,
        offset_key: "seqNum",
        description: format!(
            "CloudFilesSource[{}]",
            place.resolved()?.first().map(ResolvedPath::display).unwrap_or_default()
        ),
    })
}

/// `cloudFiles.cleanSource`: what becomes of files, and after how long.
fn cleaning(given: Given<'_>, place: &Place, at_once: usize) -> Result<Option<Cleaning>> {
    let mode = given.text("cloudFiles.cleanSource").unwrap_or("OFF");
    let retention_ms = retention_ms(given)?;
    let cleaner = match mode.to_uppercase().as_str() {
        "OFF" => return Ok(None),
        "DELETE" if retention_ms <= LEAST_RETENTION_MS => {
            return Err(invalid(
                RETENTION,
                &format!("{retention_ms} ms"),
                "it must be more than 7 days where files are deleted",
            ));
        }
        "DELETE" => Cleaner::Delete,
        "MOVE" => match given.text("cloudFiles.cleanSource.moveDestination").filter(|d| !d.is_empty()) {
            Some(destination) => Cleaner::move_to(destination, place)?,
            None => {
                return Err(invalid(
                    "cloudFiles.cleanSource",
                    mode,
                    "it needs the option cloudFiles.cleanSource.moveDestination",
                ));
            }
        },
        _ => return Err(invalid("cloudFiles.cleanSource", mode, "it must be 'OFF', 'DELETE' or 'MOVE'")),
    };
    if given.flag("cloudFiles.allowOverwrites", false)? {
        return Err(Error::new("CF_CLEAN_SOURCE_ALLOW_OVERWRITES_BOTH_ON")
            .message("cloudFiles.cleanSource and cloudFiles.allowOverwrites cannot both be enabled.")
            .exception("AnalysisException"));
    }
    Ok(Some(Cleaning { cleaner, retention_ms: Some(retention_ms), at_once }))
}

const RETENTION: &str = "cloudFiles.cleanSource.retentionDuration";

/// A month, where a time is told in months.
const MONTH_DAYS: i64 = 31;

const DAY_MS: i64 = 24 * 3_600_000;

/// Files that were read are deleted after more than a week.
const LEAST_RETENTION_MS: i64 = 7 * DAY_MS;

/// How long files stay that were read, in milliseconds: 30 days where no option says.
fn retention_ms(given: Given<'_>) -> Result<i64> {
    let Some(text) = given.text(RETENTION) else { return Ok(30 * DAY_MS) };
    let interval = boathouse_formats::interval_parse::parse_calendar_interval(text);
    let ms = interval.map(|i| {
        let days = i64::from(i.months) * MONTH_DAYS + i64::from(i.days);
        days.saturating_mul(DAY_MS).saturating_add(i.microseconds / 1000)
    });
    ms.filter(|ms| *ms >= 0).ok_or_else(|| invalid(RETENTION, text, "it must be a time such as 14 days"))
}

#[async_trait]
impl Source for CloudFiles {
    fn schema(&self) -> &StructType {
        &self.schema
    }

    fn description(&self) -> String {
        self.files.description()
    }

    async fn prepare_available_now(&mut self) -> Result<()> {
        self.files.prepare_available_now().await
    }

    async fn end_offset(&mut self, start: Option<&str>, limit: Limit) -> Result<Option<String>> {
        let files = self.files.next_files(start, limit).await?;
        for some in files.chunks(SAMPLED_FILES) {
            self.check_new_columns(some).await?;
        }
        self.files.take_next(files).await
    }

    async fn slice(&mut self, start: Option<&str>, end: &str) -> Result<Arc<dyn TableProvider>> {
        self.files.slice(start, end).await
    }

    async fn commit(&mut self, end: &str) -> Result<()> {
        self.files.commit(end).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> StructType {
        boathouse_sql::parse_schema(text).unwrap()
    }

    #[test]
    fn schemas_grow() {
        let known = schema("a INT, b STRUCT<x: INT>");
        assert_eq!(with_new_columns(&known, &schema("A STRING, b STRUCT<x: STRING>")), None);
        assert_eq!(
            with_new_columns(&known, &schema("c STRING, b STRUCT<y: STRING>")),
            Some(schema("a INT, b STRUCT<x: INT, y: STRING>, c STRING"))
        );
    }
}
