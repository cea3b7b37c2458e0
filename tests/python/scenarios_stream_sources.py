"""Options and formats of streams of files: which rows come in which batch, and what is refused."""

import json
import os
import pathlib

from scenarios_streams import Stream

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
            for progress in query.recentProgress:
                progress = json.loads(progress.json) if not isinstance(progress, dict) else progress
                if "addBatch" in progress["durationMs"]:
                    counts.append([progress["batchId"], progress["numInputRows"]])

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
