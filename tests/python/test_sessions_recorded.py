"""Session windows give, round by round, what Spark 4.2 gives (`scenarios_sessions.py`)."""

import pytest
import scenarios_sessions
from recorded import check


@pytest.mark.parametrize("name", scenarios_sessions.SCENARIOS)
def test_sessions(spark, tmp_path, name):
    check("sessions", name, scenarios_sessions.SCENARIOS[name], spark, tmp_path)
