"""Spark's side of tpch.py: reads one query a line, as JSON, and answers with the seconds it took."""

import json
import sys
import time

from pyspark.sql import SparkSession

directories = json.loads(sys.argv[1])
spark = (SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false").config("spark.driver.memory", "6g")
         .config("spark.sql.shuffle.partitions", "4").config("spark.log.level", "ERROR").getOrCreate())
for table, directory in directories.items():
    spark.read.parquet(directory).createOrReplaceTempView(table)
print("ready", flush=True)
for line in sys.stdin:
    begin = time.perf_counter()
    spark.sql(json.loads(line)).collect()
    print(time.perf_counter() - begin, flush=True)
