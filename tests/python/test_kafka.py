"""Kafka, batch and streaming, with a stock client and a real broker. What is expected was recorded from Spark 4.2."""

import json
import pathlib
import re
import time
import uuid

import pytest
from conftest import Server
from test_pipeline_projects import Home


@pytest.fixture
def name():
    """A topic's name that is used nowhere else."""
    return f"t-{uuid.uuid4().hex[:10]}"


def read(spark, kafka, topic, **options):
    given = {"kafka.bootstrap.servers": kafka.bootstrap, "subscribe": topic, **options}
    return spark.read.format("kafka").options(**{k: v for k, v in given.items() if v is not None}).load()


def stream(spark, kafka, topic, **options):
    given = {"kafka.bootstrap.servers": kafka.bootstrap, "subscribe": topic, "startingOffsets": "earliest", **options}
    return spark.readStream.format("kafka").options(**{k: v for k, v in given.items() if v is not None}).load()


def run(df, checkpoint, table=None, format="delta", **options):
    """Reads all there is now; the query when it has ended."""
    writer = df.writeStream.format(format).option("checkpointLocation", str(checkpoint)).options(**options)
    query = writer.trigger(availableNow=True).start(*([str(table)] if table else []))
    query.awaitTermination(300)
    assert not query.isActive, "the query did not end"
    if query.exception():
        raise query.exception()
    return query


def values(df):
    return sorted(bytes(r["value"]).decode() for r in df.select("value").collect())


