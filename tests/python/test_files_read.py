"""Which files statements read that change rows, told by the history of queries: never more than may hold the rows.

A file that a statement must not need is taken away in some tests: whoever opens it fails.
"""

import json
import pathlib

import pytest

FILES, ROWS = 8, 1000


def scans(session, statement):
    """What a statement's scans of its table say: files read and files pruned, in the order in which they ran."""
    session.sql(statement).collect()
    query = "SELECT operators FROM system.query.history WHERE statement_text = {text} ORDER BY start_time DESC LIMIT 1"
    operators = json.loads(session.sql(query, text=statement).collect()[0].operators)
    return [(o["files_read"], o.get("files_pruned", 0)) for o in walk(operators) if o.get("files_read")]


def walk(operators):
    for operator in operators:
        yield operator
        yield from walk(operator["children"])


def metrics(session, table):
    return session.sql(f"DESCRIBE HISTORY {table} LIMIT 1").collect()[0].operationMetrics


@pytest.fixture
def ordered(spark):
    """A table with the ids 0 to 7,999, a thousand to a file; `k` is the id as a number of a smaller type, `s` as a text."""
    spark.sql("DROP TABLE IF EXISTS ordered")
    spark.sql("CREATE TABLE ordered (id BIGINT, k INT, s STRING, d DECIMAL(12, 2), v STRING) USING delta")
    for file in range(FILES):
        spark.sql(f"INSERT INTO ordered SELECT /*+ COALESCE(1) */ id, int(id), lpad(id, 8, '0'), id, 'old' FROM range({file * ROWS}, {(file + 1) * ROWS})")
    return spark


SOURCES = {
    "in one file": ("SELECT explode(array(5003L, 5777L)) AS id", 1),
    "far apart": ("SELECT explode(array(3L, 7003L)) AS id", 2),
    "beyond the table": ("SELECT explode(array(-5L, 9999999L)) AS id", 0),
    "between and beyond": ("SELECT explode(array(-5L, 4000L, 9999999L)) AS id", 1),
    "at the bounds": ("SELECT explode(array(999L, 1000L)) AS id", 2),
    "NULL among them": ("SELECT explode(array(NULL, 1L, 7999L)) AS id", 2),
    "NULL alone": ("SELECT CAST(NULL AS BIGINT) AS id", 0),
    "empty": ("SELECT id FROM range(0)", 0),
    "all": (f"SELECT id FROM range({FILES * ROWS})", FILES),
}


@pytest.mark.parametrize("condition", ["t.id = s.id", "s.id = t.id AND t.v = 'old'", "t.k = s.id", "t.s = lpad(s.id, 8, '0')", "t.d = CAST(s.id AS DECIMAL(20, 2))"])
@pytest.mark.parametrize("source, files", SOURCES.values(), ids=SOURCES)
def test_merge_reads_the_files_of_its_keys(ordered, source, files, condition):
    matched = ordered.sql(f"SELECT count(*) FROM ordered WHERE id IN ({source})").collect()[0][0]
    told = scans(ordered, f"MERGE INTO ordered t USING ({source}) s ON {condition} WHEN MATCHED THEN UPDATE SET v = 'new'")
    # The first pass finds the rows, the second reads them alone.
    assert told == [(files, FILES - files), (files, 0)][: 2 if files else 0]
    assert ordered.sql("SELECT count(*) FROM ordered WHERE v = 'new'").collect()[0][0] == matched
    assert ordered.table("ordered").count() == FILES * ROWS


def test_merge_of_two_keys_and_of_keys_that_are_no_columns(ordered):
    """Each key rules out files by itself; an expression of the target's column rules out none."""
    two = "MERGE INTO ordered t USING (SELECT explode(array(3L, 7003L)) AS a, 3L AS b) s ON t.id = s.a AND t.k = s.b WHEN MATCHED THEN DELETE"
    assert scans(ordered, two) == [(1, 7)]
    assert scans(ordered, "MERGE INTO ordered t USING (SELECT 6L AS a) s ON t.id + 1 = s.a WHEN MATCHED THEN DELETE") == [(8, 0)]
    assert sorted(r.id for r in ordered.table("ordered").where("id < 10").collect()) == [0, 1, 2, 4, 6, 7, 8, 9]


