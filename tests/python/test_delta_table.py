"""`DeltaTable` of the released delta-spark, every method, against what delta-spark on the JVM answered (`scenarios_delta_table.py`)."""

import pytest
import scenarios_delta_table
from recorded import check

# Where we differ, and why.
DIFFERS = {
    "clone": "a clone to a place that has a table already is refused as DELTA_TABLE_ALREADY_EXISTS",
    "replace": "a clustered table may be replaced by a partitioned one",
    "upgrade protocol": "features that are all of a version stay features, where delta-spark writes the version",
}


def test_every_method_has_a_scenario():
    """A method that a new wheel brings needs a test here."""
    assert scenarios_delta_table.public_methods() == scenarios_delta_table.COVERED.keys()


@pytest.mark.parametrize("name", scenarios_delta_table.SCENARIOS)
def test_delta_table(spark, tmp_path, request, name):
    if name in DIFFERS:
        request.applymarker(pytest.mark.xfail(reason=DIFFERS[name], strict=True))
    check("delta_table", name, scenarios_delta_table.SCENARIOS[name], spark, tmp_path)
