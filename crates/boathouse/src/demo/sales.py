"""The pipeline of `boathouse demo`: bronze, silver and gold tables of sales. Change it and run it again."""

import pathlib

import dlt
from pyspark.sql.functions import avg, col, count, current_timestamp, round, sum

RAW = pathlib.Path(__file__).parents[1] / "raw" / "sales"


# Bronze: the files as they came. Files that were read before are not read again.
@dlt.table(comment="Raw sales, as is")
def bronze_sales():
    return (
        spark.readStream.format("cloudFiles")
        .option("cloudFiles.format", "json")
        .schema("sale_id STRING, customer_id BIGINT, product_id BIGINT, amount DOUBLE, quantity INT, sale_date DATE")
        .load(str(RAW))
    )


# Silver: rows that can be trusted. Only rows that are new in bronze are read.
@dlt.table(comment="Sales with a customer and a positive amount")
@dlt.expect("valid_sale_id", "sale_id IS NOT NULL")
@dlt.expect_or_drop("valid_amount", "amount > 0")
@dlt.expect_or_drop("valid_customer", "customer_id IS NOT NULL")
def silver_sales():
    return (
        dlt.read_stream("bronze_sales")
        .filter(col("sale_date").isNotNull())
        .withColumn("ingestion_timestamp", current_timestamp())
    )


# Gold: what people ask for.
@dlt.table(comment="Revenue by day")
def gold_daily_sales():
    return (
        dlt.read("silver_sales")
        .groupBy("sale_date")
        .agg(
            round(sum("amount"), 2).alias("revenue"),
            count("*").alias("sales"),
            round(avg("amount"), 2).alias("mean_amount"),
        )
    )


@dlt.table(comment="Revenue by customer")
def gold_customers():
    return (
        dlt.read("silver_sales")
        .groupBy("customer_id")
        .agg(round(sum("amount"), 2).alias("revenue"), count("*").alias("sales"))
    )
