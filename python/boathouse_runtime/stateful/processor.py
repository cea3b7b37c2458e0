"""`transformWithState` and `transformWithStateInPandas`: the methods of a `StatefulProcessor` over groups and timers."""

import json

import pyarrow as pa
from pyspark.errors import PySparkRuntimeError
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.streaming.stateful_processor import (
    ExpiredTimerInfo,
    ListState,
    MapState,
    StatefulProcessorHandle,
    TimerValues,
    ValueState,
)
from pyspark.sql.types import Row
from pyspark.util import PythonEvalType

from boathouse_runtime.stateful.frames import Output, Rows
from boathouse_runtime.stateful.variables import List, Map, Timers, Value

FRAMES = (
    PythonEvalType.SQL_TRANSFORM_WITH_STATE_PANDAS_UDF,
    PythonEvalType.SQL_TRANSFORM_WITH_STATE_PANDAS_INIT_STATE_UDF,
)


def run(task):
    work = Processor(task)
    for kind, batches in task.parts():
        work.part(kind, batches)
    work.close()


class Processor:
    """A processor of the user's in one task."""

    def __init__(self, task):
        self.task = task
        self.processor = task.function.__self__._stateful_processor
        self.in_frames = task.eval_type in FRAMES
        self.stage = "CREATED"
        self.group = None
        self.cursors = {}
        # What the user's code has set and removed in this part, as Spark counts it.
        self.updated, self.removed = 0, 0
        self.variables, self.declared = {}, []
        self.timers = Timers(self)
        is_timed = task.time_mode.lower() != "none"
        self.times = TimerValues(task.batch_ms, task.watermark_ms) if is_timed else TimerValues(-1, -1)
        self.processor.init(Handle(self))
        self.stage = "INITIALIZED"
        task.say_variables(json.dumps(self.declared))
        self.key_row = Row(*task.keys.names)

    def close(self):
        self.stage, self.group = "TIMER_PROCESSED", None
        self.processor.close()
        self.stage = "CLOSED"

    def part(self, kind, batches):
        for variable, begun in [(self.timers, batches.get("timers"))] + self.states(batches):
            variable.begin(begun)
        output = self.output()
        try:
            if kind == "timers":
                self.stage = "DATA_PROCESSED"
                self.expired(batches, output)
            else:
                self.rows(batches, output)
        finally:
            self.cursors.clear()
        output.flush()
        self.say_changes()
        self.task.say_counts(self.updated, self.removed)
        self.updated, self.removed = 0, 0

    def states(self, batches):
        return [(v, batches.get(f"state {i}")) for i, v in enumerate(self.variables.values())]

    def say_changes(self):
        for i, variable in enumerate([self.timers, *self.variables.values()]):
            changes = variable.changes()
            if changes:
                self.task.say_changes(i, changes)

    def output(self):
        task = self.task
        return Output(task.output, task.conf, task.say_rows) if self.in_frames else RowOutput(task)

    def rows(self, batches, output):
        groups = batches["groups"]
        columns = groups.select(range(groups.num_columns - 2))
        counts = [groups.column(groups.num_columns - n).to_pylist() for n in (2, 1)]
        rows, first = self.reader(batches["rows"]), self.reader(batches.get("initial"))
        at = first_at = 0
        for i, (key, count, first_count) in enumerate(zip(self.keys(columns), *counts, strict=True)):
            self.group = i
            if first_count:
                for state in first.frames(first_at, first_count):
                    self.processor.handleInitialState(key, state, self.times)
                first_at += first_count
            if count:
                for made in self.processor.handleInputRows(key, rows.frames(at, count), self.times):
                    output.add(made)
                at += count

    def expired(self, batches, output):
        keys = list(self.keys(batches["groups"].select(range(len(self.task.keys)))))
        for i, at in zip(*(c.to_pylist() for c in batches["expired"].columns), strict=True):
            self.group = i
            key = self.key_row(*keys[i])
            called = self.processor.handleExpiredTimer(
                key=key, timerValues=self.times, expiredTimerInfo=ExpiredTimerInfo(at)
            )
            for made in called:
                output.add(made)
            self.timers.delete(at)

    def keys(self, batch):
        if self.in_frames:
            return Rows(batch, self.task.conf, widened=True).frame.itertuples(index=False, name=None)
        return zip(*(c.to_pylist() for c in batch.columns), strict=True)

    def reader(self, batch):
        if batch is None:
            return None
        return Rows(batch, self.task.conf, widened=True) if self.in_frames else PlainRows(batch)


class PlainRows:
    """The rows of groups as `Row`s."""

    def __init__(self, batch):
        row = Row(*batch.schema.names)
        self.rows = [row(*values) for values in zip(*(c.to_pylist() for c in batch.columns), strict=True)]

    def frames(self, start, count):
        return iter(self.rows[start : start + count])


