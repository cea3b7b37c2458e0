//! Rows that UPDATE, DELETE and MERGE mark as deleted.

use std::collections::BTreeMap;

use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::dml::{clause, merge_of, set, t};
use super::*;
use crate::transaction::Transaction;

fn with_vectors() -> WriteOptions {
    let mut options = append();
    options.new_table.properties.insert("delta.enableDeletionVectors".into(), "true".into());
    options
}

/// `from..to` as `id`, with a name that has it too.
fn numbered(from: i64, to: i64) -> RecordBatch {
    batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(from..to))),
        ("name", Arc::new(StringArray::from_iter_values((from..to).map(|i| format!("n{i}"))))),
    ])
}

async fn files(snapshot: &Snapshot) -> Vec<(String, i64)> {
    let files = snapshot.add_actions().await.unwrap();
    let mut out: Vec<_> = files
        .iter()
        .map(|f| (f.path.clone(), f.deletion_vector.as_ref().map_or(0, |v| v.cardinality)))
        .collect();
    out.sort();
    out
}

/// The rows of the snapshot, which a reader of the log sees too.
async fn ids_of(world: &World, snapshot: &Snapshot) -> Vec<i64> {
    let loaded = DeltaTable::load(snapshot.location(), None).await.unwrap();
    assert_eq!(files(&loaded).await, files(snapshot).await);
    let rows = world.longs(&loaded, None).await;
    assert_eq!(world.longs(snapshot, None).await, rows);
    rows
}

