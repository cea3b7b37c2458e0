//! Tables: each batch is one commit, marked with the query's id and the batch's, so that the same batch again does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use boathouse_engine::Session;
use boathouse_spec::{
    Command, DataSourceRef, Expr, Literal, Merge, MergeAction, MergeClause, Name, Options, Plan, Relation,
    RelationNode, Result, SaveMode, TableRef, Write, WriteTarget, option,
};

use crate::query::{Batch, Change, OutputMode, Sink};
use crate::start::StartQuery;

/// The table and the batch in the condition that finds the rows which change.
const TABLE: &str = "before";
const BATCH: &str = "after";

pub(super) struct TableSink {
    target: WriteTarget,
    partition_by: Vec<String>,
    cluster_by: Vec<Name>,
    options: Options,
    mode: OutputMode,
    description: String,
    /// Whether the table is known to be there.
    is_there: AtomicBool,
}

impl TableSink {
    /// A Delta table by path.
    pub fn path(path: String, start: &StartQuery, options: Options, mode: OutputMode) -> Self {
        let description = format!("DeltaSink[{path}]");
        Self::new(WriteTarget::Path(path), start, options, mode, description)
    }

    /// A table of the catalog.
    pub fn table(name: Vec<String>, start: &StartQuery, options: Options, mode: OutputMode) -> Self {
        let description = format!("DeltaSink[{}]", name.join("."));
        Self::new(WriteTarget::Table(name), start, options, mode, description)
    }

    fn new(
        target: WriteTarget,
        start: &StartQuery,
        options: Options,
        mode: OutputMode,
        description: String,
    ) -> Self {
        Self {
            target,
            partition_by: start.partition_by.clone(),
            cluster_by: start.cluster_by.clone(),
            options,
            mode,
            description,
            is_there: AtomicBool::new(false),
        }
    }

    fn write_of(&self, input: Relation, mode: SaveMode, options: Options) -> Command {
        Command::Write(Box::new(Write {
            input,
            format: Some("delta".to_string()),
            mode: Some(mode),
            target: self.target.clone(),
            partition_by: self.partition_by.clone(),
            cluster_by: self.cluster_by.clone(),
            bucket: None,
            options,
        }))
    }

    /// Puts rows in the place of those with the same keys: what update mode means for a table, where Spark leaves it to the user's
    /// own MERGE. The table is made first where there is none.
    async fn replace(&self, session: &Arc<Session>, batch: Batch, same_keys: Expr) -> Result<()> {
        if !self.is_there.load(Ordering::Relaxed) {
            let nothing = RelationNode::Limit {
                input: batch.rows.clone(),
                limit: Expr::literal(Literal::Integer(0)),
                origin: Default::default(),
            };
            run(session, self.write_of(nothing.into(), SaveMode::Ignore, self.options.clone())).await?;
            self.is_there.store(true, Ordering::Relaxed);
        }
        session.conf().set("spark.databricks.delta.write.txnAppId", &batch.query_id)?;
        session.conf().set("spark.databricks.delta.write.txnVersion", &batch.id.to_string())?;
        let always = |action| vec![MergeClause { condition: None, action }];
        let merge = Merge {
            target: named(self.relation(), TABLE),
            source: named(batch.rows, BATCH),
            condition: same_keys,
            matched: always(MergeAction::UpdateAll),
            not_matched: always(MergeAction::InsertAll),
            not_matched_by_source: Vec::new(),
            with_schema_evolution: option(&self.options, "mergeSchema")
                .is_some_and(|v| v.eq_ignore_ascii_case("true")),
        };
        run(session, Command::Merge(Box::new(merge))).await
    }

    fn relation(&self) -> Relation {
        match &self.target {
            WriteTarget::Table(name) | WriteTarget::InsertInto(name) => {
                RelationNode::Table(TableRef { name: name.clone(), ..TableRef::default() }).into()
            }
            WriteTarget::Path(path) => RelationNode::DataSource(DataSourceRef {
                format: "delta".to_string(),
                paths: vec![path.clone()],
                ..DataSourceRef::default()
            })
            .into(),
            WriteTarget::None => RelationNode::OneRow.into(),
        }
    }
}

fn named(input: Relation, alias: &str) -> Relation {
    let alias = alias.to_string();
    RelationNode::SubqueryAlias { input, alias, qualifier: Vec::new(), columns: Vec::new() }.into()
}

/// Where there are no keys, all rows are one group.
fn same_keys(keys: &[String]) -> Expr {
    let same = |key: &String| {
        let column = |side: &str| Expr::column([side, key.as_str()]);
        Expr::operator("<=>", vec![column(TABLE), column(BATCH)])
    };
    let all = keys.iter().map(same).reduce(|a, b| Expr::operator("and", vec![a, b]));
    all.unwrap_or_else(|| Expr::literal(Literal::Boolean(true)))
}

async fn run(session: &Arc<Session>, command: Command) -> Result<()> {
    session.execute(Plan::Command(Box::new(command))).await?.collect().await?;
    Ok(())
}

#[async_trait]
impl Sink for TableSink {
    async fn write(&self, session: &Arc<Session>, batch: Batch) -> Result<()> {
        if let Change::Replace(keys) = &batch.change {
            let condition = same_keys(keys);
            return self.replace(session, batch, condition).await;
        }
        let mut options = self.options.clone();
        options.push(("txnAppId".to_string(), batch.query_id));
        options.push(("txnVersion".to_string(), batch.id.to_string()));
        let mode = match self.mode {
            OutputMode::Complete => SaveMode::Overwrite,
            OutputMode::Append | OutputMode::Update => SaveMode::Append,
        };
        run(session, self.write_of(batch.rows, mode, options)).await
    }

    fn description(&self) -> String {
        self.description.clone()
    }
}
