"""State read as tables: the data sources `statestore` and `state-metadata` over the checkpoints of streams."""

from scenarios_sessions import FIXED, sessions
from scenarios_streams import LEFT, RANGE, Stream, expression, joined, minute, sides

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def stream_of(world):
    stream = Stream(world)
    world.spark.conf.set("spark.sql.shuffle.partitions", "1")
    return stream


def row(id, at, l="a"):  # noqa: E741
    return {"id": id, "at": minute(at), "l": l}


def read(world, format="statestore", **options):
    reader = world.spark.read.format(format)
    for key, value in options.items():
        reader = reader.option(key, value)
    return reader.load(world.path("checkpoint"))


def show(world, what, *columns, **options):
    """The rows of the state, as text."""

    def action():
        frame = read(world, **options)
        world.note(f"{what}: schema", frame.schema.simpleString())
        return frame.selectExpr(*(columns or [f"CAST({c} AS STRING)" for c in frame.columns]))

    world.attempt(what, action)


def metadata(world):
    frame = read(world, "state-metadata")
    world.note("metadata: schema", frame.schema.simpleString())
    world.rows(frame, "metadata")


ROUNDS = [
    [row(1, 0), row(1, 3, "b"), row(2, 12)],
    [row(1, 5), row(3, 31)],
    [row(4, 100, "c")],
]


def run(world, build, rounds=ROUNDS):
    stream = stream_of(world)
    stream.start(build(stream.source("a", LEFT).withWatermark("at", "10 minutes")))
    for rows in rounds:
        stream.put("a", *rows)
        stream.run()
    return stream


@scenario
def state_of_windows(world):
    run(world, lambda f: f.groupBy(expression(f, "window(at, '10 minutes') AS w"), "id").count().selectExpr("w.start", "id", "count"))
    metadata(world)
    show(world, "last")
    show(world, "key", "key.window.start", "key.id", "value.count", "partition_id")
    for batch in range(6):
        show(world, f"batch {batch}", batchId=batch)
    show(world, "changes", readChangeFeed=True, changeStartBatchId=0)
    show(world, "some changes", readChangeFeed=True, changeStartBatchId=2, changeEndBatchId=3)
    show(world, "one operator", operatorId=0, storeName="default")


@scenario
def state_of_aggregates(world):
    aggregates = ["avg(id) AS a", "count(l) AS c"]
    run(world, lambda f: f.groupBy("at").agg(*[expression(f, a) for a in aggregates]))
    metadata(world)
    show(world, "last")
    show(world, "first", batchId=0)


@scenario
def state_of_keys_that_were_seen(world):
    run(world, lambda f: f.dropDuplicates(["id"]))
    metadata(world)
    show(world, "last")


@scenario
def state_of_keys_and_times_that_were_seen(world):
    run(world, lambda f: f.dropDuplicates(["id", "at"]))
    show(world, "last")
    show(world, "first", batchId=0)


@scenario
def state_of_keys_within_the_watermark(world):
    run(world, lambda f: f.dropDuplicatesWithinWatermark(["id"]))
    metadata(world)
    show(world, "last")
    show(world, "first", batchId=0)


@scenario
def state_of_sessions(world):
    run(world, lambda f: sessions(f, FIXED, "count(*) AS n", "sum(id) AS total").selectExpr("id", "s.start"))
    metadata(world)
    show(world, "last")
    show(world, "first", batchId=0)


@scenario
def state_of_a_limit(world):
    run(world, lambda f: f.select("id").limit(4))
    metadata(world)
    show(world, "last")


@scenario
def state_of_two_operators(world):
    run(world, lambda f: f.dropDuplicates(["id", "at"]).groupBy(expression(f, "window(at, '10 minutes') AS w")).count().selectExpr("w.start", "count"))
    metadata(world)
    show(world, "last")
    show(world, "second", operatorId=1)
    show(world, "third", operatorId=2)


@scenario
def state_of_a_join(world):
    stream = stream_of(world)
    stream.start(joined(stream, *sides(stream), RANGE, "leftOuter"))
    for n in [0, 30, 100]:
        stream.put("a", row(1, n), row(2, n + 1))
        stream.put("b", {"id": 1, "at2": minute(n + 5), "r": f"r{n}"}, {"id": 7, "at2": minute(n + 6), "r": "s"})
        stream.run()
    show(world, "left", joinSide="left")
    show(world, "right", joinSide="right")
    show(world, "first left", joinSide="left", batchId=0)
    show(world, "neither")
    show(world, "middle", joinSide="middle")
    show(world, "changes", joinSide="left", readChangeFeed=True, changeStartBatchId=0)


