"""Row tracking: ids and versions that stay with rows. Expected values are delta-spark's (4.4 on Spark 4.2), which names the files
it writes in another order where a statement writes several: `base_row_id` may differ, ids of rows may not."""

import json
import pathlib

import pytest

IDS = "SELECT id, v, _metadata.row_id, _metadata.row_commit_version FROM {t} ORDER BY id"


def ids(spark, table):
    return [tuple(row) for row in spark.sql(IDS.format(t=table)).collect()]


def log(path, version):
    text = pathlib.Path(path, "_delta_log", f"{version:020}.json").read_text()
    return [json.loads(line) for line in text.splitlines()]


def of_kind(actions, kind):
    return [a[kind] for a in actions if kind in a]


def make(spark, path, vectors):
    spark.sql(
        f"CREATE TABLE delta.`{path}` (id BIGINT, v BIGINT) USING delta TBLPROPERTIES ('delta.enableRowTracking' = 'true',"
        f" 'delta.enableDeletionVectors' = '{vectors}')"
    )
    for low in (0, 5):
        spark.range(low, low + 5, 1, 1).selectExpr("id", "id * 10 AS v").write.format("delta").mode("append").save(str(path))
    return f"delta.`{path}`"


@pytest.mark.parametrize("vectors", ["true", "false"])
def test_rows_keep_their_ids(spark, tmp_path, vectors):
    path = tmp_path / "t"
    t = make(spark, path, vectors)
    spark.sql(f"UPDATE {t} SET v = v + 1 WHERE id IN (1, 7)")
    assert ids(spark, t) == [
        (0, 0, 0, 1), (1, 11, 1, 3), (2, 20, 2, 1), (3, 30, 3, 1), (4, 40, 4, 1),
        (5, 50, 5, 2), (6, 60, 6, 2), (7, 71, 7, 3), (8, 80, 8, 2), (9, 90, 9, 2),
    ]  # fmt: skip
    spark.sql(f"DELETE FROM {t} WHERE id = 2")
    spark.sql(
        f"""MERGE INTO {t} t USING (SELECT id FROM range(8, 12, 1, 1)) s ON t.id = s.id
            WHEN MATCHED THEN UPDATE SET v = -1 WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 5)"""
    )
    merged = ids(spark, t)
    assert merged[:9] == [
        (0, 0, 0, 1), (1, 11, 1, 3), (3, 30, 3, 1), (4, 40, 4, 1), (5, 50, 5, 2),
        (6, 60, 6, 2), (7, 71, 7, 3), (8, -1, 8, 5), (9, -1, 9, 5),
    ]  # fmt: skip
    # New rows get ids that no row has had.
    assert [row[:2] + row[3:] for row in merged[9:]] == [(10, 5, 5), (11, 5, 5)]
    assert len({row[2] for row in merged}) == 11 and min(row[2] for row in merged[9:]) > 9
    for statement in ("OPTIMIZE {t}", "OPTIMIZE {t} ZORDER BY (v)", "REORG TABLE {t} APPLY (PURGE)"):
        spark.sql(statement.format(t=t)).collect()
        assert ids(spark, t) == merged, statement
    tags = [of_kind(log(path, v), "commitInfo")[0].get("tags") for v in range(6)]
    assert tags == [None] * 3 + [{"delta.rowTracking.preserved": "true"}] * 3
    spark.sql(f"RESTORE TABLE {t} TO VERSION AS OF 2").collect()
    assert ids(spark, t) == [(i, 10 * i, i, 1 if i < 5 else 2) for i in range(10)]
    spark.sql(f"INSERT OVERWRITE {t} SELECT 1L, 2L")
    [(_, _, row_id, _)] = ids(spark, t)
    assert row_id > max(row[2] for row in merged)


