"""Writers of one statement work at once, each on files of its own, and what they write is right."""

import json
import os
import pathlib
import threading
import time

import pytest
from conftest import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("parallel") / "home")
    yield server
    server.stop()


@pytest.fixture
def session(server, own_sessions):
    session = server.session()
    yield session
    session.stop()


def files(session, path):
    """The actions of files that are in the table, with their statistics."""
    live = {}
    for commit in sorted(pathlib.Path(path, "_delta_log").glob("*.json")):
        for action in map(json.loads, commit.read_text().splitlines()):
            if "add" in action:
                live[action["add"]["path"]] = {**action["add"], "stats": json.loads(action["add"]["stats"])}
            elif "remove" in action:
                live.pop(action["remove"]["path"], None)
    return list(live.values())


def check_statistics(session, path):
    """What each file says of itself is so."""
    told = {f["path"].split("/")[-1]: f["stats"] for f in files(session, path)}
    found = session.sql(f"""SELECT _metadata.file_name AS name, count(*) AS n, min(id) AS low, max(id) AS high, min(v) AS first, max(v) AS last, count_if(v IS NULL) AS nulls
        FROM delta.`{path}` GROUP BY name""").collect()
    assert {r.name for r in found} == set(told)
    for r in found:
        stats = told[r.name]
        assert stats["numRecords"] == r.n and stats["nullCount"] == {"id": 0, "v": r.nulls}
        assert (stats["minValues"], stats["maxValues"]) == ({"id": r.low, "v": r.first}, {"id": r.high, "v": r.last})


def test_every_partition_of_the_rows_has_its_writer(session, tmp_path):
    path = tmp_path / "t"
    session.sql(f"CREATE TABLE delta.`{path}` (id BIGINT, v STRING) USING delta")
    session.sql(f"INSERT INTO delta.`{path}` SELECT /*+ REPARTITION(5) */ id, IF(id % 10 = 0, NULL, concat('v', id % 97)) FROM range(50000)")
    written = files(session, path)
    assert len(written) == 5 and {f["stats"]["numRecords"] for f in written} == {10000}
    check_statistics(session, path)
    assert session.sql(f"SELECT count(*), count(DISTINCT id), sum(id), count_if(v IS NULL) FROM delta.`{path}`").collect()[0] == (50000, 50000, 50000 * 49999 // 2, 5000)


def test_rows_are_made_and_written_at_once(session, tmp_path):
    """The rows of each partition come when those of all others are under way, too: writers one after the other would wait for ever."""
    path, meeting = tmp_path / "t", str(tmp_path / "meeting")
    os.mkdir(meeting)

    def meet(batches):
        import os
        import time
        import uuid

        import pandas

        batches = list(batches)
        if sum(len(b) for b in batches):
            open(os.path.join(meeting, str(uuid.uuid4())), "w").close()
            deadline = time.time() + 120
            while len(os.listdir(meeting)) < 2:
                assert time.time() < deadline, "nobody else came"
                time.sleep(0.01)
        yield from batches or [pandas.DataFrame({"id": []})]

    session.range(0, 40000, 1, 2).repartition(2).mapInPandas(meet, "id long").selectExpr("id", "string(id) AS v").write.format("delta").save(str(path))
    assert len(os.listdir(meeting)) == 2
    check_statistics(session, path)
    assert session.read.format("delta").load(str(path)).selectExpr("count(*)", "sum(id)").collect()[0] == (40000, 40000 * 39999 // 2)


def most_files_open(server, path, work):
    """How many new files of a table the server has open for writing at once, at most, while `work` runs."""
    most, done = 0, threading.Event()

    def look():
        nonlocal most
        descriptors = pathlib.Path(f"/proc/{server.process.pid}/fd")
        while not done.is_set():
            names = set()
            for descriptor in descriptors.iterdir():
                try:
                    name = os.readlink(descriptor)
                    if name.startswith(str(path)) and ".parquet" in name and int((descriptors.parent / "fdinfo" / descriptor.name).read_text().split("flags:")[1].split()[0], 8) & os.O_WRONLY:
                        names.add(name)
                except OSError:
                    continue
            most = max(most, len(names))
            time.sleep(0.001)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return most


def test_groups_are_compacted_at_once(server, session, tmp_path):
    path = tmp_path / "t"
    session.sql(f"CREATE TABLE delta.`{path}` (id BIGINT, v STRING, p INT) USING delta PARTITIONED BY (p)")
    for part in range(3):
        session.sql(f"INSERT INTO delta.`{path}` SELECT /*+ COALESCE(1) */ id, IF(id % 10 = 0, NULL, md5(string(id))), CAST(id % 4 AS INT) FROM range({part * 20000}, {(part + 1) * 20000})")
    summary = f"SELECT count(*), count(DISTINCT id), sum(id), count_if(v IS NULL), count_if(v <> md5(string(id))), count_if(p <> id % 4) FROM delta.`{path}`"
    before, old = session.sql(summary).collect(), files(session, path)
    # Files are open for moments: who looks may miss them, and looks again.
    for _ in range(20):
        session.sql(f"RESTORE TABLE delta.`{path}` TO VERSION AS OF 3")
        most = most_files_open(server, path, lambda: session.sql(f"OPTIMIZE delta.`{path}`").collect())
        if most >= 2:
            break
    new = files(session, path)
    assert most >= 2, "one group after the other"
    assert (len(old), len(new)) == (12, 4)
    assert session.sql(summary).collect() == before == [(60000, 60000, 60000 * 59999 // 2, 6000, 0, 0)]
    check_statistics(session, path)
    metrics = session.sql(f"DESCRIBE HISTORY delta.`{path}` LIMIT 1").collect()[0].operationMetrics
    assert (int(metrics["numRemovedFiles"]), int(metrics["numAddedFiles"])) == (len(old), len(new))
