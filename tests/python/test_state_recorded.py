"""State read as tables is what Spark 4.2 reads from the checkpoints of the same streams (`scenarios_state.py`)."""

import ast
import re

import pytest
import scenarios_state
from conftest import known_to_differ
from recorded import ROOT, World, check

DIFFERS = {
    "what is remembered of lists": "Spark has bytes in a form of its own (and words of registers), we have lists and bytes in ours",
}


@pytest.mark.parametrize("name", scenarios_state.SCENARIOS)
def test_state(spark, tmp_path, name, request):
    known_to_differ(request, name, DIFFERS)
    check("state", name, scenarios_state.SCENARIOS[name], spark, tmp_path)


def test_the_page(spark, tmp_path):
    """The code of docs/streaming.md, over streams whose checkpoints have what it asks for."""
    world = World(spark, tmp_path)
    for name, build in {"hourly": two_operators, "matches": matches}.items():
        inner = World(spark, tmp_path / name)
        inner.directory.mkdir()
        stream = scenarios_state.stream_of(inner)
        stream.start(build(stream))
        (inner.directory / "b").mkdir(exist_ok=True)
        for n in range(4):
            stream.put("a", scenarios_state.row(n, 30 * n))
            stream.put("b", {"id": n, "at2": scenarios_state.minute(30 * n), "r": "r"})
            stream.run()
    text = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "streaming.md").read_text(), re.M | re.S)
    # Permanent streams: test_permanent_streams.py.
    text = [block for block in text if '"permanent"' not in block]
    code = re.sub(r'"/checkpoints/(\w+)"', lambda m: repr(world.path(f"{m.group(1)}/checkpoint")), "\n".join(text))
    shown = []
    for statement in ast.parse(code).body:
        assert isinstance(statement, ast.Expr)
        shown.append(eval(compile(ast.Expression(statement.value), "docs/streaming.md", "eval"), {"spark": spark}).collect())
    assert len(shown) == 5 and all(shown)


def two_operators(stream):
    timed = stream.source("a", scenarios_state.LEFT).withWatermark("at", "10 minutes").dropDuplicates(["id", "at"])
    return timed.selectExpr("window(at, '1 hour') AS w").groupBy("w").count().selectExpr("w.start", "count")


def matches(stream):
    return scenarios_state.joined(stream, *scenarios_state.sides(stream), scenarios_state.RANGE, "inner")
