//! Clones, conversion, repairs, clustering, change feeds: what a table is beside its rows.

use super::*;

fn properties(pairs: &[(&str, &str)]) -> WriteOptions {
    let mut options = append();
    options.new_table.properties = pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
    options
}

fn files_below(location: &TableLocation) -> Vec<std::path::PathBuf> {
    let root = location.local_path(location.prefix()).unwrap();
    let mut out: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "parquet"))
        .collect();
    out.sort();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_go_their_own_way() {
    let world = World::new();
    let source = world.location("source");
    world.append(&source, ids(&[1, 2]), &append()).await;
    let snapshot = world.append(&source, ids(&[3]), &append()).await.snapshot;
    let shallow = world
        .location("shallow")
        .with_external_files(world.context.runtime_env().object_store_registry.clone());
    let options = CloneOptions { source_name: "s".into(), shallow: true, ..CloneOptions::default() };
    let clone = clone_table(&shallow, None, &snapshot, &options).await.unwrap();
    assert_eq!(world.longs(&clone.snapshot, None).await, [1, 2, 3]);
    assert_ne!(clone.snapshot.id(), snapshot.id());
    assert_eq!((clone.metric("sourceNumOfFiles"), clone.metric("numCopiedFiles")), (2, 0));
    let dml = DmlOptions::default();
    let condition = predicate(col("id").eq(lit(1i64)), "(id = 1)");
    let after = delete(&clone.snapshot, &world.session(), Some(&condition), &dml).await.unwrap().unwrap();
    assert_eq!(world.longs(&after.snapshot, None).await, [2, 3]);
    assert_eq!(world.longs(&DeltaTable::load(&source, None).await.unwrap(), None).await, [1, 2, 3]);
    let e = clone_table(&source, Some(&snapshot), &snapshot, &options).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_UNSUPPORTED_CLONE_REPLACE_SAME_TABLE");

    let deep = world.location("deep");
    let options = CloneOptions { shallow: false, ..options };
    let clone = clone_table(&deep, None, &snapshot, &options).await.unwrap();
    for file in files_below(&source) {
        std::fs::remove_file(file).unwrap();
    }
    assert_eq!(world.longs(&clone.snapshot, None).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_becomes_delta() {
    let world = World::new();
    let location = world.location("t");
    world.append(&location, ids(&[4, 9]), &append()).await;
    let root = location.local_path(location.prefix()).unwrap();
    std::fs::remove_dir_all(root.join(LOG_DIRECTORY)).unwrap();
    let schema = StructType::new(vec![StructField::new("id", DataType::Long, true)]);
    let options = ConvertOptions { schema, collect_statistics: true, ..ConvertOptions::default() };
    let converted = convert(&location, &options).await.unwrap();
    assert_eq!(world.longs(&converted.snapshot, None).await, [4, 9]);
    let adds = converted.snapshot.add_actions().await.unwrap();
    let stats = adds[0].stats.as_deref().unwrap();
    assert_eq!(stats, r#"{"numRecords":2,"minValues":{"id":4},"maxValues":{"id":9},"nullCount":{"id":0}}"#);
    let e = convert(&world.location("empty"), &options).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_EMPTY_DIRECTORY");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_files_are_taken_out() {
    let world = World::new();
    let location = world.location("t");
    world.append(&location, ids(&[1]), &append()).await;
    let table = world.append(&location, ids(&[2]), &append()).await.snapshot;
    std::fs::remove_file(&files_below(&location)[0]).unwrap();
    let dml = DmlOptions::default();
    let found = fsck(&table, &FsckMode::Files, true, &dml).await.unwrap();
    assert!(found.files.len() == 1 && found.files[0].data_missing && found.committed.is_none());
    let found = fsck(&table, &FsckMode::Files, false, &dml).await.unwrap();
    assert_eq!(world.longs(&found.committed.unwrap().snapshot, None).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_kept_and_told() {
    for vectors in ["true", "false"] {
        let world = World::new();
        let location = world.location(vectors);
        let made =
            properties(&[("delta.enableChangeDataFeed", "true"), ("delta.enableDeletionVectors", vectors)]);
        let table = world.append(&location, ids(&[1, 2, 3]), &made).await.snapshot;
        let (session, dml) = (world.session(), DmlOptions::default());
        let two = predicate(col("id").eq(lit(2i64)), "(id = 2)");
        let change = [Assignment { column: "id".into(), value: lit(20i64) }];
        let table = update(&table, &session, Some(&two), &change, &dml).await.unwrap().unwrap().snapshot;
        let three = predicate(col("id").eq(lit(3i64)), "(id = 3)");
        delete(&table, &session, Some(&three), &dml).await.unwrap().unwrap();
        let table = DeltaTable::new(location.clone(), Arc::new(SnapshotCache::new()));
        let (_, feed) = change_feed(&table, ChangePoint::Version(1), None, false).await.unwrap();
        let source = Arc::new(DefaultTableSource::new(feed));
        let plan = LogicalPlanBuilder::scan("f", source, None).unwrap().build().unwrap();
        let plan = session.create_physical_plan(&plan).await.unwrap();
        let mut told: Vec<(i64, String, i64)> = Vec::new();
        for batch in collect(plan, session.task_ctx()).await.unwrap() {
            let (id, version) =
                (batch.column(0).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Int64Type>());
            let change = batch.column(1).as_string::<i32>();
            told.extend(
                (0..batch.num_rows()).map(|i| (id.value(i), change.value(i).to_string(), version.value(i))),
            );
        }
        told.sort();
        let wanted = [(2, "update_preimage", 1), (3, "delete", 2), (20, "update_postimage", 1)];
        assert_eq!(told, wanted.map(|(id, change, version)| (id, change.to_string(), version)), "{vectors}");
        let e = change_feed(&table, ChangePoint::Version(3), None, false).await.unwrap_err();
        assert_eq!(e.class(), "DELTA_CDC_START_VERSION_AFTER_LATEST");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clustered_tables_are_clustered_once() {
    let world = World::new();
    let location = world.location("t");
    let mut made = append();
    made.new_table.cluster_by = Some(vec![vec!["ID".into()]]);
    world.append(&location, ids(&[5, 1]), &made).await;
    let table = world.append(&location, ids(&[3]), &append()).await.snapshot;
    assert_eq!(table.clustering_columns().await.unwrap(), Some(vec![vec!["id".to_string()]]));
    let (session, options) = (world.session(), OptimizeOptions::default());
    let (metrics, done) = optimize(&table, &session, &options).await.unwrap();
    assert_eq!((metrics.files_removed.total_files, metrics.files_added.total_files), (2, 1));
    let table = done.unwrap().snapshot;
    assert_eq!(world.longs(&table, None).await, [1, 3, 5]);
    let (_, done) = optimize(&table, &session, &options).await.unwrap();
    assert!(done.is_none(), "nothing new is to be clustered");
    let e = drop_columns(&table, &[vec!["id".into()]], &DmlOptions::default()).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_UNSUPPORTED_DROP_COLUMN");
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_dropped() {
    let world = World::new();
    let location = world.location("t");
    let made = properties(&[("delta.enableDeletionVectors", "true")]);
    let table = world.append(&location, ids(&[1, 2]), &made).await.snapshot;
    let (session, dml) = (world.session(), DmlOptions::default());
    let one = predicate(col("id").eq(lit(1i64)), "(id = 1)");
    delete(&table, &session, Some(&one), &dml).await.unwrap().unwrap();
    let table = DeltaTable::new(location.clone(), Arc::new(SnapshotCache::new()));
    drop_feature(&table, &session, "deletionVectors", false, &dml).await.unwrap();
    let after = table.latest().await.unwrap();
    let features = after.protocol().features();
    assert!(
        !features.contains(&"deletionVectors".into()) && features.contains(&"checkpointProtection".into())
    );
    assert!(after.add_actions().await.unwrap().iter().all(|a| a.deletion_vector.is_none()));
    assert_eq!(world.longs(&after, None).await, [2]);
    let class = |name: &'static str| {
        let (table, session, dml) = (table.clone(), session.clone(), dml.clone());
        async move { drop_feature(&table, &session, name, false, &dml).await.unwrap_err().class().to_string() }
    };
    assert_eq!(class("deletionVectors").await, "DELTA_FEATURE_DROP_FEATURE_NOT_PRESENT");
    assert_eq!(class("appendOnly").await, "DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE");
    assert_eq!(class("warpDrive").await, "DELTA_FEATURE_DROP_UNSUPPORTED_CLIENT_FEATURE");
}
