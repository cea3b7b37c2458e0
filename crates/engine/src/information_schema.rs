//! `catalog.information_schema.*`: what the catalog holds, as tables.

use std::sync::Arc;

use boathouse_catalog::{ObjectName, TypeFacets};
use boathouse_spec::{DataType, Result, StructType};

use crate::Session;
use crate::resolver::ResolvedTable;
use crate::rows::{Value, column, text};

/// The table of that name, with the rows of this moment; `None` where there is none.
pub(crate) async fn open(session: &Arc<Session>, name: &ObjectName) -> Result<Option<ResolvedTable>> {
    let catalog = &session.engine.catalog;
    let mut catalogs = vec![name.catalog.clone()];
    if name.catalog == "system" {
        catalogs = catalog.list_catalogs().await?.into_iter().map(|c| c.name).collect();
    } else {
        catalog.get_catalog(&name.catalog).await?;
    }
    let mut all: Vec<Vec<Value>> = Vec::new();
    let schema = match name.name.as_str() {
        "catalogs" => {
            for c in catalog.catalog_rows().await? {
                if catalogs.contains(&c.catalog_name) {
                    all.push(vec![
                        c.catalog_name.into(),
                        c.catalog_owner.into(),
                        c.comment.into(),
                        Value::Timestamp(c.created),
                        c.created_by.into(),
                        Value::Timestamp(c.last_altered),
                        c.last_altered_by.into(),
                    ]);
                }
            }
            columns("catalog_name catalog_owner comment? created@ created_by last_altered@ last_altered_by")
        }
        "schemata" => {
            for c in &catalogs {
                for s in catalog.schemata_rows(c).await? {
                    all.push(vec![
                        s.catalog_name.into(),
                        s.schema_name.into(),
                        s.schema_owner.into(),
                        s.comment.into(),
                        Value::Timestamp(s.created),
                        s.created_by.into(),
                        Value::Timestamp(s.last_altered),
                        s.last_altered_by.into(),
                    ]);
                }
            }
            columns(
                "catalog_name schema_name schema_owner comment? created@ created_by last_altered@ last_altered_by",
            )
        }
        "tables" => {
            for c in &catalogs {
                for t in catalog.table_rows(c).await? {
                    all.push(vec![
                        t.table_catalog.into(),
                        t.table_schema.into(),
                        t.table_name.into(),
                        t.table_type.into(),
                        t.is_insertable_into.into(),
                        t.commit_action.into(),
                        t.table_owner.into(),
                        t.comment.into(),
                        Value::Timestamp(t.created),
                        t.created_by.into(),
                        Value::Timestamp(t.last_altered),
                        t.last_altered_by.into(),
                        t.data_source_format.into(),
                        t.storage_path.into(),
                    ]);
                }
            }
            columns(
                "table_catalog table_schema table_name table_type is_insertable_into commit_action table_owner comment? \
                 created@ created_by last_altered@ last_altered_by data_source_format? storage_path?",
            )
        }
        "views" => {
            for c in &catalogs {
                for v in catalog.view_rows(c).await? {
                    all.push(vec![
                        v.table_catalog.into(),
                        v.table_schema.into(),
                        v.table_name.into(),
                        v.view_definition.into(),
                        v.check_option.into(),
                        v.is_updatable.into(),
                        v.is_insertable_into.into(),
                        v.sql_path.into(),
                        v.is_materialized.into(),
                    ]);
                }
            }
            columns(
                "table_catalog table_schema table_name view_definition check_option is_updatable is_insertable_into \
                 sql_path is_materialized",
            )
        }
        "columns" => {
            for c in &catalogs {
                for r in catalog.column_rows(c).await? {
                    let mut row: Vec<Value> = vec![
                        r.table_catalog.into(),
                        r.table_schema.into(),
                        r.table_name.into(),
                        r.column_name.into(),
                        i64::from(r.ordinal_position).into(),
                        r.column_default.into(),
                        r.is_nullable.into(),
                    ];
                    row.extend(facets(r.facets));
                    row.extend([
                        r.is_identity.into(),
                        r.identity_generation.into(),
                        r.identity_start.into(),
                        r.identity_increment.into(),
                        r.is_generated.into(),
                        r.generation_expression.into(),
                        r.is_updatable.into(),
                        r.partition_ordinal_position.map(i64::from).into(),
                        r.comment.into(),
                    ]);
                    all.push(row);
                }
            }
            columns(&format!(
                "table_catalog table_schema table_name column_name ordinal_position# column_default? is_nullable {FACETS} \
                 is_identity identity_generation? identity_start? identity_increment? is_generated \
                 generation_expression? is_updatable partition_ordinal_position#? comment?"
            ))
        }
        "routines" => {
            for c in &catalogs {
                for r in catalog.routine_rows(c).await? {
                    let mut row: Vec<Value> = vec![
                        r.specific_catalog.into(),
                        r.specific_schema.into(),
                        r.specific_name.into(),
                        r.routine_catalog.into(),
                        r.routine_schema.into(),
                        r.routine_name.into(),
                        r.routine_owner.into(),
                        r.routine_type.into(),
                    ];
                    row.extend(facets(r.facets));
                    row.extend([
                        r.routine_body.into(),
                        r.routine_definition.into(),
                        r.external_language.into(),
                        r.parameter_style.into(),
                        r.is_deterministic.into(),
                        r.sql_data_access.into(),
                        r.is_null_call.into(),
                        r.sql_path.into(),
                        r.security_type.into(),
                        r.comment.into(),
                        Value::Timestamp(r.created),
                        r.created_by.into(),
                        Value::Timestamp(r.last_altered),
                        r.last_altered_by.into(),
                    ]);
                    all.push(row);
                }
            }
            columns(&format!(
                "specific_catalog specific_schema specific_name routine_catalog routine_schema routine_name routine_owner \
                 routine_type {FACETS} routine_body routine_definition? external_language? parameter_style \
                 is_deterministic sql_data_access is_null_call sql_path? security_type comment? created@ created_by \
                 last_altered@ last_altered_by"
            ))
        }
        "parameters" => {
            for c in &catalogs {
                for p in catalog.parameter_rows(c).await? {
                    let mut row: Vec<Value> = vec![
                        p.specific_catalog.into(),
                        p.specific_schema.into(),
                        p.specific_name.into(),
                        i64::from(p.ordinal_position).into(),
                        p.parameter_mode.into(),
                        p.is_result.into(),
                        p.parameter_name.into(),
                    ];
                    row.extend(facets(p.facets));
                    row.extend([p.parameter_default.into(), p.comment.into()]);
                    all.push(row);
                }
            }
            columns(&format!(
                "specific_catalog specific_schema specific_name ordinal_position# parameter_mode is_result \
                 parameter_name {FACETS} parameter_default? comment?"
            ))
        }
        _ => return Ok(None),
    };
    ResolvedTable::of_rows(name, "information_schema", schema, &all).map(Some)
}

/// The columns that describe a type, in the order of [`facets`].
const FACETS: &str = "full_data_type data_type numeric_precision#? numeric_precision_radix#? numeric_scale#? \
                      datetime_precision#? interval_type?";

fn facets(f: TypeFacets) -> Vec<Value> {
    vec![
        f.full_data_type.into(),
        f.data_type.into(),
        f.numeric_precision.map(i64::from).into(),
        f.numeric_precision_radix.map(i64::from).into(),
        f.numeric_scale.map(i64::from).into(),
        f.datetime_precision.map(i64::from).into(),
        f.interval_type.into(),
    ]
}

/// Columns by name: `#` is a number, `@` a time, a text otherwise; `?` may be NULL.
fn columns(names: &str) -> StructType {
    StructType::new(
        names
            .split_whitespace()
            .map(|name| {
                let nullable = name.ends_with('?');
                let bare = name.trim_end_matches(['?', '#', '@']);
                if name.contains('#') {
                    column(bare, DataType::Integer, nullable)
                } else if name.contains('@') {
                    column(bare, DataType::Timestamp, nullable)
                } else {
                    text(bare, nullable)
                }
            })
            .collect(),
    )
}
