"""What is written and committed, as delta-spark does it (`scenarios_write.py`)."""

import pytest
import scenarios_write
from recorded import check

VECTORS = "new tables have deletion vectors here, and statistics then say whether bounds are tight"
CHECKED = "names and types in delta.dataSkipping* are not checked when they are set"
# Where we differ, and why.
DIFFERS = {
    "statistics of every type": VECTORS,
    "statistics of odd values": "NaN gives no bound here, and the upper bound -0.0 is written as 0.0; " + VECTORS,
    "statistics of the first columns": VECTORS,
    "statistics columns win over their number": VECTORS,
    "statistics of a partitioned table": VECTORS,
    "dataSkippingNumIndexedCols = 0": "empty bounds are written where delta-spark leaves them out",
    "dataSkippingStatsColumns = ": "empty bounds are written where delta-spark leaves them out",
    "dataSkippingNumIndexedCols = -2": CHECKED,
    "dataSkippingNumIndexedCols = x": "refused with another class",
    "dataSkippingStatsColumns = nothing": CHECKED,
    "dataSkippingStatsColumns = a,a": CHECKED,
    "statistics columns of types without bounds": CHECKED,
    "statistics columns that are renamed or dropped": "delta.dataSkippingStatsColumns keeps the old name",
    "statistics switched off": "spark.databricks.delta.stats.collect has no effect yet",
    "max records per file": "spark.sql.files.maxRecordsPerFile has no effect yet",
    "compression codecs": "spark.sql.parquet.compression.codec has no effect yet",
    "a codec of the table": "delta.parquet.compression.codec is Databricks', and has its effect here",
    "transactions of applications": "spark.databricks.delta.write.txnAppId and txnVersion have no effect yet; other classes of errors",
    "what commits say": "the isolation level of appends is recorded as the table's",
    "insert by name": "errors of the analyzer, where delta-spark has its own",
    "insert by name with options": "errors of the analyzer, where delta-spark has its own",
    "dynamic overwrite": "partitionOverwriteMode takes any text",
    "replace where": "replaceWhere is refused in an append; replaceWhere.constraintCheck.enabled is refused by name",
    "save modes": "errors of the analyzer, where delta-spark has its own",
}


@pytest.mark.parametrize("name", scenarios_write.SCENARIOS)
def test_write(spark, tmp_path, request, name):
    if name in DIFFERS:
        request.applymarker(pytest.mark.xfail(reason=DIFFERS[name], strict=True))
    check("write", name, scenarios_write.SCENARIOS[name], spark, tmp_path)
