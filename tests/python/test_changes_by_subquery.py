"""DELETE and UPDATE whose conditions have subqueries: the rows that a SELECT with that condition gives, and no others."""

import pytest

PROPERTIES = {
    "vectors": "'delta.enableDeletionVectors' = 'true', 'delta.enableChangeDataFeed' = 'true', 'delta.enableRowTracking' = 'true'",
    "copies": "'delta.enableDeletionVectors' = 'false', 'delta.enableChangeDataFeed' = 'true', 'delta.enableRowTracking' = 'true'",
    "names": "'delta.columnMapping.mode' = 'name'",
}
# Those with a change feed, and ids of rows.
TRACKED = ["vectors", "copies"]
ALL = set(range(20))

# What is deleted of the rows (id, id % 3 as p, NULL for id % 5 = 0 and id else as v), by hand; o has 2, 3, NULL and 40.
CONDITIONS = {
    "id IN (SELECT k FROM {o})": {2, 3},
    "id NOT IN (SELECT k FROM {o})": set(),
    "id NOT IN (SELECT k FROM {o} WHERE k IS NOT NULL)": ALL - {2, 3},
    "v NOT IN (SELECT k FROM {o} WHERE k IS NOT NULL)": ALL - {0, 2, 3, 5, 10, 15},
    "EXISTS (SELECT * FROM {o} o WHERE o.k = t.id)": {2, 3},
    "NOT EXISTS (SELECT * FROM {o} o WHERE o.k = t.v)": ALL - {2, 3},
    "EXISTS (SELECT * FROM {o} o WHERE o.k > t.id + 30)": set(range(10)),
    "id > (SELECT max(k) FROM {o} WHERE k < 10)": ALL - {0, 1, 2, 3},
    "id = (SELECT max(id) FROM {t}) OR id = (SELECT min(id) FROM {t})": {0, 19},
    "(SELECT count(*) FROM {o} o WHERE o.k = t.id) = 1": {2, 3},
    "id < 10 AND p = 0 AND id IN (SELECT k + 1 FROM {o})": {3},
    "p IN (SELECT 1 WHERE EXISTS (SELECT * FROM {o}))": {i for i in ALL if i % 3 == 1},
    "id IN (SELECT k FROM {o}) OR v IS NULL": {0, 2, 3, 5, 10, 15},
    "NOT (id IN (SELECT k FROM {o} WHERE k IS NOT NULL) OR p = 1)": {i for i in ALL - {2, 3} if i % 3 != 1},
    "CASE WHEN id IN (SELECT k FROM {o} WHERE k IS NOT NULL) THEN false ELSE id < 5 END": {0, 1, 4},
    "(id, p) IN (SELECT k, k % 3 FROM {o})": {2, 3},
    "id = (SELECT max(x.id) - 15 FROM {t} x WHERE x.p = t.p)": {2, 3, 4},
    "id IN (SELECT k FROM {o} WHERE false)": set(),
}


@pytest.fixture(params=PROPERTIES)
def tables(spark, tmp_path, request):
    t, o = f"delta.`{tmp_path}/a table`", f"delta.`{tmp_path}/others`"
    spark.sql(f"CREATE TABLE {t} (id INT, p INT, v INT, note STRING) USING delta PARTITIONED BY (p) TBLPROPERTIES ({PROPERTIES[request.param]})")
    # Two files a partition.
    for some in ("id < 10", "id >= 10"):
        spark.sql(f"INSERT INTO {t} SELECT CAST(id AS INT), CAST(id % 3 AS INT), IF(id % 5 = 0, NULL, CAST(id AS INT)), 'old' FROM range(20) WHERE {some}")
    spark.sql(f"CREATE TABLE {o} (k INT) USING delta")
    spark.sql(f"INSERT INTO {o} VALUES (2), (3), (NULL), (40)")
    return t, o


def ids(spark, t, where="true"):
    return {r.id for r in spark.sql(f"SELECT id FROM {t} t WHERE {where}").collect()}


