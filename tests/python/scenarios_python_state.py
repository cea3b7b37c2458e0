"""Streams with Python functions that remember: `applyInPandasWithState`, `transformWithStateInPandas` and `transformWithState`."""

import datetime
import decimal
import re
import sys
import time

import pandas as pd
from pyspark import cloudpickle
from pyspark.sql import Row
from pyspark.sql.streaming import StatefulProcessor
from scenarios_streams import Stream, expression, minute

# Workers know nothing of the tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SCENARIOS = {}
SCHEMA = "k STRING, v INT, at TIMESTAMP"
BEGIN = 1767225600000
ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def row(k, v, m):
    return {"k": k, "v": v, "at": minute(m)}


class Functions(Stream):
    """A query over one folder. The last line of a traceback is what a failure says."""

    def __init__(self, world):
        super().__init__(world)
        self.counting = True
        world.spark.conf.set("spark.sql.streaming.stateStore.providerClass", ROCKSDB)

    def input(self, watermark=None):
        rows = self.source("a", SCHEMA)
        return rows.withWatermark("at", watermark) if watermark else rows

    def rounds(self, *rounds):
        for rows in rounds:
            self.round(a=rows)
        if not self.counting:
            self.world.seen = [note for note in self.world.seen if note[0] != "batch"]

    def failing(self, name, make, mode="append", watermark=None):
        """What a query says that does not get to its end, over one row a letter."""
        folder = Functions(
            type(self.world)(self.world.spark, self.world.directory / re.sub(r"\W+", "_", f"{name} {mode}"))
        )
        folder.world.directory.mkdir()
        frame = folder.input(watermark)
        folder.put("a", row("a", 1, 0), row("b", 2, 1), row("a", 3, 2))
        try:
            writer = make(frame).writeStream.format("noop").outputMode(mode)
            query = writer.option("checkpointLocation", folder.world.path("c")).trigger(availableNow=True).start()
            query.awaitTermination()
            said = None
        except Exception as e:
            said = reason(str(e))
        self.world.note(f"{name} in {mode}", said)


def reason(text):
    raised = re.findall(r"^ *((?:\w+\.)*\w+(?:Error|Exception): .*)", text, re.M)
    if "Traceback" in text and raised:
        return re.sub(r" SQLSTATE.*", "", raised[-1]).removeprefix("pyspark.errors.exceptions.base.")
    text = re.sub(r".*terminated with exception: ", "", text.split("\n")[0])
    named = re.match(r"\[([A-Z_.]+)\]", text)
    if named:
        return named[1]
    return re.sub(r"^\[_LEGACY_ERROR_TEMP_\d+\] | SQLSTATE.*|;.*", "", text)


def grouped(function, output="k STRING, n LONG, i STRING", state="n LONG", mode="Append", timeout="NoTimeout"):
    return lambda frame: frame.groupBy("k").applyInPandasWithState(function, output, state, mode, timeout)


def said(key, *what):
    return pd.DataFrame({"k": [None if key is None else str(key)], "i": [" | ".join(str(w) for w in what)]})


def values(frames):
    return [int(v) for frame in frames for v in frame["v"]]


# ---- applyInPandasWithState

ROUNDS = [
    [row("a", 1, 0), row("b", 2, 1), row("a", 3, 2)],
    [row("a", 10, 5), row("c", 7, 6), row(None, 5, 6)],
    [row("a", 200, 20), row("c", 1, 21)],
    [row("b", 1, 0), row("a", 1, 22)],
]


def count(key, frames, state):
    shapes = []
    n = state.getOption[0] if state.exists else 0
    for frame in frames:
        n += int(frame["v"].sum())
        shapes.append([list(frame.columns), [str(t) for t in frame.dtypes], list(frame.index)])
    told = [type(key[0]).__name__, state.hasTimedOut, state.getOption, str(state), shapes]
    if n > 100:
        state.remove()
    else:
        state.update((n,))
    yield pd.DataFrame({"k": [key[0]], "n": [n], "i": [str(told)]})


@scenario
def a_count_by_group(world):
    stream = Functions(world)
    stream.start(grouped(count)(stream.input()))
    stream.rounds(*ROUNDS)


