"""More of the DataFrame API gives what Spark 4.2 gives (`scenarios_frames_more.py`)."""

import pytest
import scenarios_frames_more
from recorded import check


@pytest.mark.parametrize("name", scenarios_frames_more.SCENARIOS)
def test_more_of_data_frames(spark, tmp_path, name):
    check("frames_more", name, scenarios_frames_more.SCENARIOS[name], spark, tmp_path)
