//! Which operations go together when the second has not seen the first: Spark's rules (`ConflictChecker`), operation by
//! operation, on tables with and without deletion vectors.

use super::dml::{clause, merge_of, set, t};
use super::*;

const OPERATIONS: [&str; 9] = [
    "append",
    "insert-only merge",
    "update of a",
    "delete in a",
    "delete of b",
    "merge into a",
    "overwrite",
    "optimize",
    "property",
];

/// Rows 0 to 9 in partition `a`, 10 to 19 in `b`, each in two files.
async fn table(world: &World, name: &str, vectors: bool, isolation: &str) -> Snapshot {
    let location = world.location(name);
    let mut options = WriteOptions { partition_by: Some(vec!["p".into()]), ..append() };
    let properties = &mut options.new_table.properties;
    properties.insert("delta.enableDeletionVectors".into(), vectors.to_string());
    properties.insert("delta.isolationLevel".into(), isolation.into());
    for half in [0, 5] {
        let rows: Vec<_> = (half..half + 5)
            .map(|i| (i, Some("n"), Some("a")))
            .chain((half..half + 5).map(|i| (10 + i, Some("n"), Some("b"))))
            .collect();
        world.append(&location, people(&rows), &options).await;
    }
    DeltaTable::load(&location, None).await.unwrap()
}

async fn run(world: &World, operation: &str, table: &Snapshot) -> boathouse_spec::Result<()> {
    let (session, dml) = (world.session(), DmlOptions::default());
    let s = |name: &str| Expr::Column(Column::new(Some("s"), name));
    let insert = MergeAction::Insert(set(&[("id", s("id")), ("name", s("name")), ("p", lit("a"))]));
    let id_is = |n: i64| predicate(col("id").eq(lit(n)), "x");
    let rows_for_a = || rows(people(&[(3, Some("new"), Some("a"))]));
    match operation {
        "append" => {
            write(table.location(), Some(table), &session, rows_for_a(), &append()).await?;
        }
        "insert-only merge" => {
            let mut m = merge_of(&[(3, "x"), (30, "y")]);
            m.not_matched = vec![clause(None, insert)];
            merge(table, &session, &m, &dml).await?;
        }
        "update of a" => {
            update(table, &session, Some(&id_is(3)), &set(&[("name", lit("u"))]), &dml).await?;
        }
        "delete in a" => {
            delete(table, &session, Some(&id_is(2)), &dml).await?;
        }
        "delete of b" => {
            delete(table, &session, Some(&predicate(col("p").eq(lit("b")), "x")), &dml).await?;
        }
        "merge into a" => {
            let mut m = merge_of(&[(4, "m")]);
            m.condition = m.condition.and(t("p").eq(lit("a")));
            m.matched = vec![clause(None, MergeAction::Update(set(&[("name", s("name"))])))];
            m.not_matched = vec![clause(None, insert)];
            merge(table, &session, &m, &dml).await?;
        }
        "overwrite" => {
            write(table.location(), Some(table), &session, rows_for_a(), &overwrite()).await?;
        }
        "optimize" => {
            optimize(table, &session, &OptimizeOptions::default()).await?;
        }
        _ => {
            let change = [("delta.logRetentionDuration".to_string(), "interval 31 days".to_string())];
            set_properties(table, &change.into_iter().collect(), &dml).await?;
        }
    }
    Ok(())
}

/// `.` where both commit, else what the second is refused for: a row added that it should have read, a file that it read
/// or removed and that is gone, the table's metadata.
fn mark(outcome: &boathouse_spec::Result<()>) -> char {
    match outcome {
        Ok(()) => '.',
        Err(e) if e.class().starts_with("DELTA_CONCURRENT_APPEND") => 'A',
        Err(e) if e.class().starts_with("DELTA_CONCURRENT_DELETE_READ") => 'R',
        Err(e) if e.class().starts_with("DELTA_CONCURRENT_DELETE_DELETE") => 'D',
        Err(e) if e.class().starts_with("DELTA_METADATA_CHANGED") => 'M',
        Err(e) => panic!("{e}"),
    }
}

async fn matrix(vectors: bool, isolation: &str) -> String {
    let world = World::new();
    let mut out = String::new();
    for second in OPERATIONS {
        for first in OPERATIONS {
            let name = format!("{second} {first}").replace(' ', "_");
            let before = table(&world, &name, vectors, isolation).await;
            run(&world, first, &before).await.unwrap();
            out.push(mark(&run(&world, second, &before).await));
        }
        out.push_str(&format!(" {second}\n"));
    }
    out
}

/// The columns are the first of the two, in the order of the rows. New files are checked by their statistics, where Spark
/// looks at their partition only: what cannot concern the second does not stop it.
#[tokio::test(flavor = "multi_thread")]
async fn of_write_serializable_tables() {
    let expected = "\
........M append
.AAA.AARM insert-only merge
..AA.AARM update of a
..AA.ARRM delete in a
....R.RRM delete of b
..AA.ARRM merge into a
.AAARAARM overwrite
..RRRRRRM optimize
........M property
";
    for vectors in [true, false] {
        assert_eq!(matrix(vectors, "WriteSerializable").await, expected, "deletion vectors: {vectors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_serializable_tables() {
    let expected = "\
........M append
AAAA.AARM insert-only merge
A.AA.AARM update of a
..AA.ARRM delete in a
....R.RRM delete of b
..AA.ARRM merge into a
AAAARAARM overwrite
..RRRRRRM optimize
........M property
";
    for vectors in [true, false] {
        assert_eq!(matrix(vectors, "Serializable").await, expected, "deletion vectors: {vectors}");
    }
}
