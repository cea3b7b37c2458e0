"""Streams with the option `permanent` outlive the session that starts them, and are started again with their server."""

import json
import os

import pytest
from conftest import Server
from test_streaming import until

pytestmark = [pytest.mark.skipif("BOATHOUSE_REMOTE" in os.environ, reason="needs servers of its own"), pytest.mark.usefixtures("own_sessions")]
SCHEMA = "id INT, at TIMESTAMP"


def put(folder, *ids):
    folder.mkdir(exist_ok=True)
    hidden = folder / f".{ids[0]}"
    hidden.write_text("".join(json.dumps({"id": i, "at": "2026-01-01T00:00:00Z"}) + "\n" for i in ids))
    hidden.rename(folder / f"{ids[0]}.json")


@pytest.fixture
def servers(tmp_path):
    """Starts servers of one home; one runs at a time."""
    running = []

    def start(kill=False):
        for server in running:
            server.kill() if kill else server.stop()
        running[:] = [Server(tmp_path / "home")]
        return running[0].session()

    yield start
    for server in running:
        server.stop()


def writer(spark, tmp_path, **options):
    rows = spark.readStream.schema(SCHEMA).json(str(tmp_path / "in"))
    given = {"checkpointLocation": str(tmp_path / "checkpoint"), "permanent": "true"} | options
    return rows.writeStream.queryName("arrivals").options(**{k: v for k, v in given.items() if v is not None})


def ids(spark, table):
    return sorted(r.id for r in spark.read.table(table).collect())


def the_query(spark):
    until(lambda: "arrivals" in the_others(spark))
    return next(q for q in spark.streams.active if q.name == "arrivals")


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_it_goes_on_without_its_session_and_after_its_server(servers, tmp_path, kill):
    put(tmp_path / "in", 1)
    spark = servers()
    spark.sql("CREATE SCHEMA landing")
    spark.sql("USE landing")
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    rows = spark.readStream.schema(SCHEMA).json(str(tmp_path / "in")).selectExpr("id", "string(at) AS at")
    options = {"checkpointLocation": str(tmp_path / "checkpoint"), "permanent": True}
    query = rows.writeStream.queryName("arrivals").options(**options).toTable("arrived")
    query.processAllAvailable()
    number, run = query.id, query.runId
    # One that ends with its session.
    rows.writeStream.queryName("other").option("checkpointLocation", str(tmp_path / "c")).toTable("other").processAllAvailable()
    spark.stop()

    spark = servers_session(servers, tmp_path)
    put(tmp_path / "in", 2)
    query = the_query(spark)
    assert (query.id, query.runId) == (number, run)
    query.processAllAvailable()
    assert ids(spark, "landing.arrived") == [1, 2] and ids(spark, "landing.other") == [1]
    assert the_others(spark) == ["arrivals"]

    spark = servers(kill)
    put(tmp_path / "in", 3)
    query = the_query(spark)
    assert query.id == number and query.runId != run
    query.processAllAvailable()
    assert ids(spark, "landing.arrived") == [1, 2, 3]
    # In the time zone of the session that asked.
    assert {r.at for r in spark.read.table("landing.arrived").collect()} == {"2026-01-01 09:00:00"}

    query.stop()
    assert the_others(spark) == []
    spark = servers(kill)
    put(tmp_path / "in", 4)
    assert the_others(spark) == []
    assert ids(spark, "landing.arrived") == [1, 2, 3]


def servers_session(servers, tmp_path):
    """Another session of the server that runs."""
    from pyspark.sql import SparkSession

    remote = json.loads((tmp_path / "home" / "server.json").read_text())["connect"]
    return SparkSession.builder.remote(remote).create()


def the_others(spark):
    return [q.name for q in spark.streams.active]


def test_functions_of_python_come_back(servers, tmp_path):
    put(tmp_path / "in", 1, 2)
    target = str(tmp_path / "out")

    def write(frame, batch):
        frame.selectExpr("id", f"{batch} AS batch").write.format("delta").mode("append").save(target)

    spark = servers()
    writer(spark, tmp_path).foreachBatch(write).start().processAllAvailable()
    spark = servers()
    put(tmp_path / "in", 3)
    the_query(spark).processAllAvailable()
    rows = spark.read.format("delta").load(target).collect()
    assert sorted((r.id, r.batch) for r in rows) == [(1, 0), (2, 0), (3, 1)]


