"""Python data sources that stream, and that are written to."""

import json
import pathlib
import sys

import pytest
from pyspark import cloudpickle
from pyspark.sql import Row
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceStreamArrowWriter,
    DataSourceStreamReader,
    DataSourceStreamWriter,
    DataSourceWriter,
    InputPartition,
    SimpleDataSourceStreamReader,
    WriterCommitMessage,
)

# Workers know nothing of the tests.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Part(InputPartition):
    def __init__(self, start, end):
        self.start, self.end = start, end


class Count(WriterCommitMessage):
    def __init__(self, rows):
        self.rows = rows


class Numbers(DataSource):
    """Numbers up to one that a file says."""

    @classmethod
    def name(cls):
        return "numbers"

    def schema(self):
        return "n INT, text STRING"

    def streamReader(self, schema):
        return NumbersReader(self.options["path"])


class NumbersReader(DataSourceStreamReader):
    def __init__(self, path):
        self.path = pathlib.Path(path)

    def initialOffset(self):
        return {"at": 0}

    def latestOffset(self):
        return {"at": int((self.path / "end").read_text())}

    def partitions(self, start, end):
        middle = (start["at"] + end["at"]) // 2
        return [Part(start["at"], middle), Part(middle, end["at"])]

    def read(self, partition):
        for n in range(partition.start, partition.end):
            yield n, f"number {n}"

    def commit(self, end):
        with open(self.path / "commits", "a") as file:
            file.write(json.dumps(end) + "\n")


class Simple(DataSource):
    @classmethod
    def name(cls):
        return "simple"

    def schema(self):
        return "n INT"

    def simpleStreamReader(self, schema):
        return SimpleReader(self.options["path"])


class SimpleReader(SimpleDataSourceStreamReader):
    def __init__(self, path):
        self.path = pathlib.Path(path)

    def initialOffset(self):
        return {"at": 0}

    def read(self, start):
        end = int((self.path / "end").read_text())
        return iter([(n,) for n in range(start["at"], end)]), {"at": end}

    def readBetweenOffsets(self, start, end):
        return iter([(n,) for n in range(start["at"], end["at"])])


class Steps(Simple):
    @classmethod
    def name(cls):
        return "steps"

    def simpleStreamReader(self, schema):
        return StepReader(self.options["path"])


class StepReader(SimpleReader):
    """Two rows at a time, also where there are more."""

    def read(self, start):
        end = min(start["at"] + 2, int((self.path / "end").read_text()))
        return iter([(n,) for n in range(start["at"], end)]), {"at": end}


class Fails(DataSource):
    @classmethod
    def name(cls):
        return "fails"

    def schema(self):
        return "n INT"

    def streamReader(self, schema):
        return FailingReader(self.options["at"])


class FailingReader(DataSourceStreamReader):
    def __init__(self, at):
        self.at = at

    def fail(self, at):
        if at == self.at:
            raise ValueError(f"boo at {at}")

    def initialOffset(self):
        self.fail("initialOffset")
        return {"at": 0}

    def latestOffset(self):
        self.fail("latestOffset")
        return {"at": 1}

    def partitions(self, start, end):
        self.fail("partitions")
        return [InputPartition(1)]

    def read(self, partition):
        self.fail("read")
        yield (1,)


class Files(DataSource):
    """Writes what it is told into files of a directory."""

    @classmethod
    def name(cls):
        return "myfiles"

    def writer(self, schema, overwrite):
        writer = ArrowFilesWriter if self.options.get("arrow") else FilesWriter
        return writer(self.options["path"], schema.simpleString(), overwrite, self.options.get("fail"))

    def streamWriter(self, schema, overwrite):
        writer = ArrowStreamWriter if self.options.get("arrow") else StreamWriter
        return writer(self.options["path"], schema.simpleString(), overwrite, self.options.get("fail"))


class Told:
    def __init__(self, path, schema, overwrite, fail):
        self.path, self.schema, self.overwrite, self.fail = path, schema, overwrite, fail

    def tell(self, *what):
        with open(pathlib.Path(self.path) / "told", "a") as file:
            file.write(json.dumps(what) + "\n")


class FilesWriter(Told, DataSourceWriter):
    def write(self, rows):
        found = []
        for row in rows:
            assert isinstance(row, Row)
            if self.fail == str(row[0]):
                raise ValueError("boo")
            found.append(row.asDict())
        return Count(found)

    def commit(self, messages):
        if self.fail == "commit":
            raise ValueError("boo in commit")
        self.tell("commit", self.schema, self.overwrite, sorted(str(r) for m in messages for r in m.rows))

    def abort(self, messages):
        self.tell("abort", sum(m is None for m in messages) > 0)


class ArrowFilesWriter(Told, DataSourceArrowWriter):
    def write(self, batches):
        return Count([r for batch in batches for r in batch.to_pylist()])

    def commit(self, messages):
        self.tell("commit", self.schema, self.overwrite, sorted(str(r) for m in messages for r in m.rows))


class StreamWriter(Told, DataSourceStreamWriter):
    def write(self, rows):
        return Count([row.asDict() for row in rows])

    def commit(self, messages, batch):
        self.tell(batch, self.schema, self.overwrite, sorted(str(r) for m in messages for r in m.rows))

    def abort(self, messages, batch):
        self.tell("abort", batch)


class ArrowStreamWriter(Told, DataSourceStreamArrowWriter):
    def write(self, batches):
        return Count([r for batch in batches for r in batch.to_pylist()])

    def commit(self, messages, batch):
        self.tell(batch, self.schema, self.overwrite, sorted(str(r) for m in messages for r in m.rows))

    def abort(self, messages, batch):
        self.tell("abort", batch)


