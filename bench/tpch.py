"""TPC-H over Delta tables against DuckDB and Apache Spark, side by side in one run. One command:

    make release && .venv/bin/python bench/tpch.py --scale 1 --spark PYTHON_WITH_PYSPARK

Boathouse reads its own Delta tables; DuckDB and Spark read the Parquet files of these tables. Each answer is compared with
DuckDB's and Spark's before anything is timed (`--runs 0` does no more). A query's time is the best of several runs, the engines by turns; what is printed is how many
times faster Boathouse is. Without --spark only DuckDB runs.
"""

import argparse
import base64
import json
import math
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import time

import duckdb
import tpch_data

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "python"))
from conftest import Server


class Boathouse:
    def __init__(self, home, data, tables=tpch_data.TABLES):
        from pyspark.sql import SparkSession

        self.server = Server(home)
        self.spark = SparkSession.builder.remote(self.server.remote).create()
        self.directories = {}
        for table in tables:
            if not self.spark.catalog.tableExists(table):
                rows = self.spark.read.parquet(f"{data}/{table}.parquet")
                rows.write.format("delta").option("compression", "snappy").saveAsTable(table)
            location = self.spark.sql(f"DESCRIBE DETAIL {table}").first()["location"]
            self.directories[table] = location.removeprefix("file:")

    def run(self, text):
        return [tuple(row) for row in self.spark.sql(text).collect()]

    def stop(self):
        self.spark.stop()
        self.server.stop()


class DuckDB:
    def __init__(self, directories, threads):
        self.connection = duckdb.connect()
        if threads:
            self.connection.execute(f"SET threads = {threads}")
        for table, directory in directories.items():
            self.connection.execute(f"CREATE VIEW {table} AS FROM '{directory}/*.parquet'")

    def run(self, text):
        return self.connection.execute(text).fetchall()

    def stop(self):
        self.connection.close()


class Spark:
    """Spark in a Python of its own: the rows stay there, the seconds come back."""

    def __init__(self, python, directories, conf=None):
        script = pathlib.Path(__file__).with_name("tpch_spark.py")
        command = [python, str(script), json.dumps(directories), json.dumps(conf or {})]
        # The client's settings are not Spark's.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_"))}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        while self.process.stdout.readline().strip() != "ready":
            if self.process.poll() is not None:
                raise SystemExit("Spark did not start")

    def seconds(self, text):
        return float(self.ask(text, False))

    def answer(self, text):
        """Name, type and nullability of the columns, and the rows."""
        return pickle.loads(base64.b64decode(self.ask(text, True)))

    def ask(self, text, rows):
        self.process.stdin.write(json.dumps([text, rows]) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)


def seconds(engine, text):
    if isinstance(engine, Spark):
        return engine.seconds(text)
    begin = time.perf_counter()
    engine.run(text)
    return time.perf_counter() - begin


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scale", type=float, default=1)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--spark", help="a Python that has pyspark, to time Spark too")
    options.add_argument("--directory", help="where data and tables are kept for the next run")
    options.add_argument("--queries", help="only these: q01,q18")
    options.add_argument("--files", action="store_true", help="nothing from memory: every query decodes the files")
    options.add_argument("--threads", type=int, help="DuckDB's threads; all cores where not given")
    options = options.parse_args()
    wanted = options.queries.split(",") if options.queries else None
    queries = [(name, text) for name, text in tpch_data.queries() if not wanted or name in wanted]

    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(options.directory or temporary)
        directory.mkdir(parents=True, exist_ok=True)
        data = tpch_data.generate(directory / f"data-{options.scale:g}", options.scale)
        boathouse = Boathouse(directory / f"home-{options.scale:g}", data)
        if options.files:
            boathouse.spark.conf.set("spark.databricks.io.cache.enabled", "false")
        engines = {"boathouse": boathouse, "duckdb": DuckDB(boathouse.directories, options.threads)}
        if options.spark:
            engines["spark"] = Spark(options.spark, boathouse.directories)
        try:
            check(engines, queries)
            if options.runs:
                compare(engines, queries, options.runs)
        finally:
            for engine in engines.values():
                engine.stop()


def check(engines, queries):
    """Each answer: as Spark's in names, types, nullability and rows; without Spark, as DuckDB's in rows. DuckDB's averages of
    decimals are floating-point numbers, so that it may round and order otherwise than Spark."""
    boathouse, differ, others, empty = engines["boathouse"], [], [], 0
    for name, text in queries:
        frame = boathouse.spark.sql(text)
        columns = [(f.name, f.dataType.simpleString(), f.nullable) for f in frame.schema.fields]
        rows = [tuple(row) for row in frame.collect()]
        empty += not rows
        if "spark" in engines and not same_as_spark(columns, rows, engines["spark"].answer(text)):
            differ.append(f"{name} from Spark")
        if not tpch_data.same_answer(rows, engines["duckdb"].run(text)):
            (others if "spark" in engines else differ).append(f"{name} from DuckDB")
    if differ:
        raise SystemExit("other answers: " + ", ".join(differ + others))
    print(f"{len(queries)} answers equal {'Spark' if 'spark' in engines else 'DuckDB'}'s")
    if others:
        print("Spark's and ours differ from DuckDB's: " + ", ".join(name.split()[0] for name in others))
    print(f"{empty} answers have no rows at this scale\n" if empty else "")


def same_as_spark(columns, rows, expected):
    """Rows in Spark's order, and values of Spark's types."""
    return columns == expected[0] and len(rows) == len(expected[1]) and all(
        type(a) is type(b) and tpch_data.same_value(a, b)
        for got, want in zip(rows, expected[1])
        for a, b in zip(got, want, strict=True)
    )


def compare(engines, queries, runs):
    others = [name for name in engines if name != "boathouse"]
    print("query  boathouse" + "".join(f"  {name:>9}  ratio" for name in others))
    totals = dict.fromkeys(engines, 0.0)
    ratios = {name: [] for name in others}
    for query, text in queries:
        best = dict.fromkeys(engines, math.inf)
        for _ in range(runs):
            for name, engine in engines.items():
                best[name] = min(best[name], seconds(engine, text))
        line = f"{query:5}  {best['boathouse'] * 1e3:6.0f} ms"
        for name in others:
            ratio = best[name] / best["boathouse"]
            ratios[name].append(ratio)
            line += f"  {best[name] * 1e3:6.0f} ms  {ratio:5.2f}"
        print(line, flush=True)
        for name in engines:
            totals[name] += best[name]
    line = f"sum    {totals['boathouse'] * 1e3:6.0f} ms"
    for name in others:
        line += f"  {totals[name] * 1e3:6.0f} ms  {totals[name] / totals['boathouse']:5.2f}"
    print(line)
    for name in others:
        mean = math.exp(sum(map(math.log, ratios[name])) / len(ratios[name]))
        print(f"geometric mean of {name}'s time / Boathouse's: {mean:.2f}")


if __name__ == "__main__":
    main()
