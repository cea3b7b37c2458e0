"""Streams from Delta tables: their options, and what is done to a table between two batches."""

import json
import os
import pathlib
import shutil

from scenarios_streams import Stream, batches_of

SCENARIOS = {}

# The commits of the tables: an hour apart.
FIRST_COMMIT = 1.7e9


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def inner(world, what):
    made = type(world)(world.spark, world.directory / f"{len(list(world.directory.iterdir()))}")
    made.directory.mkdir()
    return made


def tell(world, one, what):
    """What was noted of a part: of errors with a class the class alone."""
    for key, value in one.seen:
        if isinstance(value, dict) and value.get("refused", "").startswith("["):
            value = {**value, "refused": value["refused"].split("]")[0] + "]"}
        world.seen.append([f"{what}, {key}", value])


def batches(one, frame, what, checkpoint="checkpoint"):
    """The rows of each batch of a query that reads what is there, or its error."""
    counts, out = [], one.path(f"out_{checkpoint}")
    before = sorted(rows_of(one, out))

    def run():
        writer = frame().writeStream.format("parquet").option("checkpointLocation", one.path(checkpoint))
        query = writer.trigger(availableNow=True).start(out)
        try:
            query.awaitTermination()
        finally:
            counts.extend(progress["batchId"] for progress in batches_of(query))

    refusal = Stream(one).refusal(run)
    rows = rows_of(one, out)
    for row in before:
        rows.remove(row)
    seen = {"batches": len(counts), "rows": sorted(rows)}
    one.note(what, seen if refusal is None else {"refused": refusal, **seen})


def rows_of(one, path):
    if not any(pathlib.Path(path).glob("*.parquet")):
        return []
    return ["\t".join(str(v) for v in row) for row in one.spark.read.parquet(path).collect()]


PROPERTIES = {
    # What is restored is older than files are kept.
    "plain": "delta.enableDeletionVectors = false, delta.deletedFileRetentionDuration = 'interval 36500 days', "
    "delta.logRetentionDuration = 'interval 36500 days'",
    "vectors": "delta.enableDeletionVectors = true",
    "mapped": "delta.columnMapping.mode = 'name', delta.enableDeletionVectors = false",
    "feed": "delta.enableChangeDataFeed = true, delta.enableDeletionVectors = false",
}
COMMITS = [
    "INSERT INTO {t} VALUES (1, 'a', 1)",
    "INSERT INTO {t} VALUES (2, 'b', 1), (3, 'c', 2)",
    "INSERT INTO {t} SELECT /*+ COALESCE(1) */ * FROM VALUES (4, 'd', 2), (5, 'e', 2), (6, 'f', 2), (7, 'g', 2)",
]
MORE = "INSERT INTO {t} (id, s, p) VALUES (10, 'x', 1)"


def table(world, kind, commits=COMMITS):
    """A table of four versions, committed at known times."""
    world.sql(f"CREATE TABLE {{t}} (id INT, s STRING, p INT) USING delta PARTITIONED BY (p) TBLPROPERTIES ({PROPERTIES[kind]})")
    world.sql(*commits)
    for version in range(len(commits) + 1):
        at = FIRST_COMMIT + 3600 * version
        os.utime(pathlib.Path(world.path("t")) / "_delta_log" / f"{version:020}.json", (at, at))


def copied(world, kind):
    """A copy of such a table, in a place of its own: each is made once."""
    first = world.directory / f"first_{kind}"
    if not first.exists():
        made = type(world)(world.spark, first)
        first.mkdir()
        table(made, kind)
    one = inner(world, kind)
    shutil.copytree(first / "t", one.path("t"))
    return one


def stream(one, options):
    return lambda: one.spark.readStream.format("delta").options(**options).load(one.path("t"))


