"""Stateful streams in rounds of files: what comes out of each round, and the counters of state."""

import json
import os
import pathlib
import re

SCENARIOS = {}
LEFT, RIGHT = "id INT, at TIMESTAMP, l STRING", "id INT, at2 TIMESTAMP, r STRING"


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def minute(n, second=0):
    return f"2026-01-01T{n // 60:02}:{n % 60:02}:{second:02}Z"


def batches_of(query):
    """The progress of each batch that was written, of either client."""
    for progress in query.recentProgress:
        progress = json.loads(progress.json) if not isinstance(progress, dict) else progress
        if "addBatch" in progress["durationMs"]:
            yield progress


class Stream:
    """A query over folders of JSON files into memory."""

    def __init__(self, world, counts_input=True):
        """Spark does not count rows that a filter takes away before an operator sees them."""
        self.world, self.files, self.counts_input = world, 0, counts_input
        world.spark.conf.set("spark.sql.shuffle.partitions", "2")
        world.spark.conf.set("spark.sql.session.timeZone", "UTC")

    def source(self, name, schema, **options):
        folder = pathlib.Path(self.world.path(name))
        folder.mkdir(exist_ok=True)
        return self.world.spark.readStream.schema(schema).options(**options).json(str(folder))

    def put(self, name, *rows):
        """A file that is there at once."""
        self.files += 1
        folder = pathlib.Path(self.world.path(name))
        hidden = folder / f".{self.files}"
        hidden.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.utime(hidden, (1.7e9 + self.files, 1.7e9 + self.files))
        hidden.rename(folder / f"{self.files}.json")

    def start(self, frame):
        """Without duplicate names: files have none."""
        self.frame = frame
        self.rows = []

    def run(self):
        writer = self.frame.writeStream.format("parquet").option("checkpointLocation", self.world.path("checkpoint"))
        query = writer.trigger(availableNow=True).start(self.world.path("out"))
        query.awaitTermination()
        return query

    def refused(self, frame, mode="append"):
        """A frame, or what builds one."""

        def run():
            writer = (frame() if callable(frame) else frame).writeStream.format("noop").outputMode(mode)
            query = writer.option("checkpointLocation", self.world.path(f"none{len(self.world.seen)}")).trigger(availableNow=True).start()
            query.awaitTermination()

        self.world.note(f"refused in {mode}", self.refusal(run))

    def refusal(self, run):
        """The error that it ends with."""
        try:
            run()
        except Exception as e:
            # Some are refused when the first batch is planned there, and some errors have no class there.
            text = re.sub(r".*terminated with exception: ", "", str(e).split("\n")[0])
            return re.sub(r"^\[(_LEGACY_ERROR_TEMP_\d+)?\] | SQLSTATE.*|;.*", "", text)

    def round(self, **files):
        """Files that come together, and what comes out. Each round is a query of its own upon the state of the last."""
        for name, rows in files.items():
            self.put(name, *rows)
        query = self.run()
        table = self.world.spark.read.parquet(self.world.path("out"))
        rows = sorted("\t".join(str(v) for v in row) for row in table.collect())
        new = list(rows)
        for row in self.rows:
            new.remove(row)
        self.rows = rows
        self.world.note("rows", new)
        self.counters(query)

    def counters(self, query):
        """What each batch of a query counted."""
        seen = {}
        for progress in batches_of(query):
            seen[progress["batchId"]] = progress
        for batch, progress in sorted(seen.items()):
            state = [
                [s["operatorName"], s["numRowsTotal"], s["numRowsUpdated"], s["numRowsRemoved"], s["numRowsDroppedByWatermark"]]
                for s in progress["stateOperators"]
            ]
            self.world.note("batch", [batch, progress["numInputRows"] if self.counts_input else None, (progress.get("eventTime") or {}).get("watermark"), state])


def sides(stream, left="10 minutes", right="10 minutes"):
    a, b = stream.source("a", LEFT), stream.source("b", RIGHT)
    if left:
        a = a.withWatermark("at", left)
    if right:
        b = b.withWatermark("at2", right)
    return a.alias("a"), b.alias("b")




