//! The rows of `information_schema`, with the columns that Databricks documents. Columns that are always NULL or one
//! constant there are left to the table that shows these rows.

use boathouse_spec::Result;

use crate::information_schema_types::TypeFacets;
use crate::names::SchemaName;
use crate::records::{FunctionKind, FunctionRecord, SchemaRecord, TableKind, TableRecord};
use crate::store::Catalog;

/// `information_schema.catalogs`
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogRow {
    pub catalog_name: String,
    pub catalog_owner: String,
    pub comment: Option<String>,
    pub created: i64,
    pub created_by: String,
    pub last_altered: i64,
    pub last_altered_by: String,
}

/// `information_schema.schemata`
#[derive(Debug, Clone, PartialEq)]
pub struct SchemataRow {
    pub catalog_name: String,
    pub schema_name: String,
    pub schema_owner: String,
    pub comment: Option<String>,
    pub created: i64,
    pub created_by: String,
    pub last_altered: i64,
    pub last_altered_by: String,
}

/// `information_schema.tables`
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    pub table_catalog: String,
    pub table_schema: String,
    pub table_name: String,
    pub table_type: String,
    /// `YES` or `NO`
    pub is_insertable_into: String,
    /// Always `PRESERVE`
    pub commit_action: String,
    pub table_owner: String,
    pub comment: Option<String>,
    pub created: i64,
    pub created_by: String,
    pub last_altered: i64,
    pub last_altered_by: String,
    /// `DELTA`, `PARQUET`, ...; empty for views.
    pub data_source_format: Option<String>,
    pub storage_path: Option<String>,
}

/// `information_schema.views`
#[derive(Debug, Clone, PartialEq)]
pub struct ViewRow {
    pub table_catalog: String,
    pub table_schema: String,
    pub table_name: String,
    pub view_definition: String,
    /// Always `NONE`
    pub check_option: String,
    pub is_updatable: String,
    pub is_insertable_into: String,
    pub sql_path: String,
    pub is_materialized: String,
}

/// `information_schema.columns`
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnRow {
    pub table_catalog: String,
    pub table_schema: String,
    pub table_name: String,
    pub column_name: String,
    /// From 1
    pub ordinal_position: i32,
    pub column_default: Option<String>,
    pub is_nullable: String,
    pub facets: TypeFacets,
    pub is_identity: String,
    pub identity_generation: Option<String>,
    pub identity_start: Option<String>,
    pub identity_increment: Option<String>,
    pub is_generated: String,
    pub generation_expression: Option<String>,
    pub is_updatable: String,
    /// From 1
    pub partition_ordinal_position: Option<i32>,
    pub comment: Option<String>,
}

/// `information_schema.routines`
#[derive(Debug, Clone, PartialEq)]
pub struct RoutineRow {
    pub specific_catalog: String,
    pub specific_schema: String,
    pub specific_name: String,
    pub routine_catalog: String,
    pub routine_schema: String,
    pub routine_name: String,
    pub routine_owner: String,
    /// Always `FUNCTION`
    pub routine_type: String,
    /// Its `data_type` is `TABLE` for table functions.
    pub facets: TypeFacets,
    /// `SQL` or `EXTERNAL`
    pub routine_body: String,
    pub routine_definition: Option<String>,
    pub external_language: Option<String>,
    /// Always `SQL`
    pub parameter_style: String,
    pub is_deterministic: String,
    pub sql_data_access: String,
    pub is_null_call: String,
    pub sql_path: Option<String>,
    /// Always `DEFINER`
    pub security_type: String,
    pub comment: Option<String>,
    pub created: i64,
    pub created_by: String,
    pub last_altered: i64,
    pub last_altered_by: String,
}

/// `information_schema.parameters`
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterRow {
    pub specific_catalog: String,
    pub specific_schema: String,
    pub specific_name: String,
    /// From 0, as Databricks numbers parameters.
    pub ordinal_position: i32,
    /// Always `IN`
    pub parameter_mode: String,
    /// Always `NO`
    pub is_result: String,
    pub parameter_name: String,
    pub facets: TypeFacets,
    pub parameter_default: Option<String>,
    pub comment: Option<String>,
}

fn yes_no(value: bool) -> String {
    if value { "YES" } else { "NO" }.to_string()
}

