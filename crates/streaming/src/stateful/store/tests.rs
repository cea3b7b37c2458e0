use std::collections::BTreeMap;

use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};

use super::*;
use crate::checkpoint::Retention;

const KEEP: Retention = Retention { batches: 120, deltas: 10 };

fn fields() -> (Vec<FieldRef>, Vec<FieldRef>) {
    (
        vec![Arc::new(Field::new("k", DataType::Utf8, true))],
        vec![Arc::new(Field::new("v", DataType::Int64, true))],
    )
}

fn plain() -> Layout {
    let (keys, values) = fields();
    Layout { keys, values, ..Layout::default() }
}

fn memory(place: &std::path::Path) -> Arc<Memory> {
    Memory::unbounded(&place.join("scratch"))
}

fn batch(store: &StateStore, rows: &[(&str, i64)]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(k, _)| *k)));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, v)| *v)));
    RecordBatch::try_new(store.schema(), vec![keys, values]).unwrap()
}

async fn committed(store: &mut StateStore, version: i64, retention: Retention) -> String {
    let (id, settling) = store.commit(version, retention).await.unwrap();
    settling.done().await.unwrap();
    id
}

fn sum(store: &StateStore) -> i64 {
    let of = |b: Result<RecordBatch>| {
        b.unwrap().column(1).as_primitive::<Int64Type>().iter().flatten().sum::<i64>()
    };
    store.all().map(of).sum()
}

#[tokio::test]
async fn state_is_read_as_it_was_written() {
    let place = tempfile::tempdir().unwrap();
    let (directory, memory) = (Directory::at(place.path()), memory(place.path()));
    let mut store = StateStore::open(directory.clone(), plain(), None, &memory).await.unwrap();
    let mut ids = Vec::new();
    for version in 1..=120 {
        let rows = batch(&store, &[("a", version), (&format!("k{version}"), 1)]);
        store.put(&rows).unwrap();
        if version > 1 {
            let old = batch(&store, &[(&format!("k{}", version - 1), 0)]);
            store.remove(&old).unwrap();
        }
        ids.push(committed(&mut store, version, KEEP).await);
    }
    for version in [1_i64, 49, 50, 51, 52, 120] {
        let id = ids[usize::try_from(version).unwrap() - 1].as_str();
        let read = StateStore::open(directory.clone(), plain(), Some((version, id)), &memory).await.unwrap();
        assert_eq!((read.len(), sum(&read)), (2, version + 1), "version {version}");
    }
    assert!(StateStore::open(directory, plain(), Some((7, "other")), &memory).await.is_err());
}

/// So many rows or bytes are a batch of a file: a column of text has at most 2 GiB.
#[tokio::test]
async fn large_state_is_written_and_read_in_parts() {
    let place = tempfile::tempdir().unwrap();
    let (directory, memory) = (Directory::at(place.path()), memory(place.path()));
    for limits in [Limits { rows: 100, bytes: 1 << 20 }, Limits { rows: 1 << 20, bytes: 1000 }] {
        let open = |committed: Option<(i64, String)>| {
            let (directory, memory) = (directory.clone(), Arc::clone(&memory));
            async move {
                let committed = committed.as_ref().map(|(v, id)| (*v, id.as_str()));
                StateStore::limited(directory, plain(), committed, &memory, limits).await.unwrap()
            }
        };
        let mut store = open(None).await;
        let names: Vec<String> = (0..1000).map(|i| format!("key {i}")).collect();
        let rows: Vec<(&str, i64)> = names.iter().map(|n| (n.as_str(), 1)).collect();
        store.put(&batch(&store, &rows)).unwrap();
        let first = committed(&mut store, 1, KEEP).await;
        let file = place.path().join(format!("1_{first}.arrow"));
        let parts: Vec<usize> = StreamReader::try_new(std::fs::File::open(file).unwrap(), None)
            .unwrap()
            .map(|b| b.unwrap().num_rows())
            .collect();
        assert!(parts.len() >= 10 && parts.iter().all(|rows| *rows <= 100), "{parts:?}");
        let mut read = open(Some((1, first))).await;
        assert_eq!((read.len(), sum(&read)), (1000, 1000));
        assert!(read.all().all(|b| b.unwrap().num_rows() <= 100));
        // Taking away is written in parts, too.
        read.remove(&batch(&read, &rows[..500])).unwrap();
        let second = committed(&mut read, 2, KEEP).await;
        let mut again = open(Some((2, second.clone()))).await;
        assert_eq!((again.len(), sum(&again)), (500, 500));
        let changes = again.changes(2, &second).await.unwrap().unwrap();
        let count = |batches: &[RecordBatch]| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!((count(&changes.set), count(&changes.gone)), (0, 500));
        again.clear().unwrap();
        assert_eq!(again.len(), 0);
    }
}