def expression(frame, text):
    """Both kinds of sessions have their own."""
    if type(frame).__module__.startswith("pyspark.sql.connect"):
        from pyspark.sql.connect.functions import expr
    else:
        from pyspark.sql.functions import expr
    return expr(text)


def joined(stream, a, b, on, how):
    both = a.join(b, expression(a, on), how)
    return both if how in ("leftSemi", "leftAnti") else both.selectExpr("a.id", "at", "l", "b.id AS id2", "at2", "r")


RANGE = "a.id = b.id AND b.at2 >= a.at AND b.at2 <= a.at + INTERVAL 20 MINUTES"


def rounds(stream):
    stream.round(
        a=[{"id": 1, "at": minute(0), "l": "a"}, {"id": 2, "at": minute(1), "l": "b"}, {"id": 3, "at": minute(2), "l": "c"}],
        b=[{"id": 1, "at2": minute(5), "r": "x"}, {"id": 9, "at2": minute(6), "r": "y"}],
    )
    stream.round(a=[{"id": 1, "at": minute(4), "l": "d"}], b=[{"id": 2, "at2": minute(20), "r": "z"}, {"id": 1, "at2": minute(12), "r": "w"}])
    stream.round(a=[{"id": 4, "at": minute(30), "l": "e"}, {"id": 2, "at": minute(1), "l": "late"}], b=[{"id": 4, "at2": minute(31), "r": "v"}, {"id": 5, "at2": minute(31), "r": "u"}])
    stream.round(a=[{"id": 6, "at": minute(60), "l": "f"}, {"id": 5, "at": minute(25), "l": "g"}], b=[{"id": 6, "at2": minute(62), "r": "t"}, {"id": 6, "at2": minute(63), "r": "s"}])
    stream.round(a=[{"id": 7, "at": minute(200), "l": "h"}], b=[{"id": 8, "at2": minute(200), "r": "q"}])
    stream.round(a=[{"id": 7, "at": minute(400), "l": "i"}], b=[{"id": 8, "at2": minute(400), "r": "p"}])


def join_of(how):
    def run(world):
        stream = Stream(world)
        stream.start(joined(stream, *sides(stream), RANGE, how))
        rounds(stream)

    SCENARIOS[f"{how} join by a range of times"] = run


for how in ["inner", "leftOuter", "rightOuter", "fullOuter", "leftSemi"]:
    join_of(how)


def pairs(stream, minutes, right):
    """Two rows a side and round; of the right ones given as (id, minutes later)."""
    for n in minutes:
        stream.round(
            a=[{"id": 1, "at": minute(n), "l": f"l{n}"}, {"id": 2, "at": minute(n + 3), "l": f"m{n}"}],
            b=[{"id": id, "at2": minute(n + later), "r": f"{r}{n}"} for r, (id, later) in zip("rs", right, strict=True)],
        )


def join_of_times(how):
    def run(world):
        stream = Stream(world)
        stream.start(joined(stream, *sides(stream), "a.id = b.id AND a.at = b.at2", how))
        pairs(stream, [0, 1, 2, 15, 40, 90], [(1, 0), (2, 2)])

    SCENARIOS[f"{how} join by equal times"] = run


for how in ["inner", "leftOuter", "rightOuter", "fullOuter", "leftSemi"]:
    join_of_times(how)


def join_of_windows(how):
    def run(world):
        stream = Stream(world)
        a, b = sides(stream)
        a = a.selectExpr("id", "window(at, '10 minutes') AS w", "l").alias("a")
        b = b.selectExpr("id", "window(at2, '10 minutes') AS w", "r").alias("b")
        both = a.join(b, expression(a, "a.id = b.id AND a.w = b.w"), how)
        stream.start(both.selectExpr("a.id", "a.w.start AS aw", "l", "b.w.end AS bw", "r"))
        pairs(stream, [0, 8, 20, 40, 90], [(1, 1), (3, 2)])

    SCENARIOS[f"{how} join by windows"] = run


