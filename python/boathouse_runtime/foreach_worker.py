"""Runs the function of ``writeStream.foreach`` over the rows of each batch. The server starts it and speaks first."""

import io
import json
import sys

import pyarrow
from pyspark.serializers import CPickleSerializer, UTF8Deserializer, read_int, read_long, write_int
from pyspark.sql.conversion import ArrowTableToRowsConversion
from pyspark.sql.types import StructType
from pyspark.taskcontext import TaskContext
from pyspark.util import handle_worker_exception
from pyspark.worker_util import check_python_version, get_sock_file_to_executor


def set_batch(batch_id):
    """Tells ``open(partition_id, epoch_id)`` the number of the batch, the way Spark does."""
    context = TaskContext._getOrCreate()
    context._localProperties = {"streaming.sql.batchId": str(batch_id)}
    TaskContext._taskContext = context


def main(infile, outfile):
    text = UTF8Deserializer()
    try:
        check_python_version(infile)
        command = infile.read(read_int(infile))
        function = CPickleSerializer().loads(command)[0]
        write_int(0, outfile)
        outfile.flush()
        while True:
            schema = StructType.fromJson(json.loads(text.loads(infile)))
            rows = infile.read(read_int(infile))
            set_batch(read_long(infile))
            table = pyarrow.ipc.open_stream(io.BytesIO(rows)).read_all()
            for _ in function(0, iter(ArrowTableToRowsConversion.convert(table, schema))):
                pass
            write_int(0, outfile)
            outfile.flush()
    except EOFError:
        sys.exit(0)
    except Exception as e:
        handle_worker_exception(e, outfile)
        outfile.flush()


if __name__ == "__main__":
    with get_sock_file_to_executor(timeout=None) as sock_file:
        main(sock_file, sock_file)
