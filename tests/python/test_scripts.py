"""SQL scripts with arguments, and what their errors say. What is expected is what Spark 4.2 answers."""

import pytest
from pyspark.errors import PySparkException

CURSOR = "BEGIN DECLARE x INT; DECLARE c CURSOR FOR {query}; OPEN c {using}; FETCH c INTO x; CLOSE c; SELECT x; END"


@pytest.fixture
def cursors(spark):
    spark.conf.set("spark.sql.scripting.cursorEnabled", "true")
    yield spark
    spark.conf.unset("spark.sql.scripting.cursorEnabled")


def error(spark, text, **more):
    with pytest.raises(PySparkException) as caught:
        spark.sql(text, **more).collect()
    return caught.value.getCondition(), caught.value.getMessageParameters()


def test_a_cursor_takes_its_parameters_from_open_alone(cursors):
    def values(query, using, args):
        return cursors.sql(CURSOR.format(query=query, using=using), args=args).collect()[0][0]

    assert values("SELECT :a", "USING :a AS a", {"a": 5}) == 5
    assert values("SELECT :a", "USING :b AS a", {"b": 6}) == 6
    assert values("SELECT id FROM range(:n) WHERE id >= :m", "USING 4 AS m, 9 AS n", {"n": 5, "m": 1}) == 4
    assert values("SELECT 1", "", {"a": 5}) == 1
    for using, args, name in [("", {"a": 5}, "a"), ("USING :a AS b", {"a": 5}, "a")]:
        text = CURSOR.format(query="SELECT :a", using=using)
        condition, parameters = error(cursors, text, args=args)
        assert (condition, parameters["name"]) == ("UNBOUND_SQL_PARAMETER", name)


def test_scripts_have_no_parameters_by_position(cursors):
    text = CURSOR.format(query="SELECT id FROM range(?)", using="")
    assert error(cursors, text, args=[5])[0] == "UNSUPPORTED_FEATURE.SQL_SCRIPTING_WITH_POSITIONAL_PARAMETERS"


def test_defaults_of_variables_hold_no_subquery(spark):
    condition, parameters = error(spark, "DECLARE OR REPLACE VARIABLE a1, b1 INT DEFAULT 1  +  (select 1)")
    assert condition == "INVALID_DEFAULT_VALUE.SUBQUERY_EXPRESSION"
    assert parameters == {
        "statement": "DECLARE VARIABLE",
        "colName": "`system`.`session`.`a1`",
        "defaultValue": "1  +  (select 1)",
    }
    _, parameters = error(spark, "BEGIN DECLARE x INT DEFAULT abs((SELECT 1)); SELECT x; END")
    assert parameters["colName"].startswith("`local`.`")
    assert parameters["colName"].endswith("`.`x`")
    assert parameters["defaultValue"] == "abs((SELECT 1))"


def test_a_star_in_count_names_its_table(spark):
    condition, parameters = error(spark, "SELECT count(t.*) FROM VALUES (1) t(a)")
    assert condition == "INVALID_USAGE_OF_STAR_WITH_TABLE_IDENTIFIER_IN_COUNT"
    assert parameters == {"tableName": "`t`"}