def test_the_examples_of_the_page(spark, kafka, name, tmp_path):
    """The code in docs/kafka.md: the stream with the broker's address, and each line of options as one that is known."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "kafka.md").read_text()
    example, *options = re.findall(r"```python\n(.*?)```", page, re.S)
    kafka.topic(name, 1)
    kafka.send(name, [b'{"id": 1}'], 0)
    for written, here in {"broker-1:9092,broker-2:9092": kafka.bootstrap, '"sales"': f'"{name}"', '"/': f'"{tmp_path}/'}.items():
        assert written in example
        example = example.replace(written, here)
    known = {"spark": spark}
    exec(example, known)
    query = spark.streams.active[0]
    query.processAllAvailable()
    query.stop()
    assert spark.read.format("delta").load(f"{tmp_path}/bronze/sales").first()["json"] == '{"id": 1}'

    (tmp_path / "ca.pem").write_text("")
    assert len(options) == 2
    for lines in options:
        secured = eval(f"reader\n{lines.replace('/etc/kafka', str(tmp_path))}".join(["(", ")"]), {"reader": spark.read.format("kafka")})
        given = {"kafka.bootstrap.servers": kafka.bootstrap, "subscribe": name, "kafka.default.api.timeout.ms": "2000"}
        with pytest.raises(Exception) as error:
            secured.options(**given).load().collect()
        assert not re.search("NOT_IN_BOATHOUSE|does not take the option", str(error.value)), error.value


# ---- batches ----------------------------------------------------------------------------------------------------


def test_columns(spark, kafka, name):
    kafka.topic(name, 2)
    kafka.send(name, [b"a0"], 0, key=b"k", headers=[("h1", b"x"), ("h2", None)], timestamp=1700000000000)
    kafka.send(name, [b"b0", None], 1, timestamp=1700000001000)
    df = read(spark, kafka, name, includeHeaders="true")
    assert df.schema.simpleString() == (
        "struct<key:binary,value:binary,topic:string,partition:int,offset:bigint,timestamp:timestamp,timestampType:int,"
        "headers:array<struct<key:string,value:binary>>>")
    rows = df.selectExpr("string(key)", "string(value)", "topic", "partition", "offset", "unix_millis(timestamp)",
                         "timestampType", "transform(headers, h -> named_struct('key', h.key, 'value', string(h.value)))")
    assert [tuple(r) for r in rows.orderBy("partition", "offset").collect()] == [
        ("k", "a0", name, 0, 0, 1700000000000, 0, [("h1", "x"), ("h2", None)]),
        (None, "b0", name, 1, 0, 1700000001000, 0, None),
        (None, None, name, 1, 1, 1700000001000, 0, None)]
    assert read(spark, kafka, name).columns[-1] == "timestampType"
    assert read(spark, kafka, name).count() == 3


def test_offsets_of_batches(spark, kafka, name):
    kafka.topic(name, 2)
    kafka.send(name, [b"a0", b"a1", b"a2"], 0, timestamp=1700000000000)
    kafka.send(name, [b"b0", b"b1"], 1, timestamp=1700000001000)

    def count(**options):
        return read(spark, kafka, name, **options).count()

    def places(**of):
        return json.dumps({name: of})

    assert count(startingOffsets=places(**{"0": 1, "1": -2})) == 4
    assert count(endingOffsets=places(**{"0": 1, "1": -1})) == 3
    assert count(startingTimestamp="1700000000500", startingOffsetsByTimestampStrategy="latest") == 2
    assert count(endingTimestamp="1700000000500") == 3
    assert count(endingTimestamp="1900000000000") == 5
    assert count(startingOffsetsByTimestamp=places(**{"0": 1700000000000, "1": 1700000001000})) == 5
    assert count(subscribe=None, assign=json.dumps({name: [1]})) == 2
    assert count(subscribe=None, subscribePattern=name[:-1] + ".") == 5
    assert count(minPartitions="5") == 5 and count(maxRecordsPerPartition="1") == 5
    with pytest.raises(Exception, match="No offset matched from request of topic-partition .*-0 and timestamp 1900"):
        count(startingTimestamp="1900000000000")
    with pytest.raises(Exception, match=r"don't match what are assigned(.|\n)*Specified: Set\(.*-0\) Assigned: Set\(.*-0, .*-1\)"):
        count(startingOffsets=places(**{"0": 0}))
    with pytest.raises(Exception, match="The resolved start offset 20 is greater than the resolved end offset 3"):
        count(startingOffsets=places(**{"0": 20, "1": 0}))
    with pytest.raises(Exception, match="KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE"):
        count(endingOffsets=places(**{"0": 20, "1": 1}))
    assert count(endingOffsets=places(**{"0": 20, "1": 1}), failOnDataLoss="false") == 4


@pytest.mark.parametrize("options, says", [
    ({"subscribe": None}, "One of the following options must be specified for Kafka source: subscribe, subscribepattern, assign"),
    ({"assign": "{}"}, "Only one of the following options can be specified for Kafka source"),
    ({"subscribe": " , "}, "No topics to subscribe to as specified value for option 'subscribe' is ' , '"),
    ({"startingOffsets": "latest"}, "starting offset can't be latest for batch queries on Kafka"),
    ({"endingOffsets": "earliest"}, "ending offset can't be earliest for batch queries on Kafka"),
    ({"kafka.bootstrap.servers": None}, "Option 'kafka.bootstrap.servers' must be specified for configuring Kafka consumer"),
    ({"kafka.group.protocol.x": "y"}, "kafka.group.protocol.x"),
    ({"kafka.ssl.truststore.location": "/x.jks"}, "The truststore /x.jks of the option kafka.ssl.truststore.location cannot be read"),
])
def test_options_that_are_refused(spark, kafka, name, options, says):
    kafka.topic(name)
    with pytest.raises(Exception) as refused:
        read(spark, kafka, name, **options).collect()
    assert says in str(refused.value)


def test_transactions(spark, kafka, name):
    kafka.topic(name)
    producer = kafka.producer(transactional_id=name)
    producer.init_transactions()
    for letter, end in (("c", producer.commit_transaction), ("a", producer.abort_transaction), ("d", producer.commit_transaction)):
        producer.begin_transaction()
        for i in range(3):
            producer.produce(name, f"{letter}{i}".encode())
        producer.flush()
        end()
    committed = {"kafka.isolation.level": "read_committed"}
    assert values(read(spark, kafka, name, **committed)) == ["c0", "c1", "c2", "d0", "d1", "d2"]
    assert len(values(read(spark, kafka, name))) == 9  # as Kafka's Java client does without being told


def test_records_that_aged_out(spark, kafka, name):
    kafka.topic(name)
    kafka.send(name, [b"%d" % i for i in range(10)])
    kafka.truncate(name, 4)
    assert read(spark, kafka, name).count() == 6
    start = json.dumps({name: {"0": 0}})
    with pytest.raises(Exception, match="KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE"):
        read(spark, kafka, name, startingOffsets=start).count()
    assert values(read(spark, kafka, name, startingOffsets=start, failOnDataLoss="false")) == list("456789")


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compression(spark, kafka, name, codec):
    kafka.topic(name)
    producer = kafka.producer(compression_type=codec, linger_ms=100)
    for i in range(1000):
        producer.produce(name, b"x" * 100 + b"%d" % i)
    producer.flush()
    assert read(spark, kafka, name).selectExpr("count(distinct value)").collect()[0][0] == 1000


def test_a_wrong_address_is_said_in_bounded_time(spark, kafka, name):
    wrong = {"kafka.bootstrap.servers": "127.0.0.1:1", "kafka.default.api.timeout.ms": "2000"}
    started = time.time()
    with pytest.raises(Exception, match="127.0.0.1:1.*(Connection refused|Connect to)"):
        read(spark, kafka, name, **wrong).count()
    assert time.time() - started < 60
    with pytest.raises(Exception, match="UnknownTopicOrPartitionException: This server does not host this topic-partition"):
        read(spark, kafka, name).count()


def test_tables_over_topics(spark, kafka, name, tmp_path):
    kafka.topic(name)
    kafka.send(name, [b"a", b"b"])
    table = name.replace("-", "_")
    spark.sql(f"CREATE TABLE {table} USING kafka OPTIONS ('kafka.bootstrap.servers' '{kafka.bootstrap}', subscribe '{name}')")
    assert [r[0] for r in spark.sql(f"DESCRIBE {table}").collect()] == [
        "key", "value", "topic", "partition", "offset", "timestamp", "timestampType"]
    assert spark.table(table).count() == 2
    kafka.send(name, [b"c"])
    assert values(spark.sql(f"SELECT value FROM {table}")) == ["a", "b", "c"]
    with pytest.raises(Exception, match="UNSUPPORTED_INSERT.NOT_ALLOWED"):
        spark.sql(f"INSERT INTO {table} SELECT * FROM {table}").collect()
    with pytest.raises(Exception, match="USER_SPECIFIED_AND_ACTUAL_SCHEMA_MISMATCH"):
        spark.read.format("kafka").schema("a INT").options(**{"kafka.bootstrap.servers": "x:1", "subscribe": "t"}).load().collect()
    spark.sql(f"DROP TABLE {table}")


# ---- streams ----------------------------------------------------------------------------------------------------


def test_checkpoint_is_sparks(spark, kafka, name, tmp_path):
    kafka.topic(name, 2)
    kafka.send(name, [b"a0", b"a1", b"a2"], 0)
    kafka.send(name, [b"b0", b"b1"], 1)
    query = run(stream(spark, kafka, name, maxOffsetsPerTrigger="2"), tmp_path / "c", tmp_path / "t")
    assert (tmp_path / "c/sources/0/0").read_bytes() == b"\x00v1\n" + json.dumps({name: {"0": 0, "1": 0}}, separators=(",", ":")).encode()
    ends = [{"0": 1, "1": 1}, {"0": 2, "1": 2}, {"0": 3, "1": 2}]
    for batch, end in enumerate(ends):
        assert json.loads((tmp_path / f"c/offsets/{batch}").read_text().splitlines()[2]) == {name: end}
    progress = query.recentProgress
    assert [p["numInputRows"] for p in progress] == [2, 2, 1]
    source = progress[0]["sources"][0]
    assert source["description"] == f"KafkaV2[Subscribe[{name}]]"
    offsets = [json.loads(source[key]) for key in ("startOffset", "endOffset", "latestOffset")]
    assert offsets == [None, {name: {"0": 1, "1": 1}}, {name: {"0": 3, "1": 2}}]
    assert source["metrics"] == {"avgOffsetsBehindLatest": "1.5", "maxOffsetsBehindLatest": "2", "minOffsetsBehindLatest": "1"}
    assert values(spark.read.format("delta").load(str(tmp_path / "t"))) == ["a0", "a1", "a2", "b0", "b1"]


def test_limit_is_shared_in_proportion(spark, kafka, name, tmp_path):
    kafka.topic(name, 3)
    for partition, count in enumerate((100, 10, 1)):
        kafka.send(name, [b"x"] * count, partition)
    query = run(stream(spark, kafka, name, maxOffsetsPerTrigger="20"), tmp_path / "c", format="noop")
    assert [p["numInputRows"] for p in query.recentProgress] == [20, 19, 19, 19, 19, 15]
    assert query.recentProgress[1]["sources"][0]["endOffset"] == json.dumps({name: {"0": 36, "1": 2, "2": 1}})


def test_a_batch_waits_for_enough(spark, kafka, name, tmp_path):
    kafka.topic(name)
    kafka.send(name, [b"x"] * 3)
    df = stream(spark, kafka, name, minOffsetsPerTrigger="10", maxTriggerDelay="1h")
    query = df.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c")).start(str(tmp_path / "t"))
    table = spark.read.format("delta")
    wait_for(lambda: table.load(str(tmp_path / "t")).count() == 3)  # the first batch does not wait
    kafka.send(name, [b"y"] * 9)
    latest = wait_for(lambda: query.status["message"] == "Waiting for data to arrive")
    assert latest and table.load(str(tmp_path / "t")).count() == 3
    kafka.send(name, [b"z"])
    wait_for(lambda: table.load(str(tmp_path / "t")).count() == 13)
    query.stop()


def test_starts_at_the_end(spark, kafka, name, tmp_path):
    kafka.topic(name)
    kafka.send(name, [b"old"])
    df = stream(spark, kafka, name, startingOffsets=None)
    assert run(df, tmp_path / "c", tmp_path / "t").recentProgress[0]["numInputRows"] == 0
    kafka.send(name, [b"new"])
    run(df, tmp_path / "c", tmp_path / "t")
    assert values(spark.read.format("delta").load(str(tmp_path / "t"))) == ["new"]


def test_new_partitions(spark, kafka, name, tmp_path):
    kafka.topic(name)
    kafka.send(name, [b"a"])
    df = stream(spark, kafka, name)
    run(df, tmp_path / "c", tmp_path / "t")
    kafka.add_partitions(name, 3)
    kafka.send(name, [b"b"], 1)
    kafka.send(name, [b"c"], 2)
    run(df, tmp_path / "c", tmp_path / "t")
    assert values(spark.read.format("delta").load(str(tmp_path / "t"))) == ["a", "b", "c"]
    kafka.add_partitions(name, 4)
    kafka.send(name, [b"d0", b"d1"], 3)
    kafka.truncate(name, 1, 3)
    with pytest.raises(Exception, match=f"Added partition {name}-3 starts from 1 instead of 0"):
        run(df, tmp_path / "c", tmp_path / "t")
    run(stream(spark, kafka, name, failOnDataLoss="false"), tmp_path / "c", tmp_path / "t")
    assert values(spark.read.format("delta").load(str(tmp_path / "t"))) == ["a", "b", "c", "d1"]


def test_lost_records(spark, kafka, name, tmp_path):
    kafka.topic(name)
    kafka.send(name, [b"x"] * 10)
    df, lenient = stream(spark, kafka, name), stream(spark, kafka, name, failOnDataLoss="false")
    run(df, tmp_path / "c", format="noop")
    kafka.send(name, [b"y"] * 10)
    kafka.truncate(name, 15)
    with pytest.raises(Exception, match=r"Could not read records in offset \[10, 20\) for topic partition"):
        run(df, tmp_path / "c", format="noop")
    rows = [p["numInputRows"] for p in run(lenient, tmp_path / "c", format="noop").recentProgress]
    assert sum(rows) == 5
    kafka.delete(name)
    with pytest.raises(Exception, match="UnknownTopicOrPartitionException"):
        run(df, tmp_path / "c", format="noop")
    kafka.topic(name)
    kafka.send(name, [b"z"] * 3)
    with pytest.raises(Exception, match=f"Partition {name}-0 offset was changed from 20 to 3"):
        run(df, tmp_path / "c", format="noop")
    assert sum(p["numInputRows"] for p in run(lenient, tmp_path / "c", format="noop").recentProgress) == 0
    kafka.send(name, [b"w"] * 2)
    assert sum(p["numInputRows"] for p in run(lenient, tmp_path / "c", format="noop").recentProgress) == 2


def test_transactions_in_a_stream(spark, kafka, name, tmp_path):
    """The marks of transactions are offsets without messages: a batch may end with them, or have nothing else."""
    kafka.topic(name)
    producer = kafka.producer(transactional_id=name)
    producer.init_transactions()
    df = stream(spark, kafka, name, **{"kafka.isolation.level": "read_committed"})
    query = df.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c")).start(str(tmp_path / "t"))
    expected = []
    for round in range(6):
        producer.begin_transaction()
        sent = [f"{round}-{i}" for i in range(5)]
        for value in sent:
            producer.produce(name, value.encode())
        producer.flush()
        if round % 2:
            producer.abort_transaction()
        else:
            producer.commit_transaction()
            expected += sent
        query.processAllAvailable()
        assert values(spark.read.format("delta").load(str(tmp_path / "t"))) == sorted(expected)
    query.stop()


def wait_for(condition, seconds=300):
    deadline = time.time() + seconds
    while True:
        try:
            if condition():
                return True
        except Exception:
            if time.time() > deadline:
                raise
        assert time.time() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_exactly_once_over_kills(kafka, name, tmp_path):
    """A stream into Delta, killed in the middle again and again while messages go on coming: each arrives once."""
    kafka.topic(name, 3)
    server, sent = Server(tmp_path / "home"), 0
    for round in range(4):
        spark = server.session()
        df = stream(spark, kafka, name, maxOffsetsPerTrigger="200").selectExpr("string(value) value", "partition", "offset")
        df.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c")).start(str(tmp_path / "t"))
        for partition in range(3):
            kafka.send(name, [f"{sent + i}" for i in range(500)], partition)
            sent += 500
        done = tmp_path / "c/commits"
        wait_for(lambda: done.is_dir() and len(list(done.glob("[0-9]*"))) > 0 and
                 max(int(f.name) for f in done.glob("[0-9]*")) >= 3 * (round + 1))
        server.kill()
        server = Server(tmp_path / "home")
    spark = server.session()
    run(stream(spark, kafka, name).selectExpr("string(value) value", "partition", "offset"), tmp_path / "c", tmp_path / "t")
    rows = [int(r[0]) for r in spark.read.format("delta").load(str(tmp_path / "t")).select("value").collect()]
    assert sorted(rows) == list(range(sent))
    server.stop()


def test_the_broker_goes_and_comes(spark, kafka, name, tmp_path):
    """A stream waits for its broker, and goes on with nothing lost and nothing twice."""
    kafka.topic(name, 2)
    # However long the broker takes to come back.
    patient = stream(spark, kafka, name, **{"kafka.default.api.timeout.ms": "600000"})
    query = patient.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c")).start(str(tmp_path / "t"))
    table = spark.read.format("delta")
    sent = []
    for turn in range(2):
        if turn > 0:
            kafka.broker.kill()
            kafka.broker.start()
        new = [f"{turn}-{i}" for i in range(100)]
        kafka.send(name, new, turn % 2)
        sent += new
        wait_for(lambda: len(values(table.load(str(tmp_path / "t")))) >= len(sent))
        assert values(table.load(str(tmp_path / "t"))) == sorted(sent)
    assert query.isActive and query.exception() is None
    query.stop()


def test_foreach_batch_may_read_twice(spark, kafka, name, tmp_path):
    kafka.topic(name, 2)
    for partition in (0, 1):
        kafka.send(name, [b"%d" % i for i in range(50)], partition)
    target = str(tmp_path / "t")

    def twice(df, batch):
        df.selectExpr("string(value) value").write.format("delta").mode("append").save(target)
        df.union(df).selectExpr("string(value) value").write.format("delta").mode("append").save(target)

    df = stream(spark, kafka, name, maxOffsetsPerTrigger="30")
    query = df.writeStream.foreachBatch(twice).option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True).start()
    query.awaitTermination(300)
    assert query.exception() is None
    counts = spark.read.format("delta").load(target).groupBy("value").count().collect()
    assert len(counts) == 50 and all(r["count"] == 6 for r in counts)


PIPELINE = """
import dlt
from pyspark.sql.functions import *
from pyspark.sql.types import *

