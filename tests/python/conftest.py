"""Real clients against the real binary. Set BOATHOUSE to name the binary, or BOATHOUSE_REMOTE for a server that runs."""

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A Spark Connect server of Apache Spark with delta-spark and its Kafka connector; tools/delta_spark.py starts one.
SPARK_REMOTE = os.environ.get("BOATHOUSE_SPARK_REMOTE")
# Functions of these tests run where the tests do.
os.environ.setdefault("BOATHOUSE_PYTHON", sys.executable)


def binary():
    named = os.environ.get("BOATHOUSE")
    candidates = [pathlib.Path(named)] if named else [ROOT / "target" / p / "boathouse" for p in ("release", "debug")]
    for candidate in candidates:
        if candidate.exists():
            return str(candidate)
    raise SystemExit("no boathouse binary: build it, or name it in $BOATHOUSE")


class Server:
    """A server of its own in a fresh home."""

    def __init__(self, home, *arguments):
        self.home = pathlib.Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        ready = self.home / "server.json"
        self.log_path = self.home.with_suffix(".log")
        command = [binary(), "server", "--home", str(self.home), "--connect-port", "0", "--http-port", "0", *arguments]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.time() + 300
        while not self._is_mine(ready):
            assert self.process.poll() is None, "the server ended at start:\n" + self.log_path.read_text()[-2000:]
            assert time.time() < deadline, "the server was not ready in 300 s"
            time.sleep(0.02)
        self.remote = json.loads(ready.read_text())["connect"]

    def _is_mine(self, ready):
        """A server that was killed, or another one of the same home, may have left its file."""
        try:
            return json.loads(ready.read_text())["pid"] == self.process.pid
        except FileNotFoundError:
            return False

    def session(self):
        """A new session whose calls fail at once when the server is gone, where the client would try for minutes."""
        from pyspark.sql.connect.client import DefaultChannelBuilder
        from pyspark.sql.connect.session import SparkSession

        # A dead server may have had the same port: its connection, which waits to be tried again, must not be this one's.
        channel = DefaultChannelBuilder(self.remote, [("grpc.use_local_subchannel_pool", 1)])
        session = SparkSession.builder.channelBuilder(channel).create()
        session.client.set_retry_policies([])
        return session

    def kill(self):
        """`kill -9`."""
        self.process.kill()
        self.process.wait(30)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def pytest_configure(config):
    config.addinivalue_line("markers", "jvm: beside Apache Spark on the JVM, as every test with the fixture of that name")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if "jvm" in getattr(item, "fixturenames", ()):
            item.add_marker("jvm")
            if not SPARK_REMOTE:
                item.add_marker(pytest.mark.skip(reason="needs Apache Spark on the JVM (Java 17, 900 MB): `make test-jvm` starts it and runs this test"))


def known_to_differ(request, name, reasons):
    """A recorded scenario that is known to give something else here has to, and says why."""
    if name in reasons:
        request.applymarker(pytest.mark.xfail(reason=reasons[name], strict=True))


@pytest.fixture(scope="session")
def remote(tmp_path_factory):
    """The address of a server all tests share: `sc://localhost:PORT`."""
    running = os.environ.get("BOATHOUSE_REMOTE")
    if running:
        yield running
        return
    server = Server(tmp_path_factory.mktemp("server") / "home")
    yield server.remote
    server.stop()


@pytest.fixture
def spark(remote):
    """A session of its own."""
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(remote).create()
    # The active session is the one that parses schemas and types: never one that another test left, of a server that is gone.
    SparkSession._active_session.session = session
    yield session
    if not session.is_stopped:
        session.stop()


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Two servers of one home."""
    home = tmp_path_factory.mktemp("two") / "home"
    first, second = Server(home), Server(home)
    yield first, second
    first.stop()
    second.stop()


@pytest.fixture(scope="module")
def jvm():
    """A session of Apache Spark itself. What asks for it runs in `make test-jvm`."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(SPARK_REMOTE).create()
    yield session
    session.stop()


@pytest.fixture
def own_sessions():
    """For tests with servers of their own: the first session they make is the active one, never one of a server that is gone."""
    from pyspark.sql.connect.session import SparkSession

    SparkSession._active_session.session = None


@pytest.fixture(scope="session")
def kafka():
    """A real broker of Apache Kafka that all tests share; see tools/kafka.py."""
    import kafka_broker

    if reason := kafka_broker.missing():
        pytest.skip(f"needs a broker of Apache Kafka: {reason}")
    with kafka_broker.kafka.Broker() as broker:
        yield kafka_broker.Cluster(broker)
