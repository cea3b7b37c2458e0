"""The change data feed: what each commit did to which rows, read back by SQL and by DataFrames."""

import pytest
from test_delta_statements import condition, last, rows


def feed(spark, table, *bounds):
    shown = ", ".join(repr(b) for b in bounds)
    return rows(
        spark.sql(f"SELECT id, v, _change_type, _commit_version FROM table_changes('{table}', {shown})")
    )


def test_a_feed_from_a_commit_that_is_gone(spark, tmp_path):
    """delta-spark's classes: of a feed, and of the table's state."""
    path = tmp_path / "t"
    settings = "delta.enableChangeDataFeed = true, delta.checkpointInterval = 1"
    spark.sql(f"CREATE TABLE delta.`{path}` (id INT) USING delta TBLPROPERTIES ({settings})")
    for n in range(4):
        spark.sql(f"INSERT INTO delta.`{path}` VALUES ({n})")
    for gone in (0, 1):
        for file in [*(path / "_delta_log").glob(f"{gone:020}.*"), *(path / "_delta_log").glob(f".{gone:020}.*")]:
            file.unlink()
    feed = spark.read.format("delta").option("readChangeFeed", True)
    for end in (1, 4):
        with pytest.raises(Exception, match=r"\[DELTA_LOG_FILE_NOT_FOUND\]"):
            feed.option("startingVersion", 1).option("endingVersion", end).load(str(path)).collect()
    assert sorted(row.id for row in feed.option("startingVersion", 2).load(str(path)).collect()) == [1, 2, 3]
    with pytest.raises(Exception, match=r"\[DELTA_VERSION_NOT_FOUND\]"):
        spark.read.format("delta").option("versionAsOf", 0).load(str(path)).collect()


@pytest.mark.parametrize("vectors", ["true", "false"])
def test_every_change_is_told(spark, vectors):
    spark.sql("DROP TABLE IF EXISTS fed")
    spark.sql(
        f"""CREATE TABLE fed (id BIGINT, v STRING) USING delta TBLPROPERTIES
            ('delta.enableChangeDataFeed' = 'true', 'delta.enableDeletionVectors' = '{vectors}')"""
    )
    spark.createDataFrame([(1, "a"), (2, "b"), (3, "c")], "id BIGINT, v STRING").coalesce(1).write.insertInto("fed")
    spark.sql("UPDATE fed SET v = 'z' WHERE id = 2")
    spark.sql("DELETE FROM fed WHERE id = 1")
    # What delta-spark gives for the same statements.
    expected = [
        (1, "a", "delete", 3),
        (1, "a", "insert", 1),
        (2, "b", "insert", 1),
        (2, "b", "update_preimage", 2),
        (2, "z", "update_postimage", 2),
        (3, "c", "insert", 1),
    ]
    assert feed(spark, "fed", 0) == sorted(expected)
    assert feed(spark, "fed", 2, 2) == [(2, "b", "update_preimage", 2), (2, "z", "update_postimage", 2)]
    spark.sql("INSERT OVERWRITE fed VALUES (5, 'q')")
    assert feed(spark, "fed", 4) == [(2, "z", "delete", 4), (3, "c", "delete", 4), (5, "q", "insert", 4)]
    # Files that are only written together say nothing.
    spark.sql("INSERT INTO fed VALUES (6, 'r')")
    spark.sql("OPTIMIZE fed")
    assert feed(spark, "fed", 5) == [(6, "r", "insert", 5)]
    assert rows(spark.table("fed")) == [(5, "q"), (6, "r")]


def test_the_readers_of_a_feed(spark, tmp_path):
    path = str(tmp_path / "t")
    spark.range(3).write.format("delta").option("delta.enableChangeDataFeed", "true").save(path)
    spark.range(3, 5).write.format("delta").mode("append").save(path)

    def reader():
        return spark.read.format("delta").option("readChangeFeed", "true")

    frame = reader().option("startingVersion", 1).load(path)
    assert frame.schema.simpleString() == "struct<id:bigint,_change_type:string,_commit_version:bigint,_commit_timestamp:timestamp>"
    assert rows(frame.select("id", "_change_type")) == [(3, "insert"), (4, "insert")]
    at = spark.sql(f"DESCRIBE HISTORY delta.`{path}`").filter("version = 1").collect()[0].timestamp
    since = reader().option("startingTimestamp", str(at)).load(path)
    assert since.count() == 2
    assert spark.sql(f"SELECT count(*) FROM table_changes_by_path('{path}', 0)").collect()[0][0] == 5


