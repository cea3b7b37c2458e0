//! `ALTER SCHEMA`.

use std::sync::Arc;

use boathouse_spec::{Error, Result, SchemaChange};

use crate::{QueryResult, Session};

pub(super) async fn run(
    session: &Arc<Session>,
    name: &[String],
    change: SchemaChange,
) -> Result<QueryResult> {
    let name = session.schema_name(name)?;
    if let SchemaChange::SetCollation(collation) = &change {
        super::create_schema::check_collation(session, Some(collation))?;
    }
    let location = match &change {
        SchemaChange::SetLocation(location) => Some(session.storage().url(location)?.to_string()),
        _ => None,
    };
    session
        .engine
        .catalog
        .alter_schema(&name, &session.user, move |record| {
            match change {
                SchemaChange::SetProperties(properties) => record.properties.extend(properties),
                SchemaChange::UnsetProperties(keys) => {
                    for key in keys {
                        record.properties.shift_remove(&key);
                    }
                }
                SchemaChange::SetLocation(_) => record.location = location,
                SchemaChange::SetComment(comment) => record.comment = Some(comment),
                SchemaChange::SetOwner(owner) => record.owner = owner,
                SchemaChange::SetCollation(collation) => record.collation = Some(collation),
                SchemaChange::SetTags(_) | SchemaChange::UnsetTags(_) => {
                    return Err(Error::unsupported("tags on schemas"));
                }
            }
            Ok(())
        })
        .await?;
    Ok(QueryResult::empty())
}
