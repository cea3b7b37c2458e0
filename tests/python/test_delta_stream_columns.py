"""Streams from Delta tables whose columns are renamed, dropped, widened or added: with `schemaTrackingLocation` and without. What is
expected is what delta-spark 4.4 on Spark 4.2 did, files and messages included; `test_both_ways` runs it beside (`make test-jvm`)."""

import json
import pathlib

import pytest
from test_streaming import values

MAPPED = "TBLPROPERTIES ('delta.columnMapping.mode' = 'name'{})"


class Stream:
    def __init__(self, spark, tmp_path, columns, properties, **options):
        self.spark, self.options = spark, options
        self.table, self.checkpoint, self.out = (str(tmp_path / name) for name in ("t", "checkpoint", "out"))
        self.sql(f"CREATE TABLE {{t}} ({columns}) USING delta {properties}")

    def sql(self, *texts):
        for text in texts:
            self.spark.sql(text.replace("{t}", f"delta.`{self.table}`")).collect()

    def run(self, tracks=True, spark=None, **options):
        reader = (spark or self.spark).readStream.format("delta").options(**self.options, **options)
        if tracks:
            reader = reader.option("schemaTrackingLocation", self.checkpoint)
        writer = reader.load(self.table).writeStream.option("checkpointLocation", self.checkpoint)
        query = writer.option("mergeSchema", "true").format("parquet").trigger(availableNow=True).start(self.out)
        assert query.awaitTermination(300)

    def evolves(self, *there, **options):
        self.fails("DELTA_STREAMING_METADATA_EVOLUTION", *there, **options)

    def blocked(self, *there, **options):
        self.fails("DELTA_STREAMING_CANNOT_CONTINUE_PROCESSING_POST_SCHEMA_EVOLUTION", *there, **options)

    def fails(self, error, *there, **options):
        with pytest.raises(Exception) as e:
            self.run(**options)
        for text in (error, *there):
            assert text in str(e.value)

    def log(self):
        directory, = pathlib.Path(self.checkpoint).glob("_schema_log_*")
        entries = {}
        for file in directory.iterdir():
            if file.name.isdigit():
                version, line = file.read_text().split("\n")
                assert version == "v1"
                entries[int(file.name)] = json.loads(line)
        return [entries[n] for n in sorted(entries)]

    def ends(self):
        """The offsets at the ends of batches."""
        files = pathlib.Path(self.checkpoint, "offsets").iterdir()
        numbers = sorted(int(f.name) for f in files if f.name.isdigit())
        lines = [pathlib.Path(self.checkpoint, "offsets", str(n)).read_text().split("\n")[2] for n in numbers]
        offsets = [json.loads(line) for line in lines]
        return [(o["sourceVersion"], o["reservoirVersion"], o["index"]) for o in offsets]

    def rows(self, schema, *columns):
        return values(self.spark.read.schema(schema).parquet(self.out), *columns)


def names(entry):
    return [f["name"] for f in json.loads(entry["dataSchemaJson"])["fields"]]


