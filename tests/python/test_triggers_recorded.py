"""Continuous and real-time triggers allow and refuse what Spark 4.2 does (`scenarios_triggers.py`)."""

import pytest
import scenarios_triggers
from recorded import check


@pytest.mark.parametrize("name", scenarios_triggers.SCENARIOS)
def test_triggers(spark, tmp_path, name):
    check("triggers", name, scenarios_triggers.SCENARIOS[name], spark, tmp_path)
