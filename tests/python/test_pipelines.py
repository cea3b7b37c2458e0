"""Declarative pipelines, run as a user runs them: `boathouse pipeline`, and the stock `pyspark.pipelines` against a server."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from conftest import ROOT, Server, binary

ENVIRONMENT = {**os.environ, "BOATHOUSE_PYTHON": sys.executable, "BOATHOUSE_PYTHON_MODULES": str(ROOT / "python")}
ROUNDS = int(os.environ.get("BOATHOUSE_CRASH_ROUNDS", "4"))
SEED = int(os.environ.get("BOATHOUSE_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))


class Project:
    """A pipeline in a directory of its own, with a home of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.home = directory / "home"
        self.data = directory / "data"
        self.data.mkdir()

    def write(self, name, text):
        """A file of the pipeline; `DATA` stands for the directory of its input."""
        file = self.directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).replace("DATA", str(self.data)))
        return file

    def put(self, name, rows):
        """A file of input. It appears whole."""
        hidden = self.data / f".{name}"
        hidden.write_text("".join(json.dumps(row) + "\n" for row in rows))
        hidden.rename(self.data / name)

    def command(self, *words):
        return [binary(), *map(str, words), "--home", str(self.home)]

    def run(self, path, *words, mode="run", fails=False, code=1):
        """Runs the pipeline and gives what it printed; `code` is the exit code where it is to fail."""
        done = subprocess.run(
            self.command("pipeline", mode, path, *words), capture_output=True, text=True, timeout=300, env=ENVIRONMENT
        )
        output = done.stdout + done.stderr
        assert done.returncode == (code if fails else 0), output[-4000:]
        return output

    def rows(self, query):
        done = subprocess.run(
            self.command("sql", "--format", "json", "-e", query), capture_output=True, text=True, timeout=120, env=ENVIRONMENT
        )
        assert done.returncode == 0, done.stderr
        return [tuple(row.values()) for row in json.loads(done.stdout or "[]")]

    def value(self, query):
        return self.rows(query)[0][0]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


SALES = [
    {"id": 1, "customer": 7, "amount": 10.0},
    {"id": 2, "customer": None, "amount": 20.0},
    {"id": 3, "customer": 8, "amount": -1.0},
    {"id": 4, "customer": 7, "amount": 5.5},
]

MEDALLION = """
    import dlt
    from pyspark.sql import functions as F

    # Gold first: the order of the functions does not matter.
    @dlt.table(comment="by customer")
    def gold():
        return dlt.read("silver").groupBy("customer").agg(F.sum("amount").alias("total"), F.count("*").alias("n"))

    @dlt.table
    @dlt.expect("positive", "amount > 0")
    @dlt.expect_or_drop("has_customer", "customer IS NOT NULL")
    def silver():
        return dlt.read_stream("bronze").withColumn("doubled", F.col("amount") * 2)

    @dlt.table(table_properties={"quality": "bronze"})
    def bronze():
        return spark.readStream.format("json").schema("id INT, customer INT, amount DOUBLE").load("DATA")
"""


def test_only_new_rows_are_read(project):
    file = project.write("medallion.py", MEDALLION)
    project.put("a.json", SALES)
    project.run(file)
    assert project.rows("SELECT * FROM gold ORDER BY customer") == [(7, 15.5, 2), (8, -1.0, 1)]
    project.put("b.json", [{**row, "id": row["id"] + 10} for row in SALES])
    project.run(file)
    project.run(file)
    assert project.value("SELECT count(*) FROM bronze") == 8
    assert project.rows("SELECT * FROM gold ORDER BY customer") == [(7, 31.0, 4), (8, -2.0, 2)]
    # One batch for each file: nothing was read twice, and the run without input wrote nothing.
    written = "SELECT origin.batch_id AS b, details FROM event_log('medallion') WHERE origin.batch_id IS NOT NULL AND origin.flow_name LIKE '%bronze'"
    batches = [json.loads(details)["flow_progress"]["metrics"]["num_output_rows"] for _, details in project.rows(written + " ORDER BY 1")]
    assert batches == [4, 4]
    kinds = dict(project.rows("SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'default'"))
    assert kinds == {"bronze": "STREAMING_TABLE", "silver": "STREAMING_TABLE", "gold": "MATERIALIZED_VIEW"}


