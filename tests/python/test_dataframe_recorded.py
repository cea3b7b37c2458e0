"""The DataFrame API gives what Spark 4.2 gives (`scenarios_dataframe.py`), but for what is listed here."""

import pytest
import scenarios_dataframe
from recorded import check

# Known defects, with their reasons in docs/limitations.md ("DataFrame API").
KNOWN = {
    # Other classes and parameters of errors, which Spark's Connect planner gives.
    "rows that stay": {"without_duplicates_wrong"},
    "errors say where": {"an unknown table", "an overflow", "a group"},
    # Structs are united by the names of their fields in Spark.
    "unions": {"by_name_wrong", "by_name_structs", "by_name_structs_wrong"},
    # `count("*")` beside PIVOT, and a view named `a.b`, which Spark takes.
    "groups": {"pivot_values"},
    "views": {"a bad name"},
    # Names of frames with negative bounds, and a frame that ends before it begins.
    "windows": {"ranges", "frame_wrong"},
    "more of groups and windows": {"around", "rows_around"},
    # Spark's optimizer takes elements and values out of `array(..)` and `map(..)` without making these.
    "columns": {"struct_fields", "item_beyond"},
    "more of columns": {"fields"},
    # `show` of a row a column ends with a line feed here.
    "numbers of a frame": {"tree"},
}


@pytest.mark.parametrize("name", scenarios_dataframe.SCENARIOS)
def test_data_frames(spark, tmp_path, name):
    known = frozenset(KNOWN.get(name, ()))
    check("dataframe", name, scenarios_dataframe.SCENARIOS[name], spark, tmp_path, known)