@pytest.mark.parametrize("clauses, passes", [
    ("WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 'new')", 1),
    ("WHEN MATCHED THEN DELETE", 1),
    ("WHEN MATCHED THEN UPDATE SET v = 'new' WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 'new')", 2),
])
@pytest.mark.parametrize("vectors", ["true", "false"])
def test_every_kind_of_merge(ordered, clauses, passes, vectors):
    ordered.sql(f"ALTER TABLE ordered SET TBLPROPERTIES ('delta.enableDeletionVectors' = '{vectors}')")
    told = scans(ordered, f"MERGE INTO ordered t USING (SELECT explode(array(3L, 7003L, 9003L)) AS id) s ON t.id = s.id {clauses}")
    if vectors == "false" and clauses == "WHEN MATCHED THEN DELETE":
        passes = 2
    assert told == [(2, 6), (2, 0)][:passes]
    changed = metrics(ordered, "ordered")
    touched = 2 if vectors == "false" and "WHEN MATCHED" in clauses.replace("NOT MATCHED", "") else 0
    assert int(changed["numTargetFilesRemoved"]) == touched


def test_merge_by_source_reads_all(ordered):
    told = scans(ordered, """MERGE INTO ordered t USING (SELECT 3L AS id) s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET v = 'new' WHEN NOT MATCHED BY SOURCE AND t.id % 1000 = 7 THEN DELETE""")
    assert told[0] == (FILES, 0)
    assert int(metrics(ordered, "ordered")["numTargetRowsNotMatchedBySourceDeleted"]) == FILES
    assert ordered.table("ordered").count() == FILES * (ROWS - 1)


CONDITIONS = {"id = 5003": 1, "id IN (3, 7003)": 2, "id < 1500 AND k >= 1000": 1, "s = '00000007'": 1, "id > 99999": 0, "v = 'none'": 0, "id % 1000 = 7": FILES}


@pytest.mark.parametrize("condition, files", CONDITIONS.items())
def test_update_and_delete_read_the_files_of_their_condition(ordered, condition, files):
    rows = ordered.table("ordered").where(condition).count()
    if condition.startswith("v"):
        # All files say 'old' of themselves.
        assert scans(ordered, f"UPDATE ordered SET v = 'new' WHERE {condition}") == []
    told = scans(ordered, f"UPDATE ordered SET v = 'new' WHERE {condition}")
    assert told[:1] == ([(files, FILES - files)] if files else [])
    assert ordered.table("ordered").where("v = 'new'").count() == rows
    ordered.sql("RESTORE ordered TO VERSION AS OF 8")
    assert scans(ordered, f"DELETE FROM ordered WHERE {condition}") == ([(files, FILES - files)] if files else [])
    assert ordered.table("ordered").count() == FILES * ROWS - rows


@pytest.fixture
def partitioned(spark):
    spark.sql("DROP TABLE IF EXISTS partitioned")
    spark.sql("CREATE TABLE partitioned (day STRING, id BIGINT, v STRING) USING delta PARTITIONED BY (day)")
    spark.sql("INSERT INTO partitioned SELECT /*+ COALESCE(1) */ IF(id % 5 = 0, NULL, concat('day ', id % 5)), id, 'old' FROM range(1000)")
    return spark


