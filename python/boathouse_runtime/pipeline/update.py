"""The state of an update, folded from its events. No input or output: `progress` and `report` draw it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

FINISHED = ("COMPLETED", "FAILED", "SKIPPED", "EXCLUDED", "CANCELED", "STOPPED", "IDLE")


@dataclass
class Expectation:
    name: str
    dataset: str
    passed: int
    failed: int
    action: str | None = None


@dataclass
class Metrics:
    """What one query did: a whole flow, or one batch of a streaming one."""

    rows: int | None = None
    upserted: int | None = None
    deleted: int | None = None
    dropped: int | None = None
    expectations: list[Expectation] = field(default_factory=list)


@dataclass
class FlowState:
    """What is known of one flow."""

    state: str = "QUEUED"
    # By batch; the newest event of a batch counts.
    batches: dict[int | None, Metrics] = field(default_factory=dict)


@dataclass
class DatasetState:
    name: str
    kind: str = ""
    flows: dict[str, FlowState] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)

    @property
    def is_view(self) -> bool:
        """Whether nothing is stored, and so nothing is run."""
        return self.kind.endswith("temporary view")

    @property
    def state(self) -> str:
        """The state of a dataset whose flows have states of their own; `EXCLUDED` where the update has none of them."""
        if not self.flows:
            return "EXCLUDED"
        states = [f.state for f in self.flows.values()]
        for one in ("FAILED", "RUNNING", "STARTING", "SKIPPED", "CANCELED"):
            if one in states:
                return one
        unfinished = [s for s in states if s not in FINISHED]
        return unfinished[0] if unfinished else states[-1]

    @property
    def metrics(self) -> list[Metrics]:
        return [m for f in self.flows.values() for m in f.batches.values()]

    def total(self, what: str) -> int | None:
        """A number of all flows and batches together; None where none has told it."""
        known = [getattr(m, what) for m in self.metrics if getattr(m, what) is not None]
        return sum(known) if known else None

    @property
    def expectations(self) -> list[Expectation]:
        """The expectations, of all flows and batches together."""
        # A flow tells of its views as well.
        found: dict[tuple[str, str], Expectation] = {}
        for e in (e for m in self.metrics for e in m.expectations):
            before = found.get((e.dataset, e.name))
            if before is None:
                found[e.dataset, e.name] = Expectation(e.name, e.dataset, e.passed, e.failed, e.action)
            else:
                before.passed += e.passed
                before.failed += e.failed
        return list(found.values())


@dataclass
class Problem:
    """An event that tells of an error."""

    dataset: str | None
    message: str


class Update:
    """All that the events of one update have told so far."""

    def __init__(self) -> None:
        self.datasets: dict[str, DatasetState] = {}
        self.state = "CREATED"
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.actions: dict[tuple[str, str], str] = {}  # (dataset, rule) -> action, as the code says it

    @property
    def failed(self) -> bool:
        return self.state == "FAILED" or bool(self.problems)

    def apply(self, event: dict[str, Any]) -> None:
        """Takes in one row of the event log."""
        origin = event.get("origin") or {}
        details = event.get("details") or {}
        if isinstance(details, str):
            details = json.loads(details)
        dataset, flow = _short(origin.get("dataset_name")), _short(origin.get("flow_name"))
        progress = details.get("flow_progress")
        if progress and (dataset or flow):
            self._flow_progress(dataset or flow or "", flow or dataset or "", origin.get("batch_id"), progress)
        if details.get("dataset_definition") and dataset:
            kind = str(details["dataset_definition"].get("dataset_type", ""))
            self._dataset(dataset).kind = kind.lower().replace("_", " ")
        if details.get("flow_definition") and dataset:
            inputs = self._dataset(dataset).inputs
            inputs.extend(i for i in details["flow_definition"].get("input_datasets") or [] if i not in inputs)
        if details.get("update_progress"):
            self.state = str(details["update_progress"].get("state", self.state)).upper()
        if details.get("update_progress"):
            # That an update failed is told by what made it fail.
            if event.get("error") and not self.problems:
                self._problem(None, event)
        elif event.get("level") == "ERROR" or event.get("error"):
            self._problem(dataset or flow, event)
        elif event.get("level") == "WARN":
            self.warnings.append(str(event.get("message", "")))

    def _dataset(self, name: str) -> DatasetState:
        return self.datasets.setdefault(name, DatasetState(name))

    def _flow_progress(self, dataset: str, flow: str, batch: int | None, progress: dict[str, Any]) -> None:
        state = self._dataset(dataset).flows.setdefault(flow, FlowState())
        state.state = str(progress.get("status") or state.state).upper()
        metrics, quality = progress.get("metrics"), progress.get("data_quality")
        if not metrics and not quality:
            return
        known = state.batches.setdefault(batch, Metrics())
        for name, value in (metrics or {}).items():
            attribute = {"num_output_rows": "rows", "num_upserted_rows": "upserted", "num_deleted_rows": "deleted"}.get(name)
            if attribute and value is not None:
                setattr(known, attribute, int(value))
        if quality:
            known.dropped = int(quality.get("dropped_records") or 0)
            known.expectations = [self._expectation(dataset, e) for e in quality.get("expectations") or []]

    def _expectation(self, dataset: str, e: dict[str, Any]) -> Expectation:
        owner = _short(e.get("dataset")) or dataset
        action = e.get("action") or self.actions.get((owner, e["name"]))
        return Expectation(e["name"], owner, int(e.get("passed_records") or 0), int(e.get("failed_records") or 0), action)

    def _problem(self, dataset: str | None, event: dict[str, Any]) -> None:
        problem = Problem(dataset, _cause(event.get("error")) or str(event.get("message") or ""))
        if problem not in self.problems:
            self.problems.append(problem)


def _cause(error: Any) -> str:
    if isinstance(error, str):
        try:
            error = json.loads(error)
        except ValueError:
            return error
    if isinstance(error, dict):
        messages = [str(x.get("message", "")) for x in error.get("exceptions") or [] if isinstance(x, dict)]
        return "\n".join(m for m in messages if m) or str(error.get("message", ""))
    return ""


def _short(name: str | None) -> str | None:
    return short(name) if name else None


def short(name: str) -> str:
    """The last part of a name: the catalog and schema are the pipeline's for nearly all."""
    return name.replace("`", "").rsplit(".", 1)[-1]