def test_dropped_rows_can_be_queried(project):
    file = project.write("medallion.py", MEDALLION)
    project.put("a.json", SALES)
    project.run(file)
    dropped = "SELECT id, amount, doubled, _failed_expectations FROM dropped_records('silver') ORDER BY id"
    assert project.rows(dropped) == [(2, 20.0, 40.0, ["has_customer"])]
    project.run(file)
    assert len(project.rows(dropped)) == 1
    project.put("b.json", [{"id": 9, "customer": None, "amount": -9.0}])
    project.run(file)
    assert project.rows(dropped) == [(2, 20.0, 40.0, ["has_customer"]), (9, -9.0, -18.0, ["positive", "has_customer"])]
    # Without an expectation that drops there are none; a table of nobody's pipeline has none to ask for.
    assert project.rows("SELECT * FROM dropped_records('bronze')") == []
    project.rows("CREATE TABLE mine (a INT)")
    done = subprocess.run(
        project.command("sql", "-e", "SELECT * FROM dropped_records('mine')"), capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 1 and "NOT_A_PIPELINE_DATASET" in done.stderr


def test_the_event_log_has_the_figures_of_the_expectations(project):
    file = project.write("medallion.py", MEDALLION)
    project.put("a.json", SALES)
    project.run(file)
    project.put("b.json", SALES)
    project.run(file)
    # The query that Databricks documents: the figures of batches add up.
    figures = project.rows("""
        SELECT e.name, e.dataset, sum(e.passed_records), sum(e.failed_records) FROM (
          SELECT explode(from_json(get_json_object(details, '$.flow_progress.data_quality.expectations'),
            'array<struct<name: string, dataset: string, passed_records: int, failed_records: int>>')) AS e
          FROM event_log('medallion') WHERE event_type = 'flow_progress')
        GROUP BY ALL ORDER BY 1""")
    dataset = "spark_catalog.default.silver"
    assert figures == [("has_customer", dataset, 6, 2), ("positive", dataset, 6, 2)]
    states = project.rows(
        "SELECT DISTINCT origin.update_id, get_json_object(details, '$.update_progress.state') FROM event_log('medallion') "
        "WHERE event_type = 'update_progress'"
    )
    assert len({update for update, _ in states}) == 2
    assert {state for _, state in states} == {"INITIALIZING", "SETTING_UP_TABLES", "RUNNING", "COMPLETED"}


def test_full_refresh(project):
    file = project.write("medallion.py", MEDALLION)
    project.put("a.json", SALES)
    project.run(file)
    (project.data / "a.json").unlink()
    project.put("b.json", SALES[:2])
    project.run(file)
    assert project.value("SELECT count(*) FROM bronze") == 6
    project.run(file, "--full-refresh-all")
    assert project.value("SELECT count(*) FROM bronze") == 2
    assert project.rows("SELECT * FROM gold") == [(7, 10.0, 1)]
    # One table alone: its flow reads all of its source again, the source keeps what it has.
    project.run(file, "--full-refresh", "silver")
    assert project.value("SELECT count(*) FROM silver") == 1
    assert project.value("SELECT count(*) FROM bronze") == 2
    # A refresh of some leaves the others alone.
    project.put("c.json", SALES)
    project.run(file, "--refresh", "bronze")
    assert (project.value("SELECT count(*) FROM bronze"), project.value("SELECT count(*) FROM silver")) == (6, 1)
    assert "no_such" in project.run(file, "--refresh", "no_such", fails=True, code=2)


def test_a_table_that_may_not_be_reset_is_kept(project):
    guarded = MEDALLION.replace('{"quality": "bronze"}', '{"pipelines.reset.allowed": "false"}')
    file = project.write("medallion.py", guarded)
    project.put("a.json", SALES)
    project.run(file)
    (project.data / "a.json").unlink()
    project.run(file, "--full-refresh-all")
    assert (project.value("SELECT count(*) FROM bronze"), project.value("SELECT count(*) FROM silver")) == (4, 3)


def test_a_failing_expectation_names_table_rule_and_row(project):
    file = project.write("fails.py", """
        import dlt

        @dlt.table
        def good():
            return spark.range(3)

        @dlt.table
        @dlt.expect_or_fail("below_two", "id < 2")
        def strict():
            return dlt.read("good")

        @dlt.table
        def below():
            return dlt.read("strict")

        @dlt.table
        def beside():
            return dlt.read("good")
    """)
    output = project.run(file, fails=True)
    assert "strict" in output and "below_two" in output and "id < 2" in output and '{"id":2}' in output
    # What does not depend on it is done, what does is skipped and says why; the table that failed is whole.
    assert project.value("SELECT count(*) FROM beside") == 3
    assert project.value("SELECT count(*) FROM strict") == 0
    states = dict(project.rows(
        "SELECT origin.flow_name, last(get_json_object(details, '$.flow_progress.status')) FROM "
        "(SELECT * FROM event_log('fails') WHERE event_type = 'flow_progress' ORDER BY sequence.data_plane_id.seq_no) GROUP BY 1"
    ))
    assert {name.split(".")[-1]: state for name, state in states.items()} == {
        "good": "COMPLETED", "strict": "FAILED", "below": "SKIPPED", "beside": "COMPLETED",
    }  # fmt: skip


def test_dry_run_finds_every_error_and_changes_nothing(project):
    file = project.write("wrong.py", """
        import dlt
        from pyspark.sql import functions as F

        @dlt.table
        def good():
            return spark.range(3)

        @dlt.table
        def missing_column():
            return dlt.read("good").select("nope")

        @dlt.table
        def missing_table():
            return dlt.read("no_such_table")

        @dlt.table
        @dlt.expect("bad_rule", "nothing > 0")
        def bad_rule():
            return dlt.read("good")

        @dlt.table
        @dlt.expect("of_many_rows", "max(id) > 0")
        def aggregate_rule():
            return dlt.read("good")

        @dlt.table
        @dlt.expect("of_a_window", "row_number() OVER (ORDER BY id) > 0")
        def window_rule():
            return dlt.read("good")

        @dlt.table
        def around():
            return dlt.read("and_around")

        @dlt.table
        def and_around():
            return dlt.read("around")
    """)
    for mode in ("dry-run", "validate"):
        output = project.run(file, mode=mode, fails=True)
        for words in ("missing_column", "nope", "missing_table", "no_such_table", "bad_rule", "nothing", "and_around", "circle"):
            assert words in output, (mode, words, output)
        for told in ("EXPECT cannot hold the aggregate functions of (max(id) > 0)", "EXPECT cannot hold the window function (row_number() OVER"):
            assert told in output, (mode, told, output)
    assert project.rows("SHOW TABLES") == []


def test_views_private_tables_and_flows(project):
    file = project.write("parts.py", """
        import dlt
        from pyspark.sql import functions as F

        @dlt.view
        def fresh():
            return spark.readStream.format("json").schema("id INT, amount DOUBLE").load("DATA")

        @dlt.table(temporary=True)
        def hidden():
            return dlt.read_stream("fresh").where("amount > 0")

        dlt.create_streaming_table("all_of_them", comment="from two flows")

        @dlt.append_flow(target="all_of_them")
        def new_ones():
            return dlt.read_stream("hidden").select("id", F.lit("new").alias("origin"))

        @dlt.append_flow(target="all_of_them", once=True)
        def old_ones():
            return spark.range(100, 103).select(F.col("id").cast("int"), F.lit("old").alias("origin"))

        @dlt.table(partition_cols=["origin"], schema="origin STRING, n BIGINT")
        def counted():
            return dlt.read("all_of_them").groupBy("origin").agg(F.count("*").alias("n"))
    """)
    project.put("a.json", SALES)
    project.run(file)
    assert project.rows("SELECT * FROM counted ORDER BY origin") == [("new", 3), ("old", 3)]
    project.put("b.json", SALES)
    project.run(file)
    assert project.rows("SELECT * FROM counted ORDER BY origin") == [("new", 6), ("old", 3)]
    assert [row[1] for row in project.rows("SHOW TABLES")] == ["all_of_them", "counted"]
    assert project.value("SELECT comment FROM information_schema.tables WHERE table_name = 'all_of_them'") == "from two flows"
    assert project.rows("SHOW PARTITIONS counted") == [("origin=new",), ("origin=old",)]


def test_a_clustered_dataset_stays_clustered(project):
    file = project.write("clustered.sql", """
        CREATE OR REFRESH MATERIALIZED VIEW clustered CLUSTER BY (s.x, `d.t`) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')
        AS SELECT named_struct('x', id) AS s, id AS `d.t` FROM range(5)
    """)
    for _ in range(2):
        project.run(file)
        assert "CLUSTER BY (s.x, `d.t`)" in project.value("SHOW CREATE TABLE clustered")


SQL = """
    SET limit = 2;
    CREATE OR REFRESH STREAMING TABLE raw COMMENT 'as it came'
    AS SELECT * FROM STREAM read_files('DATA', format => 'json', schema => 'id INT, amount DOUBLE');

    CREATE OR REFRESH STREAMING TABLE clean (
      CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION DROP ROW,
      CONSTRAINT small EXPECT (id < ${limit})
    ) AS SELECT id, amount FROM STREAM(LIVE.raw);

    CREATE TEMPORARY VIEW large AS SELECT * FROM clean WHERE amount >= 10;
    CREATE OR REFRESH MATERIALIZED VIEW totals AS SELECT count(*) AS n, sum(amount) AS total FROM LIVE.large;
"""


def test_sql_pipeline(project):
    file = project.write("files/clean.sql", SQL.replace("read_files('DATA', format => 'json', schema => 'id INT, amount DOUBLE')", "source"))
    project.write("files/source.py", """
        import dlt

        @dlt.table
        def source():
            return spark.readStream.format("json").schema("id INT, amount DOUBLE").load("DATA")
    """)
    project.put("a.json", SALES)
    project.run(file.parent)
    assert project.rows("SELECT * FROM totals") == [(2, 30.0)]
    assert project.rows("SELECT id, _failed_expectations FROM dropped_records('clean')") == [(3, ["positive", "small"])]
    wrong = project.write("wrong.sql", "CREATE MATERIALIZED VIEW a AS SELECT 1;\n\nCREATE TABLE t (a INT);")
    output = project.run(wrong, fails=True)
    assert "wrong.sql" in output and "line 3" in output and "CREATE MATERIALIZED VIEW" in output


def test_query_functions_may_look_at_their_inputs(project):
    file = project.write("eager.py", """
        import dlt
        from pyspark.sql import functions as F

        @dlt.table
        def summed():
            columns = [c for c in dlt.read("wide").columns if c.startswith("v")]
            return dlt.read("wide").select("id", sum(F.col(c) for c in columns).alias("total"))

        @dlt.table
        def wide():
            df = spark.range(4)
            for i in range(3):
                df = df.withColumn(f"v{i}", F.col("id") * i)
            assert df.schema["v2"].dataType.typeName() == "long"
            return spark.sql("SELECT * FROM {df} WHERE id > 0", df=df)
    """)
    project.run(file)
    assert project.rows("SELECT * FROM summed ORDER BY id") == [(1, 3), (2, 6), (3, 9)]


def test_schemas_evolve_and_declared_ones_hold(project):
    source = """
        import dlt

        @dlt.table
        def followed():
            return dlt.read_stream("input_table")

        @dlt.table(schema="id BIGINT")
        def declared():
            return spark.read.table("input_table").select(COLUMNS)
    """
    project.rows("CREATE TABLE input_table AS SELECT 1L AS id")
    file = project.write("evolves.py", source.replace("COLUMNS", "'id'").replace("dlt.read_stream", "spark.readStream.table"))
    project.run(file)
    project.rows("ALTER TABLE input_table ADD COLUMNS (note STRING); INSERT INTO input_table VALUES (2, 'x')")
    project.run(file)
    assert project.rows("SELECT id, note FROM followed ORDER BY id") == [(1, None), (2, "x")]
    file = project.write("evolves.py", source.replace("COLUMNS", "'note'").replace("dlt.read_stream", "spark.readStream.table"))
    output = project.run(file, fails=True)
    assert "declared" in output and "id" in output


def test_tables_of_others_are_left_alone(project):
    project.rows("CREATE TABLE mine AS SELECT 'precious' AS a")
    file = project.write("p.py", """
        import dlt

        @dlt.table
        def mine():
            return spark.range(1)
    """)
    output = project.run(file, fails=True)
    assert "PIPELINE_TABLE_NOT_OWNED" in output
    assert project.rows("SELECT * FROM mine") == [("precious",)]


def test_one_update_at_a_time(project):
    file = project.write("slow.py", """
        import dlt, pathlib, time

        @dlt.table
        def slow():
            return spark.range(1)
    """)
    project.run(file)
    lock = project.home / "pipelines" / "slow.lock"
    import fcntl

    with open(lock, "a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "PIPELINE_UPDATE_ALREADY_RUNNING" in project.run(file, fails=True)
    project.run(file)


def test_the_stock_client(project, tmp_path):
    project.write("stock/spark-pipeline.yml", f"""
        name: stock
        storage: file://{tmp_path}/storage
        catalog: spark_catalog
        database: default
        configuration: {{"my.factor": "3"}}
        libraries:
          - glob: {{include: "transformations/**"}}
    """)
    project.write("stock/transformations/a.py", """
        from pyspark import pipelines as dp
        from pyspark.sql import DataFrame, SparkSession, functions as F

        spark = SparkSession.active()

        @dp.materialized_view
        def doubled() -> DataFrame:
            return spark.table("numbers").withColumn("d", F.col("id") * 2)

        @dp.temporary_view
        def small():
            return spark.table("doubled").filter("d < 10")

        dp.create_streaming_table("many")

        @dp.append_flow(target="many")
        def one():
            return spark.readStream.table("doubled")
    """)
    project.write("stock/transformations/b.sql", """
        CREATE MATERIALIZED VIEW numbers AS SELECT id FROM range(10);
        CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n, max(d) * ${my.factor} AS most FROM small;
    """)
    server = Server(tmp_path / "served")
    try:
        def stock(*words):
            return subprocess.run(
                [sys.executable, "-m", "pyspark.pipelines.cli", *words], cwd=tmp_path / "stock", capture_output=True, text=True,
                timeout=120, env={**ENVIRONMENT, "SPARK_REMOTE": server.remote},
            )  # fmt: skip

        checked = stock("dry-run")
        assert checked.returncode == 0, checked.stderr
        spark = server.session()
        assert spark.sql("SHOW TABLES").count() == 0
        done = stock("run")
        assert done.returncode == 0, done.stderr
        assert "COMPLETED" in done.stdout + done.stderr
        assert [tuple(r) for r in spark.table("counted").collect()] == [(5, 24)]
        assert spark.table("many").count() == 10
        (tmp_path / "stock/transformations/a.py").write_text("from pyspark import pipelines as dp\n@dp.table\ndef t():\n  return spark.nope")
        assert stock("run").returncode != 0
    finally:
        server.stop()


def test_kill(project):
    """`kill -9` in the middle of an update: nothing is lost, nothing is there twice, the next run completes."""
    chance = random.Random(SEED)
    print(f"seed {SEED}, {ROUNDS} rounds")
    file = project.write("medallion.py", MEDALLION)
    project.put("0.json", SALES)
    begin = time.monotonic()
    project.run(file)
    duration = time.monotonic() - begin
    for round in range(1, ROUNDS + 1):
        project.put(f"{round}.json", [{**row, "id": row["id"] + 100 * round} for row in SALES])
        update = subprocess.Popen(
            project.command("pipeline", "run", file), env=ENVIRONMENT, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            update.wait(chance.uniform(0.3, 1.1) * duration)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(update.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        update.wait(30)
        where = f"seed {SEED}, round {round}"
        # Before the next run: every table has the rows of whole files.
        assert project.value("SELECT count(*) FROM bronze") in (4 * round, 4 * round + 4), where
        assert project.value("SELECT count(*) FROM silver") in (3 * round, 3 * round + 3), where
        project.run(file)
        files = round + 1
        assert project.rows("SELECT count(*), count(DISTINCT id) FROM bronze") == [(4 * files, 4 * files)], where
        assert project.rows("SELECT count(*), count(DISTINCT id) FROM silver") == [(3 * files, 3 * files)], where
        assert project.rows("SELECT count(*), count(DISTINCT id) FROM dropped_records('silver')") == [(files, files)], where
        assert project.rows("SELECT * FROM gold ORDER BY customer") == [(7, 15.5 * files, 2 * files), (8, -1.0 * files, files)], where


def test_a_million_rows(project):
    """Checked, counted and split in one pass."""
    project.write("big.py", """
        import dlt

        @dlt.table
        @dlt.expect_all_or_drop({"even": "id % 2 = 0", "not_tenth": "id % 10 <> 0"})
        @dlt.expect_all({"small": "id < 500000"})
        def big():
            return spark.range(1000000)
    """)
    project.run(project.directory / "big.py")
    assert project.rows("SELECT count(*), sum(id) FROM big") == [(400_000, sum(i for i in range(0, 1_000_000, 2) if i % 10))]
    assert project.value("SELECT count(*) FROM dropped_records('big')") == 600_000
    details = project.value(
        "SELECT details FROM event_log('big') WHERE get_json_object(details, '$.flow_progress.status') = 'COMPLETED'"
    )
    quality = json.loads(details)["flow_progress"]["data_quality"]
    assert quality["dropped_records"] == 600_000
    counts = {e["name"]: (e["passed_records"], e["failed_records"]) for e in quality["expectations"]}
    assert counts == {"even": (500_000, 500_000), "not_tenth": (900_000, 100_000), "small": (500_000, 500_000)}


def test_a_wrong_file_is_told(project):
    assert "SyntaxError" in project.run(project.write("broken.py", "import dlt\n@dlt.table\ndef x(:\n"), fails=True)
    assert "defines no table" in project.run(project.write("empty.py", "import dlt\n"), fails=True, code=2)
    usage = subprocess.run(project.command("pipeline", "run", "no_such_file.py"), capture_output=True, text=True, env=ENVIRONMENT)
    assert usage.returncode == 2 and "no_such_file.py" in usage.stderr
    assert not list(pathlib.Path(project.home / "warehouse").glob("*"))
