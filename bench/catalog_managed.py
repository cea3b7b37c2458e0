"""What a commit costs where the catalog manages the table's commits, beside one of a table with the same features: small appends,
in turns. One command:

    make release && .venv/bin/python bench/catalog_managed.py

Both tables have their rows compared before a figure is printed.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "python"))
from conftest import Server

# What the feature brings for new tables, the other has too.
ALIKE = ["enableInCommitTimestamps' = 'true", "enableDeletionVectors' = 'true", "enableRowTracking' = 'true", "checkpointPolicy' = 'v2"]
TABLES = {"normal": ALIKE, "catalog-managed": ["feature.catalogManaged' = 'supported"]}


def seconds(spark, text):
    begin = time.perf_counter()
    spark.sql(text).collect()
    return time.perf_counter() - begin


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--appends", type=int, default=100, help="appends to each table")
    count = options.parse_args().appends
    with tempfile.TemporaryDirectory() as home:
        server = Server(pathlib.Path(home) / "home")
        spark = server.session()
        try:
            compare(spark, count)
        finally:
            spark.stop()
            server.stop()


def compare(spark, count):
    names = {kind: kind.replace("-", "_") for kind in TABLES}
    for kind, properties in TABLES.items():
        listed = ", ".join(f"'delta.{property}'" for property in properties)
        spark.sql(f"CREATE TABLE {names[kind]} (id BIGINT) USING delta TBLPROPERTIES ({listed})")
        spark.sql(f"INSERT INTO {names[kind]} VALUES (-1)")
    times, reads = {kind: [] for kind in TABLES}, {kind: [] for kind in TABLES}
    for i in range(count):
        for kind, name in names.items():
            times[kind].append(seconds(spark, f"INSERT INTO {name} VALUES ({i})"))
            reads[kind].append(seconds(spark, f"DESCRIBE DETAIL {name}"))
    answers = [spark.sql(f"SELECT count(*), sum(id) FROM {name}").first() for name in names.values()]
    if any(tuple(answer) != (count + 1, count * (count - 1) // 2 - 1) for answer in answers):
        raise SystemExit(f"the rows are wrong: {answers}")
    for what, taken in (("append", times), ("opening", reads)):
        normal, managed = (statistics.median(taken[kind]) * 1000 for kind in TABLES)
        print(f"{what:8} normal {normal:7.2f} ms, catalog-managed {managed:7.2f} ms, ratio {managed / normal:5.2f} (medians of {count})", flush=True)


if __name__ == "__main__":
    main()
