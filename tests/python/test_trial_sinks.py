"""`noop` and `console` as targets of `df.write`. Modes, classes of errors and the table shown are Spark 4.2's."""

import pytest
from conftest import Server
from pyspark.errors import AnalysisException, IllegalArgumentException
from pyspark.errors.exceptions.base import PySparkException


@pytest.mark.parametrize("mode", ["append", "overwrite"])
@pytest.mark.parametrize("format", ["noop", "NOOP"])
def test_noop_computes_the_rows(spark, format, mode):
    spark.range(1000).write.format(format).mode(mode).save()
    with pytest.raises(PySparkException, match="USER_RAISED_EXCEPTION"):
        spark.sql("SELECT raise_error('computed') FROM range(5)").write.format(format).mode(mode).save()


@pytest.mark.parametrize("mode", [None, "ignore", "error"])
def test_noop_appends_or_overwrites(spark, mode):
    writer = spark.range(3).write.format("noop")
    with pytest.raises(AnalysisException) as refused:
        (writer.mode(mode) if mode else writer).save()
    assert refused.value.getCondition() == "UNSUPPORTED_DATA_SOURCE_SAVE_MODE"


def test_noop_has_no_partitions(spark):
    with pytest.raises(IllegalArgumentException):
        spark.range(3).write.format("noop").mode("append").partitionBy("id").save()


def test_nothing_is_read_from_them(spark):
    with pytest.raises(AnalysisException) as refused:
        spark.read.format("noop").load().count()
    assert refused.value.getCondition() == "_LEGACY_ERROR_TEMP_1135"


def test_console_shows_rows_in_the_log_of_the_server(tmp_path):
    server = Server(tmp_path / "home")
    try:
        frame = server.session().sql("SELECT id, repeat('x', 25) AS s FROM range(3) ORDER BY id")
        frame.write.format("console").save()
        frame.write.format("console").mode("ignore").option("numRows", 1).option("truncate", "false").save()
        with pytest.raises(IllegalArgumentException, match="numRows"):
            frame.write.format("console").option("numRows", "many").save()
    finally:
        server.stop()
    shown = server.log_path.read_text()
    cut = "|  2|xxxxxxxxxxxxxxxxx...|"
    assert shown.count(cut) == 1
    assert f"|0  |{'x' * 25}|\n+---+{'-' * 25}+\nonly showing top 1 row\n" in shown
