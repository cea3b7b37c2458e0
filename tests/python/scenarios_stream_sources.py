"""Options of streams of files, and what is refused of them."""

import json
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


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"id": 0}) + "\n")


def batches(world, frame, what):
    """The rows of each batch of a query that reads what is there, or its error."""
    counts = []

    def run():
        writer = frame().writeStream.format("noop").option("checkpointLocation", world.path("checkpoint"))
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
]


@scenario
def options_of_files_that_are_refused(world):
    for options in BAD_OPTIONS:
        what = json.dumps(options)
        one = inner(world, what)
        put(pathlib.Path(one.path("in")) / "0.json")
        batches(one, lambda one=one, options=options: one.spark.readStream.schema("id INT").options(**options).json(one.path("in")), what)
        # A class is enough: messages of options differ in words.
        world.note(what, "refused" if isinstance(one.seen[0][1], dict) else one.seen[0][1])
