//! Writing: modes, partitions, schemas, constraints.

use super::dml::set;
use super::*;

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
