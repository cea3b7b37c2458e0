"""Runs every command of the README, of docs/ and of the examples, in the order they stand there.

A fence `sh` is run by bash, `python` by Python; a fence with a file's name behind the language is that file. `make` and `pip`
commands are not run here: CI is `make test`, and its targets are checked to exist.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest
from conftest import ROOT, binary

DOCUMENTS = ["README.md", "docs/command-line.md", "docs/pipelines.md", "examples/flights/README.md"]
# Pages whose commands want servers that another test has.
ELSEWHERE = {
    "docs/kafka.md": "tests/python/test_kafka.py",
    "docs/streaming.md": "tests/python/test_state_recorded.py",
    "docs/python_state.md": "tests/python/test_python_state.py",
    "docs/object_stores.md": "tests/python/test_object_stores.py",
}
FENCE = re.compile(r"^```(\w*)[ ]?(.*?)\n(.*?)^```$", re.M | re.S)


def blocks(document):
    """(language, file or '', text) of each fenced block."""
    return FENCE.findall((ROOT / document).read_text(encoding="utf-8"))


class Reader:
    """Someone who types in what a document says, in a directory and a home of their own."""

    def __init__(self, directory):
        self.directory = directory
        tools = directory / "tools"
        tools.mkdir(parents=True)
        (tools / "boathouse").symlink_to(binary())
        venv = directory / ".venv" / "bin"
        venv.mkdir(parents=True)
        for place in (tools, venv):
            # The tests' own interpreter, with its packages.
            (place / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
            (place / "python").chmod(0o755)
        shutil.copytree(ROOT / "examples", directory / "examples", ignore=shutil.ignore_patterns("data"))
        self.home = directory / "home"
        self.port = None
        self.server = None
        self.env = {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "BOATHOUSE_HOME": str(self.home),
            "BOATHOUSE_PYTHON": sys.executable,
            "BOATHOUSE_PYTHON_MODULES": str(ROOT / "python"),
            "PYTHONPATH": str(ROOT / "python"),
        }
        for name in ("SPARK_REMOTE", "FLIGHTS_DATA"):
            self.env.pop(name, None)

    def read(self, language, file, text):
        if file:
            path = self.directory / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if language == "python":
                compile(text, file, "exec")
        elif language == "sh" and text.strip() == "boathouse server":
            self.start_server()
        elif language == "sh":
            self.run(["bash", "-euo", "pipefail", "-c", without_set_up(text)], text)
        elif language == "python":
            # From a file: PySpark takes a program given by -c for its own doctests.
            program = self.directory / "block.py"
            program.write_text(text.replace("15002", str(self.port)), encoding="utf-8")
            self.run([sys.executable, str(program)], text)
        else:
            assert language == "text", f"a block of {language or 'no language'} is neither run nor a file:\n{text}"

    def run(self, command, shown):
        done = subprocess.run(command, cwd=self.directory, env=self.env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{shown}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    def start_server(self):
        command = [binary(), "server", "--connect-port", "0", "--http-port", "0"]
        log = open(self.directory / "server.log", "wb")
        self.server = subprocess.Popen(command, cwd=self.directory, env=self.env, stdout=log, stderr=log)
        ready, deadline = self.home / "server.json", time.monotonic() + 60
        while not ready.exists():
            assert self.server.poll() is None and time.monotonic() < deadline, (self.directory / "server.log").read_text()
            time.sleep(0.02)
        self.port = json.loads(ready.read_text())["connect"].rsplit(":", 1)[1]

    def stop(self):
        if self.server:
            self.server.terminate()
            self.server.wait(30)


def without_set_up(text):
    """The commands without those that build or install."""
    makefile = (ROOT / "Makefile").read_text()
    kept = []
    for line in text.splitlines():
        target = re.match(r"make ([\w-]+)", line)
        if target:
            assert re.search(rf"^{target[1]}:", makefile, re.M), f"there is no target {target[1]}"
        elif not line.startswith("pip "):
            kept.append(line)
    return "\n".join(kept)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_works(document, tmp_path):
    reader = Reader(tmp_path)
    try:
        for language, file, text in blocks(document):
            reader.read(language, file, text)
    finally:
        reader.stop()


def test_every_page_is_tested_or_has_no_commands():
    pages = [p.relative_to(ROOT) for p in (ROOT / "docs").glob("*.md")] + [pathlib.Path("README.md")]
    for page in pages:
        commands = [b for b in blocks(page) if b[0] in ("sh", "python")]
        elsewhere = ELSEWHERE.get(str(page))
        if elsewhere:
            assert page.name in (ROOT / elsewhere).read_text(), f"{elsewhere} does not run the commands of {page}"
        else:
            assert str(page) in DOCUMENTS or not commands, f"the commands of {page} are run by no test"