def test_merge_of_some_partitions(partitioned):
    """The condition names the partition by its value, or by the source's; NULL equals nothing."""
    by_value = "MERGE INTO partitioned t USING (SELECT id FROM range(1000)) s ON t.id = s.id AND t.day = 'day 3' WHEN MATCHED THEN UPDATE SET v = 'new'"
    assert scans(partitioned, by_value)[0] == (1, 4)
    by_source = """MERGE INTO partitioned t USING (SELECT id, concat('day ', id % 5) AS day FROM range(1000) WHERE id % 5 IN (0, 1, 4)) s
        ON t.day = s.day AND t.id = s.id WHEN MATCHED THEN UPDATE SET v = 'new' WHEN NOT MATCHED THEN INSERT *"""
    partitioned.sql("ALTER TABLE partitioned SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    told = scans(partitioned, by_source.replace("INSERT *", "INSERT (day, id, v) VALUES (s.day, s.id, 'come')"))
    # `day 1`, `day 4`; `day 0` is in no partition, since those rows have NULL.
    assert told[0] == (2, 3)
    rows = partitioned.sql("SELECT day, v, count(*) FROM partitioned GROUP BY day, v ORDER BY day NULLS FIRST, v").collect()
    assert [tuple(r) for r in rows] == [
        (None, "old", 200), ("day 0", "come", 200), ("day 1", "new", 200), ("day 2", "old", 200), ("day 3", "new", 200), ("day 4", "new", 200)]


def test_delete_of_whole_partitions_reads_nothing(partitioned):
    assert scans(partitioned, "DELETE FROM partitioned WHERE day IN ('day 1', 'day 2')") == []
    assert scans(partitioned, "DELETE FROM partitioned WHERE day IS NULL") == []
    assert scans(partitioned, "DELETE FROM partitioned WHERE day = 'day 3' AND id = 3") == [(1, 1)]
    assert partitioned.table("partitioned").count() == 399


def test_merge_into_a_clustered_table(spark):
    """Rows in no order, until OPTIMIZE clusters them: then a few keys are in a few files."""
    spark.sql("DROP TABLE IF EXISTS clustered_target")
    spark.sql("CREATE TABLE clustered_target (id BIGINT, v STRING) USING delta CLUSTER BY (id)")
    spark.sql("INSERT INTO clustered_target SELECT /*+ REPARTITION(8) */ pmod(hash(id), 1000000), repeat(uuid(), 2) FROM range(40000)")
    keys = "SELECT explode(array(5L, 500000L, 999000L)) AS id"
    merge = f"MERGE INTO clustered_target t USING ({keys}) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = 'new'"
    before = spark.sql("DESCRIBE DETAIL clustered_target").collect()[0].numFiles
    # A file of which two tasks read a part each counts twice.
    read, pruned = scans(spark, merge)[0]
    assert read >= before >= 8 and pruned == 0
    spark.conf.set("spark.sql.files.maxRecordsPerFile", 4000)
    spark.sql("OPTIMIZE clustered_target FULL")
    files = spark.sql("DESCRIBE DETAIL clustered_target").collect()[0].numFiles
    read, pruned = scans(spark, merge)[0]
    assert files >= 8 and read <= 3 and files - 3 <= pruned < files


def test_files_that_are_not_needed_are_not_opened(ordered):
    location = ordered.sql("DESCRIBE DETAIL ordered").collect()[0].location.removeprefix("file:")
    location = pathlib.Path("/" + location.lstrip("/"))
    of_file = {r.id // ROWS: r.p for r in ordered.sql("SELECT min(id) AS id, _metadata.file_path AS p FROM ordered GROUP BY p").collect()}
    for number in (1, 2, 3, 4, 5, 6):
        (location / of_file[number].split("/")[-1]).unlink()
    keys = "SELECT explode(array(3L, 7003L)) AS id"
    ordered.sql(f"MERGE INTO ordered t USING ({keys}) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = 'new' WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)")
    ordered.sql("UPDATE ordered SET v = 'newer' WHERE id IN (4, 7004)")
    ordered.sql("DELETE FROM ordered WHERE id = 5")
    with pytest.raises(Exception, match="(?i)not.?found|no such file|does not exist"):
        ordered.sql("DELETE FROM ordered WHERE id = 3005")
    found = ordered.sql("SELECT id, v FROM ordered WHERE v <> 'old' AND (id < 1000 OR id >= 7000) ORDER BY id").collect()
    assert [tuple(r) for r in found] == [(3, "new"), (4, "newer"), (7003, "new"), (7004, "newer")]
