//! `_metadata`: what a scan tells of its rows beside their columns (Spark's `FileSourceMetadataAttribute`). Names can reach
//! it and `*` does not show it. It is read only where a query names it, so that other scans are as they are.

use std::any::Any;
use std::sync::Arc;

use boathouse_connectors::{FileTable, METADATA_COLUMN, metadata_type};
use boathouse_delta::{DeltaScan, HiddenColumn, HiddenValue};
use boathouse_spec::{Column, DataType, Error, Expr, Relation, RelationNode, Result};
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{LogicalPlan, lit};

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

/// Functions of the file that a row comes from, and the fields of `_metadata` that they are.
const INPUT_FILE: &[(&str, &str)] = &[
    ("input_file_name", "file_path"),
    ("input_file_block_start", "file_block_start"),
    ("input_file_block_length", "file_block_length"),
];

/// Whether a query may mean a scan's `_metadata`.
pub(super) fn is_named(relation: &Relation) -> bool {
    let mut relations = vec![relation];
    let mut waiting: Vec<&Expr> = Vec::new();
    while let Some(next) = relations.pop() {
        if let RelationNode::Sql(sql) = next.node.as_ref()
            && text_names_it(&sql.text)
        {
            return true;
        }
        relations.extend(next.node.inputs());
        waiting.extend(expressions(&next.node));
        while let Some(expr) = waiting.pop() {
            let names = match expr {
                Expr::Column(column) => names_it(column),
                Expr::Text(text) => text_names_it(text),
                Expr::Call(call) => call
                    .name
                    .last()
                    .is_some_and(|n| INPUT_FILE.iter().any(|(f, _)| n.eq_ignore_ascii_case(f))),
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

fn text_names_it(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains(METADATA_COLUMN) || text.contains("input_file_")
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

    /// `input_file_name()` and its kin: of rows that no file has, no name and -1.
    pub(super) fn input_file(&mut self, function: &str, over: &Analyzed) -> Result<TypedExpr> {
        let shown = format!("{function}()");
        let field = INPUT_FILE.iter().find(|(f, _)| *f == function).map_or("", |(_, field)| field);
        let column = Column { name: vec![METADATA_COLUMN.into(), field.into()], ..Column::default() };
        let nowhere = match function {
            "input_file_name" => TypedExpr::new(lit(""), DataType::STRING, false, ""),
            _ => TypedExpr::new(lit(-1i64), DataType::Long, false, ""),
        };
        let found = match self.find_column(&column, over) {
            Err(e) if e.is("AMBIGUOUS_REFERENCE") => {
                return Err(Error::new("MULTI_SOURCES_UNSUPPORTED_FOR_EXPRESSION")
                    .param("expr", format!("\"{shown}\""))
                    .message(format!("{shown} is of one file, and here are several sources."))
                    .exception("AnalysisException"));
            }
            found => found?,
        };
        match found {
            // Spark names local files with an empty host here, and without one in `_metadata`.
            Some(path) if function == "input_file_name" => {
                let text = |t: &str| TypedExpr::new(lit(t), DataType::STRING, false, t);
                let parts = vec![path, text("^file:/([^/])"), text("file:///$1")];
                Ok(self.builtin("regexp_replace", parts)?.named(shown))
            }
            Some(place) => Ok(place.named(shown)),
            None if reads_files(&over.plan) => Err(Error::unsupported(format!(
                "{shown} outside of the query that reads the files, such as over a view"
            ))),
            None => Ok(nowhere.named(shown)),
        }
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

/// Whether rows of the plan may come from files.
fn reads_files(plan: &LogicalPlan) -> bool {
    plan.exists(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(false) };
        let provider = source_as_provider(&scan.source)?;
        let provider = provider.as_ref() as &dyn Any;
        Ok(provider.is::<DeltaScan>() || provider.is::<FileTable>())
    })
    .unwrap_or(true)
}
