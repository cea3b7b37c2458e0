"""Delta tables whose commits the catalog manages (the feature `catalogManaged`). What delta-spark does was recorded from
delta-spark 4.4 with its commit coordinator for tests; OPTIMIZE, VACUUM and REORG, which a catalog may forbid, ours allows."""

import json
import os
import pathlib
import resource
import sqlite3
import threading

import pytest
from conftest import Server
from test_concurrency import at_once, retried
from test_faults import environment, runs_to_death

COMMIT = "[0-9]" * 20 + ".json"
MANAGED = "USING delta TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')"


@pytest.fixture(scope="module")
def managed(servers):
    session = servers[0].session()
    yield session
    session.stop()


def log_of(spark, table):
    location = spark.sql(f"DESCRIBE DETAIL {table}").first()["location"]
    return pathlib.Path(location.removeprefix("file:")) / "_delta_log"


def in_metastore(home, query):
    database = sqlite3.connect(f"file:{home}/metastore.db?mode=ro", uri=True)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def ids(spark, table):
    return sorted(row[0] for row in spark.sql(f"SELECT id FROM {table}").collect())


def condition(spark, statement):
    with pytest.raises(Exception) as e:
        spark.sql(statement).collect()
    return e.value.getCondition()


def properties(spark, table):
    return dict(map(tuple, spark.sql(f"SHOW TBLPROPERTIES {table}").collect()))


def test_a_table_and_its_commits(managed, servers):
    managed.sql(f"CREATE TABLE made (id BIGINT) {MANAGED}")
    features = {"appendOnly", "catalogManaged", "deletionVectors", "domainMetadata", "inCommitTimestamp", "invariants"}
    assert set(managed.sql("DESCRIBE DETAIL made").first()["tableFeatures"]) == features | {"rowTracking", "v2Checkpoint", "vacuumProtocolCheck"}
    expected = {"checkpointPolicy": "v2", "enableDeletionVectors": "true", "enableInCommitTimestamps": "true", "enableRowTracking": "true"}
    assert expected.items() <= {k.removeprefix("delta."): v for k, v in properties(managed, "made").items()}.items()
    for i in range(3):
        managed.sql(f"INSERT INTO made VALUES ({i})")
    assert ids(managed, "made") == [0, 1, 2]
    log = log_of(managed, "made")
    staged = sorted((log / "_staged_commits").iterdir())
    assert [int(f.name.split(".")[0]) for f in staged] == [0, 1, 2, 3]
    assert [f.read_bytes() for f in staged] == [(log / f"{v:020}.json").read_bytes() for v in range(4)]
    id = in_metastore(servers[0].home, "SELECT id FROM relations WHERE name = 'made'")[0][0]
    assert in_metastore(servers[0].home, f"SELECT latest_version FROM managed_tables WHERE table_id = '{id}'") == [(3,)]
    assert in_metastore(servers[0].home, f"SELECT * FROM managed_commits WHERE table_id = '{id}'") == []
    assert [h["operation"] for h in managed.sql("DESCRIBE HISTORY made").collect()] == ["WRITE"] * 3 + ["CREATE TABLE"]


def test_what_a_statement_says_of_its_properties_holds(managed):
    managed.sql(f"CREATE TABLE said (id BIGINT) {MANAGED[:-1]}, 'delta.enableDeletionVectors' = 'false', 'delta.checkpointPolicy' = 'classic')")
    found = properties(managed, "said")
    assert (found["delta.enableDeletionVectors"], found["delta.checkpointPolicy"], found["delta.enableRowTracking"]) == ("false", "classic", "true")
    managed.conf.set("spark.databricks.delta.properties.defaults.feature.catalogManaged", "supported")
    try:
        managed.sql("CREATE TABLE by_default (id BIGINT) USING delta")
    finally:
        managed.conf.unset("spark.databricks.delta.properties.defaults.feature.catalogManaged")
    assert properties(managed, "by_default")["delta.feature.catalogManaged"] == "supported"


