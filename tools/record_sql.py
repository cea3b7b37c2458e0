#!/usr/bin/env python3
"""Records what Apache Spark answers to the statements of tests/sql.

    pip install 'pyspark[connect]==4.2.*'      # and Java 17
    python tools/record_sql.py [AREA ...]

Each `tests/sql/AREA.sql` becomes `AREA.jsonl`: one line a statement, with the columns (name, type, nullable) and the rows
as text, or with the class of the error. The functions here are the ones `tests/python/test_sql_files.py` replays with.
"""

import json
import logging
import math
import os
import pathlib
import re
import sys
import time

SQL = pathlib.Path(__file__).resolve().parent.parent / "tests" / "sql"
ZONE = "America/Los_Angeles"
CONF = {"spark.sql.session.timeZone": ZONE, "spark.sql.ansi.enabled": "true"}


def statements(path):
    """The statements of a file: each ends with a semicolon at the end of a line; lines of `--` are comments. A script goes
    from a line `BEGIN` to the next line that begins with `END`."""
    found, part, in_script = [], [], False
    for line in path.read_text().splitlines():
        if line.startswith("--"):
            continue
        in_script = (in_script or (line == "BEGIN" and not any(part))) and not line.startswith("END")
        part.append(line)
        if line.rstrip().endswith(";") and not in_script:
            found.append("\n".join(part).rstrip().removesuffix(";").strip())
            part = []
    found.append("\n".join(part).strip())
    return [statement for statement in found if statement]


def text_of(value):
    """A value as text: the same for every client."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        return repr(value + 0.0)
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{text_of(k)}: {text_of(v)}" for k, v in value.items())) + "}"
    if hasattr(value, "getBytes") and hasattr(value, "getSrid"):
        return f"{type(value).__name__}({text_of(value.getBytes())}, {value.getSrid()})"
    if hasattr(value, "asDict"):
        return "(" + ", ".join(f"{k}={text_of(v)}" for k, v in zip(value.__fields__, value, strict=True)) + ")"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text_of(v) for v in value) + "]"
    return str(value)


def error_class(error):
    for name in ("getCondition", "getErrorClass"):
        try:
            found = getattr(error, name)()
            if found:
                return found
        except Exception:
            continue
    found = re.search(r"\[([A-Z][A-Z0-9_.]+)\]", str(error))
    return found.group(1) if found else type(error).__name__


def is_ordered(sql):
    """Whether the statement says how its rows are ordered: an ORDER BY outside of parentheses and texts."""
    rest = re.sub(r"'(?:[^'\\]|\\.)*'", "''", sql)
    inner = re.compile(r"\([^()]*\)")
    while inner.search(rest):
        rest = inner.sub("", rest)
    return re.search(r"\bORDER\s+BY\b", rest, re.IGNORECASE) is not None


def answer(spark, sql):
    """What the server says to a statement."""
    try:
        frame = spark.sql(sql)
        columns = [[f.name, f.dataType.simpleString(), f.nullable] for f in frame.schema.fields]
        rows = ["\t".join(text_of(v) for v in row) for row in frame.collect()]
    except Exception as error:
        return {"sql": sql, "error": error_class(error)}
    return {"sql": sql, "columns": columns, "rows": rows if is_ordered(sql) else sorted(rows)}


# What these give depends in its last digits on the order in which rows are added up, and so on how they are divided.
SUMS = re.compile(
    r"\b(corr|covar_pop|covar_samp|kurtosis|regr_\w+|skewness|std|stddev|stddev_pop|stddev_samp|var_pop|var_samp|variance)\(",
    re.IGNORECASE,
)


def equal(want, got):
    """Whether an answer is the recorded one; doubles in statements with such functions, to 12 digits."""
    if got == want:
        return True
    if "error" in want or "error" in got or not SUMS.search(want["sql"]):
        return False
    same_shape = want["columns"] == got["columns"] and len(want["rows"]) == len(got["rows"])
    return same_shape and all(equal_rows(want["columns"], *rows) for rows in zip(want["rows"], got["rows"], strict=True))


def equal_rows(columns, want, got):
    want, got = want.split("\t"), got.split("\t")
    if not len(columns) == len(want) == len(got):
        return want == got
    return all(w == g or (type_name == "double" and close(w, g)) for (_, type_name, _), w, g in zip(columns, want, got, strict=True))


def close(want, got):
    try:
        return math.isclose(float(want), float(got), rel_tol=1e-12, abs_tol=1e-12)
    except ValueError:
        return False


def local_time():
    os.environ["TZ"] = ZONE
    time.tzset()


def main(areas):
    from pyspark.sql import SparkSession

    local_time()
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    for path in sorted(SQL.glob("*.sql")):
        if areas and path.stem not in areas:
            continue
        session = spark.newSession()
        for key, value in CONF.items():
            session.conf.set(key, value)
        answers = [answer(session, sql) for sql in statements(path)]
        path.with_suffix(".jsonl").write_text("".join(json.dumps(a, ensure_ascii=False) + "\n" for a in answers))
        print(f"{path.stem}: {len(answers)} statements, {sum('error' in a for a in answers)} errors")
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
