"""The server dies before and after each durable step of each operation on a Delta table. Then the table is as it was
before the operation or as it is after it, for us and for another reader of the format, and the operation can be run again.

On the local disk the server ends itself at a fault point (`spec::fault`, in debug builds). On an S3-like server, a proxy
between the two kills the server before it passes a request on that changes something, or before it gives the answer.

BOATHOUSE_FAULT_CASES sets how many of the cases run (the full proof: `all`), BOATHOUSE_FAULT_SEED replays a choice.
"""

import contextlib
import http.client
import http.server
import os
import pathlib
import random
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time

import boto3
import pyarrow as pa
import pytest
from conftest import Server
from delta_operations import OPERATIONS
from deltalake import DeltaTable, QueryBuilder

CASES = os.environ.get("BOATHOUSE_FAULT_CASES", "16")
SEED = int(os.environ.get("BOATHOUSE_FAULT_SEED", str(random.SystemRandom().randrange(1 << 32))))
SOURCES = pathlib.Path(__file__).resolve().parents[2] / "crates"


def chosen(cases):
    print(f"seed {SEED}, {CASES} of {len(cases)} cases")
    return cases if CASES == "all" else random.Random(SEED).sample(cases, min(int(CASES), len(cases)))


def operations(place):
    """All on the disk, where each fault point must be come to; some on S3, where each takes longer."""
    if CASES == "all" or place is Disk:
        return OPERATIONS
    return random.Random(SEED).sample(OPERATIONS, 6)


class Disk:
    """Tables in a directory; a server dies by itself."""

    def __init__(self, directory):
        # Who dies by itself would leave a core behind, which takes long.
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        self.directory, self.log = pathlib.Path(directory), pathlib.Path(directory) / "points.txt"
        self.log.touch()
        with environment(BOATHOUSE_FAULT_LOG=str(self.log)):
            self.server = Server(self.directory / "home")
        self.reader_options = None

    def path(self, name):
        return str(self.directory / name)

    def copy(self, source, target):
        shutil.copytree(self.path(source), self.path(target))

    def remove(self, name):
        shutil.rmtree(self.path(name))

    def count(self, operation, name):
        """The durable steps of an operation that nothing disturbs, in the order they come."""
        self.log.write_text("")
        operation.run(self.server.session(), self.path(name))
        return self.seen_points()

    def seen_points(self):
        """The names of the points that came since."""
        return [line.split()[0] for line in self.log.read_text().splitlines()]

    def run_to_death(self, operation, name, step):
        """Runs the operation by a server that dies at a step; whether it did."""
        return self.run_to_fault(operation, name, str(step + 1))

    def run_to_fault(self, operation, name, fault):
        """The same by what `BOATHOUSE_FAULT` takes."""
        with environment(BOATHOUSE_FAULT=fault, BOATHOUSE_FAULT_LOG=str(self.log)):
            server = Server(self.directory / "home of the dying")
        return runs_to_death(server, operation, self.path(name))

    def close(self):
        self.server.stop()


