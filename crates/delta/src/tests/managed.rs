//! Tables whose commits a catalog manages, with one that lives in memory.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use boathouse_spec::{Error, Result};
use parking_lot::Mutex;

use super::*;

#[derive(Debug, Default)]
struct InMemory {
    /// The staged file of each version.
    ratified: Mutex<Vec<String>>,
    published: Mutex<i64>,
    /// The next commit is ratified, and its writer is told of an error.
    loses_an_answer: AtomicBool,
}

#[async_trait]
impl CommitCoordinator for InMemory {
    fn table_id(&self) -> String {
        format!("{self:p}")
    }

    async fn ratify(&self, version: i64, staged: &str) -> Result<bool> {
        let mut ratified = self.ratified.lock();
        if ratified.len() as i64 != version {
            return Ok(false);
        }
        ratified.push(staged.to_string());
        match self.loses_an_answer.swap(false, Ordering::SeqCst) {
            true => Err(Error::io("asking the catalog", "the answer was lost")),
            false => Ok(true),
        }
    }

    async fn ratified(&self) -> Result<Option<Ratified>> {
        let (ratified, published) = (self.ratified.lock(), *self.published.lock());
        let unpublished = (0..).zip(ratified.iter().cloned()).filter(|(v, _)| *v >= published).collect();
        Ok(Some(Ratified { latest: ratified.len() as i64 - 1, unpublished }))
    }

    async fn published(&self, until: i64) -> Result<()> {
        let mut published = self.published.lock();
        *published = (*published).max(until + 1);
        Ok(())
    }
}

async fn new_table(world: &World) -> (TableLocation, Arc<InMemory>) {
    let catalog = Arc::new(InMemory::default());
    let location = world.location("t").managed_by(catalog.clone());
    let mut options = append();
    options.new_table.properties =
        [("delta.feature.catalogManaged".to_string(), "supported".to_string())].into_iter().collect();
    options.operation = Some(Operation::new("CREATE TABLE AS SELECT"));
    world.append(&location, ids(&[0]), &options).await;
    (location, catalog)
}

fn names_in(directory: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_decides_a_race() {
    let world = World::new();
    let (location, catalog) = new_table(&world).await;
    let table = DeltaTable::load(&location, None).await.unwrap();
    for value in [1, 2] {
        // The second has not seen the first.
        write(&location, Some(&table), &world.session(), rows(ids(&[value])), &append()).await.unwrap();
    }
    let table = table.update().await.unwrap();
    assert_eq!((table.version(), world.longs(&table, None).await), (2, vec![0, 1, 2]));
    let staged = names_in(&world.directory.path().join("t/_delta_log/_staged_commits"));
    assert_eq!(staged.len(), 3, "what lost is gone");
    assert!(catalog.ratified.lock().iter().all(|name| staged.contains(name)));
    // Without the catalog there is no way in, also not by a snapshot that is remembered.
    let cache = Arc::new(SnapshotCache::new());
    cache.put(table);
    let e = DeltaTable::new(world.location("t"), cache).latest().await.unwrap_err();
    assert_eq!(e.class(), "DELTA_PATH_BASED_ACCESS_TO_CATALOG_MANAGED_TABLE_BLOCKED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_made_once() {
    let world = World::new();
    let (location, catalog) = new_table(&world).await;
    catalog.loses_an_answer.store(true, Ordering::SeqCst);
    let committed = world.append(&location, ids(&[1]), &append()).await;
    assert_eq!(committed.version, 1);
    let table = DeltaTable::load(&location, None).await.unwrap();
    assert_eq!(world.longs(&table, None).await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_a_table_publishes_what_was_left() {
    let world = World::new();
    let (location, catalog) = new_table(&world).await;
    let known = world.append(&location, ids(&[1]), &append()).await.snapshot;
    world.append(&location, ids(&[2]), &append()).await;
    // As if the last writer had died as soon as its commit was ratified.
    let log = world.directory.path().join("t/_delta_log");
    let last = log.join(format!("{:020}.json", 2));
    let content = std::fs::read(&last).unwrap();
    for opened_by in ["who knows the table", "a new one", "a look at its versions"] {
        std::fs::remove_file(&last).unwrap();
        std::fs::remove_file(log.join(format!("{:020}.crc", 2))).ok();
        *catalog.published.lock() = 2;
        let table = match opened_by {
            "who knows the table" => known.update().await.unwrap(),
            "a new one" => DeltaTable::load(&location, None).await.unwrap(),
            _ => {
                let table = DeltaTable::new(location.clone(), Arc::default());
                assert_eq!(table.versions().await.unwrap(), (0, 2));
                table.latest().await.unwrap()
            }
        };
        assert_eq!(world.longs(&table, None).await, [0, 1, 2], "{opened_by}");
        assert_eq!(std::fs::read(&last).unwrap(), content, "{opened_by}");
        assert_eq!(*catalog.published.lock(), 3, "{opened_by}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_has_other_commits_than_the_catalog_is_not_written_over() {
    let world = World::new();
    let (location, catalog) = new_table(&world).await;
    let table = world.append(&location, ids(&[1]), &append()).await.snapshot;
    let log = world.directory.path().join("t/_delta_log");
    let next = log.join(format!("{:020}.json", 2));
    std::fs::copy(log.join(format!("{:020}.json", 1)), &next).unwrap();
    let there = std::fs::read(&next).unwrap();
    let written = write(&location, Some(&table), &world.session(), rows(ids(&[2])), &append()).await;
    assert!(written.unwrap_err().text().contains("another commit than the one that the catalog ratified"));
    let read = DeltaTable::load(&location, None).await;
    assert!(read.unwrap_err().text().contains("Was the metastore set back?"));
    assert_eq!(std::fs::read(&next).unwrap(), there);
    // The rows and the staged commit are there for whoever mends it.
    let staged = catalog.ratified.lock().last().unwrap().clone();
    assert!(log.join("_staged_commits").join(staged).exists());
    assert_eq!(*catalog.published.lock(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_the_place_of_another_is_not_taken_for_it() {
    let world = World::new();
    let cache = Arc::new(SnapshotCache::new());
    for value in [1, 2] {
        let (location, _catalog) = new_table(&world).await;
        world.append(&location, ids(&[value]), &append()).await;
        let table = DeltaTable::new(location, cache.clone()).latest().await.unwrap();
        assert_eq!(world.longs(&table, None).await, [0, value]);
        std::fs::remove_dir_all(world.directory.path().join("t")).unwrap();
    }
}
