"""What stays and what goes where a Delta table is replaced or restored. The expected answers are delta-spark's (4.4)."""

import json
import pathlib

import pytest
from pyspark.errors import AnalysisException, UnsupportedOperationException

IDENTITY = "(n BIGINT GENERATED ALWAYS AS IDENTITY (START WITH {start} INCREMENT BY {step}), v STRING) USING delta"


@pytest.fixture
def table(spark):
    spark.sql("DROP TABLE IF EXISTS replaced")
    return spark


def rows(session):
    return sorted(map(tuple, session.table("replaced").collect()))


def metadata(session):
    """The table's metadata of the last commit that has one."""
    location = "/" + session.sql("DESCRIBE DETAIL replaced").collect()[0].location.removeprefix("file:").lstrip("/")
    commits = sorted(pathlib.Path(location, "_delta_log").glob("*.json"), reverse=True)
    actions = (json.loads(line) for commit in commits for line in commit.read_text().splitlines())
    return next(a["metaData"] for a in actions if "metaData" in a)


def test_a_table_restored_to_before_it_tracked_rows_keeps_the_columns_for_it(table):
    table.sql("CREATE TABLE replaced (id INT) USING delta")
    table.sql("ALTER TABLE replaced SET TBLPROPERTIES (delta.enableRowTracking = true)")
    named = {k: v for k, v in metadata(table)["configuration"].items() if k.startswith("delta.rowTracking.")}
    table.sql("RESTORE replaced TO VERSION AS OF 0")
    kept = metadata(table)["configuration"]
    assert len(named) == 2 and {k: v for k, v in kept.items() if "owTracking" in k} == named


@pytest.mark.parametrize("start, step", [(10, 5), (-1, -2)])
@pytest.mark.parametrize("mapped", ["", " TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"], ids=["plain names", "mapped names"])
def test_a_restored_table_gives_no_number_twice(table, start, step, mapped):
    table.sql("CREATE TABLE replaced " + IDENTITY.format(start=start, step=step) + mapped)
    table.sql("INSERT INTO replaced (v) VALUES ('a'), ('b')")
    if mapped:
        table.sql("ALTER TABLE replaced RENAME COLUMN n TO m")
    table.sql("INSERT INTO replaced (v) VALUES ('c')")
    table.sql("RESTORE replaced TO VERSION AS OF 1")
    table.sql("INSERT INTO replaced (v) VALUES ('d')")
    assert rows(table) == sorted([(start, "a"), (start + step, "b"), (start + 3 * step, "d")])
    table.sql("RESTORE replaced TO VERSION AS OF 0")
    table.sql("INSERT INTO replaced (v) VALUES ('e')")
    assert rows(table) == [(start + 4 * step, "e")]


def test_identity_columns_of_a_replaced_table_begin_anew(table):
    table.sql("CREATE TABLE replaced " + IDENTITY.format(start=10, step=5))
    table.sql("INSERT INTO replaced (v) VALUES ('a')")
    table.sql("CREATE OR REPLACE TABLE replaced " + IDENTITY.format(start=10, step=5))
    table.sql("INSERT INTO replaced (v) VALUES ('b')")
    assert rows(table) == [(10, "b")]
    table.sql("CREATE OR REPLACE TABLE replaced USING delta AS SELECT 1L AS n, 'x' AS v")
    table.sql("INSERT INTO replaced VALUES (7, 'c')")
    assert rows(table) == [(1, "x"), (7, "c")]


