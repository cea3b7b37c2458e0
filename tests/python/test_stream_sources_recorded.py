"""Streams of files have the batches, and refuse, what Spark 4.2 does (`scenarios_stream_sources.py`)."""

import pytest
import scenarios_stream_sources
from recorded import check


@pytest.mark.parametrize("name", scenarios_stream_sources.SCENARIOS)
def test_stream_sources(spark, tmp_path, name):
    check("stream_sources", name, scenarios_stream_sources.SCENARIOS[name], spark, tmp_path)


def test_files_beside_partitions_are_no_part(spark, tmp_path):
    """Whatever comes with them: Spark fails over a batch of nothing else."""
    for n, place in enumerate(["p=1/0.json", "1.json"]):
        (tmp_path / "in" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / place).write_text(f'{{"id": {n}}}')
        query = spark.readStream.schema("id INT, p INT").json(str(tmp_path / "in")).writeStream.format("parquet")
        query = query.option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True).start(str(tmp_path / "out"))
        query.awaitTermination()
    assert [tuple(row) for row in spark.read.parquet(str(tmp_path / "out")).collect()] == [(0, 1)]


@pytest.mark.parametrize("format, options", [("avro", {}), ("xml", {"rowTag": "row"})])
def test_formats_that_spark_has_apart(spark, tmp_path, format, options):
    """Avro and XML: a batch a file, NULLs included, and over a restart only what is new."""
    place, out = str(tmp_path / "in"), str(tmp_path / "out")

    def run():
        frame = spark.readStream.format(format).options(maxFilesPerTrigger=1, **options).schema("id INT, s STRING").load(place)
        query = frame.writeStream.format("parquet").option("checkpointLocation", str(tmp_path / "c"))
        query = query.trigger(availableNow=True).start(out)
        query.awaitTermination()
        return [p["numInputRows"] for p in query.recentProgress if "addBatch" in p["durationMs"]]

    for rows, batches in [("VALUES (1, 'a'), (2, NULL) AS t(id, s)", [2]), ("VALUES (3, 'c') AS t(id, s)", [1])]:
        spark.sql(f"SELECT * FROM {rows}").coalesce(1).write.format(format).options(**options).mode("append").save(place)
        assert run() == batches
    assert sorted(tuple(r) for r in spark.read.parquet(out).collect()) == [(1, "a"), (2, None), (3, "c")]


def test_one_directory_of_a_partition_below_its_base(spark, tmp_path):
    """The values of the directories above it are columns; Spark fails over such a stream."""
    for n, place in enumerate(["p=1/q=x/0.json", "p=2/q=y/1.json"]):
        (tmp_path / "in" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / place).write_text(f'{{"id": {n}}}')
    for base, path, wanted in [("in", "in/p=1", (0, 1, "x")), ("in/p=2", "in/p=2/q=y", (1, "y")), ("in", "in/p=2/q=y", (1, 2, "y"))]:
        kept = tmp_path / f"{base}_{path}".replace("/", "_")
        frame = spark.readStream.schema("id INT").option("basePath", str(tmp_path / base)).json(str(tmp_path / path))
        query = frame.writeStream.format("parquet").option("checkpointLocation", str(kept / "c"))
        query.trigger(availableNow=True).start(str(kept / "out")).awaitTermination()
        assert [tuple(row) for row in spark.read.parquet(str(kept / "out")).collect()] == [wanted]


def test_a_log_of_files_that_lost_its_end(spark, tmp_path):
    """New files would be taken for those that were read."""

    def run(file):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / file).write_text('{"id": 1}')
        query = spark.readStream.schema("id INT").json(str(tmp_path / "in")).writeStream.format("noop")
        query.option("checkpointLocation", str(tmp_path / "c")).trigger(availableNow=True).start().awaitTermination()

    run("0.json")
    run("1.json")
    (tmp_path / "c" / "sources" / "0" / "1").unlink()
    with pytest.raises(Exception, match="STREAM_CHECKPOINT_CORRUPT"):
        run("2.json")
