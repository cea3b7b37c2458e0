"""The Spark Connect protocol, through the messages of the stock client. What is expected was recorded from Spark 4.2."""

import hashlib
import json
import threading
import time
import uuid
import zlib

import grpc
import pyspark.sql.connect.proto as pb2
import pyspark.sql.functions as F
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from pyspark.errors import AnalysisException, ArithmeticException, ParseException, PySparkException

REATTACHABLE = pb2.ExecutePlanRequest.RequestOption(reattach_options=pb2.ReattachOptions(reattachable=True))


class Wire:
    """The calls of the service as one session makes them, below the client's retries."""

    def __init__(self, spark):
        self.client = spark.client
        self.stub = spark.client._stub
        self.id = spark.client._session_id
        self.user = pb2.UserContext(user_id=spark.client._user_id)

    def who(self):
        return {"session_id": self.id, "user_context": self.user}

    def plan(self, query=None, relation=None, command=None):
        if query is not None:
            relation = pb2.Relation(sql=pb2.SQL(query=query))
        return pb2.Plan(root=relation) if relation is not None else pb2.Plan(command=command)

    def range(self, n):
        return pb2.Relation(range=pb2.Range(start=0, end=n, step=1, num_partitions=1))

    def execute(self, plan, operation_id=None, reattachable=True, tags=(), options=()):
        request = pb2.ExecutePlanRequest(
            **self.who(),
            operation_id=operation_id or str(uuid.uuid4()),
            plan=plan,
            tags=tags,
            request_options=([REATTACHABLE] if reattachable else []) + list(options),
        )
        return self.stub.ExecutePlan(request)

    def reattach(self, operation_id, last=None):
        return self.stub.ReattachExecute(
            pb2.ReattachExecuteRequest(**self.who(), operation_id=operation_id, last_response_id=last)
        )

    def release(self, operation_id, until=None):
        request = pb2.ReleaseExecuteRequest(**self.who(), operation_id=operation_id)
        if until is None:
            request.release_all.SetInParent()
        else:
            request.release_until.response_id = until
        return self.stub.ReleaseExecute(request)

    def config(self, **operation):
        return self.stub.Config(
            pb2.ConfigRequest(**self.who(), operation=pb2.ConfigRequest.Operation(**operation))
        )

    def analyze(self, **question):
        return self.stub.AnalyzePlan(pb2.AnalyzePlanRequest(**self.who(), **question))


@pytest.fixture
def wire(spark):
    spark.range(1).collect()
    return Wire(spark)


def kinds(responses):
    """What the responses hold, in order; progress may come at any time."""
    skipped = {"session_id", "server_side_session_id", "operation_id", "response_id"}
    found = [[d.name for d, _ in r.ListFields() if d.name not in skipped] for r in responses]
    return [k for names in found for k in names if k not in ("execution_progress", "metrics")]


