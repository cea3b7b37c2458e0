"""Reading datasets of the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlt import arguments

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def read(name: str) -> DataFrame:
    """All rows of a table or view, of this pipeline or any other: the same as `spark.table(name)`.

        @dlt.table
        def gold():
            return dlt.read("silver").groupBy("customer_id").count()
    """
    return _session().table(arguments.dataset_name("name", name))


def read_stream(name: str) -> DataFrame:
    """The rows that are new since the last update: the same as `spark.readStream.table(name)`.

        @dlt.table
        def silver():
            return dlt.read_stream("bronze").where("amount > 0")
    """
    return _session().readStream.table(arguments.dataset_name("name", name))


def _session():
    from pyspark.sql import SparkSession

    return SparkSession.active()
