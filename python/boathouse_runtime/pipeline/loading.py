"""Executes a pipeline's files with `spark`, `dbutils` and `display` predefined, and records what they define.

Both ways of defining are understood: `dlt`, and `pyspark.pipelines` (`from pyspark import pipelines as dp`).
"""

from __future__ import annotations

import builtins
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from pyspark.pipelines.flow import AutoCdcFlow as StockAutoCdcFlow
from pyspark.pipelines.flow import Flow as StockFlow
from pyspark.pipelines.graph_element_registry import GraphElementRegistry, graph_element_registration_context
from pyspark.pipelines.output import MaterializedView, Output, Sink, StreamingTable, TemporaryView

from boathouse_runtime.pipeline.project import Project
from boathouse_runtime.run import notebook_cells, run_cells
from dlt.definitions import Dataset, Flow, Location
from dlt.registry import Definitions, recording


class Loaded(GraphElementRegistry):
    """What the files of a pipeline define: Python's datasets and flows, and texts of SQL."""

    def __init__(self) -> None:
        self.definitions = Definitions()
        self.sql: list[tuple[str, Path]] = []
        self.stock_cdc_flows: list[StockAutoCdcFlow] = []

    # What `pyspark.pipelines` calls.

    def register_output(self, output: Output) -> None:
        kinds = {MaterializedView: "materialized_view", StreamingTable: "streaming_table", TemporaryView: "view", Sink: "sink"}
        kind = kinds[type(output)]
        dataset = Dataset(output.name, kind, _location(output.source_code_location), output.comment)
        if kind in ("materialized_view", "streaming_table"):
            dataset.table_properties = dict(output.table_properties)
            dataset.partition_cols = output.partition_cols
            dataset.cluster_by = output.cluster_by
            dataset.schema = output.schema
            dataset.format = output.format
        elif kind == "sink":
            dataset.format = output.format
            dataset.options = dict(output.options)
        self.definitions.add_dataset(dataset)

    def register_flow(self, flow: StockFlow) -> None:
        location = _location(flow.source_code_location)
        self.definitions.add_flow(Flow(flow.name, flow.target, flow.func, location, dict(flow.spark_conf)))

    def register_auto_cdc_flow(self, flow: StockAutoCdcFlow) -> None:
        self.stock_cdc_flows.append(flow)

    def register_sql(self, sql_text: str, file_path: Path) -> None:
        self.sql.append((sql_text, file_path))


def load(project: Project, spark: Any) -> Loaded:
    """Executes all files of a pipeline. An error of the user's code is raised as it is."""
    loaded = Loaded()
    _prepare(project.root, spark)
    with recording(loaded.definitions), graph_element_registration_context(loaded):
        for file in project.files:
            _load_file(file, project.root, loaded, spark)
    loaded.definitions.check()
    return loaded


def _load_file(file: Path, root: Path, loaded: Loaded, spark: Any) -> None:
    if file.suffix == ".sql":
        loaded.register_sql(file.read_text(encoding="utf-8"), file.relative_to(root))
        return
    sys.path.insert(0, str(file.parent))
    try:
        cells = notebook_cells(file)
        if cells is None:
            _import(file, root)
        else:
            names = {"__name__": file.stem, "__file__": str(file), "spark": spark}
            run_cells(cells, names, file, sql=lambda text: loaded.register_sql(text, file.relative_to(root)))
    finally:
        sys.path.remove(str(file.parent))


def _import(file: Path, root: Path) -> None:
    """Imports a source file, unless another file of the pipeline has imported it already."""
    resolved = file.resolve()
    for module in list(sys.modules.values()):
        known = getattr(module, "__file__", None)
        if known and Path(known).resolve() == resolved and module.__name__ != "__main__":
            return
    name = ".".join(file.relative_to(root).with_suffix("").parts)
    if name in sys.modules:
        name = f"pipeline.{name}"  # a library has the name: the file must not replace it
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _prepare(root: Path, spark: Any) -> None:
    """Query functions run after loading: what is prepared here stays for them."""
    from dbruntime import DBUtils, display

    # Built in, so that helper modules see the names too.
    builtins.spark = spark
    builtins.dbutils = DBUtils(spark)
    builtins.display = display
    # The pipeline's directory is the working directory, and modules are found in it.
    os.chdir(root)
    sys.path.insert(0, str(root))


def _location(location: Any) -> Location:
    return Location(location.filename or "", location.line_number or 0)
