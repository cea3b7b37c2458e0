"""A plan reads a table at one version, however often it names it: while others commit, nothing of a statement is older than the
rest of it."""

import contextlib
import threading
import time

import pytest

# What each gives is zero at any version, and anything else where two versions meet in it.
QUERIES = {
    "scalar subqueries": "SELECT (SELECT sum(n) FROM {t}) - (SELECT sum(n) FROM {t})",
    "a count beside a filter": "SELECT (SELECT count(*) FROM {t}) - (SELECT count(*) FROM {t} WHERE n >= 0)",
    "common table expressions": "WITH a AS (SELECT max(n) m FROM {t}), b AS (SELECT max(n) m FROM {t}) SELECT a.m - b.m FROM a, b",
    "a self-join": "SELECT count(*) FROM {t} a FULL JOIN {t} b ON a.n = b.n WHERE a.n IS NULL OR b.n IS NULL",
    "NOT IN": "SELECT count(*) FROM {t} WHERE n NOT IN (SELECT n FROM {t})",
    "a correlated subquery": "SELECT count(*) FROM {t} a WHERE NOT EXISTS (SELECT 1 FROM {t} b WHERE b.n = a.n)",
    "UNION ALL": "SELECT coalesce(sum(x), 0) FROM (SELECT n AS x FROM {t} UNION ALL SELECT -n FROM {t})",
    "EXCEPT": "SELECT count(*) FROM (SELECT n FROM {t} EXCEPT SELECT n FROM {t})",
}
ROUNDS = 12
COMMITS = 12
DEADLINE_S = 120


@contextlib.contextmanager
def commits(session, table):
    """Appends one row after the other while the block runs; gives the list of what was appended."""
    done, appended, failures = threading.Event(), [], []

    def append():
        try:
            while not done.is_set():
                session.sql(f"INSERT INTO {table} VALUES ({len(appended) + 1})").collect()
                appended.append(len(appended) + 1)
        except Exception as error:  # shown by the test's own thread
            failures.append(error)

    thread = threading.Thread(target=append)
    thread.start()
    try:
        yield appended
    finally:
        done.set()
        thread.join()
    assert failures == []


@pytest.fixture
def table(spark, tmp_path):
    path = f"delta.`{tmp_path / 'counted'}`"
    spark.sql(f"CREATE TABLE {path} (n BIGINT) USING DELTA")
    spark.sql(f"INSERT INTO {path} VALUES (0)")
    return path


@pytest.fixture
def writer(remote):
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(remote).create()
    yield session
    session.stop()


def always(writer, table, wanted, answer, least=ROUNDS):
    """The answer is the wanted one again and again, while rows come in."""
    deadline = time.monotonic() + DEADLINE_S
    with commits(writer, table) as appended:
        rounds = 0
        while (rounds < least or len(appended) < COMMITS) and time.monotonic() < deadline:
            assert answer() == wanted, f"after {len(appended)} commits"
            rounds += 1
    assert rounds >= least and len(appended) >= COMMITS


@pytest.mark.parametrize("name", QUERIES)
def test_statement(spark, writer, table, name):
    query = QUERIES[name].format(t=table)
    always(writer, table, 0, lambda: spark.sql(query).first()[0])


def test_data_frame_joined_with_itself(spark, writer, table):
    frame = spark.sql(f"SELECT n FROM {table}")
    always(writer, table, 0, lambda: frame.alias("a").join(frame.alias("b"), "n", "left_anti").count())


# Each changes the row with the greatest number, of which there is one at any version; where what it reads of the table is newer
# than what it changes, there is none.
CHANGES = {
    "UPDATE": "UPDATE {t} SET n = n WHERE n = (SELECT max(n) FROM {t})",
    "UPDATE by IN": "UPDATE {t} SET n = n WHERE n IN (SELECT max(n) FROM {t})",
    "MERGE": "MERGE INTO {t} USING (SELECT max(n) AS top FROM {t}) s ON n = top WHEN MATCHED THEN UPDATE SET n = top",
}


@pytest.mark.parametrize("name", CHANGES)
def test_statement_that_changes_the_table(spark, writer, table, name):
    statement = CHANGES[name].format(t=table)
    always(writer, table, 1, lambda: spark.sql(statement).first()[0], least=3 * ROUNDS)