@scenario
def state_that_cannot_be_read(world):
    run(world, lambda f: f.groupBy("at").count())
    for what, options in {
        "batch that is not there": {"batchId": 99},
        "negative batch": {"batchId": -1},
        "batch as text": {"batchId": "x"},
        "operator that is not there": {"operatorId": 7},
        "store that is not there": {"storeName": "other"},
        "empty store name": {"storeName": ""},
        "side of no join": {"joinSide": "left"},
        "side and store": {"joinSide": "left", "storeName": "default"},
        "changes without start": {"readChangeFeed": True},
        "changes that end before": {"readChangeFeed": True, "changeStartBatchId": 3, "changeEndBatchId": 1},
        "changes and a batch": {"readChangeFeed": True, "changeStartBatchId": 0, "batchId": 1},
        "snapshot without partition": {"snapshotStartBatchId": 0},
        "partition without snapshot": {"snapshotPartitionId": 0},
        "snapshot after the batch": {"snapshotStartBatchId": 3, "snapshotPartitionId": 0, "batchId": 1},
    }.items():
        show(world, what, **options)
    world.attempt("no path", lambda: world.spark.read.format("statestore").load())
    world.attempt("nothing there", lambda: world.spark.read.format("statestore").load(world.path("nowhere")))
    world.attempt("no metadata", lambda: world.spark.read.format("state-metadata").load(world.path("nowhere")))
    world.attempt("no state", lambda: world.spark.read.format("statestore").load(world.path("a")))


# What is remembered of each aggregate, by what it is called.
AGGREGATES = {
    "sums": ["sum(id)", "sum(CAST(id AS DOUBLE))", "sum(CAST(id AS DECIMAL(10, 2)))", "try_sum(id)", "avg(id)", "avg(CAST(id AS DECIMAL(10, 2)))", "try_avg(id)"],
    "counts": ["count(*)", "count(l)", "count_if(id > 1)"],
    "extremes": ["min(id)", "max(l)", "max_by(l, id)", "min_by(l, id)", "bool_and(id > 1)", "bool_or(id > 1)"],
    "places": ["first(l)", "last(l)", "first(l, true)", "last(l, true)", "any_value(id)"],
    "bits": ["bit_and(id)", "bit_or(id)", "bit_xor(id)"],
    "moments": ["stddev(id)", "stddev_pop(id)", "variance(id)", "var_pop(id)", "skewness(id)", "kurtosis(id)"],
    "pairs": ["corr(id, m)", "covar_pop(id, m)", "covar_samp(id, m)", "regr_count(id, m)", "regr_avgx(id, m)", "regr_avgy(id, m)", "regr_r2(id, m)"],
    "lines": ["regr_sxx(id, m)", "regr_syy(id, m)", "regr_sxy(id, m)", "regr_slope(id, m)", "regr_intercept(id, m)"],
    "decimals": ["sum(CAST(id AS DECIMAL(5, 2)))", "avg(CAST(id AS DECIMAL(5, 2)))", "avg(CAST(id AS DECIMAL(20, 2)))", "sum(CAST(id AS DECIMAL(38, 2)))"],
    "NULL": ["sum(n)", "avg(n)", "max(n)", "first(n)", "last(n, true)", "sum(CAST(n AS DECIMAL(10, 2)))", "max_by(n, n)", "bit_and(n)", "stddev(n)", "try_sum(n)"],
    "lists": ["approx_count_distinct(id)", "collect_list(id)", "collect_set(id)", "mode(id)", "percentile(id, 0.5)", "approx_percentile(id, 0.5)", "listagg(l)"],
}


SAME_TIME = [row(1, 0), row(2, 0, "b"), row(4, 0, None), row(4, 0, "c")]
# Of these Spark has bytes of its own.
AS_BYTES = AGGREGATES["lists"]


def aliased(frame, aggregates):
    return [expression(frame, a).alias(f"c{n}") for n, a in enumerate(aggregates)]


def state_of_some(aggregates):
    def run_them(world):
        run(world, lambda f: f.selectExpr("*", "id * id AS m", "nullif(id, id) AS n").groupBy("at").agg(*aliased(f, aggregates)), [SAME_TIME])
        state = read(world)
        world.note("schema", state.schema.simpleString())
        if aggregates is not AS_BYTES:
            world.rows(state.selectExpr("CAST(value AS STRING)"))

    return run_them


for name, aggregates in AGGREGATES.items():
    SCENARIOS[f"what is remembered of {name}"] = state_of_some(aggregates)
