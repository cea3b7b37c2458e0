"""Sinks: where rows go that do not end in a table of the pipeline."""

from __future__ import annotations

from typing import Any

from dlt import arguments
from dlt.definitions import Dataset, caller
from dlt.registry import active


def create_sink(name: str, format: str, options: dict[str, str] | None = None) -> None:
    """Makes a sink that append flows can have as their target. A full refresh does not clear it.

        dlt.create_sink("export", format="delta", options={"path": "/mnt/export"})

        @dlt.append_flow(target="export")
        def to_export():
            return dlt.read_stream("silver_sales")
    """
    sink = Dataset(arguments.dataset_name("name", name), "sink", caller())
    sink.format = arguments.text("format", format)
    sink.options = arguments.settings("options", options)
    active().add_dataset(sink)


def foreach_batch_sink(*args: Any, **kwargs: Any) -> Any:
    """Not supported: refused by name.

        @dlt.foreach_batch_sink(name="own")      # raises
        def write(df, batch_id): ...
    """
    raise arguments.unsupported("dlt.foreach_batch_sink")
