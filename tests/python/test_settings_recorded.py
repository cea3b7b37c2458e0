"""Settings of writes to Delta tables, as delta-spark takes them (`scenarios_settings.py`)."""

import pytest
import scenarios_settings
from recorded import check


@pytest.mark.parametrize("name", scenarios_settings.SCENARIOS)
def test_settings(spark, tmp_path, name):
    check("settings", name, scenarios_settings.SCENARIOS[name], spark, tmp_path)
