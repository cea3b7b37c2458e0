"""`dbutils`: files of DBFS and parameters. What needs a workspace is refused by name."""

import collections
import os
import pathlib
import shutil
import sys

FileInfo = collections.namedtuple("FileInfo", ["path", "name", "size", "modificationTime"])


class DBUtils:
    """The utilities of a notebook or script."""

    def __init__(self, spark):
        self.fs = Files()
        self.widgets = Widgets()
        self._spark = spark

    def __getattr__(self, name):
        raise NotImplementedError(f"dbutils.{name} is not supported (docs/limitations.md)")


class Files:
    """`dbutils.fs`: files below the DBFS root of the home, and local files by `file:/`."""

    def _local(self, path):
        path = str(path)
        if path.startswith("file:"):
            return pathlib.Path("/" + path[5:].lstrip("/"))
        if "://" in path:
            raise NotImplementedError(f"dbutils.fs on {path} is not supported: use Spark to read and write it")
        home = pathlib.Path(os.environ.get("BOATHOUSE_HOME", "~/.boathouse")).expanduser()
        inner = path.removeprefix("dbfs:").removeprefix("/dbfs")
        root = (home / "dbfs").resolve()
        local = (root / inner.lstrip("/")).resolve()
        if root != local and root not in local.parents:
            raise PermissionError(f"{path} leads out of the DBFS root")
        return local

    def _info(self, local, path):
        stat = local.stat()
        slash = "/" if local.is_dir() else ""
        full = path.rstrip("/") + "/" + local.name + slash
        if not full.startswith(("dbfs:", "file:")):
            full = "dbfs:" + full
        return FileInfo(full, local.name + slash, 0 if local.is_dir() else stat.st_size, int(stat.st_mtime * 1000))

    def ls(self, path):
        """The files of a directory."""
        return [self._info(p, str(path)) for p in sorted(self._local(path).iterdir())]

    def mkdirs(self, path):
        self._local(path).mkdir(parents=True, exist_ok=True)
        return True

    def rm(self, path, recurse=False):
        local = self._local(path)
        if local.is_dir():
            if not recurse and any(local.iterdir()):
                raise OSError(f"{path} is a directory that is not empty: rm(path, True) removes it")
            shutil.rmtree(local)
        elif local.exists():
            local.unlink()
        else:
            return False
        return True

    def cp(self, source, target, recurse=False):
        source, target = self._local(source), self._local(target)
        if source.is_dir():
            if not recurse:
                raise OSError(f"{source} is a directory: cp(a, b, True) copies it")
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        return True

    def mv(self, source, target, recurse=False):
        self.cp(source, target, recurse)
        return self.rm(source, True)

    def put(self, path, contents, overwrite=False):
        local = self._local(path)
        if local.exists() and not overwrite:
            raise FileExistsError(f"{path} exists: put(path, text, True) overwrites it")
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_text(contents, encoding="utf-8")
        return True

    def head(self, path, max_bytes=65536):
        with open(self._local(path), "rb") as f:
            return f.read(max_bytes).decode("utf-8", "replace")


class Widgets:
    """`dbutils.widgets`: parameters, from `name=value` arguments of `boathouse run` or their defaults."""

    def __init__(self):
        self._values = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
        self._given = set(self._values)

    def text(self, name, default="", label=None):
        self._values.setdefault(name, default)

    def dropdown(self, name, default, choices, label=None):
        self._values.setdefault(name, default)

    combobox = dropdown
    multiselect = dropdown

    def get(self, name):
        if name not in self._values:
            raise ValueError(f"There is no widget {name}: define it with dbutils.widgets.text, or give {name}=VALUE")
        return self._values[name]

    def getArgument(self, name, default=None):
        return self._values.get(name, default)

    def remove(self, name):
        self._values.pop(name, None)

    def removeAll(self):
        self._values.clear()
