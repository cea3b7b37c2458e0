"""The benchmarks of streams and statements run, at a small scale: what they measure is not looked at here."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif("BOATHOUSE_REMOTE" in os.environ, reason="needs servers of its own")


def bench(name, *arguments):
    """What a program of `bench` says."""
    environment = {k: v for k, v in os.environ.items() if k != "BOATHOUSE_SPARK_REMOTE"}
    command = [sys.executable, str(ROOT / "bench" / f"{name}.py"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_streams():
    """Nexmark with its answers, rates, small batches and state: each has its line."""
    small = ["--batches=3", "--events=2000", "--keys=2000", "--rows-per-batch=2000", "--rate-batches=3", "--small-batches=15"]
    told = bench("streams", *small, "--queries", "q1", "q5", "q8", "q12")
    for line in ("answers: 4 queries", "q1 ", "q12 ", "counts by window", "1,000 rows, stateless", "1,000 rows, into Delta", "state of counts", "state of keys"):
        assert line in told, told


def test_commits_of_the_catalog():
    told = bench("catalog_managed", "--appends=3")
    assert "append " in told and "opening " in told and told.count("ratio") == 2, told


def test_statements():
    assert bench("statements", "--statements", "5", "--seconds", "0.5").count("16 sessions") == 2
