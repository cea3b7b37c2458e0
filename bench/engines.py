"""The engines of the benchmarks of queries: each runs a text and gives rows, or the seconds it took."""

import base64
import json
import os
import pathlib
import pickle
import socket
import subprocess
import sys
import time

import duckdb
import tpch_data

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "python"))
from conftest import Server


class Boathouse:
    """Reads its own Delta tables or, `over` "parquet", the files of these tables as the others do."""

    def __init__(self, home, data, tables=tpch_data.TABLES, over="delta"):
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
        if over == "parquet":
            view_files(self.spark, self.directories)

    def run(self, text):
        return [tuple(row) for row in self.spark.sql(text).collect()]

    def stop(self):
        self.spark.stop()
        self.server.stop()


def view_files(spark, directories):
    for table, directory in directories.items():
        spark.read.parquet(directory).createOrReplaceTempView(table)


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


class Sail:
    """The `pysail` wheel's server, from a Python of its own that has it."""

    def __init__(self, python, directories, conf=None):
        from pyspark.sql import SparkSession

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [pathlib.Path(python).with_name("sail"), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("sail did not start") from None
        self.remote = f"sc://127.0.0.1:{port}"
        self.spark = SparkSession.builder.remote(self.remote).create()
        for key, value in (conf or {}).items():
            self.spark.conf.set(key, value)
        view_files(self.spark, directories)

    def run(self, text):
        return [tuple(row) for row in self.spark.sql(text).collect()]

    def stop(self):
        self.spark.stop()
        self.process.terminate()
        self.process.wait(30)


def seconds(engine, text):
    if isinstance(engine, Spark):
        return engine.seconds(text)
    begin = time.perf_counter()
    engine.run(text)
    return time.perf_counter() - begin
