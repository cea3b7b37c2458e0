"""`boathouse demo`, with fewer sales."""

import json
import os
import subprocess
import sys

from conftest import ROOT, binary


def run(home, *arguments, code=0):
    env = {**os.environ, "BOATHOUSE_PYTHON": sys.executable, "BOATHOUSE_PYTHON_MODULES": str(ROOT / "python")}
    env.pop("SPARK_REMOTE", None)
    done = subprocess.run([binary(), *arguments, "--home", str(home)], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def test_the_demo(tmp_path):
    for _ in range(2):  # the second takes the place of the first
        shown = run(tmp_path, "demo", "--rows", "2500", "--new-rows", "100").stdout
        ask = "SELECT count(*) FROM bronze_sales UNION ALL SELECT count(*) FROM silver_sales UNION ALL " \
            "SELECT count(*) FROM dropped_records('silver_sales')"
        answer = run(tmp_path / "demo", "sql", "--format", "json", "-e", ask).stdout
        bronze, silver, dropped = [next(iter(r.values())) for r in json.loads(answer)]
        assert bronze == 2603 and silver + dropped == bronze and dropped > 1
    table = [line.split() for line in shown.splitlines() if " bronze_sales " in line and line.startswith("|")]
    assert [row[5] for row in table] == ["3", "2500", "100"], "each update reads only what is new"
    assert "SALE-002" in shown and "valid_customer" in shown and str(tmp_path / "demo" / "raw" / "sales") in shown


def test_the_demo_removes_nothing_of_others(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine").write_text("precious")
    assert "not from an earlier demo" in run(tmp_path, "demo", code=2).stderr
    assert (tmp_path / "demo" / "mine").read_text() == "precious"
