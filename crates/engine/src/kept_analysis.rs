//! The analysis that `spark.sql(text)` is answered after, kept for the execution that follows.
//!
//! `spark.sql(text).collect()` is two calls: the first analyzes the text, because errors of names and types are its own, the
//! second runs it. Where nothing that the analysis asked for has changed in between, it is not made again (Spark keeps analyzed
//! plans of a session for the same reason: `SessionHolder.usePlanCache`).
//!
//! What an analysis may ask for is listed here, [`Surroundings`] and [`LookUp`]s; one that asks for anything else, such as the
//! time, is not kept (`Analyzer::look_ups`). Tables are opened again by the execution: it reads their latest versions, under the
//! permissions of that moment, and finds the kept analysis useless where one has changed.

use std::any::Any;
use std::sync::Arc;

use boathouse_catalog::TableRecord;
use boathouse_connectors::FileTable;
use boathouse_delta::{DeltaScan, Snapshot};
use boathouse_spec::{DataSourceRef, Options, Relation, RelationNode, Result, SqlText, clock};
use datafusion::catalog::TableProvider;

use crate::Session;
use crate::analyzer::Analyzed;
use crate::resolver::{self, Resolved, ResolvedTable, Scope};
use crate::temp_views::{Environment, TempView};

/// Days begin at quarters of an hour, in every zone: a time without a date is read on the same day within one.
const QUARTER_OF_AN_HOUR_US: i64 = 15 * 60 * 1_000_000;

pub(crate) struct KeptAnalysis {
    text: SqlText,
    surroundings: Surroundings,
    look_ups: Vec<LookUp>,
    analyzed: Analyzed,
}

/// What a session holds that an analysis may depend on.
#[derive(PartialEq)]
struct Surroundings {
    settings: Vec<(String, String)>,
    namespace: (String, String),
    views: ViewsInSight,
    quarter: i64,
}

/// Temporary views: the map is a new one after each change.
struct ViewsInSight(Environment);

impl PartialEq for ViewsInSight {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Surroundings {
    /// `None` where the session has what is not compared: variables, functions, rows in memory.
    fn of(session: &Session) -> Option<Self> {
        let is_plain = session.variables.is_empty()
            && session.functions.is_empty()
            && session.python_sources.is_empty()
            && !session.has_datasets()
            && session.engine.cache.is_empty();
        is_plain.then(|| Self {
            settings: session.conf.changed(),
            namespace: session.current_namespace(),
            views: ViewsInSight(session.temp_views.environment()),
            quarter: clock::now_us().div_euclid(QUARTER_OF_AN_HOUR_US),
        })
    }
}

/// What an analysis looked up, and what it stood for.
pub(crate) struct LookUp {
    of: LookedUp,
    found: Found,
}

enum LookedUp {
    Name { name: Vec<String>, options: Options, scope: Scope },
    Files(DataSourceRef),
}

enum Found {
    /// A Delta table of the catalog at its latest version.
    Table(Arc<TableRecord>, Snapshot),
    /// Files, in the catalog or not: the same table where they have not changed (`boathouse_connectors::OpenedTables`).
    Files(Option<Arc<TableRecord>>, Arc<dyn TableProvider>),
    View(Arc<TableRecord>),
    TempView(Arc<TempView>),
}

impl Found {
    /// `None` for tables whose state is not known by a version.
    fn of(resolved: &Resolved) -> Option<Self> {
        match resolved {
            Resolved::Table(table) => Self::of_table(table),
            Resolved::View(record) => Some(Self::View(Arc::clone(record))),
            Resolved::TempView { view, .. } => Some(Self::TempView(Arc::clone(view))),
        }
    }

