#!/usr/bin/env python3
"""Records what Spark with delta-spark answers to the scenarios of tests/python/scenarios_AREA.py, in tests/recorded/AREA.json.

    pip install 'pyspark[connect]==4.2.*'      # in an environment of its own; and Java 17
    python tools/record_scenarios.py [AREA[:SCENARIO] ...]

The `delta` module comes with the jars. With BOATHOUSE_SPARK_REMOTE set, that Spark Connect server is asked (it has no
DeltaTable API, which is asked of a session in this process).
"""

import importlib
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "python"))

import recorded  # noqa: E402
from delta_spark import SETTINGS  # noqa: E402


def sessions(warehouse):
    """New sessions, one after the other."""
    remote = os.environ.get("BOATHOUSE_SPARK_REMOTE")
    if remote:
        from pyspark.sql.connect.session import SparkSession

        while True:
            session = SparkSession.builder.remote(remote).create()
            SparkSession._active_session.session = session
            yield session
            session.stop()
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[2]").config("spark.sql.warehouse.dir", warehouse)
    for key, value in SETTINGS.items():
        if "Connect" not in value:
            builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    while True:
        yield spark.newSession()


def main(areas):
    here = pathlib.Path(recorded.__file__).parent
    with tempfile.TemporaryDirectory() as warehouse:
        made = sessions(warehouse)
        for file in sorted(here.glob("scenarios_*.py")):
            area = file.stem.removeprefix("scenarios_")
            scenarios = importlib.import_module(file.stem).SCENARIOS
            wanted = [name for name in scenarios if not areas or area in areas or f"{area}:{name}" in areas]
            if not wanted:
                continue
            is_new = not (recorded.ANSWERS / f"{area}.json").exists()
            known = {} if is_new or len(wanted) == len(scenarios) else recorded.recorded(area)
            answers = {name: known.get(name) for name in scenarios if name in known or name in wanted}
            for name in wanted:
                with tempfile.TemporaryDirectory() as directory:
                    try:
                        answers[name] = recorded.told(recorded.answer(scenarios[name], next(made), directory))
                    except Exception as e:
                        print(f"{area}: {name} cannot be recorded: {str(e)[:500]}", file=sys.stderr)
            answers = {name: seen for name, seen in answers.items() if seen is not None}
            recorded.ANSWERS.mkdir(exist_ok=True)
            (recorded.ANSWERS / f"{area}.json").write_text(text(answers))
            print(f"{area}: {len(answers)} scenarios")


def text(answers):
    """JSON with a line for each thing that was noted."""
    entries = []
    for name, seen in answers.items():
        lines = ",\n  ".join(json.dumps(s, ensure_ascii=False) for s in seen)
        entries.append(f"{json.dumps(name)}: [\n  {lines}\n]")
    return "{\n" + ",\n".join(entries) + "\n}\n"


if __name__ == "__main__":
    main(sys.argv[1:])
