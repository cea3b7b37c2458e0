"""Pipelines as people write them: functions in any order, that look at columns; projects of files; notebooks; what is said when
something is wrong."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, binary


class Home:
    """The command line in a home and a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.env = {**os.environ, "BOATHOUSE_HOME": str(directory / "home"), "BOATHOUSE_PYTHON": sys.executable}
        self.env["BOATHOUSE_PYTHON_MODULES"] = str(ROOT / "python")
        self.env.pop("SPARK_REMOTE", None)

    def write(self, **files):
        for name, text in files.items():
            file = self.directory / name.replace("__", "/").replace("_dot_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def boathouse(self, *arguments, code=0):
        done = subprocess.run(
            [binary(), *arguments], cwd=self.directory, env=self.env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def ask(self, sql):
        return [tuple(r.values()) for r in json.loads(self.boathouse("sql", "--format", "json", "-e", sql).stdout)]


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_functions_in_any_order_may_look_at_columns(home):
    home.write(
        p_dot_py="""
import dlt
from pyspark.sql.functions import col

@dlt.table
def gold():
    silver = dlt.read("silver")
    return silver.select([col(c).alias(c.upper()) for c in silver.columns])

@dlt.table
def silver():
    bronze = spark.sql("SELECT * FROM LIVE.bronze")
    assert bronze.schema.simpleString() == "struct<id:bigint>"
    return bronze.where("id > 2")

@dlt.table
def bronze():
    return spark.range(10)
"""
    )
    home.boathouse("pipeline", "run", "p.py")
    assert home.ask("SELECT count(ID), min(ID) FROM gold") == [(7, 3)]


def test_a_project_of_python_sql_and_sparks_own_decorators(home):
    home.write(
        shop__pipeline_dot_yml="name: shop\nconfiguration: {shop.limit: '3'}\n",
        shop__helpers_dot_py="def limited(df):\n    return df.limit(int(spark.conf.get('shop.limit')))\n",
        shop__a_dot_py="""
import dlt
from helpers import limited

@dlt.view
def numbers():
    return spark.range(0, 10, 1, 1)

@dlt.table
def few():
    return limited(dlt.read("numbers"))
""",
        shop__more__b_dot_py="""
from pyspark import pipelines as dp

@dp.materialized_view(comment="Spark's own")
def doubled():
    return spark.table("few").selectExpr("id * 2 AS id")
""",
        shop__c_dot_sql="CREATE OR REFRESH MATERIALIZED VIEW total AS SELECT sum(id) AS total FROM doubled;",
    )
    home.boathouse("pipeline", "run", "shop")
    assert home.ask("SELECT * FROM total") == [(6,)]
    assert home.ask("SELECT DISTINCT origin.pipeline_name FROM event_log('shop')") == [("shop",)]


NOTEBOOK = """# Databricks notebook source
# MAGIC %md
# MAGIC # A pipeline

# COMMAND ----------
import dlt

# COMMAND ----------
@dlt.table
def letters():
    return spark.createDataFrame([("a",), ("b",)], ["letter"])

# COMMAND ----------
# MAGIC %sql
# MAGIC CREATE OR REFRESH MATERIALIZED VIEW n_letters AS SELECT count(*) AS n FROM letters;
"""


def test_notebooks(home):
    cells = [c.replace("# MAGIC ", "").strip() for c in NOTEBOOK.split("# COMMAND ----------")[1:]]
    notebook = {"cells": [{"cell_type": "code", "source": [c]} for c in cells], "nbformat": 4, "nbformat_minor": 5}
    home.write(source_dot_py=NOTEBOOK, jupyter_dot_ipynb=json.dumps(notebook).replace("letters", "letters2"))
    home.boathouse("pipeline", "run", "source.py")
    home.boathouse("pipeline", "run", "jupyter.ipynb")
    assert home.ask("SELECT n FROM n_letters UNION ALL SELECT n FROM n_letters2") == [(2,), (2,)]


def test_flows_and_hooks(home):
    home.boathouse("sql", "-e", "CREATE TABLE src AS SELECT id FROM range(5)")
    home.write(
        flows_dot_py="""
import dlt

dlt.create_streaming_table("rows", expect_all_or_drop={"small": "id < 102"})

@dlt.append_flow(target="rows")
def from_src():
    return spark.readStream.table("src")

@dlt.append_flow(target="rows", once=True)
def backfill():
    return spark.range(100, 103)

@dlt.on_event_hook
def tell(event):
    if event["event_type"] == "update_progress":
        print("told:", event["details"]["update_progress"]["state"])

@dlt.on_event_hook(max_allowable_consecutive_failures=1)
def broken(event):
    raise RuntimeError("no")
"""
    )
    first = home.boathouse("pipeline", "run", "flows.py")
    assert "told: COMPLETED" in first.stdout
    assert "failed 2 times in a row" in first.stderr
    assert home.ask("SELECT count(*), max(id) FROM rows") == [(7, 101)]
    home.boathouse("sql", "-e", "INSERT INTO src VALUES (50)")
    home.boathouse("pipeline", "run", "flows.py")
    assert home.ask("SELECT count(*) FROM rows") == [(8,)]
    home.boathouse("pipeline", "run", "flows.py", "--full-refresh", "rows")
    assert home.ask("SELECT count(*) FROM rows") == [(8,)]


def test_a_failed_rule_names_table_rule_and_row(home):
    home.write(
        p_dot_py="""
import dlt

@dlt.table
def up():
    return spark.sql("SELECT * FROM VALUES (1, 2.5), (NULL, 3.0) AS t(id, amount)")

@dlt.table
@dlt.expect_or_fail("has_id", "id IS NOT NULL")
def mid():
    return dlt.read("up")

@dlt.table
def down():
    return dlt.read("mid")

@dlt.table
def other():
    return dlt.read("up")
"""
    )
    done = home.boathouse("pipeline", "run", "p.py", code=1)
    assert all(word in done.stderr for word in ("mid", "has_id", "id IS NOT NULL", '"amount":3.0'))
    states = {line.split()[0]: line.split()[3] for line in done.stdout.splitlines() if "materialized view" in line}
    assert states == {"up": "completed", "mid": "failed", "down": "skipped", "other": "completed"}
    assert home.ask("SELECT count(*) FROM other") == [(2,)]


def test_a_dry_run_finds_every_error(home):
    home.write(
        p_dot_py="""
import dlt

@dlt.table
def a():
    return spark.table("nowhere")

@dlt.table
def b():
    return spark.range(1).select("no_such_column")

@dlt.table
def c():
    return 1 / 0

@dlt.table
def d():
    pass

@dlt.table
@dlt.expect("unfinished", "id >")
def e():
    return spark.range(1)
"""
    )
    for command in ("dry-run", "validate", "run"):
        said = home.boathouse("pipeline", command, "p.py", code=1).stderr
        for words in ("a (p.py:4)", "nowhere", "b (p.py:8)", "no_such_column", "c (p.py:12)", "ZeroDivisionError",
                      "d (p.py:16)", "must return a DataFrame", "e (p.py:20)", "unfinished"):  # fmt: skip
            assert words in said, f"{command}: {words} is not in\n{said}"
    assert home.ask("SHOW TABLES") == []


def test_a_dry_run_and_validate_run_nothing(home):
    home.write(p_dot_sql="CREATE OR REFRESH MATERIALIZED VIEW m AS SELECT 1 AS one;")
    assert "materialized view" in home.boathouse("pipeline", "dry-run", "p.sql").stdout
    assert home.boathouse("pipeline", "validate", "p.sql").stdout == "Pipeline p is valid.\n"
    assert home.ask("SHOW TABLES") == []


def test_bad_usage_is_exit_code_2(home):
    home.write(p_dot_py="import dlt\n@dlt.table\ndef t():\n    return spark.range(1)\n", empty_dot_py="", spec__pipeline_dot_yml="nme: x")
    for arguments, words in [
        (["no.py"], "no.py"),
        (["empty.py"], "defines no table"),
        (["spec"], "nme"),
        (["p.py", "--refresh", "u"], "no dataset u"),
        (["p.py", "--refresh", "t", "--full-refresh-all"], "cannot be used with"),
    ]:
        assert words in home.boathouse("pipeline", "run", *arguments, code=2).stderr
    home.write(broken_dot_py="import dlt\nx = 1 / 0\n")
    said = home.boathouse("pipeline", "run", "broken.py", code=1).stderr
    assert "broken.py:2" in said and "ZeroDivisionError" in said


def test_sql_on_a_server(home, remote):
    home.env["SPARK_REMOTE"] = remote
    home.boathouse("sql", "-e", "CREATE OR REPLACE TABLE of_client AS SELECT id, CAST(id AS STRING) AS text FROM range(200000)")
    assert home.ask("SELECT count(*), max(text), sum(id) FROM of_client") == [(200000, "99999", 19999900000)]
    csv = home.boathouse("sql", "--format", "csv", "-e", "SELECT id, CASE WHEN id = 0 THEN text END AS t FROM of_client ORDER BY id LIMIT 2")
    assert csv.stdout == "id,t\n0,0\n1,\n"
    wrong = home.boathouse("sql", "-e", "SELECT nope FROM of_client", code=1)
    assert "UNRESOLVED_COLUMN" in wrong.stderr and "`nope`" in wrong.stderr
    del home.env["SPARK_REMOTE"]
    assert "no address" in home.boathouse("sql", "--remote", "localhost", "-e", "SELECT 1", code=2).stderr
    assert "no server" in home.boathouse("sql", "--remote", "sc://localhost:1", "-e", "SELECT 1", code=1).stderr
    home.write(p_dot_py="import dlt\n@dlt.table\ndef t():\n    return spark.range(1)\n")
    assert "no server" in home.boathouse("pipeline", "run", "--remote", "sc://localhost:1", "p.py", code=1).stderr


def test_tables_as_people_see_them(home):
    drawn = home.boathouse("sql", "-e", "SELECT 1 AS one, 'naïve 日本' AS text, NULL AS nothing").stdout
    assert drawn == (
        "+-----+------------+---------+\n"
        "| one | text       | nothing |\n"
        "+-----+------------+---------+\n"
        "|   1 | naïve 日本 | NULL    |\n"
        "+-----+------------+---------+\n"
        "1 row\n"
    )
    assert home.boathouse("sql", "-e", "EXPLAIN SELECT 1").stdout.startswith("== Physical Plan ==\n")
    assert home.boathouse("sql", "-e", "CREATE TABLE t (a INT)").stdout == ""


def test_expectations_of_views_hold_where_they_are_read(home):
    home.boathouse("sql", "-e", "CREATE TABLE src AS SELECT id FROM range(5)")
    home.write(
        views_dot_py="""
import dlt

@dlt.view
@dlt.expect_or_drop("even", "id % 2 = 0")
@dlt.expect("small", "id < 8")
def evens():
    return spark.range(10)

@dlt.table
@dlt.expect("small", "n < 3")
def even_count():
    return spark.sql("SELECT count(*) AS n FROM evens")

@dlt.view
@dlt.expect_or_drop("odd", "id % 2 = 1")
def odds():
    return spark.readStream.table("src")

@dlt.table
def odd_rows():
    return dlt.read_stream("odds")
"""
    )
    said = home.boathouse("pipeline", "run", "views.py").stdout
    assert home.ask("SELECT n FROM even_count UNION ALL SELECT sum(id) FROM odd_rows") == [(5,), (4,)]
    quality = said[said.index("Data quality") :].split("\n\n")[0]
    assert sorted(line.split()[:5] for line in quality.splitlines()[2:]) == [
        ["even_count", "small", "warn", "0", "1"],
        ["evens", "even", "drop", "5", "5"],
        ["evens", "small", "warn", "8", "2"],
        ["odds", "odd", "drop", "2", "3"],
    ]
    # A batch tells what is new in it.
    home.boathouse("sql", "-e", "INSERT INTO src VALUES (7)")
    said = home.boathouse("pipeline", "run", "views.py").stdout
    assert ["odds", "odd", "drop", "1", "0"] in [line.split()[:5] for line in said.splitlines()]


def test_rules_in_sql_tell_their_action(home):
    home.write(
        p_dot_sql="""
CREATE OR REFRESH MATERIALIZED VIEW m (
  CONSTRAINT counted EXPECT (id > 0), CONSTRAINT dropped EXPECT (id > 1) ON VIOLATION DROP ROW,
  CONSTRAINT fatal EXPECT (id >= 0) ON VIOLATION FAIL UPDATE
) AS SELECT id FROM range(3);
"""
    )
    said = home.boathouse("pipeline", "run", "p.sql").stdout
    assert [line.split()[1:5] for line in said.splitlines() if line.startswith("m  ") and "%" in line] == [
        ["counted", "warn", "2", "1"], ["dropped", "drop", "1", "2"], ["fatal", "fail", "3", "0"],
    ]  # fmt: skip
