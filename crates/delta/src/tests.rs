//! Tables from the first commit to the last, as the engine uses them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use arrow::util::pretty::pretty_format_batches;
use boathouse_spec::{DataType, StructField, StructType};
use datafusion::catalog::default_table_source::DefaultTableSource;
use datafusion::common::Column;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::*;

struct World {
    directory: tempfile::TempDir,
    context: SessionContext,
}

impl World {
    fn new() -> Self {
        let config = SessionConfig::new().with_target_partitions(2);
        Self { directory: tempfile::tempdir().unwrap(), context: SessionContext::new_with_config(config) }
    }

    fn location(&self, name: &str) -> TableLocation {
        TableLocation::local(self.directory.path().join(name)).unwrap()
    }

    fn session(&self) -> SessionState {
        self.context.state()
    }

    async fn append(
        &self,
        location: &TableLocation,
        batch: RecordBatch,
        options: &WriteOptions,
    ) -> Committed {
        self.try_append(location, batch, options).await.unwrap().unwrap()
    }

    async fn try_append(
        &self,
        location: &TableLocation,
        batch: RecordBatch,
        options: &WriteOptions,
    ) -> boathouse_spec::Result<Option<Committed>> {
        let table = match DeltaTable::is_delta_table(location).await? {
            true => Some(DeltaTable::load(location, None).await?),
            false => None,
        };
        write(location, table.as_ref(), &self.session(), rows(batch), options).await
    }

    async fn read(&self, snapshot: &Snapshot, filter: Option<Expr>) -> Vec<RecordBatch> {
        let plan = self.plan(snapshot, filter).await;
        collect(plan, self.session().task_ctx()).await.unwrap()
    }

    async fn plan(&self, snapshot: &Snapshot, filter: Option<Expr>) -> Arc<dyn ExecutionPlan> {
        let source = Arc::new(DefaultTableSource::new(Arc::new(DeltaScan::new(snapshot.clone()).unwrap())));
        let mut builder = LogicalPlanBuilder::scan("t", source, None).unwrap();
        if let Some(filter) = filter {
            builder = builder.filter(filter).unwrap();
        }
        let first = Expr::Column(Column::new(Some("t"), &snapshot.schema().fields[0].name));
        let plan = builder.sort(vec![first.sort(true, true)]).unwrap().build().unwrap();
        self.session().create_physical_plan(&plan).await.unwrap()
    }

    async fn show(&self, snapshot: &Snapshot, filter: Option<Expr>) -> String {
        pretty_format_batches(&self.read(snapshot, filter).await).unwrap().to_string()
    }

    async fn longs(&self, snapshot: &Snapshot, filter: Option<Expr>) -> Vec<i64> {
        let batches = self.read(snapshot, filter).await;
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }
}

fn rows(batch: RecordBatch) -> Arc<dyn ExecutionPlan> {
    MemorySourceConfig::try_new_exec(&[vec![batch.clone()]], batch.schema(), None).unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap()
}

fn ids(values: &[i64]) -> RecordBatch {
    batch(vec![("id", Arc::new(Int64Array::from(values.to_vec())))])
}

fn people(rows: &[(i64, Option<&str>, Option<&str>)]) -> RecordBatch {
    batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)))),
        ("name", Arc::new(StringArray::from_iter(rows.iter().map(|r| r.1)))),
        ("p", Arc::new(StringArray::from_iter(rows.iter().map(|r| r.2)))),
    ])
}

fn append() -> WriteOptions {
    WriteOptions::new(WriteMode::Append)
}

fn overwrite() -> WriteOptions {
    WriteOptions::new(WriteMode::Overwrite)
}

