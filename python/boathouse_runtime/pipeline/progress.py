"""A live picture of an update on a terminal: one line a dataset. Nothing is drawn where output is piped."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import TextIO

from boathouse_runtime.pipeline.tables import number, width
from boathouse_runtime.pipeline.update import FINISHED, DatasetState, Update

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
MARKS = {"COMPLETED": ("✔", 32), "FAILED": ("✘", 31), "SKIPPED": ("↷", 33), "EXCLUDED": ("·", 90), "CANCELED": ("✘", 33)}
INTERVAL_S = 0.1


class Picture:
    """Draws the state of an update again and again in the same place, as long as the `with` block lasts."""

    def __init__(self, update: Update, out: TextIO = sys.stdout) -> None:
        self.update = update
        self.out = out
        self.live = out.isatty()
        self._started = time.monotonic()
        self._drawn = 0
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._redraw, daemon=True)

    def __enter__(self) -> Picture:
        if self.live:
            self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        if self.live:
            self._done.set()
            self._thread.join()
            # The report that follows says the same, and more.
            self._erase()
            self.out.flush()

    def apply(self, event: dict) -> None:
        with self._lock:
            self.update.apply(event)

    def print_above(self, text: str) -> None:
        """Prints a warning that stays, above the picture; where there is none, to standard error."""
        with self._lock:
            self._erase()
            print(text, file=self.out if self.live else sys.stderr, flush=True)

    def _redraw(self) -> None:
        while not self._done.wait(INTERVAL_S):
            self.draw()

    def draw(self) -> None:
        """Draws the state as it is now, in the place of what was drawn before."""
        if not self.live:
            return
        with self._lock:
            size = shutil.get_terminal_size()
            lines = [fit(line, size.columns - 1) for line in self._lines()]
            # More lines than the terminal has could not be drawn over: the last ones are left out.
            if len(lines) > size.lines - 1:
                lines = [*lines[: max(size.lines - 2, 1)], f"  ... {len(lines) - size.lines + 2} more"]
            # Each line over the old one: erased first, the picture would flicker.
            up = f"\x1b[{self._drawn}A" if self._drawn else ""
            self.out.write(up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
            self.out.flush()
            self._drawn = len(lines)

    def _erase(self) -> None:
        if self._drawn:
            self.out.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _lines(self) -> list[str]:
        elapsed = time.monotonic() - self._started
        # Only what this update has to do with.
        datasets = [d for d in self.update.datasets.values() if d.flows and not d.is_view]
        finished = sum(d.state in FINISHED for d in datasets)
        state = self.update.state.replace("_", " ").lower()
        lines = [f"{state}  {finished} of {len(datasets)} datasets  {elapsed:.1f} s"]
        name_width = max((width(d.name) for d in datasets), default=0)
        spin = SPINNER[int(elapsed / INTERVAL_S) % len(SPINNER)]
        return lines + [dataset_line(d, name_width, spin) for d in datasets]


def dataset_line(dataset: DatasetState, name_width: int, spin: str) -> str:
    """One line: mark, name, state, rows, expectations."""
    state = dataset.state
    mark, color = MARKS.get(state, (spin if state in ("RUNNING", "STARTING") else "·", 36 if state == "RUNNING" else 90))
    parts = [f"\x1b[{color}m{mark}\x1b[0m {dataset.name}{' ' * (name_width - width(dataset.name))}  {state.lower():<9}"]
    rows = dataset.total("rows")
    if rows is not None:
        parts.append(f"{number(rows):>11} rows")
    dropped = dataset.total("dropped")
    if dropped:
        parts.append(f"{number(dropped)} dropped")
    failed = [e for e in dataset.expectations if e.failed]
    if failed:
        parts.append("  ".join(f"{e.name}: {number(e.failed)} failed" for e in failed))
    elif dataset.expectations:
        parts.append(f"{len(dataset.expectations)} expectations met")
    return "  ".join(parts)


def fit(line: str, columns: int) -> str:
    """The line without what a terminal of that width would wrap; color codes take no place."""
    out, used, i = [], 0, 0
    while i < len(line):
        if line[i] == "\x1b":
            end = line.index("m", i) + 1
            out.append(line[i:end])
            i = end
            continue
        used += width(line[i])
        if used > columns:
            return "".join(out) + "\x1b[0m"
        out.append(line[i])
        i += 1
    return "".join(out)
