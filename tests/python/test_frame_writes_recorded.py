"""`mergeInto` and `writeTo` of DataFrames do what they do with delta-spark (`scenarios_frame_writes.py`), but for what is listed here."""

import pytest
import scenarios_frame_writes
from recorded import check

KNOWN = {
    # A merge that changes no row makes no commit here; delta-spark commits the files that it wrote anew with the same rows.
    "clauses of merges": {"with conditions: history"},
    # Columns that are not there: Spark's analyzer asks an expression without a type for its nullability, which is an internal error.
    "merges that are refused": {"an unknown value", "an unknown condition", "an unknown key"},
    # Columns that are missing are NULL in `saveAsTable`, too, as they are in `writeTo` and INSERT; Spark refuses them there.
    "partitions are overwritten": {"a saved append without it", "a saved append without it: history"},
}


@pytest.mark.parametrize("name", scenarios_frame_writes.SCENARIOS)
def test_frame_writes(spark, tmp_path, name):
    check("frame_writes", name, scenarios_frame_writes.SCENARIOS[name], spark, tmp_path, frozenset(KNOWN.get(name, ())))