OPTIONS = [
    {},
    {"maxFilesPerTrigger": 0},
    {"maxFilesPerTrigger": -1},
    {"maxFilesPerTrigger": "x"},
    {"maxFilesPerTrigger": "3000000000"},
    {"maxBytesPerTrigger": "x"},
    {"maxBytesPerTrigger": 0},
    {"maxBytesPerTrigger": "1.5k"},
    {"startingVersion": 0},
    {"startingVersion": 2},
    {"startingVersion": 3},
    {"startingVersion": 4},
    {"startingVersion": 5},
    {"startingVersion": " 2 "},
    {"startingVersion": -1},
    {"startingVersion": "x"},
    {"startingVersion": "1.5"},
    {"startingVersion": "LATEST"},
    {"startingTimestamp": "2020-01-01"},
    {"startingTimestamp": "2023-11-14 23:13:20"},
    {"startingTimestamp": "2023-11-14T23:13:20.001Z"},
    {"startingTimestamp": "2023-11-15T00:13:20+01:00"},
    {"startingTimestamp": "2023-11-15"},
    {"startingTimestamp": "2999-01-01"},
    {"startingTimestamp": "1700003600"},
    {"startingTimestamp": "x"},
    {"startingTimestamp": ""},
    {"startingVersion": 1, "startingTimestamp": "2020-01-01"},
    {"endingVersion": 2},
    {"startingVersion": 1, "endingVersion": 2},
    {"endingTimestamp": "2023-11-15"},
    {"versionAsOf": 1},
    {"timestampAsOf": "2023-11-15"},
    {"ignoreDeletes": "x"},
    {"ignoreDeletes": "TRUE"},
    {"ignoreChanges": "x"},
    {"ignoreFileDeletion": "x"},
    {"skipChangeCommits": "x"},
    {"skipChangeCommits": 1},
    {"failOnDataLoss": False},
    {"failOnDataLoss": True},
    {"failOnDataLoss": "x"},
    {"excludeRegex": ".*"},
    {"excludeRegex": "p=1/.*"},
    {"excludeRegex": "p=2"},
    {"excludeRegex": "("},
    {"readChangeFeed": "x"},
    {"allowSourceColumnRename": "x"},
    {"allowSourceColumnDrop": "x"},
    {"allowSourceColumnTypeChange": "x"},
    {"allowSourceColumnRename": "always"},
    {"streamingSourceTrackingId": "x"},
    {"mergeSchema": True},
    {"nonsense": 1},
]


@scenario
def options_of_a_table(world):
    for options in OPTIONS:
        one = copied(world, "plain")
        batches(one, stream(one, options), "at once")
        one.sql(MORE)
        batches(one, stream(one, options), "then")
        tell(world, one, json.dumps(options))


FEEDS = [
    {},
    {"startingVersion": 0},
    {"startingVersion": 2},
    {"startingVersion": 9},
    {"startingVersion": 1, "endingVersion": 2},
    {"endingVersion": 2},
    {"startingVersion": 1, "endingTimestamp": "2023-11-15"},
    {"startingTimestamp": "2023-11-15"},
    {"startingTimestamp": "2999-01-01"},
    {"excludeRegex": "p=1/.*"},
    {"startingVersion": 0, "excludeRegex": "p=1/.*"},
    {"failOnDataLoss": False},
    {"ignoreDeletes": True},
    {"skipChangeCommits": True},
    {"ignoreChanges": True},
]
CHANGED = ["UPDATE {t} SET s = 'z' WHERE id = 2", "DELETE FROM {t} WHERE p = 2", MORE]


@scenario
def options_of_a_change_feed(world):
    for options in FEEDS:
        one = copied(world, "feed")
        read = stream(one, {"readChangeFeed": True, **options})
        frame = lambda read=read: read().drop("_commit_timestamp")  # noqa: E731
        batches(one, frame, "at once")
        one.sql(*CHANGED)
        batches(one, frame, "then")
        tell(world, one, json.dumps(options))


# Files have 500 to 1,000 bytes, so that 1,000 bytes are two of them: the one that goes beyond is taken, too.
LIMITS = [
    {"maxFilesPerTrigger": 1},
    {"maxFilesPerTrigger": 3},
    {"maxBytesPerTrigger": "1b"},
    {"maxBytesPerTrigger": 1000},
    {"maxFilesPerTrigger": 2, "maxBytesPerTrigger": "1b"},
    {"maxFilesPerTrigger": 1, "maxBytesPerTrigger": "1g"},
    {"startingVersion": 2, "maxFilesPerTrigger": 1},
    {"startingVersion": 2, "maxFilesPerTrigger": 1, "excludeRegex": "p=1"},
]


@scenario
def limits_of_a_batch(world):
    for options in LIMITS:
        one = copied(world, "plain")
        batches(one, stream(one, options), "at once")
        tell(world, one, json.dumps(options))


