//! The files of the log beside commits: checkpoints of both kinds, checksums, compacted commits, and what is left of them.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;

use super::*;
use crate::log::checkpoint::write_with;
use crate::log::checksum::{Checksum, Known};
use crate::table::TimestampRules;
use crate::{NewTable, create, set_properties};

fn new_table(properties: &[(&str, &str)]) -> NewTable {
    let id = boathouse_spec::StructField::new("id", boathouse_spec::DataType::Long, true);
    let mut new = NewTable { schema: boathouse_spec::StructType::new(vec![id]), ..NewTable::default() };
    for (key, value) in properties {
        new.properties.insert((*key).into(), (*value).into());
    }
    new
}

fn log_files(world: &World, table: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(log_of(world, table))
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn log_of(world: &World, table: &str) -> PathBuf {
    world.directory.path().join(table).join("_delta_log")
}

fn checksum(world: &World, table: &str, version: i64) -> Checksum {
    let text = fs::read(log_of(world, table).join(format!("{version:020}.crc"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The table `t`, a row a commit: 0, 1, ..
async fn filled(properties: &[(&str, &str)], rows: i64) -> (World, TableLocation) {
    let world = World::new();
    let location = world.location("t");
    create(&location, None, &new_table(properties)).await.unwrap();
    for id in 0..rows {
        world.append(&location, ids(&[id]), &append()).await;
    }
    (world, location)
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_tell_what_a_version_is() {
    let world = World::new();
    let location = world.location("t");
    create(&location, None, &new_table(&[("delta.checkpointInterval", "100")])).await.unwrap();
    let first = checksum(&world, "t", 0);
    assert_eq!((first.num_files, first.table_size_bytes), (0, 0));
    assert_eq!((first.set_transactions, first.domain_metadata), (Some(vec![]), Some(vec![])));
    for version in 1..4 {
        let txn = (version == 2).then(|| ("app".to_string(), 7));
        world.append(&location, ids(&[version]), &WriteOptions { txn, ..append() }).await;
    }
    let table = DeltaTable::load(&location, None).await.unwrap();
    let last = checksum(&world, "t", 3);
    let sizes: i64 = table.add_actions().await.unwrap().iter().map(|a| a.size).sum();
    assert_eq!((last.num_files, last.table_size_bytes), (3, sizes));
    assert_eq!(last.set_transactions.unwrap()[0].version, 7);
    assert_eq!((&last.metadata, &last.protocol), (table.metadata(), table.protocol()));
    assert_eq!(table.app_version("app").await.unwrap(), Some(7));
    assert_eq!(table.app_version("other").await.unwrap(), None);
    assert_eq!(world.longs(&table, None).await, [1, 2, 3]);
    // A version whose files nobody has read knows them by the checksum before.
    let fresh = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(fresh.known().totals.unwrap().files, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_checksums_are_not_believed() {
    let (world, location) = filled(&[], 3).await;
    let path = log_of(&world, "t").join(format!("{:020}.crc", 3));
    let good = fs::read_to_string(&path).unwrap();
    let mut other: Value = serde_json::from_str(&good).unwrap();
    other["txnId"] = "another".into();
    other["metadata"]["id"] = "another".into();
    for damaged in [other.to_string(), good[..good.len() / 2].to_string(), String::new(), "[1]".into()] {
        fs::write(&path, damaged).unwrap();
        let table = DeltaTable::load(&location, None).await.unwrap();
        assert_ne!(table.id(), "another");
        assert_eq!(world.longs(&table, None).await, [0, 1, 2]);
    }
    // Figures that the files contradict are put right by whoever reads them.
    let mut wrong: Value = serde_json::from_str(&good).unwrap();
    wrong["numFiles"] = 99.into();
    fs::write(&path, wrong.to_string()).unwrap();
    let table = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&table, None).await, [0, 1, 2]);
    assert_eq!(table.known().totals.unwrap().files, 3);
}

#[test]
fn what_a_commit_does_not_tell_is_not_known() {
    let add = |data_change| {
        crate::Action::Add(crate::Add { data_change, ..crate::Add::new("a", Default::default(), 5) })
    };
    let known = Known::nothing().after(&[add(true)], None);
    assert_eq!(known.totals.map(|t| (t.files, t.bytes)), Some((1, 5)));
    assert_eq!(known.after(&[add(false)], None).totals, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_checkpoints_have_sidecars() {
    let v2 = [("delta.checkpointPolicy", "v2"), ("delta.checkpointInterval", "4")];
    let (world, location) = filled(&v2, 4).await;
    let names = log_files(&world, "t");
    let named = names.iter().find(|n| n.starts_with("00000000000000000004.checkpoint.")).unwrap();
    assert_eq!(named.split('.').nth(2).unwrap().len(), 36, "{named}");
    let sidecars = |world: &World| fs::read_dir(log_of(world, "t").join("_sidecars")).unwrap().count();
    assert_eq!(sidecars(&world), 1);
    let hint: Value =
        serde_json::from_slice(&fs::read(log_of(&world, "t").join("_last_checkpoint")).unwrap()).unwrap();
    assert_eq!((&hint["version"], &hint["v2Checkpoint"]["path"]), (&4.into(), &named.as_str().into()));
    assert_eq!(hint["numOfAddFiles"], 4);
    // Several sidecars: two files in each, for five files.
    world.append(&location, ids(&[4]), &append()).await;
    let table = DeltaTable::load(&location, None).await.unwrap();
    write_with(&table, 2).await.unwrap();
    assert_eq!(sidecars(&world), 4);
    for version in 0..4 {
        fs::remove_file(log_of(&world, "t").join(format!("{version:020}.json"))).unwrap();
    }
    let table = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&table, None).await, [0, 1, 2, 3, 4]);
    let old = DeltaTable::load(&location, Some(4)).await.unwrap();
    assert_eq!(world.longs(&old, None).await, [0, 1, 2, 3]);
}

/// Checkpoints and checksums of a writer that comes after the table was dropped must not bring parts of it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_writer_leaves_a_dropped_table_alone() {
    for policy in ["classic", "v2"] {
        let (world, location) = filled(&[("delta.checkpointPolicy", policy)], 3).await;
        let table = DeltaTable::load(&location, None).await.unwrap();
        table.files().await.unwrap();
        let directory = world.directory.path().join("t");
        let aside = world.directory.path().join("aside");
        fs::rename(&directory, &aside).unwrap();
        assert!(write_with(&table, 2).await.is_err());
        crate::log::checksum::write(&table, "id").await;
        assert!(!directory.exists());
        // Nor where another table was begun in its place.
        fs::create_dir(&directory).unwrap();
        assert!(write_with(&table, 2).await.is_err());
        crate::log::checksum::write(&table, "id").await;
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        assert_eq!(DeltaTable::load(&location, None).await.unwrap_err().class(), "DELTA_MISSING_DELTA_TABLE");

        fs::remove_dir(&directory).unwrap();
        fs::rename(&aside, &directory).unwrap();
        crate::log::checksum::write(&table, "id").await;
        write_with(&table, 2).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_sidecars_are_passed_over() {
    let v2 = [("delta.checkpointPolicy", "v2"), ("delta.checkpointInterval", "2")];
    let (world, location) = filled(&v2, 3).await;
    for damage in ["torn", "gone"] {
        for sidecar in fs::read_dir(log_of(&world, "t").join("_sidecars")).unwrap() {
            let path = sidecar.unwrap().path();
            if damage == "torn" {
                fs::write(&path, b"PAR1").unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
        }
        let table = DeltaTable::load(&location, None).await.unwrap();
        assert_eq!(world.longs(&table, None).await, [0, 1, 2], "{damage}");
    }
    // Without the commits there is nothing else to build it from, and the error says so.
    fs::remove_file(log_of(&world, "t").join(format!("{:020}.json", 0))).unwrap();
    let table = DeltaTable::load(&location, None).await;
    let e = match table {
        Ok(table) => table.add_actions().await.unwrap_err(),
        Err(e) => e,
    };
    assert!(e.class() == "FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER" && e.text().contains("_sidecars"), "{e}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parsed_statistics_where_the_table_asks_for_them() {
    let world = World::new();
    let location = world.location("t");
    let parsed = [
        ("delta.checkpoint.writeStatsAsStruct", "true"),
        ("delta.checkpoint.writeStatsAsJson", "false"),
        ("delta.checkpointInterval", "2"),
    ];
    create(&location, None, &new_table(&parsed)).await.unwrap();
    for id in 0..2 {
        world.append(&location, ids(&[id * 10, id * 10 + 5]), &append()).await;
    }
    let file = fs::File::open(log_of(&world, "t").join(format!("{:020}.checkpoint.parquet", 2))).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let columns: HashSet<String> =
        reader.parquet_schema().columns().iter().map(|c| c.path().string()).collect();
    for column in ["numRecords", "minValues.id", "maxValues.id", "nullCount.id"] {
        assert!(columns.contains(&format!("add.stats_parsed.{column}")), "{column} of {columns:?}");
    }
    for version in 0..2 {
        fs::remove_file(log_of(&world, "t").join(format!("{version:020}.json"))).unwrap();
    }
    let table = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&table, None).await, [0, 5, 10, 15]);
    let stats: Vec<Value> = table
        .add_actions()
        .await
        .unwrap()
        .iter()
        .map(|a| serde_json::from_str(a.stats.as_deref().unwrap()).unwrap())
        .collect();
    let mut bounds: Vec<_> =
        stats.iter().map(|s| (s["minValues"]["id"].as_i64(), s["numRecords"].as_i64())).collect();
    bounds.sort_unstable();
    assert_eq!(bounds, [(Some(0), Some(2)), (Some(10), Some(2))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_between_distant_checkpoints_are_compacted() {
    let (world, location) = filled(&[("delta.checkpointInterval", "100")], 21).await;
    let compacted: Vec<String> =
        log_files(&world, "t").into_iter().filter(|n| n.contains("compacted")).collect();
    assert_eq!(
        compacted,
        [format!("{:020}.{:020}.compacted.json", 1, 10), format!("{:020}.{:020}.compacted.json", 11, 20)]
    );
    let text = fs::read_to_string(log_of(&world, "t").join(&compacted[1])).unwrap();
    assert_eq!((text.lines().count(), text.matches("\"add\"").count()), (10, 10), "{text}");
    let table = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&table, None).await, (0..21).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn cleanup_takes_all_that_belongs_to_old_versions() {
    let v2 = [("delta.checkpointPolicy", "v2"), ("delta.checkpointInterval", "2")];
    let (world, location) = filled(&v2, 4).await;
    // Everything is two months old but the last commit.
    let old = std::time::UNIX_EPOCH
        + std::time::Duration::from_millis((boathouse_spec::clock::now_ms() - 60 * 86_400_000) as u64);
    let log = log_of(&world, "t");
    for directory in [log.clone(), log.join("_sidecars")] {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
            }
        }
    }
    for id in 4..6 {
        world.append(&location, ids(&[id]), &append()).await;
    }
    let names = log_files(&world, "t");
    assert!(!names.iter().any(|n| n.starts_with("00000000000000000002")), "{names:?}");
    for kept in ["4.json", "4.crc", "5.json", "6.json"] {
        let (version, ext) = kept.split_once('.').unwrap();
        assert!(names.contains(&format!("{version:0>20}.{ext}")), "{kept} of {names:?}");
    }
    // The sidecar of version 2 is gone, those of 4 and 6 are not.
    assert_eq!(fs::read_dir(log.join("_sidecars")).unwrap().count(), 2);
    let at = |version| DeltaTable::load(&location, Some(version));
    assert_eq!(world.longs(&at(4).await.unwrap(), None).await, [0, 1, 2, 3]);
    assert_eq!(world.longs(&at(6).await.unwrap(), None).await, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn instants_across_the_enablement_of_timestamps() {
    let (world, location) = filled(&[], 2).await;
    // The files of the first versions are younger than what comes: as after a copy.
    let now = boathouse_spec::clock::now_ms();
    for version in 0..3i64 {
        let path = log_of(&world, "t").join(format!("{version:020}.json"));
        let at =
            std::time::UNIX_EPOCH + std::time::Duration::from_millis((now - 600_000 + version * 1000) as u64);
        fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
    }
    let table = DeltaTable::load(&location, None).await.unwrap();
    let properties = [("delta.enableInCommitTimestamps".to_string(), "true".to_string())];
    let enabled = set_properties(&table, &properties.into(), &DmlOptions::default()).await.unwrap();
    for id in 2..12 {
        world.append(&location, ids(&[id]), &append()).await;
    }
    // The files say nothing any more: all as old as the table.
    for version in 3..14i64 {
        let path = log_of(&world, "t").join(format!("{version:020}.json"));
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis((now - 900_000) as u64);
        fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
    }
    let table = crate::DeltaTable::new(location.clone(), Arc::new(crate::SnapshotCache::new()));
    let times = table.version_times().await.unwrap();
    assert_eq!(times.len(), 14);
    assert!(times.windows(2).all(|pair| pair[0].1 < pair[1].1), "{times:?}");
    assert_eq!(times[3], (3, enabled.snapshot.timestamp_ms()));
    for (version, at) in &times {
        assert_eq!(table.version_at_timestamp(*at, TimestampRules::default()).await.unwrap(), *version);
    }
    let between = |at| table.version_at_timestamp(at, TimestampRules::default());
    assert_eq!(between(times[3].1 - 1).await.unwrap(), 2, "just before it was enabled");
    let last = times[13].1;
    assert_eq!(between(last + 1).await.unwrap_err().class(), "DELTA_TIMESTAMP_GREATER_THAN_COMMIT");
    assert_eq!(
        between(times[0].1 - 1).await.unwrap_err().class(),
        "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_goes_with_the_history_that_needs_it() {
    let v2 = [("delta.checkpointPolicy", "v2"), ("delta.checkpointInterval", "2")];
    let (world, location) = filled(&v2, 3).await;
    let table = crate::DeltaTable::new(location.clone(), Arc::new(crate::SnapshotCache::new()));
    let (session, options) = (world.session(), DmlOptions::default());
    let drop = || drop_feature(&table, &session, "v2Checkpoint", true, &options);
    assert_eq!(drop().await.unwrap_err().class(), "DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD");
    assert_eq!(drop().await.unwrap_err().class(), "DELTA_FEATURE_DROP_HISTORICAL_VERSIONS_EXIST");
    let retention = "delta.dropFeatureTruncateHistory.retentionDuration".to_string();
    let now = [(retention, "interval 0 hours".to_string())];
    set_properties(&table.latest().await.unwrap(), &now.into(), &options).await.unwrap();
    drop().await.unwrap();
    let latest = table.latest().await.unwrap();
    assert!(!latest.protocol().has("v2Checkpoint") && !latest.protocol().has("checkpointProtection"));
    assert_eq!(latest.protocol().min_reader_version, 1);
    let left = log_files(&world, "t");
    assert!(!left.iter().any(|n| n.starts_with("00000000000000000002")), "{left:?}");
    let loaded = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&loaded, None).await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_on_an_object_store() {
    let world = Arc::new(World::new());
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let url = url::Url::parse("s3://bucket/some/t").unwrap();
    world.context.runtime_env().register_object_store(&url, store.clone());
    let location = TableLocation::new(store.clone(), &url).unwrap();
    let v2 = [("delta.checkpointPolicy", "v2"), ("delta.checkpointInterval", "5")];
    create(&location, None, &new_table(&v2)).await.unwrap();
    let mut writers = Vec::new();
    for writer in 0..2i64 {
        let (world, location) = (world.clone(), location.clone());
        writers.push(tokio::spawn(async move {
            for i in 0..6 {
                world.append(&location, ids(&[writer * 100 + i]), &append()).await;
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let table = DeltaTable::load(&location, None).await.unwrap();
    let all: Vec<i64> = (0..6).chain(100..106).collect();
    assert_eq!((table.version(), world.longs(&table, None).await), (12, all));
    let names: Vec<String> =
        store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    for part in [".checkpoint.", "_delta_log/_sidecars/", ".crc", "_last_checkpoint"] {
        assert!(names.iter().any(|n| n.contains(part)), "{part} in {names:?}");
    }
    // Every checksum tells of the version it is named after: one file for each append.
    for version in 1..=12i64 {
        let path = location.log_path(&format!("{version:020}.crc"));
        let Ok(found) = store.get(&path).await else { continue };
        let found: Checksum = serde_json::from_slice(&found.bytes().await.unwrap()).unwrap();
        assert_eq!(found.num_files, version);
    }
}
