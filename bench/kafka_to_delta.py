"""How long a message takes from its producer to a Delta table: JSON from Kafka, parsed, and committed batch by batch. One command:

    make release && .venv/bin/python bench/kafka_to_delta.py

The aim is a 99th percentile under 500 ms at 180,000 rows a second on two cores, which the producer and the broker (both started by this
program; see tools/kafka.py) take their part of. A message's latency is from its timestamp, which the producer gives it, to the time
when the commit that has it was there. Nothing else should run meanwhile.
"""

import argparse
import json
import multiprocessing
import pathlib
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "python"))
import kafka_broker
from conftest import Server

SCHEMA = "sale_id STRING, customer_id INT, amount DOUBLE, timestamp TIMESTAMP"
# Seconds at the beginning that are not counted: the first batch plans, connects and makes the table.
WARM_UP_S = 5


def payloads():
    return [json.dumps({"sale_id": f"SALE-{i:05d}", "customer_id": i % 1000, "amount": i / 7, "timestamp": "2024-01-15T10:30:00Z"}).encode()
            for i in range(1000)]


def produce(bootstrap, topic, partitions, rate, seconds):
    """Sends `rate` messages a second, a hundredth of them each 10 ms."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "queue.buffering.max.messages": 2_000_000})
    values, tick = payloads(), rate // 100
    started, sent = time.perf_counter(), 0
    for number in range(seconds * 100):
        delay = started + number / 100 - time.perf_counter()
        if delay > 0:
            time.sleep(delay)
        for i in range(tick):
            producer.produce(topic, values[i % 1000], partition=(number + i) % partitions)
        sent += tick
        producer.poll(0)
    producer.flush(60)
    print(f"produced {sent} messages in {time.perf_counter() - started:.1f} s ({sent / (time.perf_counter() - started):.0f} a second)")


def commits(table):
    """When each data file was there, in milliseconds since the epoch: the time of its commit's file."""
    times = {}
    for entry in (table / "_delta_log").glob("*.json"):
        at = entry.stat().st_mtime_ns / 1e6
        for line in entry.read_text().splitlines():
            if added := json.loads(line).get("add"):
                times[urllib.parse.unquote(added["path"]).rsplit("/", 1)[-1]] = at
    return times


def latencies(spark, table):
    """(milliseconds, messages), sorted."""
    rows = spark.read.format("delta").load(str(table)).selectExpr("_metadata.file_name AS file", "unix_millis(sent) AS sent")
    rows = rows.groupBy("file", "sent").count().toPandas()
    rows = rows[rows.sent >= rows.sent.min() + WARM_UP_S * 1000]
    times = commits(table)
    return sorted(zip((rows.file.map(times) - rows.sent).tolist(), rows["count"].tolist(), strict=True))


def percentile(weighted, share):
    total, seen = sum(count for _, count in weighted), 0
    for value, count in weighted:
        seen += count
        if seen >= share * total:
            return value


def steps(progress):
    """What the time of a batch goes to: the median of each step."""
    times = {}
    for batch in progress:
        for step, ms in batch["durationMs"].items():
            times.setdefault(step, []).append(ms)
    return {step: sorted(of)[len(of) // 2] for step, of in sorted(times.items())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=180_000, help="messages a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--partitions", type=int, default=2)
    given = parser.parse_args()
    if reason := kafka_broker.missing():
        raise SystemExit(reason)
    with kafka_broker.kafka.Broker() as broker, tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        cluster = kafka_broker.Cluster(broker)
        cluster.topic("sales", given.partitions)
        server = Server(folder / "home")
        spark = server.session()
        sales = (spark.readStream.format("kafka").option("kafka.bootstrap.servers", broker.bootstrap)
                 .option("subscribe", "sales").option("startingOffsets", "earliest").load()
                 .selectExpr(f"from_json(CAST(value AS STRING), '{SCHEMA}') AS data", "timestamp AS sent").select("data.*", "sent"))
        query = sales.writeStream.format("delta").option("checkpointLocation", str(folder / "c")).start(str(folder / "t"))
        producer = multiprocessing.Process(
            target=produce, args=(broker.bootstrap, "sales", given.partitions, given.rate, given.seconds))
        producer.start()
        producer.join()
        query.processAllAvailable()
        progress = [p for p in query.recentProgress if p["numInputRows"] > 0]
        query.stop()
        counted = spark.read.format("delta").load(str(folder / "t")).count()
        expected = given.rate // 100 * 100 * given.seconds
        assert counted == expected, f"{counted} rows in the table, {expected} messages sent"
        weighted = latencies(spark, folder / "t")
        print(f"{counted} rows in {len(progress)} of the last batches and those before")
        print("medians of the batches, in ms: " + ", ".join(f"{step} {ms}" for step, ms in steps(progress).items()))
        for label, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
            print(f"latency {label}: {percentile(weighted, share):.0f} ms")
        spark.stop()
        server.stop()


if __name__ == "__main__":
    main()