def test_a_column_is_renamed(spark, tmp_path):
    s = Stream(spark, tmp_path, "a INT, b STRING", MAPPED.format(""))
    s.sql("INSERT INTO {t} VALUES (1, 'x')")
    s.run()
    entry, = s.log()
    assert list(entry) == ["tableId", "deltaCommitVersion", "dataSchemaJson", "partitionSchemaJson", "sourceMetadataPath",
                           "tableConfigurations", "protocolJson"]
    assert entry["deltaCommitVersion"] == 1 and names(entry) == ["a", "b"]
    assert entry["sourceMetadataPath"] == f"file:{s.checkpoint}/sources/0"
    s.sql("INSERT INTO {t} VALUES (2, 'y')", "ALTER TABLE {t} RENAME COLUMN b TO c", "INSERT INTO {t} VALUES (3, 'z')")
    s.evolves(" |-- c: string (nullable = true)\n.\n")
    # Rows of before are there; those of after wait.
    assert s.rows("a INT, b STRING", "a", "b") == [(1, "x"), (2, "y")]
    s.blocked(
        "non-additive schema change(s) (RENAME COLUMN) between Delta version 1 and 3",
        "Columns renamed:\n'b' -> 'c'\n",
        '  .option("allowSourceColumnRename", "3")\n',
        "SET spark.databricks.delta.streaming.allowSourceColumnRename.ckpt_")
    s.blocked(allowSourceColumnRename="2")
    s.run(allowSourceColumnRename="3")
    assert s.rows("a INT, b STRING, c STRING", "a", "c")[2] == (3, "z")
    assert [names(e) for e in s.log()] == [["a", "b"], ["a", "c"]]
    assert s.ends() == [(1, 2, -1), (3, 3, -20), (3, 3, -19), (1, 5, -1)]
    # It is to be allowed as long as that change is the last.
    s.blocked()
    spark.conf.set("spark.databricks.delta.streaming.allowSourceColumnRenameAndDrop", "always")
    try:
        s.run()
    finally:
        spark.conf.unset("spark.databricks.delta.streaming.allowSourceColumnRenameAndDrop")


def test_changes_without_rows_are_one(spark, tmp_path):
    s = Stream(spark, tmp_path, "a INT, b STRING, s STRUCT<x: INT, y: INT>", MAPPED.format(""))
    s.sql("INSERT INTO {t} VALUES (1, 'x', named_struct('x', 1, 'y', 2))")
    s.run()
    s.sql("ALTER TABLE {t} DROP COLUMN b", "ALTER TABLE {t} RENAME COLUMN s.x TO z",
          "ALTER TABLE {t} SET TBLPROPERTIES ('my.key' = '1', 'delta.logRetentionDuration' = 'interval 31 days')",
          "INSERT INTO {t} VALUES (3, named_struct('z', 1, 'y', 2))")
    s.evolves()
    s.blocked("(RENAME AND DROP COLUMN) between Delta version 1 and 4",
              "Columns renamed:\n's.x' -> 's.z'\nColumns dropped:\n'b'\n",
              '  .option("allowSourceColumnRename", "4")\n  .option("allowSourceColumnDrop", "4")\n',
              "SET spark.databricks.delta.streaming.allowSourceColumnRenameAndDrop.ckpt_")
    s.blocked(allowSourceColumnDrop="always")
    s.run(allowSourceColumnDrop="always", allowSourceColumnRename="always")
    assert [(e["deltaCommitVersion"], e.get("previousMetadataSeqNum")) for e in s.log()] == [(1, None), (2, None), (4, 0)]
    assert s.ends() == [(1, 2, -1), (3, 2, -20), (3, 2, -19), (1, 6, -1)]
    assert s.rows("a INT", "a") == [(1,), (3,)]


def test_a_type_is_widened(spark, tmp_path):
    properties = "TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.enableDeletionVectors' = 'false')"
    s = Stream(spark, tmp_path, "a SMALLINT, b STRING", properties)
    s.sql("INSERT INTO {t} VALUES (1, 'x')")
    s.run()
    s.sql("INSERT INTO {t} VALUES (2, 'y')", "ALTER TABLE {t} ALTER COLUMN a TYPE BIGINT", "INSERT INTO {t} VALUES (3, 'z')")
    s.evolves("Updated table protocol: 3,7,[typeWidening],[")
    s.blocked("(TYPE WIDENING)", "Columns with widened types:\n'a': SMALLINT -> BIGINT\n")
    s.run(allowSourceColumnTypeChange="3")
    assert s.rows("b STRING", "b") == [("x",), ("y",), ("z",)]