    fn of_table(table: &ResolvedTable) -> Option<Self> {
        let provider = table.provider.as_ref() as &dyn Any;
        if provider.is::<FileTable>() {
            return Some(Self::Files(table.record.clone(), Arc::clone(&table.provider)));
        }
        let record = table.record.as_ref()?;
        let delta = table.delta.as_ref()?;
        provider.downcast_ref::<DeltaScan>()?;
        Some(Self::Table(Arc::clone(record), delta.snapshot.clone()))
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Table(a, at_a), Self::Table(b, at_b)) => at_a.is_same(at_b) && a == b,
            (Self::Files(a, of_a), Self::Files(b, of_b)) => Arc::ptr_eq(of_a, of_b) && a == b,
            (Self::View(a), Self::View(b)) => a == b,
            (Self::TempView(a), Self::TempView(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl LookUp {
    pub fn of_name(name: &[String], options: &Options, scope: &Scope, found: &Resolved) -> Option<Self> {
        let found = Found::of(found)?;
        let of = LookedUp::Name { name: name.to_vec(), options: options.clone(), scope: scope.clone() };
        Some(Self { of, found })
    }

    pub fn of_files(source: &DataSourceRef, found: &ResolvedTable) -> Option<Self> {
        let found = Found::of_table(found)?;
        matches!(found, Found::Files(..)).then(|| Self { of: LookedUp::Files(source.clone()), found })
    }

    async fn still_holds(&self, session: &Arc<Session>) -> bool {
        let again = match &self.of {
            LookedUp::Name { name, options, scope } => {
                let again = resolver::resolve(session, name, options, None, scope).await;
                again.ok().and_then(|resolved| Found::of(&resolved))
            }
            LookedUp::Files(source) => {
                let again = resolver::data_source(session, source).await;
                again.ok().and_then(|table| Found::of_table(&table))
            }
        };
        again.is_some_and(|again| again.is(&self.found))
    }
}

/// Analyzes a query, for its errors, and keeps what was found.
pub(crate) async fn analyze(session: &Arc<Session>, text: SqlText) -> Result<()> {
    *session.kept_analysis.lock() = None;
    let surroundings = Surroundings::of(session);
    let relation = Relation::new(RelationNode::Sql(text.clone()));
    let (analyzed, look_ups) = session
        .analyze(move |analyzer| {
            let analyzed = analyzer.query(&relation)?;
            Ok((analyzed, analyzer.look_ups()))
        })
        .await?;
    if let (Some(surroundings), Some(look_ups), false) = (surroundings, look_ups, analyzed.is_streaming) {
        *session.kept_analysis.lock() = Some(KeptAnalysis { text, surroundings, look_ups, analyzed });
    }
    Ok(())
}

/// What a query of that text was found to mean, where it means the same now. It is given once: functions may count on that a
/// plan runs once (`monotonically_increasing_id()`, `rand()`).
pub(crate) async fn take(session: &Arc<Session>, text: &SqlText) -> Option<Analyzed> {
    let kept = session.kept_analysis.lock().take_if(|kept| kept.text == *text)?;
    if Surroundings::of(session).as_ref() != Some(&kept.surroundings) {
        return None;
    }
    // To look a table up waits for the catalog and for its directory.
    let holds = futures::future::join_all(kept.look_ups.iter().map(|look_up| look_up.still_holds(session)));
    holds.await.into_iter().all(|holds| holds).then_some(kept.analyzed)
}

#[cfg(test)]
mod tests {
    use boathouse_spec::Plan;

    use super::*;
    use crate::{Engine, EngineOptions, SqlCommandOutcome};

    async fn run(session: &Arc<Session>, text: &str) {
        let sql = SqlText { text: text.to_string(), ..SqlText::default() };
        let result = match session.sql_command(sql).await.unwrap() {
            SqlCommandOutcome::Query(relation) => session.execute(Plan::Query(relation)).await.unwrap(),
            SqlCommandOutcome::Rows(result) => result,
        };
        result.collect().await.unwrap();
    }

    /// Whether the execution that follows `spark.sql(text)` finds its analysis, after `between` has run.
    async fn is_kept(session: &Arc<Session>, text: &str, between: Option<&str>) -> bool {
        let sql = SqlText { text: text.to_string(), ..SqlText::default() };
        session.sql_command(sql.clone()).await.unwrap();
        if let Some(statement) = between {
            run(session, statement).await;
        }
        // The statement between may have been a query, whose analysis is the one that is kept.
        let found = take(session, &sql).await.is_some();
        assert!(take(session, &sql).await.is_none(), "an analysis is used once");
        found
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_analysis_is_kept_where_it_depends_on_names_and_settings_alone() {
        let home = std::env::temp_dir().join(format!("boathouse-kept-{}", uuid::Uuid::new_v4().simple()));
        let engine = Engine::open(EngineOptions::new(&home)).await.unwrap();
        let session = engine.sessions().get_or_create("me", &uuid::Uuid::new_v4().to_string()).await.unwrap();
        run(&session, "CREATE TABLE t (n INT)").await;
        run(&session, "CREATE VIEW v AS SELECT n FROM t").await;
        run(&session, "CREATE TEMPORARY VIEW w AS SELECT n FROM v").await;
        run(&session, "CREATE FUNCTION f(x INT) RETURNS INT RETURN x").await;

        for kept in [
            "SELECT 1",
            "SELECT max(n), rand() FROM t JOIN v USING (n)",
            "SELECT upper('a') FROM w WHERE n > 1",
        ] {
            assert!(is_kept(&session, kept, None).await, "{kept}");
        }
        for not_kept in [
            "SELECT now()",
            "SELECT DATE 'today' FROM t",
            "SELECT f(n) FROM t",
            "SELECT * FROM t VERSION AS OF 0",
        ] {
            assert!(!is_kept(&session, not_kept, None).await, "{not_kept}");
        }
        // Files, by their path and by a name of the catalog.
        let files = home.join("files");
        std::fs::create_dir_all(&files).unwrap();
        let write = |name: &str, content: &str| {
            std::fs::write(files.join(name), content).unwrap();
            let file = std::fs::File::options().write(true).open(files.join(name)).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        };
        write("a.json", r#"{"n": 1}"#);
        let by_path = format!("SELECT n FROM json.`{}`", files.display());
        run(&session, &format!("CREATE TEMPORARY VIEW of_files AS {by_path}")).await;
        run(&session, &format!("CREATE TABLE files USING json LOCATION '{}'", files.display())).await;
        for query in [by_path.as_str(), "SELECT n FROM of_files", "SELECT n FROM files"] {
            assert!(is_kept(&session, query, None).await, "{query}");
        }
        for (i, query) in
            [by_path.as_str(), "SELECT n FROM of_files", "SELECT n FROM files"].iter().enumerate()
        {
            let sql = SqlText { text: query.to_string(), ..SqlText::default() };
            session.sql_command(sql.clone()).await.unwrap();
            write(&format!("{i}.json"), r#"{"n": 1}"#);
            assert!(take(&session, &sql).await.is_none(), "{query}");
        }
        for change in [
            "INSERT INTO t VALUES (1)",
            "ALTER TABLE t ADD COLUMN m INT",
            "SET spark.sql.ansi.enabled = false",
            "CREATE OR REPLACE VIEW v AS SELECT n + 1 AS n FROM t",
            "CREATE OR REPLACE TEMPORARY VIEW w AS SELECT n FROM t",
            "CREATE TEMPORARY VIEW t AS SELECT 1 AS n",
            "DECLARE VARIABLE x INT",
        ] {
            assert!(is_kept(&session, "SELECT n FROM w JOIN t USING (n)", None).await, "before {change}");
            assert!(!is_kept(&session, "SELECT n FROM w JOIN t USING (n)", Some(change)).await, "{change}");
        }

        engine.shutdown().await;
        std::fs::remove_dir_all(home).unwrap();
    }
}
