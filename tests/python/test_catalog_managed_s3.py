"""Managed Delta tables, of which the catalog manages the commits or not, on an S3-like server: servers of one home share them, and
one may die before or after each request that changes something."""

import re

import pytest
from conftest import Server
from test_catalog_managed import MANAGED, Statement, ids, in_metastore
from test_concurrency import at_once, condition, is_conflict, only_maker, retried
from test_faults import Bucket, environment, runs_to_death


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    place = Bucket(tmp_path_factory.mktemp("bucket"))
    yield place
    place.close()


@pytest.fixture
def spark(bucket, own_sessions):
    session = bucket.server.session()
    session.sql("CREATE SCHEMA IF NOT EXISTS far LOCATION 's3://tables/far'")
    yield session
    session.stop()


def another_server(bucket):
    """One more of the same home."""
    with environment(**bucket.through_proxy):
        return Server(bucket.server.home)


@pytest.fixture
def sessions(bucket, spark):
    """Eight, on two servers."""
    other = another_server(bucket)
    made = [server.session() for server in (bucket.server, other) for _ in range(4)]
    yield made
    for session in made:
        session.stop()
    other.stop()


def log_files(bucket, spark, table):
    log = spark.sql(f"DESCRIBE DETAIL {table}").first()["location"].removeprefix("s3://tables/") + "/_delta_log"
    return [key.removeprefix(f"{log}/") for key in bucket.objects(log)]


def commits(files):
    return sorted(int(name[:20]) for name in files if re.fullmatch(r"\d{20}\.json", name))


def staged(files):
    return sorted(int(name.split("/")[1][:20]) for name in files if name.startswith("_staged_commits/"))


def unpublished(bucket):
    return in_metastore(bucket.server.home, "SELECT version, file FROM managed_commits")


MERGE = """
MERGE INTO far.t t USING (SELECT explode(array(0L, 7L)) AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT *
"""
# A statement and the rows after it.
CHANGES = {"insert": ("INSERT INTO far.t VALUES (1)", [0, 1]), "merge": (MERGE, [7])}


@pytest.mark.parametrize("change", CHANGES)
def test_a_death_at_each_request(bucket, spark, change):
    statement, after = CHANGES[change]
    spark.sql(f"CREATE TABLE far.t (id BIGINT) {MANAGED}")
    seen = []
    while True:
        spark.sql("INSERT OVERWRITE far.t VALUES (0)")
        before = len(commits(log_files(bucket, spark, "far.t")))
        dying = another_server(bucket)
        bucket.proxy.watch(dying, len(seen))
        try:
            died = runs_to_death(dying, Statement(statement), None)
        finally:
            bucket.proxy.watch(None, 0)
        now = ids(spark, "far.t")
        assert now in ([0], after), f"step {len(seen)}"
        files = log_files(bucket, spark, "far.t")
        assert commits(files) == list(range(before if now == [0] else before + 1))
        assert unpublished(bucket) == []
        spark.sql("INSERT INTO far.t VALUES (9)")
        assert ids(spark, "far.t") == [*now, 9]
        if not died:
            break
        seen.append(now == after)
    assert now == after
    spark.sql("DROP TABLE far.t")
    # The rows, the staged commit and the published one, each before it is sent and when it is there.
    assert len(seen) >= 6
    assert seen == sorted(seen), "what is a version stays one"
    assert not seen[0] and seen[-1]


def test_writers_of_two_servers(bucket, sessions):
    """Nothing is lost and nothing is doubled."""
    sessions[0].sql(f"CREATE TABLE far.busy (id BIGINT, n BIGINT) {MANAGED}")
    sessions[0].sql("INSERT INTO far.busy SELECT -1 - id, 0 FROM range(8)")

    def work(spark, i):
        for k in range(2):
            retried(lambda: spark.sql(f"INSERT INTO far.busy VALUES ({i * 100 + k}, 1)").collect())
            retried(lambda: spark.sql(f"UPDATE far.busy SET n = n + 1 WHERE id = {-1 - i}").collect())

    at_once(sessions, work)
    for spark in (sessions[0], sessions[-1]):
        rows = dict(map(tuple, spark.sql("SELECT id, n FROM far.busy").collect()))
        assert rows == {-1 - i: 2 for i in range(8)} | {i * 100 + k: 1 for i in range(8) for k in range(2)}
    files = log_files(bucket, sessions[0], "far.busy")
    assert commits(files) == staged(files) == list(range(2 + 8 * 4))
    assert unpublished(bucket) == []


@pytest.mark.parametrize("kind", ["USING delta", MANAGED], ids=["plain", "managed"])
def test_a_table_that_many_make_at_once(bucket, sessions, kind):
    """One makes it, and those who come too late take nothing of it away."""

    def is_too_late(error):
        return condition(error) == "TABLE_OR_VIEW_ALREADY_EXISTS" or is_conflict(error)

    for round in range(4):
        table = f"far.wanted_{round}_{len(kind)}"
        maker = only_maker(sessions, lambda i, table=table: f"CREATE TABLE {table} {kind} AS SELECT {i}L AS id", is_too_late)
        for spark in (sessions[0], sessions[-1]):
            assert ids(spark, table) == [maker]
        for spark in (sessions[0], sessions[-1]):
            spark.sql(f"INSERT INTO {table} VALUES (100)")
        assert ids(sessions[0], table) == [maker, 100, 100]
