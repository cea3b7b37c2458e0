"""Sixteen sessions at once, eight on each of two servers of one home, on the same and on different tables: nothing is lost,
nothing is doubled, readers see whole versions, and the only errors are those that Delta's rules give."""

import collections
import threading

import pytest

SESSIONS = 16
CONFLICTS = {
    "DELTA_CONCURRENT_APPEND",
    "DELTA_CONCURRENT_DELETE_READ",
    "DELTA_CONCURRENT_DELETE_DELETE",
    "DELTA_CONCURRENT_TRANSACTION",
    "DELTA_METADATA_CHANGED",
    "DELTA_PROTOCOL_CHANGED",
    "DELTA_CONCURRENT_WRITE",
}


@pytest.fixture(scope="module")
def sessions(servers):
    made = [servers[i % 2].session() for i in range(SESSIONS)]
    yield made
    for session in made:
        session.stop()


def condition(error):
    get = getattr(error, "getCondition", None)
    return get() if get else None


def is_conflict(error):
    """One of Delta's conflict errors; their conditions may have a part after a dot."""
    return (condition(error) or "").split(".")[0] in CONFLICTS


def at_once(sessions, work):
    """Runs `work(session, number)` in a thread for each session; what they gave, or the errors of all."""
    gate = threading.Barrier(len(sessions))
    results, errors = [None] * len(sessions), []

    def run(i, session):
        try:
            gate.wait(60)
            results[i] = work(session, i)
        except Exception as e:
            errors.append((i, e))

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
        assert not thread.is_alive(), "a session hangs"
    assert not errors, "\n".join(f"session {i}: {str(e)[:300]}" for i, e in errors)
    return results


def only_maker(sessions, create, is_too_late):
    """Lets all sessions run `create(number)` at once; the number of the only one that could, where the others' errors say why not."""

    def make(spark, i):
        try:
            spark.sql(create(i))
            return True
        except Exception as e:
            assert is_too_late(e), e
            return False

    (maker,) = [i for i, made in enumerate(at_once(sessions, make)) if made]
    return maker


def retried(action):
    """Runs a statement until no other writer is in its way; how often one was."""
    conflicts = 0
    while True:
        try:
            action()
            return conflicts
        except Exception as e:
            if not is_conflict(e):
                raise
            conflicts += 1
            assert conflicts < 1000, "no progress"


def test_appends_never_conflict(sessions):
    sessions[0].sql("CREATE TABLE appended (session INT, round INT, id BIGINT) USING delta")

    def work(spark, i):
        for round in range(4):
            if (i + round) % 2:
                spark.sql(f"INSERT INTO appended SELECT {i}, {round}, id FROM range(25)")
            else:
                rows = spark.range(25).selectExpr(f"{i} AS session", f"{round} AS round", "id")
                rows.write.format("delta").mode("append").saveAsTable("appended")

    at_once(sessions, work)
    for spark in sessions[:2]:
        row = spark.sql("SELECT count(*), count(DISTINCT session, round, id), sum(id) FROM appended").first()
        assert tuple(row) == (SESSIONS * 100, SESSIONS * 100, SESSIONS * 4 * 300)
    versions = [row[0] for row in sessions[0].sql("DESCRIBE HISTORY appended").select("version").collect()]
    assert sorted(versions) == list(range(SESSIONS * 4 + 1))


