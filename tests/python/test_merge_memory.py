"""MERGE by a server that may use less memory than its source needs. Expected rows by arithmetic."""

import pathlib

import pytest
from conftest import Server

ROWS = 200_000
# The source below has about 60 MB, the target a third of it in files.
LIMIT = "48m"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("small") / "home", "--memory-limit", LIMIT)
    yield server
    server.stop()


def source(ids, text):
    return f"SELECT {ids} AS id, concat('{text} ', id, repeat('y', 60)) AS a, sha2(string(id), 256) AS b, uuid() AS c FROM range({ROWS})"


def scratch(server):
    return [p for p in pathlib.Path(server.home, "tmp").rglob("*") if p.is_file()]


@pytest.mark.parametrize("vectors", ["true", "false"])
def test_source_and_target_that_do_not_fit(small, tmp_path, vectors):
    spark, t = small.session(), f"delta.`{tmp_path / 't'}`"
    spark.conf.set("spark.databricks.delta.properties.defaults.enableDeletionVectors", vectors)
    spark.sql(f"CREATE TABLE {t} USING delta AS {source('id', 'old')}")
    # Every second row matches one of the first half of the source's; a thousandth of those goes. What the source does not
    # match changes where it is a multiple of 5.
    spark.sql(
        f"""MERGE INTO {t} AS t USING ({source("id * 2", "new")}) AS s ON t.id = s.id
            WHEN MATCHED AND s.id % 1000 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET *
            WHEN NOT MATCHED THEN INSERT * WHEN NOT MATCHED BY SOURCE AND t.id % 5 = 0 THEN UPDATE SET a = 'alone'"""
    )
    deleted = ROWS // 1000
    updated = ROWS // 2 - deleted
    inserted = ROWS // 2
    alone = sum(1 for i in range(1, ROWS, 2) if i % 5 == 0)
    ids = [i for i in range(1, ROWS, 2)] + [i for i in range(0, 2 * ROWS, 2) if i >= ROWS or i % 1000]
    found = spark.sql(
        f"""SELECT count(*), count(DISTINCT id), sum(id), count_if(a LIKE 'new %'), count_if(a = 'alone'), count_if(a LIKE 'old %'),
                   count_if(a LIKE 'new %' AND b = sha2(string(id DIV 2), 256))
            FROM {t}"""
    ).collect()[0]
    expected = (len(ids), len(ids), sum(ids), updated + inserted, alone, ROWS // 2 - alone, updated + inserted)
    assert tuple(found) == expected
    metrics = spark.sql(f"DESCRIBE HISTORY {t} LIMIT 1").collect()[0].operationMetrics
    told = ("numSourceRows", "numTargetRowsMatchedDeleted", "numTargetRowsMatchedUpdated", "numTargetRowsInserted")
    assert [int(metrics[name]) for name in told] == [ROWS, deleted, updated, inserted]
    assert scratch(small) == []


def test_a_small_target(small, tmp_path):
    """A source that is held on disk is the same in each pass, though its values differ each time it is computed."""
    spark, t = small.session(), f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} (id BIGINT, c STRING) USING delta TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    spark.sql(f"INSERT INTO {t} VALUES (0, 'a'), (7, 'b'), (-1, 'c')")
    spark.sql(
        f"""MERGE INTO {t} AS t USING ({source("id", "new")}) AS s ON t.id = s.id
            WHEN MATCHED THEN UPDATE SET c = s.c WHEN NOT MATCHED AND s.id < 10 THEN INSERT (id, c) VALUES (s.id, s.c)"""
    )
    assert spark.table(t).count() == 11
    # The change feed tells the values that the rows have.
    changes = spark.sql(f"SELECT id, c FROM table_changes_by_path('{tmp_path / 't'}', 2) WHERE _change_type IN ('insert', 'update_postimage')")
    assert sorted(map(tuple, changes.collect())) == sorted(map(tuple, spark.sql(f"SELECT id, c FROM {t} WHERE id >= 0").collect()))


def test_several_matches_are_found_on_disk(small, tmp_path):
    spark, t = small.session(), f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} USING delta AS {source('id', 'old')}")
    with pytest.raises(Exception, match="DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE"):
        spark.sql(f"MERGE INTO {t} AS t USING ({source('id DIV 2', 'new')}) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *")
    spark.sql(
        f"""MERGE INTO {t} AS t USING ({source("id DIV 2", "new")}) AS s ON t.id = s.id AND t.a < s.a
            WHEN NOT MATCHED THEN INSERT *"""
    )
    # 'new ..' is less than 'old ..': nothing matches.
    assert spark.table(t).count() == 2 * ROWS
