"""What the log of a Delta table with very many files costs, against the `deltalake` wheel and delta-spark on the same table
in one run. One command:

    make release && .venv/bin/python bench/delta_log.py --files 1000000

The table is a log alone: a checkpoint of `--files` files with statistics of five columns, and a tail of commits after it.
Only the file that the point query finds is really there. Measured are the first query (the table is opened for it), the
same query again, COUNT(*), an EXPLAIN, an append of one row, the query after it, the append that writes the next checkpoint,
and the memory of the process. Every answer is checked. delta-spark takes part where BOATHOUSE_SPARK_REMOTE (or --spark)
names a Spark Connect server of Apache Spark with delta-spark on this machine.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import shutil
import sys
import tempfile
import time
import uuid

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "python"))

ROWS = 1000  # in each file
CHECKPOINT = 10  # its version
TAIL = 8  # commits after it
TAIL_FILES = 10  # in each
FIELDS = [("id", "long"), ("k", "long"), ("a", "long"), ("x", "double"), ("s", "string")]
SCHEMA = json.dumps(
    {"type": "struct", "fields": [{"name": n, "type": t, "nullable": True, "metadata": {}} for n, t in FIELDS]}
)
TEXTS = pa.map_(pa.string(), pa.string())
ADD = pa.struct(
    [
        ("path", pa.string()),
        ("partitionValues", TEXTS),
        ("size", pa.int64()),
        ("modificationTime", pa.int64()),
        ("dataChange", pa.bool_()),
        ("tags", TEXTS),
        ("stats", pa.string()),
    ]
)
METADATA = pa.struct(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("description", pa.string()),
        ("format", pa.struct([("provider", pa.string()), ("options", TEXTS)])),
        ("schemaString", pa.string()),
        ("partitionColumns", pa.list_(pa.string())),
        ("configuration", TEXTS),
        ("createdTime", pa.int64()),
    ]
)
PROTOCOL = pa.struct([("minReaderVersion", pa.int32()), ("minWriterVersion", pa.int32())])
REMOVE = pa.struct([("path", pa.string()), ("deletionTimestamp", pa.int64()), ("dataChange", pa.bool_())])
TXN = pa.struct([("appId", pa.string()), ("version", pa.int64()), ("lastUpdated", pa.int64())])
COLUMNS = pa.schema([("txn", TXN), ("add", ADD), ("remove", REMOVE), ("metaData", METADATA), ("protocol", PROTOCOL)])


def path_of(i):
    return f"part-{i:05}-{uuid.uuid5(uuid.NAMESPACE_OID, str(i))}-c000.snappy.parquet"


def row(i):
    return {"id": i, "k": i * 7919 % 1_000_003, "a": i % 100, "x": i / 8, "s": f"name {i % 50_000:05}"}


def stats(i):
    first, last = row(i * ROWS), row(i * ROWS + ROWS - 1)
    low = {"id": first["id"], "k": i % 997, "a": 0, "x": first["x"], "s": first["s"]}
    high = {"id": last["id"], "k": 1_000_002 - i % 997, "a": 99, "x": last["x"], "s": last["s"]}
    nulls = dict.fromkeys(low, 0)
    return json.dumps({"numRecords": ROWS, "minValues": low, "maxValues": high, "nullCount": nulls}, separators=(",", ":"))


def add(i, size, now):
    return {
        "path": path_of(i),
        "partitionValues": {},
        "size": size,
        "modificationTime": now,
        "dataChange": True,
        "stats": stats(i),
    }


class Table:
    def __init__(self, path, files):
        self.path, self.files = pathlib.Path(path), files
        self.log = self.path / "_delta_log"
        self.log.mkdir(parents=True)
        self.wanted = files // 2
        self.now = int(time.time() * 1000)
        real = self.path / path_of(self.wanted)
        rows = [row(self.wanted * ROWS + i) for i in range(ROWS)]
        pq.write_table(pa.Table.from_pylist(rows), real)
        self.size = real.stat().st_size
        self.checkpoint()
        for version in range(CHECKPOINT + 1, CHECKPOINT + TAIL + 1):
            first = files + (version - CHECKPOINT - 1) * TAIL_FILES
            self.commit(version, [{"add": add(i, self.size, self.now)} for i in range(first, first + TAIL_FILES)])
        self.total = files + TAIL * TAIL_FILES

    def commit(self, version, actions):
        info = {"commitInfo": {"timestamp": self.now, "operation": "WRITE", "operationParameters": {}}}
        lines = "\n".join(json.dumps(a, separators=(",", ":")) for a in [info, *actions])
        (self.log / f"{version:020}.json").write_text(lines + "\n")

    def checkpoint(self):
        metadata = {
            "id": str(uuid.uuid4()),
            "format": {"provider": "parquet", "options": []},
            "schemaString": SCHEMA,
            "partitionColumns": [],
            "configuration": [],
            "createdTime": self.now,
        }
        protocol = {"minReaderVersion": 1, "minWriterVersion": 2}
        head = [{"metaData": metadata}, {"protocol": protocol}]
        target = self.log / f"{CHECKPOINT:020}.checkpoint.parquet"
        with pq.ParquetWriter(target, COLUMNS, compression="snappy") as writer:
            writer.write_table(pa.Table.from_pylist(head, COLUMNS))
            for start in range(0, self.files, 50_000):
                adds = [add(i, self.size, self.now) for i in range(start, min(start + 50_000, self.files))]
                for a in adds:
                    a["partitionValues"] = []
                writer.write_table(pa.Table.from_pylist([{"add": a} for a in adds], COLUMNS))
        hint = {"version": CHECKPOINT, "size": self.files + 2, "numOfAddFiles": self.files}
        (self.log / "_last_checkpoint").write_text(json.dumps(hint))
        self.commit(CHECKPOINT, [])


def timed(action):
    begin = time.perf_counter()
    answer = action()
    return time.perf_counter() - begin, answer


def memory(pid):
    """(now, at most) in MB."""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(fields[k].split()[0]) / 1024 for k in ("VmRSS", "VmHWM"))


class Spark:
    """Boathouse or delta-spark: the same client."""

    def __init__(self, remote, path):
        from pyspark.sql import SparkSession

        self.spark = SparkSession.builder.remote(remote).create()
        self.spark.client.set_retry_policies([])
        self.spark.sql("SELECT 1").collect()
        self.table = f"delta.`{path}`"

    def value(self, text):
        return self.spark.sql(text).collect()[0][0]

    def point(self, id):
        return self.value(f"SELECT count(*) FROM {self.table} WHERE id = {id}")

    def count(self):
        return self.value(f"SELECT count(*) FROM {self.table}")

    def explain(self, id):
        return len(self.value(f"EXPLAIN SELECT x FROM {self.table} WHERE id = {id}")) > 0

    def append(self, id):
        self.spark.sql(f"INSERT INTO {self.table} VALUES ({id}, 1, 1, 1.0D, 'new')").collect()


class Wheel:
    def __init__(self, path):
        self.path = str(path)
        self.opened = None

    def query(self, text):
        from deltalake import DeltaTable, QueryBuilder

        if self.opened is None:
            self.opened = DeltaTable(self.path)
        else:
            self.opened.update_incremental()
        rows = QueryBuilder().register("t", self.opened).execute(text).read_all()
        return pa.table(rows)[0][0].as_py()

    def point(self, id):
        return self.query(f"SELECT count(*) FROM t WHERE id = {id}")

    def count(self):
        return self.query("SELECT count(*) FROM t")

    def explain(self, id):
        return len(self.query(f"EXPLAIN SELECT x FROM t WHERE id = {id}")) > 0

    def append(self, id):
        from deltalake import write_deltalake

        fields = [("id", pa.int64()), ("k", pa.int64()), ("a", pa.int64()), ("x", pa.float64()), ("s", pa.string())]
        new = pa.Table.from_pylist([{"id": id, "k": 1, "a": 1, "x": 1.0, "s": "new"}], pa.schema(fields))
        write_deltalake(self.opened, new, mode="append")


def measure(name, engine, table, pid):
    """Seconds by step, and the memory of the process."""
    out = {}

    def step(what, action, wanted=None):
        try:
            out[what], answer = timed(action)
        except Exception as e:  # what an engine cannot do is no reason to measure nothing
            out[what] = None
            print(f"  {name:12} {what:28} failed: {str(e)[:120]}", flush=True)
            return
        assert wanted is None or answer == wanted, f"{name}, {what}: {answer} instead of {wanted}"
        print(f"  {name:12} {what:28} {out[what]:9.3f} s", flush=True)

    def remember(what):
        out[what] = memory(pid)[0] if pid else None

    point = table.wanted * ROWS + 5
    step("first point query", lambda: engine.point(point), 1)
    remember("memory after it")
    step("point query", lambda: engine.point(point + 1), 1)
    step("EXPLAIN", lambda: engine.explain(point), True)
    step("COUNT(*)", engine.count, table.total * ROWS)
    step("append", lambda: engine.append(-1))
    step("point query after it", lambda: engine.point(-1), 1)
    # Version CHECKPOINT + 10: where checkpoints are written every ten versions, this commit writes one.
    step("append with a checkpoint", lambda: engine.append(-2))
    step("COUNT(*) at the end", engine.count, table.total * ROWS + 2)
    remember("memory at the end")
    out["most memory"] = memory(pid)[1] if pid else None
    return out


def wheel(table, answers):
    answers.put(measure("deltalake", Wheel(table.path), table, os.getpid()))


def copy(table, directory, name):
    """The same table at another place."""
    target = pathlib.Path(directory) / name
    shutil.copytree(table.path, target)
    moved = Table.__new__(Table)
    moved.__dict__ = {**table.__dict__, "path": target, "log": target / "_delta_log"}
    return moved


def report(results):
    ours = results["boathouse"]
    others = [name for name in results if name != "boathouse"]
    print(f"\n{'':28} {'boathouse':>12} " + " ".join(f"{name:>12} {'ratio':>6}" for name in others))
    for what, mine in ours.items():
        unit = "MB" if "memory" in what else "s "
        if mine is None:
            continue
        line = f"{what:28} {mine:9.2f} {unit} "
        for name in others:
            theirs = results[name][what]
            line += f"{'':>19} " if theirs is None else f"{theirs:9.2f} {unit} {mine / theirs:6.2f} "
        print(line)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--files", type=int, default=1_000_000)
    options.add_argument("--spark", default=os.environ.get("BOATHOUSE_SPARK_REMOTE"))
    options.add_argument("--no-wheel", action="store_true")
    options.add_argument("--directory", help="where the table goes; a new directory below it is removed at the end")
    options = options.parse_args()

    from conftest import Server

    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        seconds, table = timed(lambda: Table(pathlib.Path(directory) / "table", options.files))
        megabytes = sum(f.stat().st_size for f in table.log.iterdir()) / 1e6
        print(f"a log of {table.total} files, {megabytes:.0f} MB (made in {seconds:.0f} s)")
        results = {}
        mine = copy(table, directory, "ours")
        server = Server(pathlib.Path(directory) / "home")
        try:
            results["boathouse"] = measure("boathouse", Spark(server.remote, mine.path), mine, server.process.pid)
        finally:
            server.stop()
        if not options.no_wheel:
            # A process of its own, whose memory is the wheel's alone.
            context = multiprocessing.get_context("spawn")
            answers = context.Queue()
            process = context.Process(target=wheel, args=(copy(table, directory, "wheel"), answers))
            process.start()
            results["deltalake"] = answers.get()
            process.join()
        if options.spark:
            theirs = copy(table, directory, "spark")
            results["delta-spark"] = measure("delta-spark", Spark(options.spark, theirs.path), theirs, None)
        report(results)


if __name__ == "__main__":
    main()