sales_schema = StructType([
    StructField("sale_id", StringType()),
    StructField("customer_id", IntegerType()),
    StructField("amount", DoubleType()),
    StructField("timestamp", TimestampType())
])

@dlt.table(name="bronze_sales_stream", comment="Real-time sales stream from Kafka")
def bronze_sales_stream():
    return spark.readStream \\
        .format("kafka") \\
        .option("kafka.bootstrap.servers", "BOOTSTRAP") \\
        .option("subscribe", "TOPIC") \\
        .load() \\
        .select(from_json(col("value").cast("string"), sales_schema).alias("data")) \\
        .select("data.*")

@dlt.table(name="silver_sales_stream", comment="Cleaned streaming sales data")
@dlt.expect("valid_amount", "amount > 0")
@dlt.expect_or_drop("valid_customer", "customer_id IS NOT NULL")
def silver_sales_stream():
    return dlt.read_stream("bronze_sales_stream") \\
        .withWatermark("timestamp", "1 hour") \\
        .withColumn("ingestion_time", current_timestamp())

@dlt.table
def gold_hourly_sales():
    return dlt.read_stream("silver_sales_stream") \\
        .groupBy(window(col("timestamp"), "1 hour"), col("customer_id")) \\
        .agg(sum("amount").alias("hourly_revenue"), count("*").alias("transaction_count"))
