"""Spark's side of tpch.py and tpcds.py: reads one query a line, as JSON, and answers with the seconds it took or, where asked
for, with columns and rows."""

import base64
import json
import pickle
import sys
import time

from pyspark.sql import SparkSession

directories = json.loads(sys.argv[1])
spark = (SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false").config("spark.driver.memory", "6g")
         .config("spark.sql.shuffle.partitions", "4").config("spark.log.level", "ERROR").getOrCreate())
for key, value in json.loads(sys.argv[2]).items():
    spark.conf.set(key, value)
for table, directory in directories.items():
    spark.read.parquet(directory).createOrReplaceTempView(table)
print("ready", flush=True)
for line in sys.stdin:
    text, wants_rows = json.loads(line)
    begin = time.perf_counter()
    frame = spark.sql(text)
    rows = frame.collect()
    if wants_rows:
        columns = [(f.name, f.dataType.simpleString(), f.nullable) for f in frame.schema.fields]
        answer = pickle.dumps((columns, [tuple(row) for row in rows]))
        print(base64.b64encode(answer).decode(), flush=True)
    else:
        print(time.perf_counter() - begin, flush=True)
