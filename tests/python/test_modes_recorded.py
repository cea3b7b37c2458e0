"""Every operator in every output mode gives, or refuses, what Spark 4.2 does (`scenarios_modes.py`)."""

import pytest
import scenarios_modes
from conftest import known_to_differ
from recorded import check

DIFFERS = {
    "except of an aggregation": "the groups are distinct already, for which Spark keeps no second state: the rows are the same, a progress report has two operators",
}


@pytest.mark.parametrize("name", scenarios_modes.SCENARIOS)
def test_modes(spark, tmp_path, name, request):
    known_to_differ(request, name, DIFFERS)
    check("modes", name, scenarios_modes.SCENARIOS[name], spark, tmp_path)