"""


def test_a_pipeline_from_kafka(kafka, name, tmp_path):
    """The first update starts at the end of the topic, as streams do; each one after goes on from there."""
    home = Home(tmp_path)
    kafka.topic(name)
    home.write(p_dot_py=PIPELINE.replace("BOOTSTRAP", kafka.bootstrap).replace("TOPIC", name))
    home.boathouse("pipeline", "run", "p.py")
    at = "2024-01-15T10:30:00Z"
    kafka.send(name, [{"sale_id": "SALE-001", "customer_id": 101, "amount": 150.0, "timestamp": at},
                      {"sale_id": "SALE-002", "customer_id": None, "amount": -50.0, "timestamp": at}])
    home.boathouse("pipeline", "run", "p.py")
    assert home.ask("SELECT sale_id, customer_id, amount FROM bronze_sales_stream ORDER BY 1") == [
        ("SALE-001", 101, 150.0), ("SALE-002", None, -50.0)]
    assert home.ask("SELECT sale_id, ingestion_time IS NOT NULL FROM silver_sales_stream") == [("SALE-001", True)]
    gold = "SELECT customer_id, hourly_revenue, transaction_count FROM gold_hourly_sales"
    assert home.ask(gold) == [(101, 150.0, 1)]
    kafka.send(name, [{"sale_id": "SALE-003", "customer_id": 101, "amount": 20.0, "timestamp": at}])
    home.boathouse("pipeline", "run", "p.py")
    assert home.ask("SELECT count(*) FROM bronze_sales_stream") == [(3,)]
    assert home.ask(gold) == [(101, 170.0, 2)]
    home.boathouse("pipeline", "run", "p.py")
    assert home.ask(gold) == [(101, 170.0, 2)]


# ---- sinks ------------------------------------------------------------------------------------------------------


def write(kafka, df, topic=None, mode=None, **options):
    writer = df.write.format("kafka").options(**{"kafka.bootstrap.servers": kafka.bootstrap, **options})
    if topic:
        writer = writer.option("topic", topic)
    if mode:
        writer = writer.mode(mode)
    writer.save()


def test_writes(spark, kafka, name):
    kafka.topic(name, 2)
    write(kafka, spark.sql("SELECT 'k' key, 'v' value, 1 partition"), name)
    write(kafka, spark.sql("SELECT X'01' key, X'02' value, 0 partition, 1 other"), name, "append")
    headers = "array(struct('a' AS key, X'03' AS value), struct('b' AS key, CAST(NULL AS BINARY) AS value))"
    write(kafka, spark.sql(f"SELECT '{name}' topic, CAST(NULL AS STRING) value, {headers} headers, 0 partition"))
    assert kafka.messages(name) == [
        (0, 0, b"\x01", b"\x02", None), (0, 1, None, None, [("a", b"\x03"), ("b", None)]), (1, 0, b"k", b"v", None)]


def test_keys_go_where_javas_client_puts_them(spark, kafka, name):
    """The partitions are what the Java client's hash gives for 8 of them (`Utils.murmur2`)."""
    kafka.topic(name, 8)
    write(kafka, spark.sql("SELECT key, key value FROM VALUES ('a'), ('b'), ('key-1'), ('key-2'), ('') t(key)"), name)
    assert {m[3].decode(): m[0] for m in kafka.messages(name)} == {"a": 4, "b": 4, "key-1": 0, "key-2": 6, "": 1}


