"""Tables and views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dlt import arguments
from dlt.definitions import Dataset, Flow, caller
from dlt.expectations import rules
from dlt.registry import active

Function = TypeVar("Function", bound=Callable[[], Any])
Decorator = Callable[[Function], Function]


def table(
    query_function: Function | None = None,
    *,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: dict[str, str] | None = None,
    table_properties: dict[str, str] | None = None,
    path: str | None = None,
    partition_cols: list[str] | None = None,
    cluster_by_auto: bool | None = None,
    cluster_by: list[str] | None = None,
    schema: Any = None,
    row_filter: str | None = None,
    private: bool | None = None,
    temporary: bool | None = None,
) -> Function | Decorator:
    """Makes a function that returns a DataFrame a table: a streaming table if it reads a stream, else a materialized
    view.

        @dlt.table(name="bronze_sales", comment="As it came", table_properties={"quality": "bronze"})
        def bronze():
            return spark.readStream.format("cloudFiles").option("cloudFiles.format", "json").load("/mnt/sales")

    `path` is where the table's files lie, else the catalog decides. `schema` is a StructType or a DDL string. A
    `private` table (`temporary` in old code) is seen by the pipeline only.
    """
    return _table(
        "table",
        "auto",
        query_function,
        name=name,
        comment=comment,
        spark_conf=spark_conf,
        table_properties=table_properties,
        path=path,
        partition_cols=partition_cols,
        cluster_by_auto=cluster_by_auto,
        cluster_by=cluster_by,
        schema=schema,
        row_filter=row_filter,
        private=arguments.flag("private", private) or arguments.flag("temporary", temporary),
    )


def materialized_view(
    query_function: Function | None = None,
    *,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: dict[str, str] | None = None,
    table_properties: dict[str, str] | None = None,
    path: str | None = None,
    partition_cols: list[str] | None = None,
    cluster_by_auto: bool | None = None,
    cluster_by: list[str] | None = None,
    schema: Any = None,
    row_filter: str | None = None,
    private: bool | None = None,
    refresh_policy: str | None = None,
) -> Function | Decorator:
    """Makes a function a materialized view: after each update the table equals the query's result.

        @dlt.materialized_view
        def revenue_by_day():
            return dlt.read("silver_sales").groupBy("sale_date").sum("amount")
    """
    policy = arguments.optional_text("refresh_policy", refresh_policy)
    if policy is not None and policy.lower() != "auto":
        raise arguments.unsupported(f"refresh_policy={refresh_policy!r} of materialized_view")
    return _table(
        "materialized_view",
        "materialized_view",
        query_function,
        name=name,
        comment=comment,
        spark_conf=spark_conf,
        table_properties=table_properties,
        path=path,
        partition_cols=partition_cols,
        cluster_by_auto=cluster_by_auto,
        cluster_by=cluster_by,
        schema=schema,
        row_filter=row_filter,
        private=arguments.flag("private", private),
    )


def view(
    query_function: Function | None = None,
    *,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: dict[str, str] | None = None,
) -> Function | Decorator:
    """Makes a function a view that the pipeline's other datasets can read. Nothing is stored.

        @dlt.view
        @dlt.expect("known_store", "store_id < 100")
        def sales_with_store():
            return dlt.read("silver_sales").join(spark.table("stores"), "store_id")
    """
    return _view("view", query_function, name, comment, spark_conf)


def temporary_view(
    query_function: Function | None = None,
    *,
    name: str | None = None,
    comment: str | None = None,
    spark_conf: dict[str, str] | None = None,
) -> Function | Decorator:
    """The same as `view`, by the name of `pyspark.pipelines`.

        @dlt.temporary_view(name="recent")
        def recent_sales():
            return dlt.read("silver_sales").limit(100)
    """
    return _view("temporary_view", query_function, name, comment, spark_conf)


def create_streaming_table(
    name: str,
    comment: str | None = None,
    spark_conf: dict[str, str] | None = None,
    table_properties: dict[str, str] | None = None,
    path: str | None = None,
    partition_cols: list[str] | None = None,
    cluster_by_auto: bool | None = None,
    cluster_by: list[str] | None = None,
    schema: Any = None,
    expect_all: dict[str, str] | None = None,
    expect_all_or_drop: dict[str, str] | None = None,
    expect_all_or_fail: dict[str, str] | None = None,
    row_filter: str | None = None,
) -> None:
    """Makes a streaming table without a query of its own: append flows or changes (`create_auto_cdc_flow`) fill it.

        dlt.create_streaming_table("all_sales", expect_all_or_drop={"has_id": "sale_id IS NOT NULL"})

        @dlt.append_flow(target="all_sales")
        def west():
            return spark.readStream.table("sales_west")
    """
    if arguments.settings("spark_conf", spark_conf):
        raise arguments.unsupported("spark_conf of create_streaming_table (give it to the flows)")
    dataset = _stored(
        arguments.dataset_name("name", name),
        "streaming_table",
        comment=comment,
        table_properties=table_properties,
        path=path,
        partition_cols=partition_cols,
        cluster_by_auto=cluster_by_auto,
        cluster_by=cluster_by,
        schema=schema,
        row_filter=row_filter,
        private=False,
    )
    dataset.add_rules(
        rules("expect_all", expect_all, "warn")
        + rules("expect_all_or_drop", expect_all_or_drop, "drop")
        + rules("expect_all_or_fail", expect_all_or_fail, "fail")
    )
    active().add_dataset(dataset)


# The names of earlier releases.
create_target_table = create_streaming_table
create_streaming_live_table = create_streaming_table
create_table = table
create_view = view


def _table(decorator: str, kind: str, query_function: Function | None, **details: Any):
    name = arguments.optional_text("name", details.pop("name"))
    spark_conf = arguments.settings("spark_conf", details.pop("spark_conf"))

    def define(function: Function) -> Function:
        arguments.function(decorator, function)
        dataset = _stored(_name(name, function), kind, **details)
        return _define(dataset, function, spark_conf)

    return define if query_function is None else define(query_function)


def _view(decorator: str, query_function: Function | None, name: Any, comment: Any, spark_conf: Any):
    name = arguments.optional_text("name", name)
    comment = arguments.optional_text("comment", comment)
    spark_conf = arguments.settings("spark_conf", spark_conf)

    def define(function: Function) -> Function:
        arguments.function(decorator, function)
        return _define(Dataset(_name(name, function), "view", caller(), comment), function, spark_conf)

    return define if query_function is None else define(query_function)


def _name(name: str | None, function: Any) -> str:
    return arguments.dataset_name("name", name if name is not None else function.__name__)


def _stored(name: str, kind: str, **details: Any) -> Dataset:
    if arguments.flag("cluster_by_auto", details.pop("cluster_by_auto")):
        raise arguments.unsupported(f"cluster_by_auto of the table {name} (name the columns with cluster_by)")
    schema = details["schema"]
    if schema is not None and not isinstance(schema, str) and type(schema).__name__ != "StructType":
        raise arguments.wrong_type("schema", "str or StructType", schema)
    return Dataset(
        name=name,
        kind=kind,
        location=caller(),
        comment=arguments.optional_text("comment", details["comment"]),
        table_properties=arguments.settings("table_properties", details["table_properties"]),
        partition_cols=arguments.names("partition_cols", details["partition_cols"]),
        cluster_by=arguments.names("cluster_by", details["cluster_by"]),
        schema=schema,
        path=arguments.optional_text("path", details["path"]),
        row_filter=arguments.optional_text("row_filter", details["row_filter"]),
        private=details["private"],
    )


def _define(dataset: Dataset, function: Function, spark_conf: dict[str, str]) -> Function:
    definitions = active()
    dataset.add_rules(definitions.take_rules(function))
    definitions.add_dataset(dataset)
    definitions.add_flow(Flow(dataset.name, dataset.name, function, dataset.location, spark_conf))
    # Expectations above this decorator find the dataset by the function they get.
    function._dlt_dataset = dataset
    return function