/// One batch of what there is, then one of what is gone: so wrote Boathouse before files had parts.
#[tokio::test]
async fn older_files_are_read() {
    let place = tempfile::tempdir().unwrap();
    let (directory, memory) = (Directory::at(place.path()), memory(place.path()));
    let mut fields: Vec<Field> =
        vec![Field::new("k", DataType::Utf8, true), Field::new("more", DataType::Utf8, true)];
    fields
        .extend([Field::new("v", DataType::Int64, true), Field::new("__deleted", DataType::Boolean, false)]);
    let write = |version: i64, lineage: &str, parts: &[(&[&str], bool)]| {
        let about = [("lineage".to_string(), lineage.to_string()), ("keys".to_string(), "1".to_string())];
        let schema = Schema::new(fields.clone()).with_metadata(about.into());
        let file = std::fs::File::create(place.path().join(format!("{version}_id.arrow"))).unwrap();
        let mut writer = StreamWriter::try_new(file, &schema).unwrap();
        for (keys, deleted) in parts {
            let column: ArrayRef = Arc::new(StringArray::from(keys.to_vec()));
            let values: ArrayRef = Arc::new(Int64Array::from(vec![version; keys.len()]));
            let marks: ArrayRef = Arc::new(BooleanArray::from(vec![*deleted; keys.len()]));
            let columns = vec![Arc::clone(&column), column, values, marks];
            writer.write(&RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap()).unwrap();
        }
        writer.finish().unwrap();
    };
    write(1, "", &[(&["a", "b", "c"], false)]);
    write(2, "1:id", &[(&["d"], false), (&["a", "b"], true)]);
    // A column that is not read any more is passed over.
    let read = StateStore::open(directory.clone(), plain(), Some((2, "id")), &memory).await.unwrap();
    assert_eq!((read.len(), sum(&read)), (2, 3));
    let written = StateStore::as_written(directory, 2, "id", &memory).await.unwrap();
    assert_eq!(written.schema().fields().len(), 3);
}

#[tokio::test]
async fn state_without_room_is_on_the_disk() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::at(place.path());
    let limits = Limits { rows: 500, bytes: 1 << 20 };
    let values: Vec<FieldRef> = vec![Arc::new(Field::new("t", DataType::Utf8, true))];
    let layout = Layout { values, ..plain() };
    let unbounded = memory(place.path());
    let mut store =
        StateStore::limited(directory.clone(), layout.clone(), None, &unbounded, limits).await.unwrap();
    let names: Vec<String> = (0..4000).map(|i| format!("key {i}")).collect();
    let texts = StringArray::from_iter_values((0..4000).map(|i| format!("{i} ").repeat(200)));
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(names)), Arc::new(texts)];
    let rows = RecordBatch::try_new(store.schema(), columns).unwrap();
    store.put(&rows).unwrap();
    let id = committed(&mut store, 1, KEEP).await;
    let whole = store.bytes();

    // A quarter of it for state is far less than its values.
    let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(whole));
    let small = Memory::in_pool(&pool, &place.path().join("scratch"));
    let mut read = StateStore::limited(directory, layout, Some((1, &id)), &small, limits).await.unwrap();
    assert!(read.bytes() < whole / 4, "{} of {whole}", read.bytes());
    assert_eq!(pool.reserved(), read.bytes());
    assert_eq!(read.get_many(&rows).unwrap(), rows);
    let some = rows.slice(17, 3);
    assert_eq!(read.get_many(&some).unwrap(), some);
    read.put(&some).unwrap();
    read.remove(&rows.slice(0, 10)).unwrap();
    assert!(read.replace(&[], &some).is_ok());
    let id = committed(&mut read, 2, Retention { batches: 2, deltas: 1 }).await;
    assert_eq!(read.len(), 3990);
    assert!(read.changes(2, &id).await.unwrap().is_none_or(|c| c.gone.iter().any(|b| b.num_rows() == 10)));
    drop(read);
    assert_eq!(pool.reserved(), 0);
}