@pytest.mark.parametrize("query, mode, says", [
    ("SELECT 1 value", None, "value attribute unsupported type int. value must be a(n) string or binary"),
    ("SELECT 'k' key", None, "Required attribute 'value' not found"),
    ("SELECT 'v' value, array(1) headers", None,
     "headers attribute unsupported type array<int>. headers must be a(n) array<struct<key:string,value:binary>>"),
    ("SELECT 'v' value", "overwrite", "Save mode Overwrite not allowed for Kafka. Allowed save modes are Append and ErrorIfExists (default)."),
    ("SELECT 'v' value", "ignore", "Save mode Ignore not allowed for Kafka."),
])
def test_writes_that_are_refused(spark, kafka, name, query, mode, says):
    with pytest.raises(Exception) as refused:
        write(kafka, spark.sql(query), name, mode)
    assert says in str(refused.value)


def test_failed_writes(spark, kafka, name):
    kafka.topic(name)
    with pytest.raises(Exception, match="topic option required when no 'topic' attribute is present"):
        write(kafka, spark.sql("SELECT 'v' value"))
    with pytest.raises(Exception, match="contains a null topic"):
        write(kafka, spark.sql("SELECT CAST(NULL AS STRING) topic, 'v' value"))
    with pytest.raises(Exception, match="partition 9 of the topic"):
        write(kafka, spark.sql("SELECT 'v' value, 9 partition"), name)
    with pytest.raises(Exception, match="(?i)message size too large"):
        write(kafka, spark.sql("SELECT repeat('v', 2000000) value"), name)
    with pytest.raises(Exception, match="not present in metadata after 2000 ms"):
        write(kafka, spark.sql("SELECT 'v' value"), name, **{"kafka.bootstrap.servers": "127.0.0.1:1", "kafka.max.block.ms": "2000"})
    assert kafka.messages(name) == []


