"""Settings of a session that concern Delta tables, beside those of writes (`scenarios_write.py`)."""

import pytest
from pyspark.errors import AnalysisException

DELTA = "spark.databricks.delta."


def table(spark, tmp_path, properties="'a' = 'b'", columns="id BIGINT"):
    name = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {name} ({columns}) USING delta TBLPROPERTIES ({properties})")
    return name


def versions(tmp_path):
    return len(list((tmp_path / "t" / "_delta_log").glob("*.json")))


def protocol(spark, name):
    return list(spark.sql(f"DESCRIBE DETAIL {name}").select("minReaderVersion", "minWriterVersion").first())


def test_the_last_commit_of_a_session(spark, tmp_path):
    def last():
        return spark.conf.get(DELTA + "lastCommitVersionInSession", None)

    assert last() is None
    t = table(spark, tmp_path)
    assert last() == "0"
    statements = {
        f"INSERT INTO {t} VALUES (1), (2)": "1",
        f"UPDATE {t} SET id = 3 WHERE id = 2": "2",
        f"DELETE FROM {t} WHERE id = 100": "2",
        f"MERGE INTO {t} t USING (SELECT 1L AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE": "3",
        f"ALTER TABLE {t} SET TBLPROPERTIES ('c' = 'd')": "4",
        f"RESTORE TABLE {t} TO VERSION AS OF 1": "5",
        f"TRUNCATE TABLE {t}": "6",
        f"CREATE TABLE delta.`{tmp_path / 'u'}` USING delta AS SELECT 1 AS a": "0",
    }
    for statement, version in statements.items():
        spark.sql(statement)
        assert last() == version, statement


def test_a_change_feed_may_begin_after_the_end(spark, tmp_path):
    t = table(spark, tmp_path, "'delta.enableChangeDataFeed' = 'true'")
    spark.sql(f"INSERT INTO {t} VALUES (1)")

    def feed(**options):
        return spark.read.format("delta").option("readChangeFeed", "true").options(**options).load(str(tmp_path / "t")).count()

    late = [{"startingVersion": "5"}, {"startingTimestamp": "2100-01-01"}]
    for options in late:
        with pytest.raises(Exception, match="DELTA_CDC_START_VERSION_AFTER_LATEST|DELTA_TIMESTAMP_GREATER_THAN_COMMIT"):
            feed(**options)
    spark.conf.set(DELTA + "changeDataFeed.timestampOutOfRange.enabled", "true")
    assert [feed(**options) for options in late] == [0, 0]
    assert feed(startingVersion="1") == 1


