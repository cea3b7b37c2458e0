"""Options and formats of streams of files: which rows come in which batch, and what is refused."""

import json
import os
import pathlib
import shutil

from scenarios_streams import Stream, batches_of

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def inner(world, what):
    made = type(world)(world.spark, world.directory / "".join(c if c.isalnum() else "_" for c in what))
    made.directory.mkdir()
    world.spark.conf.set("spark.sql.session.timeZone", "UTC")
    return made


def put(path, n, age=0, text=None):
    """A file of 2^n rows, which tell which files are in a batch, so many seconds older than the newest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if text is not None else "".join(json.dumps({"id": n}) + "\n" for _ in range(2**n)))
    os.utime(path, (1.7e9 - age, 1.7e9 - age))


def batches(world, frame, what, checkpoint="checkpoint"):
    """The rows of each batch of a query that reads what is there, or its error."""
    counts = []

    def run():
        writer = frame().writeStream.format("noop").option("checkpointLocation", world.path(checkpoint))
        query = writer.trigger(availableNow=True).start()
        try:
            query.awaitTermination()
        finally:
            counts.extend([progress["batchId"], progress["numInputRows"]] for progress in batches_of(query))

    refusal = Stream(world).refusal(run)
    world.note(what, counts if refusal is None else {"refused": refusal, "batches": counts})


FILE_OPTIONS = [
    {},
    {"maxFilesPerTrigger": 1},
    {"maxFilesPerTrigger": 2},
    {"maxFilesPerTrigger": 2, "latestFirst": True},
    {"latestFirst": True},
    {"maxFilesPerTrigger": 1, "latestFirst": "TRUE"},
    {"maxBytesPerTrigger": 1},
    {"maxFileAge": "90m", "maxFilesPerTrigger": 1},
    {"maxCachedFiles": 0, "maxFilesPerTrigger": 1},
    {"maxCachedFiles": 1, "maxFilesPerTrigger": 2},
    {"discardCachedInputRatio": 0.9, "maxFilesPerTrigger": 2},
    {"pathGlobFilter": "[13]*.json"},
    {"pathGlobFilter": "*.csv"},
    {"recursiveFileLookup": True},
    {"fileNameOnly": True},
    {"fileNameOnly": True, "recursiveFileLookup": True},
]


@scenario
def files_in_batches(world):
    """Of five files two are old; one in a folder has the name of another."""
    for options in FILE_OPTIONS:
        what = json.dumps(options)
        one = inner(world, what)
        folder = pathlib.Path(one.path("in"))
        for n, age in enumerate([0, 3, 7200, 1800, 9]):
            put(folder / f"{n}.json", n, age)
        if "recursiveFileLookup" in options:
            put(folder / "deeper" / "1.json", 5, 5)
        source = lambda one=one, options=options: one.spark.readStream.schema("id INT").options(**options).json(one.path("in"))  # noqa: E731
        batches(one, source, "at once")
        put(folder / "8.json", 6)
        put(folder / "7.json", 7, 5000)
        put(folder / "0.json", 8, -3)
        batches(one, source, "then")
        world.seen.extend([[f"{what}: {k}", v] for k, v in one.seen])


BAD_OPTIONS = [
    {"maxFilesPerTrigger": 0},
    {"maxFilesPerTrigger": -1},
    {"maxFilesPerTrigger": "x"},
    {"maxFilesPerTrigger": 1, "maxBytesPerTrigger": 1},
    {"maxBytesPerTrigger": "x"},
    {"maxBytesPerTrigger": 0},
    {"latestFirst": "maybe"},
    {"fileNameOnly": "maybe"},
    {"maxFileAge": "x"},
    {"maxCachedFiles": -1},
    {"maxCachedFiles": "x"},
    {"discardCachedInputRatio": 1.5},
    {"discardCachedInputRatio": -0.1},
    {"cleanSource": "burn"},
    {"cleanSource": "archive"},
    {"modifiedBefore": "2030-01-01T00:00:00"},
    {"modifiedAfter": "2020-01-01T00:00:00"},
    {"MODIFIEDAFTER": "2020-01-01T00:00:00"},
    {"maxBytesPerTrigger": "40b"},
    {"maxBytesPerTrigger": "1g"},
    {"maxFileAge": "1 hour"},
]


@scenario
def options_of_files_that_are_refused(world):
    for options in BAD_OPTIONS:
        what = json.dumps(options)
        one = inner(world, what)
        put(pathlib.Path(one.path("in")) / "0.json", 0)
        batches(one, lambda one=one, options=options: one.spark.readStream.schema("id INT").options(**options).json(one.path("in")), what)
        # A class is enough: messages of options differ in words.
        world.note(what, "refused" if isinstance(one.seen[0][1], dict) else one.seen[0][1])


@scenario
def formats_of_files(world):
    rows = world.spark.sql("SELECT CAST(id AS INT) AS id, CAST(id AS STRING) AS s FROM range(5)")
    for format in ["json", "csv", "parquet", "orc", "text", "binaryFile"]:
        one = inner(world, format)

        def run(format=format, one=one):
            written = rows.select("s") if format in ("text", "binaryFile") else rows
            written.repartition(2).write.format("text" if format == "binaryFile" else format).save(one.path("in"))
            reader = world.spark.readStream.format(format).option("maxFilesPerTrigger", 1)
            reader = reader if format in ("text", "binaryFile") else reader.schema("id INT, s STRING")
            frame = reader.load(one.path("in"))
            query = frame.writeStream.format("parquet").option("checkpointLocation", one.path("checkpoint"))
            query.trigger(availableNow=True).start(one.path("out")).awaitTermination()
            out = world.spark.read.parquet(one.path("out"))
            return out.selectExpr("length > 0") if format == "binaryFile" else out

        world.attempt(format, run)


@scenario
def a_stream_of_files_needs_a_schema(world):
    put(pathlib.Path(world.path("in")) / "0.json", 1)
    read = lambda: world.spark.readStream.json(world.path("in"))  # noqa: E731
    world.attempt("without", lambda: world.note("schema", read().schema.simpleString()))
    world.spark.conf.set("spark.sql.streaming.schemaInference", True)
    world.attempt("found", lambda: world.note("schema", read().schema.simpleString()))
    world.spark.conf.unset("spark.sql.streaming.schemaInference")


def rows_of_file(format, n):
    """A file's text or bytes, with one row that tells which file it is."""
    if format == "json":
        return json.dumps({"id": n}).encode()
    if format in ("csv", "text"):
        return str(n).encode()
    return None


