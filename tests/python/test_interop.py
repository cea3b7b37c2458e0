"""Tables that we write are read and changed by other programs, and theirs by us."""

import datetime
import decimal
import pathlib

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake

ALL_TYPES = """
SELECT id, CAST(id AS TINYINT) AS t, CAST(id AS SMALLINT) AS s, CAST(id AS INT) AS i, CAST(id AS FLOAT) / 3 AS f, id / 7 AS d,
       CAST(id AS DECIMAL(20, 3)) AS dec, CAST(id AS STRING) AS str, CAST(CAST(id AS STRING) AS BINARY) AS bin, id % 2 = 0 AS b,
       date_add(DATE'2020-01-01', CAST(id AS INT)) AS date, timestamp_micros(id * 1000001) AS ts,
       array(id, NULL) AS arr, map('k', id) AS m, named_struct('x', id, 'y', array('a')) AS st, IF(id % 3 = 0, NULL, id) AS n
FROM range(20)
"""


def rows_of(table):
    """Rows of an Arrow table, sorted, to be compared."""
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)


def read_other(path, **options):
    """What the wheel reads, by its engine: its Arrow data set does not know deletion vectors."""
    rows = QueryBuilder().register("t", DeltaTable(str(path), **options)).execute("SELECT * FROM t").read_all()
    return pa.table(rows)


def test_all_types_are_read_by_deltalake(spark, tmp_path):
    path = str(tmp_path / "t")
    spark.sql(ALL_TYPES).write.format("delta").save(path)
    other = read_other(path)
    assert other.num_rows == 20
    by_id = {row["id"]: row for row in other.to_pylist()}
    row = by_id[6]
    assert (row["t"], row["s"], row["i"], row["d"], row["str"], row["bin"], row["b"]) == (6, 6, 6, 6 / 7, "6", b"6", True)
    assert row["dec"] == decimal.Decimal("6.000") and row["date"] == datetime.date(2020, 1, 7) and row["n"] is None
    assert row["ts"] == datetime.datetime(1970, 1, 1, 0, 0, 6, 6, tzinfo=datetime.timezone.utc)
    assert (row["arr"], dict(row["m"]), row["st"]) == ([6, None], {"k": 6}, {"x": 6, "y": ["a"]})


@pytest.mark.parametrize("vectors", ["true", "false"])
def test_changes_are_read_by_deltalake_and_duckdb(spark, tmp_path, vectors):
    path = str(tmp_path / "t")
    rows = spark.range(0, 100, 1, 4).selectExpr("id", "id % 5 AS p", "id * 2 AS v").write.format("delta")
    rows.option("delta.enableDeletionVectors", vectors).partitionBy("p").save(path)
    spark.sql(f"UPDATE delta.`{path}` SET v = -1 WHERE id < 10")
    spark.sql(f"DELETE FROM delta.`{path}` WHERE p = 3 OR id = 50")
    spark.sql(
        f"""MERGE INTO delta.`{path}` t USING (SELECT id, id % 5 AS p FROM range(90, 110)) s ON t.id = s.id
            WHEN MATCHED THEN UPDATE SET v = 0 WHEN NOT MATCHED THEN INSERT (id, p, v) VALUES (s.id, s.p, 7)"""
    )
    ours = sorted((tuple(row) for row in spark.read.format("delta").load(path).collect()), key=repr)
    other = read_other(path)
    assert rows_of(other.select(["id", "p", "v"])) == ours
    files = DeltaTable(path).file_uris()
    if vectors == "false":
        total = duckdb.execute("SELECT count(*), sum(v) FROM read_parquet(?)", [files]).fetchone()
        assert total == (len(ours), sum(row[2] for row in ours))
    for version in range(4):
        mine = spark.read.format("delta").option("versionAsOf", version).load(path).count()
        assert read_other(path, version=version).num_rows == mine


def test_a_long_history_with_checkpoints(spark, tmp_path):
    path = str(tmp_path / "t")
    for i in range(23):
        spark.range(i, i + 1).write.format("delta").mode("append").save(path)
    assert list((tmp_path / "t" / "_delta_log").glob("*.checkpoint*.parquet"))
    assert rows_of(read_other(path)) == [(i,) for i in sorted(range(23), key=lambda i: repr((i,)))]
    assert DeltaTable(path).version() == 22
    assert len(DeltaTable(path).history()) == 23


def test_their_table_is_read_and_changed_by_us(spark, tmp_path):
    path = str(tmp_path / "t")
    data = pa.table({"id": list(range(50)), "p": [i % 3 for i in range(50)], "v": [float(i) for i in range(50)]})
    write_deltalake(path, data, partition_by=["p"])
    write_deltalake(path, data.slice(0, 5), mode="append")
    DeltaTable(path).delete("id = 7")
    DeltaTable(path).update(predicate="id = 8", updates={"v": "-8.0"})
    ours = spark.read.format("delta").load(path)
    assert sorted((tuple(r) for r in ours.collect()), key=repr) == rows_of(read_other(path))
    spark.sql(f"DELETE FROM delta.`{path}` WHERE p = 1")
    spark.sql(f"UPDATE delta.`{path}` SET v = v + 100 WHERE id % 2 = 0")
    spark.sql(f"OPTIMIZE delta.`{path}`")
    spark.range(100, 103).selectExpr("id", "0L AS p", "CAST(1 AS DOUBLE) AS v").write.format("delta").mode("append").save(path)
    assert sorted((tuple(r) for r in ours.collect()), key=repr) == rows_of(read_other(path))
    # And they go on.
    DeltaTable(path).merge(
        pa.table({"id": [100, 500], "p": [0, 2], "v": [9.0, 9.0]}), "t.id = s.id", source_alias="s", target_alias="t"
    ).when_matched_update_all().when_not_matched_insert_all().execute()
    DeltaTable(path).optimize.compact()
    fresh = spark.read.format("delta").load(path)
    assert sorted((tuple(r) for r in fresh.collect()), key=repr) == rows_of(read_other(path))
    assert fresh.where("id IN (100, 500)").agg({"v": "sum"}).first()[0] == 18.0


