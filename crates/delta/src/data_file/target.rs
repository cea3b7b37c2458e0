//! What files are to be: their columns, partitioning, codec and sizes, for a version of a table.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use boathouse_formats::zone::Zone;
use boathouse_spec::{Result, StructType};
use datafusion::catalog::Session;
use indexmap::IndexMap;
use parquet::file::properties::WriterProperties;

use super::codec::Codec;
use super::output::UnderWay;
use super::row_action::RowActions;
use super::settings::FileSettings;
use super::shredding;
use crate::action::{Metadata, Protocol, is_true};
use crate::iceberg_compat;
use crate::location::TableLocation;
use crate::row_tracking;
use crate::schema::constraints::{CheckConstraint, Constraints};
use crate::schema::{TableColumn, TableColumns};
use crate::snapshot::Snapshot;
use crate::stats::collect::StatsColumns;

/// A file is closed at about this size where neither the write nor the table says otherwise.
const TARGET_FILE_SIZE: u64 = 256 * 1024 * 1024;
pub(super) const ROW_GROUP_ROWS: usize = 1024 * 1024;
pub(super) const ROW_GROUP_BYTES: usize = 128 * 1024 * 1024;

/// The columns of files, and those in directory names.
#[derive(Debug)]
pub(crate) struct FileLayout {
    /// All columns as rows have them.
    pub logical: SchemaRef,
    /// For each column in files: its position among all, and its field in files.
    pub data: Vec<(usize, FieldRef)>,
    /// How many of them, the last ones, are columns of the partitioning, which files hold too.
    pub materialized: usize,
    /// The schema of files.
    pub physical: SchemaRef,
    /// The partition columns in the order of directories, with their positions among all.
    pub partitions: Vec<TableColumn>,
    pub partition_positions: Vec<usize>,
}

impl FileLayout {
    pub fn new(schema: &StructType, metadata: &Metadata) -> Result<Self> {
        let columns = TableColumns::new(schema, metadata)?;
        let data: Vec<(usize, FieldRef)> = columns
            .iter()
            .enumerate()
            // A column without type has nothing to be stored.
            .filter(|(_, c)| !c.is_partition && *c.field.data_type() != DataType::Null)
            .map(|(i, c)| (i, c.physical_field.clone()))
            .collect();
        let physical = Arc::new(Schema::new(data.iter().map(|(_, f)| f.clone()).collect::<Vec<_>>()));
        let partitions: Vec<TableColumn> = columns.partitions(metadata).into_iter().cloned().collect();
        let partition_positions = partitions
            .iter()
            .filter_map(|p| columns.iter().position(|c| c.logical() == p.logical()))
            .collect();
        let logical = columns.logical.clone();
        Ok(Self { logical, data, materialized: 0, physical, partitions, partition_positions })
    }

    /// Files hold the columns that partition them too, after all others.
    fn with_partitions(mut self) -> Self {
        let columns = self.partition_positions.iter().zip(&self.partitions);
        // What directories know of an empty string is NULL.
        let fields = columns.map(|(i, c)| match c.field.data_type() {
            DataType::Utf8 => (*i, Arc::new(c.physical_field.as_ref().clone().with_nullable(true))),
            _ => (*i, c.physical_field.clone()),
        });
        self.data.extend(fields);
        self.materialized = self.partitions.len();
        self.renewed()
    }

    /// With the schema of its columns.
    fn renewed(mut self) -> Self {
        self.physical = Arc::new(Schema::new(self.data.iter().map(|(_, f)| f.clone()).collect::<Vec<_>>()));
        self
    }
}

pub(crate) struct WriteTarget {
    pub location: TableLocation,
    pub layout: FileLayout,
    pub constraints: Constraints,
    pub stats: StatsColumns,
    pub properties: WriterProperties,
    /// Whether numbers may be written as differences. Readers of Iceberg tables know plain ones only.
    pub differences: bool,
    pub codec: Codec,
    pub max_records_per_file: Option<u64>,
    /// Bytes.
    pub target_file_size: u64,
    pub data_change: bool,
    /// Whether rows of one place go to few files whichever task has them (`optimizeWrite`).
    pub gathers: bool,
    /// Where rows say what is done with them.
    pub actions: Option<Arc<RowActions>>,
    /// The directory below the table's, for files that are no data of it.
    pub directory: Option<&'static str>,
    /// What the log notes of new files.
    pub tags: Option<IndexMap<String, Option<String>>>,
    /// Whether variants are taken apart by what they have in common (`delta.enableVariantShredding`).
    pub shreds_variants: bool,
    pub under_way: UnderWay,
    /// See [`FileSettings`].
    pub zone: Zone,
    pub utc_partition_times: bool,
}

