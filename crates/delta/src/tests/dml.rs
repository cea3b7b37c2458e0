//! DELETE, UPDATE and MERGE.

use super::*;

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

/// `values` of (id, name) as a source with the qualifier `s`.
pub(super) fn source(rows: &[(i64, &str)]) -> datafusion::logical_expr::LogicalPlan {
    let data = batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0))) as ArrayRef),
        ("name", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1)))),
    ]);
    let table = datafusion::catalog::MemTable::try_new(data.schema(), vec![vec![data]]).unwrap();
    let provider = Arc::new(DefaultTableSource::new(Arc::new(table)));
    LogicalPlanBuilder::scan("s", provider, None).unwrap().build().unwrap()
}

pub(super) fn t(name: &str) -> Expr {
    Expr::Column(Column::new(Some("t"), name))
}

pub(super) fn s(name: &str) -> Expr {
    Expr::Column(Column::new(Some("s"), name))
}

pub(super) fn clause(condition: Option<Expr>, action: MergeAction) -> MergeClause {
    MergeClause { sql: condition.as_ref().map(|_| "(x)".to_string()), condition, action }
}

pub(super) fn set(assignments: &[(&str, Expr)]) -> Vec<Assignment> {
    assignments.iter().map(|(c, v)| Assignment { column: (*c).into(), value: v.clone() }).collect()
}

pub(super) fn merge_of(rows: &[(i64, &str)]) -> Merge {
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
    // The file with the row that stays is not written again.
    assert_eq!(figures, [1, 2, 1, 0, 0]);
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
