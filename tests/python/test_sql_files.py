"""The statements of tests/sql give what Apache Spark gave (tools/record_sql.py): columns, types, nullability, rows, errors."""

import json
import os
import pathlib
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import record_sql  # noqa: E402

FILES = sorted(record_sql.SQL.glob("*.jsonl"))


def known():
    """Statements that still differ, by area."""
    found = {}
    for line in (record_sql.SQL / "known.txt").read_text().splitlines():
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


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_statements_answer_as_spark(spark, local_time, path):
    session = spark
    for key, value in record_sql.CONF.items():
        session.conf.set(key, value)
    expected = [json.loads(line) for line in path.read_text().splitlines()]
    differ = {}
    for want in expected:
        got = record_sql.answer(session, want["sql"])
        if got != want:
            differ[want["sql"]] = f"\nwanted {want}\ngot    {got}"
    listed = known().get(path.stem, set())
    new = [text for sql, text in differ.items() if sql not in listed]
    assert not new, f"{len(new)} of {len(expected)} statements differ:" + "".join(new)
    mended = sorted(listed - set(differ))
    assert not mended, f"these statements pass now: take them out of tests/sql/known.txt: {mended}"
