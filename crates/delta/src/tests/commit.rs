//! The log: checkpoints, conflicts, crashes, caches.

use super::*;

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
    // (A checksum still tells what the table is; which files it has, nothing does.)
    let e = DeltaTable::load(&location, None).await.unwrap().add_actions().await.unwrap_err();
    assert!(e.class().starts_with("DELTA_"), "{e}");
    for version in 0..25 {
        std::fs::remove_file(log.join(format!("{version:020}.crc"))).unwrap();
    }
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
            .args(["--exact", "tests::commit::endless_writer", "--ignored"])
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
            let txn = (id == 0).then(|| ("app".to_string(), 0));
            world.append(&location, ids(&[id]), &WriteOptions { txn, ..append() }).await;
        }
        let log = std::fs::read_dir(world.directory.path().join(format!("t{i}/_delta_log"))).unwrap();
        let checkpoints =
            log.flatten().filter(|e| e.file_name().to_string_lossy().contains(".checkpoint.")).count();
        let table = DeltaTable::load(&location, None).await.unwrap();
        assert_eq!(world.longs(&table, None).await, [0, 1, 2], "{case:?}");
        if checkpoints == 0 {
            missing.push(case);
        }
        // The checkpoint alone tells the same.
        for version in 0..2 {
            let name = format!("t{i}/_delta_log/{version:020}.json");
            std::fs::remove_file(world.directory.path().join(name)).unwrap();
        }
        let again = DeltaTable::load(&location, None).await.unwrap();
        assert_eq!(world.longs(&again, None).await, [0, 1, 2], "{case:?}");
        assert_eq!((again.metadata(), again.protocol()), (table.metadata(), table.protocol()));
        assert_eq!(again.app_version("app").await.unwrap(), Some(0));
    }
    assert!(missing.is_empty(), "{missing:?}");
}