def test_changes_that_a_session_allows(spark, tmp_path):
    t = table(spark, tmp_path, "'delta.columnMapping.mode' = 'name'", "id BIGINT, v INT")
    cases = [
        ("constraints.assumesDropIfExists.enabled", "false", "true", f"ALTER TABLE {t} DROP CONSTRAINT c", "DELTA_CONSTRAINT_DOES_NOT_EXIST"),
        ("allowArbitraryProperties.enabled", "false", "true", f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.nothing' = 'x')", "DELTA_UNKNOWN_CONFIGURATION"),
        ("alterTable.dropColumn.enabled", "false", "true", f"ALTER TABLE {t} DROP COLUMN v", "DELTA_UNSUPPORTED_DROP_COLUMN"),
        ("columnMapping.allowRemoval", "false", "true", f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')", "DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE"),
    ]
    for key, refusing, allowing, statement, error in cases:
        spark.conf.set(DELTA + key, refusing)
        with pytest.raises(AnalysisException, match=error):
            spark.sql(statement)
        spark.conf.set(DELTA + key, allowing)
        spark.sql(statement)
    assert spark.sql(f"SHOW TBLPROPERTIES {t} ('delta.nothing')").first()["value"] == "x"
    assert spark.table(t).columns == ["id"]


def test_versions_in_names(spark, tmp_path):
    t = table(spark, tmp_path)
    spark.sql(f"INSERT INTO {t} VALUES (1)")
    old = f"SELECT * FROM delta.`{tmp_path / 't'}@v0`"
    assert spark.sql(old).count() == 0
    spark.conf.set(DELTA + "timeTravel.resolveOnIdentifier.enabled", "false")
    with pytest.raises(AnalysisException, match="PATH_NOT_FOUND"):
        spark.sql(old).collect()


def test_protocols_of_restored_tables(spark, tmp_path):
    spark.conf.set(DELTA + "properties.defaults.enableDeletionVectors", "false")
    t = table(spark, tmp_path)
    spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    spark.sql(f"RESTORE TABLE {t} TO VERSION AS OF 0")
    assert protocol(spark, t) == [3, 7]
    spark.conf.set(DELTA + "restore.protocolDowngradeAllowed", "true")
    spark.sql(f"RESTORE TABLE {t} TO VERSION AS OF 0")
    assert protocol(spark, t) == [1, 2]


def test_vacuum_that_the_history_does_not_tell(spark, tmp_path):
    t = table(spark, tmp_path)
    spark.sql(f"VACUUM {t}")
    assert versions(tmp_path) == 3
    spark.conf.set(DELTA + "vacuum.logging.enabled", "false")
    spark.sql(f"VACUUM {t}")
    assert versions(tmp_path) == 3


@pytest.mark.parametrize(
    "properties",
    [
        "'delta.logRetentionDuration' = 'interval 1 days'",
        "'delta.deletedFileRetentionDuration' = 'interval 60 days'",
        "'delta.logRetentionDuration' = 'interval 1 days', 'delta.deletedFileRetentionDuration' = 'interval 2 days'",
    ],
)
def test_the_log_outlives_the_files_it_removes(spark, tmp_path, properties):
    """What delta-spark refuses; where nothing is said, the log is kept for 30 days and files for 7."""
    made, altered = f"delta.`{tmp_path / 'made'}`", f"delta.`{tmp_path / 'altered'}`"
    with pytest.raises(Exception, match=r"logRetentionDuration \(.* hours\).*deletedFileRetentionDuration"):
        spark.sql(f"CREATE TABLE {made} (id INT) USING delta TBLPROPERTIES ({properties})")
    spark.sql(f"CREATE TABLE {altered} (id INT) USING delta")
    with pytest.raises(Exception, match="logRetentionDuration"):
        spark.sql(f"ALTER TABLE {altered} SET TBLPROPERTIES ({properties})")
    longer = (
        "'delta.logRetentionDuration' = 'interval 60 days', 'delta.deletedFileRetentionDuration' = 'interval 60 days'"
    )
    spark.sql(f"ALTER TABLE {altered} SET TBLPROPERTIES ({longer})")
    with pytest.raises(Exception, match="logRetentionDuration"):
        spark.sql(f"ALTER TABLE {altered} UNSET TBLPROPERTIES ('delta.logRetentionDuration')")


def test_a_table_has_more_than_its_partition_columns(spark, tmp_path):
    with pytest.raises(Exception, match="ALL_PARTITION_COLUMNS_NOT_ALLOWED"):
        spark.sql(f"CREATE TABLE delta.`{tmp_path / 'a'}` (id INT, c INT) USING delta PARTITIONED BY (id, c)")
    with pytest.raises(Exception, match="DELTA_CANNOT_USE_ALL_COLUMNS_FOR_PARTITION"):
        spark.range(3).write.format("delta").partitionBy("id").save(str(tmp_path / "b"))


def test_files_that_optimize_leaves(spark, tmp_path):
    t = table(spark, tmp_path, columns="id BIGINT, s STRING")
    for i in range(3):
        spark.sql(f"INSERT INTO {t} VALUES ({i}, 'x')")
    spark.range(2000).selectExpr("id", "uuid() AS s").coalesce(1).write.format("delta").mode("append").save(str(tmp_path / "t"))

    def removed():
        return spark.sql(f"OPTIMIZE {t}").first()["metrics"]["numFilesRemoved"]

    spark.conf.set(DELTA + "optimize.minFileSize", "10000")
    assert removed() == 3
    spark.conf.unset(DELTA + "optimize.minFileSize")
    assert removed() == 2


def test_writes_widen_types_where_they_may_change_the_table(spark, tmp_path):
    for name, first, wide, kind in (("i", "1", "4000000000L", "bigint"), ("s", "1S", "70000", "int"), ("f", "1F", "1.5D", "double")):
        for by in ("frame", "insert"):
            path = str(tmp_path / f"{name}_{by}")
            spark.sql(f"CREATE TABLE delta.`{path}` USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true') AS SELECT {first} AS a")
            if by == "frame":
                spark.sql(f"SELECT {wide} AS a").write.format("delta").mode("append").option("mergeSchema", "true").save(path)
            else:
                spark.conf.set(DELTA + "schema.autoMerge.enabled", "true")
                spark.sql(f"INSERT INTO delta.`{path}` SELECT {wide}")
                spark.conf.set(DELTA + "schema.autoMerge.enabled", "false")
            read = spark.read.format("delta").load(path)
            assert read.dtypes == [("a", kind)]
            expected = {"bigint": 4000000001, "int": 70001, "double": 2.5}[kind]
            assert read.selectExpr("sum(a)").first()[0] == expected