def test_many_rows(spark, kafka, name):
    kafka.topic(name, 3)
    write(kafka, spark.range(200_000).selectExpr("CAST(id AS STRING) value"), name)
    got = read(spark, kafka, name).selectExpr("count(*)", "count(DISTINCT value)", "sum(CAST(CAST(value AS STRING) AS BIGINT))")
    assert tuple(got.collect()[0]) == (200_000, 200_000, 199_999 * 100_000)


def test_from_topic_to_topic(spark, kafka, name, tmp_path):
    kafka.topic(name, 2)
    kafka.topic(name + "-out")
    kafka.send(name, [b"a", b"b"], 0)
    kafka.send(name, [b"c"], 1)
    df = stream(spark, kafka, name).selectExpr("upper(string(value)) value")
    target = {"kafka.bootstrap.servers": kafka.bootstrap, "topic": name + "-out"}
    query = run(df, tmp_path / "c", format="kafka", **target)
    assert query.lastProgress["sink"]["numOutputRows"] == 3
    assert sorted(m[3] for m in kafka.messages(name + "-out")) == [b"A", b"B", b"C"]
    run(df, tmp_path / "c", format="kafka", **target)
    assert len(kafka.messages(name + "-out")) == 3
    with pytest.raises(Exception, match="value attribute unsupported type bigint"):
        run(stream(spark, kafka, name).selectExpr("offset value"), tmp_path / "c2", format="kafka", **target)
    with pytest.raises(Exception, match="checkpointLocation must be specified"):
        df.writeStream.format("kafka").options(**target).start()


@pytest.mark.parametrize("point", ["streaming::after-offsets", "kafka::before-commit", "kafka::after-commit", "streaming::after-sink"])
def test_transactional_sink_is_exactly_once(kafka, name, tmp_path, point, monkeypatch):
    """Killed before and after a batch's transaction: the batch that runs again is in the topic once."""
    kafka.topic(name)
    kafka.topic(name + "-out")
    kafka.send(name, [b"%d" % i for i in range(100)])
    target = {"kafka.bootstrap.servers": kafka.bootstrap, "topic": name + "-out", "transactionalId": name}

    def start(server):
        df = stream(server.session(), kafka, name, maxOffsetsPerTrigger="30").selectExpr("value")
        return run(df, tmp_path / "c", format="kafka", **target)

    monkeypatch.setenv("BOATHOUSE_FAULT", point)
    server = Server(tmp_path / "home")
    with pytest.raises(Exception, match="(?i)unavailable|closed|connect"):
        start(server)
    monkeypatch.delenv("BOATHOUSE_FAULT")
    server.process.wait(300)
    server = Server(tmp_path / "home")
    start(server)
    server.stop()
    assert sorted(int(m[3]) for m in kafka.messages(name + "-out", committed=True)) == list(range(100))
