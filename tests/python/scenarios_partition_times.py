"""TIMESTAMP columns that partition a table: what the log says of them, and what is read by sessions of other time zones. See `recorded.py`."""

import json
import pathlib

from pyspark.errors import ParseException

SCENARIOS = {}
ZONE, IN_UTC = "spark.sql.session.timeZone", "spark.databricks.delta.write.utcTimestampPartitionValues"
TOKYO, ANGELES = "Asia/Tokyo", "America/Los_Angeles"


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def zone(world, name):
    world.spark.conf.set(ZONE, name)


def texts(world, what, name="t"):
    """The partition values of the files that the log has added, version by version, and the directories that keep them."""
    log = pathlib.Path(world.path(name)) / "_delta_log"
    found = []
    for version in range(len(list(log.glob("*.json")))):
        adds = [a["add"] for a in world.actions(name, version) if "add" in a]
        found.append(sorted(f"{a['partitionValues']['ts']} in {a['path'].rpartition('/')[0]}" for a in adds))
    world.note(what, found)


def told(world, what, *filters, name="t"):
    """The rows as a session sees them: the instant, and its text."""
    loaded = world.spark.read.format("delta").load(world.path(name))
    world.rows(loaded.selectExpr("id", "unix_micros(ts) AS micros", "CAST(ts AS STRING) AS text"), what)
    for condition in filters:
        world.attempt(f"{what} WHERE {condition}", lambda c=condition: loaded.where(c).select("id"))