def keeps_changes(spark, t):
    return any(row.key == "delta.enableChangeDataFeed" for row in spark.sql(f"SHOW TBLPROPERTIES {t}").collect())


def changes(spark, t, kind):
    path = t.split("`")[1]
    feed = spark.read.option("readChangeFeed", "true").option("startingVersion", 3).format("delta").load(path)
    return {r.id for r in feed.where(f"_change_type = '{kind}'").collect()}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_deleted(spark, tables, condition):
    (t, o), gone = tables, CONDITIONS[condition]
    where = condition.format(t=t, o=o)
    assert ids(spark, t, where) == gone
    assert spark.sql(f"DELETE FROM {t} AS t WHERE {where}").first()[0] == len(gone)
    assert ids(spark, t) == ALL - gone
    if gone and keeps_changes(spark, t):
        assert changes(spark, t, "delete") == gone


@pytest.mark.parametrize("condition", CONDITIONS)
def test_updated(spark, tables, condition):
    (t, o), chosen = tables, CONDITIONS[condition]
    where = condition.format(t=t, o=o)
    before = {r.id: r for r in spark.sql(f"SELECT * FROM {t}").collect()}
    # The columns of the condition change with it: it is not asked again of the new rows.
    done = spark.sql(f"UPDATE {t} AS t SET note = 'new', id = id + 100, v = (SELECT max(k) FROM {o}) WHERE {where}").first()
    assert done[0] == len(chosen)
    after = {r.id: r for r in spark.sql(f"SELECT * FROM {t}").collect()}
    assert after == {i: r for i, r in before.items() if i not in chosen} | {
        i + 100: type(before[i])(id=i + 100, p=i % 3, v=40, note="new") for i in chosen
    }
    if chosen and keeps_changes(spark, t):
        assert changes(spark, t, "update_preimage") == chosen
        assert changes(spark, t, "update_postimage") == {i + 100 for i in chosen}


@pytest.mark.parametrize("tables", TRACKED, indirect=True)
def test_rows_keep_their_ids(spark, tables):
    t, o = tables
    tracked = f"SELECT id % 100 AS id, _metadata.row_id AS n, _metadata.row_commit_version AS version FROM {t}"
    before = {r.id: (r.n, r.version) for r in spark.sql(tracked).collect()}
    spark.sql(f"UPDATE {t} SET id = id + 100 WHERE id IN (SELECT k FROM {o})")
    spark.sql(f"DELETE FROM {t} WHERE id IN (SELECT k + 5 FROM {o})")
    after = {r.id: (r.n, r.version) for r in spark.sql(tracked).collect()}
    assert after.keys() == ALL - {7, 8}
    for i, (row, version) in after.items():
        assert row == before[i][0], i
        assert version == (3 if i in (2, 3) else before[i][1]), i


def test_a_condition_that_fails_changes_nothing(spark, tables):
    t, o = tables
    for statement in ("DELETE FROM {t} WHERE id = (SELECT k FROM {o})", "UPDATE {t} SET v = 1 WHERE id = (SELECT k FROM {o})"):
        with pytest.raises(Exception, match="SCALAR_SUBQUERY_TOO_MANY_ROWS"):
            spark.sql(statement.format(t=t, o=o))
    assert spark.sql(f"DESCRIBE HISTORY {t}").count() == 3
    with pytest.raises(Exception, match="UNSUPPORTED_CORRELATED_SCALAR_SUBQUERY"):
        spark.sql(f"UPDATE {t} AS t SET v = (SELECT max(k) FROM {o} o WHERE o.k = t.id)")


def test_delta_table_methods(spark, tables):
    from delta.tables import DeltaTable

    t, o = tables
    table = DeltaTable.forPath(spark, t.split("`")[1])
    table.delete(f"id IN (SELECT k FROM {o})")
    table.update(f"id > (SELECT max(k) FROM {o} WHERE k < 18) + 14", {"note": "'new'"})
    assert ids(spark, t) == ALL - {2, 3}
    assert ids(spark, t, "note = 'new'") == {18, 19}
