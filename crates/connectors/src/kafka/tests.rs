//! Against librdkafka's mock of a cluster: what needs a real broker is in `tests/python/test_kafka.py`.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType as ArrowType, Field, Schema};
use boathouse_spec::{Options, Result};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::prelude::SessionContext;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use super::options::StreamOptions;
use super::*;

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock(topic: &str, partitions: i32) -> Mock {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic(topic, partitions, 1).unwrap();
    mock
}

fn options(mock: &Mock, more: &[(&str, &str)]) -> Options {
    let servers = mock.bootstrap_servers();
    let base = [("kafka.bootstrap.servers", servers.as_str()), ("subscribe", "t")];
    base.iter().chain(more).map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn send(mock: &Mock, partition: i32, values: std::ops::Range<i64>) {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", mock.bootstrap_servers());
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    for value in values {
        let value = value.to_string();
        let record = BaseRecord::<str, str>::to("t").partition(partition).payload(&value);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// Partition, offset and value of each row, in order.
async fn rows(table: impl TableProvider + 'static) -> Result<Vec<(i32, i64, String)>> {
    let context = SessionContext::new();
    let frame = context.read_table(Arc::new(table)).map_err(boathouse_bridge::from_datafusion)?;
    let mut out = Vec::new();
    for batch in frame.collect().await.map_err(boathouse_bridge::from_datafusion)? {
        let column = |name: &str| batch.column_by_name(name).unwrap().as_any();
        let values: &BinaryArray = column("value").downcast_ref().unwrap();
        let partitions: &Int32Array = column("partition").downcast_ref().unwrap();
        let offsets: &Int64Array = column("offset").downcast_ref().unwrap();
        for i in 0..batch.num_rows() {
            let value = String::from_utf8(values.value(i).to_vec()).unwrap();
            out.push((partitions.value(i), offsets.value(i), value));
        }
    }
    out.sort();
    Ok(out)
}

fn expected(partition: i32, offsets: std::ops::Range<i64>) -> Vec<(i32, i64, String)> {
    offsets.map(|i| (partition, i, i.to_string())).collect()
}

fn range(partition: i32, from: i64, until: i64) -> Range {
    Range { place: TopicPartition::new("t", partition), from, until }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_reads_all() {
    let mock = mock("t", 2);
    send(&mock, 0, 0..20_000);
    send(&mock, 1, 0..5);
    let all = rows(KafkaTable::batch(&options(&mock, &[])).unwrap()).await.unwrap();
    assert_eq!(all, [expected(0, 0..20_000), expected(1, 0..5)].concat());
    let some =
        [("startingOffsets", r#"{"t":{"0":19998,"1":2}}"#), ("endingOffsets", r#"{"t":{"0":-1,"1":4}}"#)];
    let some = rows(KafkaTable::batch(&options(&mock, &some)).unwrap()).await.unwrap();
    assert_eq!(some, [expected(0, 19_998..20_000), expected(1, 2..4)].concat());
    let divided = rows(KafkaTable::batch(&options(&mock, &[("minPartitions", "7")])).unwrap()).await.unwrap();
    assert_eq!(divided.len(), 20_005);
}

/// Reads that follow one another, that go back, that jump, and two at once.
#[tokio::test(flavor = "multi_thread")]
async fn slices_in_any_order() {
    let mock = mock("t", 2);
    send(&mock, 0, 0..100);
    let options = StreamOptions::new(&options(&mock, &[])).unwrap();
    let cluster = Cluster::new(options.source, "source");
    for (from, until) in [(0, 10), (10, 20), (20, 21), (5, 15), (90, 100), (21, 90)] {
        let table = KafkaTable::ranges(cluster.clone(), vec![range(0, from, until)]);
        assert_eq!(rows(table).await.unwrap(), expected(0, from..until), "{from}..{until}");
    }
    let both = |from, until| rows(KafkaTable::ranges(cluster.clone(), vec![range(0, from, until)]));
    let (one, other) = tokio::join!(both(0, 50), both(30, 100));
    assert_eq!((one.unwrap(), other.unwrap()), (expected(0, 0..50), expected(0, 30..100)));
    // Messages that come later, at an end that was met before.
    send(&mock, 0, 100..150);
    assert_eq!(both(100, 150).await.unwrap(), expected(0, 100..150));
    send(&mock, 1, 0..3);
    let table = KafkaTable::ranges(cluster.clone(), vec![range(0, 149, 150), range(1, 0, 3)]);
    assert_eq!(rows(table).await.unwrap(), [expected(0, 149..150), expected(1, 0..3)].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_lost() {
    let mock = mock("t", 1);
    send(&mock, 0, 0..10);
    let beyond = [("endingOffsets", r#"{"t":{"0":20}}"#)];
    let error = rows(KafkaTable::batch(&options(&mock, &beyond)).unwrap()).await.unwrap_err();
    assert_eq!(error.class(), "KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE", "{error}");
    let lenient = [("endingOffsets", r#"{"t":{"0":20}}"#), ("failOnDataLoss", "false")];
    let found = rows(KafkaTable::batch(&options(&mock, &lenient)).unwrap()).await.unwrap();
    assert_eq!(found, expected(0, 0..10));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_partitions_and_lost_ones() {
    let mock = mock("t", 2);
    send(&mock, 0, 0..5);
    send(&mock, 1, 0..7);
    let given = options(&mock, &[("fetchOffset.retryIntervalMs", "1")]);
    let cluster = Cluster::new(StreamOptions::new(&given).unwrap().source, "source");
    let latest = cluster.latest(None).await.unwrap();
    assert_eq!(print_offsets(&latest), r#"{"t":{"0":5,"1":7}}"#);
    let known = parse_logged(r#"{"t":{"0":2}}"#).unwrap();
    assert_eq!(cluster.ranges(&known, &latest).await.unwrap(), [range(0, 2, 5), range(1, 0, 7)]);
    let known = parse_logged(r#"{"t":{"0":2,"1":1,"2":1}}"#).unwrap();
    let error = cluster.ranges(&known, &latest).await.unwrap_err();
    assert_eq!(error.class(), "KAFKA_DATA_LOSS.PARTITIONS_DELETED");
    let known = parse_logged(r#"{"t":{"0":9,"1":1}}"#).unwrap();
    let error = cluster.ranges(&known, &latest).await.unwrap_err();
    assert_eq!(error.class(), "KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_topic_is_said() {
    let mock = mock("t", 1);
    let mut given = options(&mock, &[("fetchOffset.numRetries", "1")]);
    given.retain(|(key, _)| key != "subscribe");
    given.push(("subscribePattern".to_string(), "^(?!u)x?t$".to_string()));
    assert_eq!(rows(KafkaTable::batch(&given).unwrap()).await.unwrap(), []);
    let wrong = [
        ("kafka.bootstrap.servers", "127.0.0.1:1"),
        ("kafka.default.api.timeout.ms", "500"),
        ("subscribe", "t"),
    ];
    let wrong: Options = wrong.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let error = rows(KafkaTable::batch(&wrong).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_become_messages() {
    let mock = mock("t", 2);
    let schema = Arc::new(Schema::new(vec![
        Field::new("value", ArrowType::Utf8, true),
        Field::new("partition", ArrowType::Int32, true),
    ]));
    let values = StringArray::from(vec!["0", "1", "0"]);
    let partitions = Int32Array::from(vec![0, 0, 1]);
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(values), Arc::new(partitions)]).unwrap();
    let context = SessionContext::new();
    let table = MemTable::try_new(schema.clone(), vec![vec![batch]]).unwrap();
    let frame = context.read_table(Arc::new(table)).unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    let spark = boathouse_spec::StructType::new(vec![
        boathouse_spec::StructField::new("value", boathouse_spec::DataType::STRING, true),
        boathouse_spec::StructField::new("partition", boathouse_spec::DataType::Integer, true),
    ]);
    let writer = KafkaWriter::new(SinkOptions::new(&options(&mock, &[("topic", "t")])).unwrap());
    assert_eq!(writer.write(plan, context.task_ctx(), &spark, None).await.unwrap(), 3);
    let found = rows(KafkaTable::batch(&options(&mock, &[])).unwrap()).await.unwrap();
    assert_eq!(found, [expected(0, 0..2), expected(1, 0..1)].concat());
}
