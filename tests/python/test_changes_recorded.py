"""What DELETE, UPDATE and MERGE take and refuse, against what was recorded of delta-spark (`scenarios_changes.py`)."""

import pytest
import scenarios_changes
from conftest import known_to_differ
from recorded import check

SUBQUERIES = "delta-spark refuses subqueries in conditions, and here they work, as on Databricks (test_changes_by_subquery.py)"
METADATA = "here the class of any unknown column"
CAUSE = "here the class of the cause, without Delta's around it"

# Where we differ, and why.
DIFFERS = {
    f"{statement}: {shown}": SUBQUERIES
    for statement in ("DELETE", "UPDATE")
    for shown in ("IN a subquery", "NOT IN a subquery with NULL", "EXISTS", "a scalar subquery", "a scalar subquery of many rows",
                  "a correlated scalar subquery", "a subquery of the table")
} | {
    "a common table": SUBQUERIES,
    "DELETE: a metadata column": METADATA,
    "UPDATE: a metadata column": METADATA,
    "SET of a metadata column": METADATA,
    "SET: a number too large": CAUSE,
    "SET: division by zero": CAUSE,
    "MERGE: a number in ON": "here the class that WHERE has",
    "MERGE: a string in ON": "here the class that WHERE has",
    "MERGE: the source in WHEN NOT MATCHED BY SOURCE": "delta-spark has an internal error",
    "MERGE: the target in WHEN NOT MATCHED": "delta-spark has an internal error",
    "MERGE: a metadata column in ON": "delta-spark has an internal error",
    "MERGE: an inserted column twice": "delta-spark takes one of the values without a word",
    "DELETE of a view": "delta-spark changes the table behind a temporary view of SELECT *; here views are refused",
}


@pytest.mark.parametrize("name", scenarios_changes.SCENARIOS)
def test_change(spark, tmp_path, request, name):
    known_to_differ(request, name, DIFFERS)
    check("changes", name, scenarios_changes.SCENARIOS[name], spark, tmp_path)