def rewritten(world, value, name="t"):
    """The log says another text for the values of the only file."""
    log = pathlib.Path(world.path(name)) / "_delta_log"
    for checksum in log.glob("*.crc"):
        checksum.unlink()
    for checksum in log.glob(".*.crc"):
        checksum.unlink()
    last = max(log.glob("*.json"))
    actions = [json.loads(line) for line in last.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["partitionValues"]["ts"] = value
    last.write_text("".join(json.dumps(a) + "\n" for a in actions))


@scenario
def values_that_are_written(world):
    zone(world, ANGELES)
    world.sql("CREATE TABLE {t} (id INT, ts TIMESTAMP) USING delta PARTITIONED BY (ts)",
              "INSERT INTO {t} VALUES (1, TIMESTAMP'2021-06-30 00:00:00.123456'), (2, TIMESTAMP'2021-06-30 00:00:00'), (3, NULL), (4, TIMESTAMP'2021-01-01 12:00:00Z')",
              "INSERT INTO {t} VALUES (5, TIMESTAMP'1899-12-31 23:59:59.5'), (6, TIMESTAMP'9999-12-31 10:00:00'), (7, TIMESTAMP'0001-01-02 00:00:00')")
    texts(world, "in UTC")
    told(world, "Los Angeles", "ts = TIMESTAMP'2021-06-30 00:00:00'", "ts < TIMESTAMP'2000-01-01'", "ts IS NULL")
    zone(world, TOKYO)
    told(world, "Tokyo", "ts = TIMESTAMP'2021-06-30 00:00:00'", "ts < TIMESTAMP'2000-01-01'", "ts IS NULL")


@scenario
def values_that_are_written_without_offset(world):
    zone(world, ANGELES)
    world.spark.conf.set(IN_UTC, "false")
    world.sql("CREATE TABLE {t} (id INT, ts TIMESTAMP) USING delta PARTITIONED BY (ts)",
              "INSERT INTO {t} VALUES (1, TIMESTAMP'2021-06-30 00:00:00.123456'), (2, TIMESTAMP'2021-06-30 00:00:00'), (3, NULL), (4, TIMESTAMP'2021-01-01 12:00:00Z')",
              "INSERT INTO {t} VALUES (5, TIMESTAMP'1899-12-31 23:59:59.5'), (6, TIMESTAMP'9999-12-31 10:00:00'), (7, TIMESTAMP'0001-01-02 00:00:00')",
              "UPDATE {t} SET id = 40 WHERE id = 4")
    texts(world, "in the session's zone")
    filters = ("ts = TIMESTAMP'2021-06-30 00:00:00'", "ts < TIMESTAMP'2000-01-01'", "ts IS NULL", "unix_micros(ts) = 1625036400000000 OR id = 1", "CAST(ts AS DATE) = DATE'2021-01-01'")
    told(world, "Los Angeles", *filters)
    zone(world, TOKYO)
    told(world, "Tokyo", *filters)
    world.rows(world.spark.sql(world.filled("SELECT unix_micros(min(ts)), unix_micros(max(ts)), count(*), count(ts), count(DISTINCT ts) FROM {t}")), "figures")
    zone(world, "UTC")
    told(world, "UTC", *filters)


@scenario
def statements_over_values_without_offset(world):
    zone(world, ANGELES)
    world.spark.conf.set(IN_UTC, "false")
    world.sql("CREATE TABLE {t} (id INT, ts TIMESTAMP) USING delta PARTITIONED BY (ts) TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')",
              "INSERT INTO {t} SELECT id::INT, TIMESTAMP'2021-06-30 00:00:00' FROM range(4)", "INSERT INTO {t} SELECT 10 + id::INT, TIMESTAMP'2021-06-30 05:00:00' FROM range(4)")
    world.spark.conf.set(IN_UTC, "true")
    zone(world, TOKYO)
    world.ask("DELETE FROM {t} WHERE ts = TIMESTAMP'2021-06-30 05:00:00' AND id = 10", "UPDATE {t} SET id = id + 100 WHERE ts = TIMESTAMP'2021-06-30 00:00:00' AND id = 1",
              "MERGE INTO {t} t USING (SELECT 2 AS id, TIMESTAMP'2021-06-30 00:00:00' AS ts) s ON t.ts = s.ts AND t.id = s.id WHEN MATCHED THEN UPDATE SET id = 200")
    texts(world, "changed")
    told(world, "Tokyo")
    world.ask("OPTIMIZE {t}")
    world.seen.pop()
    texts(world, "compacted")
    told(world, "compacted")
    world.ask("DELETE FROM {t} WHERE ts = TIMESTAMP'2021-06-30 05:00:00'", "DELETE FROM {t} WHERE ts = TIMESTAMP'2021-06-29 00:00:00'")
    told(world, "deleted")


@scenario
def partitions_of_both_kinds_are_overwritten(world):
    zone(world, ANGELES)
    for name in ("dynamic", "where", "static"):
        world.spark.conf.set(IN_UTC, "false")
        world.sql(f"CREATE TABLE {{{name}}} (id INT, ts TIMESTAMP) USING delta PARTITIONED BY (ts)",
                  f"INSERT INTO {{{name}}} VALUES (1, TIMESTAMP'2021-06-30 00:00:00'), (2, TIMESTAMP'2021-06-30 05:00:00')")
        world.spark.conf.set(IN_UTC, "true")
        world.sql(f"INSERT INTO {{{name}}} VALUES (3, TIMESTAMP'2021-06-30 00:00:00'), (4, TIMESTAMP'2021-06-30 05:00:00')")
    rows = world.spark.sql("SELECT 9 AS id, TIMESTAMP'2021-06-30 00:00:00' AS ts")
    rows.write.format("delta").mode("overwrite").option("partitionOverwriteMode", "dynamic").save(world.path("dynamic"))
    rows.write.format("delta").mode("overwrite").option("replaceWhere", "ts = '2021-06-30 00:00:00'").save(world.path("where"))
    world.ask("INSERT OVERWRITE {static} PARTITION (ts = TIMESTAMP'2021-06-30 00:00:00') SELECT 9")
    for name in ("dynamic", "where", "static"):
        told(world, name, name=name)
        texts(world, f"{name} in the log", name=name)


FORMS = ["2021-01-15 10:00:00", "2021-01-15", "2021-01-15T10:00:00", "2021-01-15 10:00:00.5", "2021-01-15 10:00:00.123456", "2021-01-15 10:00:00.1234567", "2021-01-15 10:00:00+02:00",
         "2021-01-15 10:00:00 +0200", "2021-01-15T10:00:00.000000Z", "2021-01-15 10:00:00Z", "2021-01-15 10:00:00 America/New_York", "2021-01-15 10:00:00 UTC", "2021-01-15 10:00", "2021-01-15 1:2:3", "2021-01",
         "2021", "2021-03-14 02:30:00", "2021-11-07 01:30:00", " 2021-01-15 10:00:00 ", "0001-01-01 00:00:00", "10000-01-01 00:00:00", "-0044-03-15 00:00:00", None]


def in_zones(world, forms, zones):
    """Each form as the partition of a table, and these tables in sessions of several zones: what to say of one, and its rows."""
    zone(world, "UTC")
    for i, form in enumerate(forms):
        world.sql(f"CREATE TABLE {{t{i}}} (id INT, ts TIMESTAMP) USING delta PARTITIONED BY (ts)", f"INSERT INTO {{t{i}}} VALUES (1, TIMESTAMP'2021-06-30 00:00:00')")
        rewritten(world, form, f"t{i}")
    for name in zones:
        zone(world, name)
        for i, form in enumerate(forms):
            yield f"{name} {form}", world.spark.read.format("delta").load(world.path(f"t{i}"))


@scenario
def values_of_every_form(world):
    for what, frame in in_zones(world, FORMS, (ANGELES, TOKYO)):
        world.attempt(what, lambda f=frame: f.selectExpr("unix_micros(ts) AS micros"))
        world.attempt(f"{what} filtered", lambda f=frame: f.where("ts >= TIMESTAMP'2021-01-15 00:00:00Z'").select("id"))


# Clocks that go back and forth, and offsets that are no whole hours.
ZONED = ["2021-11-07 01:30:00 America/New_York", "2021-03-14 02:30:00 America/New_York", "2021-11-07 01:30:00-05:00", "2021-11-07 01:30:00 -04:00", "2021-01-15 10:00:00+05:30", "2021-01-15 10:00:00 +05:30",
         "2021-01-15T10:00:00.5-0330", "2021-01-15 10:00:00+5:30", "2021-01-15 10:00:00+05:30:15", "2021-01-15 10:00:00 UTC+05:30", "2021-01-15 10:00:00 EST", "2021-01-15 10:00:00 PST",
         "2021-11-07 01:30:00", "2021-03-14 02:30:00", "2021-11-07"]
ZONES = ["America/New_York", "+05:30", "-03:30:15"]


@scenario
def values_of_every_zone(world):
    for what, frame in in_zones(world, ZONED, ZONES):
        world.attempt(what, lambda f=frame: f.selectExpr("unix_micros(ts) AS micros", "CAST(ts AS STRING) AS text"))


@scenario
def values_that_sessions_of_half_hours_write(world):
    instants = "(1, timestamp_micros(1636263000000000)), (2, timestamp_micros(1636266600000000)), (3, timestamp_micros(1615705200000000)), (4, timestamp_micros(1615707000000000))"
    # Of other zones delta-spark writes other moments: where clocks go back the first of two, and with seconds in the offset by as much as it.
    for name in ["+05:30"]:
        for in_utc in ("true", "false"):
            zone(world, name)
            world.spark.conf.set(IN_UTC, in_utc)
            table = f"z{in_utc}"
            world.sql(f"CREATE TABLE {{{table}}} (id INT, ts TIMESTAMP) USING delta PARTITIONED BY (ts)", f"INSERT INTO {{{table}}} VALUES {instants}")
            texts(world, f"{name} {in_utc}", table)
            told(world, f"{name} {in_utc}", "ts = TIMESTAMP'2021-11-07 01:30:00'", name=table)


@scenario
def values_of_directories(world):
    zone(world, ANGELES)
    frame = world.spark.sql("SELECT 1 AS id, '2021-01-15 10:00:00' AS ts UNION ALL SELECT 2, '2021-01-15' UNION ALL SELECT 3, NULL UNION ALL SELECT 4, '2021-01-15T10:00:00.5Z'")
    frame.write.partitionBy("ts").parquet(world.path("t"))
    convert = f"CONVERT TO DELTA parquet.`{world.path('t')}` PARTITIONED BY (ts {{}})"
    try:
        world.sql(convert.format("TIMESTAMP"))
    except ParseException:
        # delta-spark's grammar takes the name of this type in quotes only.
        world.sql(convert.format("`TIMESTAMP`"))
    log = world.actions("t", 0)
    world.note("log", sorted((a["add"]["partitionValues"]["ts"] or "") for a in log if "add" in a))
    told(world, "Los Angeles", "ts = TIMESTAMP'2021-01-15 10:00:00'")
    zone(world, TOKYO)
    told(world, "Tokyo", "ts = TIMESTAMP'2021-01-15 10:00:00'")


@scenario
def changes_and_streams_over_values_without_offset(world):
    zone(world, ANGELES)
    world.spark.conf.set(IN_UTC, "false")
    world.sql("CREATE TABLE {t} (id INT, ts TIMESTAMP) USING delta PARTITIONED BY (ts) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
              "INSERT INTO {t} VALUES (1, TIMESTAMP'2021-06-30 00:00:00'), (2, TIMESTAMP'2021-06-30 05:00:00')", "UPDATE {t} SET id = 20 WHERE id = 2", "DELETE FROM {t} WHERE ts = TIMESTAMP'2021-06-30 00:00:00'")
    zone(world, TOKYO)
    feed = world.spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 0).load(world.path("t"))
    world.rows(feed.selectExpr("id", "unix_micros(ts) AS micros", "_change_type", "_commit_version"), "feed")
    world.rows(feed.where("ts = TIMESTAMP'2021-06-30 05:00:00'").select("id", "_change_type"), "feed filtered")
    query = world.spark.readStream.format("delta").option("ignoreChanges", "true").load(world.path("t")).selectExpr("id", "unix_micros(ts) AS micros")
    query.writeStream.format("delta").option("checkpointLocation", world.path("c")).trigger(availableNow=True).start(world.path("out")).awaitTermination(300)
    world.table("out")


