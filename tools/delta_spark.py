#!/usr/bin/env python3
"""Runs a command beside a Spark Connect server of Apache Spark with delta-spark and its Kafka connector, whose address is in BOATHOUSE_SPARK_REMOTE.

    pip install 'pyspark[connect]==4.2.*'      # in an environment of its own; and Java 17
    python tools/delta_spark.py COMMAND [ARGS...]

The jars come from Maven the first time. The command's exit code is this program's.
"""

import os
import socket
import subprocess
import sys
import tempfile

PACKAGES = "io.delta:delta-spark_2.13:4.4.0,org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0"
SETTINGS = {
    "spark.jars.packages": PACKAGES,
    "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "1500m",
    # On a machine that is busy for minutes Spark would take its own executor for lost, which it never gets back.
    "spark.network.timeout": "3600s",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    from pyspark.sql import SparkSession

    port = free_port()
    builder = SparkSession.builder.master("local[2]").config("spark.connect.grpc.binding.port", port)
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    with tempfile.TemporaryDirectory() as warehouse:
        spark = builder.config("spark.sql.warehouse.dir", warehouse).getOrCreate()
        try:
            environment = {**os.environ, "BOATHOUSE_SPARK_REMOTE": f"sc://localhost:{port}"}
            return subprocess.run(sys.argv[1:], env=environment).returncode
        finally:
            spark.stop()


if __name__ == "__main__":
    sys.exit(main())