def test_a_type_is_widened_without_a_log(spark, tmp_path):
    s = Stream(spark, tmp_path, "a SMALLINT, b STRING", "TBLPROPERTIES ('delta.enableTypeWidening' = 'true')")
    s.sql("INSERT INTO {t} VALUES (1, 'x')")
    s.run(tracks=False)
    s.sql("INSERT INTO {t} VALUES (2, 'y')", "ALTER TABLE {t} ALTER COLUMN a TYPE BIGINT", "INSERT INTO {t} VALUES (3, 'z')")
    s.run(tracks=False)
    assert s.rows("b STRING", "b") == [("x",), ("y",), ("z",)]


def test_a_column_is_added(spark, tmp_path):
    s = Stream(spark, tmp_path, "a INT", "")
    s.sql("INSERT INTO {t} VALUES (1)")
    s.run()
    s.sql("INSERT INTO {t} VALUES (2)", "ALTER TABLE {t} ADD COLUMN b STRING", "INSERT INTO {t} VALUES (3, 'z')")
    s.evolves(" |-- b: string (nullable = true)\n.\nUpdated table configurations: ")
    s.run()
    assert s.rows("a INT, b STRING", "a", "b")[2] == (3, "z")
    s.sql("ALTER TABLE {t} SET TBLPROPERTIES ('mine' = '1')", "INSERT INTO {t} VALUES (4, 'w')")
    s.run()
    assert len(s.log()) == 2 and len(s.rows("a INT", "a")) == 4


def test_without_a_log_columns_stay(spark, tmp_path):
    s = Stream(spark, tmp_path, "a INT, b STRING", MAPPED.format(""))
    s.sql("INSERT INTO {t} VALUES (1, 'x')")
    s.run(tracks=False)
    s.sql("INSERT INTO {t} VALUES (2, 'y')", "ALTER TABLE {t} RENAME COLUMN b TO c", "INSERT INTO {t} VALUES (3, 'z')")
    needed = "Please provide a 'schemaTrackingLocation' to enable non-additive schema evolution"
    s.fails("DELTA_STREAMING_INCOMPATIBLE_SCHEMA_CHANGE_USE_SCHEMA_LOG", needed, tracks=False)
    # A log that is given now begins with the columns of then.
    s.evolves(" |-- b: string")
    s.evolves(" |-- c: string")
    s.run(allowSourceColumnRename="always")
    assert [names(e) for e in s.log()] == [["a", "b"], ["a", "c"]]
    assert s.rows("a INT", "a") == [(1,), (2,), (3,)]


def test_a_change_feed_goes_over_a_rename(spark, tmp_path):
    s = Stream(spark, tmp_path, "a INT, b STRING", MAPPED.format(", 'delta.enableChangeDataFeed' = 'true'"), readChangeFeed="true")
    s.sql("INSERT INTO {t} VALUES (1, 'x')")
    s.run()
    s.sql("INSERT INTO {t} VALUES (2, 'y')", "ALTER TABLE {t} RENAME COLUMN b TO c", "INSERT INTO {t} VALUES (3, 'z')")
    s.evolves()
    s.run(allowSourceColumnRename="always")
    assert s.rows("a INT, _change_type STRING", "a", "_change_type") == [(i, "insert") for i in (1, 2, 3)]
    assert s.ends() == [(1, 2, -1), (3, 3, -20), (3, 3, -19), (1, 5, -1)]


def test_the_log_has_its_place(spark, tmp_path):
    s = Stream(spark, tmp_path, "a INT", "")
    s.sql("INSERT INTO {t} VALUES (1)")
    elsewhere = str(tmp_path / "elsewhere")
    s.fails("DELTA_STREAMING_SCHEMA_LOCATION_NOT_UNDER_CHECKPOINT", tracks=False, schemaTrackingLocation=elsewhere)
    s.run(tracks=False, schemaLocation=s.checkpoint, streamingSourceTrackingId="one")
    directory, = pathlib.Path(s.checkpoint).glob("_schema_log_*")
    assert directory.name.endswith("_one")

    def both(*ids):
        streams = [
            spark.readStream.format("delta").option("schemaTrackingLocation", elsewhere).options(streamingSourceTrackingId=i).load(s.table)
            for i in ids]
        writer = streams[0].unionAll(streams[1]).writeStream.option("checkpointLocation", elsewhere)
        assert writer.format("noop").trigger(availableNow=True).start().awaitTermination(300)

    with pytest.raises(Exception, match="DELTA_STREAMING_SCHEMA_LOCATION_CONFLICT|is different from the one persisted"):
        both("one", "one")
    both("two", "three")