@scenario
def times_without_zone(world):
    """TIMESTAMP_NTZ has no zone, whatever the session's."""
    zone(world, ANGELES)
    world.spark.conf.set(IN_UTC, "false")
    world.sql("CREATE TABLE {t} (id INT, ts TIMESTAMP_NTZ) USING delta PARTITIONED BY (ts)", "INSERT INTO {t} VALUES (1, TIMESTAMP_NTZ'2021-06-30 00:00:00.5'), (2, TIMESTAMP_NTZ'2021-06-30 00:00:00')")
    texts(world, "log")
    zone(world, TOKYO)
    world.rows(world.spark.sql(world.filled("SELECT id, CAST(ts AS STRING) FROM {t} WHERE ts = TIMESTAMP_NTZ'2021-06-30 00:00:00'")), "rows")


@scenario
def checkpoints_of_values_without_offset(world):
    zone(world, ANGELES)
    world.spark.conf.set(IN_UTC, "false")
    world.sql("CREATE TABLE {t} (id INT, ts TIMESTAMP) USING delta PARTITIONED BY (ts) TBLPROPERTIES ('delta.checkpointInterval' = '2', 'delta.checkpoint.writeStatsAsStruct' = 'true')",
              "INSERT INTO {t} VALUES (1, TIMESTAMP'2021-06-30 00:00:00')", "INSERT INTO {t} VALUES (2, TIMESTAMP'2021-06-30 05:00:00')", "INSERT INTO {t} VALUES (3, TIMESTAMP'2021-06-30 05:00:00')")
    told(world, "Los Angeles", "ts = TIMESTAMP'2021-06-30 00:00:00'")
    zone(world, TOKYO)
    told(world, "Tokyo", "ts = TIMESTAMP'2021-06-30 00:00:00'")
