"""TPC-H over Delta tables against DuckDB, Apache Spark and Sail, side by side in one run. One command:

    make release && .venv/bin/python bench/tpch.py --scale 1 --spark PYTHON_WITH_PYSPARK --sail PYTHON_WITH_PYSAIL

Boathouse reads its own Delta tables (or, `--over parquet`, their files); the others read the Parquet files of these tables. Each
answer is compared with DuckDB's and Spark's before anything is timed (`--runs 0` does no more). A query's time is the best of
several runs, the engines by turns; what is printed is how many times faster Boathouse is.
"""

import argparse
import math
import pathlib
import tempfile

import tpch_data
from engines import Boathouse, DuckDB, Sail, Spark, seconds


def main():
    options = arguments(__doc__, scale=1, runs=5).parse_args()
    wanted = options.queries.split(",") if options.queries else None
    queries = [(name, text) for name, text in tpch_data.queries() if not wanted or name in wanted]

    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(options.directory or temporary)
        directory.mkdir(parents=True, exist_ok=True)
        data = tpch_data.generate(directory / f"data-{options.scale:g}", options.scale)
        boathouse = Boathouse(directory / f"home-{options.scale:g}", data, over=options.over)
        if options.files:
            boathouse.spark.conf.set("spark.databricks.io.cache.enabled", "false")
        engines = {"boathouse": boathouse, "duckdb": DuckDB(boathouse.directories, options.threads)}
        if options.spark:
            engines["spark"] = Spark(options.spark, boathouse.directories)
        if options.sail:
            engines["sail"] = Sail(options.sail, boathouse.directories)
        try:
            check(engines, queries)
            if options.runs:
                compare(engines, queries, options.runs)
        finally:
            for engine in engines.values():
                engine.stop()


def arguments(description, scale, runs):
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scale", type=float, default=scale)
    options.add_argument("--runs", type=int, default=runs)
    options.add_argument("--spark", help="a Python that has pyspark, to compare with Spark too")
    options.add_argument("--sail", help="a Python that has pysail, to time Sail too")
    options.add_argument("--over", choices=["delta", "parquet"], default="delta", help="what Boathouse reads")
    options.add_argument("--directory", help="where data and tables are kept for the next run")
    options.add_argument("--queries", help="only these: q01,q18")
    options.add_argument("--files", action="store_true", help="nothing from memory: every query decodes the files")
    options.add_argument("--threads", type=int, help="DuckDB's threads; all cores where not given")
    return options


def check(engines, queries):
    """Each answer: as Spark's in names, types, nullability and rows; without Spark, as DuckDB's in rows. DuckDB's averages of
    decimals are floating-point numbers, so that it may round and order otherwise than Spark. Rows that ORDER BY does not tell
    apart come in any order."""
    boathouse, differ, others, ties, empty = engines["boathouse"], [], [], [], 0
    for name, text in queries:
        frame = boathouse.spark.sql(text)
        columns = [(f.name, f.dataType.simpleString(), f.nullable) for f in frame.schema.fields]
        rows = [tuple(row) for row in frame.collect()]
        empty += not rows
        if "spark" in engines:
            expected = engines["spark"].answer(text)
            if not same_as_spark(columns, rows, expected):
                names, theirs = expected
                equal = same_as_spark(columns, tpch_data.in_one_order(rows), (names, tpch_data.in_one_order(theirs)))
                (ties if equal else differ).append(f"{name} from Spark")
        theirs = engines["duckdb"].run(text)
        if not tpch_data.same_answer(rows, theirs):
            if "spark" in engines:
                others.append(name)
            else:
                equal = tpch_data.same_answer(tpch_data.in_one_order(rows), tpch_data.in_one_order(theirs))
                (ties if equal else differ).append(f"{name} from DuckDB")
    if differ:
        raise SystemExit("other answers: " + ", ".join(differ))
    oracle = "Spark" if "spark" in engines else "DuckDB"
    print(f"{len(queries)} answers equal {oracle}'s")
    if ties:
        print(f"with ties in another order than {oracle}'s: " + ", ".join(name.split()[0] for name in ties))
    if others:
        print("Spark's and ours differ from DuckDB's: " + ", ".join(others))
    print(f"{empty} answers have no rows at this scale\n" if empty else "")


def same_as_spark(columns, rows, expected):
    """Rows in Spark's order, and values of Spark's types."""
    return columns == expected[0] and len(rows) == len(expected[1]) and all(
        type(a) is type(b) and tpch_data.same_value(a, b)
        for got, want in zip(rows, expected[1], strict=True)
        for a, b in zip(got, want, strict=True)
    )


def compare(engines, queries, runs):
    others = [name for name in engines if name != "boathouse"]
    print("query  boathouse" + "".join(f"  {name:>9}  ratio" for name in others))
    times = {name: [] for name in engines}
    for query, text in queries:
        best = dict.fromkeys(engines, math.inf)
        for _ in range(runs):
            for name, engine in engines.items():
                best[name] = min(best[name], measured(name, engine, text))
        for name in engines:
            times[name].append(best[name])
        print(f"{query:5}  {best['boathouse'] * 1e3:6.0f} ms" + "".join(beside(best, name) for name in others), flush=True)
    for name in others:
        # Queries that another engine cannot run count for neither.
        pairs = [(ours, theirs) for ours, theirs in zip(times["boathouse"], times[name], strict=True) if theirs < math.inf]
        ours, theirs = (sum(column) for column in zip(*pairs, strict=True))
        mean = math.exp(sum(math.log(theirs / ours) for ours, theirs in pairs) / len(pairs))
        print(
            f"{len(pairs)} queries: {ours:.2f} s, {name} {theirs:.2f} s: {theirs / ours:.2f} times, "
            f"geometric mean {mean:.2f} times"
        )


def measured(name, engine, text):
    try:
        return seconds(engine, text)
    except Exception:
        if name == "boathouse":
            raise
        return math.inf


def beside(best, name):
    if best[name] == math.inf:
        return f"  {'fails':>9}       "
    return f"  {best[name] * 1e3:6.0f} ms  {best[name] / best['boathouse']:5.2f}"


if __name__ == "__main__":
    main()
