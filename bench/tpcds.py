"""TPC-DS over Delta tables against Apache Spark, DuckDB and Sail, side by side in one run. One command:

    make release tpcds && .venv/bin/python bench/tpcds.py --scale 1 --spark PYTHON_WITH_PYSPARK --sail PYTHON_WITH_PYSAIL

Boathouse reads its own Delta tables; the others read the Parquet files of these tables. Before anything is timed, each
answer is compared: with Spark's in names, types, nullability and rows, or with DuckDB's in rows. `--runs 0` compares only.
"""

import argparse
import pathlib
import tempfile

import tpcds_data
import tpch
from engines import Boathouse, DuckDB, Sail, Spark


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scale", type=float, default=0.1)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--spark", help="a Python that has pyspark, to compare with Spark too")
    options.add_argument("--sail", help="a Python that has pysail, to time Sail too")
    options.add_argument("--directory", help="where data and tables are kept for the next run")
    options.add_argument("--queries", help="only these: q01,q18")
    options.add_argument("--threads", type=int, help="DuckDB's threads; all cores where not given")
    options = options.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(options.directory or temporary)
        directory.mkdir(parents=True, exist_ok=True)
        data = tpcds_data.generate(directory / f"tpcds-{options.scale:g}", options.scale)
        wanted = options.queries.split(",") if options.queries else None
        queries = [(name, text) for name, text in tpcds_data.queries(data) if not wanted or name in wanted]
        boathouse = Boathouse(directory / f"tpcds-home-{options.scale:g}", data, tpcds_data.tables(data))
        for key, value in tpcds_data.CONF.items():
            boathouse.spark.conf.set(key, value)
        duckdb = DuckDB(boathouse.directories, options.threads)
        duckdb.connection.execute(tpcds_data.DUCKDB)
        engines = {"boathouse": boathouse, "duckdb": duckdb}
        if options.spark:
            engines["spark"] = Spark(options.spark, boathouse.directories, tpcds_data.CONF)
        if options.sail:
            engines["sail"] = Sail(options.sail, boathouse.directories, tpcds_data.CONF)
        try:
            tpch.check(engines, queries)
            if options.runs:
                tpch.compare(engines, queries, options.runs)
        finally:
            for engine in engines.values():
                engine.stop()


if __name__ == "__main__":
    main()
