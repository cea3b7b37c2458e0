"""Columns and fields inside of them that are named, made NOT NULL and made longer, as delta-spark does it (`scenarios_columns.py`)."""

import pytest
import scenarios_columns
from recorded import check


@pytest.mark.parametrize("name", scenarios_columns.SCENARIOS)
def test_columns(spark, tmp_path, name):
    check("columns", name, scenarios_columns.SCENARIOS[name], spark, tmp_path)