/// The version of a table that files are written for.
#[derive(Clone, Copy)]
pub(crate) struct TableVersion<'a> {
    pub location: &'a TableLocation,
    pub protocol: &'a Protocol,
    pub metadata: &'a Metadata,
    pub schema: &'a StructType,
}

impl<'a> TableVersion<'a> {
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            location: snapshot.location(),
            protocol: snapshot.protocol(),
            metadata: snapshot.metadata(),
            schema: snapshot.schema(),
        }
    }
}

/// What a statement says of the files it writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileOptions {
    pub settings: FileSettings,
    pub target_file_size: Option<u64>,
    /// `optimizeWrite`; what the table says where `None`.
    pub gathers: Option<bool>,
}

impl WriteTarget {
    /// For new rows, each of which is checked.
    pub fn new(
        session: &dyn Session,
        table: &TableVersion<'_>,
        constraints: &[CheckConstraint],
        options: &FileOptions,
        data_change: bool,
    ) -> Result<Self> {
        let out = Self::unchecked(table, options, data_change)?;
        let TableVersion { metadata, schema, .. } = *table;
        let constraints = Constraints::new(session, metadata, schema, &out.layout.logical, constraints)?;
        Ok(Self { constraints, ..out })
    }

    /// For rows that are in the table already, and were checked when they came.
    pub fn unchecked(table: &TableVersion<'_>, options: &FileOptions, data_change: bool) -> Result<Self> {
        let TableVersion { location, protocol, metadata, schema } = *table;
        let mut layout = FileLayout::new(schema, metadata)?;
        let settings = &options.settings;
        let stats = StatsColumns::new(metadata, &layout, settings, protocol.has("deletionVectors"));
        if iceberg_compat::materializes_partitions(protocol, metadata) {
            layout = layout.with_partitions();
        }
        let shreds_variants =
            metadata.is_on("delta.enableVariantShredding") && shredding::concerns(&layout.physical);
        let codec = settings.codec(metadata)?;
        let properties = WriterProperties::builder()
            .set_compression(codec.compression)
            .set_created_by(crate::ENGINE_INFO.to_string())
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .build();
        let gathers = options.gathers.unwrap_or_else(|| {
            let configured = metadata.configuration.get("delta.autoOptimize.optimizeWrite");
            let configured = configured.or_else(|| metadata.configuration.get("delta.autoOptimize"));
            configured.is_some_and(|v| is_true(v))
        });
        let configured_size = metadata.configuration.get("delta.targetFileSize").and_then(|v| parse_size(v));
        Ok(Self {
            location: location.clone(),
            stats,
            layout,
            constraints: Constraints::none(),
            properties,
            differences: iceberg_compat::enabled(metadata).is_none(),
            codec,
            max_records_per_file: settings.max_records_per_file.filter(|n| *n > 0),
            target_file_size: options.target_file_size.or(configured_size).unwrap_or(TARGET_FILE_SIZE),
            data_change,
            gathers,
            actions: None,
            directory: None,
            tags: iceberg_compat::tags(metadata),
            shreds_variants,
            under_way: UnderWay::default(),
            zone: settings.zone.clone(),
            utc_partition_times: settings.utc_partition_times,
        })
    }
}

impl WriteTarget {
    /// For files of changes, which lie in a directory of their own.
    pub fn below(self, directory: &'static str) -> Self {
        Self { directory: Some(directory), ..self }
    }

    /// For rows that keep the ids they have: [`row_tracking::carried`] columns are written as they come.
    pub fn keeping_ids(mut self, metadata: &Metadata) -> Self {
        let fields = row_tracking::carried_fields(metadata);
        let mut layout = self.layout;
        let all = layout.logical.fields().len();
        let before = layout.data.len() - layout.materialized;
        let ids = fields.iter().enumerate().map(|(i, field)| (all + i, field.clone()));
        layout.data.splice(before..before, ids);
        let fields = layout.logical.fields().iter().chain(&fields);
        layout.logical = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
        self.layout = layout.renewed();
        self
    }

    /// For rows with an action column.
    pub fn with_actions(self, actions: Arc<RowActions>) -> Self {
        Self { actions: Some(actions), ..self }
    }
}

/// Bytes of `104857600`, `100mb`, `1g`.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        "t" | "tb" => 1u64 << 40,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}
