"""Runs a script or a notebook with `spark`, `dbutils` and `display` predefined: `python -m boathouse_runtime.run FILE [ARGS]`."""

import builtins
import json
import pathlib
import re
import runpy
import sys
import traceback


def main():
    file = pathlib.Path(sys.argv[1])
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(file.resolve().parent))
    names = predefined()
    try:
        cells = notebook_cells(file)
        if cells is None:
            # A script sees the names as if they were built in: it may define its own.
            for name, value in names.items():
                setattr(builtins, name, value)
            runpy.run_path(str(file), run_name="__main__")
        else:
            run_cells(cells, {"__name__": "__main__", "__file__": str(file), **names}, file)
    except SystemExit:
        raise
    except BaseException:
        kind, error, trace = sys.exc_info()
        print_user_trace(kind, error, trace)
        sys.exit(1)
    finally:
        stop(names)


def predefined():
    from pyspark.sql import SparkSession

    from dbruntime import DBUtils, display

    spark = SparkSession.builder.getOrCreate()
    return {"spark": spark, "dbutils": DBUtils(spark), "display": display}


def stop(names):
    try:
        names["spark"].stop()
    except Exception:
        pass  # the server may be gone: the work is done either way


def print_user_trace(kind, error, trace):
    """The traceback from the user's first line on."""
    while trace and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__, "<frozen runpy>"):
        trace = trace.tb_next
    traceback.print_exception(kind, error, trace)


def notebook_cells(file):
    """The cells of a notebook as (language, source), or None for a plain script."""
    if file.suffix == ".ipynb":
        notebook = json.loads(file.read_text(encoding="utf-8"))
        cells = []
        for cell in notebook.get("cells", []):
            if cell.get("cell_type") == "code":
                cells.append(with_magic("".join(cell.get("source", []))))
        return cells
    text = file.read_text(encoding="utf-8")
    if not text.startswith("# Databricks notebook source"):
        return None
    cells = []
    for source in re.split(r"^# COMMAND -+.*$", text.split("\n", 1)[1] if "\n" in text else "", flags=re.M):
        magic = re.findall(r"^# MAGIC ?(.*)$", source, flags=re.M)
        cells.append(with_magic("\n".join(magic)) if magic else ("python", source))
    return cells


def with_magic(source):
    """A cell's language and source: `%sql`, `%md`, `%python` and `%run` on its first line."""
    found = re.match(r"\s*%(\w+)[ \t]*(.*)", source, flags=re.S)
    if not found:
        return "python", source
    return found.group(1), found.group(2)


def run_cells(cells, names, file, sql=None):
    """Runs the cells of a notebook. `sql` takes the text of an SQL cell; without it the statements run and are shown."""
    for number, (language, source) in enumerate(cells, 1):
        if not source.strip() or language == "md":
            continue
        if language == "python":
            exec(compile(source, f"{file.name} [cell {number}]", "exec"), names)
        elif language == "sql" and sql is not None:
            sql(source)
        elif language == "sql":
            for statement in split_statements(source):
                names["_sqldf"] = names["spark"].sql(statement)
                names["display"](names["_sqldf"])
        elif language == "run":
            other = (file.parent / source.strip().strip("\"'")).with_suffix(".py")
            run_cells(notebook_cells(other) or [("python", other.read_text(encoding="utf-8"))], names, other, sql)
        else:
            raise NotImplementedError(f"cell {number} of {file.name} is %{language}: only %python, %sql, %md and %run run here")


def split_statements(text):
    """Statements of a cell, split at semicolons outside of quotes and comments."""
    out, current, quote, i = [], [], None, 0
    while i < len(text):
        c = text[i]
        if quote:
            current.append(c)
            if c == "\\" and quote != "`" and i + 1 < len(text):
                current.append(text[i + 1])
                i += 1
            elif c == quote:
                quote = None
        elif c in "'\"`":
            quote = c
            current.append(c)
        elif text.startswith("--", i):
            while i < len(text) and text[i] != "\n":
                i += 1
            continue
        elif text.startswith("/*", i):
            end = text.find("*/", i + 2)
            i = len(text) if end < 0 else end + 2
            continue
        elif c == ";":
            out.append("".join(current))
            current = []
        else:
            current.append(c)
        i += 1
    out.append("".join(current))
    return [s.strip() for s in out if s.strip()]


if __name__ == "__main__":
    main()
