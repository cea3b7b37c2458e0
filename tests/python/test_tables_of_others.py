"""Tables that others wrote: Databricks (10.4 to 17.0, with and without Photon), delta-spark (0.2 to 4.3) and delta-rs.

Each is read beside the `deltalake` wheel, version by version, and then changed: rows go and come back.
"""

import datetime
import pathlib
import shutil

import pyarrow as pa
import pytest
import tables_of_others
from deltalake import DeltaTable, QueryBuilder

# Rows by table. What else delta-rs has there are logs without their data files.
ROWS = {
    # Databricks
    "simple_table_with_cdc": 1,
    "delta-checkpoint-stats-optional": 2,
    "delta-stats-optional": 2,
    "delta-1.2.1-only-struct-stats": 12,
    "delta-live-table": 0,
    "table_with_partitioning_mapping": 2,
    "table_with_liquid_clustering": 10,
    "checkpoint-v2-table": 44,
    "table-with-dv-small": 8,
    "table_with_deletion_logs": 98,
    "table_with_column_mapping": 5,
    "issue-2152": 0,
    "cdf-table-with-cdc-and-dvs": 5,
    "COVID-19_NYT": 1111930,
    # delta-spark
    "cdc_ict_table": 2,
    "cdf-table": 9,
    "cdf-table-non-partitioned": 11,
    "checkpoint-cdf-table": 13,
    "golden/data-reader-array-primitives": 10,
    "delta-0.2.0": 6,
    "delta-0.8-empty": 0,
    "delta-0.8.0": 4,
    "delta-0.8.0-date": 5,
    "delta-0.8.0-null-partition": 2,
    "delta-0.8.0-numeric-partition": 2,
    "delta-0.8.0-partitioned": 7,
    "delta-0.8.0-special-partition": 2,
    "delta-2.2.0-partitioned-types": 3,
    "simple_table": 3,
    "simple_table_with_checkpoint": 11,
    "table-without-dv-small": 10,
    "table_with_null_stats_in_notnull_struct": 2,
    "v2-classic-checkpoint-json": 20,
    # delta-rs
    "http_requests": 1581,
    "issue_1374": 20,
    "partition-type-primitives": 16,
    "python-0.25.5-checkpoint": 6,
    "table_failed_last_checkpoint_update": 20,
}
# Tables with a feed, and the first version that their logs still have.
FEEDS = {
    "cdf-table": 0,
    "cdf-table-non-partitioned": 0,
    "cdf-table-with-cdc-and-dvs": 0,
    "checkpoint-cdf-table": 3,
    "cdc_ict_table": 0,
}
# Not written: the identity column makes its own numbers; a feature of a preview, which has no rules that we know.
ONLY_READ = {"checkpoint-v2-table", "table_with_liquid_clustering"}


@pytest.fixture(scope="module")
def others():
    return tables_of_others.directory()


def copied(others, name, tmp_path):
    return str(shutil.copytree(others / name, tmp_path / "of another"))


def values(table):
    return sorted(repr(tuple(row.values())) for row in table.to_pylist())


def wheel_reads(path, **options):
    return pa.table(QueryBuilder().register("t", DeltaTable(path, **options)).execute("SELECT * FROM t").read_all())


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_those_that_the_wheel_reads(spark, others, name):
    path = str(others / name)
    ours = spark.read.format("delta").load(path).toArrow()
    assert ours.num_rows == ROWS[name]
    if ours.num_rows < 10_000:
        assert values(ours) == values(wheel_reads(path).select(ours.column_names))


@pytest.mark.parametrize("name", [n for n in ROWS if n != "COVID-19_NYT"])
def test_versions_are_those_that_the_wheel_reads(spark, others, name):
    path = str(others / name)
    read = 0
    for version in range(DeltaTable(path).version() + 1):
        try:
            theirs = wheel_reads(path, version=version)
        except Exception:  # noqa: BLE001 - the log or the files of this version are gone
            continue
        ours = spark.read.format("delta").option("versionAsOf", version).load(path).toArrow()
        assert values(ours) == values(theirs.select(ours.column_names)), version
        read += 1
    assert read > 0


@pytest.mark.parametrize("name", FEEDS)
def test_feeds_are_those_that_the_wheel_reads(spark, others, name):
    path = str(others / name)
    ours = spark.read.format("delta").option("readChangeFeed", True).option("startingVersion", FEEDS[name]).load(path)
    ours = ours.toArrow()
    theirs = pa.table(DeltaTable(path).load_cdf(starting_version=FEEDS[name]).read_all())
    columns = [c for c in ours.column_names if c != "_commit_timestamp"]
    assert ours.num_rows > 0
    assert values(ours.select(columns)) == values(theirs.select(columns))