@pytest.fixture
def sources(spark):
    for source in [Numbers, Simple, Steps, Fails, Files]:
        spark.dataSource.register(source)
    return spark


def told(path):
    return [json.loads(line) for line in (path / "told").read_text().splitlines()]


def run(frame, tmp_path, name="out"):
    writer = frame.writeStream.format("delta").option("checkpointLocation", str(tmp_path / f"checkpoint {name}"))
    query = writer.trigger(availableNow=True).start(str(tmp_path / name))
    query.awaitTermination()
    return query


@pytest.mark.parametrize("name", ["numbers", "simple"])
def test_a_source_streams(sources, tmp_path, name):
    stream = sources.readStream.format(name).load(str(tmp_path))
    assert stream.isStreaming
    columns = {"numbers": "struct<n:int,text:string>", "simple": "struct<n:int>"}
    assert stream.schema.simpleString() == columns[name]
    (tmp_path / "end").write_text("3")
    query = run(stream, tmp_path)
    assert [json.loads(s["endOffset"]) for s in query.lastProgress["sources"]] == [{"at": 3}]
    assert query.lastProgress["numInputRows"] == 3
    (tmp_path / "end").write_text("7")
    run(stream, tmp_path)
    run(stream, tmp_path)
    rows = sources.read.format("delta").load(str(tmp_path / "out"))
    assert sorted(r.n for r in rows.collect()) == list(range(7))
    if name == "numbers":
        assert sorted(r.text for r in rows.collect())[0] == "number 0"
        assert json.loads((tmp_path / "commits").read_text().splitlines()[0]) == {"at": 3}


def test_a_reader_that_knows_no_end_goes_on_where_it_was(sources, tmp_path):
    """With `availableNow` each run is one batch of what the reader gives from the committed offset on."""
    stream = sources.readStream.format("steps").load(str(tmp_path))
    (tmp_path / "end").write_text("5")
    ends = []
    for _ in range(4):
        query = run(stream, tmp_path)
        ends += [json.loads(p["sources"][0]["endOffset"])["at"] for p in query.recentProgress]
    assert ends == [2, 4, 5]
    rows = sources.read.format("delta").load(str(tmp_path / "out"))
    assert sorted(r.n for r in rows.collect()) == list(range(5))


def test_a_source_streams_by_its_own_trigger(sources, tmp_path):
    (tmp_path / "end").write_text("2")
    stream = sources.readStream.format("numbers").load(str(tmp_path))
    query = stream.writeStream.format("memory").queryName("numbers").start()
    query.processAllAvailable()
    (tmp_path / "end").write_text("5")
    query.processAllAvailable()
    query.stop()
    assert sorted(r.n for r in sources.table("numbers").collect()) == list(range(5))


@pytest.mark.parametrize("at", ["initialOffset", "latestOffset", "partitions", "read"])
def test_a_source_that_fails(sources, tmp_path, at):
    stream = sources.readStream.format("fails").option("at", at).load()
    with pytest.raises(Exception, match=f"boo at {at}"):
        run(stream, tmp_path)


@pytest.mark.parametrize("arrow", ["", "yes"])
def test_a_source_is_written_to(sources, tmp_path, arrow):
    rows = sources.createDataFrame([(1, "a"), (2, None), (3, "c")], "n INT, t STRING")
    writer = rows.write.format("myfiles").option("arrow", arrow)
    writer.mode("append").save(str(tmp_path))
    writer.mode("overwrite").save(str(tmp_path))
    rows.limit(0).write.format("myfiles").option("arrow", arrow).mode("append").save(str(tmp_path))
    found = sorted(str(r) for r in [{"n": 1, "t": "a"}, {"n": 2, "t": None}, {"n": 3, "t": "c"}])
    schema = "struct<n:int,t:string>"
    assert told(tmp_path) == [["commit", schema, False, found], ["commit", schema, True, found], ["commit", schema, False, []]]


def test_a_write_that_fails(sources, tmp_path):
    rows = sources.createDataFrame([(1, "a"), (2, None)], "n INT, t STRING")
    with pytest.raises(Exception, match="boo"):
        rows.write.format("myfiles").option("fail", "2").mode("append").save(str(tmp_path))
    assert told(tmp_path) == [["abort", True]]
    with pytest.raises(Exception, match="boo in commit"):
        rows.write.format("myfiles").option("fail", "commit").mode("append").save(str(tmp_path))
    for mode in ["error", "ignore"]:
        with pytest.raises(Exception, match="UNSUPPORTED_DATA_SOURCE_SAVE_MODE"):
            rows.write.format("myfiles").mode(mode).save(str(tmp_path))


@pytest.mark.parametrize("arrow", ["", "yes"])
def test_a_stream_is_written_to_a_source(sources, tmp_path, arrow):
    (tmp_path / "end").write_text("2")
    stream = sources.readStream.format("numbers").load(str(tmp_path))

    def write():
        writer = stream.writeStream.format("myfiles").option("path", str(tmp_path)).option("arrow", arrow)
        query = writer.option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True).start()
        query.awaitTermination()

    write()
    (tmp_path / "end").write_text("3")
    write()
    rows = [str({"n": n, "text": f"number {n}"}) for n in range(3)]
    schema = "struct<n:int,text:string>"
    assert told(tmp_path) == [[0, schema, False, rows[:2]], [1, schema, False, rows[2:]]]