def test_writers_take_turns(spark, tmp_path):
    """Both append to one table, each seeing what the other did, over a checkpoint of each."""
    path = str(tmp_path / "t")
    spark.range(0).write.format("delta").save(path)
    for i in range(24):
        if i % 2:
            write_deltalake(path, pa.table({"id": [i]}), mode="append")
        else:
            spark.range(i, i + 1).write.format("delta").mode("append").save(path)
        assert spark.read.format("delta").load(path).count() == i + 1
        assert read_other(path).num_rows == i + 1
    DeltaTable(path).create_checkpoint()
    assert spark.read.format("delta").load(path).agg({"id": "sum"}).first()[0] == 23 * 24 // 2


def test_schema_changes_are_read_by_deltalake(spark, tmp_path):
    path = str(tmp_path / "t")
    spark.range(3).write.format("delta").save(path)
    added = spark.range(3, 5).selectExpr("id", "'new' AS name")
    added.write.format("delta").mode("append").option("mergeSchema", True).save(path)
    spark.sql(f"ALTER TABLE delta.`{path}` ADD COLUMN more INT")
    other = read_other(path)
    assert other.column_names == ["id", "name", "more"]
    assert pc.sum(other["id"]).as_py() == 10 and other["name"].null_count == 3 and other["more"].null_count == 5


def test_statistics_are_those_of_the_rows(spark, tmp_path):
    path = str(tmp_path / "t")
    spark.range(0, 1000, 1, 3).selectExpr("id", "CAST(id AS STRING) AS s", "IF(id < 10, NULL, id) AS n").write.format("delta").save(path)
    adds = pa.table(DeltaTable(path).get_add_actions(flatten=True)).to_pylist()
    assert sum(a["num_records"] for a in adds) == 1000
    assert min(a["min.id"] for a in adds) == 0 and max(a["max.id"] for a in adds) == 999
    assert sum(a["null_count.n"] for a in adds) == 10


@pytest.mark.parametrize("codec", ["snappy", "zstd", "gzip", "uncompressed"])
def test_codecs(spark, tmp_path, codec):
    path = str(tmp_path / codec)
    spark.range(100).write.format("delta").option("compression", codec).save(path)
    assert read_other(path).num_rows == 100


# More distinct values than a dictionary of Parquet holds (1 MB), and the widest steps between them.
MANY_VALUES = """
SELECT id, IF(id % 2 = 0, 9223372036854775807L - id, -9223372036854775807L + id) AS l, CAST(id * 31 % 400009 AS INT) AS i,
       IF(id % 7 = 0, NULL, id * 7919 % 1000003) AS n, date_add(DATE'1000-01-01', CAST(id AS INT)) AS day,
       timestamp_micros(id * 1000003) AS ts, CAST(id * 17 / 100 AS DECIMAL(15, 2)) AS dec, array(id, -id) AS arr,
       named_struct('x', id * 3) AS st
FROM range(0, 400000, 1, 1)
"""


@pytest.mark.parametrize("iceberg", ["false", "true"])
def test_numbers_without_a_dictionary_are_read_by_others(spark, tmp_path, iceberg):
    path = str(tmp_path / "t")
    rows = spark.sql(MANY_VALUES).write.format("delta").option("delta.enableIcebergCompatV2", iceberg)
    rows.option("delta.columnMapping.mode", "name" if iceberg == "true" else "none").save(path)
    ours = spark.read.format("delta").load(path).toArrow().sort_by("id")
    assert ours.num_rows == 400000
    assert ours.filter(pc.equal(ours["id"], 77777)).to_pylist()[0] | {"ts": None} == {
        "id": 77777, "l": -9223372036854775807 + 77777, "i": 77777 * 31 % 400009, "n": None,
        "day": datetime.date(1000, 1, 1) + datetime.timedelta(77777), "ts": None, "dec": decimal.Decimal("13222.09"),
        "arr": [77777, -77777], "st": {"x": 77777 * 3},
    }  # fmt: skip
    [file] = DeltaTable(path).file_uris() if iceberg == "false" else [str(f) for f in pathlib.Path(path).glob("*.parquet")]
    footer = pq.ParquetFile(file).metadata.row_group(0)
    encodings = {footer.column(i).path_in_schema: footer.column(i).encodings for i in range(footer.num_columns)}
    assert len(encodings) == 9
    for column, names in encodings.items():
        # Readers of Iceberg know plain numbers only.
        assert ("DELTA_BINARY_PACKED" in names) == (iceberg == "false"), column
    for other in (pq.read_table(file), duckdb.connect().execute(f"FROM '{file}'").to_arrow_table()):
        other = other.rename_columns(ours.column_names).sort_by("id")
        for column in ours.column_names:
            mine, theirs = numbers(ours[column]), numbers(other[column])
            assert theirs.cast(mine.type).combine_chunks().equals(mine.combine_chunks()), column


def numbers(column):
    """The one field of a struct, whose name in files may be another."""
    return pc.struct_field(column, [0]) if pa.types.is_struct(column.type) else column
