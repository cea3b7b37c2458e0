"""What belongs to a pipeline: a file, or a directory with or without a specification."""

from __future__ import annotations

import glob
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

SPEC_NAMES = ("pipeline.yml", "pipeline.yaml", "spark-pipeline.yml", "spark-pipeline.yaml")
SOURCES = (".py", ".sql", ".ipynb")
SPEC_FIELDS = ("name", "catalog", "schema", "database", "storage", "configuration", "libraries")
# Directories that hold no pipeline code, whatever lies in them.
SKIPPED = ("__pycache__", "node_modules", "venv", "site-packages")


class ProjectError(Exception):
    """The path names no pipeline, or its specification is wrong."""


@dataclass
class Project:
    name: str
    root: Path
    files: list[Path]
    catalog: str | None = None
    schema: str | None = None
    storage: str | None = None
    configuration: dict[str, str] = field(default_factory=dict)


def find(path: Path) -> Project:
    """The pipeline at a path: a source file, a specification, or a directory."""
    path = path.absolute()
    if path.is_dir():
        specs = [path / n for n in SPEC_NAMES if (path / n).is_file()]
        if len(specs) > 1:
            raise ProjectError(f"{path} has more than one specification: {', '.join(s.name for s in specs)}")
        if specs:
            return _from_spec(specs[0])
        files = sources_below(path)
        if not files:
            raise ProjectError(f"{path} has no .py, .sql or .ipynb file")
        return Project(path.resolve().name, path, files)
    if not path.is_file():
        raise ProjectError(f"there is no file or directory {path}")
    if path.suffix in (".yml", ".yaml"):
        return _from_spec(path)
    if path.suffix not in SOURCES:
        raise ProjectError(f"{path.name} is no .py, .sql, .ipynb, .yml or .yaml file")
    return Project(path.stem, path.parent, [path])


def sources_below(directory: Path) -> list[Path]:
    """The source files below a directory, in the order of their names."""
    found = []
    for file in sorted(directory.rglob("*")):
        inner = file.relative_to(directory).parts
        hidden = any(p.startswith(".") or p in SKIPPED for p in inner)
        if file.suffix in SOURCES and file.is_file() and not hidden:
            found.append(file)
    return found


def _from_spec(file: Path) -> Project:
    try:
        spec = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as e:
        raise ProjectError(f"{file} is not valid YAML: {e}") from None
    if not isinstance(spec, dict):
        raise ProjectError(f"{file} must hold fields ({', '.join(SPEC_FIELDS)})")
    for key in spec:
        if key not in SPEC_FIELDS:
            raise ProjectError(f"{file.name}: the field {key} is not known; there are {', '.join(SPEC_FIELDS)}")
    for key in ("name", "catalog", "schema", "database", "storage"):
        if spec.get(key) is not None and not isinstance(spec[key], str):
            raise ProjectError(f"{file.name}: {key} must be text")
    if spec.get("schema") and spec.get("database"):
        raise ProjectError(f"{file.name}: schema and database mean the same: give one")
    configuration = _configuration(file, spec.get("configuration"))
    root = file.parent
    return Project(
        name=spec.get("name") or root.resolve().name,
        root=root,
        files=_library_files(file, spec.get("libraries")),
        catalog=spec.get("catalog"),
        schema=spec.get("schema") or spec.get("database"),
        storage=_storage(root, spec.get("storage")),
        configuration=configuration,
    )


def _configuration(file: Path, given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ProjectError(f"{file.name}: configuration must hold keys and values")
    for key, value in given.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ProjectError(f"{file.name}: configuration: {key} must be text: write {key}: \"{value}\"")
    return dict(given)


def _storage(root: Path, given: str | None) -> str | None:
    """A storage path; a relative one lies beside the specification."""
    if given is None or "://" in given or given.startswith(("/", "dbfs:", "file:")):
        return given
    return str(root / given)


def _library_files(file: Path, libraries: Any) -> list[Path]:
    if libraries is None:
        found = sources_below(file.parent)
    else:
        if not isinstance(libraries, list):
            raise ProjectError(f"{file.name}: libraries must be a list")
        found = []
        for entry in libraries:
            matching = _matching(file, _pattern(file, entry))
            found.extend(f for f in matching if f not in found)
    if not found:
        raise ProjectError(f"{file}: the pipeline has no source files")
    return found


def _pattern(file: Path, entry: Any) -> str:
    if isinstance(entry, dict) and len(entry) == 1:
        (kind, inner), = entry.items()
        wanted = {"glob": "include", "file": "path", "notebook": "path"}.get(kind)
        if wanted and isinstance(inner, dict) and set(inner) == {wanted} and isinstance(inner[wanted], str):
            return inner[wanted]
    raise ProjectError(
        f"{file.name}: the library {entry} is not understood: write `- glob: {{include: dir/**}}` or `- file: {{path: a.py}}`"
    )


def _matching(file: Path, pattern: str) -> list[Path]:
    root = file.parent
    if not glob.has_magic(pattern):
        one = root / pattern
        if one.is_dir():
            return sources_below(one)
        if not one.is_file():
            raise ProjectError(f"{file.name}: libraries: there is no file {one}")
        if one.suffix not in SOURCES:
            raise ProjectError(f"{file.name}: libraries: {pattern} is no .py, .sql or .ipynb file")
        return [one]
    # `dir/**` means every file below, at any depth.
    wide = pattern + "/*" if pattern.endswith("**") else pattern
    return sorted(
        f for f in root.glob(wide) if f.is_file() and f.suffix in SOURCES and "__pycache__" not in f.parts
    )
