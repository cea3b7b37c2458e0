"""A write has several writers at once: one for each part of its plan."""

import pathlib
import time

WRITERS = 2


def until_files(directory, number):
    """Gives rows until so many files are being written: with one writer after another that never comes."""
    import pyarrow as pa

    def batches(parts):
        count, deadline = sum(part.num_rows for part in parts), time.monotonic() + 120
        assert count == 1, "the parts of the plan are not those that were asked for"
        while len(list(pathlib.Path(directory).glob("*.parquet"))) < number:
            if time.monotonic() > deadline:
                raise RuntimeError("the other writers did not begin")
            yield pa.record_batch([pa.array(range(4096), pa.int64())], ["v"])
            time.sleep(0.001)

    return batches


def test_writers_write_at_once(spark, tmp_path):
    path = tmp_path / "t"
    spark.sql(f"CREATE TABLE delta.`{path}` (v BIGINT) USING delta TBLPROPERTIES ('delta.autoOptimize.optimizeWrite' = 'false')")
    source = spark.range(0, WRITERS, 1, WRITERS).mapInArrow(until_files(str(path), WRITERS), "v BIGINT")
    source.write.format("delta").mode("append").save(str(path))
    assert spark.sql(f"DESCRIBE DETAIL delta.`{path}`").first()["numFiles"] == WRITERS
    assert spark.sql(f"SELECT count(DISTINCT v) FROM delta.`{path}`").first()[0] == 4096