def test_no_way_by_the_path(managed):
    managed.sql(f"CREATE TABLE no_path {MANAGED} AS SELECT 1L AS id")
    assert ids(managed, "no_path") == [1]
    path = log_of(managed, "no_path").parent
    blocked = "DELTA_PATH_BASED_ACCESS_TO_CATALOG_MANAGED_TABLE_BLOCKED"
    for statement in (
        "SELECT * FROM {}",
        "INSERT INTO {} VALUES (2)",
        "DELETE FROM {}",
        "DESCRIBE HISTORY {}",
        "OPTIMIZE {}",
        "CREATE TABLE named USING delta LOCATION '{path}'",
        "CREATE OR REPLACE TABLE {} (x INT) USING delta",
    ):
        assert condition(managed, statement.format(f"delta.`{path}`", path=path)) == blocked, statement
    with pytest.raises(Exception, match=blocked):
        managed.read.format("delta").load(str(path)).collect()
    for mode in ("append", "overwrite"):
        with pytest.raises(Exception, match=blocked):
            managed.range(3).write.format("delta").mode(mode).save(str(path))
    assert ids(managed, "no_path") == [1]


def test_what_is_refused(managed, tmp_path):
    managed.sql(f"CREATE TABLE strict (id BIGINT) {MANAGED}")
    managed.sql("CREATE TABLE plain (id BIGINT) USING delta")
    feature, timestamps = "'delta.feature.catalogManaged' = 'supported'", "'delta.enableInCommitTimestamps'"
    refused = {
        f"CREATE TABLE external (id BIGINT) {MANAGED} LOCATION '{tmp_path}/external'": "DELTA_UNSUPPORTED_CATALOG_MANAGED_TABLE_CREATION",
        f"CREATE TABLE delta.`{tmp_path}/path` (id BIGINT) {MANAGED}": "DELTA_UNSUPPORTED_CATALOG_MANAGED_TABLE_CREATION",
        f"CREATE TABLE enabled (id BIGINT) {MANAGED.replace('supported', 'enabled')}": "DELTA_UNSUPPORTED_FEATURE_STATUS",
        f"CREATE TABLE preview (id BIGINT) {MANAGED.replace('catalogManaged', 'catalogOwned-preview')}": "DELTA_UNSUPPORTED_FEATURES_IN_CONFIG",
        f"CREATE OR REPLACE TABLE plain (id BIGINT) {MANAGED}": "DELTA_REPLACE_TABLE_WITH_CATALOG_MANAGED_NOT_SUPPORTED",
        f"ALTER TABLE plain SET TBLPROPERTIES ({feature})": "UNSUPPORTED_FEATURE",
        f"ALTER TABLE strict SET TBLPROPERTIES ({timestamps} = 'true')": "DELTA_CANNOT_MODIFY_CATALOG_MANAGED_DEPENDENCIES",
        f"ALTER TABLE strict UNSET TBLPROPERTIES ({timestamps})": "DELTA_CANNOT_MODIFY_CATALOG_MANAGED_DEPENDENCIES",
        "ALTER TABLE strict DROP FEATURE inCommitTimestamp": "DELTA_FEATURE_DROP_DEPENDENT_FEATURE",
        "ALTER TABLE strict DROP FEATURE catalogManaged": "DELTA_FEATURE_DROP_UNSUPPORTED_CLIENT_FEATURE",
        f"ALTER TABLE strict SET LOCATION '{tmp_path}'": "UNSUPPORTED_FEATURE",
    }
    assert {statement: condition(managed, statement).split(".")[0] for statement in refused} == refused
    # The table has it already.
    managed.sql(f"ALTER TABLE strict SET TBLPROPERTIES ({feature})")
    managed.sql("INSERT INTO strict VALUES (1)")
    assert ids(managed, "strict") == [1]


