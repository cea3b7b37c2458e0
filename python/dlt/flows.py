"""Flows: queries that add rows to a table or sink beside (or instead of) its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dlt import arguments
from dlt.definitions import Flow, caller
from dlt.registry import active

Function = TypeVar("Function", bound=Callable[[], Any])


def append_flow(
    *,
    target: str,
    name: str | None = None,
    once: bool | None = None,
    spark_conf: dict[str, str] | None = None,
    comment: str | None = None,
) -> Callable[[Function], Function]:
    """Makes a function a flow whose rows are appended to a streaming table or a sink.

        dlt.create_streaming_table("all_sales")

        @dlt.append_flow(target="all_sales")
        def sales_west():
            return spark.readStream.table("sales_west")

        @dlt.append_flow(target="all_sales", once=True)
        def sales_before_2024():
            return spark.read.parquet("/mnt/archive")

    A flow with `once` has a batch query and runs a single time, and again only after a full refresh of its target.
    """
    target = arguments.dataset_name("target", target)
    name = arguments.optional_text("name", name)
    conf = arguments.settings("spark_conf", spark_conf)
    comment = arguments.optional_text("comment", comment)
    once = arguments.flag("once", once)

    def define(function: Function) -> Function:
        arguments.function("append_flow", function)
        flow_name = name if name is not None else function.__name__
        active().add_flow(Flow(flow_name, target, function, caller(), conf, once, comment))
        return function

    return define


def update_flow(*args: Any, **kwargs: Any) -> Any:
    """Not supported: refused by name.

        @dlt.update_flow(target="a_sink")      # raises
        def changes(): ...
    """
    raise arguments.unsupported("dlt.update_flow")