@pytest.mark.parametrize("name", [n for n, rows in ROWS.items() if 1 < rows < 10_000 and n not in ONLY_READ])
def test_rows_go_and_come_back(spark, others, tmp_path, name):
    """DELETE, INSERT from an earlier version, UPDATE, OPTIMIZE: in the end the rows are those of the beginning."""
    path = copied(others, name, tmp_path)
    before = spark.read.format("delta").load(path).toArrow()
    version = DeltaTable(path).version()
    table, some = f"delta.`{path}`", "pmod(hash(to_json(struct(*))), 2) = 0"
    kept = spark.sql(f"SELECT * FROM {table} WHERE NOT {some}").toArrow()
    spark.sql(f"DELETE FROM {table} WHERE {some}")
    assert values(spark.read.format("delta").load(path).toArrow()) == values(kept)
    spark.sql(f"INSERT INTO {table} SELECT * FROM {table} VERSION AS OF {version} WHERE {some}")
    first = before.column_names[0]
    spark.sql(f"UPDATE {table} SET `{first}` = `{first}`")
    spark.sql(f"OPTIMIZE {table}")
    after = spark.read.format("delta").load(path).toArrow()
    assert values(after) == values(before)
    assert values(wheel_reads(path).select(before.column_names)) == values(before)


def test_rows_with_numbers_of_their_own(spark, others, tmp_path):
    """A checkpoint of the second kind, an identity column: Databricks 17."""
    path = copied(others, "checkpoint-v2-table", tmp_path)
    table = f"delta.`{path}`"
    before = spark.sql(f"SELECT * FROM {table}").toArrow()
    some = "pmod(hash(*), 2) = 0"
    kept = spark.sql(f"SELECT * FROM {table} WHERE NOT {some}").toArrow()
    spark.sql(f"DELETE FROM {table} WHERE {some}")
    assert 0 < kept.num_rows < before.num_rows
    assert values(spark.sql(f"SELECT * FROM {table}").toArrow()) == values(kept)
    assert values(wheel_reads(path).select(kept.column_names)) == values(kept)
    rest = [c for c in before.column_names if c != "id"]
    names = ", ".join(rest)
    spark.sql(
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {table} VERSION AS OF {DeltaTable(path).version() - 1} WHERE {some}"
    )
    after = spark.sql(f"SELECT * FROM {table}").toArrow()
    assert values(after.select(rest)) == values(before.select(rest))
    # None of the numbers that were given before is given again.
    new = set(after["id"].to_pylist()) - set(kept["id"].to_pylist())
    assert len(new) == before.num_rows - kept.num_rows and min(new) > max(before["id"].to_pylist())


def test_a_preview_is_read_and_not_written(spark, others, tmp_path):
    path = copied(others, "table_with_liquid_clustering", tmp_path)
    with pytest.raises(Exception, match=r"DELTA_UNSUPPORTED_FEATURES_FOR_WRITE.*liquid"):
        spark.sql(f"DELETE FROM delta.`{path}`")


@pytest.mark.parametrize("log", ["table_d", "table_e", "table_f", "table_h", "table_i"])
def test_tables_of_a_catalog_are_refused(spark, others, log):
    path = others.parents[2] / "core" / "tests" / "data_err_logs" / log
    with pytest.raises(Exception, match=r"DELTA_UNSUPPORTED_FEATURES_FOR_READ.*catalogOwned"):
        spark.read.format("delta").load(str(path)).collect()


def test_timestamps_of_the_year_9999(spark, others):
    """INT96, beyond what nanoseconds in 64 bits can say: the wheel reads years of the 19th century."""
    rows = spark.read.format("delta").load(str(others / "table_with_edge_timestamps")).orderBy("SOME_VALUE").collect()
    assert [r["BIG_DATE"] for r in rows] == [datetime.datetime(9999, 12, 31), datetime.datetime(9999, 12, 30)]


@pytest.mark.parametrize("name", ["spark-variant-checkpoint", "spark-shredded-variant-preview-delta"])
def test_variants(spark, others, name):
    rows = spark.read.format("delta").load(str(others / name))
    assert rows.count() == 102
    assert [f.name for f in rows.schema if f.dataType.simpleString() == "variant"]


def test_tags_of_others_are_carried(spark, others, tmp_path):
    """What Databricks notes of a file (when it came) and Fabric (V-Order) is not ours to lose."""
    path = copied(others, "table-with-dv-small", tmp_path)
    log = pathlib.Path(path) / "_delta_log"
    for file in log.glob("*.json"):
        file.write_text(file.read_text().replace('"tags":{', '"tags":{"VORDER":"true",'))
    spark.sql(f"DELETE FROM delta.`{path}` WHERE value = 5")
    newest = sorted(log.glob("*.json"))[-1].read_text()
    (added,) = [line for line in newest.splitlines() if line.startswith('{"add"')]
    assert '"cardinality":3' in added and '"INSERTION_TIME"' in added and '"VORDER":"true"' in added
