#!/usr/bin/env python3
"""Writes crates/spec/src/error_classes.tsv: Spark's error classes and their SQLSTATEs, read from an installed PySpark;
with a second argument also delta_error_classes.tsv, those of a released delta-spark.

    python tools/error_classes.py VENV/lib/python3.11/site-packages/pyspark [delta-spark_2.13-4.2.0.jar]
"""
import json
import pathlib
import sys
import zipfile

pyspark = pathlib.Path(sys.argv[1])
out = pathlib.Path(__file__).parent.parent / "crates/spec/src/error_classes.tsv"
classes = {}
for jar in sorted((pyspark / "jars").glob("spark-common-utils*.jar")):
    with zipfile.ZipFile(jar) as z:
        if "error/error-conditions.json" in z.namelist():
            classes = json.loads(z.read("error/error-conditions.json"))
if not classes:
    sys.exit("no error/error-conditions.json in " + str(pyspark / "jars"))
rows = sorted((name, c["sqlState"]) for name, c in classes.items() if c.get("sqlState"))
out.write_text("".join(f"{name}\t{state}\n" for name, state in rows))
print(f"{len(rows)} classes written to {out}")

if len(sys.argv) > 2:
    known = {row.split("\t")[0] for row in out.read_text().splitlines()}
    with zipfile.ZipFile(sys.argv[2]) as z:
        classes = json.loads(z.read("error/delta-error-classes.json"))
    rows = sorted((n, c["sqlState"]) for n, c in classes.items() if c.get("sqlState") and n not in known)
    rows = [(n, s) for n, s in rows if not n.startswith("_")]
    delta = out.with_name("delta_error_classes.tsv")
    delta.write_text("".join(f"{name}\t{state}\n" for name, state in rows))
    print(f"{len(rows)} classes written to {delta}")
