"""The command: `python -m boathouse_runtime.pipeline run|dry-run|validate PATH [options]`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException

from boathouse_runtime.pipeline import report
from boathouse_runtime.pipeline.hooks import Hooks
from boathouse_runtime.pipeline.loading import Loaded, load
from boathouse_runtime.pipeline.progress import Picture
from boathouse_runtime.pipeline.project import Project, ProjectError, find
from boathouse_runtime.pipeline.registration import Registration, Selection
from boathouse_runtime.pipeline.update import Update

SUCCESS, FAILED, USAGE = 0, 1, 2


def main() -> int:
    arguments = _arguments()
    try:
        project = find(Path(arguments.path))
    except ProjectError as e:
        report.fail(f"error: {e}")
        return USAGE
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    try:
        return _run(arguments, project, spark)
    except KeyboardInterrupt:
        report.fail("The update was interrupted. What was committed stays; the next run goes on from there.")
        return FAILED
    finally:
        _stop(spark)


def _run(arguments: argparse.Namespace, project: Project, spark: Any) -> int:
    for key, value in project.configuration.items():
        spark.conf.set(key, value)
    try:
        loaded = load(project, spark)
    except Exception as e:
        report.fail(report.loading_error(e))
        return FAILED
    if not (loaded.definitions.datasets or loaded.sql):
        report.fail(f"error: {project.name} defines no table and no view")
        return USAGE
    unknown = _unknown_selection(arguments, loaded)
    if unknown:
        report.fail(f"error: the pipeline {project.name} has no dataset {', '.join(unknown)}")
        return USAGE
    try:
        registration = Registration(spark, project)
    except PySparkException as e:
        report.fail(f"The pipeline {project.name} cannot be defined: {e}")
        return FAILED
    registration.register(loaded)
    if registration.errors or registration.waiting:
        _report_definitions(registration, loaded)
        return FAILED
    return _update(arguments, project, registration, loaded)


def _report_definitions(registration: Registration, loaded: Loaded) -> None:
    """Shows what is wrong in the definitions, and what a dry run finds in those that are right."""
    for problem in registration.errors:
        report.fail(report.definition_error(problem))
    update = Update()
    try:
        for event in registration.start(Selection([], False, []), dry=True):
            update.apply(event)
    except PySparkException:
        pass  # what it is about was in the events
    known = {p.name for p in registration.errors + registration.waiting}
    found = [p for p in update.problems if p.dataset and p.dataset not in known]
    for problem in found:
        report.fail(report.run_problem(problem, loaded.definitions))
    # What waits for columns waits for one of these, or for each other.
    if not (registration.errors or found):
        for problem in registration.waiting:
            report.fail(report.definition_error(problem))


def _update(arguments: argparse.Namespace, project: Project, registration: Registration, loaded: Loaded) -> int:
    dry = arguments.command != "run"
    update = Update()
    for dataset in loaded.definitions.datasets.values():
        for rule in dataset.rules:
            update.actions[(dataset.name, rule.name)] = rule.action
    selection = Selection(arguments.full_refresh, arguments.full_refresh_all, arguments.refresh)
    hooks = Hooks(loaded.definitions.hooks)
    started = time.monotonic()
    error = None
    with Picture(update) as picture:
        try:
            for event in registration.start(selection, dry):
                picture.apply(event)
                hooks.tell(event, picture.print_above)
        except PySparkException as e:
            error = e
    return _report(arguments, project, loaded, update, error, time.monotonic() - started)


def _report(
    arguments: argparse.Namespace, project: Project, loaded: Loaded, update: Update, error: Any, seconds: float
) -> int:
    failed = error is not None or update.failed
    if failed:
        update.state = "FAILED"
    if arguments.command == "run":
        report.say(report.summary(update, project.name, seconds))
    elif arguments.command == "dry-run" and not failed:
        report.say(report.plan(update, project.name))
    elif not failed:
        report.say(f"Pipeline {project.name} is valid.")
    for problem in update.problems:
        report.fail("\n" + report.run_problem(problem, loaded.definitions))
    if error is None:
        return FAILED if failed else SUCCESS
    # The exception says again what the events have said, unless there is none of them.
    text = report.error_text(error)
    told = error.getCondition() == "PIPELINE_RUN_FAILED" or any(p.message in text for p in update.problems)
    if not (update.problems and told):
        report.fail("\n" + text)
    return USAGE if error.getCondition() == "PIPELINE_DATASET_NOT_DEFINED" else FAILED


def _unknown_selection(arguments: argparse.Namespace, loaded: Loaded) -> list[str]:
    """Selected names that no dataset has. Where SQL defines datasets only the server knows them all."""
    if loaded.sql:
        return []
    known = {n.rsplit(".", 1)[-1].lower() for n in loaded.definitions.datasets}
    return [n for n in [*arguments.full_refresh, *arguments.refresh] if n.rsplit(".", 1)[-1].lower() not in known]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="boathouse pipeline")
    parser.add_argument("command", choices=["run", "dry-run", "validate"])
    parser.add_argument("path")
    parser.add_argument("--full-refresh", type=_list, default=[])
    parser.add_argument("--full-refresh-all", action="store_true")
    parser.add_argument("--refresh", type=_list, default=[])
    return parser.parse_args()


def _list(text: str) -> list[str]:
    return [t.strip() for t in text.split(",") if t.strip()]


def _stop(spark: Any) -> None:
    try:
        spark.stop()
    except Exception:
        pass  # the server may be gone: the work is done either way


if __name__ == "__main__":
    sys.exit(main())
