"""Streams of files have the batches, and refuse, what Spark 4.2 does (`scenarios_stream_sources.py`)."""

import pytest
import scenarios_stream_sources
from recorded import check


@pytest.mark.parametrize("name", scenarios_stream_sources.SCENARIOS)
def test_stream_sources(spark, tmp_path, name):
    check("stream_sources", name, scenarios_stream_sources.SCENARIOS[name], spark, tmp_path)