SMALL_BATCHES = [
    {"maxFilesPerTrigger": 1},
    {"maxFilesPerTrigger": 3},
    {"maxFilesPerTrigger": 1, "startingVersion": 0},
    {"maxFilesPerTrigger": 2, "startingVersion": 3},
    {"maxFilesPerTrigger": 3, "startingVersion": 2},
    {"maxFilesPerTrigger": 4, "startingVersion": 2},
    {"maxFilesPerTrigger": 8, "startingVersion": 6},
]


@scenario
def a_change_feed_in_small_batches(world):
    """Files of a commit come apart, unless they tell of updates or deletion vectors: the marks of a version count as files with them."""
    for options in SMALL_BATCHES:
        one = copied(world, "feed")
        read = stream(one, {"readChangeFeed": True, **options})
        frame = lambda read=read: read().drop("_commit_timestamp")  # noqa: E731
        one.sql("UPDATE {t} SET s = 'z' WHERE id IN (2, 3)", MORE)
        one.sql("ALTER TABLE {t} SET TBLPROPERTIES (delta.enableDeletionVectors = true)", "DELETE FROM {t} WHERE id = 4")
        one.sql("DELETE FROM {t} WHERE p = 2")
        batches(one, frame, "at once")
        one.sql("UPDATE {t} SET s = 'y' WHERE id = 1", "INSERT OVERWRITE {t} VALUES (30, 'o', 3), (31, 'o', 4)")
        batches(one, frame, "then")
        tell(world, one, json.dumps(options))


@scenario
def feeds_of_tables_without_one(world):
    """Once the table has one, another checkpoint is needed there, but not here (`test_a_feed_that_comes_later`)."""
    for kind in ("plain", "feed"):
        for options in [{"readChangeData": True}, {"readChangeFeed": True, "startingVersion": 1}]:
            one = copied(world, kind)
            read = stream(one, options)
            frame = lambda read=read: read().drop("_commit_timestamp")  # noqa: E731
            batches(one, frame, "at once")
            one.sql(f"ALTER TABLE {{t}} SET TBLPROPERTIES (delta.enableChangeDataFeed = {str(kind == 'plain').lower()})", MORE)
            batches(one, frame, "then", "checkpoint" if kind == "feed" else "other")
            tell(world, one, f"{kind}, {json.dumps(options)}")


# What is done to a table between batches, and to which kind.
CHANGES = {
    "delete of a partition": ["plain", "DELETE FROM {t} WHERE p = 2"],
    "delete of rows": ["plain", "DELETE FROM {t} WHERE id = 4"],
    "delete of rows by a vector": ["vectors", "DELETE FROM {t} WHERE id = 4"],
    "update": ["plain", "UPDATE {t} SET s = 'z' WHERE id = 4"],
    "merge that inserts": [
        "plain",
        "MERGE INTO {t} AS t USING (SELECT 20 AS id, 'n' AS s, 1 AS p) AS n ON t.id = n.id WHEN NOT MATCHED THEN INSERT *",
    ],
    "overwrite": ["plain", "INSERT OVERWRITE {t} VALUES (30, 'o', 3)"],
    "optimize": ["plain", "OPTIMIZE {t}"],
    "vacuum": ["plain", "OPTIMIZE {t}", "VACUUM {t} RETAIN 0 HOURS"],
    "restore": ["plain", "RESTORE TABLE {t} TO VERSION AS OF 2"],
    "restore of what was deleted": ["plain", "DELETE FROM {t} WHERE id = 1", "RESTORE TABLE {t} TO VERSION AS OF 3"],
    "property": ["plain", "ALTER TABLE {t} SET TBLPROPERTIES (a = 'b')"],
    "added column": ["plain", "ALTER TABLE {t} ADD COLUMN n INT"],
    "widened column": [
        "plain",
        "ALTER TABLE {t} SET TBLPROPERTIES (delta.enableTypeWidening = true)",
        "ALTER TABLE {t} ALTER COLUMN id TYPE BIGINT",
    ],
    "mapping switched on": ["plain", "ALTER TABLE {t} SET TBLPROPERTIES (delta.columnMapping.mode = 'name')"],
    "renamed column": ["mapped", "ALTER TABLE {t} RENAME COLUMN s TO said", "ALTER TABLE {t} RENAME COLUMN said TO s"],
    "dropped column": ["mapped", "ALTER TABLE {t} DROP COLUMN s", "ALTER TABLE {t} ADD COLUMN s STRING"],
    "replaced with rows": ["plain", "CREATE OR REPLACE TABLE {t} USING delta AS SELECT 40 AS id, 'r' AS s, 4 AS p"],
    "replaced with another type": ["plain", "CREATE OR REPLACE TABLE {t} USING delta AS SELECT '40' AS id, 'r' AS s, 4 AS p"],
}


