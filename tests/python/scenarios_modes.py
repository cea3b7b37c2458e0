"""Every operator over streams in every output mode: what is refused, and the rows and counters of what is not."""

from scenarios_streams import RANGE, Stream, expression, minute

SCENARIOS = {}
LEFT, RIGHT = "id INT, at TIMESTAMP, l STRING, xs ARRAY<INT>", "id INT, at2 TIMESTAMP, r STRING"
MODES = ["append", "update", "complete"]


def a(id, at, l="a", xs=(1, 2)):  # noqa: E741
    return {"id": id, "at": minute(at), "l": l, "xs": list(xs)}


def b(id, at, r="x"):
    return {"id": id, "at2": minute(at), "r": r}


# A file of each side is a batch.
FILES = {
    "a": [
        [a(1, 0), a(2, 1, "b"), a(1, 5, "c"), a(1, 0)],
        [a(1, 30, "d"), a(2, 1, "b"), a(3, 31)],
        [a(2, 5, "late"), a(2, 62, "e"), a(1, 63)],
        [a(4, 200)],
        [a(5, 400)],
    ],
    "b": [
        [b(1, 2), b(9, 3, "y")],
        [b(1, 33, "z"), b(3, 45)],
        [b(2, 7, "late"), b(2, 70), b(1, 75)],
        [b(4, 200)],
        [b(5, 400)],
    ],
    # Rows that can meet no more when they come, and are not late.
    "c": [[a(1, 100)], [a(2, 60), a(3, 61), a(1, 85)], [a(4, 300)], [a(5, 500)]],
    # Rows that are late when they come: the watermark of the batch before has passed them.
    "e": [
        [a(1, 0), a(2, 1, "b")],
        [a(1, 100)],
        [a(1, 101)],
        [a(3, 5, "late"), a(4, 7, "late"), a(1, 0), a(2, 102)],
        [a(9, 50, "x"), a(1, 300)],
        [a(7, 500), a(9, 3, "y")],
    ],
    "d": [[b(1, 101)], [b(2, 62), b(7, 63), b(1, 86)], [b(4, 300)], [b(5, 500)]],
}


class Inputs:
    def __init__(self, world, name):
        self.world = type(world)(world.spark, world.directory / name)
        self.world.directory.mkdir()
        self.stream = Stream(self.world, counts_input=False)
        self.stream.files = 0
        self.used = []

    def read(self, name, schema, mark, watermark):
        self.used.append(name)
        frame = self.stream.source(name, schema, maxFilesPerTrigger=1)
        return frame.withWatermark(mark, watermark) if watermark else frame

    def left(self, watermark="10 minutes", name="a"):
        return self.read(name, LEFT, "at", watermark)

    def right(self, watermark="10 minutes", name="b"):
        return self.read(name, RIGHT, "at2", watermark)

    def table(self):
        return self.world.spark.createDataFrame([(1, "one"), (3, "three"), (7, "seven")], "id INT, r STRING")

    def timed_table(self):
        times = [(1, 0), (1, 5), (2, 1), (3, 31), (3, 31), (9, 9)]
        rows = ", ".join(f"({id}, TIMESTAMP '{minute(at)}')" for id, at in times)
        return self.world.spark.sql(f"SELECT * FROM VALUES {rows} AS t (id, at)")

    def put(self):
        for name in dict.fromkeys(self.used):
            for rows in FILES[name]:
                self.stream.put(name, *rows)

    def into_memory(self, frame, mode, name):
        self.query = frame.writeStream.format("memory").queryName(name).outputMode(mode).trigger(availableNow=True).start()
        self.query.awaitTermination()


def e(frame, *texts):
    return [expression(frame, t) for t in texts]


def grouped(frame, *keys, by=("count(*) AS n",)):
    return frame.groupBy(*e(frame, *keys)).agg(*e(frame, *by))


def joined(i, how, on=RANGE, marks=("10 minutes", "10 minutes"), sides="ab"):
    left, right = i.left(marks[0], sides[0]).alias("a"), i.right(marks[1], sides[1]).alias("b")
    both = left.join(right, expression(left, on), how)
    return both if how in ("leftsemi", "leftanti") else both.selectExpr("a.id", "at", "l", "b.id AS id2", "at2", "r")


def with_table(i, how, stream_left=True):
    stream, table = i.left().alias("a"), i.table().alias("b")
    pair = (stream, table) if stream_left else (table, stream)
    both = pair[0].join(pair[1], expression(stream, "a.id = b.id"), how)
    return both if how in ("leftsemi", "leftanti") else both.selectExpr("a.id AS left_id", "l", "b.id AS right_id", "r")


WINDOW = "window(at, '10 minutes') AS w"
NONE = (None, None)


def windows_of_windows(i):
    inner = grouped(i.left(), WINDOW, "id")
    return grouped(inner, "window(window_time(w), '30 minutes') AS w2", by=("sum(n) AS n",))


