"""Between `spark.sql(text)`, which analyzes, and the execution of its DataFrame anything may change: what runs is what the text
means then. Where nothing changed, the analysis is the one that was made already."""

import pytest

QUERY = "SELECT sum(n) AS s FROM kept_numbers"


@pytest.fixture
def numbers(spark):
    spark.sql("CREATE OR REPLACE TABLE kept_numbers (n INT)").collect()
    spark.sql("INSERT INTO kept_numbers VALUES (1), (2)").collect()
    yield spark
    spark.sql("DROP TABLE IF EXISTS kept_numbers").collect()


@pytest.fixture
def other(remote):
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(remote).create()
    yield session
    session.stop()


def only(frame):
    (row,) = frame.collect()
    return row[0]


def test_functions_that_count(numbers):
    frame = numbers.sql("SELECT monotonically_increasing_id() AS id FROM range(0, 3, 1, 1)")
    for _ in range(3):
        assert [row.id for row in frame.collect()] == [0, 1, 2]


@pytest.mark.parametrize("change, after", [
    ("INSERT INTO kept_numbers VALUES (10)", 13),
    ("DELETE FROM kept_numbers WHERE n = 1", 2),
    ("CREATE OR REPLACE TABLE kept_numbers AS SELECT 7L AS n", 7),
    ("ALTER TABLE kept_numbers ADD COLUMN m INT", 3),
    ("OPTIMIZE kept_numbers", 3),
])
@pytest.mark.parametrize("whose", ["own", "other"])
def test_a_table_that_changes(numbers, other, change, after, whose):
    frame = numbers.sql(QUERY)
    (numbers if whose == "own" else other).sql(change).collect()
    assert only(frame) == after
    assert only(frame) == after


def test_a_table_that_is_another_one(numbers, other):
    """Of the same name, version and columns."""
    frame = numbers.sql(QUERY)
    for statement in ("DROP TABLE kept_numbers", "CREATE TABLE kept_numbers (n INT)", "INSERT INTO kept_numbers VALUES (5)"):
        other.sql(statement).collect()
    assert only(frame) == 5


def test_a_table_that_is_gone(numbers, other):
    from pyspark.errors import AnalysisException

    frame = numbers.sql(QUERY)
    other.sql("DROP TABLE kept_numbers").collect()
    with pytest.raises(AnalysisException) as error:
        frame.collect()
    assert error.value.getCondition() == "TABLE_OR_VIEW_NOT_FOUND"


@pytest.mark.parametrize("globally", [False, True])
def test_a_view_that_changes(numbers, globally):
    name = "global_temp.kept_view" if globally else "kept_view"
    kind = "GLOBAL TEMPORARY" if globally else "TEMPORARY"
    numbers.sql(f"CREATE OR REPLACE {kind} VIEW kept_view AS {QUERY}").collect()
    frame = numbers.sql(f"SELECT s FROM {name}")
    assert only(frame) == 3
    numbers.sql(f"CREATE OR REPLACE {kind} VIEW kept_view AS SELECT max(n) AS s FROM kept_numbers").collect()
    assert only(frame) == 2
    numbers.sql(f"DROP VIEW {name}").collect()


def test_a_view_of_the_catalog_that_changes(numbers, other):
    numbers.sql(f"CREATE OR REPLACE VIEW kept_stored AS {QUERY}").collect()
    frame = numbers.sql("SELECT s FROM kept_stored")
    assert only(frame) == 3
    other.sql("INSERT INTO kept_numbers VALUES (10)").collect()
    assert only(frame) == 13
    other.sql("CREATE OR REPLACE VIEW kept_stored AS SELECT max(n) AS s FROM kept_numbers").collect()
    assert only(frame) == 10
    other.sql("DROP VIEW kept_stored").collect()


def test_a_temporary_view_that_hides_a_table(numbers):
    frame = numbers.sql(QUERY)
    numbers.sql("CREATE TEMPORARY VIEW kept_numbers AS SELECT 100 AS n").collect()
    assert only(frame) == 100
    numbers.sql("DROP VIEW kept_numbers").collect()
    assert only(frame) == 3


