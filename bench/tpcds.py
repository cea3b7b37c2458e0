"""TPC-DS over Delta tables against Apache Spark, DuckDB and Sail, side by side in one run. One command:

    make release tpcds && .venv/bin/python bench/tpcds.py --scale 1 --spark PYTHON_WITH_PYSPARK --sail PYTHON_WITH_PYSAIL

Boathouse reads its own Delta tables (or, `--over parquet`, their files); the others read the Parquet files of these tables. Before anything is timed, each
answer is compared: with Spark's in names, types, nullability and rows, or with DuckDB's in rows. `--runs 0` compares only.
"""

import pathlib
import tempfile

import tpcds_data
import tpch
from engines import Boathouse, DuckDB, Sail, Spark


def main():
    options = tpch.arguments(__doc__, scale=0.1, runs=3).parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(options.directory or temporary)
        directory.mkdir(parents=True, exist_ok=True)
        data = tpcds_data.generate(directory / f"tpcds-{options.scale:g}", options.scale)
        wanted = options.queries.split(",") if options.queries else None
        queries = [(name, text) for name, text in tpcds_data.queries(data) if not wanted or name in wanted]
        home = directory / f"tpcds-home-{options.scale:g}"
        boathouse = Boathouse(home, data, tpcds_data.tables(data), over=options.over)
        if options.files:
            boathouse.spark.conf.set("spark.databricks.io.cache.enabled", "false")
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
