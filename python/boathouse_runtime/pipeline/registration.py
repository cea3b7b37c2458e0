"""Sends a pipeline's definitions to the server, and starts its run.

The messages are those of `pyspark.pipelines`; what they have no fields for (expectations, private tables, changes of type
2, structured events) travels beside them as JSON in an extension of the pipeline command.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyspark.errors import PySparkException
from pyspark.pipelines.flow import Flow as StockFlow
from pyspark.pipelines.output import MaterializedView, Output, Sink, StreamingTable, TemporaryView
from pyspark.pipelines.source_code_location import SourceCodeLocation
from pyspark.pipelines.spark_connect_graph_element_registry import SparkConnectGraphElementRegistry
from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph, start_run

from boathouse_runtime.pipeline.loading import Loaded
from boathouse_runtime.pipeline.project import Project
from dlt.definitions import AutoCdcFlow, Dataset, Flow, Location

EXTENSION = "type.googleapis.com/boathouse.PipelineExtension"
NOT_YET_RESOLVED = "PIPELINE_DATASET_NOT_YET_RESOLVED"


@dataclass
class DefinitionError:
    """A definition that the server, or the user's own code, does not accept."""

    name: str
    location: Location | None
    error: BaseException


@dataclass
class Selection:
    """Which datasets a run computes, and which of them from the start."""

    full_refresh: list[str]
    full_refresh_all: bool
    refresh: list[str]


class Registration:
    """One dataflow graph on the server."""

    def __init__(self, spark: Any, project: Project) -> None:
        self.spark = spark
        self.project = project
        self.errors: list[DefinitionError] = []
        # Query functions that never got the columns they asked for.
        self.waiting: list[DefinitionError] = []
        self.graph_id = create_dataflow_graph(spark, project.catalog, project.schema, project.configuration)
        self._stock = SparkConnectGraphElementRegistry(spark, self.graph_id)
        self._extend(
            "pipeline",
            name=project.name,
            root=str(project.root),
            storage=project.storage,
            configuration=project.configuration,
            development=True,
            events="json",
        )

    def register(self, loaded: Loaded) -> None:
        """Sends everything; what is not accepted is kept in `errors`."""
        for dataset in loaded.definitions.datasets.values():
            self._attempt(dataset.name, dataset.location, lambda d=dataset: self._register_dataset(d))
        for text, path in loaded.sql:
            self._attempt(str(path), None, lambda t=text, p=path: self._stock.register_sql(t, p))
        for flow in loaded.stock_cdc_flows:
            self._attempt(flow.name, None, lambda f=flow: self._stock.register_auto_cdc_flow(f))
        for flow in loaded.definitions.cdc_flows:
            self._attempt(flow.name, flow.location, lambda f=flow: self._register_cdc(f))
        self._register_flows(loaded.definitions.flows)

    def start(self, selection: Selection, dry: bool) -> Iterator[dict[str, Any]]:
        """Starts the run and gives its events, rows of the event log."""
        results = start_run(
            self.spark,
            self.graph_id,
            full_refresh=selection.full_refresh,
            full_refresh_all=selection.full_refresh_all,
            refresh=selection.refresh,
            dry=dry,
            storage=self.project.storage or "",
        )
        for result in results:
            if "pipeline_event_result" in result:
                yield _event(result["pipeline_event_result"].event)

    def _register_flows(self, flows: list[Flow]) -> None:
        """Runs the query functions. One that asks about a dataset whose own function has not run yet is set aside and
        called again after the others, until none gets further."""
        waiting = list(flows)
        while waiting:
            set_aside: list[DefinitionError] = []
            again: list[Flow] = []
            for flow in waiting:
                try:
                    self._register_flow(flow)
                except Exception as e:
                    problem = DefinitionError(flow.name, flow.location, e)
                    if _is_unresolved(e):
                        again.append(flow)
                        set_aside.append(problem)
                    else:
                        self.errors.append(problem)
            if len(again) == len(waiting):
                self.waiting = set_aside
                return
            waiting = again

    def _register_flow(self, flow: Flow) -> None:
        if flow.once or flow.comment:
            self._extend("flow", flow=flow.name, once=flow.once, comment=flow.comment)

        def query() -> Any:
            frame = flow.function()
            if not hasattr(frame, "_plan"):
                raise TypeError(
                    f"the function of {flow.name} returned {type(frame).__name__}: it must return a DataFrame"
                )
            return frame

        stock = StockFlow(flow.name, flow.target, flow.spark_conf, _stock_location(flow.location), query)
        self._stock.register_flow(stock)

    def _register_dataset(self, dataset: Dataset) -> None:
        self._stock.register_output(_stock_output(dataset))
        if dataset.kind in ("auto", "materialized_view", "streaming_table"):
            self._extend(
                "dataset",
                dataset=dataset.name,
                auto=dataset.kind == "auto",
                private=dataset.private,
                path=dataset.path,
                row_filter=dataset.row_filter,
            )
        if dataset.rules:
            rules = [{"name": r.name, "condition": r.condition, "action": r.action} for r in dataset.rules]
            self._extend("expectations", dataset=dataset.name, rules=rules)

    def _register_cdc(self, flow: AutoCdcFlow) -> None:
        self._extend(
            "auto_cdc",
            flow=flow.name,
            target=flow.target,
            source=flow.source,
            keys=flow.keys,
            sequence_by=flow.sequence_by,
            ignore_null_updates=flow.ignore_null_updates,
            apply_as_deletes=flow.apply_as_deletes,
            apply_as_truncates=flow.apply_as_truncates,
            column_list=flow.column_list,
            except_column_list=flow.except_column_list,
            scd_type=flow.scd_type,
            track_history_column_list=flow.track_history_column_list,
            track_history_except_column_list=flow.track_history_except_column_list,
            once=flow.once,
        )

    def _extend(self, kind: str, **fields: Any) -> None:
        import pyspark.sql.connect.proto as pb2

        message = {"kind": kind, "graph_id": self.graph_id, **fields}
        command = pb2.Command()
        command.pipeline_command.extension.type_url = EXTENSION
        command.pipeline_command.extension.value = json.dumps(message).encode()
        self.spark.client.execute_command(command)

    def _attempt(self, name: str, location: Location | None, action: Any) -> None:
        try:
            action()
        except Exception as e:
            self.errors.append(DefinitionError(name, location, e))


def _is_unresolved(error: Exception) -> bool:
    return isinstance(error, PySparkException) and error.getCondition() == NOT_YET_RESOLVED


def _event(event: Any) -> dict[str, Any]:
    """A row of the event log; a message of a server that sends plain text becomes one."""
    try:
        row = json.loads(event.message)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        row = {"event_type": "message", "level": "INFO", "message": event.message, "origin": {}, "details": {}}
    return row


def _stock_location(location: Location) -> SourceCodeLocation:
    return SourceCodeLocation(filename=location.file, line_number=location.line)


def _stock_output(dataset: Dataset) -> Output:
    shared = {
        "name": dataset.name,
        "comment": dataset.comment,
        "source_code_location": _stock_location(dataset.location),
    }
    if dataset.kind == "view":
        return TemporaryView(**shared)
    if dataset.kind == "sink":
        return Sink(format=dataset.format or "", options=dataset.options, **shared)
    kind = StreamingTable if dataset.kind == "streaming_table" else MaterializedView
    return kind(
        table_properties=dataset.table_properties,
        partition_cols=dataset.partition_cols,
        cluster_by=dataset.cluster_by,
        schema=dataset.schema,
        format=dataset.format,
        **shared,
    )
