"""Window functions over more rows than a batch has, beside the same without windows: groups, joins, counts of smaller rows."""

import json

import pytest
from conftest import Server
from test_query_profile import walk

ROWS = 30_000
# Partitions of one row, of few, of several batches; NULL is one; peers of one row, of few, and across batches.
TABLE = f"""SELECT id,
    CASE WHEN id % 3 = 0 THEN 0 WHEN id % 3 = 1 THEN id div 500 + 1 WHEN id % 7 = 0 THEN NULL ELSE -id END AS k,
    (id * 7919) % {ROWS} div 50 AS o, CAST((id * 31) % 1000 AS DECIMAL(10, 2)) / 4 AS d,
    CASE WHEN id % 11 > 0 THEN (id * 13) % 97 END AS v FROM range({ROWS})"""
FUNCTIONS = ["sum(v)", "sum(d)", "count(v)", "count(*)", "min(v)", "max(d)", "avg(v)", "max(string(v))", "count_if(v > 50)", "bit_xor(v)"]


@pytest.fixture(scope="module", params=["plenty of memory", "64 MB"])
def rows(request, tmp_path_factory):
    arguments = ["--memory-limit", "64m"] if request.param == "64 MB" else []
    server = Server(tmp_path_factory.mktemp("windows") / "home", *arguments)
    session = server.session()
    session.sql(f"CREATE TABLE rows USING delta AS {TABLE}")
    yield session
    session.stop()
    server.stop()


def difference(session, windows, others):
    """How many rows two queries do not have in common, and how many they have."""
    session.sql(f"CREATE OR REPLACE TABLE a USING delta AS {windows}")
    session.sql(f"CREATE OR REPLACE TABLE b USING delta AS {others}")
    both = "SELECT count(*) FROM (SELECT * FROM {} EXCEPT ALL SELECT * FROM {})"
    return session.sql(f"SELECT ({both.format('a', 'b')}), ({both.format('b', 'a')}), (SELECT count(*) FROM a)").collect()[0]


def named(functions, window=""):
    return ", ".join(f"{f}{window} AS c{i}" for i, f in enumerate(functions))


def test_whole_partitions(rows):
    windows = f"SELECT id, k, {named(FUNCTIONS, ' OVER (PARTITION BY k)')} FROM rows"
    groups = f"SELECT id, rows.k, {named([f'g.c{i}' for i in range(len(FUNCTIONS))])} FROM rows JOIN (SELECT k, {named(FUNCTIONS)} FROM rows GROUP BY k) g ON rows.k <=> g.k"
    assert tuple(difference(rows, windows, groups)) == (0, 0, ROWS)


def test_all_rows_are_one_partition(rows):
    windows = f"SELECT id, {named(FUNCTIONS, ' OVER ()')} FROM rows"
    groups = f"SELECT id, g.* FROM rows CROSS JOIN (SELECT {named(FUNCTIONS)} FROM rows) g"
    assert tuple(difference(rows, windows, groups)) == (0, 0, ROWS)


def test_ranks(rows):
    """By the number of rows, and of values, that come before."""
    windows = "SELECT id, k, o, rank() OVER w AS r, dense_rank() OVER w AS d FROM rows WINDOW w AS (PARTITION BY k ORDER BY o)"
    counted = """WITH peers AS (SELECT k, o, count(*) AS n FROM rows GROUP BY k, o)
        SELECT id, rows.k, rows.o, int(g.r), int(g.d) FROM rows JOIN (
            SELECT a.k, a.o, sum(CASE WHEN b.o < a.o THEN b.n ELSE 0 END) + 1 AS r, count(CASE WHEN b.o < a.o THEN 1 END) + 1 AS d
            FROM peers a JOIN peers b ON a.k <=> b.k GROUP BY a.k, a.o) g ON rows.k <=> g.k AND rows.o = g.o"""
    assert tuple(difference(rows, windows, counted)) == (0, 0, ROWS)


def test_row_numbers(rows):
    numbered = "(SELECT k, row_number() OVER (PARTITION BY k ORDER BY o, id) AS n FROM rows)"
    found = rows.sql(f"SELECT count(*), sum(n) FROM (SELECT k, max(n) - count(*) AS n, count(DISTINCT n) - count(*) AS m FROM {numbered} GROUP BY k) WHERE n <> 0 OR m <> 0").collect()
    assert tuple(found[0]) == (0, None)