def put_in(spark, root, files, format):
    """Files of one row each, each with its number, at places below a directory."""
    for n, place in enumerate(files):
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        content = rows_of_file(format, n)
        if content is None:
            written = root.parent / f"written_{n}"
            spark.sql(f"SELECT {n} AS id").coalesce(1).write.format(format).mode("overwrite").save(str(written))
            content = next(written.glob("part-*")).read_bytes()
        path.write_bytes(content)
        os.utime(path, (1.7e9 + n, 1.7e9 + n))


# Places of files below the directory that is read; the first file is 0.
PLACES = {
    "plain directories": ["0.x", "a/1.x", "a/b/2.x"],
    "plain directories alone": ["a/0.x", "a/b/1.x"],
    "hidden": ["0.x", "_1.x", ".2.x", "_a/3.x", ".a/4.x", "5.x._COPYING_", "_metadata", "_p=1.x"],
    "partitions": ["p=1/0.x", "p=2/1.x"],
    "partitions and files": ["p=1/0.x", "p=2/1.x", "2.x"],
    "partitions and directories": ["p=1/0.x", "a/1.x"],
    "directories in partitions": ["p=1/0.x", "p=1/a/1.x", "p=2/a/2.x"],
    "partitions in directories": ["a/p=1/0.x", "a/p=2/1.x"],
    "partitions in two directories": ["a/p=1/0.x", "b/p=2/1.x"],
    "hidden partitions": ["_p=1/0.x", "_p=2/1.x", "_p=2/_2.x", "_p=2/_a/3.x"],
    "partitions of two levels": ["p=1/q=x/0.x", "p=2/q=y/1.x"],
    "partitions of unequal levels": ["p=1/q=x/0.x", "p=2/1.x"],
    "partitions with other names": ["p=1/0.x", "q=2/1.x"],
    "partitions that are empty": ["p=1/_0.x", "1.x", "a/2.x"],
    "temporary partitions": ["p=1/0.x", "p=1/_temporary/1.x", "_temporary/2.x"],
    "NULL among partitions": ["p=__HIVE_DEFAULT_PARTITION__/0.x", "p=2/1.x"],
}
SCHEMAS = {"json": "id INT", "csv": "id INT", "parquet": "id INT", "text": None}


