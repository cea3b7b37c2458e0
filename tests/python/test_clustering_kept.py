"""What becomes of the columns that a table is clustered by where it is replaced, overwritten, cloned or restored.

delta-spark 4.4 does the same but in the cases of KEPT: there every overwrite of all rows takes the clustering away, which nobody
asks for (docs/delta.md). What it refuses of `clusterBy` on tables that exist is allowed where it says something (SET).
"""

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

KEPT = {
    "saveAsTable": lambda s, rows: rows.write.mode("overwrite").saveAsTable("clustered"),
    "save": lambda s, rows: rows.write.format("delta").mode("overwrite").save(path(s)),
    "merged schema": lambda s, rows: rows.withColumn("more", F.lit(1)).write.mode("overwrite").option("mergeSchema", "true").saveAsTable("clustered"),
    "insertInto": lambda s, rows: rows.write.mode("overwrite").insertInto("clustered"),
    "INSERT OVERWRITE": lambda s, rows: s.sql("INSERT OVERWRITE clustered VALUES (3L, 4)"),
    "writeTo.overwrite": lambda s, rows: rows.writeTo("clustered").overwrite(F.lit(True)),
}
KEPT_AS_DELTA_SPARK = {
    "replaceWhere": lambda s, rows: rows.write.mode("overwrite").option("replaceWhere", "id = 3").saveAsTable("clustered"),
    "REPLACE WHERE": lambda s, rows: s.sql("INSERT INTO clustered REPLACE WHERE id = 3 VALUES (3L, 4)"),
    "TRUNCATE": lambda s, rows: s.sql("TRUNCATE TABLE clustered"),
    "append": lambda s, rows: rows.write.clusterBy("K").mode("append").saveAsTable("clustered"),
}
GONE = {
    "overwriteSchema": lambda s, rows: rows.drop("k").write.mode("overwrite").option("overwriteSchema", "true").saveAsTable("clustered"),
    "CREATE OR REPLACE": lambda s, rows: s.sql("CREATE OR REPLACE TABLE clustered (id BIGINT) USING delta"),
    "CREATE OR REPLACE AS": lambda s, rows: s.sql("CREATE OR REPLACE TABLE clustered USING delta AS SELECT 3L AS id, 4 AS k"),
    "writeTo.replace": lambda s, rows: rows.writeTo("clustered").using("delta").replace(),
    "CLONE": lambda s, rows: s.sql("CREATE OR REPLACE TABLE clustered SHALLOW CLONE plain"),
}
SET = {
    "saveAsTable": lambda s, rows: rows.write.clusterBy("id").mode("overwrite").saveAsTable("clustered"),
    "save": lambda s, rows: rows.write.format("delta").clusterBy("id").mode("overwrite").save(path(s)),
    "overwriteSchema": lambda s, rows: rows.drop("k").write.clusterBy("id").mode("overwrite").option("overwriteSchema", "true").saveAsTable("clustered"),
    "writeTo.replace": lambda s, rows: rows.writeTo("clustered").using("delta").clusterBy("id").replace(),
}


def path(session):
    return session.sql("DESCRIBE DETAIL clustered").collect()[0].location


def columns(session):
    """The clustering columns as DESCRIBE DETAIL has them; what else says them says the same."""
    detail = session.sql("DESCRIBE DETAIL clustered").collect()[0].clusteringColumns
    listed = [c.name for c in session.catalog.listColumns("clustered") if c.isCluster]
    assert listed == detail
    statement = session.sql("SHOW CREATE TABLE clustered").collect()[0][0]
    assert ("CLUSTER BY (" + ", ".join(detail) + ")" in statement) == bool(detail)
    described = [r[0] for r in session.sql("DESCRIBE TABLE clustered").collect()]
    assert ("# Clustering Information" in described) == bool(detail)
    return detail


@pytest.fixture(params=["plain names", "mapped names"])
def clustered(spark, request):
    mapped = " TBLPROPERTIES ('delta.columnMapping.mode' = 'name')" if request.param == "mapped names" else ""
    for table in ("clustered", "plain"):
        spark.sql(f"DROP TABLE IF EXISTS {table}")
    spark.sql(f"CREATE TABLE clustered (id BIGINT, k INT) USING delta CLUSTER BY (k){mapped}")
    spark.sql("INSERT INTO clustered VALUES (1, 2)")
    spark.sql(f"CREATE TABLE plain (id BIGINT, k INT) USING delta{mapped}")
    return spark


@pytest.mark.parametrize(
    "write, after",
    [(f, ["k"]) for f in (*KEPT.values(), *KEPT_AS_DELTA_SPARK.values())] + [(f, []) for f in GONE.values()] + [(f, ["id"]) for f in SET.values()],
    ids=[*KEPT, *KEPT_AS_DELTA_SPARK, *(f"gone: {n}" for n in GONE), *(f"set: {n}" for n in SET)],
)
def test_clustering_after_a_write(clustered, write, after):
    write(clustered, clustered.createDataFrame([(3, 4)], "id long, k int"))
    assert columns(clustered) == after
    clustered.sql("OPTIMIZE clustered")
    clustered.sql("RESTORE clustered TO VERSION AS OF 1")
    assert columns(clustered) == ["k"]
    assert clustered.table("clustered").collect() == [(1, 2)]


def test_a_restore_takes_clustering_away(spark):
    spark.sql("DROP TABLE IF EXISTS clustered")
    spark.sql("CREATE TABLE clustered (id BIGINT, k INT) USING delta")
    spark.sql("ALTER TABLE clustered CLUSTER BY (id)")
    spark.sql("ALTER TABLE clustered CLUSTER BY (k)")
    spark.sql("RESTORE clustered TO VERSION AS OF 1")
    assert columns(spark) == ["id"]
    spark.sql("RESTORE clustered TO VERSION AS OF 0")
    assert columns(spark) == []


def test_rows_of_another_clustering_are_refused(clustered):
    rows = clustered.createDataFrame([(3, 4)], "id long, k int")
    for write in (
        lambda: rows.write.clusterBy("id").mode("append").saveAsTable("clustered"),
        lambda: rows.write.format("delta").clusterBy("id").mode("append").save(path(clustered)),
        lambda: rows.write.clusterBy("id").mode("append").saveAsTable("plain"),
        lambda: rows.write.clusterBy("id").mode("overwrite").option("replaceWhere", "id = 3").saveAsTable("clustered"),
    ):
        with pytest.raises(AnalysisException, match="DELTA_METADATA_MISMATCH.*clustering columns"):
            write()
    assert clustered.table("clustered").collect() == [(1, 2)]


def test_a_stream_takes_the_clustering_of_its_table(clustered, tmp_path):
    clustered.range(3).selectExpr("id", "int(id) AS k").write.format("delta").save(str(tmp_path / "source"))

    def run():
        stream = clustered.readStream.format("delta").load(str(tmp_path / "source")).writeStream.clusterBy("id")
        stream.option("checkpointLocation", str(tmp_path / "cp")).trigger(availableNow=True).toTable("streamed").awaitTermination()

    clustered.sql("DROP TABLE IF EXISTS streamed")
    run()
    assert clustered.sql("DESCRIBE DETAIL streamed").collect()[0].clusteringColumns == ["id"]
    clustered.sql("ALTER TABLE streamed CLUSTER BY (k)")
    clustered.range(2).selectExpr("id", "int(id) AS k").write.format("delta").mode("append").save(str(tmp_path / "source"))
    run()
    assert clustered.sql("DESCRIBE DETAIL streamed").collect()[0].clusteringColumns == ["k"]
    assert clustered.table("streamed").count() == 5
