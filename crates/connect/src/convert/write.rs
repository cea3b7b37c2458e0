//! `df.write`, `df.writeTo` and views over DataFrames.

use boathouse_spec::{
    Bucket, Command, CreateMode, CreateView, Error, Options, Result, SaveMode, ViewKind, Write, WriteTarget,
    WriteTo, WriteToMode, parse_attribute_names,
};

use super::{Converter, missing, unknown_enum};
use crate::proto::spark::{self as proto, write_operation, write_operation_v2};

impl Converter<'_> {
    pub(super) fn write(&mut self, w: proto::WriteOperation) -> Result<Command> {
        use write_operation::SaveType;
        let mode = match write_operation::SaveMode::try_from(w.mode) {
            Ok(write_operation::SaveMode::Unspecified) => None,
            Ok(write_operation::SaveMode::Append) => Some(SaveMode::Append),
            Ok(write_operation::SaveMode::Overwrite) => Some(SaveMode::Overwrite),
            Ok(write_operation::SaveMode::ErrorIfExists) => Some(SaveMode::ErrorIfExists),
            Ok(write_operation::SaveMode::Ignore) => Some(SaveMode::Ignore),
            Err(_) => return Err(unknown_enum("spark.connect.WriteOperation.SaveMode", w.mode)),
        };
        let target = match w.save_type {
            None => WriteTarget::None,
            Some(SaveType::Path(path)) => WriteTarget::Path(path),
            Some(SaveType::Table(table)) => save_table(&table)?,
        };
        let bucket = match w.bucket_by {
            Some(bucket) => Some(Bucket {
                count: u32::try_from(bucket.num_buckets).ok().filter(|n| *n > 0).ok_or_else(|| {
                    Error::new("INVALID_BUCKET_COUNT")
                        .param("numBuckets", bucket.num_buckets)
                        .exception("AnalysisException")
                        .message(format!(
                            "The number of buckets must be positive, not {}.",
                            bucket.num_buckets
                        ))
                })?,
                columns: bucket.bucket_column_names,
                sort: w.sort_column_names.into_iter().map(|c| (c, true)).collect(),
            }),
            None if w.sort_column_names.is_empty() => None,
            None => {
                return Err(Error::new("SORT_BY_WITHOUT_BUCKETING")
                    .exception("AnalysisException")
                    .message("Rows are sorted within buckets only: `sortBy` needs `bucketBy`."));
            }
        };
        let input = w.input.ok_or_else(|| missing("spark.connect.WriteOperation", "input"))?;
        Ok(Command::Write(Box::new(Write {
            input: self.relation(input)?,
            format: w.source.filter(|s| !s.is_empty()),
            mode,
            target,
            partition_by: w.partitioning_columns,
            cluster_by: parse_attribute_names(&w.clustering_columns)?,
            bucket,
            options: evolving(w.options.into_iter().collect(), w.with_schema_evolution),
        })))
    }

    pub(super) fn write_to(&mut self, w: proto::WriteOperationV2) -> Result<Command> {
        use write_operation_v2::Mode;
        let mode = match Mode::try_from(w.mode) {
            Ok(Mode::Create) => WriteToMode::Create,
            Ok(Mode::Overwrite) => {
                let condition = w.overwrite_condition;
                let condition = condition
                    .ok_or_else(|| missing("spark.connect.WriteOperationV2", "overwrite_condition"))?;
                WriteToMode::Overwrite(self.expression(condition)?)
            }
            Ok(Mode::OverwritePartitions) => WriteToMode::OverwritePartitions,
            Ok(Mode::Append) => WriteToMode::Append,
            Ok(Mode::Replace) => WriteToMode::Replace,
            Ok(Mode::CreateOrReplace) => WriteToMode::CreateOrReplace,
            _ => return Err(unknown_enum("spark.connect.WriteOperationV2.Mode", w.mode)),
        };
        let input = w.input.ok_or_else(|| missing("spark.connect.WriteOperationV2", "input"))?;
        Ok(Command::WriteTo(Box::new(WriteTo {
            input: self.relation(input)?,
            table: boathouse_sql::parse_name(&w.table_name)?,
            provider: w.provider.filter(|p| !p.is_empty()),
            partition_by: self.expressions(w.partitioning_columns)?,
            cluster_by: parse_attribute_names(&w.clustering_columns)?,
            options: evolving(w.options.into_iter().collect(), w.with_schema_evolution),
            properties: w.table_properties.into_iter().collect(),
            mode,
        })))
    }

    pub(super) fn create_view(&mut self, v: proto::CreateDataFrameViewCommand) -> Result<Command> {
        let input = v.input.ok_or_else(|| missing("spark.connect.CreateDataFrameViewCommand", "input"))?;
        Ok(Command::CreateView(Box::new(CreateView {
            name: temporary_view_name(&v.name)?,
            mode: if v.replace { CreateMode::OrReplace } else { CreateMode::Create },
            kind: if v.is_global { ViewKind::GlobalTemporary } else { ViewKind::Temporary },
            columns: Vec::new(),
            comment: None,
            collation: None,
            properties: Vec::new(),
            schema_mode: None,
            query: None,
            source: Some(self.relation(input)?),
        })))
    }
}

/// A temporary view belongs to no schema: of `a.b` it has the name `b`.
fn temporary_view_name(name: &str) -> Result<Vec<String>> {
    match boathouse_sql::parse_name(name).as_deref() {
        Ok([bare] | [_, bare]) => Ok(vec![bare.clone()]),
        _ => Err(Error::new("_LEGACY_ERROR_TEMP_1321")
            .param("viewName", name)
            .message(format!("{name} cannot name a temporary view: give it a name of one part."))
            .exception("AnalysisException")),
    }
}

fn save_table(table: &write_operation::SaveTable) -> Result<WriteTarget> {
    use write_operation::save_table::TableSaveMethod;
    let name = boathouse_sql::parse_name(&table.table_name)?;
    match TableSaveMethod::try_from(table.save_method) {
        Ok(TableSaveMethod::SaveAsTable) => Ok(WriteTarget::Table(name)),
        Ok(TableSaveMethod::InsertInto) => Ok(WriteTarget::InsertInto(name)),
        _ => Err(unknown_enum("spark.connect.WriteOperation.SaveTable.TableSaveMethod", table.save_method)),
    }
}

/// `withSchemaEvolution()` says what the option `mergeSchema` says.
fn evolving(mut options: Options, with_schema_evolution: bool) -> Options {
    if with_schema_evolution {
        options.push(("mergeSchema".into(), "true".into()));
    }
    options
}
