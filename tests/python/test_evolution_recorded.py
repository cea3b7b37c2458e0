"""What INSERT and appends add to a table inside of structs, arrays and maps, as delta-spark does it (`scenarios_evolution.py`)."""

import pytest
import scenarios_evolution
from recorded import check


@pytest.mark.parametrize("name", scenarios_evolution.SCENARIOS)
def test_evolution(spark, tmp_path, name):
    check("evolution", name, scenarios_evolution.SCENARIOS[name], spark, tmp_path)