def test_feeds_that_cannot_be_read(spark):
    from pyspark.errors import PySparkException

    spark.sql("CREATE OR REPLACE TABLE unfed (id BIGINT, v STRING) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'false')")
    spark.sql("INSERT INTO unfed VALUES (1, 'a')")
    assert condition(spark, "SELECT * FROM table_changes('unfed', 0)") == "DELTA_MISSING_CHANGE_DATA"
    spark.sql("ALTER TABLE unfed SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    spark.sql("INSERT INTO unfed VALUES (2, 'b')")
    version = last(spark, "unfed").version
    assert feed(spark, "unfed", version) == [(2, "b", "insert", version)]
    assert condition(spark, f"SELECT * FROM table_changes('unfed', {version + 1})") == "DELTA_CDC_START_VERSION_AFTER_LATEST"
    assert condition(spark, "SELECT * FROM table_changes('unfed', 3, 2)") == "DELTA_INVALID_CDC_RANGE"
    assert condition(spark, "SELECT * FROM table_changes('unfed', NULL)") == "DELTA_CDC_READ_NULL_RANGE_BOUNDARY"
    with pytest.raises(PySparkException) as e:
        spark.read.format("delta").option("readChangeFeed", "true").table("unfed").collect()
    assert e.value.getCondition() == "DELTA_NO_START_FOR_CDC_READ"


MERGES = {
    "all clauses": (
        """WHEN MATCHED AND s.v = 'gone' THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v
           WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)
           WHEN NOT MATCHED BY SOURCE AND t.id = 4 THEN UPDATE SET v = 'alone' WHEN NOT MATCHED BY SOURCE AND t.id = 5 THEN DELETE""",
        [
            (1, "a", "delete"),
            (2, "b", "update_preimage"),
            (2, "new", "update_postimage"),
            (4, "d", "update_preimage"),
            (4, "alone", "update_postimage"),
            (5, "e", "delete"),
            (9, "ins", "insert"),
        ],
    ),
    "only deletes": ("WHEN MATCHED THEN DELETE", [(1, "a", "delete"), (2, "b", "delete")]),
    "only inserts": ("WHEN NOT MATCHED THEN INSERT *", [(9, "ins", "insert")]),
    "delete and insert": (
        "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT *",
        [(1, "a", "delete"), (2, "b", "delete"), (9, "ins", "insert")],
    ),
}


@pytest.mark.parametrize("vectors", ["true", "false"])
@pytest.mark.parametrize("clauses, wanted", MERGES.values(), ids=MERGES.keys())
def test_merges_are_told(spark, vectors, clauses, wanted):
    spark.sql("DROP TABLE IF EXISTS merged")
    spark.sql(
        f"""CREATE TABLE merged (id BIGINT, v STRING) USING delta TBLPROPERTIES
            ('delta.enableChangeDataFeed' = 'true', 'delta.enableDeletionVectors' = '{vectors}')"""
    )
    spark.sql("INSERT INTO merged VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e')")
    twice = "(2, 'new')," if clauses == "WHEN MATCHED THEN DELETE" else ""
    spark.sql(
        f"""MERGE INTO merged t USING (SELECT * FROM VALUES (1, 'gone'), (2, 'new'), {twice} (9, 'ins') AS s(id, v)) s
            ON t.id = s.id {clauses}"""
    )
    assert [row[:3] for row in feed(spark, "merged", 2)] == sorted(wanted)
    # The feed and the table tell the same story.
    told = {}
    for id_, v, change, _ in sorted(feed(spark, "merged", 0), key=lambda r: (r[3], r[2] != "update_preimage", r[2])):
        if change in ("insert", "update_postimage"):
            told[id_] = v
        elif change == "delete":
            told.pop(id_)
    assert rows(spark.table("merged")) == sorted(told.items())


def test_a_merge_that_adds_columns_is_told(spark):
    spark.sql("CREATE OR REPLACE TABLE grown_feed (id BIGINT) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    spark.sql("INSERT INTO grown_feed VALUES (1)")
    spark.sql(
        """MERGE WITH SCHEMA EVOLUTION INTO grown_feed t USING (SELECT 1L AS id, 'x' AS v UNION ALL SELECT 2L, 'y') s ON t.id = s.id
           WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"""
    )
    version = last(spark, "grown_feed").version
    assert [row[:3] for row in feed(spark, "grown_feed", version)] == [
        (1, "x", "update_postimage"),
        (1, None, "update_preimage"),
        (2, "y", "insert"),
    ]


def drain(stream, path, sink):
    query = stream.writeStream.format("delta").option("checkpointLocation", f"{path}/cp").trigger(availableNow=True).start(sink)
    assert query.awaitTermination(60)


def test_the_feed_as_a_stream(spark, tmp_path):
    path, sink = str(tmp_path / "t"), str(tmp_path / "sink")
    spark.sql(f"CREATE TABLE delta.`{path}` (id BIGINT, v STRING) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    spark.sql(f"INSERT INTO delta.`{path}` VALUES (1, 'a'), (2, 'b')")
    stream = spark.readStream.format("delta").option("readChangeFeed", "true").load(path)
    assert stream.columns == ["id", "v", "_change_type", "_commit_version", "_commit_timestamp"]
    drain(stream, tmp_path, sink)
    got = spark.read.format("delta").load(sink)
    # What is there when the query begins comes as inserts of that version.
    assert rows(got.select("id", "v", "_change_type", "_commit_version")) == [(1, "a", "insert", 1), (2, "b", "insert", 1)]
    spark.sql(f"UPDATE delta.`{path}` SET v = 'z' WHERE id = 1")
    spark.sql(f"DELETE FROM delta.`{path}` WHERE id = 2")
    drain(stream, tmp_path, sink)
    drain(stream, tmp_path, sink)
    got = spark.read.format("delta").load(sink).filter("_commit_version > 1")
    assert rows(got.select("id", "v", "_change_type", "_commit_version")) == [
        (1, "a", "update_preimage", 2),
        (1, "z", "update_postimage", 2),
        (2, "b", "delete", 3),
    ]


def test_a_stream_from_a_version(spark, tmp_path):
    path, sink = str(tmp_path / "t"), str(tmp_path / "sink")
    spark.range(3).write.format("delta").option("delta.enableChangeDataFeed", "true").save(path)
    for i in range(3, 6):
        spark.range(i, i + 1).write.format("delta").mode("append").save(path)
    stream = (
        spark.readStream.format("delta")
        .option("readChangeFeed", "true")
        .option("startingVersion", 2)
        .option("maxFilesPerTrigger", 1)
        .load(path)
    )
    drain(stream, tmp_path, sink)
    got = spark.read.format("delta").load(sink)
    assert rows(got.select("id", "_commit_version")) == [(4, 2), (5, 3)]


@pytest.mark.parametrize("vectors", ["true", "false"])
def test_what_replaces_is_told(spark, vectors):
    spark.sql("DROP TABLE IF EXISTS swapped")
    spark.sql(
        f"""CREATE TABLE swapped (id BIGINT, v STRING) USING delta TBLPROPERTIES
            ('delta.enableChangeDataFeed' = 'true', 'delta.enableDeletionVectors' = '{vectors}')"""
    )
    spark.createDataFrame([(1, "a"), (2, "b"), (3, "c")], "id BIGINT, v STRING").coalesce(1).write.insertInto("swapped")
    spark.sql("INSERT INTO swapped REPLACE WHERE id > 1 VALUES (2, 'x'), (7, 'y')")
    assert feed(spark, "swapped", 2) == [
        (2, "b", "delete", 2),
        (2, "x", "insert", 2),
        (3, "c", "delete", 2),
        (7, "y", "insert", 2),
    ]
    assert rows(spark.table("swapped")) == [(1, "a"), (2, "x"), (7, "y")]


def test_merge_numbers_rows_once(spark, tmp_path):
    """New rows have the same numbers in the table and in its feed. Expected values are delta-spark's."""
    for vectors in ("true", "false"):
        path = tmp_path / vectors
        t = f"delta.`{path}`"
        spark.sql(
            f"""CREATE TABLE {t} (n BIGINT GENERATED ALWAYS AS IDENTITY, k INT, v INT) USING delta TBLPROPERTIES
                ('delta.enableChangeDataFeed' = 'true', 'delta.enableDeletionVectors' = '{vectors}')"""
        )
        spark.sql(f"INSERT INTO {t} (k, v) VALUES (1, 1), (2, 2)")
        done = spark.sql(
            f"""MERGE INTO {t} t USING (SELECT * FROM VALUES (1, 10), (3, 30), (4, 40) AS x(k, v)) s ON t.k = s.k
                WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v)"""
        )
        assert [tuple(r) for r in done.collect()] == [(3, 1, 0, 2)]
        table = {r.k: (r.n, r.v) for r in spark.sql(f"SELECT * FROM {t}").collect()}
        assert table[1] == (1, 10) and table[2] == (2, 2) and len({n for n, _ in table.values()}) == 4
        feed = f"SELECT k, n, v, _change_type FROM table_changes_by_path('{path}', 2) ORDER BY k, _change_type"
        told = [tuple(r) for r in spark.sql(feed).collect()]
        assert told == [
            (1, 1, 10, "update_postimage"),
            (1, 1, 1, "update_preimage"),
            (3, table[3][0], 30, "insert"),
            (4, table[4][0], 40, "insert"),
        ]


def test_a_stream_from_before_the_feed(spark, tmp_path):
    """The first version of a stream must have kept its changes; what delta-spark refuses is refused."""
    path, sink = str(tmp_path / "t"), str(tmp_path / "sink")
    spark.sql(f"CREATE TABLE delta.`{path}` (id INT) USING delta")
    spark.sql(f"INSERT INTO delta.`{path}` VALUES (1)")
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    spark.sql(f"INSERT INTO delta.`{path}` VALUES (2)")

    def run(version):
        stream = spark.readStream.format("delta").option("readChangeFeed", "true").option("startingVersion", version)
        drain(stream.load(path), tmp_path / f"from{version}", sink)

    for version in (0, 1):
        with pytest.raises(Exception, match="DELTA_MISSING_CHANGE_DATA"):
            run(version)
    for version in (2, 3):
        run(version)
    found = spark.read.format("delta").load(sink).selectExpr("id", "_change_type", "_commit_version").collect()
    assert [tuple(row) for row in found] == [(2, "insert", 3)] * 2


VARYING = {
    "update": "WHEN MATCHED THEN UPDATE SET u = uuid()",
    "update of some": "WHEN MATCHED AND t.id % 2 = 0 THEN UPDATE SET u = uuid()",
    "insert": "WHEN MATCHED THEN UPDATE SET v = 'm' WHEN NOT MATCHED THEN INSERT (id, p, u) VALUES (s.id, 0, uuid())",
    "both": "WHEN MATCHED THEN UPDATE SET u = uuid() WHEN NOT MATCHED THEN INSERT (id, p, u) VALUES (s.id, 1, uuid())",
    "by source": "WHEN NOT MATCHED BY SOURCE AND t.id < 3 THEN UPDATE SET u = uuid() WHEN NOT MATCHED BY SOURCE AND t.id < 5 THEN DELETE",
    "all": """WHEN MATCHED AND t.id = 6 THEN DELETE WHEN MATCHED AND t.id = 7 THEN UPDATE SET v = 'm' WHEN MATCHED THEN UPDATE SET u = uuid()
              WHEN NOT MATCHED THEN INSERT (id, p, u) VALUES (s.id, 2, uuid()) WHEN NOT MATCHED BY SOURCE AND t.id < 3 THEN UPDATE SET u = uuid(), p = 9""",
    "a query": "WHEN MATCHED THEN UPDATE SET u = (SELECT max(w) FROM (SELECT uuid() AS w FROM range(3))) WHEN NOT MATCHED THEN INSERT (id, p) VALUES (s.id, 1)",
}


@pytest.mark.parametrize("partitioned", ["", "PARTITIONED BY (p)"])
@pytest.mark.parametrize("vectors", ["true", "false"])
@pytest.mark.parametrize("clauses", VARYING.values(), ids=VARYING.keys())
def test_values_that_vary_are_told_as_they_were_written(spark, tmp_path, clauses, vectors, partitioned):
    path = str(tmp_path / "t")
    settings = f"'delta.enableChangeDataFeed' = 'true', 'delta.enableDeletionVectors' = '{vectors}', 'delta.enableRowTracking' = 'true'"
    spark.sql(f"CREATE TABLE delta.`{path}` (id BIGINT, p INT, u STRING, v STRING) USING delta {partitioned} TBLPROPERTIES ({settings})")
    spark.sql(f"INSERT INTO delta.`{path}` SELECT id, CAST(id % 2 AS INT), 'old', 'old' FROM range(10)")
    numbers = f"SELECT id, _metadata.row_id FROM delta.`{path}` WHERE id < 10"
    before, ids = spark.read.format("delta").load(path).collect(), dict(spark.sql(numbers).collect())
    spark.sql(f"MERGE INTO delta.`{path}` t USING (SELECT id FROM range(5, 12)) s ON t.id = s.id {clauses}")
    told = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 2).load(path).collect()

    kinds = [row._change_type for row in told]
    assert kinds.count("update_preimage") == kinds.count("update_postimage")
    state = {row.id: tuple(row) for row in before}
    for row in sorted(told, key=lambda row: ["update_preimage", "delete", "update_postimage", "insert"].index(row._change_type)):
        if row._change_type in ("update_preimage", "delete"):
            assert state.pop(row.id) == tuple(row)[:4]
        else:
            assert row.id not in state
            state[row.id] = tuple(row)[:4]
    after = spark.read.format("delta").load(path).collect()
    assert state == {row.id: tuple(row) for row in after} and len(state) == len(after)
    new = [row.u for row in after if row.u and row.u != "old"]
    assert new and ("SELECT" in clauses or len(set(new)) == len(new))
    assert all(ids[i] == n for i, n in spark.sql(numbers).collect())
    made = last(spark, f"delta.`{path}`")["operationMetrics"]
    for kind, key in {"insert": "numTargetRowsInserted", "delete": "numTargetRowsDeleted", "update_postimage": "numTargetRowsUpdated"}.items():
        assert int(made[key]) == kinds.count(kind), key
