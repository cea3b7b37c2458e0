#!/usr/bin/env python3
"""Writes the Spark Connect and Delta Connect messages of the installed clients as one FileDescriptorSet.

The released wheels carry their messages as serialized file descriptors, so a new Spark release is one command:

    python -m venv /tmp/clients && /tmp/clients/bin/pip install 'pyspark-client==4.2.*' delta-spark
    /tmp/clients/bin/python tools/extract_protos.py crates/connect/proto/spark_connect.fds

The output is deterministic: dependencies first, files otherwise in the order of their names. Source positions and
Java options are left out, because nothing reads them.
"""

import importlib
import importlib.metadata
import importlib.util
import pathlib
import pkgutil
import sys

from google.protobuf import descriptor_pb2

PACKAGES = ["pyspark.sql.connect.proto", "delta.connect.proto"]
# Messages of an example in Spark's own tests.
SKIPPED = {"spark/connect/example_plugins.proto"}


def descriptors():
    """The file descriptors of every message module of the packages."""
    for package in PACKAGES:
        root = pathlib.Path(importlib.util.find_spec(package).origin).parent
        for module in sorted(m.name for m in pkgutil.iter_modules([str(root)]) if m.name.endswith("_pb2")):
            yield importlib.import_module(f"{package}.{module}").DESCRIPTOR


def collect():
    """File name -> FileDescriptorProto, with everything they import, dependencies first."""
    files = {}

    def add(descriptor):
        if descriptor.name in files or descriptor.name in SKIPPED:
            return
        for dependency in sorted(descriptor.dependencies, key=lambda d: d.name):
            add(dependency)
        proto = descriptor_pb2.FileDescriptorProto()
        descriptor.CopyToProto(proto)
        proto.ClearField("source_code_info")
        proto.ClearField("options")
        files[proto.name] = proto

    for descriptor in sorted(descriptors(), key=lambda d: d.name):
        add(descriptor)
    return files


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    out = descriptor_pb2.FileDescriptorSet(file=collect().values())
    data = out.SerializeToString(deterministic=True)
    pathlib.Path(sys.argv[1]).write_bytes(data)
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("pyspark-client", "delta-spark"))
    messages = sum(len(f.message_type) for f in out.file)
    print(f"{sys.argv[1]}: {len(out.file)} files, {messages} messages, {len(data)} bytes, from {versions}")


if __name__ == "__main__":
    main()
