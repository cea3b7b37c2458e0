"""Where rows go, as delta-spark puts them (`scenarios_layout.py`)."""

import pytest
import scenarios_layout
from recorded import check

# What differs of a scenario.
# The statement replaces a table that is named by its path, where delta-spark compares it with what is there (`docs/limitations.md`).
BY_PATH = "CREATE OR REPLACE TABLE path of columns"
KNOWN = {name: {"replace", "SELECT * FROM {t}", "detail"} for name in scenarios_layout.SCENARIOS if name.startswith(BY_PATH) and "clustered, then by p" not in name}
for place in ("path", "name"):
    # Rows that are overwritten leave the clustering as it is (`docs/delta.md`).
    KNOWN[f"overwritten by {place}: clustered, then [] "] = {"detail"}
# A clustered table is not made a partitioned one, whoever asks for it.
KNOWN["overwritten by path: clustered, then ['p'] overwriteSchema"] = {"overwrite", "detail", "SELECT * FROM {t}"}
# Partitions that are not the table's are refused before it is seen that it is clustered.
for options in ("", "replaceWhere", "both"):
    KNOWN[f"overwritten by name: clustered, then ['p'] {options}"] = {"overwrite"}


@pytest.mark.parametrize("name", scenarios_layout.SCENARIOS)
def test_layout(spark, tmp_path, name):
    check("layout", name, scenarios_layout.SCENARIOS[name], spark, tmp_path, frozenset(KNOWN.get(name, ())))


@pytest.mark.parametrize(
    "columns, shown",
    [(["id"], ["id"]), (["`i.d`"], ["`i.d`"]), (["S.X"], ["s.x"]), (["s.`x.y`"], ["s.`x.y`"]), (["s.x", "ID"], ["s.x", "id"]), (["i.d"], None), (["s"], None)],
)
def test_frames_are_clustered_by_names(spark, tmp_path, columns, shown):
    """delta-spark 4.4 does not cluster what a frame's writer makes."""
    writer = spark.range(10).selectExpr("id", "id AS `i.d`", "struct(id AS x, id AS `x.y`) AS s").write.format("delta").clusterBy(*columns)
    if shown is None:
        with pytest.raises(Exception, match="DELTA_COLUMN_NOT_FOUND_IN_SCHEMA|DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED"):
            writer.save(str(tmp_path / "t"))
        return
    writer.save(str(tmp_path / "t"))
    writer.mode("append").save(str(tmp_path / "t"))
    spark.sql(f"OPTIMIZE delta.`{tmp_path}/t`")
    detail = spark.sql(f"DESCRIBE DETAIL delta.`{tmp_path}/t`").first()
    assert (detail.clusteringColumns, detail.numFiles) == (shown, 1)


def test_what_a_clustering_column_is_in_stays(spark, tmp_path):
    t = f"delta.`{tmp_path}/t`"
    spark.sql(f"CREATE TABLE {t} (a INT, `s.x` INT, s STRUCT<x: INT, y: INT>) USING delta CLUSTER BY (s.x) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    for column in ("s", "S.X"):
        with pytest.raises(Exception, match="DELTA_UNSUPPORTED_DROP_CLUSTERING_COLUMN"):
            spark.sql(f"ALTER TABLE {t} DROP COLUMN {column}")
    spark.sql(f"ALTER TABLE {t} DROP COLUMN `s.x`")
    assert spark.sql(f"DESCRIBE DETAIL {t}").first().clusteringColumns == ["s.x"]


def test_zorder_by_what_has_no_order(spark, tmp_path):
    t = f"delta.`{tmp_path}/t`"
    spark.sql(f"CREATE TABLE {t} (a INT, m MAP<STRING, INT>, b INT) USING delta TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'a')")
    for column in ("m", "b"):
        with pytest.raises(Exception, match="DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS"):
            spark.sql(f"OPTIMIZE {t} ZORDER BY ({column})")


def test_bytes_that_are_no_text_do_not_partition(spark, tmp_path):
    """delta-spark 4.4 writes them as other bytes."""
    t = f"delta.`{tmp_path}/t`"
    spark.sql(f"CREATE TABLE {t} (id INT, b BINARY) USING delta PARTITIONED BY (b)")
    with pytest.raises(Exception, match="UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE.*no UTF-8"):
        spark.sql(f"INSERT INTO {t} VALUES (1, X'FF')")
    assert spark.sql(f"SELECT count(*) FROM {t}").first()[0] == 0