@scenario
def a_count_by_group_in_update_mode(world):
    stream = Functions(world)
    frame, out = grouped(count, mode="Update")(stream.input()), world.path("updates")
    for rows in ROUNDS:
        stream.put("a", *rows)
        writer = frame.writeStream.outputMode("update").option("checkpointLocation", world.path("checkpoint"))
        query = (
            writer.foreachBatch(lambda rows, batch: rows.write.mode("append").parquet(out))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        world.rows(world.spark.read.parquet(out))


@scenario
def groups_that_time_out_by_event_time(world):
    def function(key, frames, state):
        found = values(frames)
        told = [state.hasTimedOut, state.getOption, state.getCurrentWatermarkMs() - BEGIN, found]
        if state.hasTimedOut:
            state.remove()
        elif found[0] == -2:
            state.remove()
        elif found[0] == -3:
            state.setTimeoutTimestamp(state.getCurrentWatermarkMs() + 3_600_000)
        elif found[0] != -1:
            state.update((sum(found),))
            state.setTimeoutTimestamp(max(state.getCurrentWatermarkMs(), BEGIN) + 600_000)
        yield pd.DataFrame({"k": [key[0]], "n": [len(found)], "i": [str(told)]})

    stream = Functions(world)
    stream.start(grouped(function, timeout="EventTimeTimeout")(stream.input("10 minutes")))
    stream.rounds(
        [row("a", 1, 0), row("b", 2, 1)],
        [row("a", -1, 5), row("c", 7, 12)],
        [row("c", 1, 30)],
        [row("b", 1, 31), row("b", 3, 2)],
        [row("d", -3, 60)],
        [row("d", -2, 65), row("e", -2, 65)],
        [row("e", 1, 200)],
        [row("e", -2, 400)],
    )


@scenario
def groups_that_time_out_by_the_clock(world):
    def function(key, frames, state):
        found = values(frames)
        told = [state.hasTimedOut, state.getOption, found]
        if state.hasTimedOut:
            state.remove()
        else:
            state.update((sum(found),))
            state.setTimeoutDuration(500)
        yield pd.DataFrame({"k": [key[0]], "n": [len(found)], "i": [str(told)]})

    stream = Functions(world)
    until(stream, grouped(function, timeout="ProcessingTimeTimeout")(stream.input()), 4)


def until(stream, frame, rows, before=None):
    """Runs until there are so many rows: the clock makes batches."""
    world = stream.world
    stream.put("a", row("a", 1, 0), row("b", 2, 1))
    writer = frame.writeStream.format("parquet").option("checkpointLocation", world.path("checkpoint"))
    query = writer.start(world.path("out"))
    deadline = time.monotonic() + 300
    found = []
    while len(found) < rows and time.monotonic() < deadline and query.isActive:
        time.sleep(0.1)
        try:
            found = world.spark.read.parquet(world.path("out")).collect()
        except Exception:
            found = []
    query.stop()
    world.note("rows", sorted("\t".join(str(v) for v in r) for r in found))


@scenario
def modes_and_timeouts_that_are_refused(world):
    stream = Functions(world)
    for mode in ["append", "update", "complete"]:
        for own in ["Append", "update", "Complete", "other"]:
            stream.failing(f"function in {own}", grouped(count, mode=own), mode)
    stream.failing("event time without watermark", grouped(count, timeout="EventTimeTimeout"))
    total = "sum(n) AS v"
    for name, make, modes in [
        (
            "aggregation after append",
            lambda f: grouped(count)(f).groupBy("k").agg(expression(f, total)),
            ["append", "update", "complete"],
        ),
        (
            "aggregation after update",
            lambda f: grouped(count, mode="Update")(f).groupBy("k").agg(expression(f, total)),
            ["update", "complete"],
        ),
        (
            "append after aggregation",
            lambda f: grouped(count)(f.groupBy("k").agg(expression(f, "sum(v) AS v"))),
            ["append", "update", "complete"],
        ),
        (
            "update after aggregation",
            lambda f: grouped(count, mode="Update")(f.groupBy("k").agg(expression(f, "sum(v) AS v"))),
            ["update", "complete"],
        ),
        ("two", lambda f: grouped(count)(grouped(count)(f).selectExpr("k", "CAST(n AS INT) AS v")), ["append"]),
        (
            "two in update",
            lambda f: grouped(count, mode="Update")(
                grouped(count, mode="Update")(f).selectExpr("k", "CAST(n AS INT) AS v")
            ),
            ["update"],
        ),
        ("a sort after", lambda f: grouped(count)(f).orderBy("k"), ["append"]),
    ]:
        for mode in modes:
            stream.failing(name, make, mode)


@scenario
def functions_over_groups_that_fail(world):
    def raises(key, frames, state):
        raise ValueError("boo")

    def gives_a_frame(key, frames, state):
        return pd.DataFrame({"k": [1]})

    def gives_a_number(key, frames, state):
        return 5

    def yields_a_number(key, frames, state):
        yield 5

    def yields_too_few_columns(key, frames, state):
        yield pd.DataFrame({"k": ["x"]})

    def yields_other_columns(key, frames, state):
        yield pd.DataFrame({"x": ["x"], "n": [1], "i": ["x"]})

    def yields_other_types(key, frames, state):
        yield pd.DataFrame({"k": ["x"], "n": ["y"], "i": ["z"]})

    def sets_a_duration(key, frames, state):
        state.setTimeoutDuration(5)
        yield pd.DataFrame()

    def sets_a_timestamp(key, frames, state):
        state.setTimeoutTimestamp(5)
        yield pd.DataFrame()

    def asks_for_the_watermark(key, frames, state):
        state.getCurrentWatermarkMs()
        yield pd.DataFrame()

    def gets_nothing(key, frames, state):
        yield pd.DataFrame({"k": [str(state.get)], "n": [1], "i": ["x"]})

    def updates_with_none(key, frames, state):
        state.update(None)
        yield pd.DataFrame()

    stream = Functions(world)
    functions = [raises, gives_a_frame, gives_a_number, yields_a_number, yields_too_few_columns, yields_other_columns]
    functions += [
        yields_other_types,
        sets_a_duration,
        sets_a_timestamp,
        asks_for_the_watermark,
        gets_nothing,
        updates_with_none,
    ]
    for function in functions:
        stream.failing(function.__name__, grouped(function))


@scenario
def values_of_many_types(world):
    # Spark's worker reads no schema of state with lists or maps in it.
    fields = "a INT, b STRING, c DOUBLE, d TIMESTAMP, e DATE, g STRUCT<x: INT, y: STRING>, h DECIMAL(10, 2), i BOOLEAN, j BINARY"

    def function(key, frames, state):
        list(frames)
        old = state.getOption
        when = datetime.datetime(2024, 1, 2, 3, 4, 5, 6)
        state.update(
            (
                1,
                "s",
                1.5,
                when,
                datetime.date(2024, 1, 2),
                Row(x=1, y="q"),
                decimal.Decimal("1.25"),
                True,
                b"xy",
            )
        )
        yield pd.DataFrame({"k": [key[0]], "n": [1], "i": [str(old)]})

    stream = Functions(world)
    stream.start(grouped(function, state=fields)(stream.input()))
    stream.rounds([row("a", 1, 0)], [row("a", 1, 0), row("b", 1, 0)])


@scenario
def columns_with_nulls(world):
    """What a column is in a frame depends upon whether there are nulls in that frame."""

    def function(key, frames, state):
        told = [[[str(t) for t in f.dtypes], f.astype(str).values.tolist()] for f in frames]
        yield pd.DataFrame({"k": [str(key)], "n": [1], "i": [str([type(k).__name__ for k in key]) + str(told)]})

    stream = Functions(world)
    rows = stream.input().selectExpr(
        "k",
        "v",
        "v > 1 AS b",
        "CAST(v AS FLOAT) AS f",
        "CAST(v AS SHORT) AS s",
        "CAST(at AS DATE) AS d",
        "array(v) AS l",
        "struct(v, k) AS st",
    )
    by = rows.groupBy("k", "s").applyInPandasWithState(
        function, "k STRING, n LONG, i STRING", "n LONG", "Append", "NoTimeout"
    )
    stream.start(by)
    stream.rounds([row("a", 1, 0), row("a", 1, 0), row("b", None, 1), row("c", 3, 1)])


# ---- transformWithState


class Keeping(StatefulProcessor):
    """A processor out of functions."""

    def __init__(self, init, rows, timer=None, initial=None):
        self._init, self._rows, self._timer, self._initial = init, rows, timer, initial

    def init(self, handle):
        self.handle = handle
        self._init(self, handle)

    def handleInputRows(self, key, rows, timerValues):
        return self._rows(self, key, rows, timerValues)

    def handleExpiredTimer(self, key, timerValues, expiredTimerInfo):
        return self._timer(self, key, timerValues, expiredTimerInfo) if self._timer else iter([])

    def handleInitialState(self, key, initialState, timerValues):
        self._initial(self, key, initialState, timerValues)

    def close(self):
        pass


def transformed(
    processor, time="None", mode="Append", frames=True, initial=None, event_time="", output="k STRING, i STRING"
):
    def make(frame):
        by = frame.groupBy("k")
        transform = by.transformWithStateInPandas if frames else by.transformWithState
        return transform(processor, output, mode, time, initial, event_time)

    return make


def one_value(self, handle):
    self.n = handle.getValueState("n", "n INT")


def sums(self, key, rows, times):
    shapes, total = [], 0
    for frame in rows:
        shapes.append([list(frame.columns), [str(t) for t in frame.dtypes], list(frame.index)])
        total += int(frame["v"].sum())
    old = self.n.get() if self.n.exists() else None
    if total > 100:
        self.n.clear()
    else:
        self.n.update((total + (old[0] if old else 0),))
    yield said(
        key[0],
        type(key).__name__,
        type(key[0]).__name__,
        old,
        self.n.get(),
        shapes,
        times.getCurrentProcessingTimeInMs(),
        times.getCurrentWatermarkInMs(),
    )


def sums_of_rows(self, key, rows, times):
    found = list(rows)
    old = self.n.get()
    self.n.update((sum(r.v for r in found) + (old[0] if old else 0),))
    yield Row(k=str(key[0]), i=str([type(key).__name__, old, found]))


@scenario
def a_value_by_group(world):
    stream = Functions(world)
    stream.start(transformed(Keeping(one_value, sums))(stream.input()))
    stream.rounds(*ROUNDS)


@scenario
def a_value_by_group_of_rows(world):
    stream = Functions(world)
    stream.start(transformed(Keeping(one_value, sums_of_rows), frames=False)(stream.input()))
    stream.rounds(*ROUNDS)


def attempt(action):
    try:
        return action()
    except Exception as e:
        return f"{type(e).__name__}: " + re.sub(r" SQLSTATE.*", "", str(e).split("\n")[0])


@scenario
def all_kinds_of_variables(world):
    def init(self, handle):
        self.value = handle.getValueState(
            "value",
            "a INT, b STRING, c DOUBLE, d TIMESTAMP, e DATE, f ARRAY<INT>, g STRUCT<x: INT, y: STRING>, h DECIMAL(10, 2), i BOOLEAN",
        )
        self.list = handle.getListState("list", "x INT")
        self.map = handle.getMapState("map", "x STRING", "y INT, z STRING")

    def rows(self, key, frames, times):
        found = values(frames)
        told = [found, self.value.exists(), self.value.get(), self.list.exists(), list(self.list.get())]
        told += [self.map.exists(), sorted(self.map.iterator()), sorted(self.map.keys()), sorted(self.map.values())]
        when = datetime.datetime(2024, 1, 2, 3, 4, 5, 6)
        self.value.update(
            (
                found[0],
                "s",
                1.5,
                when,
                datetime.date(2024, 1, 2),
                [1, 2],
                Row(x=1, y="q"),
                decimal.Decimal("1.25"),
                True,
            )
        )
        told.append(self.value.get())
        for v in found:
            self.list.appendValue((v,))
            self.map.updateValue((str(v),), (v, "z"))
        self.list.appendList([(100,), (101,)])
        told.append(list(self.list.get()))
        told.append(
            [
                self.map.getValue((str(found[0]),)),
                self.map.containsKey((str(found[0]),)),
                self.map.getValue(("no",)),
                self.map.containsKey(("no",)),
            ]
        )
        self.map.removeKey(("3",))
        self.map.removeKey(("no",))
        if found[0] == 10:
            self.list.put([(1,), (2,)])
            self.value.clear()
        if found[0] == 200:
            self.list.clear()
            self.map.clear()
        told += [
            self.value.exists(),
            list(self.list.get()),
            self.list.exists(),
            sorted(self.map.iterator()),
            self.map.exists(),
        ]
        yield said(key[0], *told)

    stream = Functions(world)
    # Spark begins to count anew where a list is put.
    stream.counting = False
    stream.start(transformed(Keeping(init, rows))(stream.input()))
    stream.rounds(*ROUNDS)


@scenario
def what_variables_refuse(world):
    def init(self, handle):
        self.value = handle.getValueState("value", "a INT, b STRING")
        self.list = handle.getListState("list", "x INT")
        self.map = handle.getMapState("map", "x STRING", "y INT")

    actions = {
        "a list of nothing": lambda self: self.list.put([]),
        "nothing to a list": lambda self: self.list.appendList([]),
        "a late variable": lambda self: self.handle.getValueState("late", "x INT"),
        "a late list": lambda self: self.handle.getListState("late", "x INT"),
        "a late map": lambda self: self.handle.getMapState("late", "x INT", "x INT"),
        "a late deletion": lambda self: self.handle.deleteIfExists("value"),
        "a timer": lambda self: self.handle.registerTimer(5),
        "a timer less": lambda self: self.handle.deleteTimer(5),
        "too few values": lambda self: self.value.update((1,)),
    }
    stream = Functions(world)
    for name, action in actions.items():

        def rows(self, key, frames, times, action=action):
            list(frames)
            action(self)
            yield said(key[0])

        stream.failing(name, transformed(Keeping(init, rows)))


@scenario
def processors_that_fail(world):
    def init(self, handle):
        pass

    def raises(self, key, rows, times):
        raise ValueError("boo")

    def yields_a_number(self, key, rows, times):
        yield 5

    def gives_none(self, key, rows, times):
        return None

    def yields_other_columns(self, key, rows, times):
        yield pd.DataFrame({"x": [1]})

    def yields_nothing(self, key, rows, times):
        yield pd.DataFrame()

    def gives_a_list(self, key, rows, times):
        return [said("a", "b")]

    stream = Functions(world)
    for function in [raises, yields_a_number, gives_none, yields_other_columns, yields_nothing, gives_a_list]:
        stream.failing(function.__name__, transformed(Keeping(init, function)))
    for mode in ["append", "update", "complete"]:
        for own in ["Append", "Update", "Complete", "other"]:
            stream.failing(f"processor in {own}", transformed(Keeping(one_value, sums), mode=own), mode)
    stream.failing("another time mode", transformed(Keeping(one_value, sums), time="Other"))
    stream.failing("event time without watermark", transformed(Keeping(one_value, sums), time="EventTime"))
    ttl = lambda ms: lambda self, handle: setattr(self, "n", handle.getValueState("n", "n INT", ms))  # noqa: E731
    stream.failing("a time to live without times", transformed(Keeping(ttl(100), sums)))
    stream.failing(
        "a time to live by event time", transformed(Keeping(ttl(100), sums), time="EventTime"), watermark="1 minute"
    )
    stream.failing("a negative time to live", transformed(Keeping(ttl(-1), sums), time="ProcessingTime"))


@scenario
def timers_by_event_time(world):
    def init(self, handle):
        self.seen = handle.getListState("seen", "s STRING")

    def rows(self, key, frames, times):
        found = values(frames)
        for v in found:
            if v > 0:
                self.handle.registerTimer(BEGIN + v * 60000)
            else:
                self.handle.deleteTimer(BEGIN - v * 60000)
        yield said(
            key[0], found, times.getCurrentWatermarkInMs() - BEGIN, sorted(t - BEGIN for t in self.handle.listTimers())
        )

    def timer(self, key, times, info):
        at = info.getExpiryTimeInMs() - BEGIN
        told = [
            "timer",
            type(key).__name__,
            at,
            sorted(t - BEGIN for t in self.handle.listTimers()),
            times.getCurrentWatermarkInMs() - BEGIN,
        ]
        if at == 7 * 60000:
            for minutes in [6, 8, 300]:
                self.handle.registerTimer(BEGIN + minutes * 60000)
        self.seen.appendValue((str(at),))
        yield said(key[0], *told, list(self.seen.get()))

    stream = Functions(world)
    stream.start(transformed(Keeping(init, rows, timer), time="EventTime")(stream.input("1 minute")))
    stream.rounds(
        [row("a", 5, 0), row("b", 7, 1), row("a", 9, 2)],
        [row("a", -9, 15), row("c", 3, 16), row("a", -20, 15)],
        [row("b", 40, 20), row("d", 19, 20), row("d", 19, 20)],
        [row("c", 500, 500), row("late", 1, 2)],
        [row("c", 10, 501), row(None, 501, 501)],
        [row("c", 1000, 600)],
    )


@scenario
def timers_by_the_clock(world):
    def init(self, handle):
        self.seen = handle.getListState("seen", "s STRING")

    def rows(self, key, frames, times):
        found = values(frames)
        self.handle.registerTimer(times.getCurrentProcessingTimeInMs() + 500)
        yield said(key[0], found, times.getCurrentWatermarkInMs(), len(list(self.handle.listTimers())))

    def timer(self, key, times, info):
        yield said(key[0], times.getCurrentProcessingTimeInMs() > info.getExpiryTimeInMs())

    stream = Functions(world)
    until(stream, transformed(Keeping(init, rows, timer), time="ProcessingTime")(stream.input()), 4)


@scenario
def a_state_to_begin_with(world):
    rows = world.spark.createDataFrame([("a", 100), ("z", 200), ("a", 50)], "k STRING, v INT")

    def begin(self, key, state, times):
        old = self.n.get()
        self.n.update(((old[0] if old else 0) + (int(state["v"].sum()) if hasattr(state, "columns") else state.v),))

    stream = Functions(world)
    processor = Keeping(one_value, sums, initial=begin)
    stream.start(transformed(processor, initial=rows.groupBy("k"))(stream.input()))
    stream.rounds(ROUNDS[0], ROUNDS[1], [row("z", 1, 0)])


@scenario
def a_state_to_begin_with_of_rows(world):
    rows = world.spark.createDataFrame([("a", 100), ("z", 200), ("a", 50)], "k STRING, v INT")

    def begin(self, key, state, times):
        old = self.n.get()
        self.n.update(((old[0] if old else 0) + state.v,))

    stream = Functions(world)
    processor = Keeping(one_value, sums_of_rows, initial=begin)
    stream.start(transformed(processor, frames=False, initial=rows.groupBy("k"))(stream.input()))
    stream.rounds(ROUNDS[0], ROUNDS[1], [row("z", 1, 0)])


def times_of_rows(self, key, frames, times):
    for frame in frames:
        for at in frame["at"]:
            yield pd.DataFrame({"k": [key[0]], "t": [at]})


def windows(frame):
    rows = frame.selectExpr("window(t, '10 minutes') AS w", "k")
    return rows.groupBy("w", "k").agg(expression(rows, "count(1) AS n")).selectExpr("w.start AS s", "k", "n")


@scenario
def windows_above_a_processor(world):
    stream = Functions(world)
    make = transformed(
        Keeping(one_value, times_of_rows), time="EventTime", event_time="t", output="k STRING, t TIMESTAMP"
    )
    stream.start(windows(make(stream.input("1 minute"))))
    stream.rounds(
        [row("a", 1, 0), row("b", 1, 1)], [row("a", 1, 15), row("a", 1, 16)], [row("b", 1, 40)], [row("b", 1, 60)]
    )


@scenario
def event_times_that_are_refused(world):
    def old(self, key, frames, times):
        yield pd.DataFrame({"k": [key[0]], "t": [pd.Timestamp("1960-01-01")]})

    stream = Functions(world)
    columns = "k STRING, t TIMESTAMP"
    plain = Keeping(one_value, times_of_rows)
    for name, processor, time_mode, column, above in [
        ("no such column", plain, "EventTime", "x", None),
        ("rows older than the watermark", Keeping(one_value, old), "EventTime", "t", None),
        ("windows without event time", plain, "EventTime", "", windows),
    ]:

        def make(frame, processor=processor, time_mode=time_mode, column=column, above=above):
            made = transformed(processor, time=time_mode, event_time=column, output=columns)(frame)
            return above(made) if above else made

        stream.failing(name, make, watermark="1 minute")


@scenario
def a_processor_over_a_table(world):
    rows = world.spark.createDataFrame([("a", 1), ("b", 2), ("a", 5), (None, 7)], "k STRING, v INT")
    first = world.spark.createDataFrame([("a", 100), ("z", 200), ("a", 50)], "k STRING, v INT")

    def begin(self, key, state, times):
        old = self.n.get()
        self.n.update(((old[0] if old else 0) + int(state["v"].sum()),))

    world.rows(transformed(Keeping(one_value, sums))(rows))
    world.rows(transformed(Keeping(one_value, sums_of_rows), frames=False)(rows))
    world.rows(transformed(Keeping(one_value, sums, initial=begin), initial=first.groupBy("k"))(rows))
    world.attempt("applyInPandasWithState over a table", lambda: grouped(count)(rows))