fn figures(done: &Committed) -> [i64; 5] {
    ["Added", "Removed", "Updated"]
        .map(|f| done.metric(&format!("numDeletionVectors{f}")))
        .into_iter()
        .chain([done.metric("numRemovedFiles"), done.metric("numAddedFiles")])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes() {
    let world = World::new();
    let location = world.location("t");
    let mut options = with_vectors();
    options.new_table.properties.insert(crate::deletion_vector::INLINE_BYTES.into(), "96".into());
    world.append(&location, numbered(0, 1000), &options).await;
    let table = world.append(&location, numbered(1000, 1010), &append()).await.snapshot;
    assert_eq!(table.protocol().min_reader_version, 3);
    assert!(table.protocol().has("deletionVectors"));
    let (session, dml) = (world.session(), DmlOptions::default());
    let before = files(&table).await;

    // A third of one file: the files stay.
    let third = predicate((col("id") % lit(3i64)).eq(lit(0i64)).and(col("id").lt(lit(1000i64))), "x");
    let done = delete(&table, &session, Some(&third), &dml).await.unwrap().unwrap();
    assert_eq!(figures(&done), [1, 0, 0, 0, 0]);
    assert_eq!((done.metric("numDeletedRows"), done.metric("numCopiedRows")), (334, 0));
    let after = files(&done.snapshot).await;
    assert_eq!(
        after.iter().map(|f| &f.0).collect::<Vec<_>>(),
        before.iter().map(|f| &f.0).collect::<Vec<_>>()
    );
    assert_eq!(after.iter().map(|f| f.1).sum::<i64>(), 334);
    let left: Vec<i64> = (0..1010).filter(|i| i % 3 != 0 || *i >= 1000).collect();
    assert_eq!(ids_of(&world, &done.snapshot).await, left);
    let marked = done.snapshot.add_actions().await.unwrap();
    let marked = marked.iter().find(|f| f.deletion_vector.is_some()).unwrap();
    let stats: serde_json::Value = serde_json::from_str(marked.stats.as_deref().unwrap()).unwrap();
    assert_eq!((&stats["numRecords"], &stats["tightBounds"]), (&1000.into(), &false.into()));
    assert_eq!(stats["maxValues"]["id"], 999);

    // The same again finds nothing, the next adds to the vector.
    assert!(delete(&done.snapshot, &session, Some(&third), &dml).await.unwrap().is_none());
    let more = predicate(col("id").lt(lit(100i64)), "x");
    let done = delete(&done.snapshot, &session, Some(&more), &dml).await.unwrap().unwrap();
    assert_eq!(figures(&done), [1, 1, 1, 0, 0]);
    assert_eq!(done.metric("numDeletedRows"), 66);
    let left: Vec<i64> = left.into_iter().filter(|i| *i >= 100).collect();
    assert_eq!(ids_of(&world, &done.snapshot).await, left);

    // All that is left of a file: the file goes. Of the other a few rows: their vector is in the log.
    let rest = predicate(col("id").lt(lit(1003i64)), "x");
    let done = delete(&done.snapshot, &session, Some(&rest), &dml).await.unwrap().unwrap();
    assert_eq!(figures(&done), [1, 1, 0, 1, 0]);
    assert_eq!(ids_of(&world, &done.snapshot).await, (1003..1010).collect::<Vec<i64>>());
    let left = done.snapshot.add_actions().await.unwrap();
    assert_eq!(left[0].deletion_vector.as_ref().unwrap().storage_type, "i");

    // Time travel sees what was there, and compaction what is.
    let old = DeltaTable::load(&location, Some(1)).await.unwrap();
    assert_eq!(world.longs(&old, None).await.len(), 1010);
    let done = optimize(&done.snapshot, &session, &OptimizeOptions::default()).await.unwrap().1.unwrap();
    assert_eq!(files(&done.snapshot).await.iter().map(|f| f.1).collect::<Vec<_>>(), [0]);
    assert_eq!(ids_of(&world, &done.snapshot).await, (1003..1010).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_and_replaced_ranges() {
    let world = World::new();
    let location = world.location("t");
    let table = world.append(&location, numbered(0, 100), &with_vectors()).await.snapshot;
    let (session, dml) = (world.session(), DmlOptions::default());

    let tenth = predicate((col("id") % lit(10i64)).eq(lit(3i64)), "x");
    let done =
        update(&table, &session, Some(&tenth), &set(&[("name", lit("z"))]), &dml).await.unwrap().unwrap();
    // As Spark counts: the file before its vector is a file that was removed.
    assert_eq!(figures(&done), [1, 0, 0, 1, 1]);
    assert_eq!((done.metric("numUpdatedRows"), done.metric("numCopiedRows")), (10, 0));
    assert_eq!(ids_of(&world, &done.snapshot).await, (0..100).collect::<Vec<i64>>());
    let changed = world.longs(&done.snapshot, Some(col("name").eq(lit("z")))).await;
    assert_eq!(changed, (0..100).filter(|i| i % 10 == 3).collect::<Vec<i64>>());

    // Rows of both files, one of them whole.
    let done =
        update(&done.snapshot, &session, Some(&tenth), &set(&[("name", lit("y"))]), &dml).await.unwrap();
    let done = done.unwrap();
    assert_eq!(figures(&done), [0, 0, 0, 1, 1]);
    assert_eq!(ids_of(&world, &done.snapshot).await.len(), 100);
    // Vectors are in files where the table does not ask for others: delta-spark's VACUUM knows no others.
    let marked = done.snapshot.add_actions().await.unwrap();
    let kinds = marked.iter().filter_map(|f| f.deletion_vector.as_ref()).map(|v| v.storage_type.as_str());
    assert_eq!(kinds.collect::<Vec<_>>(), ["u"]);

    // Where the statement is not to use vectors, files are written again.
    let plain = DmlOptions { deletion_vectors: false, ..DmlOptions::default() };
    let few = predicate(col("id").lt(lit(5i64)), "x");
    let copied = delete(&done.snapshot, &session, Some(&few), &plain).await.unwrap().unwrap();
    assert_eq!(copied.metric("numDeletionVectorsAdded"), 0);
    assert_eq!(copied.metric("numCopiedRows"), 86 + 9);
    assert_eq!(ids_of(&world, &copied.snapshot).await, (5..100).collect::<Vec<i64>>());

    let mut replace = overwrite();
    replace.replace_where = Some(predicate(col("id").gt_eq(lit(50i64)), "(id >= 50)"));
    let done = world.append(&location, numbered(50, 60), &replace).await;
    assert_eq!(ids_of(&world, &done.snapshot).await, (5..60).collect::<Vec<i64>>());
    assert!(files(&done.snapshot).await.iter().any(|f| f.1 > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_mark_rows() {
    let world = World::new();
    let location = world.location("t");
    world.append(&location, numbered(0, 50), &with_vectors()).await;
    let table = world.append(&location, numbered(50, 100), &append()).await.snapshot;
    let (session, dml) = (world.session(), DmlOptions::default());
    let s = |name: &str| Expr::Column(Column::new(Some("s"), name));
    let insert = || MergeAction::Insert(set(&[("id", s("id")), ("name", s("name"))]));
    let target_figures = |done: &Committed| {
        [
            "RowsCopied",
            "RowsUpdated",
            "RowsDeleted",
            "RowsInserted",
            "FilesAdded",
            "FilesRemoved",
            "DeletionVectorsAdded",
        ]
        .map(|f| done.metric(&format!("numTarget{f}")))
    };

    // A match that no clause takes keeps its row; the vector has the two that change.
    let mut m = merge_of(&[(1, "A"), (2, "keep"), (3, "drop"), (200, "new")]);
    m.matched = vec![
        clause(Some(s("name").eq(lit("A"))), MergeAction::Update(set(&[("name", s("name"))]))),
        clause(Some(s("name").eq(lit("drop"))), MergeAction::Delete),
    ];
    m.not_matched = vec![clause(None, insert())];
    let done = merge(&table, &session, &m, &dml).await.unwrap().unwrap();
    assert_eq!(target_figures(&done), [0, 1, 1, 1, 1, 0, 1]);
    assert_eq!(done.metric("numOutputRows"), 2);
    let expected: Vec<i64> = (0..100).filter(|i| *i != 3).chain([200]).collect();
    assert_eq!(ids_of(&world, &done.snapshot).await, expected);
    assert_eq!(world.longs(&done.snapshot, Some(col("name").eq(lit("n2")))).await, [2]);
    assert_eq!(world.longs(&done.snapshot, Some(col("name").eq(lit("A")))).await, [1]);

    // Rows that are deleted do not match any more, and are inserted.
    let mut m = merge_of(&[(3, "back")]);
    m.matched = vec![clause(None, MergeAction::Delete)];
    m.not_matched = vec![clause(None, insert())];
    let done = merge(&done.snapshot, &session, &m, &dml).await.unwrap().unwrap();
    assert_eq!(target_figures(&done)[..4], [0, 0, 0, 1]);

    // Only deletes, two rows of the source for one of them; nothing is written.
    let mut m = merge_of(&[(3, "x"), (60, "x"), (60, "y"), (777, "none")]);
    m.matched = vec![clause(None, MergeAction::Delete)];
    let done = merge(&done.snapshot, &session, &m, &dml).await.unwrap().unwrap();
    assert_eq!(target_figures(&done), [0, 0, 2, 0, 0, 1, 1]);
    let mut left: Vec<i64> = (0..100).filter(|i| ![3, 60].contains(i)).chain([200]).collect();
    assert_eq!(ids_of(&world, &done.snapshot).await, left);

    // What the source does not match.
    let mut m = merge_of(&[(10, "x"), (300, "new")]);
    m.not_matched = vec![clause(None, insert())];
    m.not_matched_by_source = vec![
        clause(Some(t("id").lt(lit(5i64))), MergeAction::Update(set(&[("name", lit("unmatched"))]))),
        clause(Some(t("id").gt_eq(lit(50i64))), MergeAction::Delete),
    ];
    let done = merge(&done.snapshot, &session, &m, &dml).await.unwrap().unwrap();
    left.retain(|i| *i < 50);
    left.push(300);
    assert_eq!(ids_of(&world, &done.snapshot).await, left);
    assert_eq!(
        (done.metric("numTargetRowsNotMatchedBySourceUpdated"), done.metric("numTargetRowsInserted")),
        (4, 1)
    );
    assert_eq!(world.longs(&done.snapshot, Some(col("name").eq(lit("unmatched")))).await, [0, 1, 2, 4]);
}

/// A file of several row groups, read in parts and with filters that the reader takes: positions of rows are those in the
/// file all the same.
#[tokio::test(flavor = "multi_thread")]
async fn positions_hold_across_row_groups() {
    for pushdown in [false, true] {
        let mut world = World::new();
        let mut config = SessionConfig::new().with_target_partitions(4).with_repartition_file_min_size(1);
        config.options_mut().execution.parquet.pushdown_filters = pushdown;
        world.context = SessionContext::new_with_config(config);
        let location = world.location("t");
        let mut table = world.append(&location, numbered(-5, 0), &with_vectors()).await.snapshot;
        let file = world.directory.path().join("t/many.parquet");
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(100)).build();
        let out = std::fs::File::create(&file).unwrap();
        let rows = numbered(0, 1000);
        let mut writer = ArrowWriter::try_new(out, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        let mut add = table.add_actions().await.unwrap()[0].as_ref().clone();
        add.path = "many.parquet".into();
        add.size = std::fs::metadata(&file).unwrap().len() as i64;
        add.stats = None;
        let mut transaction = Transaction::new(&location, Some(&table), Operation::new("WRITE"));
        transaction.add([add]);
        table = transaction.commit().await.unwrap().snapshot;

        let (session, dml) = (world.session(), DmlOptions::default());
        let mut expected: BTreeMap<i64, String> = (-5..1000).map(|i| (i, format!("n{i}"))).collect();
        for step in 0..4i64 {
            let filter = (col("id") % lit(7i64)).eq(lit(step)).and(col("id").gt(lit(90 * step)));
            let done = delete(&table, &session, Some(&predicate(filter, "x")), &dml).await.unwrap().unwrap();
            expected.retain(|id, _| !(id % 7 == step && *id > 90 * step));
            let filter = predicate(col("id").between(lit(150 + step), lit(350 + step)), "x");
            let name = format!("step {step}");
            let values = set(&[("name", lit(name.clone()))]);
            table = update(&done.snapshot, &session, Some(&filter), &values, &dml)
                .await
                .unwrap()
                .unwrap()
                .snapshot;
            expected.range_mut(150 + step..=350 + step).for_each(|(_, n)| n.clone_from(&name));
            assert_eq!(ids_of(&world, &table).await, expected.keys().copied().collect::<Vec<_>>());
            let named = world.longs(&table, Some(col("name").eq(lit(name.clone())))).await;
            let wanted: Vec<i64> = expected.iter().filter(|(_, n)| **n == name).map(|(id, _)| *id).collect();
            assert_eq!(named, wanted);
        }
    }
}

/// A commit that is refused leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn refused_vectors_are_deleted() {
    let world = World::new();
    let location = world.location("t");
    let table = world.append(&location, numbered(0, 3000), &with_vectors()).await.snapshot;
    let (session, dml) = (world.session(), DmlOptions::default());
    let odd = |n: i64| predicate((col("id") % lit(n)).eq(lit(1i64)), "x");
    delete(&table, &session, Some(&odd(2)), &dml).await.unwrap().unwrap();
    let count = || std::fs::read_dir(world.directory.path().join("t")).unwrap().flatten().count();
    let before = count();
    let e = delete(&table, &session, Some(&odd(3)), &dml).await.unwrap_err();
    assert!(e.class().starts_with("DELTA_CONCURRENT"), "{e}");
    let e = update(&table, &session, Some(&odd(3)), &set(&[("name", lit("x"))]), &dml).await.unwrap_err();
    assert!(e.class().starts_with("DELTA_CONCURRENT"), "{e}");
    assert_eq!(count(), before);
}