class RowOutput:
    """Rows that the user's functions gave, until there are enough of them to send."""

    def __init__(self, task):
        self.task, self.rows = task, []
        self.schema = pa.schema(list(to_arrow_type(task.output, timezone="UTC")))

    def add(self, row):
        self.rows.append(row.asDict(True))
        if len(self.rows) >= max(self.task.conf.arrow_max_records_per_batch, 1):
            self.flush()

    def flush(self):
        if self.rows:
            self.task.say_rows(pa.RecordBatch.from_pylist(self.rows, schema=self.schema))
            self.rows = []


class Handle(StatefulProcessorHandle):
    """What the user's code asks for its variables and timers, with the rules of Spark's `StatefulProcessorHandleImpl`."""

    def __init__(self, owner):
        self._owner = owner

    def _schema(self, schema):
        return self._owner.task.parsed(schema) if isinstance(schema, str) else schema

    def _variable(self, what, name, ttl_ms, client, key_schema=None):
        owner = self._owner
        if owner.stage != "CREATED":
            raise invalid(f"Error initializing {what} state", "get_" + what + "_state", owner.stage)
        if name in owner.variables:
            raise PySparkRuntimeError(
                f"Error initializing {what} state: [STATEFUL_PROCESSOR_DUPLICATE_STATE_VARIABLE_DEFINED] State variable "
                f"with name {name} has already been defined in the StatefulProcessor. SQLSTATE: 42802"
            )
        if ttl_ms:
            self._check_ttl(what, name, ttl_ms)
        owner.variables[name] = client
        owner.declared.append(
            {
                "name": name,
                "kind": client.kind,
                "schema": client.values.schema.jsonValue(),
                "key": client.keys.schema.jsonValue() if client.kind == "map" else None,
                # A time to live of nothing is none.
                "ttlMs": ttl_ms or None,
            }
        )
        return client

    def _check_ttl(self, what, name, ttl_ms):
        time_mode = self._owner.task.time_mode.lower()
        if time_mode != "processingtime":
            time_mode = "EventTime" if time_mode == "eventtime" else "NoTime"
            raise PySparkRuntimeError(
                f"Error initializing {what} state: [STATEFUL_PROCESSOR_INCORRECT_TIME_MODE_TO_ASSIGN_TTL] Cannot use TTL for "
                f"state={name} in timeMode={time_mode}, use TimeMode.ProcessingTime() instead. SQLSTATE: 42802"
            )
        if ttl_ms < 0:
            raise PySparkRuntimeError(
                f"Error initializing {what} state: [STATEFUL_PROCESSOR_TTL_DURATION_MUST_BE_POSITIVE] TTL duration must be "
                f"greater than zero for State store operation=update on state={name}. SQLSTATE: 42802"
            )

    def getValueState(self, stateName, schema, ttlDurationMs=None):
        client = Value(self._owner, self._schema(schema))
        return ValueState(self._variable("value", stateName, ttlDurationMs, client), stateName)

    def getListState(self, stateName, schema, ttlDurationMs=None):
        client = List(self._owner, self._schema(schema))
        return ListState(self._variable("list", stateName, ttlDurationMs, client), stateName)

    def getMapState(self, stateName, userKeySchema, valueSchema, ttlDurationMs=None):
        client = Map(self._owner, self._schema(userKeySchema), self._schema(valueSchema))
        return MapState(self._variable("map", stateName, ttlDurationMs, client), stateName)

    def _timers(self, what, operation):
        owner = self._owner
        if owner.task.time_mode.lower() == "none":
            raise PySparkRuntimeError(
                f"{what}: [STATEFUL_PROCESSOR_CANNOT_PERFORM_OPERATION_WITH_INVALID_TIME_MODE] Failed to perform stateful "
                f"processor operation={operation} with invalid timeMode=NoTime SQLSTATE: 42802"
            )
        if owner.stage not in ("INITIALIZED", "DATA_PROCESSED"):
            raise invalid(what, operation, owner.stage)
        return owner.timers

    def registerTimer(self, expiryTimestampMs):
        self._timers("Error register timer", "register_timer").register(expiryTimestampMs)

    def deleteTimer(self, expiryTimestampMs):
        self._timers("Error deleting timer", "delete_timer").delete(expiryTimestampMs)

    def listTimers(self):
        return self._timers("Error listing timers", "list_timers").list()

    def deleteIfExists(self, stateName):
        owner = self._owner
        if owner.stage != "CREATED":
            raise invalid("Error deleting state", "delete_if_exists", owner.stage)
        owner.declared.append({"name": stateName, "kind": "none", "schema": None, "key": None, "ttlMs": None})


def invalid(what, operation, stage):
    return PySparkRuntimeError(
        f"{what}: [STATEFUL_PROCESSOR_CANNOT_PERFORM_OPERATION_WITH_INVALID_HANDLE_STATE] Failed to perform stateful processor "
        f"operation={operation} with invalid handle state={stage}. SQLSTATE: 42802"
    )