def test_another_schema(numbers):
    frame = numbers.sql(QUERY)
    numbers.sql("CREATE SCHEMA IF NOT EXISTS kept_schema").collect()
    numbers.sql("CREATE OR REPLACE TABLE kept_schema.kept_numbers AS SELECT 50 AS n").collect()
    numbers.sql("USE kept_schema").collect()
    assert only(frame) == 50
    numbers.sql("USE default").collect()
    assert only(frame) == 3
    numbers.sql("DROP SCHEMA kept_schema CASCADE").collect()


def test_settings(numbers):
    frame = numbers.sql("SELECT try_cast('x' AS INT) AS a, element_at(array(n), 5) AS b FROM kept_numbers WHERE n = 1")
    numbers.conf.set("spark.sql.ansi.enabled", "false")
    assert [tuple(row) for row in frame.collect()] == [(None, None)]
    numbers.conf.set("spark.sql.ansi.enabled", "true")
    with pytest.raises(Exception, match="INVALID_ARRAY_INDEX_IN_ELEMENT_AT"):
        frame.collect()
    numbers.conf.unset("spark.sql.ansi.enabled")


def test_parameters(numbers):
    one, two = (numbers.sql("SELECT n FROM kept_numbers WHERE n = :wanted", args={"wanted": n}) for n in (1, 2))
    assert (only(one), only(two), only(one)) == (1, 2, 1)


def test_variables(numbers):
    numbers.sql("DECLARE VARIABLE kept_variable = 1").collect()
    frame = numbers.sql("SELECT n FROM kept_numbers WHERE n = kept_variable")
    assert only(frame) == 1
    numbers.sql("SET VAR kept_variable = 2").collect()
    assert only(frame) == 2


def test_functions(numbers):
    numbers.sql("CREATE OR REPLACE FUNCTION kept_function(x INT) RETURNS INT RETURN x + 1").collect()
    frame = numbers.sql("SELECT kept_function(n) FROM kept_numbers WHERE n = 1")
    assert only(frame) == 2
    numbers.sql("CREATE OR REPLACE FUNCTION kept_function(x INT) RETURNS INT RETURN x + 10").collect()
    assert only(frame) == 11
    numbers.sql("DROP FUNCTION kept_function").collect()
    numbers.sql("CREATE TEMPORARY FUNCTION abs(x INT) RETURNS INT RETURN x + 100").collect()
    assert only(numbers.sql("SELECT abs(n) FROM kept_numbers WHERE n = 1")) == 1, "built-in functions come first"


def test_the_time(numbers):
    import datetime

    for query in ("SELECT now()", "SELECT max(now()) FROM kept_numbers", "SELECT max(TIMESTAMP 'now') FROM kept_numbers"):
        frame = numbers.sql(query)
        before = datetime.datetime.now()
        first, second = only(frame), only(frame)
        assert before <= first < second


def test_rows_in_memory(numbers):
    """A DataFrame that is kept in memory is read from there."""
    frame = numbers.sql(QUERY)
    frame.cache()
    assert only(frame) == 3
    assert only(numbers.sql(QUERY)) == 3
    plan = frame._explain_string()
    assert "DeltaScan" not in plan and "parquet" not in plan, plan
    frame.unpersist()
    assert "parquet" in frame._explain_string()
    assert only(frame) == 3


def test_files(spark, tmp_path):
    path = tmp_path / "kept files"
    spark.range(3).write.json(str(path))
    frame = spark.sql(f"SELECT sum(id) FROM json.`{path}`")
    assert only(frame) == 3
    spark.range(10).write.mode("append").json(str(path))
    assert only(frame) == 48


def test_many_threads_of_one_session(numbers):
    import concurrent.futures

    def run(n):
        return only(numbers.sql(f"SELECT max(n) + {n} FROM kept_numbers"))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(64))) == [n + 2 for n in range(64)]