def test_every_statement(managed, tmp_path):
    managed.sql(f"CREATE TABLE used (id BIGINT, v STRING) {MANAGED[:-1]}, 'delta.enableChangeDataFeed' = 'true')")
    managed.range(10).selectExpr("id", "'a' AS v").write.mode("append").saveAsTable("used")
    managed.sql("UPDATE used SET v = 'b' WHERE id < 3")
    managed.sql("DELETE FROM used WHERE id = 9")
    managed.sql("MERGE INTO used t USING (SELECT id + 8 AS id FROM range(4)) s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)")
    assert ids(managed, "used") == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11]
    managed.sql("OPTIMIZE used")
    managed.sql("ALTER TABLE used ADD COLUMN w INT")
    managed.sql("REORG TABLE used APPLY (PURGE)")
    managed.sql("VACUUM used")
    assert ids(managed, "used VERSION AS OF 1") == list(range(10))
    assert managed.sql("SELECT count(*) FROM table_changes('used', 2, 3)").first()[0] == 3 * 2 + 1
    managed.sql("RESTORE TABLE used TO VERSION AS OF 3")
    assert ids(managed, "used") == list(range(9))
    for _ in range(6):
        managed.sql("INSERT INTO used SELECT 100, 'x'")
    log = log_of(managed, "used")
    assert list(log.glob("*.checkpoint.*")) and (log / "_last_checkpoint").exists()
    stream = managed.readStream.table("used").writeStream.option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True)
    assert stream.toTable("streamed").awaitTermination(120)
    assert ids(managed, "streamed") == ids(managed, "used") == list(range(9)) + [100] * 6
    managed.sql(f"CREATE TABLE sink (id BIGINT) {MANAGED}")
    stream = managed.readStream.table("used").select("id").writeStream.option("checkpointLocation", str(tmp_path / "d")).trigger(availableNow=True)
    assert stream.toTable("sink").awaitTermination(120)
    assert ids(managed, "sink") == ids(managed, "used")
    managed.sql("ALTER TABLE used RENAME TO renamed")
    managed.sql("INSERT INTO renamed (id) VALUES (-1)")
    assert ids(managed, "renamed")[:2] == [-1, 0]


def test_clones_and_replacements(managed, servers):
    managed.sql(f"CREATE TABLE origin {MANAGED} AS SELECT id FROM range(3)")
    for kind in ("SHALLOW", "DEEP"):
        managed.sql(f"CREATE TABLE {kind}_plain {kind} CLONE origin")
        assert "delta.feature.catalogManaged" not in properties(managed, f"{kind}_plain")
        assert properties(managed, f"{kind}_plain")["delta.enableInCommitTimestamps"] == "true"
        managed.sql(f"CREATE TABLE {kind}_managed {kind} CLONE {kind}_plain TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')")
        assert properties(managed, f"{kind}_managed")["delta.feature.catalogManaged"] == "supported"
        for table in (f"{kind}_plain", f"{kind}_managed"):
            managed.sql(f"INSERT INTO {table} VALUES (9)")
            assert ids(managed, table) == [0, 1, 2, 9]
    before = log_of(managed, "origin")
    managed.sql("CREATE OR REPLACE TABLE origin (id STRING) USING delta")
    managed.sql("CREATE OR REPLACE TABLE origin USING delta AS SELECT 'x' AS id")
    managed.sql("CREATE OR REPLACE TABLE origin SHALLOW CLONE deep_plain")
    managed.range(2).write.mode("overwrite").option("overwriteSchema", "true").saveAsTable("origin")
    found = properties(managed, "origin")
    assert (found["delta.feature.catalogManaged"], found["delta.enableInCommitTimestamps"]) == ("supported", "true")
    assert (ids(managed, "origin"), log_of(managed, "origin")) == ([0, 1], before)
    assert sorted(int(f.name.split(".")[0]) for f in (before / "_staged_commits").iterdir()) == list(range(5))