@pytest.mark.parametrize("functions", [["sum(v)", "sum(d)", "count(v)", "min(v)"], ["max(string(v))", "avg(v)", "bit_xor(v)", "max(d)"]])
def test_frames_that_grow(rows, functions):
    """Over the partitions of few rows, beside a join with all rows that come before: up to this row, and up to its last peer."""
    few = "(SELECT * FROM rows WHERE k > 0)"
    for frame, before in (("ROWS", "b.o < a.o OR b.o = a.o AND b.id <= a.id"), ("RANGE", "b.o <= a.o")):
        order = "o, id" if frame == "ROWS" else "o"
        window = f" OVER (PARTITION BY k ORDER BY {order} {frame} BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
        joined = named([f.replace("(v", "(b.v").replace("(d", "(b.d") for f in functions]).replace("string(b.v", "string(b.v")
        joined = f"SELECT a.id, a.k, {joined} FROM {few} a JOIN {few} b ON a.k = b.k AND ({before}) GROUP BY a.id, a.k"
        assert tuple(difference(rows, f"SELECT id, k, {named(functions, window)} FROM {few}", joined)) == (0, 0, ROWS // 3)


def test_long_partitions_that_grow(rows):
    """The last value of each partition is that of the whole, and each is the one before and its own row."""
    window = "OVER (PARTITION BY k ORDER BY o, id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    steps = rows.sql(f"""SELECT count(*), count_if(s - coalesce(v, 0) <=> p) FROM (
        SELECT v, s, coalesce(lag(s) OVER (PARTITION BY k ORDER BY o, id), 0) AS p FROM (
            SELECT *, coalesce(sum(v) {window}, 0) AS s FROM rows))""").collect()[0]
    assert tuple(steps) == (ROWS, ROWS)


@pytest.mark.parametrize("call, source", [("lag(v)", "n - 1"), ("lead(v)", "n + 1"), ("lag(v, 40, -1)", "n - 40"), ("lead(v, 9000, id)", "n + 9000"), ("lead(d, 700, id)", "n + 700")])
def test_rows_before_and_after(rows, call, source):
    column, default = call[call.index("(") + 1], call.rpartition(", ")[2].rstrip(")") if call.count(",") == 2 else "NULL"
    numbered = "(SELECT *, row_number() OVER (PARTITION BY k ORDER BY o, id) AS n FROM rows)"
    shifted = f"SELECT id, k, sum(v) OVER w AS s, {call} OVER w AS c, count(*) OVER (PARTITION BY k) AS n FROM rows WINDOW w AS (PARTITION BY k ORDER BY o, id)"
    joined = f"""SELECT a.id, a.k, sum(a.v) OVER (PARTITION BY a.k ORDER BY a.n) AS s, CASE WHEN b.id IS NULL THEN {default.replace("id", "a.id")} ELSE b.{column} END AS c, m
        FROM {numbered} a LEFT JOIN {numbered} b ON a.k <=> b.k AND b.n = a.{source} JOIN (SELECT k, count(*) AS m FROM rows GROUP BY k) g ON a.k <=> g.k"""
    assert tuple(difference(rows, shifted, joined)) == (0, 0, ROWS)


def test_filters_and_other_frames_beside_them(rows):
    """What the operator for sorted rows does not have: DataFusion's has it, in the same window."""
    found = rows.sql("""SELECT count_if(all <> 6), count_if(some <> least(id + 1, 6)), count_if(before <=> id - 1),
        count_if(two <> greatest(id - 1, 0) + id), count_if(r <> id + 1), count_if(up <> id * (id + 1) div 2), count_if(n <> id + 1), count(*) FROM (
        SELECT id, count(*) FILTER (WHERE id < 6) OVER () AS all, count(*) FILTER (WHERE id < 6) OVER w AS some, rank() OVER w AS r,
            lag(id) OVER w AS before, sum(id) OVER w AS up, sum(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS two,
            row_number() OVER w AS n FROM range(20000) WINDOW w AS (ORDER BY id))""").collect()[0]
    assert tuple(found) == (0, 0, 19999, 0, 0, 0, 0, 20000)


def test_no_rows(rows):
    frame = "OVER (PARTITION BY k ORDER BY o)"
    assert rows.sql(f"SELECT rank() {frame}, sum(v) {frame}, avg(v) OVER (PARTITION BY k) FROM rows WHERE id < 0").collect() == []


def test_windows_wait_on_disk(tmp_path):
    """A partition larger than the memory: its rows wait for its sum."""
    server = Server(tmp_path / "home", "--memory-limit", "24m")
    session = server.session()
    try:
        query = "SELECT max(length(t)), min(s), max(s), count(*) FROM (SELECT t, sum(id) OVER () AS s FROM (SELECT id, repeat(uuid(), 4) AS t FROM range(400000)))"
        total = 400_000 * 399_999 // 2
        assert tuple(session.sql(query).collect()[0]) == (144, total, total, 400_000)
        profile = session.sql("SELECT operators FROM system.query.history WHERE statement_text LIKE 'SELECT max(length%' LIMIT 1").collect()[0]
        window = next(o for o in walk(json.loads(profile.operators)) if o["operator"] == "Window")
        # The texts alone have 57.6 MB.
        assert window["rows"] == 400_000 and window["spilled_bytes"] > 30_000_000, window
    finally:
        session.stop()
        server.stop()


@pytest.mark.parametrize("frame", ["RANGE BETWEEN CAST(NULL AS BIGINT) PRECEDING AND CURRENT ROW", "ROWS BETWEEN CURRENT ROW AND CAST(NULL AS INT) FOLLOWING"])
def test_null_is_no_offset_of_a_frame(spark, frame):
    with pytest.raises(Exception, match="NOT_IN_BOATHOUSE"):
        spark.sql(f"SELECT sum(id) OVER (ORDER BY id {frame}) FROM range(3)").collect()
