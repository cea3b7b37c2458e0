"""TPC-DS: the data and the 99 queries, from DuckDB's extension `tpcds`. Used by the benchmark and by a test.

The extension (PyPI: duckdb-extension-tpcds, MIT) loads into one version of DuckDB only, which need not be the one that is
compared with. Both are in a folder of their own (tests/requirements-tpcds.txt; `make tpcds`), and this file is run as a program with it.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The queries quote names with double quotes.
CONF = {"spark.sql.ansi.enabled": "true", "spark.sql.ansi.doubleQuotedIdentifiers": "true"}
# Spark's order of NULLs, where a query names none.
DUCKDB = "SET default_null_order = 'nulls_first'"


def extension():
    """The folder with the extension and its DuckDB, or None."""
    folder = pathlib.Path(os.environ.get("BOATHOUSE_TPCDS", ROOT / ".venv" / "tpcds"))
    return folder if (folder / "duckdb_extension_tpcds").exists() else None


def generate(directory, scale):
    """One Parquet file a table, in `directory`, and the queries beside them."""
    directory = pathlib.Path(directory)
    if (directory / "queries.json").exists():
        return directory
    folder = extension()
    if folder is None:
        raise SystemExit("the extension `tpcds` is not installed: make tpcds")
    unfinished = directory.with_name(directory.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, __file__, str(unfinished), str(scale)], check=True, env=environment)
    unfinished.rename(directory)
    return directory


def tables(directory):
    return sorted(file.stem for file in pathlib.Path(directory).glob("*.parquet"))


def queries(directory):
    """Name and text of each query. One text serves every engine."""
    found = json.loads((pathlib.Path(directory) / "queries.json").read_text())
    return [(f"q{number:02}", text.strip().rstrip(";")) for number, text in found]


def main(directory, scale):
    import duckdb
    import duckdb_extension_tpcds

    package = pathlib.Path(duckdb_extension_tpcds.__file__).parent
    connection = duckdb.connect()
    connection.execute(f"LOAD '{next(package.rglob('tpcds.duckdb_extension'))}'")
    connection.execute(f"CALL dsdgen(sf = {scale})")
    for (table,) in connection.execute("SHOW TABLES").fetchall():
        connection.execute(f"COPY {table} TO '{directory}/{table}.parquet' (FORMAT parquet)")
    found = connection.execute("SELECT query_nr, query FROM tpcds_queries() ORDER BY query_nr").fetchall()
    (pathlib.Path(directory) / "queries.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
