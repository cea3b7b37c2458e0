"""Scenarios whose answers were recorded from Spark with delta-spark on the JVM: `tests/recorded/AREA.json`, one answer a scenario.

A scenario is a function that takes a `World` and tells it what to note. `tools/record_scenarios.py` runs the scenarios of an
area there, the test of the area here, and both compare as text.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ANSWERS = ROOT / "tests" / "recorded"
sys.path.insert(0, str(ROOT / "tools"))

from record_sql import error_class, text_of  # noqa: E402


class World:
    """A session, a directory, and what was seen."""

    def __init__(self, spark, directory):
        self.spark, self.directory = spark, pathlib.Path(directory)
        self.t = f"delta.`{self.path('t')}`"
        self.seen = []

    def path(self, name):
        return str(self.directory / name)

    def hidden(self, text):
        """Without what differs from run to run."""
        return re.sub(r"(file:/*)?" + re.escape(str(self.directory)), "DIR", str(text))

    def note(self, what, value):
        self.seen.append([what, json.loads(self.hidden(json.dumps(value, ensure_ascii=False)))])

    def rows(self, frame, what="rows", order=True):
        columns = [f"{f.name}: {f.dataType.simpleString()}" for f in frame.schema.fields]
        rows = ["\t".join(text_of(v) for v in row) for row in frame.collect()]
        self.note(what, {"columns": columns, "rows": sorted(rows) if order else rows})

    def tell(self, frame, what, *columns):
        """Some columns of a frame."""
        self.rows(frame.select(*columns), what)

    def attempt(self, what, action):
        """What an action gives: its frame, nothing, or the class of its error."""
        try:
            result = action()
            if hasattr(result, "collect"):
                self.rows(result, what)
            else:
                self.note(what, None if result is None else text_of(result))
        except Exception as error:
            self.note(what, {"error": error_class(error), "type": type(error).__name__})

    def sql(self, *statements):
        """Statements of preparation: their errors are errors of the scenario."""
        for statement in statements:
            self.spark.sql(self.filled(statement)).collect()

    def ask(self, *statements):
        """Statements whose answer is of interest."""
        for statement in statements:
            self.attempt(statement, lambda s=statement: self.spark.sql(self.filled(s)))

    def filled(self, statement):
        return re.sub(r"\{(\w+)\}", lambda m: f"delta.`{self.path(m.group(1))}`", statement)

    def schema(self, name="t"):
        self.note("schema", self.spark.read.format("delta").load(self.path(name)).schema.jsonValue())

    def table(self, name="t"):
        self.rows(self.spark.read.format("delta").load(self.path(name)), f"table {name}")

    def metrics(self, *keys, name="t"):
        """Figures of the last commit; all that do not measure time or bytes where none are named."""
        entry = self.spark.sql(f"DESCRIBE HISTORY delta.`{self.path(name)}` LIMIT 1").first()
        found = {k: v for k, v in sorted(entry["operationMetrics"].items()) if (k in keys if keys else not re.search("Ms$|Bytes|Size", k))}
        self.note("metrics", {"operation": entry["operation"], "metrics": found})

    def actions(self, name="t", version=None):
        """The actions of a commit, as they are in the log."""
        log = pathlib.Path(self.path(name)) / "_delta_log"
        last = max(log.glob("*.json")) if version is None else log / f"{version:020}.json"
        return [json.loads(line) for line in last.read_text().splitlines()]


def answer(scenario, spark, directory):
    world = World(spark, directory)
    scenario(world)
    return world.seen


def told(seen):
    """What is recorded of it: the type of an exception only where it has no class."""
    return [[what, {"error": value["error"]} if isinstance(value, dict) and "error" in value else value] for what, value in seen]


def recorded(area):
    return json.loads((ANSWERS / f"{area}.json").read_text())


def same(ours, theirs):
    """A failed write of a task has its cause as our class, where Spark wraps it; what has no class there has the same type."""
    if ours[0] != theirs[0] or not (isinstance(ours[1], dict) and "error" in ours[1]):
        return ours == theirs
    return theirs[1] == {"error": "TASK_WRITE_FAILED"} or theirs[1] in ({"error": ours[1]["error"]}, {"error": ours[1]["type"]})


def check(area, name, scenario, spark, directory, known=frozenset()):
    """The scenario gives here what it gave there, but for what is known to differ; of that, what does so no longer fails, too."""
    wanted, got = recorded(area)[name], answer(scenario, spark, directory)
    different = [pair for pair in zip(got, wanted, strict=False) if not same(*pair)]
    found = {ours[0] for ours, _ in different}
    shown = [
        f"  here: {json.dumps(o, ensure_ascii=False)}\n there: {json.dumps(t, ensure_ascii=False)}" for o, t in different if o[0] not in known
    ]
    assert not shown and len(got) == len(wanted), name + "\n" + "\n".join(shown[:8])
    assert known <= found, f"{name}: the same as there now, so no longer known to differ: {sorted(known - found)}"