impl Catalog {
    pub async fn catalog_rows(&self) -> Result<Vec<CatalogRow>> {
        let catalogs = self.list_catalogs().await?;
        Ok(catalogs
            .into_iter()
            .map(|c| CatalogRow {
                catalog_name: c.name,
                catalog_owner: c.owner,
                comment: c.comment,
                created: c.created_at_us,
                created_by: c.created_by,
                last_altered: c.updated_at_us,
                last_altered_by: c.updated_by,
            })
            .collect())
    }

    pub async fn schemata_rows(&self, catalog: &str) -> Result<Vec<SchemataRow>> {
        Ok(self.list_schemas(catalog).await?.into_iter().map(schemata_row).collect())
    }

    pub async fn table_rows(&self, catalog: &str) -> Result<Vec<TableRow>> {
        Ok(self.tables_of(catalog).await?.iter().map(table_row).collect())
    }

    pub async fn view_rows(&self, catalog: &str) -> Result<Vec<ViewRow>> {
        Ok(self.tables_of(catalog).await?.iter().filter_map(view_row).collect())
    }

    pub async fn column_rows(&self, catalog: &str) -> Result<Vec<ColumnRow>> {
        Ok(self.tables_of(catalog).await?.iter().flat_map(column_rows).collect())
    }

    pub async fn routine_rows(&self, catalog: &str) -> Result<Vec<RoutineRow>> {
        Ok(self.functions_of(catalog).await?.iter().map(routine_row).collect())
    }

    pub async fn parameter_rows(&self, catalog: &str) -> Result<Vec<ParameterRow>> {
        Ok(self.functions_of(catalog).await?.iter().flat_map(parameter_rows).collect())
    }

    async fn tables_of(&self, catalog: &str) -> Result<Vec<TableRecord>> {
        let mut all = Vec::new();
        for schema in self.list_schemas(catalog).await? {
            all.extend(gone_is_empty(self.list_tables(&schema.name).await)?);
        }
        Ok(all)
    }

    async fn functions_of(&self, catalog: &str) -> Result<Vec<FunctionRecord>> {
        let mut all = Vec::new();
        for SchemaRecord { name, .. } in self.list_schemas(catalog).await? {
            let name: SchemaName = name;
            all.extend(gone_is_empty(self.list_functions(&name).await)?);
        }
        Ok(all)
    }
}

/// A schema that another session dropped between two reads has nothing to list.
fn gone_is_empty<T>(listed: Result<Vec<T>>) -> Result<Vec<T>> {
    match listed {
        Err(e) if e.is("SCHEMA_NOT_FOUND") || e.is("CATALOG_NOT_FOUND") => Ok(Vec::new()),
        other => other,
    }
}

fn schemata_row(s: SchemaRecord) -> SchemataRow {
    SchemataRow {
        catalog_name: s.name.catalog,
        schema_name: s.name.schema,
        schema_owner: s.owner,
        comment: s.comment,
        created: s.created_at_us,
        created_by: s.created_by,
        last_altered: s.updated_at_us,
        last_altered_by: s.updated_by,
    }
}

fn table_row(t: &TableRecord) -> TableRow {
    TableRow {
        table_catalog: t.name.catalog.clone(),
        table_schema: t.name.schema.clone(),
        table_name: t.name.name.clone(),
        table_type: t.kind.as_str().to_string(),
        is_insertable_into: yes_no(matches!(t.kind, TableKind::Managed | TableKind::External)),
        commit_action: "PRESERVE".to_string(),
        table_owner: t.owner.clone(),
        comment: t.comment.clone(),
        created: t.created_at_us,
        created_by: t.created_by.clone(),
        last_altered: t.updated_at_us,
        last_altered_by: t.updated_by.clone(),
        data_source_format: t.provider.as_ref().map(|p| p.to_uppercase()),
        storage_path: t.location.clone(),
    }
}

fn view_row(t: &TableRecord) -> Option<ViewRow> {
    let view = t.view.as_ref().filter(|_| matches!(t.kind, TableKind::View | TableKind::MaterializedView))?;
    Some(ViewRow {
        table_catalog: t.name.catalog.clone(),
        table_schema: t.name.schema.clone(),
        table_name: t.name.name.clone(),
        view_definition: view.text.clone(),
        check_option: "NONE".to_string(),
        is_updatable: yes_no(false),
        is_insertable_into: yes_no(false),
        sql_path: format!("{}.{}", view.current_catalog, view.current_schema),
        is_materialized: yes_no(t.kind == TableKind::MaterializedView),
    })
}

