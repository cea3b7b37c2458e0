"""ALTER TABLE .. DROP FEATURE of features that files depend on. Expected values are delta-spark's (4.4)."""

import json
import pathlib

import pytest


def condition(spark, statement):
    from pyspark.errors import PySparkException

    with pytest.raises(PySparkException) as e:
        spark.sql(statement).collect()
    return e.value.getCondition()


def rows(spark, query):
    return [tuple(r) for r in spark.sql(query).collect()]


def operations(spark, t):
    return [r.operation for r in spark.sql(f"DESCRIBE HISTORY {t}").collect()]


def log(path, version):
    text = pathlib.Path(path, "_delta_log", f"{version:020}.json").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_column_mapping(spark, tmp_path):
    path = tmp_path / "t"
    t = f"delta.`{path}`"
    spark.sql(
        f"""CREATE TABLE {t} (id BIGINT, p STRING, s STRUCT<a: INT, b: ARRAY<STRUCT<c: INT>>>) USING delta PARTITIONED BY (p)
            TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'false')"""
    )
    spark.sql(f"INSERT INTO {t} VALUES (1, 'x', named_struct('a', 1, 'b', array(named_struct('c', 5)))), (2, 'y', NULL)")
    spark.sql(f"ALTER TABLE {t} RENAME COLUMN id TO key")
    before = rows(spark, f"SELECT * FROM {t} ORDER BY 1")
    spark.sql(f"ALTER TABLE {t} DROP FEATURE columnMapping")
    assert rows(spark, f"SELECT * FROM {t} ORDER BY 1") == before and len(before) == 2
    assert operations(spark, t)[:2] == ["DROP FEATURE", "REMOVE COLUMN MAPPING"]
    detail = spark.sql(f"DESCRIBE DETAIL {t}").collect()[0]
    assert detail.properties == {"delta.enableDeletionVectors": "false", "delta.requireCheckpointProtectionBeforeVersion": "4"}
    assert sorted(detail.tableFeatures) == ["appendOnly", "checkpointProtection", "invariants"]
    assert (detail.minReaderVersion, detail.minWriterVersion) == (1, 7)
    actions = log(path, 3)
    adds = [a["add"] for a in actions if "add" in a]
    assert {a["dataChange"] for a in adds} == {False} and sorted(a["partitionValues"]["p"] for a in adds) == ["x", "y"]
    schema = next(a["metaData"]["schemaString"] for a in actions if "metaData" in a)
    assert "columnMapping" not in schema
    # The old names are in the history, and it is readable.
    assert rows(spark, f"SELECT id FROM {t} VERSION AS OF 1 ORDER BY 1") == [(1,), (2,)]
    spark.sql(f"INSERT INTO {t} VALUES (3, 'x', NULL)")
    assert rows(spark, f"SELECT key FROM {t} WHERE p = 'x' ORDER BY 1") == [(1,), (3,)]