def test_what_is_dropped_is_forgotten(managed, servers):
    count = "SELECT count(*) FROM managed_tables"
    before = in_metastore(servers[0].home, count)
    managed.sql(f"CREATE TABLE dropped (id BIGINT) {MANAGED}")
    managed.sql("CREATE SCHEMA dropped_schema")
    managed.sql(f"CREATE TABLE dropped_schema.t (id BIGINT) {MANAGED}")
    assert in_metastore(servers[0].home, count)[0][0] == before[0][0] + 2
    managed.sql("DROP TABLE dropped")
    managed.sql("DROP SCHEMA dropped_schema CASCADE")
    assert condition(managed, f"CREATE TABLE broken (id BIGINT, ID INT) {MANAGED}") is not None
    assert condition(managed, f"CREATE TABLE broken {MANAGED} AS SELECT raise_error('no') AS id") is not None
    assert in_metastore(servers[0].home, count) == before
    managed.sql(f"CREATE TABLE dropped (id BIGINT) {MANAGED}")
    managed.sql("INSERT INTO dropped VALUES (7)")
    assert ids(managed, "dropped") == [7]


def test_a_table_that_another_server_makes_anew(servers):
    here, there = (server.session() for server in servers)
    kinds = [MANAGED, "USING delta"]
    for first, second in [(a, b) for a in kinds for b in kinds]:
        for n, kind in enumerate([first, second]):
            here.sql(f"CREATE TABLE anew (id BIGINT) {kind}")
            here.sql(f"INSERT INTO anew VALUES ({n})")
            assert ids(there, "anew") == [n], (first, second)
            there.sql("INSERT INTO anew VALUES (9)")
            assert ids(here, "anew") == [n, 9]
            here.sql("DROP TABLE anew")
    here.stop()
    there.stop()


def test_the_log_is_cleaned_up_with_what_was_staged(managed):
    kept = "'delta.logRetentionDuration' = 'interval 1 days', 'delta.deletedFileRetentionDuration' = 'interval 1 days'"
    managed.sql(f"CREATE TABLE cleaned (id BIGINT) {MANAGED[:-1]}, 'delta.checkpointInterval' = '5', {kept})")
    for i in range(9):
        managed.sql(f"INSERT INTO cleaned VALUES ({i})")
    log = log_of(managed, "cleaned")
    for file in log.iterdir():
        os.utime(file, (1_700_000_000, 1_700_000_000 + int(file.name[:20]) if file.name[:20].isdigit() else 1_700_000_000))
    os.utime(log / f"{7:020}.json")
    managed.sql("INSERT INTO cleaned VALUES (9)")
    assert [int(f.stem) for f in sorted(log.glob(COMMIT))] == list(range(5, 11))
    assert sorted(int(f.name.split(".")[0]) for f in (log / "_staged_commits").iterdir()) == list(range(6, 11))
    assert ids(managed, "cleaned") == list(range(10))


# A point, and whether the commit is made there.
POINTS = [
    ("delta::before-commit", False),
    ("disk::after-link", False),
    ("delta::before-ratification", False),
    ("delta::after-ratification", True),
    ("delta::after-publication", True),
    ("delta::after-commit", True),
]


class Statement:
    def __init__(self, text):
        self.text = text

    def run(self, spark, _):
        spark.sql(self.text).collect()


@pytest.mark.parametrize("point, is_made", POINTS, ids=[p.split("::")[1] for p, _ in POINTS])
def test_a_death_on_the_way(own_sessions, tmp_path, point, is_made):
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    server = Server(tmp_path / "home")
    try:
        spark = server.session()
        spark.sql(f"CREATE TABLE t (id BIGINT) {MANAGED}")
        spark.sql("INSERT INTO t VALUES (0)")
        log = log_of(spark, "t")
        with environment(BOATHOUSE_FAULT=point):
            dying = Server(tmp_path / "home")
        assert runs_to_death(dying, Statement("INSERT INTO t VALUES (1)"), None)
        is_published = (log / f"{2:020}.json").exists()
        assert is_published == (point in ("delta::after-publication", "delta::after-commit"))
        # The server that was there all the time and knows the table, and one that is new.
        assert ids(spark, "t") == ([0, 1] if is_made else [0])
        assert (log / f"{2:020}.json").exists() == is_made
        another = Server(tmp_path / "home")
        try:
            assert ids(another.session(), "t") == ([0, 1] if is_made else [0])
            another.session().sql("INSERT INTO t VALUES (2)")
        finally:
            another.stop()
        assert ids(spark, "t") == ([0, 1, 2] if is_made else [0, 2])
        assert in_metastore(server.home, "SELECT count(*) FROM managed_commits") == [(0,)]
    finally:
        server.stop()


