//! Tables that Apache Spark wrote (`fixtures/`).

use super::*;

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
