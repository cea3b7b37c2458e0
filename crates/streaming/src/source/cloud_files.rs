//! `cloudFiles`: files as they arrive, with a schema that is found, kept, and grows.
//!
//! Files are found by listing. A file is read once however old it is; which ones were read is kept like a file stream's.

use std::sync::Arc;

use async_trait::async_trait;
use boathouse_connectors::ResolvedPath;
use boathouse_connectors::listing::Found;
use boathouse_engine::Session;
use boathouse_spec::{DataSourceRef, DataType, Error, Options, Result, StructField, StructType};
use datafusion::catalog::TableProvider;

use super::file_listing::Place;
use super::file_stream::{self, FileStream, Rules};
use super::schema_log::SchemaLog;
use super::{Limit, Source};
use crate::checkpoint::Directory;
use crate::options::{Given, invalid};

/// Files a batch takes where no option says.
const DEFAULT_MAX_FILES: i64 = 1000;

/// Files that a schema is found from.
const SAMPLED_FILES: usize = 1000;

const PREFIX: &str = "cloudFiles.";

/// Options that have a meaning here, without their prefix.
const KNOWN: &[&str] = &[
    "allowoverwrites",
    "backfillinterval",
    "format",
    "includeexistingfiles",
    "infercolumntypes",
    "inferschema",
    "maxbytespertrigger",
    "maxfilespertrigger",
    "partitioncolumns",
    "schemaevolutionmode",
    "schemahints",
    "schemalocation",
    "usestrictglobber",
    "validateoptions",
];

/// What becomes of columns that the schema does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evolution {
    /// They are noted and the query fails; started again, it has them.
    AddNewColumns,
    FailOnNewColumns,
    None,
}

