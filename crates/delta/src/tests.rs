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

    async fn append(&self, location: &TableLocation, batch: RecordBatch, options: &WriteOptions) -> Committed {
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
    let data = people(&[(1, Some("a"), Some("x")), (2, Some("b"), Some("a b/c:é%=")), (3, None, None), (4, None, Some(""))]);
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

    let where_x = WriteOptions { replace_where: Some(predicate(col("p").eq(lit("x")), "p = 'x'")), ..overwrite() };
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
    let check = CheckConstraint { name: "positive".into(), sql: "id > 0".into(), expr: col("id").gt(lit(0i64)) };
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
    assert_eq!((done.metric("numDeletedRows"), done.metric("numCopiedRows"), done.metric("numRemovedFiles")), (1, 1, 1));
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
            write(&location, Some(&table), &world.session(), rows(ids(&[i])), &append()).await.unwrap().unwrap().version
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
    let figures = ["Inserted", "Updated", "Deleted", "Copied"].map(|f| done.metric(&format!("numTargetRows{f}")));
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
    let figures = ["MatchedDeleted", "NotMatchedBySourceDeleted", "NotMatchedBySourceUpdated", "Inserted", "Copied"]
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
    let text = pretty_format_batches(&[report.batch.clone()]).unwrap().to_string();
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
    let change = ColumnChange { comment: Some(Some("c".into())), nullable: Some(false), ..Default::default() };
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
    let done = write(&location, Some(&done.snapshot), &session, rows(more), &append()).await.unwrap().unwrap();
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
    let done = delete(&loaded, &session, Some(&predicate(col("full name").eq(lit("b")), "x")), &dml).await.unwrap();
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
    let done = unset_properties(&done.snapshot, &["delta.appendonly".into(), "nope".into()], &dml).await.unwrap();
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
    let bad = OptimizeOptions { condition: Some(predicate(col("id").eq(lit(1i64)), "x")), ..Default::default() };
    let e = optimize(&before, &session, &bad).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_NON_PARTITION_COLUMN_REFERENCE");
    // An append in between is no conflict for OPTIMIZE; a delete of the same files is.
    world.append(&location, people(&[(20, None, Some("even"))]), &append()).await;
    let zorder = OptimizeOptions { zorder_by: vec!["ID".into(), "name".into()], ..OptimizeOptions::default() };
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
    let e = restore(&table, &RestoreTo::Timestamp(0, "1970".into()), &DmlOptions::default()).await.unwrap_err();
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
    let names: Vec<_> = history(&location, Some(2)).await.unwrap().iter().map(|e| e.info.text("operation").unwrap().to_string()).collect();
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
    delete(&table, &world.session(), Some(&predicate(col("id").eq(lit(1i64)), "x")), &DmlOptions::default()).await.unwrap();
    let all = changes(&location, 1, None).await.unwrap();
    assert_eq!(all.iter().map(|c| c.version).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(all[0].adds_data() && !all[0].removes_data() && all[2].removes_data());
    assert_eq!(changes(&location, 1, Some(2)).await.unwrap().len(), 2);
    assert!(changes(&location, 4, None).await.unwrap().is_empty());
    std::fs::remove_file(world.directory.path().join("t/_delta_log/00000000000000000001.json")).unwrap();
    let e = changes(&location, 1, None).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_LOG_FILE_NOT_FOUND_FOR_STREAMING_SOURCE");
}
