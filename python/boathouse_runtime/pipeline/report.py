"""What is printed when an update has ended: the tables, how good their data is, and what went wrong."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from pyspark.errors import PySparkException

import boathouse_runtime
import dlt
from boathouse_runtime.pipeline.registration import DefinitionError
from boathouse_runtime.pipeline.tables import columns, number
from boathouse_runtime.pipeline.update import Problem, Update, short
from dlt.registry import Definitions

# Frames of these are not the user's code.
OWN = tuple(str(Path(m.__file__).parent) for m in (boathouse_runtime, dlt))


def summary(update: Update, name: str, seconds: float) -> str:
    """The tables of an update and their data quality."""
    parts = []
    if update.datasets:
        parts.append("\n".join(_datasets(update)))
    quality = _quality(update)
    if quality:
        parts.append("Data quality\n" + "\n".join(quality))
    hints = [
        f"  SELECT * FROM dropped_records('{d.name}')" for d in update.datasets.values() if d.total("dropped")
    ]
    if hints:
        parts.append("Dropped rows are kept:\n" + "\n".join(hints))
    if update.warnings:
        parts.append("\n".join(f"warning: {w}" for w in update.warnings))
    outcome = "failed" if update.failed else "completed"
    parts.append(f"Pipeline {name} {outcome} in {seconds:.1f} s. Events: SELECT * FROM event_log('{name}')")
    return "\n\n".join(parts)


def plan(update: Update, name: str) -> str:
    """What a run would compute."""
    rows = [[d.name, d.kind, ", ".join(short(i) for i in d.inputs)] for d in update.datasets.values()]
    lines = columns(["Dataset", "Kind", "Reads"], rows, set()) if rows else []
    return "\n".join([*lines, "", f"Pipeline {name} is valid; nothing was run."])


def _datasets(update: Update) -> list[str]:
    rows = []
    for d in update.datasets.values():
        written = d.total("rows")
        upserted, deleted = d.total("upserted") or 0, d.total("deleted") or 0
        notes = [f"{number(upserted)} upserted"] * bool(upserted) + [f"{number(deleted)} deleted"] * bool(deleted)
        state = "" if d.is_view else d.state.lower()
        rows.append([d.name, d.kind, state, number(written), number(d.total("dropped")), ", ".join(notes)])
    return columns(["Dataset", "Kind", "State", "Rows", "Dropped", ""], rows, {3, 4})


def _quality(update: Update) -> list[str]:
    rows = []
    for d in update.datasets.values():
        for e in d.expectations:
            total = e.passed + e.failed
            # Rounded down: 100% means all.
            share = f"{10_000 * e.passed // total / 100:.2f}%" if total else ""
            rows.append([e.dataset, e.name, e.action or "", number(e.passed), number(e.failed), share])
    return columns(["Table", "Expectation", "Action", "Passed", "Failed", ""], rows, {3, 4, 5}) if rows else []


def definition_error(problem: DefinitionError) -> str:
    """An error of a definition, with the place in the user's code."""
    where = f" ({problem.location})" if problem.location else ""
    return f"{problem.name}{where}: {error_text(problem.error)}"


def run_problem(problem: Problem, definitions: Definitions) -> str:
    """An error that an event tells of, with the place of the dataset in the user's code."""
    if not problem.dataset:
        return problem.message
    dataset = definitions.datasets.get(problem.dataset)
    where = f" ({dataset.location})" if dataset else ""
    return f"{problem.dataset}{where}: {problem.message}"


def error_text(error: BaseException) -> str:
    """The message of an error; for one that the user's own code raised, the way to it as well."""
    if isinstance(error, PySparkException):
        # There is no JVM, and its trace would be one line that says so.
        return str(error).split("\n\nJVM stacktrace:")[0].strip()
    frames = user_frames(error)
    trace = "".join(traceback.format_list(frames)) if frames else ""
    message = "".join(traceback.format_exception_only(type(error), error)).strip()
    return f"{message}\n{trace}".rstrip()


def user_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of the user's code in an error's trace."""
    found = []
    for frame in traceback.extract_tb(error.__traceback__):
        ours = frame.filename.startswith(OWN) or frame.filename.startswith("<frozen")
        if not ours and "site-packages" not in frame.filename:
            found.append(frame)
    return found


def loading_error(error: BaseException) -> str:
    """An error that the user's files raised while they were executed."""
    frames = user_frames(error)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"The pipeline cannot be loaded{place}: {error_text(error)}"


def say(text: str) -> None:
    """Prints a result. A reader that closed the pipe (`| head`) has what it wanted."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What Python still flushes at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(text: str) -> None:
    """Errors are shown always, wherever output goes."""
    print(text, file=sys.stderr, flush=True)