def read_places(world, one, format, what, options=None, path="in", schema=None, streams=True):
    """What a table of the directory has, and what a stream of it."""

    def frame(reader):
        reader = reader.format(format).options(**(options or {}))
        wanted = schema or SCHEMAS[format]
        return (reader.schema(wanted) if wanted else reader).load(one.path(path))

    world.attempt(f"{what}, table", lambda: frame(world.spark.read))
    if not streams:
        return
    # Names with characters of globs would be globs.
    out, checkpoint = (one.path(f"{kind} {len(world.seen)}") for kind in ("out", "checkpoint"))

    def run():
        query = frame(world.spark.readStream).writeStream.format("parquet").option("checkpointLocation", checkpoint)
        query.trigger(availableNow=True).start(out).awaitTermination()

    refusal = Stream(one).refusal(run)
    # Of an error that a query ends with its class is enough.
    world.note(f"{what}, stream is refused", refusal and refusal.split("]")[0])
    if not refusal and any(pathlib.Path(out).glob("*.parquet")):
        world.attempt(f"{what}, stream", lambda: world.spark.read.parquet(out))


@scenario
def places_of_files(world):
    for what, files in PLACES.items():
        one = inner(world, what)
        put_in(world.spark, pathlib.Path(one.path("in")), files, "json")
        read_places(world, one, "json", what)
        read_places(world, one, "json", f"{what}, with p", schema="id INT, p INT")
        read_places(world, one, "json", f"{what}, recursive", {"recursiveFileLookup": True})


@scenario
def places_of_files_in_other_formats(world):
    for format in ["csv", "parquet", "text"]:
        for what in ["plain directories", "hidden", "partitions and files"]:
            one = inner(world, f"{format} {what}")
            put_in(world.spark, pathlib.Path(one.path("in")), PLACES[what], format)
            read_places(world, one, format, f"{format}, {what}")


GLOBS = ["in/*", "in/a*", "in/*/*", "in/p=*", "in/p=1", "in/{a,p=2}", "in/*/*.x", "in/0.x", "in/a/1.x", "nowhere", "in/[!p]*", "in/_*", "in/**"]


@scenario
def globs_of_files(world):
    files = ["0.x", "a/1.x", "a/b/2.x", "ab/3.x", "p=1/4.x", "p=2/5.x", "_h/6.x"]
    root = inner(world, "root")
    put_in(world.spark, pathlib.Path(root.path("in")), files, "json")
    for path in GLOBS:
        read_places(world, root, "json", path.replace("/", ":"), path=path)
    # Not `in/p=1`, which a stream of Spark fails over: it takes the directory for the base.
    for path in ["in/p=*", "in/a"]:
        read_places(world, root, "json", path.replace("/", ":") + ", basePath", {"basePath": root.path("in")}, path)
    for options in [{"pathGlobFilter": "[12].x"}, {"pathGlobFilter": "4.x"}]:
        read_places(world, root, "json", json.dumps(options) + " a", options, "in/a")


@scenario
def files_that_come_later(world):
    """What a directory is, is decided with each batch. Not a batch of nothing but files beside partitions, which Spark fails over."""
    for what, rounds in {
        "partitions beside files": [["0.x"], ["p=1/1.x"], ["2.x", "p=2/3.x"]],
        "directories beside files": [["0.x"], ["a/1.x", "2.x"]],
        "directories beside partitions": [["p=1/0.x"], ["a/1.x"]],
        "another partition column": [["p=1/0.x"], ["p=1/q=2/1.x"]],
    }.items():
        one = inner(world, what)
        frame = lambda one=one: one.spark.readStream.schema("id INT, p INT").json(one.path("in"))  # noqa: E731
        for n, files in enumerate(rounds):
            put_in(world.spark, pathlib.Path(one.path("in")), files, "json")
            batches(one, frame, f"round {n}")
        world.seen.extend([[f"{what}, {k}", {**v, "refused": v["refused"].split("]")[0]} if isinstance(v, dict) else v] for k, v in one.seen])


@scenario
def globs_that_match_later(world):
    """A stream waits for what its glob may match; a place that is named has to be there."""
    for what, (path, options, rounds) in {
        "files": ("in/*.x", {}, [["0.x"], ["1.y", "a/2.x"], ["3.x"]]),
        "directories": ("in/a*", {}, [["0.x"], ["a/1.x"], ["ab/2.x", "a/3.x", "b/4.x"]]),
        "partitions": ("in/p=*", {"basePath": "in"}, [["p=1/0.x"], ["p=2/1.x", "2.x"]]),
        "directories of directories": ("in/*/*/*.x", {}, [["a/0.x"], ["a/b/1.x"]]),
        "no glob": ("in", {}, []),
    }.items():
        one = inner(world, what)
        if "basePath" in options:
            pathlib.Path(one.path("in")).mkdir()
            options = {"basePath": one.path("in")}
        frame = lambda one=one, options=options, path=path: one.spark.readStream.schema("id INT, p INT").options(**options).json(one.path(path))  # noqa: E731
        batches(one, frame, "nothing")
        for n, files in enumerate(rounds):
            put_in(world.spark, pathlib.Path(one.path("in")), files, "json")
            batches(one, frame, f"round {n}")
        world.seen.extend([[f"{what}, {k}", {**v, "refused": v["refused"].split("]")[0]} if isinstance(v, dict) else v] for k, v in one.seen])


