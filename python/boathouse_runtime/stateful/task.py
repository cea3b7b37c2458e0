"""The conversation with the server over one batch of a query.

After the beginning that every task of PySpark's worker has come the pickled function and settings as JSON. Then the
server sends parts of the work, one after the other, and takes what is said of each: rows, changes of state, and that it
is done. All numbers are big-endian, all texts and Arrow streams stand behind their length.
"""

import json
import os
import sys

import pyarrow as pa
from pyspark import shuffle
from pyspark.serializers import SpecialLengths, read_int, write_int, write_with_length
from pyspark.sql.types import StructType
from pyspark.taskcontext import TaskContext
from pyspark.util import handle_worker_exception
from pyspark.worker import EvalConf, RunnerConf
from pyspark.worker_util import (
    check_python_version,
    pickleSer,
    read_command,
    setup_broadcasts,
    setup_memory_limits,
    setup_spark_files,
    utf8_deserializer,
)

# What the server says.
END, PART = 0, 1
# What is said to the server. Exceptions are said as PySpark says them.
DONE, ROWS, CHANGES, VARIABLES, PARSE, COUNTS = 0, 1, 2, 3, 4, 5


class Task:
    """A task and its settings, and the way back to the server."""

    def __init__(self, infile, outfile):
        self.infile, self.outfile = infile, outfile
        # The mark, and the partition.
        read_int(infile)
        read_int(infile)
        check_python_version(infile)
        setup_memory_limits(int(os.environ.get("PYSPARK_EXECUTOR_MEMORY_MB", "-1")))
        TaskContext._setTaskContext(TaskContext.from_json(json.loads(self.text())))
        shuffle.MemoryBytesSpilled = shuffle.DiskBytesSpilled = 0
        setup_spark_files(infile)
        setup_broadcasts(infile)
        self.eval_type = read_int(infile)
        self.conf = RunnerConf(infile)
        EvalConf(infile)
        self.function, _ = read_command(pickleSer, infile)
        settings = json.loads(self.text())
        self.keys = StructType.fromJson(settings["keys"])
        self.output = StructType.fromJson(settings["output"])
        self.state = settings["state"] and StructType.fromJson(settings["state"])
        self.timeout, self.time_mode = settings["timeout"], settings["timeMode"]
        self.batch_ms, self.watermark_ms = settings["batchMs"], settings["watermarkMs"]
        self.has_watermark = settings["hasWatermark"]

    def text(self):
        return utf8_deserializer.loads(self.infile)

    def say(self, what, *texts):
        write_int(what, self.outfile)
        for text in texts:
            write_with_length(text.encode(), self.outfile)
        self.outfile.flush()

    def say_variables(self, declared):
        self.say(VARIABLES, declared)

    def say_counts(self, *counts):
        for number in (COUNTS, *counts):
            write_int(number, self.outfile)

    def say_rows(self, batch):
        write_int(ROWS, self.outfile)
        write_with_length(_stream(batch), self.outfile)
        self.outfile.flush()

    def say_changes(self, variable, columns):
        """Columns by name: what changed in a variable."""
        batch = pa.RecordBatch.from_arrays(list(columns.values()), list(columns))
        write_int(CHANGES, self.outfile)
        write_int(variable, self.outfile)
        write_with_length(_stream(batch), self.outfile)

    def parsed(self, ddl):
        """The schema that a text of the user's says: the server knows the grammar."""
        self.say(PARSE, ddl)
        known = read_int(self.infile) == 1
        text = self.text()
        if not known:
            from pyspark.errors import PySparkRuntimeError

            raise PySparkRuntimeError(f"Error parsing string schema: {text}")
        return StructType.fromJson(json.loads(text))

    def parts(self):
        """The parts of the work: a name, and Arrow batches by name."""
        while read_int(self.infile) == PART:
            kind = self.text()
            batches = {}
            for _ in range(read_int(self.infile)):
                name = self.text()
                data = self.infile.read(read_int(self.infile))
                table = pa.ipc.open_stream(data).read_all().combine_chunks()
                batches[name] = table.to_batches()[0] if table.num_rows else _nothing(table.schema)
            yield kind, batches
            self.say(DONE)


def _stream(batch):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _nothing(schema):
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def main(infile, outfile):
    """Answers one task; the process ends where that fails."""
    try:
        from pyspark.util import PythonEvalType

        task = Task(infile, outfile)
        if task.eval_type == PythonEvalType.SQL_GROUPED_MAP_PANDAS_UDF_WITH_STATE:
            from boathouse_runtime.stateful import group_state as kind
        else:
            from boathouse_runtime.stateful import processor as kind
        kind.run(task)
        TaskContext._setTaskContext(None)
        write_int(SpecialLengths.END_OF_STREAM, outfile)
    except BaseException as e:
        handle_worker_exception(e, outfile)
        outfile.flush()
        sys.exit(-1)
