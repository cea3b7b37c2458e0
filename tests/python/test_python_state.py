"""Python functions over streams that remember give what they give with Spark 4.2 (`scenarios_python_state.py`)."""

import ast
import os
import re
import sys

import pandas as pd
import pytest
import scenarios_python_state as scenarios
from conftest import ROOT, Server
from pyspark import cloudpickle
from pyspark.sql.functions import expr
from recorded import World, check
from scenarios_python_state import BEGIN, Functions, Keeping, grouped, row, said, transformed, values

# Workers do not have this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.mark.parametrize("name", list(scenarios.SCENARIOS))
def test_scenario(spark, tmp_path, name):
    check("python_state", name, scenarios.SCENARIOS[name], spark, tmp_path)


def counting(key, frames, state):
    n = (state.getOption or (0,))[0] + sum(len(f) for f in frames)
    state.update((n,))
    yield pd.DataFrame({"k": [key[0]], "n": [n], "i": ["x"]})


def variables(self, handle):
    self.n = handle.getValueState("n", "n INT")
    self.seen = handle.getListState("seen", "v INT")
    self.by_value = handle.getMapState("by_value", "v INT", "n INT")


def counts(self, key, rows, times):
    found = values(rows)
    n = (self.n.get() or (0,))[0] + len(found)
    self.n.update((n,))
    for v in found:
        self.seen.appendValue((v,))
        self.by_value.updateValue((v,), ((self.by_value.getValue((v,)) or (0,))[0] + 1,))
    self.handle.registerTimer(times.getCurrentWatermarkInMs() + 60_000)
    yield said(key[0], n, sorted(self.seen.get()), sorted(self.by_value.iterator()))


def over(self, key, times, info):
    yield said(key[0], "over", info.getExpiryTimeInMs() - BEGIN, self.n.get())


QUERIES = {
    "group state": grouped(counting),
    "processor": transformed(Keeping(variables, counts, over), time="EventTime"),
}


@pytest.mark.skipif("BOATHOUSE_REMOTE" in os.environ, reason="compares the shared server with servers of this build")
@pytest.mark.parametrize("name", list(QUERIES))
@pytest.mark.parametrize("point", ["streaming::after-offsets", "streaming::after-state", "streaming::after-sink", "streaming::after-commit"])
def test_nothing_is_lost_or_doubled_by_a_crash(spark, tmp_path, monkeypatch, name, point):
    """A server that dies in the midst of each batch leaves what an undisturbed run gives."""

    def query(session, directory):
        stream = Functions(World(session, directory))
        frame = QUERIES[name](stream.source("a", scenarios.SCHEMA, **{}).withWatermark("at", "1 minute"))
        writer = frame.writeStream.format("delta").option("checkpointLocation", stream.world.path("c"))
        return stream, lambda: writer.trigger(availableNow=True).start(stream.world.path("out")).awaitTermination()

    def result(session, directory):
        rows = session.read.format("delta").load(str(directory / "out")).collect()
        return sorted("\t".join(str(v) for v in r) for r in rows)

    for directory in ["calm", "rough"]:
        (tmp_path / directory).mkdir()
    calm, run = query(spark, tmp_path / "calm")
    wanted = []
    for n in range(3):
        calm.put("a", *[row("abcd"[(n + i) % 4], i, 10 * n + i) for i in range(6)])
        run()
        wanted.append(result(spark, tmp_path / "calm"))

    home = tmp_path / "home"
    for n in range(3):
        with monkeypatch.context() as environment:
            environment.setenv("BOATHOUSE_FAULT", point)
            server = Server(home)
        rough, run = query(server.session(), tmp_path / "rough")
        rough.files = n
        rough.put("a", *[row("abcd"[(n + i) % 4], i, 10 * n + i) for i in range(6)])
        with pytest.raises(Exception):  # noqa: B017
            run()
        server.process.wait(30)
        server = Server(home)
        session = server.session()
        query(session, tmp_path / "rough")[1]()
        assert result(session, tmp_path / "rough") == wanted[n]
        server.stop()