def changed(world, options, names):
    for name in names:
        kind, *statements = CHANGES[name]
        one = copied(world, kind)
        read = stream(one, options)
        # Types may change.
        frame = lambda read=read: read().selectExpr("CAST(id AS STRING) AS id", "s", "p")  # noqa: E731
        batches(one, frame, "before")
        for statement in statements:
            one.sql(statement)
        one.sql(MORE)
        batches(one, frame, "after")
        tell(world, one, f"{name}, {json.dumps(options)}")
        shutil.rmtree(one.directory)


@scenario
def a_table_changes_between_queries(world):
    """What no option allows: an error, or rows as they are after the change."""
    world.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    changed(world, {}, CHANGES)


@scenario
def another_table_in_its_place(world):
    """A checkpoint knows its table by the id: a copy of it is the same one."""
    for what, kind, commits in [("a copy", "plain", None), ("a shorter one", "plain", COMMITS[:1]), ("a longer one", "plain", [*COMMITS, MORE])]:
        one, other = copied(world, kind), inner(world, kind)
        if commits is None:
            shutil.copytree(one.path("t"), other.path("t"))
        else:
            table(other, kind, commits)
        batches(one, stream(one, {}), "before")
        other.sql(MORE)
        batches(one, stream(other, {}), "after")
        batches(one, stream(one, {}), "again")
        tell(world, one, what)


OTHER_OPTIONS = {
    "a later start": [{}, {"startingVersion": 4}],
    "a start that was not given": [{"startingVersion": 3}, {}],
    "an earlier start": [{"startingVersion": 3}, {"startingVersion": 1}],
    "a start in time": [{"startingVersion": 3}, {"startingTimestamp": "2023-11-14"}],
    "the latest": [{}, {"startingVersion": "latest"}],
    "smaller batches": [{}, {"maxFilesPerTrigger": 1}],
    "a feed": [{}, {"readChangeFeed": True}],
    "a feed with a start": [{"startingVersion": 2}, {"readChangeFeed": True, "startingVersion": 2}],
    "a feed no more": [{"readChangeFeed": True}, {}],
    "a log of schemas": [{}, {"schemaTrackingLocation": "{c}/_schemas"}],
    "a log of schemas no more": [{"schemaTrackingLocation": "{c}/_schemas"}, {}],
    "files left out": [{}, {"excludeRegex": "p=1"}],
}


@scenario
def other_options_for_a_checkpoint(world):
    """Where a stream starts is asked of a new checkpoint alone."""
    for what, (first, then) in OTHER_OPTIONS.items():
        one = copied(world, "feed")
        frame = lambda options, one=one: stream(one, filled(one, options))().select("id", "s", "p")  # noqa: E731
        batches(one, lambda frame=frame, first=first: frame(first), "before")
        one.sql(MORE, "INSERT INTO {t} VALUES (11, 'y', 2)")
        batches(one, lambda frame=frame, then=then: frame(then), "after")
        one.sql("INSERT INTO {t} VALUES (12, 'z', 3)")
        batches(one, lambda frame=frame, first=first: frame(first), "back")
        tell(world, one, what)


def filled(one, options):
    return {key: value.replace("{c}", one.path("checkpoint")) if isinstance(value, str) else value for key, value in options.items()}

@scenario
def a_table_changes_and_that_is_ignored(world):
    changed(world, {"ignoreDeletes": True}, ["delete of a partition", "delete of rows", "update"])
    changed(world, {"ignoreChanges": True}, ["delete of a partition", "delete of rows by a vector", "update", "overwrite"])
    changed(world, {"ignoreFileDeletion": True}, ["delete of rows"])
    changed(world, {"skipChangeCommits": True}, ["delete of a partition", "delete of rows by a vector", "update", "overwrite", "restore"])
    changed(world, {"skipChangeCommits": "false", "ignoreDeletes": "true"}, ["overwrite"])


