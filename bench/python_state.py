"""Python functions that remember, over batches of many groups of one row each. One command:

    make release && .venv/bin/python bench/python_state.py [--groups 100000] [--spark PYTHON]

Each query counts the rows of each group; the counts are checked. What is measured is the median of the batches' `addBatch`, which is nearly
all Python's: making a frame for each group and its result.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "python"))

BATCHES = 4
OUTPUT = "k LONG, n LONG"
ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"


def queries():
    import pandas as pd
    from pyspark.sql import Row
    from pyspark.sql.streaming import StatefulProcessor

    def count(key, frames, state):
        n = (state.getOption or (0,))[0] + sum(len(frame) for frame in frames)
        state.update((n,))
        yield pd.DataFrame({"k": [key[0]], "n": [n]})

    class Count(StatefulProcessor):
        def init(self, handle):
            self.n = handle.getValueState("n", "n LONG")

        def handleInputRows(self, key, rows, timerValues):
            n = (self.n.get() or (0,))[0] + sum(len(frame) for frame in rows)
            self.n.update((n,))
            yield pd.DataFrame({"k": [key[0]], "n": [n]})

        def close(self):
            pass

    class CountRows(Count):
        def handleInputRows(self, key, rows, timerValues):
            n = (self.n.get() or (0,))[0] + sum(1 for _ in rows)
            self.n.update((n,))
            yield Row(k=key[0], n=n)

    return {
        "applyInPandasWithState": lambda by: by.applyInPandasWithState(count, OUTPUT, "n LONG", "Update", "NoTimeout"),
        "transformWithStateInPandas": lambda by: by.transformWithStateInPandas(Count(), OUTPUT, "Update", "None"),
        "transformWithState": lambda by: by.transformWithState(CountRows(), OUTPUT, "Update", "None"),
    }


def measured(spark, groups):
    """Milliseconds of a batch, by query."""
    found = {}
    for name, make in queries().items():
        rows = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", groups).load()
        with tempfile.TemporaryDirectory() as directory:
            keyed = make(rows.selectExpr(f"value % {groups} AS k").groupBy("k"))
            query = keyed.writeStream.format("noop").outputMode("update").option("checkpointLocation", directory).start()
            batches = []
            while len(batches) < BATCHES and query.isActive:
                time.sleep(0.1)
                batches = [p for p in map(plain, query.recentProgress) if p["numInputRows"]]
            failure = query.exception()
            query.stop()
            assert failure is None, failure
            state = batches[-1]["stateOperators"][0]
            assert (state["numRowsTotal"], state["numRowsUpdated"]) == (groups, groups), state
            # The first batch starts the processes.
            found[name] = statistics.median(p["durationMs"]["addBatch"] for p in batches[1:])
    return found


def plain(progress):
    return progress if "numInputRows" in progress else json.loads(progress.json)


def spark_session():
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "2").config("spark.sql.streaming.stateStore.providerClass", ROCKSDB)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    return spark


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--groups", type=int, default=100_000)
    parser.add_argument("--spark", help="a Python with pyspark 4.2, pandas and pyarrow")
    parser.add_argument("--in-spark", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_spark:
        print(json.dumps(measured(spark_session(), arguments.groups)))
        return
    from conftest import Server

    with tempfile.TemporaryDirectory() as directory:
        server = Server(pathlib.Path(directory) / "home")
        spark = server.session()
        ours = measured(spark, arguments.groups)
        spark.stop()
        server.stop()
    theirs = {}
    if arguments.spark:
        command = [arguments.spark, __file__, "--in-spark", "--groups", str(arguments.groups)]
        environment = {"PYSPARK_PYTHON": arguments.spark, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        theirs = json.loads(done.stdout.splitlines()[-1])
    for name, ms in ours.items():
        ratio = f"  Spark's time over ours: {theirs[name] / ms:.1f}" if theirs else ""
        print(f"{name:28} {arguments.groups} groups: {ms:8.0f} ms a batch, {1000 * ms / arguments.groups:6.1f} us a group{ratio}")


if __name__ == "__main__":
    main()