def test_a_time_to_live(spark, tmp_path):
    """What is older than its time is not there, and is forgotten."""

    def init(self, handle):
        self.value = handle.getValueState("value", "v INT", 1000)
        self.list = handle.getListState("list", "v INT", 1000)
        self.map = handle.getMapState("map", "v INT", "v INT", 1000)
        self.kept = handle.getValueState("kept", "v INT")

    def rows(self, key, frames, times):
        found = values(frames)
        told = [found, self.value.get(), list(self.list.get()), list(self.map.iterator()), self.kept.get()]
        if found[0] > 0:
            self.value.update((found[0],))
            self.list.appendList([(v,) for v in found])
            for v in found:
                self.map.updateValue((v,), (v,))
            self.kept.update((found[0],))
        yield said(key[0], *told)

    stream = Functions(World(spark, tmp_path))
    frame = transformed(Keeping(init, rows), time="ProcessingTime")(stream.input())
    stream.put("a", row("a", 1, 0), row("a", 2, 0))
    writer = frame.writeStream.format("memory").queryName("living").option("checkpointLocation", str(tmp_path / "c"))
    query = writer.start()
    query.processAllAvailable()
    first = query.lastProgress["stateOperators"][0]
    stream.put("a", row("a", -1, 1))
    query.processAllAvailable()
    from test_streaming import until

    until(lambda: query.lastProgress["stateOperators"][0]["numRowsTotal"] == 1)
    last = query.lastProgress["stateOperators"][0]
    stream.put("a", row("a", -2, 2))
    query.processAllAvailable()
    query.stop()
    got = [r.i for r in spark.table("living").collect()]
    assert got == [
        "[1, 2] | None | [] | [] | None",
        "[-1] | (1,) | [(1,), (2,)] | [((1,), (1,)), ((2,), (2,))] | (1,)",
        "[-2] | None | [] | [] | (1,)",
    ]
    assert (first["numRowsTotal"], first["numRowsUpdated"]) == (5, 6)
    assert last["customMetrics"]["numValuesRemovedDueToTTLExpiry"] == 5


def test_variables_come_and_go(spark, tmp_path):
    """A query may be started again with other variables, in another order, and finds each by its name."""

    def init_with(*names):
        def init(self, handle):
            self.states = {n: handle.getValueState(n, "v INT") for n in names}

        return init

    def rows(self, key, frames, times):
        found = values(frames)
        told = {n: s.get() for n, s in self.states.items()}
        for i, state in enumerate(self.states.values()):
            state.update((found[0] + i,))
        yield said(key[0], sorted(told.items()))

    def forgets(self, handle):
        init_with("a", "c")(self, handle)
        handle.deleteIfExists("b")

    stream = Functions(World(spark, tmp_path))
    for init, wanted in [
        (init_with("a", "b"), "[('a', None), ('b', None)]"),
        (init_with("c", "b", "a"), "[('a', (10,)), ('b', (11,)), ('c', None)]"),
        (init_with("b"), "[('b', (11,))]"),
        (init_with("a", "b", "c"), "[('a', (12,)), ('b', (10,)), ('c', (10,))]"),
        (forgets, "[('a', (10,)), ('c', (12,))]"),
        (init_with("a", "b", "c"), "[('a', (10,)), ('b', None), ('c', (11,))]"),
    ]:
        stream.frame = transformed(Keeping(init, rows))(stream.input())
        stream.put("a", row("k", 10, 0))
        stream.run()
        found = spark.read.parquet(str(tmp_path / "out")).collect()
        assert wanted in [r.i for r in found], [r.i for r in found]


def test_a_variable_does_not_become_another(spark, tmp_path):
    def init(self, handle):
        self.n = handle.getListState("n", "v INT")

    def rows(self, key, frames, times):
        list(frames)
        self.n.appendValue((1,))
        yield said(key[0])

    stream = Functions(World(spark, tmp_path))
    stream.frame = transformed(Keeping(scenarios.one_value, scenarios.sums))(stream.input())
    stream.put("a", row("k", 10, 0))
    stream.run()
    stream.put("a", row("k", 10, 0))
    stream.frame = transformed(Keeping(init, rows))(stream.input())
    with pytest.raises(Exception, match="STATE_STORE_INVALID_VARIABLE_TYPE_CHANGE|between query restarts"):
        stream.run()


def test_groups_larger_than_a_frame(spark, tmp_path):
    """A function gets the rows of a large group in several frames, and all groups of a large batch."""

    def function(key, frames, state):
        sizes = [len(f) for f in frames]
        state.update((sum(sizes),))
        yield pd.DataFrame({"k": [str(key[0])], "n": [sum(sizes)], "i": [str(max(sizes))]})

    rows = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 24_000).load()
    keyed = rows.selectExpr("CASE WHEN value % 12 > 0 THEN 'large' ELSE CAST(value AS STRING) END AS k", "value")
    query = grouped(function)(keyed).writeStream.format("memory").queryName("sizes").start()
    from test_streaming import until

    until(lambda: query.lastProgress is not None)
    query.stop()
    got = spark.table("sizes").where("n > 1").collect()
    assert {(r.k, r.n, r.i) for r in got[:1]} == {("large", 22_000, "10000")}
    first = query.recentProgress[0]["stateOperators"][0]
    assert (first["numRowsTotal"], first["numRowsUpdated"]) == (2_001, 2_001)


