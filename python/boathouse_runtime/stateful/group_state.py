"""`applyInPandasWithState`: a function over each group's frames and its `GroupState`."""

import pandas as pd
import pyarrow as pa
from pyspark.errors import PySparkRuntimeError, PySparkTypeError
from pyspark.sql.streaming.state import GroupState
from pyspark.sql.types import Row

from boathouse_runtime.stateful.frames import Output, Rows, to_series
from boathouse_runtime.stateful.values import Struct


def run(task):
    work = GroupStates(task)
    for kind, batches in task.parts():
        work.part(batches, has_timed_out=kind == "timeouts")


class GroupStates:
    def __init__(self, task):
        self.task, self.values = task, Struct(task.state)
        self.row = Row(*task.state.names)

    def part(self, batches, has_timed_out):
        task, groups = self.task, batches["groups"]
        output = Output(task.output, task.conf, task.say_rows, fills=True)
        rows = Rows(batches["rows"], task.conf, widened=False)
        known = self.known(batches["state"])
        counts = groups.column(groups.num_columns - 1).to_pylist()
        at, changes = 0, []
        nothing = [pd.DataFrame(columns=rows.frame.columns)] if has_timed_out else None
        for i, (key, count) in enumerate(zip(self.keys(groups), counts, strict=True)):
            state = self.state(known.get(i), has_timed_out)
            for frame in self.call(key, nothing or rows.frames(at, count), state):
                output.add(frame)
            at += count
            self.note(i, state, changes)
        output.flush()
        self.say(changes)

    def keys(self, groups):
        """The keys as NumPy's values, as the first ones of series have them."""
        if groups.num_columns == 1:
            return [()] * groups.num_rows
        columns = []
        batch = groups.select(range(groups.num_columns - 1))
        for column, series in zip(batch.columns, to_series(batch, self.task.conf), strict=True):
            values = list(series.array)
            if column.null_count and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
                alone = lambda i, c=column: to_series(pa.RecordBatch.from_arrays([c.slice(i, 1)], [""]), self.task.conf)  # noqa: E731
                values = [alone(i)[0].iloc[0] for i in range(len(column))]
            elif series.dtype.kind in "iuf":
                values = list(series.to_numpy())
            columns.append(values)
        return zip(*columns, strict=True)

    def known(self, batch):
        """By group: its value and when it is over."""
        values = self.values.read(batch.column(1))
        return dict(zip(batch.column(0).to_pylist(), values, strict=True))

    def state(self, value, has_timed_out):
        task = self.task
        return GroupState(
            optionalValue=None if value is None else self.row(*value),
            batchProcessingTimeMs=task.batch_ms,
            eventTimeWatermarkMs=task.watermark_ms,
            timeoutConf=task.timeout,
            hasTimedOut=has_timed_out,
            watermarkPresent=task.has_watermark,
            defined=value is not None,
            updated=False,
            removed=False,
            timeoutTimestamp=GroupState.NO_TIMESTAMP,
            keyAsUnsafe=b"",
            valueSchema=task.state,
        )

    def call(self, key, frames, state):
        result = self.task.function(key, frames, state)
        if isinstance(result, pd.DataFrame):
            raise wrong_result("iterable of pandas.DataFrame", type(result).__name__)
        try:
            iter(result)
        except TypeError as e:
            raise wrong_result("iterable", type(result).__name__) from e
        for frame in result:
            if not isinstance(frame, pd.DataFrame):
                raise wrong_result("iterator of pandas.DataFrame", f"iterator of {type(frame).__name__}")
            if len(frame.columns) != len(self.task.output) and not (len(frame.columns) == 0 and frame.empty):
                raise PySparkRuntimeError(
                    errorClass="RESULT_COLUMN_SCHEMA_MISMATCH",
                    messageParameters={"expected": str(len(self.task.output)), "actual": str(len(frame.columns))},
                )
            yield frame

    def note(self, group, state, changes):
        """What is to be remembered of a group, as Spark's `FlatMapGroupsInPandasWithStateExec` decides it."""
        over_at = state._timeout_timestamp
        if state._removed and over_at == GroupState.NO_TIMESTAMP:
            changes.append((group, False, None, None))
        elif state._updated or state._removed or over_at != state.oldTimeoutTimestamp:
            value = self.values.write(state._value) if state.exists else None
            changes.append((group, True, value, None if over_at == GroupState.NO_TIMESTAMP else int(over_at)))

    def say(self, changes):
        if not changes:
            return
        groups, kept, values, over_at = zip(*changes, strict=True)
        self.task.say_changes(
            0,
            {
                "group": pa.array(groups, pa.int32()),
                "kept": pa.array(kept, pa.bool_()),
                "value": self.values.array(list(values)),
                "over": pa.array(over_at, pa.int64()),
            },
        )


def wrong_result(expected, actual):
    return PySparkTypeError(errorClass="UDF_RETURN_TYPE", messageParameters={"expected": expected, "actual": actual})