def test_clustered_and_compacted_rows_keep_their_ids(spark, tmp_path):
    path = tmp_path / "t"
    spark.sql(
        f"CREATE TABLE delta.`{path}` (id BIGINT, v BIGINT) USING delta CLUSTER BY (v)"
        " TBLPROPERTIES ('delta.enableRowTracking' = 'true', 'delta.columnMapping.mode' = 'name')"
    )
    for low in (0, 5):
        rows = spark.range(low, low + 5, 1, 1).selectExpr("id", "-id AS v")
        rows.write.format("delta").mode("append").save(str(path))
    t = f"delta.`{path}`"
    before = ids(spark, t)
    assert before == [(i, -i, i, 1 if i < 5 else 2) for i in range(10)]
    spark.sql(f"OPTIMIZE {t}").collect()
    assert ids(spark, t) == before
    spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.autoOptimize.autoCompact' = 'true')")
    spark.conf.set("spark.databricks.delta.autoCompact.minNumFiles", "2")
    try:
        spark.sql(f"INSERT INTO {t} VALUES (100, 1)")
    finally:
        spark.conf.unset("spark.databricks.delta.autoCompact.minNumFiles")
    assert spark.sql(f"DESCRIBE HISTORY {t} LIMIT 1").collect()[0].operation == "OPTIMIZE"
    assert ids(spark, t)[:10] == before


def test_ids_for_a_table_with_files(spark, tmp_path):
    """`delta.enableRowTracking` on a table that has files: the feature, ids for the files, then the property."""
    path = tmp_path / "t"
    t = f"delta.`{path}`"
    spark.sql(f"CREATE TABLE {t} (id BIGINT, v BIGINT) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')")
    spark.sql(f"INSERT INTO {t} SELECT id, id FROM range(0, 3, 1, 1)")
    spark.sql(f"INSERT INTO {t} SELECT id, id FROM range(3, 6, 1, 1)")
    spark.sql(f"DELETE FROM {t} WHERE id = 4")
    spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableRowTracking' = 'true')")
    history = [r.operation for r in spark.sql(f"DESCRIBE HISTORY {t}").collect()]
    assert history[:3] == ["SET TBLPROPERTIES", "ROW TRACKING BACKFILL", "UPGRADE PROTOCOL"]
    assert sorted(row[2:] for row in ids(spark, t)) == [(i, 5) for i in range(5)]
    backfill = log(path, 5)
    assert {a["dataChange"] for a in of_kind(backfill, "add")} == {False} and of_kind(backfill, "remove") == []
    assert of_kind(backfill, "domainMetadata") == [
        {
            "domain": "delta.rowTracking",
            "configuration": '{"rowIdHighWaterMark":4,"domainName":"delta.rowTracking"}',
            "removed": False,
        }
    ]
    assert of_kind(log(path, 6), "commitInfo")[0]["tags"] == {"rowTrackingEnablementOnly": "true"}
    before = {row[0]: row[2] for row in ids(spark, t)}
    spark.sql(f"UPDATE {t} SET v = 100 WHERE id = 0")
    assert {row[0]: row[2] for row in ids(spark, t)} == before
    # A table that only supports it gives ids, and forgets them when rows are written again.
    spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableRowTracking' = 'false')")
    spark.sql(f"UPDATE {t} SET v = 200 WHERE id = 1")
    spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableRowTracking' = 'true')")
    again = {row[0]: row[2] for row in ids(spark, t)}
    assert again[1] > max(before.values()) and again[5] == before[5]


def test_the_feature_goes_and_its_traces(spark, tmp_path):
    path = tmp_path / "t"
    t = make(spark, path, "true")
    spark.sql(f"ALTER TABLE {t} DROP FEATURE rowTracking")
    history = [r.operation for r in spark.sql(f"DESCRIBE HISTORY {t}").collect()]
    assert history[:3] == ["DROP FEATURE", "ROW TRACKING UNBACKFILL", "SET TBLPROPERTIES"]
    detail = spark.sql(f"DESCRIBE DETAIL {t}").collect()[0]
    assert "rowTracking" not in detail.tableFeatures and "domainMetadata" in detail.tableFeatures
    assert not [k for k in detail.properties if "rowTracking" in k]
    assert [d["removed"] for d in of_kind(log(path, 5), "domainMetadata")] == [True]
    spark.sql(f"INSERT INTO {t} VALUES (100, 1)")
    assert "baseRowId" not in of_kind(log(path, 6), "add")[0]
    assert len(spark.sql(f"SELECT * FROM {t}").collect()) == 11


def test_suspended_tables_give_no_ids(spark, tmp_path):
    path = tmp_path / "t"
    t = make(spark, path, "true")
    from pyspark.errors import PySparkException

    with pytest.raises(PySparkException) as e:
        spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.rowTrackingSuspended' = 'true')")
    assert e.value.getCondition() == "DELTA_ROW_TRACKING_ILLEGAL_PROPERTY_COMBINATION"
    spark.sql(
        f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableRowTracking' = 'false', 'delta.rowTrackingSuspended' = 'true')"
    )
    spark.sql(f"INSERT INTO {t} VALUES (100, 1)")
    assert "baseRowId" not in of_kind(log(path, 4), "add")[0]


