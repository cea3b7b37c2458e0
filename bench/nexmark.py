"""The queries of Nexmark over files of `nexmark_data.py`, for any session of Spark's API, in what Spark's output modes allow:

- the 4th averages the highest bids by ten seconds and category, as an average over all time would need a second aggregation in update mode;
- the 5th gives one hottest auction of each window, by its number where several are;
- the 7th gives the window of a bid, not its time, as rows have one event time;
- the 12th counts by the clock, so that only the sum of each bidder's counts is comparable.
"""

import hashlib
import json

DELAY = "4 seconds"

# In update mode the sink has each count as it grew; the last of each window is the largest.
COMPARABLE = {"q12": "SELECT bidder, sum(n) AS n FROM (SELECT bidder, w, max(n) AS n FROM {0} GROUP BY bidder, w) GROUP BY bidder"}


def opened(spark, folder):
    """The streams of persons, auctions and bids, and the side table, as views; a file of each is a batch. `bid_again` is a stream of its own."""
    views = {"person": "person", "auction": "auction", "bid": "bid", "bid_again": "bid"}
    for name, kind in views.items():
        schema = spark.read.parquet(str(folder / kind)).schema
        stream = spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).parquet(str(folder / kind))
        stream.createOrReplaceTempView(name)
        stream.withWatermark("dateTime", DELAY).createOrReplaceTempView(f"{name}_timed")
    spark.read.parquet(str(folder / "side")).createOrReplaceTempView("side")


# Each: output mode, text.
QUERIES = {
    "q0": ("append", "SELECT auction, bidder, price, dateTime, extra FROM bid"),
    "q1": ("append", "SELECT auction, bidder, 0.908 * price AS price, dateTime, extra FROM bid"),
    "q2": ("append", "SELECT auction, price FROM bid WHERE auction % 123 = 0"),
    "q3": ("append", """
        SELECT p.name, p.city, p.state, a.id FROM auction a JOIN person p ON a.seller = p.id
        WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')"""),
    "q4": ("append", """
        SELECT w, category, avg(highest) AS price FROM (
            SELECT window(b.dateTime, '10 seconds') AS w, a.category, a.id, max(b.price) AS highest
            FROM auction_timed a JOIN bid_timed b ON a.id = b.auction AND b.dateTime >= a.dateTime AND b.dateTime <= a.dateTime + INTERVAL 20 SECONDS
            WHERE b.dateTime <= a.expires
            GROUP BY window(b.dateTime, '10 seconds'), a.category, a.id)
        GROUP BY w, category"""),
    "q5": ("append", """
        SELECT w, max(struct(n, auction)) AS hottest FROM (
            SELECT window(dateTime, '10 seconds', '2 seconds') AS w, auction, count(*) AS n FROM bid_timed
            GROUP BY window(dateTime, '10 seconds', '2 seconds'), auction)
        GROUP BY w"""),
    "q7": ("append", """
        SELECT b.w, b.auction, b.price, b.bidder, b.extra FROM (
            SELECT window(dateTime, '10 seconds') AS w, auction, price, bidder, extra FROM bid_timed) b JOIN (
            SELECT window(dateTime, '10 seconds') AS w, max(price) AS highest FROM bid_again_timed GROUP BY window(dateTime, '10 seconds')) m
        ON b.price = m.highest AND b.w = m.w"""),
    "q8": ("append", """
        SELECT p.id, p.name, p.w FROM
            (SELECT id, name, window(dateTime, '10 seconds') AS w FROM person_timed GROUP BY id, name, window(dateTime, '10 seconds')) p
            JOIN (SELECT seller, window(dateTime, '10 seconds') AS w FROM auction_timed GROUP BY seller, window(dateTime, '10 seconds')) a
            ON p.id = a.seller AND p.w = a.w"""),
    "q11": ("append", """
        SELECT bidder, count(*) AS n, session_window.start AS first, session_window.end AS last FROM bid_timed
        GROUP BY bidder, session_window(dateTime, '10 seconds')"""),
    "q12": ("update", """
        SELECT bidder, count(*) AS n, window(current_timestamp(), '10 seconds') AS w FROM bid
        GROUP BY bidder, window(current_timestamp(), '10 seconds')"""),
    "q13": ("append", "SELECT b.auction, b.bidder, b.price, b.dateTime, s.value FROM bid b JOIN side s ON b.auction % 10000 = s.key"),
}


def written(spark, name, sink, checkpoint):
    mode, text = QUERIES[name]
    writer = spark.sql(text).writeStream.outputMode(mode).trigger(availableNow=True).option("checkpointLocation", str(checkpoint))
    return writer.format(sink).queryName(name).start()


def finished(query):
    query.awaitTermination()
    if failure := query.exception():
        raise failure


def answer(spark, name, checkpoint):
    """The number of rows and a digest of them, in no order."""
    finished(written(spark, name, "memory", checkpoint))
    text = COMPARABLE.get(name, "SELECT * FROM {0}").format(name)
    rows = sorted(json.dumps(row.asDict(recursive=True), default=str) for row in spark.sql(text).collect())
    return len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest()


def rate(spark, name, checkpoint, events):
    """Events a second, of all batches with rows but the first, which plans and warms up."""
    query = written(spark, name, "noop", checkpoint)
    finished(query)
    batches = [plain(p) for p in query.recentProgress]
    busy = sum(p["durationMs"]["triggerExecution"] for p in batches[1:])
    return events * (sum(p["numInputRows"] > 0 for p in batches) - 1) / busy * 1000


def plain(progress):
    """A progress report as a dictionary, which it is of some clients."""
    return progress if isinstance(progress, dict) else json.loads(progress.json)
