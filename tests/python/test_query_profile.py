"""What queries did: EXPLAIN ANALYZE, the table system.query.history, and the history over HTTP."""

import json
import re
import urllib.error
import urllib.request

import pytest
from conftest import Server


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("profiled") / "home", "--memory-limit", "64m")
    yield server
    server.stop()


@pytest.fixture
def session(profiled):
    session = profiled.session()
    yield session
    session.stop()


def http(server, path):
    address = json.loads((server.home / "server.json").read_text())["http"]
    with urllib.request.urlopen(address + path) as answer:
        return json.loads(answer.read())


def of(session, text):
    """The newest profile of a statement with this text."""
    rows = session.sql("SELECT * FROM system.query.history ORDER BY start_time DESC").collect()
    return next(r for r in rows if text in r.statement_text and "query.history" not in r.statement_text)


def walk(operators):
    for operator in operators:
        yield operator
        yield from walk(operator["children"])


def test_a_query_is_in_the_history_with_its_operators(session):
    text = "SELECT id % 7 AS k, count(*) AS n FROM range(100000) GROUP BY id % 7"
    assert len(session.sql(text).collect()) == 7
    profile = of(session, text)
    assert profile.execution_status == "FINISHED" and profile.error_class is None
    assert profile.produced_rows == 7
    assert profile.start_time <= profile.end_time and profile.duration_us > 0
    assert profile.peak_memory_bytes > 0
    operators = list(walk(json.loads(profile.operators)))
    aggregates = [o for o in operators if o["operator"] == "HashAggregate"]
    assert aggregates and aggregates[0]["rows"] == 7 and aggregates[0]["time_us"] > 0


def test_files_that_were_read_and_pruned_are_counted(session):
    session.sql("CREATE TABLE pruned (day INT, n BIGINT) USING DELTA PARTITIONED BY (day)")
    session.sql("INSERT INTO pruned SELECT /*+ COALESCE(1) */ CAST(id % 5 AS INT), id FROM range(1000)")
    text = "SELECT sum(n) FROM pruned WHERE day = 3 AND n >= 0"
    session.sql(text).collect()
    profile = of(session, text)
    assert (profile.read_files, profile.pruned_files) == (1, 4)
    assert profile.read_bytes > 0


def test_what_was_written_to_disk_is_counted(session):
    text = "SELECT id, repeat('x', 200) AS s FROM range(400000) ORDER BY hash(id)"
    rows = sum(1 for _ in session.sql(text).toLocalIterator())
    assert rows == 400000
    profile = of(session, text)
    assert profile.spilled_bytes > 0 and 0 < profile.peak_memory_bytes <= 128 << 20
    sorts = [o for o in walk(json.loads(profile.operators)) if o["operator"] == "Sort"]
    assert sum(o["spilled_bytes"] for o in sorts) == profile.spilled_bytes


def test_a_failed_query_says_why(session):
    with pytest.raises(Exception, match="DIVIDE_BY_ZERO"):
        session.sql("SELECT 1 / (id - 5) FROM range(10)").collect()
    profile = of(session, "1 / (id - 5)")
    assert (profile.execution_status, profile.error_class) == ("FAILED", "DIVIDE_BY_ZERO")
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        session.sql("INSERT INTO not_there VALUES (1)").collect()
    assert of(session, "INTO not_there").error_class == "TABLE_OR_VIEW_NOT_FOUND"


def test_a_command_is_in_the_history_with_what_it_read(session):
    session.sql("CREATE OR REPLACE TABLE copied AS SELECT id FROM range(1234)")
    profile = of(session, "TABLE copied AS")
    assert profile.execution_status == "FINISHED"
    assert any(o["rows"] == 1234 for o in walk(json.loads(profile.operators)))


def test_a_data_frame_is_in_the_history(session):
    assert session.range(50).filter("id > 40").count() == 9
    newest = session.sql("SELECT statement_text, produced_rows FROM system.query.history ORDER BY start_time DESC").first()
    assert newest.statement_text.startswith("DataFrame ") and newest.produced_rows == 1


def test_http_shows_the_history(profiled, session):
    text = "SELECT max(id) AS greatest FROM range(77)"
    session.sql(text).collect()
    listed = http(profiled, "/queries?limit=5")["queries"]
    assert 1 <= len(listed) <= 5 and "operators" not in listed[0]
    query = next(q for q in listed if q["statement"] == text)
    shown = http(profiled, f"/queries/{query['id']}")
    assert shown["status"] == "FINISHED" and shown["rows_produced"] == 1
    assert any(o["rows"] == 1 for o in walk(shown["operators"]))
    with pytest.raises(urllib.error.HTTPError) as missing:
        http(profiled, "/queries/none")
    assert missing.value.code == 404


def test_explain_analyze_runs_the_query(session):
    plan = session.sql("EXPLAIN ANALYZE SELECT id FROM range(1000) WHERE id % 10 = 0").first()[0]
    filtered = next(line for line in plan.splitlines() if "Filter" in line)
    assert re.search(r"\[rows=100, time_us=\d+", filtered), plan
    assert re.search(r"^peak_memory_bytes=\d+$", plan, re.M), plan


def test_the_history_outlives_the_server(tmp_path):
    server = Server(tmp_path / "home")
    session = server.session()
    session.sql("SELECT 'before the end'").collect()
    session.stop()
    server.stop()
    server = Server(tmp_path / "home")
    session = server.session()
    assert of(session, "before the end").execution_status == "FINISHED"
    session.stop()
    server.stop()


def test_a_file_that_tasks_share_is_one_file(session):
    session.sql("CREATE TABLE shared USING DELTA AS SELECT /*+ COALESCE(1) */ id, sha2(CAST(id AS STRING), 512) AS s FROM range(150000)")
    detail = session.sql("DESCRIBE DETAIL shared").first()
    # Large enough that the cores read parts of it.
    assert detail.numFiles == 1 and detail.sizeInBytes > 12 << 20
    text = "SELECT max(s) FROM shared"
    session.sql(text).collect()
    assert of(session, text).read_files == 1
