"""TPC-H: the data, the 22 queries (bench/tpch/*.sql), and what counts as the same answer. Used by the benchmark and by a test."""

import datetime
import decimal
import math
import pathlib
import shutil
import subprocess
import sys

TABLES = ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"]


def queries():
    """Name and text of each query. One text serves every engine."""
    files = sorted((pathlib.Path(__file__).parent / "tpch").glob("q*.sql"))
    return [(file.stem, file.read_text()) for file in files]


def generate(directory, scale):
    """One Parquet file a table, in `directory`, by the generator of the PyPI package `tpchgen-cli`."""
    directory = pathlib.Path(directory)
    if all((directory / f"{table}.parquet").exists() for table in TABLES):
        return directory
    unfinished = directory.with_name(directory.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    generator = pathlib.Path(sys.executable).parent / "tpchgen-cli"
    command = [str(generator), "parquet", "--scale-factor", str(scale), "--output-dir", str(unfinished), "--quiet"]
    subprocess.run(command, check=True)
    unfinished.rename(directory)
    return directory


def same_answer(got, expected):
    """Whether two lists of rows are equal, in order. Engines differ in the type of averages and quotients, so numbers
    are compared by value, to the scale Spark gives quotients of decimals."""
    return len(got) == len(expected) and all(
        len(g) == len(e) and all(same_value(a, b) for a, b in zip(g, e)) for g, e in zip(got, expected)
    )


def in_one_order(rows):
    """Rows sorted by themselves: where ORDER BY leaves ties, engines choose."""
    return sorted(rows, key=lambda row: [comparable(value) for value in row])


def comparable(value):
    if isinstance(value, (int, float, decimal.Decimal)):
        return (1, round(float(value), 4), "")
    return (0, 0, "") if value is None else (2, 0, str(value))


def same_value(a, b):
    if isinstance(a, (int, float, decimal.Decimal)) and isinstance(b, (int, float, decimal.Decimal)):
        return math.isclose(float(a), float(b), rel_tol=1e-9, abs_tol=2e-6)
    if isinstance(a, datetime.datetime) and not isinstance(b, datetime.datetime):
        return a.date() == b
    return a == b