for how in ["inner", "leftOuter", "fullOuter"]:
    join_of_windows(how)


@scenario
def a_left_outer_join_with_conditions_of_one_side(world):
    stream = Stream(world, counts_input=False)
    stream.start(joined(stream, *sides(stream), RANGE + " AND upper(a.l) <> 'C' AND upper(b.r) <> 'X'", "leftOuter"))
    rounds(stream)


@scenario
def a_full_outer_join_with_conditions_of_one_side(world):
    stream = Stream(world)
    stream.start(joined(stream, *sides(stream), RANGE + " AND upper(a.l) <> 'C' AND upper(b.r) <> 'X'", "fullOuter"))
    rounds(stream)


@scenario
def an_outer_join_of_rows_without_key(world):
    stream = Stream(world)
    stream.start(joined(stream, *sides(stream), RANGE, "fullOuter"))
    nothing = {"id": None, "at": minute(2), "l": "n"}, {"id": None, "at2": minute(3), "r": "n"}
    stream.round(a=[nothing[0], {"id": 1, "at": minute(2), "l": "a"}, {"id": 1, "at": None, "l": "timeless"}], b=[nothing[1]])
    stream.round(a=[{"id": 2, "at": minute(100), "l": "b"}], b=[{"id": 2, "at2": minute(100), "r": "x"}])
    stream.round(a=[{"id": 2, "at": minute(300), "l": "c"}], b=[{"id": 2, "at2": minute(300), "r": "y"}])


@scenario
def an_inner_join_with_a_watermark_on_one_side(world):
    stream = Stream(world)
    stream.start(joined(stream, *sides(stream, right=None), RANGE, "inner"))
    rounds(stream)


@scenario
def an_inner_join_without_times(world):
    stream = Stream(world)
    stream.start(joined(stream, *sides(stream, None, None), "a.id = b.id", "inner"))
    rounds(stream)


@scenario
def an_inner_join_with_other_ranges(world):
    for name, on in {
        "strict": "a.id = b.id AND b.at2 > a.at - INTERVAL 5 MINUTES AND b.at2 < a.at + INTERVAL 5 MINUTES",
        "turned": "a.id = b.id AND a.at >= b.at2 - INTERVAL 5 MINUTES AND a.at + INTERVAL 5 MINUTES > b.at2",
        "differences": "a.id = b.id AND b.at2 - INTERVAL 1 HOUR <= a.at AND a.at BETWEEN b.at2 - INTERVAL 1 HOUR AND b.at2",
        "two bounds": "a.id = b.id AND b.at2 <= a.at + INTERVAL 30 MINUTES AND b.at2 <= a.at + INTERVAL 10 MINUTES",
    }.items():
        world.note("condition", name)
        inner = type(world)(world.spark, world.directory / name.replace(" ", "_"))
        inner.directory.mkdir()
        stream = Stream(inner)
        stream.start(joined(stream, *sides(stream), on, "inner"))
        rounds(stream)
        world.seen.extend(inner.seen)


@scenario
def joins_that_are_refused(world):
    for how in ["inner", "leftOuter", "rightOuter", "fullOuter", "leftSemi", "leftAnti"]:
        for name, on, marks in [
            ("no watermark", "a.id = b.id", (None, None)),
            ("no range", "a.id = b.id", ("10 minutes", "10 minutes")),
            ("range, watermark left", RANGE, ("10 minutes", None)),
            ("range, watermark right", RANGE, (None, "10 minutes")),
            ("no equality", "b.at2 >= a.at AND b.at2 <= a.at + INTERVAL 20 MINUTES", ("10 minutes", "10 minutes")),
            ("range", RANGE, ("10 minutes", "10 minutes")),
        ]:
            for mode in ["append", "update", "complete"]:
                stream = Stream(world)
                sides(stream)
                stream.put("a", {"id": 1, "at": minute(0), "l": "a"})
                stream.put("b", {"id": 1, "at2": minute(0), "r": "b"})
                world.note("join", [how, name])
                stream.refused(joined(stream, *sides(stream, *marks), on, how), mode)


