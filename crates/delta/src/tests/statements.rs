//! Statements about tables: history, ALTER, OPTIMIZE, RESTORE, VACUUM.

use super::*;

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
    let zorder = OptimizeOptions {
        zorder_by: vec![vec!["ID".into()], vec!["name".into()]],
        ..OptimizeOptions::default()
    };
    let (metrics, done) = optimize(&committed.snapshot, &session, &zorder).await.unwrap();
    assert_eq!((metrics.files_added.total_files, metrics.files_removed.total_files), (2, 4));
    let report = optimize_report("file:/t", &metrics).unwrap();
    assert_eq!(column_names(&report), ["path", "metrics"]);
    let done = done.unwrap();
    assert_eq!(world.longs(&done.snapshot, None).await, all.iter().copied().chain([20]).collect::<Vec<_>>());
    let e = optimize(&committed.snapshot, &session, &zorder).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CONCURRENT_DELETE_READ.WITHOUT_HINT");

    let restored = restore(&table, &RestoreTo::Version(1), false, &DmlOptions::default()).await.unwrap();
    assert_eq!(world.longs(&restored.snapshot, None).await, [0, 1, 10, 11]);
    assert_eq!(restored.metric("numRestoredFiles"), 2);
    assert_eq!(restore_report(&restored).unwrap().batch.num_columns(), 6);
    let e = restore(&table, &RestoreTo::Version(99), false, &DmlOptions::default()).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_CANNOT_RESTORE_TABLE_VERSION");
    let e = restore(&table, &RestoreTo::Timestamp(0, "1970".into()), false, &DmlOptions::default())
        .await
        .unwrap_err();
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
    let e = restore(&table, &RestoreTo::Version(5), false, &DmlOptions::default()).await.unwrap_err();
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
    assert_eq!(all[0].files, [FileChange::Add(0)]);
    assert_eq!(changes(&location, 1, Some(2)).await.unwrap().len(), 2);
    assert!(changes(&location, 4, None).await.unwrap().is_empty());
    std::fs::remove_file(world.directory.path().join("t/_delta_log/00000000000000000001.json")).unwrap();
    let kept = kept_changes(&location, 0, 2).await.unwrap();
    assert_eq!(kept.iter().map(|c| c.version).collect::<Vec<_>>(), [0, 2]);
    let e = changes(&location, 1, None).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_MISSING_FILES_UNEXPECTED_VERSION");
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
                restore(table, &RestoreTo::Version(1), false, &dml).await?;
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