def test_large_states(spark, tmp_path):
    """What is remembered goes to a process in pieces: 40 MB here, with rows and with timers."""

    def init(self, handle):
        self.text = handle.getValueState("text", "t STRING")

    def rows(self, key, frames, times):
        found = values(frames)
        old = self.text.get()
        self.text.update((str(found[0]) * 1_000_000,))
        self.handle.registerTimer(BEGIN + 60_000)
        yield said(key[0], old and (len(old[0]), old[0][:3]))

    def timer(self, key, times, info):
        yield said(key[0], "over", self.text.get()[0][:3])

    stream = Functions(World(spark, tmp_path))
    stream.start(transformed(Keeping(init, rows, timer), time="EventTime")(stream.input("1 minute")))
    keys = [f"k{n:02}" for n in range(40)]
    wanted = []
    for v, minute in [(1, 0), (2, 0), (3, 30)]:
        stream.put("a", *[row(k, v, minute) for k in keys])
        stream.run()
        wanted += [(k, f"(1000000, '{v - 1}{v - 1}{v - 1}')" if v > 1 else "None") for k in keys]
    wanted += [(k, "over | 333") for k in keys]
    got = [(r.k, r.i) for r in spark.read.parquet(str(tmp_path / "out")).collect()]
    assert sorted(got) == sorted(wanted)


def test_several_keys_and_expressions(spark, tmp_path):
    def function(key, frames, state):
        state.update((len(list(frames)),))
        yield pd.DataFrame({"k": [str(tuple(int(k) for k in key))], "n": [1], "i": ["x"]})

    stream = Functions(World(spark, tmp_path))
    by = stream.input().groupBy(expr("v % 2").alias("odd"), expr("v DIV 2"))
    stream.frame = by.applyInPandasWithState(function, "k STRING, n LONG, i STRING", "n LONG", "append", "NoTimeout")
    stream.put("a", *[row("a", v, 0) for v in range(4)])
    stream.run()
    got = sorted(r.k for r in spark.read.parquet(str(tmp_path / "out")).collect())
    assert got == ["(0, 0)", "(0, 1)", "(1, 0)", "(1, 1)"]


def test_a_variable_that_is_declared_too_late_is_an_error_of_a_table_too(spark):
    from pyspark.sql.streaming import StatefulProcessor

    class Late(StatefulProcessor):
        def init(self, handle):
            self.handle = handle

        def handleInputRows(self, key, rows, timerValues):
            self.handle.getValueState("late", "n LONG")
            yield pd.DataFrame({"k": [key[0]]})

        def close(self):
            pass

    made = spark.range(3).groupBy("id").transformWithStateInPandas(Late(), "k LONG", "Update", "None")
    with pytest.raises(Exception, match="Error initializing value state"):
        made.collect()


def test_no_groups_at_all(spark, tmp_path):
    stream = Functions(World(spark, tmp_path))
    by = stream.input().groupBy()

    def function(key, frames, state):
        n = (state.getOption or (0,))[0] + sum(len(f) for f in frames)
        state.update((n,))
        yield pd.DataFrame({"k": [str(key)], "n": [n], "i": ["x"]})

    stream.frame = by.applyInPandasWithState(function, "k STRING, n LONG, i STRING", "n LONG", "append", "NoTimeout")
    for _ in range(2):
        stream.put("a", row("a", 1, 0), row("b", 2, 0))
        stream.run()
    assert sorted(r.n for r in spark.read.parquet(str(tmp_path / "out")).collect()) == [2, 4]


def test_the_example_of_the_documentation(spark, tmp_path):
    """The code of docs/python_state.md, over two files that are a batch each."""
    from pyspark.sql.streaming.stateful_processor import StatefulProcessor

    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "python_state.md").read_text(), re.M | re.S)
    clicks = tmp_path / "clicks"
    clicks.mkdir()
    (clicks / "1.json").write_text('{"user": "a", "at": "2026-01-01 10:00:00"}\n{"user": "a", "at": "2026-01-01 10:01:00"}\n')
    (clicks / "2.json").write_text('{"user": "b", "at": "2026-01-01 11:00:00"}\n')
    os.utime(clicks / "1.json", (1_700_000_000, 1_700_000_000))
    stream = spark.readStream.schema("user STRING, at TIMESTAMP").option("maxFilesPerTrigger", 1).json(str(clicks))
    names = {"__name__": "__main__", "StatefulProcessor": StatefulProcessor, "pd": pd, "clicks": stream}
    *definitions, query = ast.parse(code).body
    exec(compile(ast.Module(definitions, []), "docs/python_state.md", "exec"), names)
    sessions = eval(compile(ast.Expression(query.value), "docs/python_state.md", "eval"), names)
    conf = "spark.sql.streaming.stateStore.providerClass"
    spark.conf.set(conf, "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider")
    writer = sessions.writeStream.format("memory").queryName("documented").option("checkpointLocation", str(tmp_path / "c"))
    writer.trigger(availableNow=True).start().awaitTermination(300)
    assert sorted(tuple(r) for r in spark.table("documented").collect()) == [("a", 2), ("b", 1)]
