"""CHAR and VARCHAR columns of Delta tables, also as other writers leave them. Expected values are those of Spark 4.2 with
delta-spark 4.4."""

import pathlib

import pytest


def condition(spark, statement):
    from pyspark.errors import PySparkException

    with pytest.raises(PySparkException) as e:
        spark.sql(statement).collect()
    return e.value.getCondition()


def count(spark, table, where):
    return spark.sql(f"SELECT count(*) FROM {table} WHERE {where}").collect()[0][0]


@pytest.fixture
def table(spark, tmp_path):
    t = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} (c CHAR(5), v VARCHAR(3), s STRUCT<c: CHAR(3)>, a ARRAY<CHAR(2)>, m MAP<STRING, VARCHAR(2)>) USING delta")
    spark.sql(f"INSERT INTO {t} VALUES ('ab', 'xy', named_struct('c', 'q'), array('z'), map('k', 'v'))")
    return t


def test_char_is_padded_at_any_depth(spark, table):
    row = spark.sql(f"SELECT c, length(c), v, s.c, length(s.c), a, length(a[0]), m FROM {table}").collect()[0]
    assert tuple(row) == ("ab   ", 5, "xy", "q  ", 3, ["z "], 2, {"k": "v"})


def test_comparisons_pass_over_padding(spark, table):
    for where in ("c = 'ab'", "c = 'ab   '", "c = 'ab      '", "c IN ('ab', 'zz')", "c <=> 'ab'", "'ab' = c", "c = concat('a', 'b')"):
        assert count(spark, table, where) == 1, where
    assert count(spark, table, "v = 'xy '") == 0 and count(spark, table, "c = 'abc'") == 0
    assert spark.sql(f"SELECT count(*) FROM (SELECT c AS d FROM {table}) WHERE d = 'ab'").collect()[0][0] == 1


@pytest.mark.parametrize(
    "values",
    [
        "'abcdef', 'xy', NULL, NULL, NULL",
        "'abcde  ', 'xy', NULL, NULL, NULL",
        "'a', 'wxyz', NULL, NULL, NULL",
        "'a', 'wxy  ', NULL, NULL, NULL",
        "'a', 'x', named_struct('c', 'toolong'), NULL, NULL",
        "'a', 'x', NULL, array('xyz'), NULL",
        "'a', 'x', NULL, NULL, map('k', 'vvv')",
    ],
)
def test_what_is_too_long_is_refused(spark, table, values):
    assert condition(spark, f"INSERT INTO {table} VALUES ({values})") == "DELTA_EXCEED_CHAR_VARCHAR_LIMIT"
    assert count(spark, table, "true") == 1


def test_updates(spark, table):
    assert condition(spark, f"UPDATE {table} SET v = '12345'") == "DELTA_EXCEED_CHAR_VARCHAR_LIMIT"
    assert spark.sql(f"UPDATE {table} SET c = 'q' WHERE c = 'ab'").collect()[0][0] == 1
    assert tuple(spark.sql(f"SELECT c, length(c), v FROM {table}").collect()[0]) == ("q    ", 5, "xy")
    assert spark.sql(f"DELETE FROM {table} WHERE c = 'q'").collect()[0][0] == 1


def test_columns_of_other_writers(spark, tmp_path):
    """Stored without padding, declared by a note in the schema only."""
    path = tmp_path / "raw"
    spark.sql("SELECT 'ab' AS c, 'x' AS v").write.format("delta").save(str(path))
    commit = pathlib.Path(path, "_delta_log", f"{0:020}.json")
    plain = r'{\"name\":\"c\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}'
    noted = plain.replace("{}", r'{\"__CHAR_VARCHAR_TYPE_STRING\":\"char(5)\"}')
    text = commit.read_text()
    assert plain in text
    commit.write_text(text.replace(plain, noted))
    t = f"delta.`{path}`"
    assert tuple(spark.sql(f"SELECT c, length(c) FROM {t}").collect()[0]) == ("ab   ", 5)
    for where in ("c = 'ab'", "c = 'ab   '", "c = 'ab        '", "c IN ('zz', 'ab')"):
        assert count(spark, t, where) == 1, where
    spark.conf.set("spark.sql.readSideCharPadding", "false")
    try:
        assert tuple(spark.sql(f"SELECT c, length(c) FROM {t}").collect()[0]) == ("ab", 2)
        assert count(spark, t, "c = 'ab'") == 1
    finally:
        spark.conf.unset("spark.sql.readSideCharPadding")
    # delta-spark finds no row here, although its SELECT does.
    assert spark.sql(f"UPDATE {t} SET v = 'y' WHERE c = 'ab'").collect()[0][0] == 1
    spark.conf.set("spark.sql.legacy.charVarcharAsString", "true")
    try:
        assert tuple(spark.sql(f"SELECT c, length(c) FROM {t}").collect()[0]) == ("ab", 2)
        assert (count(spark, t, "c = 'ab'"), count(spark, t, "c = 'ab   '")) == (1, 0)
    finally:
        spark.conf.unset("spark.sql.legacy.charVarcharAsString")
