#!/usr/bin/env python3
"""Records the facts that Apache Spark tells of its functions (not its words), and writes what is made of them.

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


def described(lines):
    """The facts in the lines of DESCRIBE FUNCTION EXTENDED: the class, how the function is written, and since when there is one."""
    of = {line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in lines}
    name = of["Function"]
    # A form stands before its description; descriptions that are lists do not have the name.
    form = re.compile(rf"(.*?{re.escape(name)}.*?)\s+-\s", re.I)
    forms = [found[1].strip() for line in of["Usage"].split("\n") if (found := form.match(line))]
    since = re.search(r"Since: (\S+)", of["Extended Usage"])
    return {"name": name, "class": of.get("Class"), "forms": forms, "since": since and since[1]}


def families(spark):
    infos = spark._jvm.org.apache.spark.sql.api.python.PythonSQLUtils.listBuiltinFunctionInfos()
    return {info.getName(): info.getGroup() for info in infos}


def cell(text):
    return text.replace("|", "\\|")


def page(documented, family_of):
    parts = [
        "# Functions\n",
        "Spark's built-in functions, how they are written, and whether they are here. Types, nullability, names of columns and errors are Spark's.",
        "Made by `tools/record_functions.py` from what Spark 4.2 says of its functions; a test holds it against the server. A function is one file",
        "of `crates/functions/src`, found by its family.\n",
    ]
    by_family = {}
    for function in documented:
        by_family.setdefault(FAMILIES.get(family_of.get(function["name"]) or "operator", "Various"), []).append(function)
    for family in sorted(by_family):
        parts.append(f"## {family}\n\n| function | here | written |\n|---|---|---|")
        for function in by_family[family]:
            here = "no" if function["name"] in MISSING else "yes"
            forms = ", ".join(f"`{cell(form)}`" for form in function["forms"])
            parts.append(f"| `{cell(function['name'])}` | {here} | {forms} |")
        parts.append("")
    return "\n".join(parts)


def main():
    from pyspark.sql import SparkSession

    record_sql.local_time()
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    names = [row[0] for row in spark.sql("SHOW SYSTEM FUNCTIONS").collect()]
    shown = [[row[0] for row in spark.sql(f"DESCRIBE FUNCTION EXTENDED `{name}`").collect()] for name in names]
    documented = [described(lines) for lines in shown]
    family_of = families(spark)
    spark.stop()
    DOCUMENTATION.write_text("".join(json.dumps(function, ensure_ascii=False) + "\n" for function in documented))
    PAGE.write_text(page(documented, family_of))
    print(f"{len(names)} functions")


if __name__ == "__main__":
    main()