class Bucket:
    """Tables on an S3-like server; a proxy before it kills a server of ours when it is about to change something."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        # A process of its own: the other reader's calls keep Python from answering.
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.storage = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await_port(port)
        self.proxy = Proxy(port)
        endpoint = f"http://127.0.0.1:{port}"
        keys = dict(AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret", AWS_REGION="us-east-1")
        self.reader_options = keys | {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"}
        self.through_proxy = keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.proxy.port}"}
        self.client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1")
        self.client.create_bucket(Bucket="tables")
        with environment(**self.through_proxy):
            self.server = Server(self.directory / "home")

    def path(self, name):
        return f"s3://tables/{name}"

    def objects(self, name):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket="tables", Prefix=f"{name}/")
        return [o["Key"] for page in pages for o in page.get("Contents", [])]

    def copy(self, source, target):
        for key in self.objects(source):
            self.client.copy_object(Bucket="tables", Key=target + key[len(source) :], CopySource={"Bucket": "tables", "Key": key})

    def remove(self, name):
        for key in self.objects(name):
            self.client.delete_object(Bucket="tables", Key=key)

    def count(self, operation, name):
        self.proxy.watch(None, 0)
        operation.run(self.server.session(), self.path(name))
        # Before a request and after it.
        return [f"{when} {request}" for request in self.proxy.changes for when in ("before", "after")]

    def run_to_death(self, operation, name, step):
        with environment(**self.through_proxy):
            server = Server(self.directory / "home of the dying")
        self.proxy.watch(server, step)
        try:
            return runs_to_death(server, operation, self.path(name))
        finally:
            self.proxy.watch(None, 0)

    def close(self):
        self.server.stop()
        self.proxy.stop()
        self.storage.terminate()
        self.storage.wait(30)


# How clients say that a server is gone.
DEATH = ("UNAVAILABLE", "Connection", "Socket", "Stream removed")


def runs_to_death(server, operation, path):
    try:
        operation.run(server.session(), path)
    except Exception as e:
        # Nothing but the death of the server is a reason to fail.
        assert server.process.wait(120) is not None, e
        assert any(sign in str(e) for sign in DEATH), e
        return True
    finally:
        if server.process.poll() is None:
            server.kill()
    return False


class Proxy:
    """Passes HTTP requests on. Counts those that change something, and kills a server before or after one of them."""

    def __init__(self, storage_port):
        self.changes, self.victim, self.step, self.lock = [], None, 0, threading.Lock()
        self.counts = lambda request: True
        # The number of a change whose answer is not given, where there is one.
        self.lost = None
        # Writes to such paths are done, and each is answered by an error once.
        self.fails, self.failed = None, set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else the body of each answer waits 40 ms for the client's kernel to confirm the head.
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                number = outer.counted(f"{self.command} {self.path}") if self.command in ("PUT", "DELETE", "POST") else None
                changes = number is not None
                if outer.is_over() or (changes and outer.kills(2 * number)):
                    self.close_connection = True
                    return
                storage = http.client.HTTPConnection("127.0.0.1", storage_port, timeout=60)
                storage.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k.lower() != "connection"})
                answer = storage.getresponse()
                content = answer.read()
                storage.close()
                if changes and (outer.kills(2 * number + 1) or outer.loses(number)):
                    self.close_connection = True
                    return
                with contextlib.suppress(ConnectionError):
                    if changes and outer.answers_by_an_error(self.path):
                        self.send_error(500)
                    else:
                        self.answer_with(answer, content)

            def answer_with(self, answer, content):
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                        self.send_header(key, value)
                self.send_header("Content-Length", answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def watch(self, victim, step, counts=lambda request: True):
        """Kills the victim at a step of the changes that count: two steps each."""
        with self.lock:
            self.changes, self.victim, self.step, self.counts = [], victim, step, counts

    def counted(self, request):
        """The number of a change; `None` where it does not count."""
        with self.lock:
            if self.counts(request := request.split("?")[0]):
                self.changes.append(request)
                return len(self.changes) - 1
            return None

    def answers_by_an_error(self, path):
        with self.lock:
            if self.fails is None or not self.fails.search(path) or path in self.failed:
                return False
            self.failed.add(path)
            return True

    def kills(self, step):
        with self.lock:
            if self.victim is None or step < self.step:
                return False
            if self.victim.process.poll() is None:
                self.victim.kill()
            return True

    def is_over(self):
        """Whether the victim is dead: nothing that it asked for is done any more."""
        with self.lock:
            return self.victim is not None and self.victim.process.poll() is not None

    def loses(self, number):
        with self.lock:
            loses = number == self.lost
            self.lost = None if loses else self.lost
            return loses

    def stop(self):
        self.http.shutdown()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port):
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert time.monotonic() < deadline, "the S3-like server did not start"
            time.sleep(0.05)


@contextlib.contextmanager
def environment(**variables):
    before = {k: os.environ.get(k) for k in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def other_reader(path, options):
    """How many rows the `deltalake` wheel reads; None where there is no table."""
    if not DeltaTable.is_deltatable(path, options):
        return None
    table = DeltaTable(path, storage_options=options)
    return pa.table(QueryBuilder().register("t", table).execute("SELECT count(*) AS n FROM t").read_all())["n"][0].as_py()


# Points that the operations of this test do not come to, with the reason.
UNREACHED = {
    # Deleting what expired needs a log of an earlier day; a failed statement deletes what it wrote.
    "delta::before-deletion",
    # Tables at paths have no catalog that manages their commits: test_catalog_managed.py comes to these.
    "delta::before-ratification",
    "delta::after-ratification",
    "delta::after-publication",
}


@pytest.mark.parametrize("place", [Disk, Bucket], ids=["disk", "s3"])
def test_death_at_each_durable_step(place, tmp_path):
    tried = operations(place)
    place = place(tmp_path)
    try:
        spark = place.server.session()
        states, cases, reached = {}, [], set()
        for operation in tried:
            name = re.sub("[^a-z]", "-", operation.name)
            operation.set_up(spark, place.path(name))
            before = operation.observe(spark, place.path(name))
            place.copy(name, f"{name}-undisturbed")
            steps = place.count(operation, f"{name}-undisturbed")
            after = operation.observe(spark, place.path(f"{name}-undisturbed"))
            states[operation.name] = (name, before, after)
            assert steps, f"{operation.name} has no durable step"
            cases += [(operation, i, step) for i, step in enumerate(steps)]
            reached.update(steps)
        if isinstance(place, Disk):
            text = "".join(p.read_text() for p in SOURCES.glob("delta/src/**/*.rs"))
            points = set(re.findall(r'fault::(?:io_)?point(?:_at)?\("((?:delta|disk)::[^"]+)"\)', text))
            assert points - reached - UNREACHED == set(), "points that no operation comes to"
        died = sum(case(place, states, *c) for c in chosen(cases))
        print(f"{died} deaths")
        assert died > 0
    finally:
        place.close()


def case(place, states, operation, step, what):
    name, before, after = states[operation.name]
    label = f"{operation.name}, at step {step} ({what}), seed {SEED}"
    place.copy(name, "case")
    died = place.run_to_death(operation, "case", step)
    spark, path = place.server.session(), place.path("case")
    now = operation.observe(spark, path)
    assert now in (before, after), f"{label}: neither as before nor as after"
    if not died:
        assert now == after, f"{label}: it succeeded"
    seen_by_other = other_reader(operation.table(path), place.reader_options)
    if seen_by_other is not None or now is not None:
        assert seen_by_other == len(now[1]), f"{label}: another reader"
    if now == before:
        operation.run(spark, path)
        assert operation.observe(spark, path) == after, f"{label}: run again"
    table = operation.table(path)
    columns = ", ".join(f"`{c}`" for c in after[0])
    spark.sql(f"INSERT INTO delta.`{table}` SELECT {columns} FROM delta.`{table}` LIMIT 1").collect()
    assert len(operation.observe(spark, path)[1]) == len(after[1]) + 1, f"{label}: an append after it"
    place.remove("case")
    return died
