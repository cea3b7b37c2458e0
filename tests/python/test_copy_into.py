"""COPY INTO: files are loaded once, whatever happens in between."""

import json
import threading

import pytest
from pyspark.errors import AnalysisException


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / "some files"
    directory.mkdir()

    def put(name, *rows):
        (directory / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    put.directory = directory
    return put


@pytest.fixture
def table(spark, request):
    name = "copied_" + request.node.name.replace("[", "_").replace("]", "")
    spark.sql(f"DROP TABLE IF EXISTS {name}")
    spark.sql(f"CREATE TABLE {name} (id BIGINT, note STRING)")
    yield name
    spark.sql(f"DROP TABLE IF EXISTS {name}")


def load(spark, table, source, rest=""):
    return tuple(spark.sql(f"COPY INTO {table} FROM '{source.directory}' FILEFORMAT = JSON {rest}").first())


def rows(spark, table):
    return sorted(tuple(r) for r in spark.table(table).collect())


def test_files_are_loaded_once(spark, table, source):
    source("a.json", {"id": 1, "note": "x"}, {"id": 2})
    assert load(spark, table, source) == (2, 2, 0)
    assert load(spark, table, source) == (0, 0, 0)
    source("b.json", {"id": 3, "note": "y"})
    # A file that was changed after it was loaded is not loaded again.
    source("a.json", {"id": 9})
    assert load(spark, table, source) == (1, 1, 0)
    assert rows(spark, table) == [(1, "x"), (2, None), (3, "y")]
    assert load(spark, table, source, "COPY_OPTIONS ('force' = 'true')") == (2, 2, 0)
    history = spark.sql(f"DESCRIBE HISTORY {table}").select("operation").collect()
    assert [r[0] for r in history] == ["COPY INTO"] * 3 + ["CREATE TABLE"]
    # Other writes, maintenance and a checkpoint in between change nothing of that.
    for i in range(10):
        spark.sql(f"INSERT INTO {table} VALUES ({100 + i}, 'i')")
    spark.sql(f"OPTIMIZE {table}")
    assert load(spark, table, source) == (0, 0, 0)


def test_files_are_chosen(spark, table, source):
    for name in ("2024-a.json", "2024-b.json", "2025-a.json"):
        source(name, {"id": int(name[:4]), "note": name})
    assert load(spark, table, source, "PATTERN = '2024-*.json'") == (2, 2, 0)
    assert load(spark, table, source, "FILES = ('2024-a.json', '2025-a.json')") == (1, 1, 0)
    with pytest.raises(AnalysisException, match="PATH_NOT_FOUND"):
        load(spark, table, source, "FILES = ('none.json')")


def test_columns(spark, table, source):
    source("a.json", {"id": 1, "extra": True, "note": "n"})
    with pytest.raises(AnalysisException, match="TOO_MANY_DATA_COLUMNS"):
        load(spark, table, source)
    assert spark.table(table).count() == 0
    # What failed was not loaded.
    assert load(spark, table, source, "COPY_OPTIONS ('mergeSchema' = 'true')") == (1, 1, 0)
    assert rows(spark, table) == [(1, "n", True)]
    source("b.json", {"k": "7", "v": "text"})
    spark.sql(f"""COPY INTO {table} FROM (SELECT CAST(k AS BIGINT) AS id, upper(v) AS note FROM '{source.directory}')
                  FILEFORMAT = JSON PATTERN = 'b*'""")
    assert rows(spark, table) == [(1, "n", True), (7, "TEXT", None)]


def test_csv_with_options(spark, table, source):
    (source.directory / "a.csv").write_text("id;note\n1;x\n2;y\n")
    done = spark.sql(f"""COPY INTO {table} FROM '{source.directory}' FILEFORMAT = CSV
                         FORMAT_OPTIONS ('header' = 'true', 'sep' = ';', 'inferSchema' = 'true')""")
    assert tuple(done.first()) == (2, 2, 0)
    assert rows(spark, table) == [(1, "x"), (2, "y")]


def test_two_loads_at_once(spark, remote, table, source):
    from pyspark.sql import SparkSession

    for i in range(20):
        source(f"{i}.json", {"id": i, "note": "n"})
    failures, loaded = [], []

    def run():
        try:
            session = SparkSession.builder.remote(remote).create()
            loaded.append(load(session, table, source)[0])
            session.stop()
        except Exception as e:  # told by the assertion below
            failures.append(e)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert sum(loaded) == 20
    assert [r[0] for r in rows(spark, table)] == list(range(20))


def test_what_is_not_supported_is_refused(spark, table, source):
    source("a.json", {"id": 1})
    for rest in ("VALIDATE 5 ROWS", "COPY_OPTIONS ('nothing' = 'true')"):
        with pytest.raises(Exception, match="NOT_IN_BOATHOUSE"):
            load(spark, table, source, rest)
