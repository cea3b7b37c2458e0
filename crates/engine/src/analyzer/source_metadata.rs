//! `_metadata`: what a scan tells of its rows beside their columns (Spark's `FileSourceMetadataAttribute`). Names can reach
//! it and `*` does not show it. It is read only where a query names it, so that other scans are as they are.

use std::any::Any;
use std::sync::Arc;

use boathouse_connectors::{FileTable, METADATA_COLUMN, metadata_type};
use boathouse_delta::{DeltaScan, HiddenColumn, HiddenValue};
use boathouse_spec::{Column, DataType, Expr, Relation, RelationNode, Result};
use datafusion::logical_expr::lit;

use super::Analyzer;
use super::analyzed::{Analyzed, Attribute, TypedExpr, project};
use super::project::named;
use crate::relation_walk::{expressions, operands, subquery};
use crate::resolver::ResolvedTable;

/// The fields of a Delta table's `_metadata` that are columns of its scan. `file_block_start` is 0, and the length of the
/// block the file's size.
const FILE: &[(&str, HiddenValue)] = &[
    ("file_path", HiddenValue::FilePath),
    ("file_name", HiddenValue::FileName),
    ("file_size", HiddenValue::FileSize),
    ("file_modification_time", HiddenValue::FileModificationTime),
];

/// Those of a table that tracks its rows.
const ROW: &[(&str, HiddenValue)] = &[
    ("row_index", HiddenValue::RowIndex),
    ("row_id", HiddenValue::RowId),
    ("base_row_id", HiddenValue::BaseRowId),
    ("default_row_commit_version", HiddenValue::DefaultRowCommitVersion),
    ("row_commit_version", HiddenValue::RowCommitVersion),
];

/// Whether a query may mean a scan's `_metadata`.
pub(super) fn is_named(relation: &Relation) -> bool {
    let mut relations = vec![relation];
    let mut waiting: Vec<&Expr> = Vec::new();
    while let Some(next) = relations.pop() {
        if let RelationNode::Sql(sql) = next.node.as_ref()
            && sql.text.to_lowercase().contains(METADATA_COLUMN)
        {
            return true;
        }
        relations.extend(next.node.inputs());
        waiting.extend(expressions(&next.node));
        while let Some(expr) = waiting.pop() {
            let names = match expr {
                Expr::Column(column) => names_it(column),
                Expr::Text(text) => text.to_lowercase().contains(METADATA_COLUMN),
                _ => false,
            };
            if names {
                return true;
            }
            relations.extend(subquery(expr));
            waiting.extend(operands(expr));
        }
    }
    false
}

fn names_it(column: &Column) -> bool {
    column.is_metadata || column.name.iter().any(|part| part.eq_ignore_ascii_case(METADATA_COLUMN))
}

/// Whether a hidden column is `_metadata` or a field of it.
pub(super) fn is_part(attribute: &Attribute) -> bool {
    attribute.name.starts_with(METADATA_COLUMN)
}

impl Analyzer {
    /// The scan of a table with its `_metadata`; `None` where the table has none.
    pub(super) fn scan_with_metadata(
        &mut self,
        table: &ResolvedTable,
        output: &[Attribute],
        qualifier: &[String],
    ) -> Result<Option<Analyzed>> {
        let provider = table.provider.as_ref() as &dyn Any;
        if let Some(scan) = provider.downcast_ref::<DeltaScan>() {
            return self.delta_scan_with_metadata(scan, output, qualifier).map(Some);
        }
        let Some(files) = provider.downcast_ref::<FileTable>() else { return Ok(None) };
        let files = files.with_files(files.files().to_vec()).with_metadata_column()?;
        let mut hidden = self.attribute(METADATA_COLUMN, metadata_type(), false);
        hidden.qualifier = qualifier.to_vec();
        let mut all = output.to_vec();
        all.push(hidden.clone());
        let plan = super::values::scan(Arc::new(files), &all)?;
        Ok(Some(Analyzed { hidden: vec![hidden], ..Analyzed::new(plan, output.to_vec()) }))
    }

    fn delta_scan_with_metadata(
        &mut self,
        scan: &DeltaScan,
        output: &[Attribute],
        qualifier: &[String],
    ) -> Result<Analyzed> {
        let tracked: &[_] = if scan.snapshot().tracks_rows() { ROW } else { &[] };
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for (name, value) in FILE.iter().chain(tracked) {
            let full = format!("{METADATA_COLUMN}.{name}");
            let data_type = match value {
                HiddenValue::FilePath | HiddenValue::FileName => DataType::STRING,
                HiddenValue::FileModificationTime => DataType::Timestamp,
                _ => DataType::Long,
            };
            let mut attribute = self.attribute(&full, data_type, false);
            attribute.qualifier = qualifier.to_vec();
            columns.push(HiddenColumn::new(full, *value));
            fields.push(attribute);
        }
        let mut all = output.to_vec();
        all.extend(fields.iter().cloned());
        let plan = super::values::scan(Arc::new(scan.and_hidden(columns)?), &all)?;

        let size = fields.iter().find(|f| f.name.ends_with(".file_size")).map(Attribute::typed);
        let mut arguments = Vec::new();
        let mut put = |name: &str, value: TypedExpr| {
            arguments.push(TypedExpr::new(lit(name), DataType::STRING, false, name));
            arguments.push(value);
        };
        for field in &fields {
            let name = field.name.trim_start_matches(METADATA_COLUMN).trim_start_matches('.');
            put(name, field.typed());
            if let ("file_size", Some(size)) = (name, &size) {
                put("file_block_start", TypedExpr::new(lit(0i64), DataType::Long, false, "0"));
                put("file_block_length", size.clone());
            }
        }
        let value = self.builtin("named_struct", arguments)?;
        let mut whole = self.attribute(METADATA_COLUMN, value.data_type.clone(), false);
        whole.qualifier = qualifier.to_vec();
        self.metadata_fields.insert(whole.id, fields.clone());
        let mut list: Vec<_> = all.iter().map(Attribute::column).collect();
        list.push(named(value.expr, &whole));
        let plan = project(list, plan)?;
        fields.push(whole);
        Ok(Analyzed { hidden: fields, ..Analyzed::new(plan, output.to_vec()) })
    }

    /// A field of `_metadata` where the scan gives it as a column, so that nothing else of it is made.
    pub(super) fn metadata_field(
        &self,
        attribute: &Attribute,
        fields: &[String],
        over: &Analyzed,
    ) -> Option<TypedExpr> {
        let [field] = fields else { return None };
        let known = self.metadata_fields.get(&attribute.id)?;
        let full = format!("{METADATA_COLUMN}.{field}");
        let column = known.iter().find(|k| k.name.eq_ignore_ascii_case(&full))?;
        over.hidden.iter().find(|h| h.id == column.id).map(|h| h.typed().named(field))
    }
}
