"""Statements about whole Delta tables, and the methods of `DeltaTable` that do the same: CLONE, CONVERT, REORG, GENERATE,
VACUUM, INSERT .. REPLACE, the protocol and its features."""

import json
import pathlib

import pytest


def rows(df):
    return sorted((tuple(r) for r in df.collect()), key=lambda row: [(v is None, v) for v in row])


def last(spark, table):
    return spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").collect()[0]


def condition(spark, statement):
    from pyspark.errors import PySparkException

    with pytest.raises(PySparkException) as e:
        spark.sql(statement).collect()
    return e.value.getCondition()


def log(path, version=None):
    files = sorted(pathlib.Path(path, "_delta_log").glob("*.json"))
    text = (files[-1] if version is None else files[version]).read_text()
    return [json.loads(line) for line in text.splitlines()]


def data_files(path):
    return sorted(p for p in pathlib.Path(path).rglob("*.parquet") if "_delta_log" not in p.parts)


@pytest.fixture
def source(spark, tmp_path):
    """Ten rows in two versions."""
    path = tmp_path / "source"
    spark.range(0, 5, 1, 1).selectExpr("id", "id % 2 AS p").write.format("delta").partitionBy("p").save(str(path))
    spark.range(5, 10, 1, 1).selectExpr("id", "id % 2 AS p").write.format("delta").mode("append").save(str(path))
    return path


def test_shallow_clone(spark, source, tmp_path):
    clone = tmp_path / "clone"
    got = spark.sql(f"CREATE TABLE delta.`{clone}` SHALLOW CLONE delta.`{source}`").collect()[0]
    assert (got.source_num_of_files, got.num_copied_files) == (4, 0)
    assert rows(spark.sql(f"SELECT * FROM delta.`{clone}`")) == rows(spark.sql(f"SELECT * FROM delta.`{source}`"))
    assert data_files(clone) == []
    history = last(spark, f"delta.`{clone}`")
    assert history.operation == "CLONE"
    assert history.operationParameters["sourceVersion"] == "1"
    # Each goes its own way from here.
    spark.sql(f"DELETE FROM delta.`{clone}` WHERE id < 3")
    spark.sql(f"INSERT INTO delta.`{source}` VALUES (99, 1)")
    assert spark.sql(f"SELECT count(*) FROM delta.`{clone}`").collect()[0][0] == 7
    assert spark.sql(f"SELECT count(*) FROM delta.`{source}`").collect()[0][0] == 11


def test_clones_of_a_version_and_by_name(spark, source):
    spark.sql("DROP TABLE IF EXISTS cloned")
    spark.sql(
        f"CREATE TABLE cloned SHALLOW CLONE delta.`{source}` VERSION AS OF 0 TBLPROPERTIES ('delta.appendOnly' = 'true', 'x' = 'y')"
    )
    assert spark.table("cloned").count() == 5
    properties = {r.key: r.value for r in spark.sql("SHOW TBLPROPERTIES cloned").collect()}
    assert properties["delta.appendOnly"] == "true" and properties["x"] == "y"
    assert condition(spark, f"CREATE TABLE cloned SHALLOW CLONE delta.`{source}`") == "DELTA_TABLE_ALREADY_EXISTS"
    spark.sql(f"CREATE TABLE IF NOT EXISTS cloned SHALLOW CLONE delta.`{source}`")
    assert spark.table("cloned").count() == 5
    assert condition(spark, "CREATE TABLE other SHALLOW CLONE no_such_table") == "TABLE_OR_VIEW_NOT_FOUND"
    spark.sql("DROP TABLE cloned")
    assert spark.read.format("delta").load(str(source)).count() == 10


def test_deep_clone_copies(spark, source, tmp_path):
    clone = tmp_path / "deep"
    got = spark.sql(f"CREATE TABLE delta.`{clone}` DEEP CLONE delta.`{source}`").collect()[0]
    assert got.num_copied_files == 4 and len(data_files(clone)) == 4
    for file in data_files(source):
        file.unlink()
    assert spark.read.format("delta").load(str(clone)).count() == 10


