"""How soon the server is ready, what a round trip costs, and what an idle server weighs. One command:

    make release && .venv/bin/python bench/latency.py

The aims are 200 ms, 3 ms and 80 MB. Each figure is the median of several runs; nothing else should run meanwhile.
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
from conftest import binary


def start(home):
    """The process, the time until `server.json` exists in seconds, and the address."""
    ready = pathlib.Path(home) / "server.json"
    command = [binary(), "server", "--home", str(home), "--connect-port", "0", "--http-port", "0"]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not ready.exists():
        if process.poll() is not None:
            raise SystemExit("the server ended at its start")
        time.sleep(0.0005)
    return process, time.perf_counter() - begin, json.loads(ready.read_text())["connect"]


def stop(process):
    process.terminate()
    process.wait(30)


def resident_mb(process):
    """Memory that is in use now, in MB: what the kernel calls the resident set."""
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("no VmRSS")


def round_trips(spark, text, count):
    """Seconds of each `spark.sql(text).collect()`."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        spark.sql(text).collect()
        times.append(time.perf_counter() - begin)
    return times


def client_alone(spark, text, count):
    """Seconds of each round trip where the client's own responses are given back to it at once: no server, no network."""
    import pyspark.sql.connect.proto as proto

    real, kept = spark.client._stub, {}

    class Canned:
        def __getattr__(self, name):
            return getattr(real, name)

        def ReleaseExecute(self, *_, **__):
            return proto.ReleaseExecuteResponse(session_id=spark.client._session_id)

        def ExecutePlan(self, request, **options):
            kind = request.plan.WhichOneof("op_type")
            if kind not in kept:
                kept[kind] = list(real.ExecutePlan(request, **options))
            answers = [type(response)() for response in kept[kind]]
            for answer, response in zip(answers, kept[kind]):
                answer.CopyFrom(response)
                answer.operation_id = request.operation_id
            return iter(answers)

    spark.client._stub = Canned()
    try:
        return round_trips(spark, text, count)
    finally:
        spark.client._stub = real


def main():
    from pyspark.sql import SparkSession

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--starts", type=int, default=7)
    options.add_argument("--queries", type=int, default=300)
    options = options.parse_args()

    with tempfile.TemporaryDirectory() as directory:
        fresh, again, idle = [], [], []
        for i in range(options.starts):
            home = pathlib.Path(directory) / f"home{i}"
            for times in (fresh, again):
                process, seconds, _ = start(home)
                times.append(seconds)
                idle.append(resident_mb(process))
                stop(process)
        print(f"binary                        {binary()}")
        print(f"ready, new home               {statistics.median(fresh) * 1e3:8.1f} ms  (aim 200)")
        print(f"ready, existing home          {statistics.median(again) * 1e3:8.1f} ms  (aim 200)")
        print(f"memory, just started          {statistics.median(idle):8.1f} MB  (aim 80)")

        process, _, remote = start(pathlib.Path(directory) / "home0")
        begin = time.perf_counter()
        spark = SparkSession.builder.remote(remote).create()
        assert spark.sql("SELECT 1").collect()[0][0] == 1
        print(f"first session and SELECT 1    {(time.perf_counter() - begin) * 1e3:8.1f} ms")
        round_trips(spark, "SELECT 1", 20)
        times = sorted(round_trips(spark, "SELECT 1", options.queries))
        print(f"SELECT 1, median              {statistics.median(times) * 1e3:8.2f} ms  (aim 3)")
        print(f"SELECT 1, 99th percentile     {times[int(len(times) * 0.99)] * 1e3:8.2f} ms")
        alone = client_alone(spark, "SELECT 1", options.queries)
        print(f"the client alone, median      {statistics.median(alone) * 1e3:8.2f} ms  (no server, no network)")
        spark.sql("CREATE TABLE small AS SELECT id, id * 2 AS twice FROM range(100)")
        times = round_trips(spark, "SELECT sum(twice) FROM small WHERE id < 50", options.queries // 3)
        print(f"small Delta table, median     {statistics.median(times) * 1e3:8.2f} ms")
        print(f"memory, after these queries   {resident_mb(process):8.1f} MB")
        spark.stop()
        print(f"memory, session closed        {resident_mb(process):8.1f} MB")
        stop(process)


if __name__ == "__main__":
    main()
