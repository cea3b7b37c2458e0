"""MERGE as delta-spark does it: rows, schemas, errors and figures, against what was recorded there (`scenarios_merge.py`)."""

import pytest
import scenarios_merge
from conftest import known_to_differ
from recorded import check

# Where we differ, and why.
DIFFERS = {
    "clauses: a subquery in a condition": "delta-spark refuses subqueries in clauses, and here they work",
    "clauses: default values": "delta-spark does not take DEFAULT in MERGE, and here it works",
    "defaults": "delta-spark does not take DEFAULT in MERGE, and here it works",
}


@pytest.mark.parametrize("name", scenarios_merge.SCENARIOS)
def test_merge(spark, tmp_path, request, name):
    known_to_differ(request, name, DIFFERS)
    check("merge", name, scenarios_merge.SCENARIOS[name], spark, tmp_path)
