"""What a pipeline's code defines, as plain records: datasets, their rules, and the flows that fill them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Location:
    """Where something is defined, for messages."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


def caller() -> Location:
    """The place in the user's code that called this package."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return Location(frame.f_code.co_filename, frame.f_lineno)


@dataclass(frozen=True)
class Rule:
    """An expectation: a SQL condition that a row meets, and what happens to one that does not."""

    name: str
    condition: str
    action: str  # "warn", "drop" or "fail"


@dataclass
class Dataset:
    """A table, view or sink of the pipeline."""

    name: str
    kind: str  # "auto" (decided by its query), "materialized_view", "streaming_table", "view" or "sink"
    location: Location
    comment: str | None = None
    table_properties: dict[str, str] = field(default_factory=dict)
    partition_cols: list[str] | None = None
    cluster_by: list[str] | None = None
    schema: Any = None
    format: str | None = None
    path: str | None = None
    row_filter: str | None = None
    private: bool = False
    options: dict[str, str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)

    def add_rules(self, rules: list[Rule]) -> None:
        """Adds rules before those that are there: decorators are applied from the last to the first."""
        names = {r.name for r in self.rules}
        for rule in rules:
            if rule.name in names:
                raise ValueError(
                    f"{self.name} ({self.location}) has two expectations named {rule.name!r}: their results could not "
                    "be told apart. Give one another name."
                )
            names.add(rule.name)
        self.rules = [*rules, *self.rules]


@dataclass
class Flow:
    """A query whose rows go into a dataset."""

    name: str
    target: str
    function: Callable[[], Any]
    location: Location
    spark_conf: dict[str, str] = field(default_factory=dict)
    once: bool = False
    comment: str | None = None


@dataclass
class AutoCdcFlow:
    """Changes of a source applied to a streaming table; columns and conditions are SQL text."""

    name: str
    target: str
    source: str
    keys: list[str]
    sequence_by: str
    location: Location
    ignore_null_updates: bool = False
    apply_as_deletes: str | None = None
    apply_as_truncates: str | None = None
    column_list: list[str] | None = None
    except_column_list: list[str] | None = None
    scd_type: int = 1
    track_history_column_list: list[str] | None = None
    track_history_except_column_list: list[str] | None = None
    once: bool = False


@dataclass
class Hook:
    """A function that is told of the events of an update."""

    function: Callable[[dict[str, Any]], Any]
    max_consecutive_failures: int | None
    location: Location
