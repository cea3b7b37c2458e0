"""Servers with homes of their own and one table between them, with all kinds of operations at once: the history is
serializable, nothing is lost or doubled.

BOATHOUSE_HISTORY_SECONDS sets for how long they run (the full proof: 300), BOATHOUSE_HISTORY_SERVERS how many they are,
BOATHOUSE_HISTORY_SEED replays the same operations.
"""

import collections
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import Server
from history import COLUMNS, OPERATIONS, Checker, Read, Record, first_state, last_version
from test_concurrency import condition, is_conflict

SECONDS = float(os.environ.get("BOATHOUSE_HISTORY_SECONDS", "5"))
SERVERS = int(os.environ.get("BOATHOUSE_HISTORY_SERVERS", "3"))
SEED = int(os.environ.get("BOATHOUSE_HISTORY_SEED", str(random.SystemRandom().randrange(1 << 32))))
CLIENTS = 2


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Two sessions on each of the servers."""
    servers = [Server(tmp_path_factory.mktemp("history") / f"home{i}") for i in range(SERVERS)]
    made = [server.session() for server in servers for _ in range(CLIENTS)]
    yield made
    for session in made:
        session.stop()
    for server in servers:
        server.stop()


def rows(frame):
    return collections.Counter(tuple(row) for row in frame.collect())


class Worker(threading.Thread):
    """Does operation after operation until the time is over, and records them. The first of all workers only reads."""

    def __init__(self, number, session, path, until):
        super().__init__(daemon=True)
        self.number, self.session, self.path, self.until = number, session, path, until
        self.records, self.reads, self.error = [], [], None

    def run(self):
        try:
            while time.monotonic() < self.until:
                if self.number == 0:
                    before = last_version(self.path)
                    got = rows(self.session.read.format("delta").load(self.path))
                    self.reads.append(Read(before, last_version(self.path), got))
                else:
                    self.records.append(self.operate(len(self.records)))
        except Exception as e:
            self.error = e

    def operate(self, round):
        me = f"{SEED}-{self.number}-{round}"
        chance = random.Random(me)
        operation = chance.choice(OPERATIONS)(f"delta.`{self.path}`", chance, me)
        self.session.conf.set("spark.databricks.delta.commitInfo.userMetadata", me)
        before, refused = last_version(self.path), None
        try:
            self.session.sql(operation.sql).collect()
        except Exception as e:
            if not is_conflict(e):
                raise
            refused = condition(e)
        return Record(me, operation, before, last_version(self.path), refused)


def create(session, path, chance, level):
    """The table with its first rows; the last version."""
    settings = {
        "delta.isolationLevel": level,
        "delta.enableDeletionVectors": chance.choice(["true", "false"]),
        "delta.enableChangeDataFeed": chance.choice(["true", "false"]),
        "delta.checkpointInterval": "7",
    }
    listed = ", ".join(f"'{k}' = '{v}'" for k, v in settings.items())
    partitioned = chance.choice(["", "PARTITIONED BY (kind)"])
    session.sql(f"CREATE TABLE delta.`{path}` ({COLUMNS}) USING delta {partitioned} TBLPROPERTIES ({listed})")
    session.createDataFrame([(i, *r) for i, r in first_state().items()], COLUMNS).coalesce(1).write.format("delta").mode("append").save(path)
    print(f"seed {SEED}, {settings}, {partitioned}")
    return last_version(path)


@pytest.mark.parametrize("level", ["WriteSerializable", "Serializable"])
def test_history(sessions, tmp_path, level):
    path = str(tmp_path / "t")
    first = create(sessions[0], path, random.Random(f"{SEED}-{level}"), level)
    until = time.monotonic() + SECONDS
    workers = [Worker(i, session, path, until) for i, session in enumerate(sessions)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(SECONDS + 120)
        assert not worker.is_alive(), "a session hangs"
        assert worker.error is None, f"session {worker.number}: {worker.error}"

    records = [r for worker in workers for r in worker.records]
    # Versions are read by all servers at once; the checker asks for them in order.
    with ThreadPoolExecutor(len(sessions)) as pool:
        def at(version):
            session = sessions[version % len(sessions)]
            return rows(session.read.format("delta").option("versionAsOf", version).load(path))

        futures = {v: pool.submit(at, v) for v in range(first + 1, last_version(path) + 1)}
        checker = Checker(path, level, first, records, workers[0].reads, lambda v: futures[v].result())
        last = checker.check()
    refused = collections.Counter((r.operation.name, r.refused) for r in records if r.refused)
    print(f"{last - first} commits of {len(records)} operations, {sum(refused.values())} refused, {checker.reordered} before blind appends, {len(workers[0].reads)} reads; {refused}")
    assert last > first and workers[0].reads
    final = {i: r for i, r in checker.states[last].items()}
    assert sum(r[1] for r in final.values() if r[0] == "account") == 600
    increments = [r for r in records if r.operation.name == "increment" and not r.refused]
    assert sum(r[1] for r in final.values() if r[0] == "counter") == len(increments)
