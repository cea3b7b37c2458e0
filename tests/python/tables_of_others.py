"""Tables that Databricks, delta-spark and delta-rs wrote: those with which delta-rs tests itself.

They come with the source distribution of the wheel that is installed (5.6 MB, once, into ~/.cache/boathouse/tables).
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
import urllib.request
from importlib.metadata import version

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "boathouse" / "tables"


def directory():
    """Where the tables are, each in a directory of its name."""
    release = version("deltalake")
    there = CACHE / f"deltalake-{release}"
    if not there.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            archive = pathlib.Path(folder) / "source.tar.gz"
            archive.write_bytes(_source_distribution("deltalake", release))
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
            # Whole or not at all.
            (pathlib.Path(folder) / there.name).rename(there)
    return there / "crates" / "test" / "tests" / "data"


def _source_distribution(name, release):
    """From the index that pip uses. `pip download` would build the package to learn its dependencies."""
    index = _pip_index().rstrip("/") + f"/{name}/"
    file = f"{name}-{release}.tar.gz"
    link = re.search(rf'href="([^"]*/{re.escape(file)})#sha256=([0-9a-f]+)', _get(index).decode())
    assert link, f"the index has no {file}"
    content = _get(urllib.parse.urljoin(index, link[1]))
    assert hashlib.sha256(content).hexdigest() == link[2], f"{file} is damaged"
    return content


def _pip_index():
    if named := os.environ.get("PIP_INDEX_URL"):
        return named
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    return configured.stdout.strip() or "https://pypi.org/simple"


def _get(url):
    with urllib.request.urlopen(url, timeout=120) as answer:
        return answer.read()
