"""MERGE as delta-spark does it: rows, schemas, errors and figures, against what was recorded there (`scenarios_merge.py`)."""

import pytest
import scenarios_merge
from recorded import check

# Where we differ, and why.
DIFFERS = {
    "clauses: a subquery in a condition": "delta-spark refuses subqueries in clauses, and here they work",
    "clauses: default values": "delta-spark does not take DEFAULT in MERGE, and here it works",
    "defaults": "delta-spark does not take DEFAULT in MERGE, and here it works",
}


@pytest.mark.parametrize("name", scenarios_merge.SCENARIOS)
def test_merge(spark, tmp_path, request, name):
    if name in DIFFERS:
        request.applymarker(pytest.mark.xfail(reason=DIFFERS[name], strict=True))
    check("merge", name, scenarios_merge.SCENARIOS[name], spark, tmp_path)
