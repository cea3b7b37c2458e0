"""Aggregations by long keys of another table are made by its key first; the rows are those of the plain plan."""

from collections import Counter

import pytest
from pyspark.sql import SparkSession

SALES = 400_000
CUSTOMERS = 1000
FUNCTIONS = [
    "count(*), count(qty), sum(qty), min(qty), max(qty)",
    "sum(price), avg(price), avg(qty)",
    "round(stddev(weight), 6), round(var_pop(weight), 6), max(weight)",
    "sum(qty) FILTER (WHERE qty % 3 = 0), bool_or(qty = 7), bit_xor(qty)",
    "sum(price * qty - 1), min(day)",
]
GROUPINGS = ["name, city", "name, year(day)", "upper(name), store", "ROLLUP (name, store)", "GROUPING SETS ((name, city), (store))"]
JOINED = """
    eager.sales JOIN eager.customers ON customer = key
    JOIN eager.stores ON store = store_key
"""


@pytest.fixture(scope="module")
def star(remote):
    spark = SparkSession.builder.remote(remote).create()
    spark.sql("CREATE SCHEMA eager")
    # Sales without a customer, and with one that is not there. A key of customers that is there twice, and names that are.
    spark.sql(f"""
        CREATE TABLE eager.sales AS SELECT IF(id % 101 = 0, NULL, CAST(id * 7919 % {CUSTOMERS + 50} AS INT)) AS customer,
            CAST(id % 4 AS INT) AS store, IF(id % 11 = 0, NULL, CAST(id % 13 AS INT)) AS qty,
            CAST(id % 997 AS DECIMAL(7, 2)) AS price, CAST(id % 17 AS DOUBLE) / 3 AS weight, date_add(DATE'2024-12-01', CAST(id % 60 AS INT)) AS day
        FROM range({SALES})
    """)
    spark.sql(f"""
        CREATE TABLE eager.customers AS SELECT CAST(id AS INT) AS key, concat('customer ', id % 300) AS name, IF(id % 5 = 0, NULL, concat('city ', id % 9)) AS city
        FROM range({CUSTOMERS}) UNION ALL SELECT 17, 'another 17', 'city 1'
    """)
    spark.sql("CREATE TABLE eager.stores AS SELECT CAST(id AS INT) AS store_key, concat('store ', id) AS store_name FROM range(4)")
    yield
    spark.sql("DROP SCHEMA eager CASCADE")
    spark.stop()


def rows(spark, query):
    return sorted((tuple(row) for row in spark.sql(query).collect()), key=repr)


def plan(spark, query):
    return spark.sql(f"EXPLAIN {query}").first()[0]


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("functions", FUNCTIONS)
def test_the_rows_of_the_plain_plan(spark, star, grouping, functions):
    eager = f"SELECT {functions} FROM {JOINED} GROUP BY {grouping}"
    # What a LIMIT has left is joined as it is.
    plain = f"SELECT {functions} FROM (SELECT * FROM {JOINED} LIMIT {10 * SALES}) GROUP BY {grouping}"
    assert "first_step" in plan(spark, eager) and "first_step" not in plan(spark, plain)
    found = rows(spark, eager)
    assert found == rows(spark, plain)
    assert len(found) > 4


def test_sums_by_hand(spark, star):
    """Customer 17 is there under two names; each has all of its sales."""
    of_17 = [i for i in range(SALES) if i % 101 and i * 7919 % (CUSTOMERS + 50) == 17]
    found = spark.sql("SELECT name, count(*) AS n, sum(price) AS total FROM eager.sales JOIN eager.customers ON customer = key WHERE key = 17 GROUP BY name, city")
    assert {r.name: (r.n, r.total) for r in found.collect()} == {
        name: (len(of_17), sum(i % 997 for i in of_17)) for name in ("customer 17", "another 17")
    }


@pytest.mark.parametrize("query", [
    "SELECT name, count(DISTINCT qty) FROM eager.sales JOIN eager.customers ON customer = key GROUP BY name",
    "SELECT name, collect_list(qty) FROM eager.sales JOIN eager.customers ON customer = key GROUP BY name",
    "SELECT name, first(qty) FROM eager.sales JOIN eager.customers ON customer = key GROUP BY name",
    "SELECT name, sum(qty + key) FROM eager.sales JOIN eager.customers ON customer = key GROUP BY name",
    "SELECT name, sum(qty) FROM eager.sales LEFT JOIN eager.customers ON customer = key GROUP BY name",
    "SELECT name, sum(qty) FROM eager.sales JOIN eager.customers ON customer = key AND qty > length(name) GROUP BY name",
    "SELECT name, sum(qty) FROM eager.sales JOIN eager.customers ON customer = key GROUP BY name, rand()",
    # Hardly two rows are alike.
    "SELECT name, sum(qty) FROM eager.sales JOIN eager.customers ON customer = key GROUP BY name, price, day",
])
def test_left_alone(spark, star, query):
    assert "first_step" not in plan(spark, query)


def test_overflow_is_the_error_of_the_sum(spark, star):
    with pytest.raises(Exception, match="ARITHMETIC_OVERFLOW"):
        spark.sql("SELECT name, sum(qty + 9223372036854770000L) FROM eager.sales JOIN eager.customers ON customer = key GROUP BY name").collect()


def test_a_key_that_a_filter_has_fixed(spark, star):
    query = "SELECT store, customer, count(*) AS n FROM eager.sales WHERE store = 2 GROUP BY store, customer"
    assert "InNoOrder" in plan(spark, query)
    customers = [None if i % 101 == 0 else i * 7919 % (CUSTOMERS + 50) for i in range(2, SALES, 4)]
    assert {(r.customer, r.n) for r in spark.sql(query).collect()} == {(c, n) for c, n in Counter(customers).items()}
    assert {r.store for r in spark.sql(query).collect()} == {2}