def windows_joined(i):
    left, right = grouped(i.left(), WINDOW, "id").alias("a"), grouped(i.right(), "window(at2, '10 minutes') AS w", "id", by=("max(r) AS r",)).alias("b")
    return left.join(right, expression(left, "a.w = b.w AND a.id = b.id"), "inner").selectExpr("a.id", "a.w.start AS w", "n", "r")


def ranked(i):
    i.left().createOrReplaceTempView("ranked")
    return i.world.spark.sql("SELECT id, row_number() OVER (PARTITION BY id ORDER BY at) AS x FROM ranked")


def subquery(i):
    i.left().createOrReplaceTempView("outside")
    i.table().createOrReplaceTempView("inside")
    return i.world.spark.sql("SELECT id, l FROM outside WHERE id <= (SELECT min(id) FROM inside)")


OPERATORS = {
    "map and filter": lambda i: i.left().filter("id > 1").selectExpr("id + 1 AS id", "l"),
    "aggregation without watermark": lambda i: grouped(i.left(None), "id"),
    "aggregation without event time": lambda i: grouped(i.left(), "id"),
    "aggregation of windows": lambda i: grouped(i.left(), WINDOW, "id"),
    "aggregation of sliding windows": lambda i: grouped(i.left(), "window(at, '10 minutes', '5 minutes') AS w", "id"),
    "aggregation of event times": lambda i: grouped(i.left(), "at", by=("max(l) AS l",)),
    "aggregation of all": lambda i: grouped(i.left(), by=("count(*) AS n", "max(l) AS l")),
    "session_window": lambda i: grouped(i.left(), "session_window(at, '5 minutes') AS w", "id"),
    "session_window without keys": lambda i: grouped(i.left(), "session_window(at, '5 minutes') AS w"),
    "session_window without watermark": lambda i: grouped(i.left(None), "session_window(at, '5 minutes') AS w", "id"),
    "distinct aggregation": lambda i: grouped(i.left(), "id", by=("count(DISTINCT l) AS n",)),
    "distinct aggregation of windows": lambda i: grouped(i.left(), WINDOW, by=("count(DISTINCT l) AS n",)),
    "approx_count_distinct": lambda i: grouped(i.left(), "id", by=("approx_count_distinct(l) AS n",)),
    "windows of windows": windows_of_windows,
    "aggregation of an aggregation": lambda i: grouped(grouped(i.left(None), "id"), "n", by=("count(*) AS m",)),
    "dropDuplicates": lambda i: i.left(None).dropDuplicates(["id"]),
    "dropDuplicates with time": lambda i: i.left().dropDuplicates(["id", "at"]),
    "dropDuplicates of a window": lambda i: i.left().selectExpr("id", WINDOW).dropDuplicates(["id", "w"]),
    "dropDuplicatesWithinWatermark": lambda i: i.left().dropDuplicatesWithinWatermark(["id"]),
    "dropDuplicatesWithinWatermark without watermark": lambda i: i.left(None).dropDuplicatesWithinWatermark(["id"]),
    "windows without duplicates": lambda i: grouped(i.left().dropDuplicates(["id", "at"]), WINDOW, "id"),
    "duplicates of windows": lambda i: grouped(i.left(), WINDOW, "id").dropDuplicates(["w"]).select("w"),
    "inner join without watermark": lambda i: joined(i, "inner", "a.id = b.id", NONE),
    "left join without watermark": lambda i: joined(i, "left", "a.id = b.id", NONE),
    "inner join": lambda i: joined(i, "inner"),
    "left join": lambda i: joined(i, "left"),
    "right join": lambda i: joined(i, "right"),
    "full join": lambda i: joined(i, "full"),
    "leftsemi join": lambda i: joined(i, "leftsemi"),
    "inner join of rows that are over": lambda i: joined(i, "inner", sides="cd"),
    "left join of rows that are over": lambda i: joined(i, "left", sides="cd"),
    "right join of rows that are over": lambda i: joined(i, "right", sides="cd"),
    "full join of rows that are over": lambda i: joined(i, "full", sides="cd"),
    "leftsemi join of rows that are over": lambda i: joined(i, "leftsemi", sides="cd"),
    "inner join of equal times that are over": lambda i: joined(i, "inner", "a.id = b.id AND a.at = b.at2", sides="cd"),
    "left join of equal times that are over": lambda i: joined(i, "left", "a.id = b.id AND a.at = b.at2", sides="cd"),
    "leftanti join": lambda i: joined(i, "leftanti"),
    "windows of an inner join": lambda i: grouped(joined(i, "inner"), WINDOW, "id"),
    "windows of a left join": lambda i: grouped(joined(i, "left"), WINDOW, "id"),
    "join of windows": windows_joined,
    "inner join with a table": lambda i: with_table(i, "inner"),
    "left join with a table": lambda i: with_table(i, "left"),
    "right join with a table": lambda i: with_table(i, "right"),
    "full join with a table": lambda i: with_table(i, "full"),
    "leftsemi join with a table": lambda i: with_table(i, "leftsemi"),
    "leftanti join with a table": lambda i: with_table(i, "leftanti"),
    "inner join of a table": lambda i: with_table(i, "inner", False),
    "left join of a table": lambda i: with_table(i, "left", False),
    "right join of a table": lambda i: with_table(i, "right", False),
    "full join of a table": lambda i: with_table(i, "full", False),
    "leftsemi join of a table": lambda i: with_table(i, "leftsemi", False),
    "leftanti join of a table": lambda i: with_table(i, "leftanti", False),
    "limit": lambda i: i.left().select("id").limit(3),
    "offset": lambda i: i.left().select("id").offset(2),
    "sort": lambda i: i.left().orderBy("id"),
    "sort within partitions": lambda i: i.left().sortWithinPartitions("id"),
    "sorted aggregation": lambda i: grouped(i.left(), "id").orderBy("id"),
    "limited aggregation": lambda i: grouped(i.left(), "id").orderBy("id").limit(2),
    "limited windows": lambda i: grouped(i.left(), WINDOW, "id").selectExpr("id").limit(2),
    "filtered aggregation": lambda i: grouped(i.left(), "id").filter("n > 1").selectExpr("id * 10 AS id", "n"),
    "union of streams": lambda i: i.left().selectExpr("id", "at").union(i.right().selectExpr("id", "at2")),
    "windows of a union": lambda i: grouped(i.left().selectExpr("id", "at").union(i.right().selectExpr("id", "at2")), WINDOW),
    "union with a table": lambda i: i.left().selectExpr("id", "l").union(i.table()),
    "row_number": ranked,
    "distinct": lambda i: i.left().select("id", "l").distinct(),
    "sample": lambda i: i.left().sample(0.5, seed=1),
    "rollup": lambda i: i.left().rollup("id", "l").count(),
    "cube": lambda i: i.left().cube("id").count(),
    "pivot": lambda i: i.left().groupBy("id").pivot("l", ["a", "b"]).count(),
    "except": lambda i: i.left().select("id").subtract(i.table().select("id")),
    "except of streams": lambda i: i.left().select("id").subtract(i.right().select("id")),
    "except with time": lambda i: i.left().select("id", "at").subtract(i.timed_table()),
    "except of a stream": lambda i: i.table().select("id").subtract(i.left().select("id")),
    "except all": lambda i: i.left().select("id").exceptAll(i.table().select("id")),
    "except all without watermark": lambda i: i.left(None).select("id", "at").exceptAll(i.timed_table()),
    "except all with time": lambda i: i.left().select("id", "at").exceptAll(i.timed_table()),
    "except all of windows": lambda i: i.left().selectExpr(WINDOW, "id").exceptAll(i.timed_table().selectExpr(WINDOW, "id")),
    "except all of late rows": lambda i: i.left(name="e").select("id", "at").exceptAll(i.timed_table()),
    "except all of rows of a table without rows": lambda i: i.left().select("id", "at").exceptAll(i.timed_table().filter("id > 100")),
    "except all of streams": lambda i: i.left().select("id").exceptAll(i.right().select("id")),
    "except all of a stream": lambda i: i.table().select("id").exceptAll(i.left().select("id")),
    "except all below an aggregation": lambda i: grouped(i.left().select("id", "at").exceptAll(i.timed_table()), WINDOW),
    "except all of an aggregation": lambda i: grouped(i.left(), "id").exceptAll(i.table().selectExpr("id", "2L AS n")),
    "except of an aggregation": lambda i: grouped(i.left(), "id").subtract(i.table().selectExpr("id", "2L AS n")),
    "except all of wide rows": lambda i: i.left().select("id", "l").exceptAll(i.table()),
    "projected except all": lambda i: i.left().select("id", "at").exceptAll(i.timed_table()).selectExpr("id * 10 AS id"),
    "limited except all": lambda i: i.left().select("id", "at").exceptAll(i.timed_table()).select("id").limit(100),
    "intersect of a stream": lambda i: i.table().select("id").intersect(i.left().select("id")),
    "intersect all with a table": lambda i: i.left().select("id").intersectAll(i.table().select("id")),
    "intersect all": lambda i: i.left().select("id").intersectAll(i.right().select("id")),
    "intersect all with time": lambda i: i.left().select("id", "at").intersectAll(i.timed_table()),
    "union by name of streams": lambda i: i.left().select("id", "l").unionByName(i.right().select("r", "id"), allowMissingColumns=True),
    "distinct union of streams": lambda i: i.left().select("id").union(i.right().select("id")).distinct(),
    "intersect with a table": lambda i: i.left().select("id").intersect(i.table().select("id")),
    "intersect": lambda i: i.left().select("id").intersect(i.right().select("id")),
    "explode": lambda i: i.left().selectExpr("id", "explode(xs) AS x"),
    "repartition": lambda i: i.left().select("id").repartition(3),
    "scalar subquery": subquery,
    "two watermarks": lambda i: grouped(i.left().withWatermark("at", "5 minutes"), WINDOW, "id"),
    "watermarks of two columns": lambda i: grouped(i.left().selectExpr("*", "at + INTERVAL 1 HOUR AS later").withWatermark("later", "5 minutes"), WINDOW, "id"),
    "watermark of a window": lambda i: grouped(grouped(i.left(), WINDOW, "id").withWatermark("w", "5 minutes"), "w", by=("sum(n) AS n",)),
    "watermark over a join": lambda i: joined(i, "inner").withWatermark("at", "1 minute"),
    "watermark over a union": lambda i: i.left().selectExpr("id", "at").union(i.right(None).selectExpr("id", "at2")).withWatermark("at", "1 minute"),
    "late rows of windows": lambda i: grouped(i.left(name="e"), WINDOW, "id"),
    "late rows of sessions": lambda i: grouped(i.left(name="e"), "session_window(at, '5 minutes') AS w", "id"),
    "late rows of event times": lambda i: grouped(i.left(name="e"), "at"),
    "late duplicates": lambda i: i.left(name="e").dropDuplicates(["id"]),
    "late duplicates whose time is not read": lambda i: i.left(name="e").dropDuplicates(["l"]).select("l"),
    "late duplicates whose time is read by a filter": lambda i: i.left(name="e").dropDuplicates(["l"]).filter("at > '2026-01-01'").select("l"),
    "late duplicates below an aggregation": lambda i: grouped(i.left(name="e").dropDuplicates(["l"]), "l"),
    "late distinct rows": lambda i: i.left(name="e").select("l").distinct(),
    "limit below an aggregation": lambda i: grouped(i.left(None, "e").limit(3)),
    "limit below a limited aggregation": lambda i: grouped(i.left(None, "e").limit(3)).limit(1),
    "windows of a name of the time": lambda i: grouped(i.left().selectExpr("at AS t", "id"), "window(t, '10 minutes') AS w"),
    "windows of a computed time": lambda i: grouped(i.left(), "window(at - INTERVAL 1 HOUR, '10 minutes') AS w"),
    "sessions of a computed time": lambda i: grouped(i.left(), "session_window(at - INTERVAL 1 HOUR, '10 minutes') AS w", "id"),
    "aggregation of a computed time": lambda i: grouped(i.left().selectExpr("at - INTERVAL 1 HOUR AS t"), "t"),
    "aggregation of a struct of times": lambda i: grouped(i.left().selectExpr("named_struct('start', at, 'end', at) AS w"), "w"),
    "aggregation of the times of windows": lambda i: grouped(grouped(i.left(), WINDOW).selectExpr("window_time(w) AS t"), "t"),
    "aggregation of computed times of windows": lambda i: grouped(grouped(i.left(), WINDOW).selectExpr("window_time(w) - INTERVAL 1 HOUR AS t"), "t"),
    "duplicates of a computed time": lambda i: i.left(name="e").selectExpr("at - INTERVAL 1 HOUR AS t").dropDuplicates(["t"]),
    "tail of deduplication": lambda i: i.left().dropDuplicates(["id"]).selectExpr("id").limit(2),
}


# A limit takes any rows; Spark runs what it sorts twice, and counts twice.
ANY_ROWS, COUNTED_TWICE = [("limited windows", "complete")], ["sorted aggregation"]


def of(name, build):
    def run(world):
        for mode in MODES:
            if (name, mode) in ANY_ROWS:
                continue
            inputs = Inputs(world, mode)
            try:
                frame = build(inputs)
            except Exception as error:
                world.note(f"{mode} cannot be built", type(error).__name__)
                continue
            inputs.put()
            counts = name not in COUNTED_TWICE
            taken(world, inputs, frame, mode, table_name(name, mode), counts)

    SCENARIOS[name] = run


def table_name(name, mode):
    return "".join(c if c.isalnum() else "_" for c in f"{name} {mode}")


def taken(world, inputs, frame, mode, name, counts):
    if (refusal := inputs.stream.refusal(lambda: inputs.into_memory(frame, mode, name))) is not None:
        world.note(f"refused in {mode}", refusal)
        return
    inputs.world.rows(world.spark.table(name), f"rows of {mode}")
    if counts:
        inputs.stream.counters(inputs.query)
    world.seen.extend(inputs.world.seen)


for name, build in OPERATORS.items():
    of(name, build)
