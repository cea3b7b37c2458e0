"""Stateful streams give, round by round, what Spark 4.2 gives (`scenarios_streams.py`)."""

import pytest
import scenarios_streams
from recorded import answer, check, recorded

# Spark finds keys in state by their bytes, so that NULL meets NULL there; SQL and Spark's own joins of tables say it does not.
WITHOUT_KEY = "an outer join of rows without key"


@pytest.mark.parametrize("name", [name for name in scenarios_streams.SCENARIOS if name != WITHOUT_KEY])
def test_stream(spark, tmp_path, name):
    check("streams", name, scenarios_streams.SCENARIOS[name], spark, tmp_path)


def test_null_meets_nothing(spark, tmp_path):
    """What differs from Spark: the rows without key come out alone, when they can meet no more. All else is the same."""
    got = answer(scenarios_streams.SCENARIOS[WITHOUT_KEY], spark, tmp_path)
    day = "2026-01-01 "
    left, right = f"None\t{day}00:02:00\tn\tNone\tNone\tNone", f"None\tNone\tNone\tNone\t{day}00:03:00\tn"
    rows = [
        [],
        [f"1\t{day}00:02:00\ta\tNone\tNone\tNone", f"2\t{day}01:40:00\tb\t2\t{day}01:40:00\tx", left, right],
        [f"2\t{day}05:00:00\tc\t2\t{day}05:00:00\ty"],
    ]
    assert [value for what, value in got if what == "rows"] == rows
    others = [[note for note in notes if note[0] != "rows"] for notes in (got, recorded("streams")[WITHOUT_KEY])]
    assert others[0] == others[1]
