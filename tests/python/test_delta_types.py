"""Columns of types that tables must ask for: timestamps without time zone and variants. Expected values are delta-spark's."""

import json
import pathlib

import pytest


def condition(spark, statement):
    from pyspark.errors import PySparkException

    with pytest.raises(PySparkException) as e:
        spark.sql(statement).collect()
    return e.value.getCondition()


def stats(path, version):
    text = pathlib.Path(path, "_delta_log", f"{version:020}.json").read_text()
    adds = [json.loads(line)["add"] for line in text.splitlines() if '"add"' in line]
    return [json.loads(a["stats"]) for a in adds], [a["partitionValues"] for a in adds]


def test_timestamps_without_time_zone(spark, tmp_path):
    path = tmp_path / "n"
    t = f"delta.`{path}`"
    spark.sql(
        f"""CREATE TABLE {t} (id INT, n TIMESTAMP_NTZ, d DATE GENERATED ALWAYS AS (CAST(n AS DATE)), p TIMESTAMP_NTZ)
            USING delta PARTITIONED BY (p)"""
    )
    assert "timestampNtz" in spark.sql(f"DESCRIBE DETAIL {t}").collect()[0].tableFeatures
    spark.sql(
        f"""INSERT INTO {t} (id, n, p) VALUES
            (1, TIMESTAMP_NTZ'2020-01-01 10:00:00.123456', TIMESTAMP_NTZ'2020-01-01 00:00:00'), (2, NULL, NULL),
            (3, TIMESTAMP_NTZ'1969-12-31 23:59:59.999999', TIMESTAMP_NTZ'2021-06-01 01:02:03.5')"""
    )
    # Bounds are cut to milliseconds; rows behind them are found all the same.
    found, _ = stats(path, 1)
    assert sorted(s["minValues"].get("n", "") for s in found) == ["", "1969-12-31T23:59:59.999", "2020-01-01T10:00:00.123"]
    for where, ids in (
        ("n = TIMESTAMP_NTZ'2020-01-01 10:00:00.123456'", [1]),
        ("n < TIMESTAMP_NTZ'2000-01-01 00:00:00'", [3]),
        ("p = TIMESTAMP_NTZ'2021-06-01 01:02:03.5'", [3]),
        ("p IS NULL", [2]),
    ):
        assert [r.id for r in spark.sql(f"SELECT id FROM {t} WHERE {where}").collect()] == ids, where
    spark.sql(f"UPDATE {t} SET n = TIMESTAMP_NTZ'2020-02-02 00:00:00' WHERE id = 2")
    got = spark.sql(f"SELECT id, CAST(n AS STRING), CAST(d AS STRING), CAST(p AS STRING) FROM {t} ORDER BY id").collect()
    assert [tuple(r) for r in got] == [
        (1, "2020-01-01 10:00:00.123456", "2020-01-01", "2020-01-01 00:00:00"),
        (2, "2020-02-02 00:00:00", "2020-02-02", None),
        (3, "1969-12-31 23:59:59.999999", "1969-12-31", "2021-06-01 01:02:03.5"),
    ]
    # The table is ordered although a column is generated.
    spark.sql(f"OPTIMIZE {t} ZORDER BY (n)").collect()
    assert spark.sql(f"SELECT count(*) FROM {t}").collect()[0][0] == 3


def test_tables_that_exist_are_asked_first(spark, tmp_path):
    t = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} (id INT) USING delta")
    add = f"ALTER TABLE {t} ADD COLUMN n TIMESTAMP_NTZ"
    assert condition(spark, add) == "DELTA_FEATURES_REQUIRE_MANUAL_ENABLEMENT"
    nested = f"ALTER TABLE {t} ADD COLUMN s STRUCT<a: INT, n: TIMESTAMP_NTZ>"
    assert condition(spark, nested) == "DELTA_FEATURES_REQUIRE_MANUAL_ENABLEMENT"
    spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.feature.timestampNtz' = 'supported')")
    spark.sql(add)
    assert spark.table(t).columns == ["id", "n"]
    assert condition(spark, f"ALTER TABLE {t} DROP FEATURE timestampNtz") == "DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE"