def test_updates_of_one_table_lose_nothing(sessions):
    sessions[0].sql("CREATE TABLE counters AS SELECT id, 0L AS value FROM range(8)")

    def work(spark, i):
        for round in range(2):
            retried(lambda: spark.sql(f"UPDATE counters SET value = value + 1 WHERE id = {(i + round) % 8}"))

    at_once(sessions, work)
    got = [tuple(row) for row in sessions[1].table("counters").orderBy("id").collect()]
    assert got == [(id, 2 * SESSIONS // 8) for id in range(8)]


def test_transfers_keep_the_sum(sessions):
    """Writers move money between accounts in one statement; readers see the sum unchanged at every moment."""
    accounts, total = 10, 1000
    sessions[0].sql(f"CREATE TABLE accounts AS SELECT id, {total // accounts}L AS balance FROM range({accounts})")
    done = threading.Event()
    writers = 4
    left = [writers]
    lock = threading.Lock()

    def work(spark, i):
        if i < writers:
            try:
                for round in range(4):
                    a, b = (i + round) % accounts, (i * 3 + round + 1) % accounts
                    if a == b:
                        continue
                    change = f"CASE id WHEN {a} THEN -{i + 1} WHEN {b} THEN {i + 1} END"
                    merge = f"""MERGE INTO accounts t USING (SELECT id, {change} AS change FROM range({accounts})
                                WHERE id IN ({a}, {b})) s ON t.id = s.id
                                WHEN MATCHED THEN UPDATE SET balance = t.balance + s.change"""
                    update = f"UPDATE accounts SET balance = balance + {change} WHERE id IN ({a}, {b})"
                    retried(lambda: spark.sql(merge if i % 2 else update))
            finally:
                with lock:
                    left[0] -= 1
                    if not left[0]:
                        done.set()
        else:
            reads = 0
            while not (done.is_set() and reads > 0):
                assert tuple(spark.sql("SELECT sum(balance), count(*) FROM accounts").first()) == (total, accounts)
                reads += 1

    at_once(sessions, work)
    assert sessions[0].sql("SELECT sum(balance) FROM accounts").first()[0] == total


def test_merges_and_deletes_of_one_table(sessions):
    """Each session upserts its own keys, then deletes some: the result is the sum of what each did."""
    sessions[0].sql("CREATE TABLE merged (id BIGINT, session INT, n INT) USING delta")

    def work(spark, i):
        source = f"SELECT id * {SESSIONS} + {i} AS id FROM range(10)"
        merge = f"""MERGE INTO merged t USING ({source}) s ON t.id = s.id
                    WHEN MATCHED THEN UPDATE SET n = t.n + 1
                    WHEN NOT MATCHED THEN INSERT (id, session, n) VALUES (s.id, {i}, 1)"""
        retried(lambda: spark.sql(merge))
        retried(lambda: spark.sql(merge))
        retried(lambda: spark.sql(f"DELETE FROM merged WHERE session = {i} AND id >= {SESSIONS * 7}"))

    at_once(sessions, work)
    got = [tuple(row) for row in sessions[0].table("merged").orderBy("id").collect()]
    assert got == [(id, id % SESSIONS, 2) for id in range(SESSIONS * 7)]


def test_different_tables(sessions):
    """Tables of their own: no session is in another's way, so there is no error at all."""

    def work(spark, i):
        name = f"own_{i}"
        for round in range(2):
            spark.sql(f"CREATE TABLE {name} (id BIGINT, v STRING) USING delta")
            spark.range(20).selectExpr("id", "'a' AS v").write.mode("append").saveAsTable(name)
            spark.sql(f"UPDATE {name} SET v = 'b' WHERE id < 5")
            spark.sql(f"DELETE FROM {name} WHERE id >= 15")
            spark.sql(f"MERGE INTO {name} t USING (SELECT id FROM range(10, 30)) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 'c')")
            counts = {row[0]: row[1] for row in spark.sql(f"SELECT v, count(*) FROM {name} GROUP BY v").collect()}
            assert counts == {"a": 10, "b": 5, "c": 15}
            if round == 0:
                spark.sql(f"DROP TABLE {name}")
        return spark.table(name).count()

    assert at_once(sessions, work) == [30] * SESSIONS
    names = {row[1] for row in sessions[1].sql("SHOW TABLES").collect()}
    assert {f"own_{i}" for i in range(SESSIONS)} <= names


def test_one_name_for_all(sessions):
    """Creating, filling and dropping one name: each statement does all or gives the error of one that came too late."""
    late = {
        "TABLE_OR_VIEW_ALREADY_EXISTS",
        "TABLE_OR_VIEW_NOT_FOUND",
        "DELTA_TABLE_NOT_FOUND",
        "DELTA_MISSING_DELTA_TABLE",
        "FAILED_READ_FILE.FILE_NOT_EXIST",
    }
    seen = collections.Counter()
    lock = threading.Lock()

    def attempt(action):
        try:
            action()
            outcome = "done"
        except Exception as e:
            outcome = condition(e)
            if outcome not in late and not is_conflict(e):
                raise
        with lock:
            seen[outcome] += 1

    def work(spark, i):
        for round in range(3):
            attempt(lambda: spark.sql("CREATE TABLE shared_name (id BIGINT) USING delta"))
            attempt(lambda: spark.sql(f"INSERT INTO shared_name VALUES ({i})"))
            attempt(lambda: spark.sql("SELECT count(*) FROM shared_name").collect())
            if (i + round) % 4 == 0:
                attempt(lambda: spark.sql("DROP TABLE shared_name"))

    at_once(sessions, work)
    assert seen["done"] > 0
    # Whatever happened, the name works afterwards.
    sessions[0].sql("DROP TABLE IF EXISTS shared_name")
    sessions[1].sql("CREATE TABLE shared_name (id BIGINT) USING delta")
    sessions[2].sql("INSERT INTO shared_name VALUES (1)")
    assert sessions[3].table("shared_name").count() == 1


def test_create_or_replace_by_all(sessions):
    """Replacing a table while others read it: every reader sees one writer's rows."""
    sessions[0].sql("CREATE OR REPLACE TABLE replaced AS SELECT -1 AS writer, id FROM range(10)")

    def work(spark, i):
        for _ in range(2):
            if i % 2:
                retried(lambda: spark.sql(f"CREATE OR REPLACE TABLE replaced AS SELECT {i} AS writer, id FROM range(10)"))
            row = spark.sql("SELECT count(DISTINCT writer), count(*), sum(id) FROM replaced").first()
            assert tuple(row) == (1, 10, 45)

    at_once(sessions, work)


def test_schemas_views_and_settings(sessions):
    """The catalog under many writers: schemas, views and functions, each session with settings of its own."""

    def work(spark, i):
        zone = ["UTC", "Europe/Berlin", "Asia/Tokyo"][i % 3]
        spark.conf.set("spark.sql.session.timeZone", zone)
        spark.sql(f"CREATE SCHEMA s_{i}")
        spark.sql(f"CREATE VIEW s_{i}.v AS SELECT {i} AS i")
        spark.sql(f"CREATE FUNCTION s_{i}.f(x INT) RETURNS INT RETURN x + {i}")
        spark.range(3).createOrReplaceTempView("same_name")
        assert spark.sql(f"SELECT s_{i}.f(i) FROM s_{i}.v").first()[0] == 2 * i
        assert spark.sql("SELECT current_timezone()").first()[0] == zone
        assert spark.table("same_name").count() == 3
        if i % 3 == 0:
            spark.sql(f"DROP SCHEMA s_{i} CASCADE")

    at_once(sessions, work)
    left = {row[0] for row in sessions[0].sql("SHOW SCHEMAS").collect()}
    assert {f"s_{i}" for i in range(SESSIONS)} & left == {f"s_{i}" for i in range(SESSIONS) if i % 3}