def test_in_the_order_of_event_times(spark, tmp_path):
    """The table that is there is read so that no row of it is late, whatever the order in which its files came."""
    table = str(tmp_path / "t")
    spark.sql(f"CREATE TABLE delta.`{table}` (id INT, at TIMESTAMP) USING delta")
    for i, minutes in enumerate([[7, 1], [9, 3], [0, 5], [8, 2], [6, 4], [None, 10]]):
        times = ["NULL" if m is None else f"TIMESTAMP '2026-01-01 00:{m:02}:00.123456'" for m in minutes]
        spark.sql(f"INSERT INTO delta.`{table}` VALUES {', '.join(f'({i}, {t})' for t in times)}").collect()

    def read(name, files=1, **options):
        stream = spark.readStream.format("delta").options(maxFilesPerTrigger=files, **options).load(table)
        marked = stream.selectExpr("at AS time", "id").withWatermark("time", "1 minute").dropDuplicates(["id", "time"])
        writer = marked.writeStream.format("json").option("checkpointLocation", str(tmp_path / name))
        query = writer.trigger(availableNow=True).start(str(tmp_path / f"{name}_out"))
        assert query.awaitTermination(300)
        progress = [p for p in query.recentProgress if p["numInputRows"]]
        dropped = sum(p["stateOperators"][0]["numRowsDroppedByWatermark"] for p in progress)
        return dropped, [p["numInputRows"] for p in progress]

    late, _ = read("as_they_came")
    assert late > 0
    late, batches = read("ordered", withEventTimeOrder=True)
    assert (late, sum(batches)) == (0, 12) and len(batches) > 3
    times = [r[0] for r in spark.read.schema("time STRING").json(str(tmp_path / "ordered_out")).collect()]
    assert len(times) == 12 and len({t for t in times if t}) == 11
    # Then rows come as they are committed.
    spark.sql(f"INSERT INTO delta.`{table}` VALUES (9, TIMESTAMP '2026-01-01 01:00:00')").collect()
    assert read("ordered", withEventTimeOrder=True) == (0, [1])
    # Many files are one range.
    assert read("at_once", files=100, withEventTimeOrder=True) == (0, [13])

    plain = spark.readStream.format("delta").option("withEventTimeOrder", "true").load(table)
    for frame in (plain, plain.selectExpr("at + INTERVAL 1 HOUR AS at").withWatermark("at", "1 minute")):
        with pytest.raises(Exception, match="withEventTimeOrder needs a watermark"):
            frame.writeStream.format("noop").start()


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_both_ways(spark, jvm, tmp_path, first):
    """One begins the stream, the other meets the change, and the first goes on."""
    one, other = (spark, jvm) if first == "ours" else (jvm, spark)
    s = Stream(spark, tmp_path, "a INT, b STRING", MAPPED.format(""))
    s.sql("INSERT INTO {t} VALUES (1, 'x')")
    s.run(spark=one)
    s.sql("INSERT INTO {t} VALUES (2, 'y')", "ALTER TABLE {t} RENAME COLUMN b TO c", "INSERT INTO {t} VALUES (3, 'z')")
    s.evolves(spark=other)
    s.blocked("between Delta version 1 and 3", spark=one)
    s.blocked("between Delta version 1 and 3", spark=other)
    s.run(spark=one, allowSourceColumnRename="3")
    s.sql("INSERT INTO {t} VALUES (4, 'w')")
    s.run(spark=other, allowSourceColumnRename="3")
    assert s.rows("a INT", "a") == [(1,), (2,), (3,), (4,)]
