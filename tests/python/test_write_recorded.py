"""What is written and committed, as delta-spark does it (`scenarios_write.py`)."""

import pytest
import scenarios_write
from conftest import known_to_differ
from recorded import check

# Where we differ, and why.
DIFFERS = {
    "a codec of the table": "delta.parquet.compression.codec is a table property of Databricks, and of ours; delta-spark does not know it",
}


@pytest.mark.parametrize("name", scenarios_write.SCENARIOS)
def test_write(spark, tmp_path, request, name):
    known_to_differ(request, name, DIFFERS)
    check("write", name, scenarios_write.SCENARIOS[name], spark, tmp_path)