LASTING = [
    "vacuum",
    "property",
    "added column",
    "widened column",
    "renamed column",
    "replaced with rows",
    "replaced with another type",
]


@scenario
def a_table_changes_while_a_query_runs(world):
    """One query goes on over the change, where the others of this file are started again."""
    world.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    for name in LASTING:
        kind, *statements = CHANGES[name]
        one = copied(world, kind)
        out = one.path("out")

        def run(one=one, out=out, statements=statements):
            frame = stream(one, {"ignoreChanges": True})().selectExpr("CAST(id AS STRING) AS id", "s", "p")
            query = frame.writeStream.format("parquet").option("checkpointLocation", one.path("checkpoint")).start(out)
            try:
                query.processAllAvailable()
                for statement in statements:
                    one.sql(statement)
                one.sql(MORE)
                query.processAllAvailable()
            finally:
                query.stop()

        refusal = Stream(one).refusal(run)
        one.note("rows", {**({"refused": refusal} if refusal else {}), "rows": sorted(rows_of(one, out))})
        tell(world, one, name)
        shutil.rmtree(one.directory)


@scenario
def a_table_is_made_again(world):
    """Under its name, with another id."""
    for what, again in {
        "the same": "CREATE TABLE again (id INT) USING delta",
        "other columns": "CREATE TABLE again (id INT, more STRING) USING delta",
        "replaced": "CREATE OR REPLACE TABLE again (id INT) USING delta",
    }.items():
        for options in [{}]:
            one = inner(world, what)
            one.sql("DROP TABLE IF EXISTS again", "CREATE TABLE again (id INT) USING delta TBLPROPERTIES (delta.enableChangeDataFeed = true)")
            one.sql("INSERT INTO again VALUES (1)")
            frame = lambda one=one, options=options: one.spark.readStream.options(**options).table("again").select("id")  # noqa: E731
            batches(one, frame, "before")
            if what != "replaced":
                one.sql("DROP TABLE again")
                batches(one, frame, "while it is gone")
            one.sql(again, "INSERT INTO again (id) VALUES (2)", "INSERT INTO again (id) VALUES (3)")
            batches(one, frame, "after")
            batches(one, frame, "anew", "other_checkpoint")
            tell(world, one, f"{what}, {json.dumps(options)}")
    world.sql("DROP TABLE IF EXISTS again")


@scenario
def files_are_gone(world):
    """A file that the stream has not read yet was vacuumed."""
    world.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    for options in [{}, {"failOnDataLoss": False}]:
        one = copied(world, "plain")
        batches(one, stream(one, options), "before")
        one.sql(MORE, MORE, "OPTIMIZE {t}", "VACUUM {t} RETAIN 0 HOURS")
        batches(one, stream(one, options), "after")
        tell(world, one, json.dumps(options))


PLACES_OF_LOGS = ["{c}/_schemas", "{c}", "{c}/../elsewhere"]


@scenario
def places_of_the_log_of_schemas(world):
    for place in PLACES_OF_LOGS:
        one = copied(world, "mapped")
        tracked = {"schemaTrackingLocation": place.replace("{c}", one.path("checkpoint"))}
        batches(one, stream(one, tracked), "at once")
        tell(world, one, place)


EVOLUTIONS = {
    "RENAME COLUMN s TO said": [{}, {"allowSourceColumnRename": "always"}, {"allowSourceColumnRename": "4"}, {"allowSourceColumnRename": "x"}],
    "DROP COLUMN s": [{"allowSourceColumnRename": "always"}, {"allowSourceColumnDrop": "always"}],
}


@scenario
def renames_and_drops_have_to_be_allowed(world):
    for change, tried in EVOLUTIONS.items():
        for options in tried:
            one = copied(world, "mapped")
            tracked = {"schemaTrackingLocation": one.path("checkpoint/_schemas")}
            frame = lambda allowed, one=one, tracked=tracked: stream(one, {**tracked, **allowed})().drop("s", "said")  # noqa: E731
            batches(one, lambda frame=frame: frame({}), "first")
            batches(one, lambda frame=frame: frame({}), "before")
            one.sql(f"ALTER TABLE {{t}} {change}", "INSERT INTO {t} (id, p) VALUES (11, 1)")
            for what in ("changed", "again", "later"):
                batches(one, lambda frame=frame, options=options: frame(options), what)
            tell(world, one, f"{change}, {json.dumps(options)}")