/// Numbers that come the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

type Model = BTreeMap<i64, (i64, i64)>;

fn timed_layout() -> Layout {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    Layout {
        keys: vec![Arc::new(Field::new("k", DataType::Int64, false))],
        values: vec![Arc::new(Field::new("g", DataType::Int64, true)), Arc::new(Field::new("t", time, true))],
        time: Some(2),
        index: Some(vec![1]),
        finds_null: true,
        counts_groups: false,
    }
}

fn timed(schema: SchemaRef, rows: &[(i64, i64, i64)]) -> RecordBatch {
    let column = |of: fn(&(i64, i64, i64)) -> i64| Int64Array::from_iter_values(rows.iter().map(of));
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.2));
    RecordBatch::try_new(schema, vec![Arc::new(column(|r| r.0)), Arc::new(column(|r| r.1)), Arc::new(times)])
        .unwrap()
}

fn rows_of(batches: impl IntoIterator<Item = RecordBatch>) -> Model {
    let mut out = Model::new();
    for batch in batches {
        let (k, g) =
            (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
        let t = batch.column(2).as_primitive::<TimestampMicrosecondType>();
        for i in 0..batch.num_rows() {
            assert!(out.insert(k.value(i), (g.value(i), t.value(i))).is_none(), "a key that is there twice");
        }
    }
    out
}

fn check(store: &StateStore, model: &Model) {
    assert_eq!(rows_of(store.all().map(Result::unwrap)), *model);
    assert_eq!(store.len(), model.len());
    let wanted: ArrayRef = Arc::new(Int64Array::from(vec![3, 5, 3]));
    let expected: Model = model.iter().filter(|(_, v)| v.0 == 3 || v.0 == 5).map(|(k, v)| (*k, *v)).collect();
    assert_eq!(rows_of(store.matching(&[Arc::clone(&wanted)]).unwrap()), expected);
    let found = store.lookup_all(&[wanted]).unwrap();
    let keys: Vec<i64> = found.entries.column(0).as_primitive::<Int64Type>().values().to_vec();
    let of = |g: i64| model.iter().filter(move |(_, v)| v.0 == g).map(|(k, _)| *k);
    assert_eq!(keys, of(3).chain(of(5)).chain(of(3)).collect::<Vec<_>>());
    let due = store.due(40).unwrap();
    let mut expected: Vec<(i64, i64)> =
        model.iter().filter(|(_, v)| v.1 <= 40).map(|(k, v)| (v.1, *k)).collect();
    expected.sort_unstable();
    let keys: Vec<i64> = due.column(0).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(keys, expected.into_iter().map(|(_, k)| k).collect::<Vec<_>>());
}

/// Whatever is done in whatever order, the store has what a map has, also when it is read again.
#[tokio::test]
async fn a_store_is_a_map() {
    let place = tempfile::tempdir().unwrap();
    let memory = memory(place.path());
    for (seed, limits) in
        [(1, LIMITS), (2, Limits { rows: 7, bytes: 1 << 20 }), (3, Limits { rows: 64, bytes: 300 })]
    {
        let directory = Directory::at(place.path()).child(&seed.to_string());
        let mut store =
            StateStore::limited(directory.clone(), timed_layout(), None, &memory, limits).await.unwrap();
        let (mut dice, mut model, mut version) = (Dice(seed), Model::new(), 0);
        for _ in 0..400 {
            let count = dice.below(30);
            let rows: Vec<(i64, i64, i64)> = (0..count)
                .map(|_| (dice.below(300) as i64, dice.below(20) as i64, dice.below(100) as i64))
                .collect();
            let given = timed(store.schema(), &rows);
            match dice.below(9) {
                0..=2 => {
                    store.put(&given).unwrap();
                    model.extend(rows.iter().map(|(k, g, t)| (*k, (*g, *t))));
                }
                3 => {
                    store.remove(&given).unwrap();
                    model.retain(|key, _| rows.iter().all(|(k, ..)| k != key));
                }
                4 => {
                    let is_new = store.insert_new(std::slice::from_ref(&given)).unwrap();
                    for ((k, g, t), is_new) in rows.into_iter().zip(is_new) {
                        assert_eq!(is_new, !model.contains_key(&k));
                        model.entry(k).or_insert((g, t));
                    }
                }
                5 => {
                    let at = dice.below(30) as i64;
                    let gone = rows_of(store.expire(at).unwrap());
                    let expected: Model =
                        model.iter().filter(|(_, v)| v.1 <= at).map(|(k, v)| (*k, *v)).collect();
                    assert_eq!(gone, expected);
                    model.retain(|_, v| v.1 > at);
                }
                6 => store.spill().unwrap(),
                7 => {
                    let known = store.matching(&[Arc::clone(given.column(1))]).unwrap();
                    let unique: Model = rows.iter().map(|(k, g, t)| (*k, (*g, *t))).collect();
                    let new: Vec<_> = unique.iter().map(|(k, v)| (*k, v.0, v.1)).collect();
                    for (k, _) in rows_of(known.clone()) {
                        model.remove(&k);
                    }
                    store.replace(&known, &timed(store.schema(), &new)).unwrap();
                    model.extend(unique);
                }
                _ => {
                    version += 1;
                    let id = committed(&mut store, version, Retention { batches: 3, deltas: 4 }).await;
                    if dice.below(2) == 0 {
                        drop(store);
                        let committed = Some((version, id.as_str()));
                        let opened = StateStore::limited(
                            directory.clone(),
                            timed_layout(),
                            committed,
                            &memory,
                            limits,
                        );
                        store = opened.await.unwrap();
                    }
                }
            }
            check(&store, &model);
        }
        assert!(version > 20);
    }
}

/// Lists are counted by their groups, whatever happens to their elements.
#[tokio::test]
async fn groups_are_counted() {
    let place = tempfile::tempdir().unwrap();
    let number = |name: &str| -> FieldRef { Arc::new(Field::new(name, DataType::Int64, true)) };
    let layout = Layout {
        keys: vec![number("group"), number("element")],
        index: Some(vec![0]),
        counts_groups: true,
        ..Layout::default()
    };
    let memory = memory(place.path());
    let mut store = StateStore::open(Directory::at(place.path()), layout, None, &memory).await.unwrap();
    let schema = store.schema();
    let rows = |rows: &[(i64, i64)]| {
        let column = |of: fn(&(i64, i64)) -> i64| Arc::new(Int64Array::from_iter_values(rows.iter().map(of)));
        RecordBatch::try_new(Arc::clone(&schema), vec![column(|r| r.0), column(|r| r.1)]).unwrap()
    };
    store.put(&rows(&[(1, 1), (1, 2), (2, 1), (1, 1)])).unwrap();
    store.put(&rows(&[(1, 1), (3, 1)])).unwrap();
    assert_eq!((store.len(), store.found_by()), (4, 3));
    store.remove(&rows(&[(1, 1), (3, 1), (4, 1)])).unwrap();
    assert_eq!((store.len(), store.found_by()), (2, 2));
    store.remove(&rows(&[(1, 2)])).unwrap();
    assert_eq!((store.len(), store.found_by()), (1, 1));
}
