"""`DeltaTable` of the released delta-spark, every method, against what delta-spark on the JVM answered (`scenarios_delta_table.py`)."""

import pytest
import scenarios_delta_table
from recorded import check


def test_every_method_has_a_scenario():
    """A method that a new wheel brings needs a test here."""
    assert scenarios_delta_table.public_methods() == scenarios_delta_table.COVERED.keys()


@pytest.mark.parametrize("name", scenarios_delta_table.SCENARIOS)
def test_delta_table(spark, tmp_path, name):
    check("delta_table", name, scenarios_delta_table.SCENARIOS[name], spark, tmp_path)