def test_replacing_and_cloning(spark, tmp_path):
    path, clone = tmp_path / "t", tmp_path / "c"
    t = make(spark, path, "false")
    names = {k: v for k, v in spark.sql(f"DESCRIBE DETAIL {t}").collect()[0].properties.items() if "rowTracking." in k}
    spark.sql(f"UPDATE {t} SET v = 1 WHERE id = 0")
    spark.sql(f"CREATE TABLE delta.`{clone}` SHALLOW CLONE {t}").collect()
    # A clone tracks its rows too, by ids and in columns of its own.
    properties = spark.sql(f"DESCRIBE DETAIL delta.`{clone}`").collect()[0].properties
    assert properties["delta.enableRowTracking"] == "true"
    assert not set(names.values()) & set(properties.values())
    assert sorted(row[2:] for row in ids(spark, f"delta.`{clone}`")) == [(i, 0) for i in range(10)]
    spark.sql(f"REPLACE TABLE {t} USING delta AS SELECT 5L AS id, 6L AS v")
    properties = spark.sql(f"DESCRIBE DETAIL {t}").collect()[0].properties
    assert {k: properties[k] for k in names} == names and properties["delta.enableRowTracking"] == "true"
    [(_, _, row_id, version)] = ids(spark, t)
    assert row_id > 9 and version == 4


def test_metadata_column(spark, tmp_path):
    path = tmp_path / "t"
    t = make(spark, path, "true")
    df = spark.read.format("delta").load(str(path))
    file = ["file_path", "file_name", "file_size", "file_block_start", "file_block_length", "file_modification_time"]
    row = ["row_index", "row_id", "base_row_id", "default_row_commit_version", "row_commit_version"]
    assert df.select("_metadata").schema["_metadata"].dataType.names == file + row
    assert df.columns == ["id", "v"]
    got = spark.sql(f"SELECT t.id FROM {t} t WHERE t._metadata.row_id >= 7 ORDER BY t._metadata.row_id DESC").collect()
    assert [r.id for r in got] == [9, 8, 7]
    assert df.select("id").select("_metadata.row_id").count() == 10
    assert df.filter("_metadata.row_id = 3").select("id", df.metadataColumn("_metadata").row_index).collect() == [(3, 3)]
    whole = df.filter("id = 6").select("_metadata").collect()[0]._metadata
    assert (whole.row_id, whole.base_row_id, whole.row_index, whole.file_block_start) == (6, 5, 1, 0)
    assert whole.file_path.endswith(whole.file_name) and whole.file_size == whole.file_block_length
    joined = spark.sql(f"SELECT a._metadata.row_id AS x, b._metadata.row_id AS y FROM {t} a JOIN {t} b ON a.id = b.id + 1")
    assert sorted(map(tuple, joined.collect())) == [(i + 1, i) for i in range(9)]
    assert df.selectExpr("_metadata.row_id AS x").count() == 10
    # A table that does not track its rows tells of files only; a query's rows are in no file.
    from pyspark.errors import PySparkException

    plain = tmp_path / "plain"
    spark.range(3).write.format("delta").save(str(plain))
    assert spark.read.format("delta").load(str(plain)).select("_metadata").schema["_metadata"].dataType.names == file
    for query, error in (
        (f"SELECT _metadata.row_id FROM delta.`{plain}`", "FIELD_NOT_FOUND"),
        (f"SELECT _metadata.* FROM {t}", "CANNOT_RESOLVE_STAR_EXPAND"),
        (f"SELECT _metadata.row_id FROM (SELECT id FROM {t}) s", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
    ):
        with pytest.raises(PySparkException) as e:
            spark.sql(query).collect()
        assert e.value.getCondition() == error, query


def test_metadata_of_files(spark, tmp_path):
    for kind in ("parquet", "json", "csv"):
        path = tmp_path / kind
        spark.range(0, 3, 1, 1).write.format(kind).save(str(path))
        df = spark.read.format(kind).load(str(path))
        [name] = {r.n for r in df.selectExpr("_metadata.file_name AS n").collect()}
        assert (path / name).exists() and len(df.columns) == 1
