"""Settings of writes to Delta tables, as delta-spark takes them (`scenarios_settings.py`)."""

import pytest
import scenarios_settings
from conftest import known_to_differ
from recorded import check

# Where we differ, and why.
DIFFERS = {
    "partition values of timestamps": "the log has them in UTC always: other values mean another moment to each reader's time zone",
}


@pytest.mark.parametrize("name", scenarios_settings.SCENARIOS)
def test_settings(spark, tmp_path, request, name):
    known_to_differ(request, name, DIFFERS)
    check("settings", name, scenarios_settings.SCENARIOS[name], spark, tmp_path)
