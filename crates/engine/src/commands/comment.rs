//! `COMMENT ON`.

use std::sync::Arc;

use boathouse_spec::{ColumnChange, CommentTarget, Error, Result, SchemaChange, TableChange};

use crate::commands::target;
use crate::commands::{alter_schema, alter_table};
use crate::{QueryResult, Session};

pub(super) async fn run(
    session: &Arc<Session>,
    target: CommentTarget,
    name: &[String],
    comment: Option<String>,
) -> Result<QueryResult> {
    match target {
        CommentTarget::Catalog => {
            let [catalog] = name else {
                return Err(Error::new("CATALOG_NOT_FOUND")
                    .param("catalogName", boathouse_spec::quote_name(name))
                    .message("A catalog has one name."));
            };
            session
                .engine
                .catalog
                .alter_catalog(catalog, &session.user, move |record| {
                    record.comment = comment;
                    Ok(())
                })
                .await?;
            Ok(QueryResult::empty())
        }
        CommentTarget::Schema => {
            let change = SchemaChange::SetComment(comment.unwrap_or_default());
            alter_schema::run(session, name, change).await
        }
        CommentTarget::Table => {
            let path = target::command_path(session);
            let table = target::table(session, name, "COMMENT ON TABLE", &path).await?;
            alter_table::set_comment(session, &table, comment).await
        }
        CommentTarget::Column => {
            let Some((column, table)) = name.split_last() else {
                return Err(Error::internal("COMMENT ON COLUMN without a name"));
            };
            let change = TableChange::AlterColumn {
                column: vec![column.clone()],
                change: ColumnChange::Comment(comment),
            };
            alter_table::run(session, table, false, false, vec![change]).await
        }
    }
}
