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
    let statistics = plan.partition_statistics(None).unwrap();
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

    // Two deletes in the same file.
    delete(&table, &session, Some(&id_is(1)), &dml).await.unwrap();
    let e = delete(&table, &session, Some(&id_is(2)), &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CONCURRENT_DELETE_DELETE.WITHOUT_HINT");
    assert_eq!(e.exception_name(), Some("ConcurrentDeleteDeleteException"));
    // In another file there is no conflict.
    let done = delete(&table, &session, Some(&id_is(101)), &dml).await.unwrap().unwrap();
    assert_eq!(world.longs(&done.snapshot, None).await, [2, 102]);
    // A blind append comes after; an overwrite reads everything.
    let before = done.snapshot;
    world.append(&location, ids(&[5]), &append()).await;
    let done = delete(&before, &session, Some(&id_is(102)), &dml).await.unwrap().unwrap();
    assert_eq!(world.longs(&done.snapshot, None).await, [2, 5]);
    let e = write(&location, Some(&before), &session, rows(ids(&[9])), &overwrite()).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CONCURRENT_DELETE_DELETE.WITHOUT_HINT");
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