struct Settings {
    format: String,
    /// Options of the format.
    reader: Options,
    infer_types: bool,
    hints: Vec<StructField>,
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
        // Each batch lists all files, so that there is never one that a backfill would find.
        given.duration_ms("cloudFiles.backfillInterval")?;
        let format = text("format").unwrap_or("json").to_lowercase();
        boathouse_connectors::Format::find(&format)?;
        let reader =
            source.options.iter().filter(|(k, _)| !k.to_lowercase().starts_with("cloudfiles.")).cloned();
        let evolution = match text("schemaEvolutionMode").map(str::to_lowercase).as_deref() {
            None if source.schema.is_some() => Evolution::None,
            None | Some("addnewcolumns") => Evolution::AddNewColumns,
            Some("failonnewcolumns") => Evolution::FailOnNewColumns,
            Some("none") => Evolution::None,
            Some(mode @ ("rescue" | "addnewcolumnswithtypewidening")) => {
                return Err(Error::unsupported(format!("cloudFiles.schemaEvolutionMode = {mode}")));
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
        Ok(Self {
            format,
            reader: reader.collect(),
            // Column types are found unless the query asks for text: comparing text with numbers fails in ANSI mode.
            infer_types: given
                .flag("cloudFiles.inferColumnTypes", given.flag("cloudFiles.inferSchema", true)?)?,
            hints: text("schemaHints").map(hints).transpose()?.unwrap_or_default(),
            evolution,
            schema_location: text("schemaLocation").map(str::to_string),
        })
    }

    fn place(&self, session: &Arc<Session>, source: &DataSourceRef) -> Result<Place> {
        Place::new(
            &self.format,
            &DataSourceRef { options: self.reader.clone(), ..with_paths(source) },
            session.file_context()?,
        )
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
        Ok(hinted(table.spark_schema(), &self.hints))
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

/// The columns of `cloudFiles.schemaHints`.
fn hints(text: &str) -> Result<Vec<StructField>> {
    let schema = boathouse_sql::parse_schema(text).map_err(|e| {
        if text.contains('.') {
            Error::unsupported("cloudFiles.schemaHints of fields inside of columns")
        } else {
            e
        }
    })?;
    Ok(schema.fields)
}

fn hinted(schema: &StructType, hints: &[StructField]) -> StructType {
    let mut schema = schema.clone();
    for hint in hints {
        match schema.fields.iter_mut().find(|f| f.name.eq_ignore_ascii_case(&hint.name)) {
            Some(field) => field.data_type = hint.data_type.clone(),
            None => schema.fields.push(StructField { nullable: true, ..hint.clone() }),
        }
    }
    schema
}

/// The columns of the stream, outside of a query.
pub(super) async fn schema(session: &Arc<Session>, source: &DataSourceRef) -> Result<StructType> {
    let options = Settings::parse(source)?;
    let place = options.place(session, source)?;
    if let Some(given) = &source.schema {
        return Ok(given.clone());
    }
    if let Some(location) = &options.schema_location
        && let Some((_, known)) = SchemaLog::new(&Directory::open(session, location)?).latest().await?
    {
        return Ok(hinted(&known, &options.hints));
    }
    let (root, found) = place.list().await?;
    infer_some(&options, &place, &root, found).await
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
            return Ok(StructType::new(options.hints.clone()));
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
    schema: StructType,
    /// Where the schema is kept, where it was found and not given.
    log: Option<(SchemaLog, i64)>,
}

impl CloudFiles {
    pub async fn open(session: &Arc<Session>, source: &DataSourceRef, directory: Directory) -> Result<Self> {
        let options = Settings::parse(source)?;
        let place = options.place(session, source)?;
        let (schema, log) = match &source.schema {
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
        let rules = rules(source, &place)?;
        let files = FileStream::with_rules(session, place, schema.clone(), rules, directory).await?;
        Ok(Self { files, options, schema, log })
    }

    /// Looks for columns that the schema does not have, in files that the next batch is to read, before an offset has them.
    async fn check_new_columns(&self, files: &[Found]) -> Result<()> {
        let Some((log, number)) = &self.log else { return Ok(()) };
        if self.options.evolution == Evolution::None {
            return Ok(());
        }
        let now = self.options.infer(self.files.place(), &self.files.root()?, files.to_vec()).await?;
        let Some(merged) = with_new_columns(&self.schema, &now) else { return Ok(()) };
        let names: Vec<&str> = merged
            .fields
            .iter()
            .filter(|f| self.schema.field(&f.name).is_none())
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
        return Ok((hinted(&known, &options.hints), log, number));
    }
    let (root, found) = place.list().await?;
    let schema = infer_some(options, place, &root, found).await?;
    log.add(0, &schema).await?;
    match log.latest().await? {
        Some((number, kept)) => Ok((hinted(&kept, &options.hints), log, number)),
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

fn rules(source: &DataSourceRef, place: &Place) -> Result<Rules> {
    let given = Given(&source.options);
    let max_bytes = given.bytes("cloudFiles.maxBytesPerTrigger")?;
    let max_files = given.positive("cloudFiles.maxFilesPerTrigger")?;
    Ok(Rules {
        max_files: max_files.or(if max_bytes.is_some() { None } else { Some(DEFAULT_MAX_FILES) }),
        max_bytes,
        latest_first: false,
        by_name: false,
        by_time: given.flag("cloudFiles.allowOverwrites", false)?,
        max_age_ms: None,
        ignore_missing: given.flag("ignoreMissingFiles", place.context.ignore_missing_files)?,
        include_existing: given.flag("cloudFiles.includeExistingFiles", true)?,
        cleaner: None,
        offset_key: "seqNum",
        description: format!(
            "CloudFilesSource[{}]",
            place.resolved()?.first().map(ResolvedPath::display).unwrap_or_default()
        ),
    })
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
        assert_eq!(
            hinted(&known, &hints("A BIGINT, d DATE").unwrap()),
            schema("a BIGINT, b STRUCT<x: INT>, d DATE")
        );
    }
}