@pytest.mark.parametrize("column", ["VARIANT", "STRUCT<a: INT, n: VARIANT>"])
def test_variants_come_to_tables_that_exist(spark, tmp_path, column):
    """As to those of delta-spark 4.4, which gives them the feature by itself."""
    t = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} (id INT) USING delta")
    spark.sql(f"ALTER TABLE {t} ADD COLUMN n {column}")
    assert spark.table(t).columns == ["id", "n"]
    assert condition(spark, f"ALTER TABLE {t} DROP FEATURE variantType") == "DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE"


def test_timestamps_are_read_by_the_wheel(spark, tmp_path):
    import datetime

    import deltalake

    path = tmp_path / "n"
    spark.sql(f"CREATE TABLE delta.`{path}` (id INT, n TIMESTAMP_NTZ) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')")
    spark.sql(f"INSERT INTO delta.`{path}` VALUES (1, TIMESTAMP_NTZ'2020-01-01 10:00:00.123456')")
    moment = datetime.datetime(2020, 1, 1, 10, 0, 0, 123456)
    rows = deltalake.DeltaTable(str(path)).to_pyarrow_table().to_pylist()
    assert rows == [{"id": 1, "n": moment}]
    import pyarrow as pa

    theirs = tmp_path / "theirs"
    deltalake.write_deltalake(str(theirs), pa.table({"n": pa.array([moment], pa.timestamp("us"))}))
    df = spark.read.format("delta").load(str(theirs))
    assert df.schema.simpleString() == "struct<n:timestamp_ntz>" and df.collect()[0].n == moment


def test_variants(spark, tmp_path):
    path = tmp_path / "v"
    t = f"delta.`{path}`"
    spark.sql(f"CREATE TABLE {t} (id INT, v VARIANT, s STRUCT<a: INT, v: VARIANT>, m MAP<STRING, VARIANT>, l ARRAY<VARIANT>) USING delta")
    spark.sql(
        f"""INSERT INTO {t} SELECT 1, parse_json('{{"a":1,"b":[1,"x"]}}'), named_struct('a', 1, 'v', parse_json('2')),
            map('k', parse_json('3')), array(parse_json('4'))"""
    )
    spark.sql(f"INSERT INTO {t} SELECT 2, NULL, NULL, NULL, NULL")
    spark.sql(f"INSERT INTO {t} SELECT 3, parse_json('null'), named_struct('a', 1, 'v', NULL), map(), array()")
    query = f"SELECT id, v:a::int, to_json(v), to_json(s), to_json(m), to_json(l), v IS NULL FROM {t} ORDER BY id"
    assert [tuple(r) for r in spark.sql(query).collect()] == [
        (1, 1, '{"a":1,"b":[1,"x"]}', '{"a":1,"v":2}', '{"k":3}', "[4]", False),
        (2, None, None, None, None, None, True),
        (3, None, "null", '{"a":1}', "{}", "[]", False),
    ]
    # A variant has a count of NULLs and no bounds.
    [one], _ = stats(path, 1)
    assert one["nullCount"] == {"id": 0, "v": 0, "s": {"a": 0, "v": 0}, "m": 0, "l": 0}
    assert one["minValues"] == {"id": 1, "s": {"a": 1}}
    assert stats(path, 2)[0][0]["nullCount"]["v"] == 1
    spark.sql(f"UPDATE {t} SET v = parse_json('7') WHERE id = 1")
    spark.sql(
        f"""MERGE INTO {t} t USING (SELECT 2 id, parse_json('[1]') v) s ON t.id = s.id
            WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)"""
    )
    spark.sql(f"OPTIMIZE {t}").collect()
    got = spark.sql(f"SELECT id, to_json(v), to_json(l) FROM {t} ORDER BY id").collect()
    assert [tuple(r) for r in got] == [(1, "7", "[4]"), (2, "[1]", None), (3, "null", "[]")]
    assert [r.id for r in spark.sql(f"SELECT id FROM {t} WHERE try_variant_get(v, '$', 'int') = 7").collect()] == [1]
    assert condition(spark, f"OPTIMIZE {t} ZORDER BY (v)") == "DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS"
    # Readers of files alone are told what the column is.
    import pyarrow.parquet

    [file] = spark.sql(f"SELECT DISTINCT _metadata.file_name AS f FROM {t}").collect()
    assert str(pyarrow.parquet.ParquetFile(path / file.f).schema).count("(Variant(1))") == 4
