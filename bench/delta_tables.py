"""What changes of Delta tables cost, against the `deltalake` wheel and delta-spark on the same data in one run. One command:

    make release && .venv/bin/python bench/delta_tables.py

Rows have five columns: `id` (0..rows in random order), `k` (random, about 100 rows of each value), `a`, `x`, `s`. Every
answer is checked before its time counts. delta-spark takes part where BOATHOUSE_SPARK_REMOTE (or --spark) names a Spark
Connect server of Apache Spark with delta-spark on this machine. The aims are ratios to the better of the two others.
"""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time
from unittest.mock import ANY

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "python"))

AIMS = {
    "append": 0.7,
    "merge 1%": 0.5,
    "update 100 rows": 0.2,
    "delete 100 rows": 0.2,
    "small appends": 0.3,
    "compaction": 0.7,
    "zorder": 0.4,
}


def batch(ids, rng, groups):
    rows = len(ids)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "k": pa.array(rng.integers(0, groups, rows), pa.int64()),
            "a": pa.array(rng.integers(0, 1_000_000, rows), pa.int64()),
            "x": pa.array(rng.random(rows)),
            "s": pa.array(np.char.add("name ", rng.integers(0, 50_000, rows).astype(str))),
        }
    )


def size(path):
    """Bytes under a directory, the log left out."""
    return sum(f.stat().st_size for f in pathlib.Path(path).rglob("*") if f.is_file() and "_delta_log" not in f.parts)