METRICS = ["count(*) AS n", "max(l) AS last", "sum(id) / 2 AS half", "max(at) AS at", "max(CAST(at AS DATE)) AS day", "min(CAST(id AS DECIMAL(5, 2))) AS least", "collect_set(id) AS ids", "max(id > 1) AS large"]


@scenario
def what_is_observed(world):
    for what, build in {
        "rows": lambda f: f.observe("seen", *[expression(f, m) for m in METRICS]).filter("id > 1"),
        "below windows": lambda f: f.observe("seen", expression(f, "count(*) AS n")).groupBy(expression(f, "window(at, '10 minutes') AS w")).count().select("count"),
        "windows": lambda f: f.groupBy(expression(f, "window(at, '10 minutes') AS w")).count().observe("counts", expression(f, "sum(count) AS n"), expression(f, "max(w) AS w")).select("count"),
        "twice": lambda f: f.observe("all", expression(f, "count(*) AS n")).filter("id = 1").observe("ones", expression(f, "count(*) AS n")),
    }.items():
        inner = type(world)(world.spark, world.directory / what.replace(" ", "_"))
        inner.directory.mkdir()
        stream = Stream(inner)
        stream.start(build(stream.source("a", LEFT, maxFilesPerTrigger=1).withWatermark("at", "10 minutes")))
        stream.put("a", {"id": 1, "at": minute(0), "l": "a"}, {"id": 2, "at": minute(1, 30), "l": "b"})
        stream.put("a", {"id": 1, "at": minute(40), "l": None})
        stream.put("a", {"id": 3, "at": minute(90), "l": "c"})
        query = stream.run()
        for progress in batches_of(query):
            world.note(f"{what}, batch {progress['batchId']}", progress["observedMetrics"])


@scenario
def delays_of_watermarks(world):
    """A month has 31 days."""
    stream = Stream(world)
    stream.source("a", LEFT)
    stream.put("a", {"id": 1, "at": "2026-03-31T12:00:00Z"})
    for n, delay in enumerate(["0 seconds", "1 month", "1 month 2 days 3 hours", "2 years", "-1 second", "-1 month", "1 month -40 days", "x", "1000000000 days"]):

        def run(n=n, delay=delay):
            counts = stream.source("a", LEFT).withWatermark("at", delay).groupBy("at").count()
            writer = counts.writeStream.format("noop").option("checkpointLocation", world.path(f"checkpoint{n}"))
            query = writer.trigger(availableNow=True).start()
            query.awaitTermination()
            world.note(delay, [progress["eventTime"]["watermark"] for progress in batches_of(query)])

        refusal = stream.refusal(run)
        if refusal is not None:
            # Messages differ in words, and some errors have no class.
            world.note(delay, refusal.split("]")[0] if refusal.startswith("[") else "refused")


@scenario
def names_of_memory_sinks(world):
    """The rows are in a view of the query's name, which is read as SQL reads names."""
    stream = Stream(world)
    stream.source("a", LEFT)
    stream.put("a", {"id": 1, "at": minute(0), "l": "a"})
    names = ["seen", "1a", "_x", "SELECT", "table", "`quoted`", "`a.b`", "a--b", "a.b", "a.b.c", "global_temp.x", "a-b", "a b", "a;b", "a`b", "1", "1e5", "a$b", "ä"]
    for name in [*names, None]:

        def run(name=name):
            before = {t.name for t in world.spark.catalog.listTables()}
            writer = stream.source("a", LEFT).writeStream.format("memory").trigger(availableNow=True)
            query = (writer if name is None else writer.queryName(name)).start()
            query.awaitTermination()
            views = sorted({t.name for t in world.spark.catalog.listTables()} - before)
            return [query.name, views, [world.spark.table(f"`{view}`").count() for view in views]]

        world.attempt(f"named {name}", run)
