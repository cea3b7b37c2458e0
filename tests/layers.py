#!/usr/bin/env python3
"""Checks ARCHITECTURE.md against the manifests: every crate is listed, and dependencies go downward only."""

import pathlib
import re
import sys

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import pip._vendor.tomli as tomllib

ROOT = pathlib.Path(__file__).parent.parent
# Lowest first; a crate may depend on crates of lower rows only.
LAYERS = [
    ["spec", "features"],
    ["bridge"],
    ["sql", "formats", "catalog"],
    ["functions", "delta", "connectors", "python"],
    ["engine"],
    ["streaming"],
    ["pipelines"],
    ["connect", "api"],
    ["boathouse"],
]


def main():
    level = {name: i for i, row in enumerate(LAYERS) for name in row}
    problems = []
    for manifest in sorted((ROOT / "crates").glob("*/Cargo.toml")):
        crate = manifest.parent.name
        if crate not in level:
            problems.append(f"{crate} has no layer")
            continue
        for dependency in tomllib.loads(manifest.read_text()).get("dependencies", {}):
            below = dependency.removeprefix("boathouse-")
            if dependency.startswith("boathouse-") and level.get(below, 99) >= level[crate]:
                problems.append(f"{crate} depends on {below}, which is not below it")
    listed = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "ARCHITECTURE.md").read_text(), re.M))
    crates = {p.parent.name for p in (ROOT / "crates").glob("*/Cargo.toml")}
    problems += [f"ARCHITECTURE.md does not list {c}" for c in sorted(crates - listed)]
    problems += [f"ARCHITECTURE.md lists {c}, which is no crate" for c in sorted(listed - crates)]
    if len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) > 150:
        problems.append("ARCHITECTURE.md is longer than 150 lines")
    print("\n".join(problems) or "layers: ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