class Spark:
    """Boathouse or delta-spark: the same client."""

    def __init__(self, name, remote):
        from pyspark.sql import SparkSession

        self.name = name
        self.spark = SparkSession.builder.remote(remote).create()
        self.spark.conf.set("spark.databricks.delta.properties.defaults.enableDeletionVectors", "true")
        self.spark.sql("SELECT 1").collect()

    def stop(self):
        """Before the server: a session that cannot say goodbye tries to for minutes."""
        self.spark.stop()

    def sql(self, text):
        return self.spark.sql(text).collect()

    def append(self, path, parquet):
        self.spark.read.parquet(str(parquet)).write.format("delta").mode("append").save(str(path))

    def append_small(self, path, table):
        rows = ", ".join(f"({r['id']}, {r['k']}, {r['a']}, {r['x']!r}D, '{r['s']}')" for r in table.to_pylist())
        self.sql(f"INSERT INTO delta.`{path}` VALUES {rows}")

    def merge(self, path, parquet):
        self.sql(
            f"MERGE INTO delta.`{path}` t USING parquet.`{parquet}` s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )

    def update(self, path, k):
        self.sql(f"UPDATE delta.`{path}` SET x = -1 WHERE k = {k}")

    def delete(self, path, k):
        self.sql(f"DELETE FROM delta.`{path}` WHERE k = {k}")

    def delete_share(self, path):
        self.sql(f"DELETE FROM delta.`{path}` WHERE a % 20 = 7")

    def compact(self, path):
        self.sql(f"OPTIMIZE delta.`{path}`")

    def zorder(self, path):
        self.sql(f"OPTIMIZE delta.`{path}` ZORDER BY (id, a)")

    def answer(self, path):
        row = self.sql(f"SELECT count(*), sum(id), count_if(x < 0), max(s) FROM delta.`{path}`")[0]
        return (row[0], row[1], row[2])


class Wheel:
    """The `deltalake` wheel."""

    name = "deltalake"

    def stop(self):
        pass

    def append(self, path, parquet):
        from deltalake import write_deltalake

        write_deltalake(str(path), pq.read_table(parquet), mode="append")

    def append_small(self, path, table):
        from deltalake import write_deltalake

        write_deltalake(str(path), table, mode="append")

    def merge(self, path, parquet):
        from deltalake import DeltaTable

        merger = DeltaTable(str(path)).merge(pq.read_table(parquet), "t.id = s.id", source_alias="s", target_alias="t")
        merger.when_matched_update_all().when_not_matched_insert_all().execute()

    def update(self, path, k):
        from deltalake import DeltaTable

        DeltaTable(str(path)).update({"x": "-1.0"}, predicate=f"k = {k}")

    def delete(self, path, k):
        from deltalake import DeltaTable

        DeltaTable(str(path)).delete(f"k = {k}")

    def compact(self, path):
        from deltalake import DeltaTable

        DeltaTable(str(path)).optimize.compact()

    def zorder(self, path):
        from deltalake import DeltaTable

        DeltaTable(str(path)).optimize.z_order(["id", "a"])

    def answer(self, path):
        from deltalake import DeltaTable, QueryBuilder

        query = "SELECT count(*), sum(id), sum(CASE WHEN x < 0 THEN 1 ELSE 0 END) FROM t"
        rows = QueryBuilder().register("t", DeltaTable(str(path))).execute(query).read_all()
        return tuple(pa.table(rows).to_pylist()[0].values())


def timed(action):
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


class Bench:
    def __init__(self, engines, directory, options):
        self.engines, self.directory, self.options = engines, pathlib.Path(directory), options
        self.seconds, self.bytes = {}, {}
        rng = np.random.default_rng(1)
        groups = max(options.rows // 100, 1)
        self.rows = batch(rng.permutation(options.rows), rng, groups)
        self.parquet = self.directory / "rows.parquet"
        pq.write_table(self.rows, self.parquet)
        share = options.rows // 100
        ids = rng.choice(options.rows + share // 10, share, replace=False)
        self.source = self.directory / "source.parquet"
        pq.write_table(batch(ids, rng, groups), self.source)
        self.inserted = int((ids >= options.rows).sum())
        counts = np.bincount(self.rows["k"].to_numpy(), minlength=groups)
        self.chosen = [int(k) for k in np.argsort(np.abs(counts - 100))[:2]]
        self.counts = [int(counts[k]) for k in self.chosen]

    def table(self, engine, name):
        return self.directory / f"{engine.name} {name}".replace(" ", "_")

    def copy(self, engine, name, source):
        target = self.table(engine, name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        # What the copy left for the disk must not wait for whoever is timed next, and of the engines ours alone syncs.
        os.sync()
        return target

    def turns(self, what, path_of, action, wanted):
        """The engines take turns, so that none alone finds the machine fresh or idle, and the best time of each counts; `wanted`:
        how what the table answers afterwards begins."""
        for _ in range(self.options.repeats):
            for engine in self.engines:
                path = path_of(engine)
                before = size(path) if path.exists() else 0
                seconds = timed(lambda: action(engine, path))
                times = self.seconds.setdefault(what, {})
                times[engine.name] = min(seconds, times.get(engine.name, seconds))
                self.bytes.setdefault(what, {})[engine.name] = written = size(path) - before
                print(f"  {what:18} {engine.name:12} {seconds:9.2f} s  {written / 1e6:9.1f} MB written", flush=True)
                answer = engine.answer(path)
                assert answer[: len(wanted)] == wanted, (what, engine.name, answer)

    def wanted(self, what):
        return self.options.only is None or what in self.options.only

    def append(self):
        def new(engine):
            path = self.table(engine, "base")
            shutil.rmtree(path, ignore_errors=True)
            os.sync()
            return path

        self.turns("append", new, lambda engine, path: engine.append(path, self.parquet), (self.options.rows,))

    def changes(self):
        def base(engine):
            return self.copy(engine, "changed", self.table(engine, "base"))

        rows = self.options.rows
        for what, action, answer in (
            ("merge 1%", lambda engine, path: engine.merge(path, self.source), (rows + self.inserted,)),
            ("update 100 rows", lambda engine, path: engine.update(path, self.chosen[0]), (rows, ANY, self.counts[0])),
            ("delete 100 rows", lambda engine, path: engine.delete(path, self.chosen[1]), (rows - self.counts[1],)),
        ):
            if self.wanted(what.split()[0]):
                self.turns(what, base, action, answer)

    def small_appends(self):
        few = self.rows.slice(0, 10)
        for engine in self.engines:
            count = self.options.appends if engine.name != "delta-spark" else max(self.options.appends // 5, 1)
            path = self.table(engine, "small")
            engine.append_small(path, few) if engine.name == "deltalake" else engine.sql(
                f"CREATE TABLE delta.`{path}` (id BIGINT, k BIGINT, a BIGINT, x DOUBLE, s STRING) USING delta"
            )
            seconds = timed(lambda: [engine.append_small(path, few) for _ in range(count)])
            self.seconds.setdefault("small appends", {})[engine.name] = seconds / count * 1000
            print(f"  {'small appends':18} {engine.name:12} {seconds / count * 1e3:9.2f} ms each", flush=True)
            shutil.rmtree(path)

    def compaction(self):
        from deltalake import write_deltalake

        many = self.directory / "many_files"
        share = max(self.options.rows // self.options.files, 1)
        for i in range(self.options.files):
            write_deltalake(str(many), self.rows.slice(i * share, share), mode="append")
        self.turns(
            "compaction",
            lambda engine: self.copy(engine, "compacted", many),
            lambda engine, path: engine.compact(path),
            (share * self.options.files,),
        )

    def zorder(self):
        self.turns(
            "zorder",
            lambda engine: self.copy(engine, "ordered", self.table(engine, "base")),
            lambda engine, path: engine.zorder(path),
            (self.options.rows,),
        )
        self.point_query(self.engines[0])

    def point_query(self, engine):
        """How many files have bounds around one point, where files are small enough that there are many."""
        path = self.copy(engine, "points", self.table(engine, "base"))
        engine.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.targetFileSize' = '{self.options.rows // 4}')")
        engine.zorder(path)
        point = self.rows.slice(self.options.rows // 2, 1).to_pylist()[0]
        hit, files = 0, 0
        from deltalake import DeltaTable

        for add in pa.table(DeltaTable(str(path)).get_add_actions(flatten=True)).to_pylist():
            files += 1
            hit += all(add[f"min.{c}"] <= point[c] <= add[f"max.{c}"] for c in ("id", "a"))
        print(f"  point query after ZORDER: {hit} of {files} files ({hit / files:.1%}, aim 10%)", flush=True)

    def scan(self):
        engine = self.engines[0]
        base = self.table(engine, "base")
        paths = {"whole": self.copy(engine, "whole", base), "marked": self.copy(engine, "marked", base)}
        engine.delete_share(paths["marked"])
        # From the files, and from columns that are kept in memory.
        for cached, of in (("false", "files"), ("true", "memory")):
            engine.spark.conf.set("spark.databricks.io.cache.enabled", cached)
            times = {state: [] for state in paths}
            # Both take turns: the machine is not as fast all the time. The first three are for warming up.
            for _ in range(3 + 3 * self.options.repeats):
                for state, path in paths.items():
                    query = f"SELECT count(*), sum(id), sum(x), max(s), min(a) FROM delta.`{path}`"
                    times[state].append(timed(lambda query=query: engine.sql(query)))
            marked, whole = (min(times[state][3:]) for state in ("marked", "whole"))
            print(f"  scan of {of}, 5% deleted by vectors: {marked:.3f} s, without {whole:.3f} s: {marked / whole:.2f}x (aim 1.10)")

    def report(self):
        print(f"\n{'':18} {'ours':>9} {'better other':>22} {'ratio':>7} {'aim':>5} {'bytes':>7}")
        for what, times in self.seconds.items():
            ours = times.get(self.engines[0].name)
            others = {k: v for k, v in times.items() if k != self.engines[0].name}
            if not others:
                continue
            name = min(others, key=others.get)
            written = self.bytes.get(what, {})
            share = f"{written[self.engines[0].name] / max(written[name], 1):7.1%}" if written else ""
            print(
                f"{what:18} {ours:8.2f}s {name:>12} {others[name]:8.2f}s {ours / others[name]:7.2f} {AIMS[what]:5.2f} {share}"
            )


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--appends", type=int, default=1000, help="small appends (delta-spark does a fifth of them)")
    options.add_argument("--files", type=int, default=1000, help="files of the compaction")
    options.add_argument("--repeats", type=int, default=3, help="how often each engine does each; the best time counts")
    options.add_argument("--only", nargs="*", help="append merge update delete small compaction zorder scan")
    options.add_argument("--spark", default=os.environ.get("BOATHOUSE_SPARK_REMOTE"))
    options.add_argument("--remote", default=os.environ.get("BOATHOUSE_REMOTE"), help="a server of ours that runs")
    options.add_argument("--no-wheel", action="store_true")
    options.add_argument("--directory", help="where tables go; a new directory below it is removed at the end")
    options = options.parse_args()

    from conftest import Server

    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        server = None if options.remote else Server(pathlib.Path(directory) / "home")
        engines = []
        try:
            engines += [Spark("boathouse", options.remote or server.remote)]
            engines += [] if options.no_wheel else [Wheel()]
            engines += [Spark("delta-spark", options.spark)] if options.spark else []
            bench = Bench(engines, directory, options)
            bench.append()
            bench.changes()
            for name, part in (
                ("small", bench.small_appends),
                ("compaction", bench.compaction),
                ("zorder", bench.zorder),
                ("scan", bench.scan),
            ):
                if bench.wanted(name):
                    part()
            bench.report()
        finally:
            for engine in engines:
                engine.stop()
            if server:
                server.stop()


if __name__ == "__main__":
    main()