fn column_rows(t: &TableRecord) -> Vec<ColumnRow> {
    let row = |(i, f): (usize, &boathouse_spec::StructField)| {
        let metadata = f.metadata_map();
        let text =
            |key: &str| metadata.get(key).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_string));
        let identity_step = text("delta.identity.step");
        let generated = text("delta.generationExpression");
        let explicit = metadata.get("delta.identity.allowExplicitInsert").and_then(|v| v.as_bool());
        ColumnRow {
            table_catalog: t.name.catalog.clone(),
            table_schema: t.name.schema.clone(),
            table_name: t.name.name.clone(),
            column_name: f.name.clone(),
            ordinal_position: i as i32 + 1,
            column_default: text("CURRENT_DEFAULT"),
            is_nullable: yes_no(f.nullable),
            facets: TypeFacets::of(&f.data_type),
            is_identity: yes_no(identity_step.is_some()),
            identity_generation: identity_step
                .as_ref()
                .map(|_| if explicit == Some(true) { "BY DEFAULT" } else { "ALWAYS" }.to_string()),
            identity_start: text("delta.identity.start"),
            identity_increment: identity_step,
            is_generated: yes_no(generated.is_some()),
            generation_expression: generated,
            is_updatable: yes_no(!t.kind.is_view()),
            partition_ordinal_position: t
                .partition_columns
                .iter()
                .position(|p| p.eq_ignore_ascii_case(&f.name))
                .map(|p| p as i32 + 1),
            comment: f.comment(),
        }
    };
    t.schema.fields.iter().enumerate().map(row).collect()
}

fn routine_row(f: &FunctionRecord) -> RoutineRow {
    let facets = match (&f.kind, &f.returns) {
        (FunctionKind::Table, _) => TypeFacets {
            data_type: "TABLE".to_string(),
            full_data_type: format!("TABLE({})", f.return_columns.ddl()),
            ..TypeFacets::default()
        },
        (FunctionKind::Scalar, Some(t)) => TypeFacets::of(t),
        (FunctionKind::Scalar, None) => TypeFacets::default(),
    };
    let is_sql = f.language.eq_ignore_ascii_case("SQL");
    let access = f.characteristics.iter().map(|c| c.to_uppercase());
    let access = access.into_iter().find(|c| c == "READS SQL DATA" || c == "CONTAINS SQL" || c == "NO SQL");
    RoutineRow {
        specific_catalog: f.name.catalog.clone(),
        specific_schema: f.name.schema.clone(),
        specific_name: f.name.name.clone(),
        routine_catalog: f.name.catalog.clone(),
        routine_schema: f.name.schema.clone(),
        routine_name: f.name.name.clone(),
        routine_owner: f.owner.clone(),
        routine_type: "FUNCTION".to_string(),
        facets,
        routine_body: if is_sql { "SQL" } else { "EXTERNAL" }.to_string(),
        routine_definition: Some(f.body.clone()),
        external_language: (!is_sql).then(|| f.language.clone()),
        parameter_style: "SQL".to_string(),
        is_deterministic: yes_no(f.deterministic.unwrap_or(true)),
        sql_data_access: access
            .unwrap_or_else(|| if f.body_is_query { "READS SQL DATA" } else { "CONTAINS SQL" }.to_string()),
        is_null_call: yes_no(true),
        sql_path: Some(format!("{}.{}", f.current_catalog, f.current_schema)),
        security_type: "DEFINER".to_string(),
        comment: f.comment.clone(),
        created: f.created_at_us,
        created_by: f.created_by.clone(),
        last_altered: f.updated_at_us,
        last_altered_by: f.updated_by.clone(),
    }
}

fn parameter_rows(f: &FunctionRecord) -> Vec<ParameterRow> {
    let row = |(i, p): (usize, &crate::records::ParameterRecord)| ParameterRow {
        specific_catalog: f.name.catalog.clone(),
        specific_schema: f.name.schema.clone(),
        specific_name: f.name.name.clone(),
        ordinal_position: i as i32,
        parameter_mode: "IN".to_string(),
        is_result: yes_no(false),
        parameter_name: p.name.clone(),
        facets: TypeFacets::of(&p.data_type),
        parameter_default: p.default.clone(),
        comment: p.comment.clone(),
    };
    f.parameters.iter().enumerate().map(row).collect()
}
