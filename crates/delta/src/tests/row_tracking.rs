//! Row ids where writers meet: what the clients cannot show one after the other (`tests/python/test_row_tracking.py` does
//! the rest).

use super::*;
use crate::action::Action;

const ENABLE: (&str, &str) = ("delta.enableRowTracking", "true");

fn tracked() -> WriteOptions {
    let mut options = append();
    options.new_table.properties = [ENABLE].iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    options
}

async fn base_ids(snapshot: &Snapshot) -> Vec<(i64, i64)> {
    let files = snapshot.add_actions().await.unwrap();
    let mut out: Vec<_> =
        files.iter().map(|f| (f.base_row_id.unwrap(), f.default_row_commit_version.unwrap())).collect();
    out.sort_unstable();
    out
}

/// What a commit says of itself under a key of its tags.
async fn tag(location: &TableLocation, version: i64, key: &str) -> Option<String> {
    let actions = crate::log::read_commit(location, version).await.unwrap().unwrap();
    actions.iter().find_map(|action| match action {
        Action::CommitInfo(info) => Some(info.0.get("tags")?.get(key)?.as_str()?.to_string()),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_race_gets_ids_behind() {
    let world = World::new();
    let location = world.location("t");
    let read = world.append(&location, ids(&[1, 2]), &tracked()).await.snapshot;
    world.append(&location, ids(&[3, 4, 5]), &append()).await;
    // Both have seen the first version only.
    let session = world.session();
    let late = write(&location, Some(&read), &session, rows(ids(&[6])), &append()).await.unwrap().unwrap();
    assert_eq!(base_ids(&late.snapshot).await, [(0, 0), (2, 1), (5, 2)]);
    let one = predicate(col("id").eq(lit(1i64)), "(id = 1)");
    let change = [Assignment { column: "id".into(), value: lit(10i64) }];
    let updated =
        update(&read, &session, Some(&one), &change, &DmlOptions::default()).await.unwrap().unwrap();
    assert_eq!(updated.version, 3);
    assert_eq!(tag(&location, 3, "delta.rowTracking.preserved").await.as_deref(), Some("true"));
    let loaded = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(base_ids(&loaded).await.last(), Some(&(6, 3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn turning_it_on_disturbs_nobody() {
    let world = World::new();
    let location = world.location("t");
    let mut supported = append();
    supported.new_table.properties =
        [("delta.feature.rowTracking".into(), "supported".into())].into_iter().collect();
    let read = world.append(&location, ids(&[1, 2]), &supported).await.snapshot;
    assert!(!read.tracks_rows());
    let dml = DmlOptions::default();
    let on = [(ENABLE.0.to_string(), ENABLE.1.to_string())].into_iter().collect();
    let done = set_properties(&read, &on, &dml).await.unwrap();
    // All files had ids already: nothing but the property is committed.
    assert!(done.version == 1 && done.snapshot.tracks_rows());
    // An update that has not seen it did not keep ids, and says so.
    let one = predicate(col("id").eq(lit(1i64)), "(id = 1)");
    let change = [Assignment { column: "id".into(), value: lit(10i64) }];
    let late = update(&read, &world.session(), Some(&one), &change, &dml).await.unwrap().unwrap();
    assert!(late.version == 2 && late.snapshot.tracks_rows());
    assert_eq!(tag(&location, 2, "delta.rowTracking.preserved").await.as_deref(), Some("false"));
    // Other changes of properties are conflicts as ever.
    let other = [("delta.appendOnly".to_string(), "false".to_string())].into_iter().collect();
    set_properties(&late.snapshot, &other, &dml).await.unwrap();
    let e = update(&late.snapshot, &world.session(), Some(&one), &change, &dml).await;
    assert!(e.unwrap().is_none());
    let ten = predicate(col("id").eq(lit(10i64)), "(id = 10)");
    let e = update(&late.snapshot, &world.session(), Some(&ten), &change, &dml).await.unwrap_err();
    assert_eq!(e.class(), "DELTA_METADATA_CHANGED");
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_before_the_feature_was_dropped() {
    let world = World::new();
    let location = world.location("t");
    world.append(&location, ids(&[1, 2]), &tracked()).await;
    world.append(&location, ids(&[3]), &append()).await;
    let table = DeltaTable::new(location.clone(), Arc::new(SnapshotCache::new()));
    let (session, dml) = (world.session(), DmlOptions::default());
    drop_feature(&table, &session, "rowTracking", false, &dml).await.unwrap();
    let dropped = table.latest().await.unwrap();
    assert!(dropped.add_actions().await.unwrap().iter().all(|f| f.base_row_id.is_none()));
    let back = restore(&table, &RestoreTo::Version(1), false, &dml).await.unwrap().snapshot;
    assert!(back.tracks_rows());
    assert_eq!(base_ids(&back).await, [(0, 0), (2, 1)]);
    // Ids go on behind those that rows have.
    let more = world.append(&location, ids(&[4]), &append()).await;
    assert_eq!(base_ids(&more.snapshot).await, [(0, 0), (2, 1), (3, more.version)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_of_other_tables_stay_as_they_are() {
    let world = World::new();
    let location = world.location("t");
    let plain = world.append(&location, ids(&[1, 2]), &append()).await.snapshot;
    let plan = world.plan(&plain, None).await;
    let shown = datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string();
    assert!(!shown.contains("Projection") && !shown.contains("row"), "{shown}");
    assert!(shown.contains("projection=[id]"), "{shown}");
}
