"""The definitions of the pipeline that is being loaded.

    from dlt.registry import recording

    with recording() as definitions:
        import my_pipeline           # its decorators record here, nothing runs
    assert set(definitions.datasets) == {"bronze_sales", "silver_sales"}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pyspark.errors import PySparkRuntimeError

from dlt.definitions import AutoCdcFlow, Dataset, Flow, Hook, Location, Rule, caller


class Definitions:
    """Everything that the code of one pipeline defines, in the order of the code."""

    def __init__(self) -> None:
        self.datasets: dict[str, Dataset] = {}
        self.flows: list[Flow] = []
        self.cdc_flows: list[AutoCdcFlow] = []
        self.hooks: list[Hook] = []
        # Rules on functions that no decorator has made a dataset of yet.
        self.loose_rules: dict[Callable, tuple[list[Rule], Location]] = {}

    def add_dataset(self, dataset: Dataset) -> None:
        other = self.datasets.get(dataset.name)
        if other is not None:
            raise ValueError(
                f"{dataset.name} is defined twice: at {other.location} and at {dataset.location}. "
                "Give one another name, or use append_flow to fill one table from two queries."
            )
        self.datasets[dataset.name] = dataset

    def add_flow(self, flow: Flow | AutoCdcFlow) -> None:
        for other in [*self.flows, *self.cdc_flows]:
            if other.name == flow.name:
                raise ValueError(
                    f"The flow {flow.name} is defined twice: at {other.location} and at {flow.location}. "
                    "Name one with name=..."
                )
        if isinstance(flow, AutoCdcFlow):
            self.cdc_flows.append(flow)
        else:
            self.flows.append(flow)

    def add_rules(self, function: Any, rules: list[Rule]) -> None:
        """Rules of a decorated function: of its dataset, or kept for the decorator that makes it one."""
        dataset = getattr(function, "_dlt_dataset", None)
        if dataset is not None:
            dataset.add_rules(rules)
        else:
            kept, location = self.loose_rules.get(function, ([], caller()))
            self.loose_rules[function] = ([*rules, *kept], location)

    def take_rules(self, function: Callable) -> list[Rule]:
        return self.loose_rules.pop(function, ([], None))[0]

    def check(self) -> None:
        """Refuses what would have no effect: expectations on a function that is no table or view."""
        for function, (rules, location) in self.loose_rules.items():
            names = ", ".join(r.name for r in rules)
            raise ValueError(
                f"{getattr(function, '__name__', function)} ({location}) has the expectations {names} but is no table "
                "or view: add @dlt.table or @dlt.view. Expectations of a table that append_flow fills belong to "
                "create_streaming_table(expect_all=...)."
            )


_active: ContextVar[Definitions | None] = ContextVar("dlt_definitions", default=None)


def active() -> Definitions:
    """The definitions that are being recorded."""
    definitions = _active.get()
    if definitions is None:
        raise PySparkRuntimeError(
            errorClass="GRAPH_ELEMENT_DEFINED_OUTSIDE_OF_DECLARATIVE_PIPELINE", messageParameters={}
        ) from RuntimeError("No pipeline is being loaded: run this file with `boathouse pipeline run FILE`.")
    return definitions


@contextmanager
def recording(definitions: Definitions | None = None) -> Iterator[Definitions]:
    """Records what is defined inside the block."""
    definitions = definitions or Definitions()
    token = _active.set(definitions)
    try:
        yield definitions
    finally:
        _active.reset(token)
