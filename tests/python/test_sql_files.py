"""The statements of tests/sql give what Apache Spark gave (tools/record_sql.py): columns, types, nullability, rows, errors."""

import json
import os
import pathlib
import re
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import record_sql  # noqa: E402
from conftest import Server  # noqa: E402

# Joins, groups, windows, sorts and set operations.
ROWS = re.compile(r"\b(JOIN|GROUP BY|OVER|ORDER BY|UNION|INTERSECT|EXCEPT|DISTINCT|PIVOT|IN \(SELECT|EXISTS \(|\w+\(\*\)|sum\(|count\()", re.I)
FILES = sorted(record_sql.SQL.glob("*.jsonl"))


def known():
    """Statements that still differ, by area."""
    found = {}
    for line in (record_sql.SQL / "known.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        area, _, sql = line.partition("\t")
        found.setdefault(area, set()).add(json.loads(sql))
    return found


@pytest.fixture
def local_time():
    """The client's clock is where the statements were recorded, for this test only."""
    before = os.environ.get("TZ")
    record_sql.local_time()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def differing(session, path, statements):
    """The statements whose answers are not Spark's, with both answers."""
    for key, value in record_sql.CONF.items():
        session.conf.set(key, value)
    differ = {}
    for want in statements:
        got = record_sql.answer(session, want["sql"])
        if not record_sql.equal(want, got):
            differ[want["sql"]] = f"\nwanted {want}\ngot    {got}"
    return differ


def recorded(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_statements_answer_as_spark(spark, local_time, path):
    expected = recorded(path)
    differ = differing(spark, path, expected)
    listed = known().get(path.stem, set())
    new = [text for sql, text in differ.items() if sql not in listed]
    assert not new, f"{len(new)} of {len(expected)} statements differ:" + "".join(new)
    mended = sorted(listed - set(differ))
    assert not mended, f"these statements pass now: take them out of tests/sql/known.txt: {mended}"


# Which of several equal values stands for a group depends on how rows are divided, in Spark too.
DIVIDED_OTHERWISE = {"collations"}
# Partitions, and arguments of the server.
SETTINGS = {"several-partitions": ("4", []), "small-memory": ("2", ["--memory-limit", "32m"])}


@pytest.fixture(scope="module", params=SETTINGS)
def divided(request, tmp_path_factory):
    """The name of a setting, and a server that plans every query for several partitions, however few its rows."""
    partitions, arguments = SETTINGS[request.param]
    if os.environ.get("BOATHOUSE_REMOTE"):
        pytest.skip("needs servers of its own")
    before = os.environ.get("BOATHOUSE_PARTITIONS")
    os.environ["BOATHOUSE_PARTITIONS"] = partitions
    server = Server(tmp_path_factory.mktemp("divided") / "home", *arguments)
    if before is None:
        del os.environ["BOATHOUSE_PARTITIONS"]
    else:
        os.environ["BOATHOUSE_PARTITIONS"] = before
    yield request.param, server
    server.stop()


def of_rows(statements):
    """The statements whose answers could depend on how rows are divided and where they are kept, and those that prepare them."""
    sets = ("SET ", "RESET ", "USE ")
    kept = [
        s
        for s in statements
        if "error" not in s and (not s["columns"] or s["sql"].startswith(sets) or ROWS.search(s["sql"]))
    ]
    return kept if any(s["columns"] for s in kept) else []


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_statements_answer_the_same_in_other_settings(divided, local_time, path):
    if path.stem in DIVIDED_OTHERWISE:
        pytest.skip("which of equal values stands for a group depends on how rows are divided")
    statements = of_rows(recorded(path))
    if not statements:
        pytest.skip("no statement over rows")
    setting, server = divided
    session = server.session()
    listed, listed_here = known().get(path.stem, set()), known().get(f"{path.stem} {setting}", set())
    differ = differing(session, path, statements)
    session.stop()
    new = [text for sql, text in differ.items() if sql not in listed | listed_here]
    assert not new, f"{len(new)} of {len(statements)} statements differ:" + "".join(new)
    mended = sorted(listed_here - set(differ))
    assert not mended, f"these statements pass now: take their lines of `{path.stem} {setting}` out of tests/sql/known.txt: {mended}"