fn predicate(expr: Expr, sql: &str) -> Predicate {
    Predicate { expr, sql: sql.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back() {
    let world = World::new();
    let location = world.location("t");
    assert!(!DeltaTable::is_delta_table(&location).await.unwrap());
    let e = DeltaTable::load(&location, None).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_MISSING_DELTA_TABLE");

    let first = world.append(&location, ids(&[1, 2, 3]), &append()).await;
    assert_eq!((first.version, first.metric("numOutputRows"), first.metric("numFiles")), (0, 3, 1));
    let second = world.append(&location, ids(&[4]), &append()).await;
    assert_eq!(second.version, 1);
    // The snapshot of the commit, and one that is loaded afresh.
    assert_eq!(world.longs(&second.snapshot, None).await, [1, 2, 3, 4]);
    let loaded = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&loaded, None).await, [1, 2, 3, 4]);
    assert_eq!(loaded.metadata(), second.snapshot.metadata());
    assert_eq!(loaded.protocol(), second.snapshot.protocol());
    // Time travel.
    let old = DeltaTable::load(&location, Some(0)).await.unwrap();
    assert_eq!(world.longs(&old, None).await, [1, 2, 3]);
    let e = DeltaTable::load(&location, Some(9)).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_VERSION_NOT_FOUND");

    let third = world.append(&location, ids(&[7]), &overwrite()).await;
    assert_eq!((third.metric("numRemovedFiles"), third.metric("numFiles")), (2, 1));
    assert_eq!(world.longs(&third.snapshot, None).await, [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions() {
    let world = World::new();
    let location = world.location("my table");
    let options = WriteOptions { partition_by: Some(vec!["p".into()]), ..append() };
    let data = people(&[
        (1, Some("a"), Some("x")),
        (2, Some("b"), Some("a b/c:é%=")),
        (3, None, None),
        (4, None, Some("")),
    ]);
    let first = world.append(&location, data, &options).await;
    assert_eq!(first.metric("numFiles"), 3, "the empty text is NULL in a partition column");
    let loaded = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(
        world.show(&loaded, None).await,
        "\
+----+------+-----------+
| id | name | p         |
+----+------+-----------+
| 1  | a    | x         |
| 2  | b    | a b/c:é%= |
| 3  |      |           |
| 4  |      |           |
+----+------+-----------+"
    );
    assert_eq!(world.longs(&loaded, Some(col("p").eq(lit("a b/c:é%=")))).await, [2]);
    assert_eq!(world.longs(&loaded, Some(col("p").is_null())).await, [3, 4]);
    // Only the file of the partition is in the plan.
    let plan = world.plan(&loaded, Some(col("p").eq(lit("x")))).await;
    let text = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
    assert!(text.contains("p=x") && !text.contains("HIVE"), "{text}");

    let dynamic = WriteOptions { partition_overwrite: PartitionOverwrite::Dynamic, ..overwrite() };
    let second = world.append(&location, people(&[(9, None, Some("x"))]), &dynamic).await;
    assert_eq!(world.longs(&second.snapshot, None).await, [2, 3, 4, 9]);
    let second = world.append(&location, people(&[(8, None, None)]), &dynamic).await;
    assert_eq!(world.longs(&second.snapshot, None).await, [2, 8, 9]);

    let where_x =
        WriteOptions { replace_where: Some(predicate(col("p").eq(lit("x")), "p = 'x'")), ..overwrite() };
    let third = world.append(&location, people(&[(10, None, Some("x"))]), &where_x).await;
    assert_eq!(world.longs(&third.snapshot, None).await, [2, 8, 10]);
    let e = world.try_append(&location, people(&[(10, None, Some("y"))]), &where_x).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_REPLACE_WHERE_MISMATCH");
    let bad = WriteOptions { partition_by: Some(vec!["name".into()]), ..append() };
    let e = world.try_append(&location, people(&[]), &bad).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_METADATA_MISMATCH");
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_prune_files_and_count_rows() {
    let world = World::new();
    let location = world.location("t");
    for start in [0i64, 100, 200] {
        world.append(&location, ids(&(start..start + 10).collect::<Vec<_>>()), &append()).await;
    }
    let table = DeltaTable::load(&location, None).await.unwrap();
    let plan = world.plan(&table, Some(col("id").gt(lit(204i64)))).await;
    let text = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
    assert_eq!(text.matches(".parquet").count(), 1, "{text}");
    assert_eq!(world.longs(&table, Some(col("id").gt(lit(204i64)))).await, [205, 206, 207, 208, 209]);
    let plan = world.plan(&table, None).await;
    let leaf = plan.children()[0].clone();
    let context = datafusion::physical_plan::statistics::StatisticsContext::new();
    let statistics = context.compute(leaf.as_ref(), &Default::default()).unwrap();
    assert_eq!(statistics.num_rows.get_value(), Some(&30));
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_enforced_and_evolve() {
    let world = World::new();
    let location = world.location("t");
    world.append(&location, ids(&[1]), &append()).await;
    let wider = batch(vec![
        ("ID", Arc::new(Int64Array::from(vec![2])) as ArrayRef),
        ("n", Arc::new(Int32Array::from(vec![5]))),
    ]);
    let e = world.try_append(&location, wider.clone(), &append()).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_METADATA_MISMATCH");
    let merge = WriteOptions { merge_schema: true, ..append() };
    let merged = world.append(&location, wider, &merge).await;
    assert_eq!(merged.snapshot.schema().names(), ["id", "n"]);
    assert_eq!(
        world.show(&merged.snapshot, None).await,
        "\
+----+---+
| id | n |
+----+---+
| 1  |   |
| 2  | 5 |
+----+---+"
    );
    let texts = batch(vec![("id", Arc::new(StringArray::from(vec!["x"])) as ArrayRef)]);
    let e = world.try_append(&location, texts.clone(), &append()).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_FAILED_TO_MERGE_FIELDS");
    let replace = WriteOptions { overwrite_schema: true, ..overwrite() };
    let replaced = world.append(&location, texts, &replace).await;
    assert_eq!(replaced.snapshot.schema().fields[0].data_type, DataType::STRING);
}

#[tokio::test(flavor = "multi_thread")]
async fn constraints_hold() {
    let world = World::new();
    let location = world.location("t");
    let mut table = NewTable {
        schema: StructType::new(vec![
            StructField::new("id", DataType::Long, false).with_comment(Some("key")),
            StructField::new("v", DataType::Varchar(3), true),
        ]),
        ..NewTable::default()
    };
    table.properties.insert("delta.constraints.positive".into(), "id > 0".into());
    let created = create(&location, None, &table).await.unwrap();
    assert_eq!(created.snapshot.protocol().min_writer_version, 3);
    assert_eq!(created.snapshot.schema().fields[0].comment().as_deref(), Some("key"));
    assert_eq!(created.snapshot.check_constraints(), [("positive".to_string(), "id > 0".to_string())]);

    let e = world.try_append(&location, ids(&[1]), &append()).await.unwrap_err();
    assert_eq!(e.class(), "INTERNAL_ERROR", "a constraint is never passed over");
    let check =
        CheckConstraint { name: "positive".into(), sql: "id > 0".into(), expr: col("id").gt(lit(0i64)) };
    let options = WriteOptions { constraints: vec![check], ..append() };
    world.append(&location, ids(&[1]), &options).await;
    let e = world.try_append(&location, ids(&[1, -1]), &options).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES");
    assert!(e.text().contains("- id : -1"), "{e}");
    let nulls = batch(vec![("id", Arc::new(Int64Array::from(vec![None])) as ArrayRef)]);
    let e = world.try_append(&location, nulls, &options).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_NOT_NULL_CONSTRAINT_VIOLATED");
    let texts = |t: &str| batch(vec![("v", Arc::new(StringArray::from(vec![t])) as ArrayRef)]);
    let e = world.try_append(&location, texts("a"), &options).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_MISSING_NOT_NULL_COLUMN_VALUE");
    let long = batch(vec![
        ("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ("v", Arc::new(StringArray::from(vec!["abcd"]))),
    ]);
    let e = world.try_append(&location, long, &options).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_EXCEED_CHAR_VARCHAR_LIMIT");
    // What failed left no file behind.
    let files = std::fs::read_dir(world.directory.path().join("t")).unwrap().count();
    assert_eq!(files, 2, "the log and one data file");
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_and_update() {
    let world = World::new();
    let location = world.location("t");
    let options = WriteOptions { partition_by: Some(vec!["p".into()]), ..append() };
    world.append(&location, people(&[(1, Some("a"), Some("x")), (2, Some("b"), Some("x"))]), &options).await;
    let table = world.append(&location, people(&[(3, Some("c"), Some("y"))]), &append()).await.snapshot;
    let session = world.session();
    let dml = DmlOptions::default();

    let id_is = |n: i64| Some(predicate(col("id").eq(lit(n)), "(id = 1)"));
    let done = delete(&table, &session, id_is(1).as_ref(), &dml).await.unwrap().unwrap();
    assert_eq!(
        (done.metric("numDeletedRows"), done.metric("numCopiedRows"), done.metric("numRemovedFiles")),
        (1, 1, 1)
    );
    assert_eq!(world.longs(&done.snapshot, None).await, [2, 3]);
    assert!(delete(&done.snapshot, &session, id_is(77).as_ref(), &dml).await.unwrap().is_none());

    let rename = [Assignment { column: "NAME".into(), value: lit("z") }];
    let done = update(&done.snapshot, &session, id_is(2).as_ref(), &rename, &dml).await.unwrap().unwrap();
    assert_eq!((done.metric("numUpdatedRows"), done.metric("numCopiedRows")), (1, 0));
    assert_eq!(
        world.show(&done.snapshot, None).await,
        "\
+----+------+---+
| id | name | p |
+----+------+---+
| 2  | z    | x |
| 3  | c    | y |
+----+------+---+"
    );
    // To another partition.
    let moved = [Assignment { column: "p".into(), value: lit("w") }];
    let done = update(&done.snapshot, &session, None, &moved, &dml).await.unwrap().unwrap();
    assert_eq!(done.metric("numUpdatedRows"), 2);
    let by_partition = Some(predicate(col("p").eq(lit("w")), "(p = w)"));
    let done = delete(&done.snapshot, &session, by_partition.as_ref(), &dml).await.unwrap().unwrap();
    assert_eq!((done.metric("numDeletedRows"), done.metric("numAddedFiles")), (2, 0));
    assert!(world.longs(&done.snapshot, None).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_with_the_same_txn_happens_once() {
    let world = World::new();
    let location = world.location("t");
    let options = |version| WriteOptions { txn: Some(("query".into(), version)), ..append() };
    for version in [0, 0, 1, 0, 1] {
        world.try_append(&location, ids(&[version]), &options(version)).await.unwrap();
    }
    let table = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&table, None).await, [0, 1]);
    assert_eq!(table.app_version("query").await.unwrap(), Some(1));
    assert_eq!(table.app_version("other").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_written_and_damaged_ones_passed_over() {
    let world = World::new();
    let location = world.location("t");
    for i in 0..25 {
        world.append(&location, ids(&[i]), &append()).await;
    }
    let log = world.directory.path().join("t/_delta_log");
    let checkpoint = |v: i64| log.join(format!("{v:020}.checkpoint.parquet"));
    assert!(checkpoint(10).exists() && checkpoint(20).exists() && log.join("_last_checkpoint").exists());
    let all: Vec<i64> = (0..25).collect();
    let table = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&table, None).await, all);

    // Half a checkpoint.
    let bytes = std::fs::read(checkpoint(20)).unwrap();
    std::fs::write(checkpoint(20), &bytes[..bytes.len() / 2]).unwrap();
    let table = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&table, None).await, all);
    // Both damaged: the commits serve.
    std::fs::write(checkpoint(10), b"").unwrap();
    let table = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&table, None).await, all);
    std::fs::write(log.join("_last_checkpoint"), b"{").unwrap();
    assert_eq!(DeltaTable::load(&location, None).await.unwrap().version(), 24);
    // Without the first commits nothing serves.
    std::fs::remove_file(log.join("00000000000000000003.json")).unwrap();
    let e = DeltaTable::load(&location, None).await.unwrap_err();
    assert!(e.class().starts_with("DELTA_"), "{e}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_all_land() {
    let world = Arc::new(World::new());
    let location = world.location("t");
    let table = world.append(&location, ids(&[-1]), &append()).await.snapshot;
    let mut tasks = Vec::new();
    for i in 0..12 {
        let (world, location, table) = (world.clone(), location.clone(), table.clone());
        tasks.push(tokio::spawn(async move {
            write(&location, Some(&table), &world.session(), rows(ids(&[i])), &append())
                .await
                .unwrap()
                .unwrap()
                .version
        }));
    }
    let mut versions = Vec::new();
    for task in tasks {
        versions.push(task.await.unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=12).collect::<Vec<_>>());
    let table = table.update().await.unwrap();
    assert_eq!(world.longs(&table, None).await, (-1..12).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_told() {
    let world = World::new();
    let location = world.location("t");
    world.append(&location, ids(&[1, 2]), &append()).await;
    let table = world.append(&location, ids(&[101, 102]), &append()).await.snapshot;
    let session = world.session();
    let dml = DmlOptions::default();
    let id_is = |n: i64| predicate(col("id").eq(lit(n)), "x");

    // Two deletes in the same file. What the first writes again concerns the second where it may have its rows.
    delete(&table, &session, Some(&id_is(1)), &dml).await.unwrap();
    let e = delete(&table, &session, Some(&id_is(1)), &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CONCURRENT_DELETE_READ.WITHOUT_HINT");
    assert_eq!(e.exception_name(), Some("ConcurrentDeleteReadException"));
    let e = delete(&table, &session, Some(&id_is(2)), &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CONCURRENT_APPEND.WITHOUT_HINT");
    // In another file there is no conflict.
    let done = delete(&table, &session, Some(&id_is(101)), &dml).await.unwrap().unwrap();
    assert_eq!(world.longs(&done.snapshot, None).await, [2, 102]);
    // A blind append comes after; an overwrite reads everything.
    let before = done.snapshot;
    world.append(&location, ids(&[5]), &append()).await;
    let done = delete(&before, &session, Some(&id_is(102)), &dml).await.unwrap().unwrap();
    assert_eq!(world.longs(&done.snapshot, None).await, [2, 5]);
    let e = write(&location, Some(&before), &session, rows(ids(&[9])), &overwrite()).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CONCURRENT_DELETE_READ.WITHOUT_HINT");
    // A change of schema.
    let merge = WriteOptions { merge_schema: true, ..append() };
    let wide = batch(vec![("n", Arc::new(Int32Array::from(vec![5])) as ArrayRef)]);
    world.append(&location, wide, &merge).await;
    let e = write(&location, Some(&done.snapshot), &session, rows(ids(&[9])), &append()).await.unwrap_err();
    assert_eq!((e.class(), e.exception_name()), ("DELTA_METADATA_CHANGED", Some("MetadataChangedException")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_follows_the_table() {
    let world = World::new();
    let location = world.location("t");
    let cache = Arc::new(SnapshotCache::new());
    let table = DeltaTable::new(location.clone(), cache.clone());
    world.append(&location, ids(&[1]), &append()).await;
    assert_eq!(table.latest().await.unwrap().version(), 0);
    world.append(&location, ids(&[2]), &append()).await;
    let latest = table.latest().await.unwrap();
    assert_eq!((latest.version(), world.longs(&latest, None).await), (1, vec![1, 2]));
    assert_eq!(table.versions().await.unwrap(), (0, 1));
    let old = table.at_version(0).await.unwrap();
    assert_eq!(world.longs(&old, None).await, [1]);
    let e = table.at_version(-1).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_VERSION_NOT_FOUND");
    // Dropped and made again.
    std::fs::remove_dir_all(world.directory.path().join("t")).unwrap();
    assert_eq!(table.latest().await.unwrap_err().class(), "DELTA_MISSING_DELTA_TABLE");
    world.append(&location, ids(&[9]), &append()).await;
    let again = table.latest().await.unwrap();
    assert_eq!(world.longs(&again, None).await, [9]);
    let times = table.version_times().await.unwrap();
    assert_eq!(table.at_timestamp(times[0].1).await.unwrap().version(), 0);
    assert!(table.at_timestamp(0).await.is_err());
}

/// `values` of (id, name) as a source with the qualifier `s`.
fn source(rows: &[(i64, &str)]) -> datafusion::logical_expr::LogicalPlan {
    let data = batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0))) as ArrayRef),
        ("name", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1)))),
    ]);
    let table = datafusion::catalog::MemTable::try_new(data.schema(), vec![vec![data]]).unwrap();
    let provider = Arc::new(DefaultTableSource::new(Arc::new(table)));
    LogicalPlanBuilder::scan("s", provider, None).unwrap().build().unwrap()
}

fn t(name: &str) -> Expr {
    Expr::Column(Column::new(Some("t"), name))
}

fn s(name: &str) -> Expr {
    Expr::Column(Column::new(Some("s"), name))
}

fn clause(condition: Option<Expr>, action: MergeAction) -> MergeClause {
    MergeClause { sql: condition.as_ref().map(|_| "(x)".to_string()), condition, action }
}

fn set(assignments: &[(&str, Expr)]) -> Vec<Assignment> {
    assignments.iter().map(|(c, v)| Assignment { column: (*c).into(), value: v.clone() }).collect()
}

fn merge_of(rows: &[(i64, &str)]) -> Merge {
    Merge {
        target: "t".into(),
        source: source(rows),
        condition: t("id").eq(s("id")),
        condition_sql: "(t.id = s.id)".into(),
        matched: Vec::new(),
        not_matched: Vec::new(),
        not_matched_by_source: Vec::new(),
        evolved_schema: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn merges() {
    let world = World::new();
    let location = world.location("t");
    let options = WriteOptions { partition_by: Some(vec!["p".into()]), ..append() };
    world.append(&location, people(&[(1, Some("a"), Some("x")), (2, Some("b"), Some("x"))]), &options).await;
    let table = world.append(&location, people(&[(3, Some("c"), Some("y"))]), &append()).await.snapshot;
    let session = world.session();
    let dml = DmlOptions::default();
    let insert = || MergeAction::Insert(set(&[("id", s("id")), ("name", s("name"))]));
    let update = || MergeAction::Update(set(&[("name", s("name"))]));

    // Upsert.
    let mut m = merge_of(&[(1, "A"), (10, "J")]);
    m.matched = vec![clause(None, update())];
    m.not_matched = vec![clause(None, insert())];
    let done = merge(&table, &session, &m, &dml).await.unwrap().unwrap();
    let figures =
        ["Inserted", "Updated", "Deleted", "Copied"].map(|f| done.metric(&format!("numTargetRows{f}")));
    assert_eq!(figures, [1, 1, 0, 1]);
    assert_eq!((done.metric("numSourceRows"), done.metric("numOutputRows")), (2, 3));
    assert_eq!((done.metric("numTargetFilesRemoved"), done.metric("numTargetFilesAdded")), (1, 2));
    let shown = "\
+----+------+---+
| id | name | p |
+----+------+---+
| 1  | A    | x |
| 2  | b    | x |
| 3  | c    | y |
| 10 | J    |   |
+----+------+---+";
    assert_eq!(world.show(&done.snapshot, None).await, shown);

    // Inserts only: nothing is rewritten.
    let mut m = merge_of(&[(1, "zzz"), (11, "K"), (12, "no")]);
    m.not_matched = vec![clause(Some(s("id").not_eq(lit(12i64))), insert())];
    let done = merge(&done.snapshot, &session, &m, &dml).await.unwrap().unwrap();
    assert_eq!((done.metric("numTargetFilesRemoved"), done.metric("numTargetRowsInserted")), (0, 1));
    assert_eq!(world.longs(&done.snapshot, None).await, [1, 2, 3, 10, 11]);

    // Every kind of clause, as Spark's test of the same rows.
    let mut m = merge_of(&[(1, "m"), (12, "n")]);
    m.matched = vec![clause(Some(t("id").gt(lit(0i64))), MergeAction::Delete)];
    m.not_matched = vec![clause(Some(s("id").gt(lit(100i64))), insert())];
    m.not_matched_by_source = vec![
        clause(Some(t("id").eq(lit(11i64))), MergeAction::Update(set(&[("name", lit("q"))]))),
        clause(Some(t("id").lt(lit(10i64))), MergeAction::Delete),
    ];
    let done = merge(&done.snapshot, &session, &m, &dml).await.unwrap().unwrap();
    let figures =
        ["MatchedDeleted", "NotMatchedBySourceDeleted", "NotMatchedBySourceUpdated", "Inserted", "Copied"]
            .map(|f| done.metric(&format!("numTargetRows{f}")));
    assert_eq!(figures, [1, 2, 1, 0, 1]);
    assert_eq!(world.longs(&done.snapshot, None).await, [10, 11]);

    // Two rows of the source for one of the target.
    let mut m = merge_of(&[(10, "a"), (10, "b")]);
    m.matched = vec![clause(Some(s("name").eq(lit("a"))), update())];
    let e = merge(&done.snapshot, &session, &m, &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE");
    m.matched = vec![clause(None, MergeAction::Delete)];
    let done = merge(&done.snapshot, &session, &m, &dml).await.unwrap().unwrap();
    assert_eq!(done.metric("numTargetRowsDeleted"), 1);
    assert_eq!(world.longs(&done.snapshot, None).await, [11]);
    // Nothing to do.
    let mut m = merge_of(&[(77, "a")]);
    m.matched = vec![clause(None, update())];
    assert!(merge(&done.snapshot, &session, &m, &dml).await.unwrap().is_none());
}

fn column_names(report: &Report) -> Vec<String> {
    report.batch.schema().fields().iter().map(|f| f.name().clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_detail() {
    let world = World::new();
    let location = world.location("t");
    let options = WriteOptions { user_metadata: Some("hi".into()), ..append() };
    world.append(&location, ids(&[1]), &options).await;
    let table = world.append(&location, ids(&[2]), &append()).await.snapshot;
    let entries = history(&location, Some(5)).await.unwrap();
    assert_eq!(entries.iter().map(|e| e.version).collect::<Vec<_>>(), [1, 0]);
    assert!(entries[0].timestamp_ms > entries[1].timestamp_ms);
    let report = history_report(&entries).unwrap();
    assert_eq!(report.schema.fields.len(), 15);
    let text = pretty_format_batches(std::slice::from_ref(&report.batch)).unwrap().to_string();
    for part in ["WRITE", "mode: Append, partitionBy: []", "numOutputRows: 1", "hi", ENGINE_INFO, "true"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let report = detail(&table, Some("spark_catalog.default.t")).await.unwrap();
    assert_eq!(&column_names(&report)[..3], ["format", "id", "name"]);
    let text = pretty_format_batches(&[report.batch]).unwrap().to_string();
    assert!(text.contains("[appendOnly, invariants]") && text.contains("spark_catalog.default.t"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_tables() {
    let world = World::new();
    let location = world.location("t");
    let table = world.append(&location, people(&[(1, Some("a"), None)]), &append()).await.snapshot;
    let session = world.session();
    let dml = DmlOptions::default();
    let column = |name: &str, place| NewColumn {
        parent: vec![],
        field: StructField::new(name, DataType::Integer, true),
        place,
    };
    let done = add_columns(
        &table,
        &[column("n", ColumnPlace::After("ID".into())), column("z", ColumnPlace::Last)],
        &dml,
    )
    .await
    .unwrap();
    assert_eq!(done.snapshot.schema().names(), ["id", "n", "name", "p", "z"]);
    assert_eq!(world.longs(&done.snapshot, None).await, [1]);
    let e = add_columns(&done.snapshot, &[column("N", ColumnPlace::Last)], &dml).await.unwrap_err();
    assert_eq!(e.class(), "FIELD_ALREADY_EXISTS");
    let change =
        ColumnChange { comment: Some(Some("c".into())), nullable: Some(false), ..Default::default() };
    let done = change_column(&done.snapshot, &session, &["id".into()], &change, &dml).await.unwrap();
    let id = &done.snapshot.schema().fields[0];
    assert_eq!((id.nullable, id.comment().as_deref()), (false, Some("c")));
    let e = change_column(&done.snapshot, &session, &["p".into()], &change, &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_NEW_NOT_NULL_VIOLATION");
    let wider = ColumnChange { data_type: Some(DataType::Long), ..Default::default() };
    let e = change_column(&done.snapshot, &session, &["n".into()], &wider, &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP");
    let e = drop_columns(&done.snapshot, &[vec!["n".into()]], &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_UNSUPPORTED_DROP_COLUMN");

    let positive = predicate(col("id").gt(lit(0i64)), "id > 0");
    let large = predicate(col("id").gt(lit(5i64)), "id > 5");
    let e = add_constraint(&done.snapshot, &session, "large", &large, &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_NEW_CHECK_CONSTRAINT_VIOLATION");
    let done = add_constraint(&done.snapshot, &session, "Positive", &positive, &dml).await.unwrap();
    assert_eq!(done.snapshot.protocol().min_writer_version, 3);
    let e = add_constraint(&done.snapshot, &session, "POSITIVE", &positive, &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CONSTRAINT_ALREADY_EXISTS");
    let done = drop_constraint(&done.snapshot, "positive", false, &dml).await.unwrap();
    let e = drop_constraint(&done.snapshot, "positive", false, &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CONSTRAINT_DOES_NOT_EXIST");
    drop_constraint(&done.snapshot, "positive", true, &dml).await.unwrap();

    let set = |k: &str, v: &str| [(k.to_string(), v.to_string())].into_iter().collect();
    let table = DeltaTable::load(&location, None).await.unwrap();
    let done = set_properties(&table, &set("delta.columnMapping.mode", "name"), &dml).await.unwrap();
    let protocol = done.snapshot.protocol();
    assert_eq!((protocol.min_reader_version, protocol.min_writer_version), (2, 7));
    let done = rename_column(&done.snapshot, &["name".into()], "full name", &dml).await.unwrap();
    let done = drop_columns(&done.snapshot, &[vec!["z".into()], vec!["n".into()]], &dml).await.unwrap();
    let more = batch(vec![
        ("id", Arc::new(Int64Array::from(vec![2])) as ArrayRef),
        ("full name", Arc::new(StringArray::from(vec!["b"]))),
    ]);
    let done =
        write(&location, Some(&done.snapshot), &session, rows(more), &append()).await.unwrap().unwrap();
    let shown = "\
+----+-----------+---+
| id | full name | p |
+----+-----------+---+
| 1  | a         |   |
| 2  | b         |   |
+----+-----------+---+";
    assert_eq!(world.show(&done.snapshot, None).await, shown);
    let loaded = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.show(&loaded, Some(col("full name").is_not_null())).await, shown);
    assert_eq!(world.longs(&loaded, Some(col("full name").eq(lit("b")))).await, [2]);
    let done =
        delete(&loaded, &session, Some(&predicate(col("full name").eq(lit("b")), "x")), &dml).await.unwrap();
    assert_eq!(world.longs(&done.unwrap().snapshot, None).await, [1]);

    // In-commit timestamps from here on.
    let table = DeltaTable::load(&location, None).await.unwrap();
    let done = set_properties(&table, &set("delta.enableInCommitTimestamps", "true"), &dml).await.unwrap();
    let since = done.snapshot.property("delta.inCommitTimestampEnablementVersion").map(str::to_string);
    assert_eq!(since, Some(done.version.to_string()));
    let recorded = done.snapshot.property("delta.inCommitTimestampEnablementTimestamp").map(str::to_string);
    assert_eq!(recorded, Some(done.snapshot.timestamp_ms().to_string()));
    let loaded = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(loaded.timestamp_ms(), done.snapshot.timestamp_ms());
    let e = set_properties(&loaded, &set("delta.enableRowTracking", "true"), &dml).await.unwrap_err();
    assert!(e.text().contains("delta.enableRowTracking"));
    let done = set_properties(&loaded, &set("delta.appendOnly", "true"), &dml).await.unwrap();
    let e = delete(&done.snapshot, &session, None, &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CANNOT_MODIFY_APPEND_ONLY");
    let done =
        unset_properties(&done.snapshot, &["delta.appendonly".into(), "nope".into()], &dml).await.unwrap();
    assert!(done.snapshot.property("delta.appendOnly").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn optimize_restore_vacuum() {
    let world = World::new();
    let location = world.location("t");
    let options = WriteOptions { partition_by: Some(vec!["p".into()]), ..append() };
    for i in 0..6i64 {
        let p = if i % 2 == 0 { "even" } else { "odd" };
        world.append(&location, people(&[(i, Some("x"), Some(p)), (i + 10, None, Some(p))]), &options).await;
    }
    let cache = Arc::new(SnapshotCache::new());
    let table = DeltaTable::new(location.clone(), cache);
    let session = world.session();
    let all: Vec<i64> = (0..6).chain(10..16).collect();

    let before = table.latest().await.unwrap();
    let where_odd = OptimizeOptions {
        condition: Some(predicate(col("p").eq(lit("odd")), "(p = odd)")),
        ..OptimizeOptions::default()
    };
    let (metrics, committed) = optimize(&before, &session, &where_odd).await.unwrap();
    assert_eq!((metrics.files_added.total_files, metrics.files_removed.total_files), (1, 3));
    assert_eq!((metrics.partitions_optimized, metrics.total_considered_files), (1, 3));
    let committed = committed.unwrap();
    assert_eq!(world.longs(&committed.snapshot, None).await, all);
    let entry = &history(&location, Some(1)).await.unwrap()[0];
    assert_eq!(entry.info.text("isolationLevel"), Some("SnapshotIsolation"));
    let bad =
        OptimizeOptions { condition: Some(predicate(col("id").eq(lit(1i64)), "x")), ..Default::default() };
    let e = optimize(&before, &session, &bad).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_NON_PARTITION_COLUMN_REFERENCE");
    // An append in between is no conflict for OPTIMIZE; a delete of the same files is.
    world.append(&location, people(&[(20, None, Some("even"))]), &append()).await;
    let zorder =
        OptimizeOptions { zorder_by: vec!["ID".into(), "name".into()], ..OptimizeOptions::default() };
    let (metrics, done) = optimize(&committed.snapshot, &session, &zorder).await.unwrap();
    assert_eq!((metrics.files_added.total_files, metrics.files_removed.total_files), (2, 4));
    let report = optimize_report("file:/t", &metrics).unwrap();
    assert_eq!(column_names(&report), ["path", "metrics"]);
    let done = done.unwrap();
    assert_eq!(world.longs(&done.snapshot, None).await, all.iter().copied().chain([20]).collect::<Vec<_>>());
    let e = optimize(&committed.snapshot, &session, &zorder).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CONCURRENT_DELETE_READ.WITHOUT_HINT");

    let restored = restore(&table, &RestoreTo::Version(1), &DmlOptions::default()).await.unwrap();
    assert_eq!(world.longs(&restored.snapshot, None).await, [0, 1, 10, 11]);
    assert_eq!(restored.metric("numRestoredFiles"), 2);
    assert_eq!(restore_report(&restored).unwrap().batch.num_columns(), 6);
    let e = restore(&table, &RestoreTo::Version(99), &DmlOptions::default()).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CANNOT_RESTORE_TABLE_VERSION");
    let e =
        restore(&table, &RestoreTo::Timestamp(0, "1970".into()), &DmlOptions::default()).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER");

    let latest = table.latest().await.unwrap();
    let kept = vacuum(&latest, &VacuumOptions::default()).await.unwrap();
    assert_eq!((kept.files, kept.paths), (0, vec![location.uri()]));
    let now = |dry_run, skip| VacuumOptions {
        retain_hours: Some(0.0),
        dry_run,
        skip_retention_check: skip,
        ..VacuumOptions::default()
    };
    let latest = table.latest().await.unwrap();
    let e = vacuum(&latest, &now(false, false)).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT");
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let dry = vacuum(&latest, &now(true, true)).await.unwrap();
    assert_eq!((dry.files, dry.paths.len()), (8, 8));
    let done = vacuum(&latest, &now(false, true)).await.unwrap();
    assert_eq!(done.files, 8);
    let latest = table.latest().await.unwrap();
    assert_eq!(world.longs(&latest, None).await, [0, 1, 10, 11]);
    let names: Vec<_> = history(&location, Some(2))
        .await
        .unwrap()
        .iter()
        .map(|e| e.info.text("operation").unwrap().to_string())
        .collect();
    assert_eq!(names, ["VACUUM END", "VACUUM START"]);
    // The old version is gone.
    let e = restore(&table, &RestoreTo::Version(5), &DmlOptions::default()).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_FILE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_listed() {
    let world = World::new();
    let location = world.location("t");
    for i in 0..3 {
        world.append(&location, ids(&[i]), &append()).await;
    }
    let table = DeltaTable::load(&location, None).await.unwrap();
    delete(&table, &world.session(), Some(&predicate(col("id").eq(lit(1i64)), "x")), &DmlOptions::default())
        .await
        .unwrap();
    let all = changes(&location, 1, None).await.unwrap();
    assert_eq!(all.iter().map(|c| c.version).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(all[0].adds_data() && !all[0].removes_data() && all[2].removes_data());
    assert_eq!(changes(&location, 1, Some(2)).await.unwrap().len(), 2);
    assert!(changes(&location, 4, None).await.unwrap().is_empty());
    std::fs::remove_file(world.directory.path().join("t/_delta_log/00000000000000000001.json")).unwrap();
    let e = changes(&location, 1, None).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_LOG_FILE_NOT_FOUND_FOR_STREAMING_SOURCE");
}

fn fixture(name: &str) -> TableLocation {
    TableLocation::local(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name))
        .unwrap()
}

async fn shown(world: &World, name: &str) -> String {
    let table = DeltaTable::load(&fixture(name), None).await.unwrap();
    world.show(&table, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_spark_are_read() {
    let world = World::new();
    let types = shown(&world, "all_types").await;
    assert!(types.contains(
        "| true | 1  | 2  | 3 | 4 | 1.5 | 2.5 | 123456789.0123456789 | x | 01  | 2020-02-29 | \
         2020-01-01T00:00:00.123456Z | 2020-01-01T00:00:00.123456 | [1, ] | {a: 1, b: } | {x: 1, y: z} | \
         [[{q: 2020-01-01}]] |"
    ));
    assert_eq!(
        shown(&world, "column_mapping").await,
        "\
+----+--------------------------+-------------+------+
| id | a b                      | m           | part |
+----+--------------------------+-------------+------+
| 1  | {xx: 1, y: [{z: one}]}   | {k: {q: 7}} | u    |
| 2  |                          |             |      |
| 3  | {xx: 3, y: [{z: three}]} | {k: {q: 9}} | v    |
+----+--------------------------+-------------+------+"
    );
    assert!(shown(&world, "column_mapping_id").await.contains("| 1  | one |"));
    let widened = shown(&world, "type_widening").await;
    assert!(
        widened.contains("| 1      | 2          | 1.25        | 1.5 | 2020-01-01 | {x: 5}          |"),
        "{widened}"
    );
    assert!(
        widened.contains("| 100000 | 5000000000 | 99999999.25 | 1.1 | 2020-01-02 | {x: 5000000000} |"),
        "{widened}"
    );
    let old_timestamps = shown(&world, "int96").await;
    assert_eq!(old_timestamps.matches("2020-01-01T00:00:00.123456Z | 0001-01-01T00:00:00Z").count(), 3);
    let table = DeltaTable::load(&fixture("v2_checkpoint"), None).await.unwrap();
    assert_eq!(world.longs(&table, None).await, [0, 1, 2, 3, 4]);
    let table = DeltaTable::new(fixture("in_commit_timestamps"), Arc::new(SnapshotCache::new()));
    let times = table.version_times().await.unwrap();
    let recorded = history(table.location(), Some(1)).await.unwrap()[0].info.long("inCommitTimestamp");
    assert_eq!(times.last().map(|t| t.1), recorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_rows_stay_deleted() {
    let world = World::new();
    let table = DeltaTable::load(&fixture("deletion_vectors"), None).await.unwrap();
    let kept: Vec<i64> = (1..1000).filter(|i| i % 10 != 3 && !(100..200).contains(i)).collect();
    assert_eq!(world.longs(&table, None).await, kept);
    assert_eq!(world.longs(&table, Some(col("k").eq(lit(100)))).await, [500]);
    let filter = col("id").gt_eq(lit(495i64)).and(col("id").lt(lit(505i64)));
    assert_eq!(world.longs(&table, Some(filter)).await, [495, 496, 497, 498, 499, 500, 501, 502, 504]);
    let old = DeltaTable::load(&fixture("deletion_vectors"), Some(0)).await.unwrap();
    assert_eq!(world.longs(&old, None).await.len(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_tables() {
    let world = World::new();
    let location = world.location("we%20ird#ta ble?é");
    let first = world.append(&location, ids(&[1]), &append()).await;
    let new = NewTable {
        schema: StructType::new(vec![StructField::new("x", DataType::STRING, true)]),
        operation: Some("CREATE OR REPLACE TABLE".into()),
        ..NewTable::default()
    };
    let replaced = create(&location, Some(&first.snapshot), &new).await.unwrap();
    assert_ne!(replaced.snapshot.id(), first.snapshot.id());
    assert_eq!(replaced.snapshot.schema().names(), ["x"]);
    assert!(world.read(&replaced.snapshot, None).await.is_empty());
    let options = WriteOptions {
        partition_by: Some(vec!["p".into()]),
        operation: Some(create_operation("CREATE OR REPLACE TABLE AS SELECT", &NewTable::default())),
        ..overwrite()
    };
    let again = world.append(&location, people(&[(5, None, Some("a b"))]), &options).await;
    assert_eq!(again.snapshot.partition_columns(), ["p"]);
    let loaded = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&loaded, None).await, [5]);
    let old = DeltaTable::load(&location, Some(0)).await.unwrap();
    assert_eq!(world.longs(&old, None).await, [1]);
    let entry = &history(&location, Some(1)).await.unwrap()[0];
    assert_eq!(entry.info.text("operation"), Some("CREATE OR REPLACE TABLE AS SELECT"));
    let e = create(&location, None, &new).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_PROTOCOL_CHANGED", "a table that is there is not made again");
}

/// Appends one row after the other, to be killed. Not a test of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of `killed_writers_leave_whole_tables`"]
async fn endless_writer() {
    let Ok(directory) = std::env::var("DELTA_TEST_TABLE") else { return };
    let world = World::new();
    let location = TableLocation::local(directory).unwrap();
    for i in 0..100_000 {
        world.try_append(&location, ids(&[i]), &append()).await.unwrap();
    }
}

/// Two processes write the same table and are killed; what they committed is there, whole.
#[tokio::test(flavor = "multi_thread")]
async fn killed_writers_leave_whole_tables() {
    let world = World::new();
    let location = world.location("t");
    world.append(&location, ids(&[-1]), &append()).await;
    let start = || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::endless_writer", "--ignored"])
            .env("DELTA_TEST_TABLE", world.directory.path().join("t"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut last = 0;
    for _ in 0..3 {
        let mut writers = [start(), start()];
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let goal = last + 15;
        loop {
            assert!(std::time::Instant::now() < deadline, "the writers write nothing");
            if DeltaTable::load(&location, None).await.unwrap().version() >= goal {
                break;
            }
        }
        for writer in &mut writers {
            writer.kill().unwrap();
            writer.wait().unwrap();
        }
        let table = DeltaTable::load(&location, None).await.unwrap();
        assert!(table.version() >= goal);
        assert_eq!(
            world.longs(&table, None).await.len() as i64,
            table.version() + 1,
            "a row for each commit"
        );
        last = table.version();
    }
    let table = DeltaTable::load(&location, None).await.unwrap();
    let done = world.append(&location, ids(&[7]), &append()).await;
    assert_eq!(done.version, table.version() + 1);
}

/// `AWS_ENDPOINT_URL=http://127.0.0.1:5000 AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x` and a bucket `delta` there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an S3 service"]
async fn tables_in_object_stores() {
    let world = World::new();
    let store: Arc<dyn object_store::ObjectStore> = Arc::new(
        object_store::aws::AmazonS3Builder::from_env()
            .with_bucket_name("delta")
            .with_allow_http(true)
            .with_region("us-east-1")
            .build()
            .unwrap(),
    );
    let url = url::Url::parse(&format!("s3://delta/tables/{}", uuid::Uuid::new_v4())).unwrap();
    world.context.runtime_env().register_object_store(&url, store.clone());
    let location = TableLocation::new(store, &url).unwrap();
    let options = WriteOptions { partition_by: Some(vec!["p".into()]), ..append() };
    world.append(&location, people(&[(0, None, Some("a b/c:é%="))]), &options).await;
    let table = DeltaTable::load(&location, None).await.unwrap();
    let mut tasks = Vec::new();
    for i in 1..24 {
        let (session, location, table) = (world.session(), location.clone(), table.clone());
        tasks.push(tokio::spawn(async move {
            let data = rows(people(&[(i, None, Some("x"))]));
            write(&location, Some(&table), &session, data, &append()).await.unwrap()
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let latest = table.update().await.unwrap();
    assert_eq!(latest.version(), 23);
    let all: Vec<i64> = (0..24).collect();
    assert_eq!(world.longs(&latest, None).await, all);
    let loaded = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&loaded, None).await, all);
    optimize(&loaded, &world.session(), &OptimizeOptions::default()).await.unwrap();
    let table = DeltaTable::new(location.clone(), Arc::new(SnapshotCache::new()));
    let latest = table.latest().await.unwrap();
    let options =
        VacuumOptions { retain_hours: Some(0.0), skip_retention_check: true, ..VacuumOptions::default() };
    let latest_after = vacuum(&latest, &options).await.unwrap().committed.unwrap().snapshot;
    assert_eq!(world.longs(&latest_after, None).await, all);
    assert_eq!(table.latest().await.unwrap().version(), latest_after.version());
}

/// The engine boxes what it awaits: every future of the crate is `Send`, for any lifetime.
#[test]
fn futures_can_be_boxed() {
    use futures::FutureExt;
    use futures::future::BoxFuture;

    type Done<'a> = BoxFuture<'a, boathouse_spec::Result<()>>;

    fn all<'a>(table: &'a DeltaTable, session: &'a SessionState, m: &'a Merge) -> Vec<Done<'a>> {
        vec![
            async move { table.at_version(1).await.map(|_| ()) }.boxed(),
            async move { table.at_timestamp(1).await.map(|_| ()) }.boxed(),
            async move {
                let snapshot = table.latest().await?;
                let dml = DmlOptions::default();
                merge(&snapshot, session, m, &dml).await?;
                delete(&snapshot, session, None, &dml).await?;
                update(&snapshot, session, None, &[], &dml).await?;
                optimize(&snapshot, session, &OptimizeOptions::default()).await?;
                vacuum(&snapshot, &VacuumOptions::default()).await?;
                restore(table, &RestoreTo::Version(1), &dml).await?;
                detail(&snapshot, None).await?;
                history(table.location(), None).await?;
                changes(table.location(), 0, None).await?;
                let input = rows(ids(&[1]));
                write(table.location(), Some(&snapshot), session, input, &append()).await?;
                create(table.location(), None, &NewTable::default()).await?;
                change_column(&snapshot, session, &[], &ColumnChange::default(), &dml).await?;
                add_columns(&snapshot, &[], &dml).await?;
                drop_columns(&snapshot, &[], &dml).await?;
                Ok(())
            }
            .boxed(),
        ]
    }
    let _ = all;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_gets_checkpoints() {
    let world = World::new();
    let cases: &[&[(&str, &str)]] = &[
        &[("delta.minWriterVersion", "4")],
        &[("delta.minReaderVersion", "2"), ("delta.minWriterVersion", "5")],
        &[("delta.minReaderVersion", "2"), ("delta.minWriterVersion", "6")],
        &[("delta.minReaderVersion", "3"), ("delta.minWriterVersion", "7")],
        &[("delta.enableChangeDataFeed", "true")],
        &[("delta.enableDeletionVectors", "true")],
        &[("delta.columnMapping.mode", "name")],
        &[("delta.enableInCommitTimestamps", "true")],
        &[("delta.checkpointPolicy", "v2")],
        &[("delta.enableTypeWidening", "true")],
        &[("delta.feature.allowColumnDefaults", "supported")],
        &[("delta.feature.generatedColumns", "supported")],
        &[("delta.feature.identityColumns", "supported")],
        &[("delta.feature.vacuumProtocolCheck", "supported")],
        &[("delta.feature.variantType", "supported")],
        &[("delta.feature.domainMetadata", "supported"), ("delta.feature.clustering", "supported")],
    ];
    let mut missing = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let location = world.location(&format!("t{i}"));
        let mut new = NewTable {
            schema: StructType::new(vec![
                StructField::new("id", DataType::Long, true),
                StructField::new("ts", DataType::TimestampNtz, true),
            ]),
            ..NewTable::default()
        };
        for (key, value) in *case {
            new.properties.insert((*key).into(), (*value).into());
        }
        new.properties.insert("delta.checkpointInterval".into(), "2".into());
        create(&location, None, &new).await.unwrap();
        for id in 0..3 {
            world.append(&location, ids(&[id]), &append()).await;
        }
        let log = std::fs::read_dir(world.directory.path().join(format!("t{i}/_delta_log"))).unwrap();
        let checkpoints =
            log.flatten().filter(|e| e.file_name().to_string_lossy().contains(".checkpoint.")).count();
        let table = DeltaTable::load(&location, None).await.unwrap();
        assert_eq!(world.longs(&table, None).await, [0, 1, 2], "{case:?}");
        if checkpoints == 0 {
            missing.push(case);
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_on_deleted_rows() {
    let world = World::new();
    let copy = |name: &str| {
        let target = world.directory.path().join(name);
        let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/deletion_vectors");
        copy_directory(&from, &target);
        TableLocation::local(target).unwrap()
    };
    let session = world.session();
    let dml = DmlOptions::default();
    let kept: Vec<i64> = (1..1000).filter(|i| i % 10 != 3 && !(100..200).contains(i)).collect();

    let table = DeltaTable::load(&copy("delete"), None).await.unwrap();
    let condition = predicate(col("id").gt(lit(50i64)), "x");
    let done = delete(&table, &session, Some(&condition), &dml).await.unwrap().unwrap();
    let few: Vec<i64> = kept.iter().copied().filter(|i| *i <= 50).collect();
    assert_eq!(world.longs(&done.snapshot, None).await, few);
    assert_eq!(done.metric("numDeletedRows"), (kept.len() - few.len()) as i64);
    assert!(done.metric("numDeletionVectorsRemoved") > 0);

    let table = DeltaTable::load(&copy("optimize"), None).await.unwrap();
    let (metrics, done) = optimize(&table, &session, &OptimizeOptions::default()).await.unwrap();
    assert!(metrics.deletion_vectors_removed > 0);
    let loaded = DeltaTable::load(done.unwrap().snapshot.location(), None).await.unwrap();
    assert_eq!(world.longs(&loaded, None).await, kept);
    assert!(loaded.add_actions().await.unwrap().iter().all(|f| f.deletion_vector.is_none()));

    let table = DeltaTable::load(&copy("merge"), None).await.unwrap();
    let mut m = merge_of(&[(1, "a"), (3, "deleted before"), (5000, "new")]);
    m.matched = vec![clause(None, MergeAction::Update(set(&[("k", lit(-1))])))];
    m.not_matched = vec![clause(None, MergeAction::Insert(set(&[("id", s("id")), ("k", lit(-2))])))];
    let done = merge(&table, &session, &m, &dml).await.unwrap().unwrap();
    assert_eq!((done.metric("numTargetRowsInserted"), done.metric("numTargetRowsUpdated")), (2, 1));
    assert_eq!(world.longs(&done.snapshot, Some(col("k").lt(lit(0)))).await, [1, 3, 5000]);
    assert_eq!(world.longs(&done.snapshot, None).await.len(), kept.len() + 2);
}

fn copy_directory(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_columns() {
    let world = World::new();
    let location = world.location("t");
    let data = batch(vec![
        ("ID", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        ("b.c", Arc::new(Int64Array::from(vec![10, 20, 30]))),
        ("nothing", Arc::new(arrow::array::NullArray::new(3))),
        ("`q`", Arc::new(StringArray::from(vec!["x", "y", "z"]))),
    ]);
    let options = WriteOptions { partition_by: Some(vec!["`q`".into()]), ..append() };
    let table = world.append(&location, data.clone(), &options).await.snapshot;
    let table =
        world.append(&location, data, &append()).await.snapshot.update().await.map(|_| table).unwrap();
    let session = world.session();
    let dml = DmlOptions::default();
    let name = |n: &str| Expr::Column(Column::from_name(n));
    let latest = table.update().await.unwrap();
    let condition = predicate(name("b.c").eq(lit(20i64)), "x");
    let done =
        update(&latest, &session, Some(&condition), &set(&[("B.C", name("ID") + lit(5i64))]), &dml).await;
    let done = done.unwrap().unwrap();
    assert_eq!(done.metric("numUpdatedRows"), 2);
    let condition = predicate(name("`q`").eq(lit("x")).and(name("ID").eq(lit(1i64))), "x");
    let done = delete(&done.snapshot, &session, Some(&condition), &dml).await.unwrap().unwrap();
    let loaded = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(
        world.show(&loaded, Some(name("b.c").lt(lit(30i64)))).await,
        "\
+----+-----+---------+-----+
| ID | b.c | nothing | `q` |
+----+-----+---------+-----+
| 2  | 7   |         | y   |
| 2  | 7   |         | y   |
+----+-----+---------+-----+"
    );
    assert_eq!(done.snapshot.schema().fields[2].data_type, DataType::Null);
}