@pytest.mark.parametrize("point", ["delta::before-ratification", "delta::after-ratification", "delta::after-publication"])
def test_a_death_while_the_table_is_made(own_sessions, tmp_path, point):
    """It has no name yet, so it is not there; its name is free."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    create = Statement(f"CREATE TABLE t {MANAGED} AS SELECT 1L AS id")
    with environment(BOATHOUSE_FAULT=point):
        dying = Server(tmp_path / "home")
    assert runs_to_death(dying, create, None)
    server = Server(tmp_path / "home")
    try:
        spark = server.session()
        assert spark.sql("SHOW TABLES").collect() == []
        create.run(spark, None)
        assert ids(spark, "t") == [1]
    finally:
        server.stop()


def test_writers_of_two_servers_at_once(servers):
    """Appends and changes of sixteen sessions: nothing is lost, nothing is doubled, and each version has one commit."""
    sessions = [servers[i % 2].session() for i in range(16)]
    appends, changes = 4, 3
    sessions[0].sql(f"CREATE TABLE busy (id BIGINT, n BIGINT) {MANAGED}")
    sessions[0].sql("INSERT INTO busy SELECT -1 - id, 0 FROM range(16)")
    done = threading.Event()

    def work(spark, i):
        if i == 15:
            seen = 0
            while not done.is_set():
                now = spark.sql("SELECT count(*) FROM busy").first()[0]
                assert now >= seen, "a row that was there is gone"
                seen = now
            return
        for k in range(appends):
            retried(lambda: spark.sql(f"INSERT INTO busy VALUES ({i * 100 + k}, 1)").collect())
        for _ in range(changes):
            retried(lambda: spark.sql(f"UPDATE busy SET n = n + 1 WHERE id = {-1 - i}").collect())

    def all_but_the_reader(spark, i):
        try:
            return work(spark, i)
        finally:
            with lock:
                left[0] -= i != 15
                if left[0] == 0:
                    done.set()

    left, lock = [15], threading.Lock()
    at_once(sessions, all_but_the_reader)
    rows = dict(map(tuple, sessions[1].sql("SELECT id, n FROM busy").collect()))
    expected = {i * 100 + k: 1 for i in range(15) for k in range(appends)} | {-1 - i: changes if i < 15 else 0 for i in range(16)}
    assert rows == expected
    assert sessions[1].sql("SELECT count(*) FROM busy").first()[0] == len(expected)
    log = log_of(sessions[0], "busy")
    commits = sorted(log.glob(COMMIT))
    assert [int(c.stem) for c in commits] == list(range(len(commits)))
    infos = [next(a["commitInfo"] for a in map(json.loads, c.read_text().splitlines()) if "commitInfo" in a) for c in commits]
    assert len({i["txnId"] for i in infos}) == len(infos)
    times = [i["inCommitTimestamp"] for i in infos]
    assert times == sorted(set(times)), "timestamps grow from version to version"
    # What lost a race is not left in the log.
    assert len(list((log / "_staged_commits").iterdir())) == len(commits)
    id = in_metastore(servers[0].home, "SELECT id FROM relations WHERE name = 'busy'")[0][0]
    assert in_metastore(servers[0].home, f"SELECT latest_version FROM managed_tables WHERE table_id = '{id}'") == [(len(commits) - 1,)]
    for session in sessions:
        session.stop()