def failure(call):
    """The error details of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        result = call()
        if hasattr(result, "__iter__"):
            list(result)
    status = rpc_status.from_call(caught.value)
    assert status is not None, caught.value
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert info.domain == "org.apache.spark"
    return caught.value.code(), status.message, info


def error_class(call):
    return failure(call)[2].metadata.get("errorClass")


# ---- results


def test_a_query_sends_schema_rows_and_end(wire):
    # Spark sends the schema by itself; beside the first rows it saves the client a call.
    assert kinds(wire.execute(wire.plan(relation=wire.range(3)))) == ["arrow_batch", "schema", "result_complete"]
    assert kinds(wire.execute(wire.plan(relation=wire.range(3)), reattachable=False)) == ["arrow_batch", "schema"]


def test_no_rows_are_one_empty_batch(wire):
    responses = list(wire.execute(wire.plan(relation=wire.range(0))))
    batches = [r.arrow_batch for r in responses if r.HasField("arrow_batch")]
    assert [b.row_count for b in batches] == [0]


def test_large_results_come_in_chunks_of_the_size_asked_for(wire, spark):
    option = pb2.ExecutePlanRequest.RequestOption(
        result_chunking_options=pb2.ResultChunkingOptions(
            allow_arrow_batch_chunking=True, preferred_arrow_chunk_size=4096
        )
    )
    responses = wire.execute(wire.plan(relation=wire.range(100_000)), options=[option])
    batches = [r.arrow_batch for r in responses if r.HasField("arrow_batch")]
    assert len(batches) > 100 and all(len(b.data) <= 4096 for b in batches)
    assert spark.range(300_000).toArrow().num_rows == 300_000


def test_a_slow_reader_gets_every_row(wire):
    count = 0
    for response in wire.execute(wire.plan(relation=wire.range(3_000_000))):
        if response.HasField("arrow_batch"):
            assert response.arrow_batch.start_offset == count
            count += response.arrow_batch.row_count
            if count < 200_000:
                time.sleep(0.01)
    assert count == 3_000_000


def test_sql_queries_are_lazy_and_commands_run(spark, wire):
    text = pb2.Command(sql_command=pb2.SqlCommand(input=pb2.Relation(sql=pb2.SQL(query="select 1 as a"))))
    (result, end) = list(wire.execute(wire.plan(command=text)))
    assert result.sql_command_result.relation.sql.query == "select 1 as a"
    assert end.HasField("result_complete")
    text = pb2.Command(sql_command=pb2.SqlCommand(input=pb2.Relation(sql=pb2.SQL(query="set a.b=c"))))
    responses = list(wire.execute(wire.plan(command=text)))
    assert responses[0].sql_command_result.relation.HasField("local_relation")


def test_observations_reach_the_client(spark):
    from pyspark.sql import Observation

    observation = Observation("seen")
    spark.range(5).observe(observation, F.count(F.lit(1)).alias("n"), F.max("id").alias("top")).collect()
    assert observation.get == {"n": 5, "top": 4}


def test_compressed_plans_are_read(wire):
    import zstandard

    relation = wire.range(4)
    plan = pb2.Plan(
        compressed_operation=pb2.Plan.CompressedOperation(
            data=zstandard.compress(relation.SerializeToString()),
            op_type=pb2.Plan.CompressedOperation.OP_TYPE_RELATION,
            compression_codec=pb2.COMPRESSION_CODEC_ZSTD,
        )
    )
    assert sum(r.arrow_batch.row_count for r in wire.execute(plan)) == 4
    plan.compressed_operation.data = b"rubbish"
    assert error_class(lambda: wire.execute(plan)) == "CONNECT_INVALID_PLAN.CANNOT_PARSE"


def test_local_data_is_uploaded_once_it_is_large(spark):
    rows = [(i, "x" * 100) for i in range(20_000)]
    frame = spark.createDataFrame(rows, "a int, b string")
    assert frame.toArrow().num_rows == len(rows)


def test_plans_nested_too_deep_are_refused_not_fatal(wire):
    relation = wire.range(1).SerializeToString()
    for _ in range(2000):
        # Relation.limit, a field of the relation's length, around the last one.
        limit = b"\x0a" + varint(len(relation)) + relation + b"\x10\x01"
        relation = b"\x42" + varint(len(limit)) + limit
    plan = pb2.Plan(
        compressed_operation=pb2.Plan.CompressedOperation(
            data=__import__("zstandard").compress(relation),
            op_type=pb2.Plan.CompressedOperation.OP_TYPE_RELATION,
            compression_codec=pb2.COMPRESSION_CODEC_ZSTD,
        )
    )
    assert error_class(lambda: wire.execute(plan)) == "CONNECT_INVALID_PLAN.CANNOT_PARSE"
    assert wire.analyze(spark_version=pb2.AnalyzePlanRequest.SparkVersion()).spark_version.version


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


# ---- attaching again


def test_a_lost_stream_continues_behind_the_last_response(wire):
    operation = str(uuid.uuid4())
    stream = wire.execute(wire.plan(relation=wire.range(200_000)), operation)
    seen = [next(stream).response_id for _ in range(3)]
    stream.cancel()
    rest = [r.response_id for r in wire.reattach(operation, seen[1])]
    assert rest[0] == seen[2]
    whole = [r.response_id for r in wire.reattach(operation)]
    assert whole == seen[:2] + rest


def test_released_responses_are_gone(wire):
    operation = str(uuid.uuid4())
    plan = wire.plan(relation=wire.range(3))
    ids = [r.response_id for r in wire.execute(plan, operation)]
    wire.release(operation, until=ids[0])
    assert error_class(lambda: wire.reattach(operation)) == "INVALID_CURSOR.POSITION_NOT_AVAILABLE"
    assert [r.response_id for r in wire.reattach(operation, ids[0])] == ids[1:]
    assert error_class(lambda: wire.reattach(operation, str(uuid.uuid4()))) == "INVALID_CURSOR.POSITION_NOT_FOUND"
    wire.release(operation)
    assert error_class(lambda: wire.reattach(operation)) == "INVALID_HANDLE.OPERATION_NOT_FOUND"
    assert error_class(lambda: wire.execute(plan, operation)) == "INVALID_HANDLE.OPERATION_ABANDONED"


def test_the_same_request_twice_is_one_operation(wire):
    operation = str(uuid.uuid4())
    first = [r.response_id for r in wire.execute(wire.plan(relation=wire.range(3)), operation)]
    again = [r.response_id for r in wire.execute(wire.plan(relation=wire.range(3)), operation)]
    assert first == again
    other = wire.plan(relation=wire.range(4))
    assert error_class(lambda: wire.execute(other, operation)) == "INVALID_HANDLE.OPERATION_ALREADY_EXISTS"


def test_handles_are_checked(wire):
    assert error_class(lambda: wire.reattach(str(uuid.uuid4()))) == "INVALID_HANDLE.OPERATION_NOT_FOUND"
    assert error_class(lambda: wire.execute(wire.plan(relation=wire.range(1)), "x")) == "INVALID_HANDLE.FORMAT"
    wire.id = str(uuid.uuid4())
    assert error_class(lambda: wire.reattach(str(uuid.uuid4()))) == "INVALID_HANDLE.SESSION_NOT_FOUND"
    wire.id = "abc"
    all_keys = pb2.ConfigRequest.GetAll()
    assert error_class(lambda: wire.config(get_all=all_keys)) == "INVALID_HANDLE.FORMAT"


# ---- interrupting

FOREVER = "select sum(a.id * b.id) from range(10000000) a cross join range(10000000) b where a.id + b.id > 3"


def running(wire, **kwargs):
    """A query without end on another thread; its failure arrives in the list."""
    failures = []

    def run():
        try:
            list(wire.execute(wire.plan(FOREVER), **kwargs))
        except grpc.RpcError as e:
            failures.append(rpc_status.from_call(e).message)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, failures


def until_running(wire, operation):
    asked = pb2.GetStatusRequest.OperationStatusRequest(operation_ids=[operation])
    deadline = time.time() + 20
    while time.time() < deadline:
        status = wire.stub.GetStatus(pb2.GetStatusRequest(**wire.who(), operation_status=asked))
        if status.operation_statuses[0].state == pb2.GetStatusResponse.OperationStatus.OPERATION_STATE_RUNNING:
            return
        time.sleep(0.02)
    raise AssertionError("the query did not start")


@pytest.mark.parametrize("how", ["all", "tag", "operation"])
def test_interrupting(wire, how):
    operation = str(uuid.uuid4())
    thread, failures = running(wire, operation_id=operation, tags=["mine"])
    until_running(wire, operation)
    request = pb2.InterruptRequest(**wire.who())
    if how == "all":
        request.interrupt_type = pb2.InterruptRequest.INTERRUPT_TYPE_ALL
    elif how == "tag":
        request.interrupt_type = pb2.InterruptRequest.INTERRUPT_TYPE_TAG
        request.operation_tag = "other"
        assert not wire.stub.Interrupt(request).interrupted_ids
        request.operation_tag = "mine"
    else:
        request.interrupt_type = pb2.InterruptRequest.INTERRUPT_TYPE_OPERATION_ID
        request.operation_id = operation
    assert list(wire.stub.Interrupt(request).interrupted_ids) == [operation]
    thread.join(20)
    assert failures and failures[0].startswith("[OPERATION_CANCELED]")
    assert not wire.stub.Interrupt(request).interrupted_ids


def test_interrupt_requests_are_checked(wire):
    def interrupt(**kwargs):
        return lambda: wire.stub.Interrupt(pb2.InterruptRequest(**wire.who(), **kwargs))

    assert error_class(interrupt()) == "UNSUPPORTED_FEATURE.INTERRUPT_TYPE"
    tag = "INVALID_PARAMETER_VALUE.INTERRUPT_TYPE_TAG_REQUIRES_TAG"
    assert error_class(interrupt(interrupt_type=2)) == tag


def test_a_client_that_goes_away_ends_its_query(wire):
    operation = str(uuid.uuid4())
    stream = wire.execute(wire.plan(FOREVER), operation, reattachable=False)
    until_running(wire, operation)
    stream.cancel()
    asked = pb2.GetStatusRequest.OperationStatusRequest(operation_ids=[operation])
    deadline = time.time() + 20
    state = None
    while time.time() < deadline and state != pb2.GetStatusResponse.OperationStatus.OPERATION_STATE_CANCELLED:
        status = wire.stub.GetStatus(pb2.GetStatusRequest(**wire.who(), operation_status=asked))
        state = status.operation_statuses[0].state
        time.sleep(0.02)
    assert state == pb2.GetStatusResponse.OperationStatus.OPERATION_STATE_CANCELLED


# ---- errors


def test_errors_are_the_exceptions_of_spark(spark):
    with pytest.raises(ParseException) as parse:
        spark.sql("selec 1").collect()
    assert parse.value.getCondition() == "PARSE_SYNTAX_ERROR"
    assert parse.value.getSqlState() == "42601"
    with pytest.raises(ArithmeticException) as arithmetic:
        spark.sql("select 1/0").collect()
    assert arithmetic.value.getCondition() == "DIVIDE_BY_ZERO"
    assert arithmetic.value.getMessageParameters() == {"config": '"spark.sql.ansi.enabled"'}
    with pytest.raises(AnalysisException) as analysis:
        spark.table("no_such_table").collect()
    assert analysis.value.getCondition() == "TABLE_OR_VIEW_NOT_FOUND"
    assert analysis.value.getSqlState() == "42P01"


def test_error_details_name_the_exception(wire):
    code, message, info = failure(lambda: wire.execute(wire.plan("select * from nope_nope")))
    assert code == grpc.StatusCode.INTERNAL
    assert message.startswith("[TABLE_OR_VIEW_NOT_FOUND]")
    assert info.metadata["sqlState"] == "42P01"
    assert "org.apache.spark.sql.AnalysisException" in json.loads(info.metadata["classes"])
    assert json.loads(info.metadata["messageParameters"])["relationName"] == "`nope_nope`"
    fetch = pb2.FetchErrorDetailsRequest(**wire.who(), error_id=info.metadata["errorId"])
    details = wire.stub.FetchErrorDetails(fetch)
    assert details.errors[details.root_error_idx].spark_throwable.error_class == "TABLE_OR_VIEW_NOT_FOUND"
    again = wire.stub.FetchErrorDetails(fetch)
    assert not again.HasField("root_error_idx")


def test_long_messages_arrive_whole(spark):
    name = "ü" * 30_000
    with pytest.raises(PySparkException) as caught:
        spark.table(f"`{name}`").collect()
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "plan, name",
    [
        (pb2.Plan(), "OPTYPE_NOT_SET"),
        (pb2.Plan(root=pb2.Relation()), "RELTYPE_NOT_SET"),
        (pb2.Plan(command=pb2.Command()), "COMMANDTYPE_NOT_SET"),
    ],
)
def test_empty_plans(wire, plan, name):
    _, _, info = failure(lambda: wire.execute(plan))
    assert info.metadata["errorClass"] == "CONNECT_INVALID_PLAN.INVALID_ONE_OF_FIELD_NOT_SET"
    assert json.loads(info.metadata["messageParameters"])["name"] == name


def test_what_is_not_supported_is_refused_by_its_name(wire):
    fetch = pb2.MlCommand(fetch=pb2.Fetch())
    _, message, _ = failure(lambda: wire.execute(wire.plan(command=pb2.Command(ml_command=fetch))))
    assert "pyspark.ml" in message


# ---- analysis


def test_version_and_types(wire, spark):
    assert spark.version == "4.2.0"
    request = pb2.AnalyzePlanRequest
    parsed = wire.analyze(ddl_parse=request.DDLParse(ddl_string="a int, b array<string> not null comment 'x'"))
    fields = parsed.ddl_parse.parsed.struct.fields
    assert [f.name for f in fields] == ["a", "b"] and json.loads(fields[1].metadata) == {"comment": "x"}
    assert wire.analyze(ddl_parse=request.DDLParse(ddl_string="int")).ddl_parse.parsed.HasField("integer")
    text = '{"type":"struct","fields":[{"name":"a b","type":"integer","nullable":false,"metadata":{"comment":"hi"}}]}'
    ddl = wire.analyze(json_to_ddl=request.JsonToDDL(json_string=text)).json_to_ddl.ddl_string
    assert ddl == "`a b` INT NOT NULL COMMENT 'hi'"
    tree = wire.analyze(tree_string=request.TreeString(plan=wire.plan(relation=wire.range(1))))
    assert tree.tree_string.tree_string == "root\n |-- id: long (nullable = false)\n"
    assert error_class(lambda: wire.analyze()) == "CONNECT_INVALID_PLAN.UNKNOWN_ANALYZE_METHOD"


def test_storage_levels(spark):
    frame = spark.range(3)
    assert not frame.is_cached if hasattr(frame, "is_cached") else True
    frame.persist()
    assert frame.storageLevel.useMemory
    frame.unpersist()
    assert not frame.storageLevel.useMemory


# ---- settings


def test_settings(wire):
    request, pair = pb2.ConfigRequest, pb2.KeyValue
    wire.config(set=request.Set(pairs=[pair(key="my.key", value="1")]))
    assert wire.config(get=request.Get(keys=["my.key"])).pairs[0].value == "1"
    assert error_class(lambda: wire.config(get=request.Get(keys=["no.such"]))) == "SQL_CONF_NOT_FOUND"
    options = wire.config(get_option=request.GetOption(keys=["no.such", "my.key"])).pairs
    assert [(p.key, p.HasField("value")) for p in options] == [("no.such", False), ("my.key", True)]
    defaults = [pair(key="no.such", value="d"), pair(key="my.key", value="x")]
    assert [p.value for p in wire.config(get_with_default=request.GetWithDefault(pairs=defaults)).pairs] == ["d", "1"]
    assert [(p.key, p.value) for p in wire.config(get_all=request.GetAll(prefix="my.")).pairs] == [("key", "1")]
    wire.config(unset=request.Unset(keys=["my.key"]))
    assert not wire.config(get_option=request.GetOption(keys=["my.key"])).pairs[0].HasField("value")
    modifiable = wire.config(is_modifiable=request.IsModifiable(keys=["spark.sql.ansi.enabled", "spark.sql.warehouse.dir"]))
    assert [p.value for p in modifiable.pairs] == ["true", "false"]


def test_static_settings_stay(wire):
    request = pb2.ConfigRequest
    pairs = [pb2.KeyValue(key="spark.sql.warehouse.dir", value="x")]
    assert error_class(lambda: wire.config(set=request.Set(pairs=pairs))) == "CANNOT_MODIFY_STATIC_CONFIG"
    (warning,) = wire.config(set=request.Set(pairs=pairs, silent=True)).warnings
    assert warning.startswith("Failed to set spark.sql.warehouse.dir to Some(x) due to [CANNOT_MODIFY_STATIC_CONFIG]")


# ---- artifacts


def chunk(data, crc=None):
    return pb2.AddArtifactsRequest.ArtifactChunk(data=data, crc=zlib.crc32(data) if crc is None else crc)


def upload(wire, name, data):
    artifact = pb2.AddArtifactsRequest.SingleChunkArtifact(name=name, data=data)
    batch = pb2.AddArtifactsRequest.Batch(artifacts=[artifact])
    return wire.stub.AddArtifacts(iter([pb2.AddArtifactsRequest(**wire.who(), batch=batch)]))


def exists(wire, name):
    statuses = wire.stub.ArtifactStatus(pb2.ArtifactStatusesRequest(**wire.who(), names=[name])).statuses
    return statuses[name].exists


def test_artifacts(wire):
    name = "cache/" + hashlib.sha256(b"hello").hexdigest()
    assert not exists(wire, name)
    assert [a.is_crc_successful for a in upload(wire, name, chunk(b"hello")).artifacts] == [True]
    assert exists(wire, name)
    broken = "cache/" + "0" * 64
    assert [a.is_crc_successful for a in upload(wire, broken, chunk(b"hello", crc=5)).artifacts] == [False]
    assert not exists(wire, broken)
    for bad in ("files/../../x", "/etc/x"):
        assert error_class(lambda bad=bad: upload(wire, bad, chunk(b"x"))) == "INVALID_ARTIFACT_PATH"
    upload(wire, "files/a.txt", chunk(b"one"))
    upload(wire, "files/a.txt", chunk(b"one"))
    assert error_class(lambda: upload(wire, "files/a.txt", chunk(b"two"))) == "ARTIFACT_ALREADY_EXISTS"


def test_large_artifacts_come_in_chunks(wire):
    name = "cache/" + "1" * 64

    def messages(parts, total):
        begin = pb2.AddArtifactsRequest.BeginChunkedArtifact(
            name=name, total_bytes=total, num_chunks=2, initial_chunk=chunk(parts[0])
        )
        yield pb2.AddArtifactsRequest(**wire.who(), begin_chunk=begin)
        for part in parts[1:]:
            yield pb2.AddArtifactsRequest(**wire.who(), chunk=chunk(part))

    failure(lambda: wire.stub.AddArtifacts(messages([b"abc"], 6)))
    failure(lambda: wire.stub.AddArtifacts(messages([b"abc", b"defg"], 6)))
    assert not exists(wire, name)
    wire.stub.AddArtifacts(messages([b"abc", b"def"], 6))
    assert exists(wire, name)


# ---- sessions


def test_sessions_are_cloned_with_what_they_have(spark):
    spark.conf.set("my.key", "1")
    spark.range(3).createOrReplaceTempView("three")
    copy = spark.cloneSession() if hasattr(spark, "cloneSession") else None
    if copy is None:
        pytest.skip("this client cannot clone")
    assert copy.conf.get("my.key") == "1"
    assert copy.table("three").count() == 3
    copy.conf.set("my.key", "2")
    assert spark.conf.get("my.key") == "1"


def test_closed_sessions_stay_closed(wire):
    clone = pb2.CloneSessionRequest(**wire.who(), new_session_id=str(uuid.uuid4()))
    new = wire.stub.CloneSession(clone).new_session_id
    taken = "INVALID_CLONE_SESSION_REQUEST.TARGET_SESSION_ID_ALREADY_EXISTS"
    assert error_class(lambda: wire.stub.CloneSession(clone)) == taken
    bad = pb2.CloneSessionRequest(**wire.who(), new_session_id="zz")
    assert error_class(lambda: wire.stub.CloneSession(bad)) == "INVALID_CLONE_SESSION_REQUEST.TARGET_SESSION_ID_FORMAT"
    wire.stub.ReleaseSession(pb2.ReleaseSessionRequest(session_id=new, user_context=wire.user))
    closed = "INVALID_CLONE_SESSION_REQUEST.TARGET_SESSION_ID_ALREADY_CLOSED"
    assert error_class(lambda: wire.stub.CloneSession(clone)) == closed
    wire.id = new
    assert error_class(lambda: wire.config(get_all=pb2.ConfigRequest.GetAll())) == "INVALID_HANDLE.SESSION_CLOSED"


def test_a_session_of_another_server_is_noticed(wire):
    request = pb2.ConfigRequest(**wire.who(), client_observed_server_side_session_id=str(uuid.uuid4()))
    request.operation.get_all.SetInParent()
    assert error_class(lambda: wire.stub.Config(request)) == "INVALID_HANDLE.SESSION_CHANGED"


def test_a_small_query_is_quick(spark):
    spark.sql("SELECT 1").collect()
    times = []
    for _ in range(50):
        start = time.perf_counter()
        spark.sql("SELECT 1").collect()
        times.append(time.perf_counter() - start)
    # Two calls through the Python client; generous, for machines that do other work.
    assert sorted(times)[25] < 0.1
