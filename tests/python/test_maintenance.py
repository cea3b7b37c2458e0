"""A server's keeper maintains the tables whose property `boathouse.maintenance` is `auto`, and no others."""

import pathlib
import time

import pytest
from conftest import Server
from pyspark.errors import AnalysisException, PySparkException

# Auto compaction wants 50 small files of a partition.
FILES = 55


def make(spark, name, maintenance, columns="id BIGINT", rest=""):
    spark.sql(
        f"CREATE TABLE {name} ({columns}) USING delta {rest} TBLPROPERTIES ({maintenance}"
        # So that what is removed may be deleted at once.
        "'delta.deletedFileRetentionDuration' = 'interval 0 seconds', 'delta.checkpointInterval' = '100')"
    )
    for i in range(FILES):
        spark.sql(f"INSERT INTO {name} VALUES ({i})").collect()


def operations(spark, name):
    return [row.operation for row in spark.sql(f"DESCRIBE HISTORY {name}").collect()]


def test_tables_that_ask_for_it_are_maintained(tmp_path):
    server = Server(tmp_path / "home", "--maintenance-interval", "0")
    try:
        spark = server.session()
        make(spark, "kept", "'boathouse.maintenance' = 'auto', ")
        make(spark, "clustered", "'boathouse.maintenance' = 'auto', ", rest="CLUSTER BY (id)")
        make(spark, "left_alone", "'boathouse.maintenance' = 'off', ")
        make(spark, "Never_Asked", "")
        location = spark.sql("DESCRIBE DETAIL kept").first()["location"].removeprefix("file:")
    finally:
        server.stop()
    server = Server(tmp_path / "home", "--maintenance-interval", "1")
    try:
        spark = server.session()
        deadline = time.monotonic() + 120
        while not all("VACUUM END" in operations(spark, name) for name in ("kept", "clustered")):
            assert time.monotonic() < deadline, server.log_path.read_text()[-2000:]
            time.sleep(0.2)
        for name in ("kept", "clustered"):
            assert operations(spark, name)[:3] == ["VACUUM END", "VACUUM START", "OPTIMIZE"]
            assert spark.sql(f"DESCRIBE DETAIL {name}").first()["numFiles"] == 1
        for name in ("left_alone", "Never_Asked"):
            assert set(operations(spark, name)) == {"CREATE TABLE", "WRITE"}
        for name in ("kept", "clustered", "left_alone", "Never_Asked"):
            row = spark.sql(f"SELECT count(*), sum(id) FROM {name}").first()
            assert tuple(row) == (FILES, FILES * (FILES - 1) // 2)
        assert len(list(pathlib.Path(location).glob("*.parquet"))) == 1
    finally:
        server.stop()


def test_the_property_takes_known_values(spark):
    spark.sql("CREATE TABLE of_maintenance (id BIGINT) USING delta")
    with pytest.raises(PySparkException, match="UNSUPPORTED_TABLE_CHANGE.*it takes auto or off"):
        spark.sql("ALTER TABLE of_maintenance SET TBLPROPERTIES ('boathouse.maintenance' = 'often')")
    with pytest.raises(AnalysisException, match="DELTA_UNKNOWN_CONFIGURATION"):
        spark.sql("ALTER TABLE of_maintenance SET TBLPROPERTIES ('boathouse.maintenence' = 'auto')")
