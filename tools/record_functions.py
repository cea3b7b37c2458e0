#!/usr/bin/env python3
"""Records what Apache Spark says of its functions, and writes what is made of it.

    pip install 'pyspark==4.2.*'      # and Java 17
    python tools/record_functions.py

- `crates/functions/src/documentation.jsonl`: what DESCRIBE FUNCTION shows.
- `docs/functions.md`: the functions by family, and which of them are here.
"""

import json
import pathlib
import re

import record_sql

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTATION = ROOT / "crates/functions/src/documentation.jsonl"
PAGE = ROOT / "docs/functions.md"

# What is not here (docs/limitations.md).
MISSING = {
    "from_avro", "from_protobuf", "java_method", "measure", "python_worker_logs", "reflect", "schema_of_avro", "to_avro", "to_protobuf", "try_reflect",
}  # fmt: skip
FAMILIES = {
    "agg_funcs": "Aggregates", "array_funcs": "Arrays", "avro_funcs": "Avro", "bitwise_funcs": "Bits", "collection_funcs": "Collections",
    "conditional_funcs": "Conditions", "conversion_funcs": "Conversions", "csv_funcs": "CSV", "datetime_funcs": "Dates and times",
    "generator_funcs": "Generators", "hash_funcs": "Hashes", "json_funcs": "JSON", "lambda_funcs": "Higher-order functions", "map_funcs": "Maps",
    "math_funcs": "Numbers", "misc_funcs": "Various", "operator": "Operators", "predicate_funcs": "Predicates", "protobuf_funcs": "Protobuf",
    "sketch_funcs": "Sketches", "st_funcs": "Geospatial functions", "string_funcs": "Strings", "struct_funcs": "Structs", "table_funcs": "Table functions",
    "url_funcs": "URLs", "variant_funcs": "Variants", "vector_funcs": "Vectors", "window_funcs": "Windows", "xml_funcs": "XML",
}  # fmt: skip


def described(spark, name):
    """The lines of DESCRIBE FUNCTION EXTENDED: function, class, usage, extended usage."""
    return [row[0] for row in spark.sql(f"DESCRIBE FUNCTION EXTENDED `{name}`").collect()]


def families(spark):
    infos = spark._jvm.org.apache.spark.sql.api.python.PythonSQLUtils.listBuiltinFunctionInfos()
    return {info.getName(): info.getGroup() for info in infos}


def first_sentence(lines):
    usage = next(line for line in lines if line.startswith("Usage: ")).removeprefix("Usage: ").strip()
    text = re.sub(r"\s+", " ", usage)
    what = text.split(" - ", 1)[-1]
    return re.split(r"(?<=[.])\s", what)[0]


def page(names, documented, family_of):
    parts = [
        "# Functions\n",
        "Spark's built-in functions, and whether they are here. Types, nullability, names of columns and errors are Spark's; `DESCRIBE FUNCTION EXTENDED",
        "name` shows arguments and examples. Made by `tools/record_functions.py` from what Spark 4.2 says of its functions; a test holds it",
        "against the server. A function is one file of `crates/functions/src`, found by its family.\n",
    ]
    by_family = {}
    for name in names:
        by_family.setdefault(FAMILIES.get(family_of.get(name) or "operator", "Various"), []).append(name)
    for family in sorted(by_family):
        parts.append(f"## {family}\n\n| function | here | |\n|---|---|---|")
        for name in by_family[family]:
            here = "no" if name in MISSING else "yes"
            text = first_sentence(documented[name]).replace("|", "\\|")
            parts.append(f"| `{name}` | {here} | {text} |".replace("`|", "`\\|") if "|" in name else f"| `{name}` | {here} | {text} |")
        parts.append("")
    return "\n".join(parts)


def main():
    from pyspark.sql import SparkSession

    record_sql.local_time()
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    names = [row[0] for row in spark.sql("SHOW SYSTEM FUNCTIONS").collect()]
    documented = {name: described(spark, name) for name in names}
    family_of = families(spark)
    spark.stop()
    lines = [json.dumps({"name": n, "lines": documented[n]}, ensure_ascii=False) for n in names]
    DOCUMENTATION.write_text("\n".join(lines) + "\n")
    PAGE.write_text(page(names, documented, family_of))
    print(f"{len(names)} functions")


if __name__ == "__main__":
    main()
