"""Continuous and real-time triggers: what they allow, and what they refuse."""

import time

from scenarios_streams import Stream, expression

SCENARIOS = {}
SCHEMA = "id INT, at TIMESTAMP, l STRING"


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def rate(world):
    return world.spark.readStream.format("rate").option("rowsPerSecond", 10).load()


def micro(world):
    return world.spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 10).load()


def files(world):
    return Stream(world).source("a", SCHEMA)


def table(world):
    return world.spark.createDataFrame([(1, "one"), (3, "three")], "value BIGINT, r STRING")


def joined(world):
    stream = rate(world).alias("a")
    return stream.join(table(world).alias("b"), expression(stream, "a.value = b.value"), "left").select("a.value", "r")


FRAMES = {
    "rate": rate,
    "rate-micro-batch": micro,
    "files": files,
    "map": lambda w: rate(w).selectExpr("value + 1 AS v", "timestamp"),
    "filter": lambda w: rate(w).filter("value % 2 = 0"),
    "explode": lambda w: rate(w).selectExpr("explode(array(value, value)) AS v"),
    "watermark": lambda w: rate(w).withWatermark("timestamp", "1 second"),
    "aggregation": lambda w: rate(w).groupBy("value").count(),
    "deduplication": lambda w: rate(w).dropDuplicates(["value"]),
    "distinct": lambda w: rate(w).distinct(),
    "join with a table": joined,
    "union": lambda w: rate(w).union(rate(w)),
    "join": lambda w: (lambda a, b: a.join(b, expression(a, "a.value = b.value")).select("a.value"))(rate(w).alias("a"), rate(w).alias("b")),
    "limit": lambda w: rate(w).limit(2),
    "sort": lambda w: rate(w).orderBy("value"),
    "sample": lambda w: rate(w).sample(0.5),
    "repartition": lambda w: rate(w).repartition(2),
    "coalesce": lambda w: rate(w).coalesce(1),
}

SINKS = ["memory", "console", "noop", "parquet", "foreach batch", "delta"]


def attempt(world, what, frame, sink, mode, **trigger):
    name = "t" + str(len(world.seen))

    def run():
        writer = frame(world).writeStream.outputMode(mode).option("checkpointLocation", world.path(name)).trigger(**trigger)
        if sink == "foreach batch":
            query = writer.foreachBatch(lambda frame, batch: None).start()
        elif sink in ("parquet", "delta"):
            query = writer.format(sink).start(world.path(f"out {name}"))
        else:
            query = writer.format(sink).queryName(name).start()
        # Some are refused with the first rows only: one that has told of rows is not.
        deadline = time.monotonic() + 120
        while query.isActive and query.lastProgress is None and time.monotonic() < deadline:
            time.sleep(0.05)
        failure = query.exception()
        query.stop()
        if failure is not None:
            raise failure

    world.note(what, Stream(world).refusal(run))


@scenario
def continuous_operators(world):
    for what, frame in FRAMES.items():
        attempt(world, what, frame, "memory", "append", continuous="1 second")


@scenario
def continuous_sinks_and_modes(world):
    for sink in SINKS:
        for mode in ["append", "update", "complete"]:
            attempt(world, f"{sink}, {mode}", rate, sink, mode, continuous="1 second")


@scenario
def continuous_intervals(world):
    for interval in ["1 second", "0 seconds", "-1 second", "a while", "100 milliseconds"]:
        attempt(world, interval, rate, "memory", "append", continuous=interval)


@scenario
def real_time_operators(world):
    for what, frame in FRAMES.items():
        attempt(world, what, frame, "memory", "update", realTime="5 seconds")


@scenario
def real_time_sinks_and_modes(world):
    for sink in SINKS:
        for mode in ["append", "update", "complete"]:
            attempt(world, f"{sink}, {mode}", rate, sink, mode, realTime="5 seconds")


@scenario
def real_time_intervals(world):
    for interval in ["5 seconds", "1 second", "0 seconds", "-1 second", "a while"]:
        attempt(world, interval, rate, "memory", "update", realTime=interval)