# Streams of one directory of several: Spark takes that for the base in each batch, whatever the option says, and fails.
TABLES_ALONE = [["in/p=1", "in"], ["in/p=1", "in/"], ["in/p=1/q=x", "in/p=1"], ["in/p=1/q=x", "in"]]
BASES = [
    ["in/p=1", "in/p=1"],
    ["in/p=1", "in/p=2"],
    ["in/p=1", "nowhere"],
    ["in/p=1", "in/p=1/q=x/0.x"],
    ["in/p=*", "in/p=1"],
    ["in/p=*/q=*", "in"],
    ["in/p=1/q=x/0.x", "in"],
    ["in", "in/p=1"],
]


@scenario
def base_paths(world):
    root = inner(world, "bases")
    put_in(world.spark, pathlib.Path(root.path("in")), ["p=1/q=x/0.x", "p=2/q=y/1.x"], "json")
    for path, base in TABLES_ALONE + BASES:
        options = {"basePath": root.path("") + "/" + base}
        streams = [path, base] not in TABLES_ALONE
        read_places(world, root, "json", f"{path} from {base}".replace("/", ":"), options, path, streams=streams)


UNLIKE = [
    "plain directories",
    "partitions and files",
    "partitions and directories",
    "directories in partitions",
    "partitions in directories",
    "partitions in two directories",
    "partitions of unequal levels",
    "partitions with other names",
]


@scenario
def partitions_that_begin_anywhere(world):
    for what in UNLIKE:
        one = inner(world, what)
        put_in(world.spark, pathlib.Path(one.path("in")), PLACES[what], "json")
        for value in ["true", "false"]:
            read_places(world, one, "json", f"{what}, {value}", {"ignoreInvalidPartitionPaths": value})
    world.spark.conf.set("spark.sql.files.ignoreInvalidPartitionPaths", True)
    read_places(world, one, "json", f"{what}, by the setting")
    other = inner(world, "two")
    put_in(world.spark, pathlib.Path(other.path("in")), PLACES["partitions in two directories"], "json")
    read_places(world, other, "json", "by the setting")
    read_places(world, other, "json", "by the setting, and the option says otherwise", {"ignoreInvalidPartitionPaths": "false"})
    world.spark.conf.unset("spark.sql.files.ignoreInvalidPartitionPaths")


@scenario
def a_directory_that_goes_and_comes(world):
    """While a query runs it is empty meanwhile; a query that begins needs it."""
    folder = pathlib.Path(world.path("in"))

    def arrives(n):
        put(folder / f".{n}.json", n, age=-n)
        (folder / f".{n}.json").rename(folder / f"{n}.json")

    def start(**trigger):
        frame = world.spark.readStream.schema("id INT").json(world.path("in"))
        writer = frame.writeStream.format("parquet").option("checkpointLocation", world.path("checkpoint"))
        return (writer.trigger(**trigger) if trigger else writer).start(world.path("out"))

    def rows():
        return world.spark.read.parquet(world.path("out")).groupBy("id").count().orderBy("id")

    def run():
        query = start()
        try:
            for step in (lambda: arrives(1), lambda: shutil.rmtree(folder), lambda: arrives(2)):
                step()
                query.processAllAvailable()
        finally:
            query.stop()

    arrives(0)
    world.note("while it runs", Stream(world).refusal(run))
    world.rows(rows(), "what was read")
    shutil.rmtree(folder)
    world.note("when it begins", Stream(world).refusal(lambda: start(availableNow=True).awaitTermination()).split("]")[0])
    arrives(3)
    world.note("when it begins anew", Stream(world).refusal(lambda: start(availableNow=True).awaitTermination()))
    world.rows(rows(), "what was read then")


@scenario
def rates_that_run_out(world):
    """The numbers of rows have 64 bits. The query began in 1970."""
    for what, options in {
        "all of it": {"rowsPerSecond": 2**63 - 1, "rampUpTime": "10s"},
        "half of it": {"rowsPerSecond": 2**62, "rampUpTime": "2s"},
        "at the end": {"rowsPerSecond": 10**10},
    }.items():
        one = inner(world, what)
        begun = pathlib.Path(one.path("checkpoint")) / "sources" / "0"
        begun.mkdir(parents=True)
        (begun / "0").write_text("v1\n0")
        frame = lambda options=options: world.spark.readStream.format("rate").options(**options).load()  # noqa: E731
        batches(one, frame, what)
        world.note(what, one.seen[0][1]["refused"].split("]")[0])
