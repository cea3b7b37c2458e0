//! `toTable`: what the name of a table means as a target. A Delta table is written as such; another is a directory of files
//! (Spark's `DataStreamWriter.toTable`).

use std::sync::Arc;

use boathouse_engine::Session;
use boathouse_spec::{Error, Plan, Result, SqlText, option, quote, quote_name};

use super::Target;
use crate::start::StartQuery;

/// The target of a query into a table; one that is not there is made, by the first batch or now.
pub(super) async fn target(
    session: &Arc<Session>,
    name: Vec<String>,
    start: &StartQuery,
    format: &str,
) -> Result<Target> {
    let place = match session.table_place(&name).await? {
        // The first batch makes it.
        None if format == "delta" => return Ok(Target::Table { name }),
        None => {
            create(session, &name, start, format).await?;
            session.table_place(&name).await?
        }
        known => known,
    };
    let Some((found, location)) = place else {
        return Err(Error::internal("a table that was made is not there"));
    };
    if found.is_empty() {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1191")
            .param("table", quote_name(&name))
            .message(format!("Streaming into views {} is not supported.", quote_name(&name)))
            .exception("AnalysisException"));
    }
    if !start.format.is_empty() && found != format {
        return Err(Error::new("_LEGACY_ERROR_TEMP_1192")
            .param("source", format)
            .param("table", quote_name(&name))
            .param("provider", &found)
            .message(format!(
                "The input source({format}) is different from the table {}'s data source provider({found}).",
                quote_name(&name)
            ))
            .exception("AnalysisException"));
    }
    match location {
        _ if found == "delta" => Ok(Target::Table { name }),
        Some(path) => {
            boathouse_connectors::Format::find(&found)?;
            Ok(Target::Files { format: found, path })
        }
        None => Err(Error::new("UNSUPPORTED_FEATURE.TABLE_OPERATION")
            .param("tableName", quote_name(&name))
            .param("operation", "streaming write")
            .message(format!("{} does not take a stream.", quote_name(&name)))
            .exception("AnalysisException")),
    }
}

/// A table with the columns of the query, all of which may be NULL.
async fn create(session: &Arc<Session>, name: &[String], start: &StartQuery, format: &str) -> Result<()> {
    let schema = session.schema(&start.input).await?;
    let columns: Vec<String> =
        schema.fields.iter().map(|f| format!("{} {}", quote(&f.name), f.data_type.sql())).collect();
    let mut text = format!("CREATE TABLE {} ({}) USING {format}", quote_name(name), columns.join(", "));
    if !start.partition_by.is_empty() {
        let columns: Vec<String> = start.partition_by.iter().map(|c| quote(c)).collect();
        text.push_str(&format!(" PARTITIONED BY ({})", columns.join(", ")));
    }
    if let Some(path) = option(&start.options, "path") {
        text.push_str(&format!(" LOCATION '{}'", path.replace('\\', "\\\\").replace('\'', "\\'")));
    }
    let plan: Plan = session.parse_sql(&SqlText { text, ..SqlText::default() }).await?;
    session.execute(plan).await?.collect().await?;
    Ok(())
}