def test_rules_of_a_replaced_table_are_gone_until_it_is_restored(table):
    table.sql("CREATE TABLE replaced (id BIGINT, g BIGINT GENERATED ALWAYS AS (id * 2)) USING delta")
    table.sql("ALTER TABLE replaced ADD CONSTRAINT positive CHECK (id > 0)")
    table.sql("CREATE OR REPLACE TABLE replaced (id BIGINT, g BIGINT) USING delta")
    table.sql("INSERT INTO replaced VALUES (-1, 9)")
    assert rows(table) == [(-1, 9)]
    table.sql("RESTORE replaced TO VERSION AS OF 1")
    with pytest.raises(Exception, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
        table.sql("INSERT INTO replaced (id) VALUES (-2)")
    table.sql("INSERT INTO replaced (id) VALUES (4)")
    assert rows(table) == [(4, 8)]


def test_an_append_only_table_is_not_replaced(table):
    table.sql("CREATE TABLE replaced (id BIGINT, v STRING) USING delta TBLPROPERTIES ('delta.appendOnly' = 'true')")
    table.sql("INSERT INTO replaced VALUES (1, 'a')")
    for statement in ("(id BIGINT) USING delta", "USING delta AS SELECT 2L AS id, 'b' AS v"):
        with pytest.raises(UnsupportedOperationException, match="DELTA_CANNOT_MODIFY_APPEND_ONLY"):
            table.sql("CREATE OR REPLACE TABLE replaced " + statement)
    assert rows(table) == [(1, "a")]
    table.sql("INSERT INTO replaced VALUES (2, 'b')")
    table.sql("RESTORE replaced TO VERSION AS OF 1")
    assert rows(table) == [(1, "a")]
    table.sql("ALTER TABLE replaced SET TBLPROPERTIES ('delta.appendOnly' = 'false')")
    table.sql("CREATE OR REPLACE TABLE replaced (id BIGINT) USING delta TBLPROPERTIES ('delta.appendOnly' = 'true')")
    assert rows(table) == []
    table.sql("RESTORE replaced TO VERSION AS OF 1")
    assert rows(table) == [(1, "a")]


def test_columns_of_a_replaced_table_have_ids_of_their_own(table):
    mapped = "(id BIGINT, v STRING) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = '{}')"
    table.sql("CREATE TABLE replaced " + mapped.format("id"))
    for mode in ("name", "id"):
        table.sql("INSERT INTO replaced VALUES (1, 'a')")
        table.sql("CREATE OR REPLACE TABLE replaced " + mapped.format(mode))
    found = metadata(table)
    fields = json.loads(found["schemaString"])["fields"]
    assert [f["metadata"]["delta.columnMapping.id"] for f in fields] == [5, 6]
    assert found["configuration"]["delta.columnMapping.maxColumnId"] == "6"
    table.sql("INSERT INTO replaced VALUES (2, 'b')")
    assert rows(table) == [(2, "b")]
    table.sql("RESTORE replaced TO VERSION AS OF 1")
    assert rows(table) == [(1, "a")]


def test_clustering_columns_with_names_that_need_quotes(table):
    """DESCRIBE DETAIL is delta-spark's; delta-spark shows nothing in DESCRIBE TABLE, where this is what Spark shows of its own tables."""
    table.sql("""CREATE TABLE replaced (id BIGINT COMMENT 'a number', a STRUCT<b: INT COMMENT 'inside', `C d`: STRING>, `Na me` DATE) USING delta
        CLUSTER BY (a.b, a.`C d`, `Na me`, id) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')""")
    clustered = ["a.b", "a.`C d`", "`Na me`", "id"]
    assert table.sql("DESCRIBE DETAIL replaced").collect()[0].clusteringColumns == clustered
    described = [tuple(r) for r in table.sql("DESCRIBE TABLE replaced").collect()]
    assert described[3:] == [("# Clustering Information", "", ""), ("# col_name", "data_type", "comment"), ("a.b", "int", "inside"), ("a.`C d`", "string", None),
                             ("`Na me`", "date", None), ("id", "bigint", "a number")]
    statement = table.sql("SHOW CREATE TABLE replaced").collect()[0][0]
    table.sql("DROP TABLE replaced")
    table.sql(statement)
    assert table.sql("DESCRIBE DETAIL replaced").collect()[0].clusteringColumns == clustered
    table.sql("INSERT INTO replaced SELECT id, named_struct('b', id, 'C d', string(id)), DATE'2020-01-01' + int(id) FROM range(100)")
    table.sql("OPTIMIZE replaced")
    assert table.table("replaced").where("a.`C d` = '7'").count() == 1


@pytest.mark.parametrize("columns, error", [("id, id", "DELTA_DUPLICATE_COLUMNS_FOUND.CLUSTER_BY"), ("s", "DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED")])
def test_clustering_columns_that_are_refused(table, columns, error):
    with pytest.raises(AnalysisException) as caught:
        table.sql(f"CREATE TABLE replaced (id BIGINT, s STRUCT<a: INT>) USING delta CLUSTER BY ({columns})")
    assert caught.value.getCondition() == error


def test_columns_that_rules_name_stay(table):
    """Also those whose names need backticks; what only a text in quotes says is no name, nor is a field beside the one that is named."""
    table.sql("""CREATE TABLE replaced (`Id No` BIGINT, id BIGINT, s STRUCT<a: INT, b: INT>, v STRING, `G n` BIGINT, g BIGINT GENERATED ALWAYS AS (`G n` * 2)) USING delta
        TBLPROPERTIES ('delta.columnMapping.mode' = 'name')""")
    table.sql("ALTER TABLE replaced ADD CONSTRAINT `my c` CHECK (`Id No` > 0)")
    table.sql("ALTER TABLE replaced ADD CONSTRAINT d CHECK (v <> 'id' AND s.a > 0)")
    for change in ("RENAME COLUMN `Id No` TO x", "DROP COLUMN `Id No`", "RENAME COLUMN s TO ss", "DROP COLUMN s.a", "RENAME COLUMN v TO w"):
        with pytest.raises(AnalysisException, match="DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE"):
            table.sql("ALTER TABLE replaced " + change)
    for change in ("RENAME COLUMN `G n` TO x", "DROP COLUMN `G n`"):
        with pytest.raises(AnalysisException, match="DELTA_GENERATED_COLUMNS_DEPENDENT_COLUMN_CHANGE"):
            table.sql("ALTER TABLE replaced " + change)
    for change in ("RENAME COLUMN id TO id2", "RENAME COLUMN s.b TO c", "DROP COLUMN id2"):
        table.sql("ALTER TABLE replaced " + change)
    table.sql("INSERT INTO replaced (`Id No`, s, v, `G n`) VALUES (1, named_struct('a', 1, 'c', 2), 'x', 4)")
    assert rows(table) == [(1, (1, 2), "x", 4, 8)]


def test_fields_of_one_name_are_refused(table):
    for column in ("s STRUCT<a: INT, A: INT>", "s ARRAY<STRUCT<b: STRUCT<a: INT, A: INT>>>"):
        with pytest.raises(AnalysisException) as caught:
            table.sql(f"CREATE TABLE replaced (id BIGINT, {column}) USING delta")
        assert caught.value.getCondition() == "COLUMN_ALREADY_EXISTS"
    assert not table.catalog.tableExists("replaced")
