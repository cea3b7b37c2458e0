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
        # One question for a module of pyspark.sql.worker.
        import importlib

        module = importlib.import_module("pyspark.sql.worker." + sys.argv[1])
        try:
            module.main(infile, outfile)
        finally:
            outfile.flush()
        return

    from pyspark import worker

    while True:
        # Nothing to read: the server has ended, or needs this process no more.
        if not infile.peek(1):
            return
        try:
            worker.main(infile, outfile)
        finally:
            outfile.flush()


if __name__ == "__main__":
    main()
