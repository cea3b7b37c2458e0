"""A process that runs the user's functions for the server, task after task.

The protocol is that of PySpark's own worker; it goes through the pipes this process was started with. What the
user's code prints goes to the log.
"""

import os
import sys


def main() -> None:
    # The pipes are for the protocol alone: a print() must not get between its messages.
    infile = os.fdopen(os.dup(0), "rb", 65536)
    outfile = os.fdopen(os.dup(1), "wb", 65536)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, "w", buffering=1, closefd=False)

    if len(sys.argv) > 1:
        # Questions for a module of PySpark's: one of pyspark.sql.worker, or one by its whole name.
        import importlib

        name = sys.argv[1]
        module = importlib.import_module(name if "." in name else "pyspark.sql.worker." + name)
        try:
            module.main(infile, outfile)
        finally:
            outfile.flush()
        return

    from pyspark import worker

    while True:
        # Nothing to read: the server has ended, or needs this process no more.
        head = infile.peek(1)
        if not head:
            return
        try:
            # A number below 0 begins a task of ours, a partition one of PySpark's.
            if head[0] & 0x80:
                from boathouse_runtime.stateful import task

                task.main(infile, outfile)
            else:
                worker.main(infile, outfile)
        finally:
            outfile.flush()


if __name__ == "__main__":
    main()