def test_column_mapping_by_property(spark, tmp_path):
    t = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} (ab BIGINT, `c d` INT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    spark.sql(f"INSERT INTO {t} VALUES (1, 2)")
    none = f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')"
    assert condition(spark, none) == "DELTA_INVALID_COLUMN_NAMES_WHEN_REMOVING_COLUMN_MAPPING"
    drop = f"ALTER TABLE {t} DROP FEATURE columnMapping"
    assert condition(spark, drop) == "DELTA_INVALID_COLUMN_NAMES_WHEN_REMOVING_COLUMN_MAPPING"
    spark.sql(f"ALTER TABLE {t} RENAME COLUMN `c d` TO cd")
    spark.sql(none)
    assert operations(spark, t)[0] == "REMOVE COLUMN MAPPING"
    properties = spark.sql(f"DESCRIBE DETAIL {t}").collect()[0].properties
    assert {k: v for k, v in properties.items() if "columnMapping" in k} == {"delta.columnMapping.mode": "none"}
    assert rows(spark, f"SELECT ab, cd FROM {t}") == [(1, 2)]


def test_column_mapping_with_deleted_and_tracked_rows(spark, tmp_path):
    t = f"delta.`{tmp_path / 't'}`"
    spark.sql(
        f"""CREATE TABLE {t} (id BIGINT) USING delta CLUSTER BY (id) TBLPROPERTIES ('delta.columnMapping.mode' = 'name',
            'delta.enableDeletionVectors' = 'true', 'delta.enableRowTracking' = 'true')"""
    )
    spark.sql(f"INSERT INTO {t} SELECT id FROM range(0, 4, 1, 1)")
    spark.sql(f"DELETE FROM {t} WHERE id = 1")
    spark.sql(f"ALTER TABLE {t} DROP FEATURE columnMapping")
    assert rows(spark, f"SELECT id, _metadata.row_id FROM {t} ORDER BY 1") == [(0, 0), (2, 2), (3, 3)]
    assert spark.sql(f"DESCRIBE DETAIL {t}").collect()[0].clusteringColumns == ["id"]
    assert condition(spark, f"ALTER TABLE {t} DROP FEATURE domainMetadata") == "DELTA_FEATURE_DROP_DEPENDENT_FEATURE"


def test_type_widening(spark, tmp_path):
    path = tmp_path / "t"
    t = f"delta.`{path}`"
    spark.sql(
        f"""CREATE TABLE {t} (id INT, s STRUCT<a: SHORT>, d DATE) USING delta
            TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.enableDeletionVectors' = 'false')"""
    )
    spark.sql(f"INSERT INTO {t} VALUES (1, named_struct('a', 2S), DATE'2020-01-01')")
    spark.sql(f"ALTER TABLE {t} ALTER COLUMN id TYPE BIGINT")
    spark.sql(f"ALTER TABLE {t} ALTER COLUMN s.a TYPE INT")
    spark.sql(f"INSERT INTO {t} VALUES (2, named_struct('a', 2), DATE'2020-01-01')")
    truncate = f"ALTER TABLE {t} DROP FEATURE typeWidening TRUNCATE HISTORY"
    assert condition(spark, truncate) == "DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD"
    # What is in the way is gone; the history is not.
    assert operations(spark, t)[:3] == ["DROP FEATURE", "REORG", "UNSET TBLPROPERTIES"]
    # One of the files has the types of now.
    rewritten = [a["remove"] for a in log(path, 6) if "remove" in a]
    assert len(rewritten) == 1 and not rewritten[0]["dataChange"]
    changed = next(a["commitInfo"]["operationParameters"] for a in log(path, 7) if "commitInfo" in a)
    assert [c["name"] for c in json.loads(changed["columns"])] == ["id", "s.a"]
    assert condition(spark, truncate) == "DELTA_FEATURE_DROP_HISTORICAL_VERSIONS_EXIST"
    spark.sql(f"ALTER TABLE {t} DROP FEATURE typeWidening")
    assert rows(spark, f"SELECT id, s.a, CAST(d AS STRING) FROM {t} ORDER BY 1") == [(1, 2, "2020-01-01"), (2, 2, "2020-01-01")]
    assert spark.table(t).schema["id"].dataType.simpleString() == "bigint"
    assert "typeWidening" not in spark.sql(f"DESCRIBE DETAIL {t}").collect()[0].tableFeatures


def test_history_is_truncated_once_it_is_old_enough(spark, tmp_path):
    path = tmp_path / "t"
    t = f"delta.`{path}`"
    spark.sql(f"CREATE TABLE {t} (id INT) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    spark.sql(f"INSERT INTO {t} SELECT id FROM range(0, 5, 1, 1)")
    spark.sql(f"DELETE FROM {t} WHERE id = 2")
    truncate = f"ALTER TABLE {t} DROP FEATURE deletionVectors TRUNCATE HISTORY"
    assert condition(spark, truncate) == "DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD"
    assert condition(spark, truncate) == "DELTA_FEATURE_DROP_HISTORICAL_VERSIONS_EXIST"
    spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.dropFeatureTruncateHistory.retentionDuration' = '0 hours')")
    spark.sql(truncate)
    detail = spark.sql(f"DESCRIBE DETAIL {t}").collect()[0]
    # Nothing keeps the log from being cut, and no reader needs to know what was.
    assert sorted(detail.tableFeatures) == ["appendOnly", "invariants"]
    assert (detail.minReaderVersion, detail.minWriterVersion) == (1, 2)
    assert rows(spark, f"SELECT id FROM {t} ORDER BY id") == [(0,), (1,), (3,), (4,)]
    assert operations(spark, t) == ["DROP FEATURE", "SET TBLPROPERTIES"]
    assert condition(spark, f"SELECT * FROM {t} VERSION AS OF 1") == "DELTA_VERSION_NOT_FOUND"