def test_a_new_version_takes_its_place(servers, tmp_path):
    put(tmp_path / "in", 1)
    spark = servers()
    first = writer(spark, tmp_path).toTable("arrived")
    first.processAllAvailable()
    other = servers_session(servers, tmp_path)
    second = writer(other, tmp_path).option("mergeSchema", True).toTable("arrived")
    assert second.id == first.id and second.runId != first.runId and not first.isActive
    spark = servers()
    assert the_query(spark).id == first.id
    # One of another name that is not permanent takes the place as well, and is not there after a restart.
    third = writer(spark, tmp_path, permanent=None).queryName("another").toTable("arrived")
    assert third.id == first.id
    spark = servers()
    put(tmp_path / "in", 2)
    assert the_others(spark) == [] and ids(spark, "arrived") == [1]


def refused_name(start):
    with pytest.raises(Exception, match="query with name arrivals") as refused:
        start()
    return refused.value.getCondition()


def test_its_name_is_its_own(servers, tmp_path):
    """As names of active queries are: for every session, whether the query runs or not."""
    put(tmp_path / "in", 1)
    spark = servers()
    mine = writer(spark, tmp_path, permanent=None, checkpointLocation=str(tmp_path / "mine")).toTable("mine")
    other = servers_session(servers, tmp_path)
    assert refused_name(lambda: writer(other, tmp_path).toTable("arrived")) == "_LEGACY_ERROR_TEMP_3280"
    mine.stop()

    first = writer(spark, tmp_path).toTable("arrived")
    first.processAllAvailable()
    elsewhere = {"checkpointLocation": str(tmp_path / "elsewhere")}
    for session in (spark, other):
        for options in ({"permanent": None}, {"permanent": None, **elsewhere}, elsewhere):
            assert refused_name(lambda s=session, o=options: writer(s, tmp_path, **o).toTable("second")) == "_LEGACY_ERROR_TEMP_3280"
    assert [q.runId for q in other.streams.active] == [first.runId]

    # One that ended by an error is there again with the next server.
    (tmp_path / "in" / "bad.json").write_text("{")
    (tmp_path / "checkpoint" / "sources" / "0" / "1").mkdir(parents=True)
    until(lambda: not first.isActive)
    assert first.exception() is not None
    for options in ({"permanent": None, **elsewhere}, elsewhere):
        assert refused_name(lambda o=options: writer(other, tmp_path, **o).toTable("second")) == "PERMANENT_STREAM_ALREADY_EXISTS"
    # What is started on its checkpoint and is not permanent makes an end of it, as it does of one that runs.
    (tmp_path / "checkpoint" / "sources" / "0" / "1").rmdir()
    writer(other, tmp_path, permanent=None).queryName("last").toTable("arrived").processAllAvailable()
    writer(other, tmp_path, permanent=None, **elsewhere).toTable("second").stop()
    assert the_others(servers()) == []


def test_what_is_of_the_session_alone_is_refused(servers, tmp_path):
    put(tmp_path / "in", 1)
    spark = servers()
    spark.readStream.schema(SCHEMA).json(str(tmp_path / "in")).createOrReplaceTempView("mine")
    rows = spark.table("mine").writeStream.queryName("arrivals").option("permanent", True)
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        rows.option("checkpointLocation", str(tmp_path / "c")).toTable("t")
    assert the_others(spark) == []
    assert the_others(servers()) == []


@pytest.mark.parametrize(
    "options, trigger, says",
    [
        ({"checkpointLocation": None}, {}, "no `checkpointLocation`"),
        ({"queryName": None}, {}, "no name"),
        ({}, {"availableNow": True}, "its trigger ends it"),
        ({}, {"once": True}, "its trigger ends it"),
        ({"format": "memory"}, {}, "its rows are in memory"),
        ({"permanent": "sometimes"}, {}, "must be 'true' or 'false'"),
    ],
)
def test_what_cannot_be_permanent(servers, tmp_path, options, trigger, says):
    put(tmp_path / "in", 1)
    spark = servers()
    named = "queryName" not in options
    rows = spark.readStream.schema(SCHEMA).json(str(tmp_path / "in")).writeStream
    given = {"checkpointLocation": str(tmp_path / "checkpoint"), "permanent": "true", **options}
    rows = rows.format(given.pop("format", "noop")).options(**{k: v for k, v in given.items() if v is not None})
    rows = rows.queryName("arrivals") if named else rows
    with pytest.raises(Exception, match=says):
        (rows.trigger(**trigger) if trigger else rows).start()
    assert the_others(spark) == []