def test_clone_with_deletion_vectors(spark, source, tmp_path):
    spark.sql(f"ALTER TABLE delta.`{source}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    spark.sql(f"DELETE FROM delta.`{source}` WHERE id IN (1, 6)")
    for kind in ("SHALLOW", "DEEP"):
        clone = tmp_path / kind
        spark.sql(f"CREATE TABLE delta.`{clone}` {kind} CLONE delta.`{source}`")
        assert spark.read.format("delta").load(str(clone)).count() == 8


def test_delta_table_clone(spark, source, tmp_path):
    from delta.tables import DeltaTable

    table = DeltaTable.forPath(spark, str(source))
    spark.sql("DROP TABLE IF EXISTS api_clone")
    table.clone("api_clone", isShallow=True, properties={"made": "here"})
    assert spark.table("api_clone").count() == 10
    table.cloneAtVersion(0, "api_clone", isShallow=True, replace=True)
    assert spark.table("api_clone").count() == 5
    table.clone(str(tmp_path / "by_path"), isShallow=False)
    assert spark.read.format("delta").load(str(tmp_path / "by_path")).count() == 10


def test_convert_to_delta(spark, tmp_path):
    from delta.tables import DeltaTable

    path = tmp_path / "plain"
    spark.range(10).selectExpr("id", "CAST(id AS STRING) AS s").write.parquet(str(path))
    spark.sql(f"CONVERT TO DELTA parquet.`{path}`")
    assert spark.read.format("delta").load(str(path)).count() == 10
    history = last(spark, f"delta.`{path}`")
    assert history.operation == "CONVERT" and history.operationParameters["collectStats"] == "true"
    stats = [json.loads(a["add"]["stats"]) for a in log(path) if "add" in a]
    assert sum(s["numRecords"] for s in stats) == 10 and min(s["minValues"]["id"] for s in stats) == 0
    spark.sql(f"DELETE FROM delta.`{path}` WHERE id < 4")
    assert spark.read.format("delta").load(str(path)).count() == 6
    # Once more changes nothing.
    spark.sql(f"CONVERT TO DELTA delta.`{path}`")

    parted = tmp_path / "parted"
    spark.range(10).selectExpr("id", "id % 3 AS p").write.partitionBy("p").parquet(str(parted))
    assert (
        condition(spark, f"CONVERT TO DELTA parquet.`{parted}`") == "DELTA_UNEXPECTED_NUM_PARTITION_COLUMNS_FROM_FILE_NAME"
    )
    table = DeltaTable.convertToDelta(spark, f"parquet.`{parted}`", "p INT")
    assert rows(table.toDF().groupBy("p").count()) == [(0, 4), (1, 3), (2, 3)]
    assert spark.sql(f"DESCRIBE DETAIL delta.`{parted}`").collect()[0].partitionColumns == ["p"]
    assert condition(spark, f"CONVERT TO DELTA json.`{tmp_path}`") == "DELTA_CONVERT_NON_PARQUET_TABLE"


def test_convert_a_table_of_the_catalog(spark):
    spark.sql("DROP TABLE IF EXISTS to_convert")
    spark.sql("CREATE TABLE to_convert (id BIGINT, p STRING) USING parquet PARTITIONED BY (p)")
    spark.sql("INSERT INTO to_convert VALUES (1, 'a'), (2, 'b')")
    spark.sql("CONVERT TO DELTA to_convert NO STATISTICS")
    spark.sql("UPDATE to_convert SET id = 3 WHERE p = 'b'")
    assert rows(spark.table("to_convert")) == [(1, "a"), (3, "b")]
    assert spark.sql("DESCRIBE DETAIL to_convert").collect()[0].format == "delta"


def test_reorg_purges_deleted_rows(spark, source):
    spark.sql(f"ALTER TABLE delta.`{source}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    spark.sql(f"DELETE FROM delta.`{source}` WHERE id = 2")
    spark.sql(f"REORG TABLE delta.`{source}` APPLY (PURGE)")
    detail = spark.sql(f"DESCRIBE DETAIL delta.`{source}`").collect()[0]
    assert detail.statistics["numDeletionVectors"] == 0
    assert spark.read.format("delta").load(str(source)).count() == 9


def test_generate_manifest(spark, source):
    from delta.tables import DeltaTable

    DeltaTable.forPath(spark, str(source)).generate("symlink_format_manifest")
    manifests = sorted((source / "_symlink_format_manifest").rglob("manifest"))
    assert [m.parent.name for m in manifests] == ["p=0", "p=1"]
    listed = [line for m in manifests for line in m.read_text().splitlines()]
    assert sorted(line.removeprefix("file:") for line in listed) == [str(p) for p in data_files(source)]
    spark.sql(f"DELETE FROM delta.`{source}` WHERE p = 1")
    spark.sql(f"GENERATE symlink_format_manifest FOR TABLE delta.`{source}`")
    assert [m.parent.name for m in (source / "_symlink_format_manifest").rglob("manifest")] == ["p=0"]
    assert condition(spark, f"GENERATE other FOR TABLE delta.`{source}`") == "DELTA_MODE_NOT_SUPPORTED"


def test_vacuum_with_an_inventory(spark, source, tmp_path):
    spark.sql(f"ALTER TABLE delta.`{source}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')")
    spark.sql(f"DELETE FROM delta.`{source}`")
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    files = data_files(source)
    listed = [(str(p), p.stat().st_size, False, 0) for p in files[:2]] + [(str(source), 0, True, 0)]
    frame = spark.createDataFrame(listed, "path STRING, length BIGINT, isDir BOOLEAN, modificationTime BIGINT")
    frame.createOrReplaceTempView("inventory")
    found = spark.sql(f"VACUUM delta.`{source}` USING INVENTORY inventory RETAIN 0 HOURS DRY RUN").collect()
    assert len(found) == 2
    spark.sql(f"VACUUM delta.`{source}` USING INVENTORY (SELECT * FROM inventory LIMIT 1) RETAIN 0 HOURS")
    assert len(data_files(source)) == len(files) - 1
    spark.sql(f"VACUUM delta.`{source}` FULL RETAIN 0 HOURS")
    assert data_files(source) == []
    assert condition(spark, f"VACUUM delta.`{source}` USING INVENTORY (SELECT 1 AS path)") == "DELTA_INVALID_INVENTORY_SCHEMA"


def test_vacuum_modes(spark, source):
    t = f"delta.`{source}`"
    spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')")
    spark.sql(f"INSERT OVERWRITE {t} SELECT 100L, 1L")
    kept = spark.table(t).inputFiles()
    stray = source / "stray.parquet"
    stray.write_bytes(b"left by a writer that died")
    before = data_files(source)
    assert condition(spark, f"VACUUM {t} RETAIN 0 HOURS") == "DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT"
    spark.sql(f"VACUUM {t} RETAIN 7 DAYS")
    spark.sql(f"VACUUM {t}")
    assert data_files(source) == before
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    # LITE looks at the log only, and never sees what no commit named.
    listed = {r.path.rpartition("/")[2] for r in spark.sql(f"VACUUM {t} LITE RETAIN 0 HOURS DRY RUN").collect()}
    assert listed == {p.name for p in before if p != stray and not any(k.endswith(p.name) for k in kept)}
    assert data_files(source) == before
    spark.sql(f"VACUUM {t} LITE RETAIN 0 HOURS")
    assert len(data_files(source)) == len(kept) + 1 and stray.exists()
    spark.sql(f"VACUUM {t} FULL RETAIN 0 DAYS")
    assert len(data_files(source)) == len(kept) and not stray.exists()
    assert rows(spark.table(t)) == [(100, 1)]


def test_files_have_the_size_that_the_table_wants(spark):
    spark.sql("CREATE OR REPLACE TABLE sized (id BIGINT, x STRING) TBLPROPERTIES ('delta.targetFileSize' = '200kb')")
    for i in range(16):
        spark.sql(f"SELECT id, uuid() AS x FROM range({i * 1250}, {(i + 1) * 1250}, 1, 1)").write.format("delta").mode("append").saveAsTable("sized")
    total = spark.sql("DESCRIBE DETAIL sized").first().sizeInBytes
    spark.sql("OPTIMIZE sized")
    detail = spark.sql("DESCRIBE DETAIL sized").first()
    assert 200_000 * 2 < total and total / 200_000 * 0.5 < detail.numFiles < min(16, total / 200_000 * 2), (total, detail.numFiles)
    assert spark.sql("SELECT count(*), sum(id) FROM sized").first()[:] == (20_000, 20_000 * 19_999 // 2)


def test_analyze(spark):
    spark.sql("CREATE OR REPLACE TABLE analyzed (id INT, v STRING)")
    spark.sql("INSERT INTO analyzed VALUES (1, 'a'), (5, 'b'), (3, NULL), (3, 'b')")
    spark.sql("ANALYZE TABLE analyzed COMPUTE STATISTICS FOR ALL COLUMNS")
    told = {r.info_name: r.info_value for r in spark.sql("DESCRIBE EXTENDED analyzed id").collect()}
    assert (told["min"], told["max"], told["num_nulls"], told["distinct_count"]) == ("1", "5", "0", "3")
    told = {r.info_name: r.info_value for r in spark.sql("DESCRIBE EXTENDED analyzed v").collect()}
    assert (told["num_nulls"], told["distinct_count"]) == ("1", "2")
    spark.sql("ANALYZE TABLE analyzed COMPUTE STATISTICS")
    [statistics] = [r.data_type for r in spark.sql("DESCRIBE EXTENDED analyzed").collect() if r.col_name == "Statistics"]
    assert statistics.endswith(", 4 rows")
    assert condition(spark, "ANALYZE TABLE analyzed COMPUTE DELTA STATISTICS") == "UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE"


def test_insert_replace(spark):
    spark.sql("CREATE OR REPLACE TABLE replaced (k INT, v STRING)")
    spark.sql("INSERT INTO replaced VALUES (1, 'a'), (1, 'b'), (2, 'c'), (NULL, 'n')")
    spark.sql("INSERT INTO replaced REPLACE USING (k) SELECT * FROM VALUES (1, 'x'), (3, 'y'), (NULL, 'm') AS s(k, v)")
    assert rows(spark.table("replaced")) == [(1, "x"), (2, "c"), (3, "y"), (None, "m"), (None, "n")]
    spark.sql(
        "INSERT INTO replaced AS t REPLACE ON t.k <=> s.k (SELECT * FROM VALUES (CAST(NULL AS INT), 'z'), (2, 'w') AS q(k, v)) AS s"
    )
    assert rows(spark.table("replaced")) == [(1, "x"), (2, "w"), (3, "y"), (None, "z")]
    spark.sql("INSERT INTO replaced REPLACE USING (k) SELECT * FROM replaced WHERE false")
    assert spark.table("replaced").count() == 4


def test_protocol(spark, tmp_path):
    from delta.tables import DeltaTable

    path = str(tmp_path / "t")
    spark.sql(f"CREATE TABLE delta.`{path}` (id BIGINT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')")
    table = DeltaTable.forPath(spark, path)
    table.upgradeTableProtocol(1, 3)
    detail = table.detail().collect()[0]
    assert (detail.minReaderVersion, detail.minWriterVersion) == (1, 3)
    assert last(spark, f"delta.`{path}`").operation == "SET TBLPROPERTIES"
    table.addFeatureSupport("deletionVectors")
    assert "deletionVectors" in table.detail().collect()[0].tableFeatures
    spark.sql(f"ALTER TABLE delta.`{path}` ADD FEATURE v2Checkpoint")
    assert "v2Checkpoint" in table.detail().collect()[0].tableFeatures
    table.dropFeatureSupport("v2Checkpoint")
    assert "v2Checkpoint" not in table.detail().collect()[0].tableFeatures
    spark.range(4).write.format("delta").mode("append").save(path)
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    spark.sql(f"DELETE FROM delta.`{path}` WHERE id = 1")
    spark.sql(f"ALTER TABLE delta.`{path}` DROP FEATURE deletionVectors")
    assert "deletionVectors" not in table.detail().collect()[0].tableFeatures
    assert table.toDF().count() == 3
    assert condition(spark, f"ALTER TABLE delta.`{path}` DROP FEATURE deletionVectors") == "DELTA_FEATURE_DROP_FEATURE_NOT_PRESENT"
    assert condition(spark, f"ALTER TABLE delta.`{path}` DROP FEATURE warpDrive") == "DELTA_FEATURE_DROP_UNSUPPORTED_CLIENT_FEATURE"
    assert condition(spark, f"ALTER TABLE delta.`{path}` DROP FEATURE appendOnly") == "DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE"
