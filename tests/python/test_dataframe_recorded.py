"""The DataFrame API gives what Spark 4.2 gives (`scenarios_dataframe.py`), but for what is listed here."""

import pytest
import scenarios_dataframe
from recorded import check

# Known defects, with their reasons in docs/limitations.md ("DataFrame API").
KNOWN = {
    # Where a query aggregates without GROUP BY, Spark's error has the whole query as its context.
    "errors say where": {"a group"},
    # Spark's optimizer takes elements and values out of `array(..)` and `map(..)` without making these.
    "columns": {"item_beyond"},
    "more of columns": {"fields"},
}


@pytest.mark.parametrize("name", scenarios_dataframe.SCENARIOS)
def test_data_frames(spark, tmp_path, name):
    known = frozenset(KNOWN.get(name, ()))
    check("dataframe", name, scenarios_dataframe.SCENARIOS[name], spark, tmp_path, known)
