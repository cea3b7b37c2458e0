"""Every operator in every output mode gives, or refuses, what Spark 4.2 does (`scenarios_modes.py`)."""

import pytest
import scenarios_modes
from recorded import check


@pytest.mark.parametrize("name", scenarios_modes.SCENARIOS)
def test_modes(spark, tmp_path, name):
    check("modes", name, scenarios_modes.SCENARIOS[name], spark, tmp_path)
