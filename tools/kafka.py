#!/usr/bin/env python3
"""Runs a command beside a broker of Apache Kafka (KRaft, one node), whose address is in BOATHOUSE_KAFKA.

    python tools/kafka.py COMMAND [ARGS...]

It needs Java 17 and Maven; the jars come from Maven the first time (43 MB, into ~/.cache/boathouse/kafka). The command's exit
code is this program's. `Broker` is the same for Python: `with Broker() as broker: broker.bootstrap`.
"""

import base64
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

VERSION = "4.1.0"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "boathouse" / "kafka"
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>boathouse</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""
# The user of the SASL listener, and the password of all stores; that of the client's key is another. OAUTHBEARER takes tokens that
# nobody signs.
USER, PASSWORD = "alice", "alice-secret"


def missing():
    """What is not there to run a broker; None where all is."""
    if not shutil.which("java"):
        return "Java 17 is needed for a Kafka broker"
    if not jars().is_dir() and not shutil.which("mvn"):
        return "Maven is needed to get Kafka's jars"
    return None


def jars():
    return CACHE / VERSION


def install():
    """Gets Kafka's jars, once; whole or not at all."""
    if jars().is_dir():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        (pathlib.Path(folder) / "pom.xml").write_text(POM.format(version=VERSION))
        goal = ["dependency:copy-dependencies", "-DoutputDirectory=jars", "-DincludeScope=runtime"]
        done = subprocess.run(["mvn", "-q", "-B", *goal], cwd=folder, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise RuntimeError("Maven could not get Kafka's jars: " + done.stdout[-2000:] + done.stderr[-2000:])
        try:
            (pathlib.Path(folder) / "jars").rename(jars())
        except OSError:
            if not jars().is_dir():  # else another process was quicker
                raise


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Broker:
    """A broker with a listener without security (`bootstrap`), one with SASL (`sasl`), one with TLS (`ssl`, `ca`) and one that asks
    clients for a certificate, too (`mutual`, `client`). One more without security says that it is at `far`, where somebody has to
    pass on what comes to `near`."""

    def __init__(self, folder=None):
        install()
        self.made = None if folder else tempfile.TemporaryDirectory(prefix="boathouse-kafka-")
        self.folder = pathlib.Path(folder or self.made.name)
        *ports, self.controller = free_ports(7)
        self.bootstrap, self.sasl, self.ssl, self.mutual, self.near, self.far = [f"127.0.0.1:{port}" for port in ports]
        self.ca, self.client = self.folder / "ca.pem", self.folder / "client.jks"
        self.process = None
        self.configure()
        self.start()

    def configure(self):
        keystore = self.folder / "keystore.p12"
        made = ["-genkeypair", "-keyalg", "RSA", "-validity", "30", "-storepass", PASSWORD]
        self.keytool(*made, "-keystore", keystore, "-storetype", "PKCS12", "-alias", "broker", "-dname", "CN=localhost",
                     "-ext", "san=ip:127.0.0.1,dns:localhost")
        self.keytool("-exportcert", "-rfc", "-keystore", keystore, "-storepass", PASSWORD, "-alias", "broker", "-file", self.ca)
        self.keytool(*made, "-keystore", self.client, "-storetype", "JKS", "-alias", "client", "-dname", "CN=client",
                     "-keypass", PASSWORD + "-key")
        clients = self.folder / "clients.pem"
        self.keytool("-exportcert", "-rfc", "-keystore", self.client, "-storepass", PASSWORD, "-alias", "client", "-file", clients)
        jaas = "org.apache.kafka.common.security.{} required {};"
        plain = jaas.format("plain.PlainLoginModule", f'user_{USER}="{PASSWORD}"')
        listeners = f"PLAINTEXT://{self.bootstrap},SASL_PLAINTEXT://{self.sasl},SSL://{self.ssl},MUTUAL://{self.mutual}"
        self.settings = self.folder / "server.properties"
        self.settings.write_text(f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self.controller}
controller.listener.names=CONTROLLER
listeners={listeners},FAR://{self.near},CONTROLLER://127.0.0.1:{self.controller}
advertised.listeners={listeners},FAR://{self.far}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,FAR:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl_plaintext.plain.sasl.jaas.config={plain}
listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config={jaas.format("scram.ScramLoginModule", "").replace(" ;", ";")}
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config={jaas.format("scram.ScramLoginModule", "").replace(" ;", ";")}
listener.name.sasl_plaintext.oauthbearer.sasl.jaas.config={jaas.format("oauthbearer.OAuthBearerLoginModule", 'unsecuredLoginStringClaim_sub="broker"')}
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.truststore.location={clients}
listener.name.mutual.ssl.truststore.type=PEM
ssl.keystore.location={keystore}
ssl.keystore.password={PASSWORD}
ssl.keystore.type=PKCS12
log.dirs={self.folder / "log"}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=true
num.partitions=1
log.retention.ms=-1
""")
        users = [f"SCRAM-SHA-{n}=[name={USER},password={PASSWORD}]" for n in (256, 512)]
        add = [part for user in users for part in ("--add-scram", user)]
        self.run([*self.java("kafka.tools.StorageTool"), "format", "-t", cluster_id(), "-c", str(self.settings), *add])

    def java(self, main):
        log = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.logFile=System.out"]
        return ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *log, "-cp", str(jars() / "*"), main]

    def keytool(self, *arguments):
        self.run(["keytool", "-noprompt", *map(str, arguments)])

    def run(self, command):
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def start(self):
        """Starts it, also after `stop` or `kill`: with the same address and what was written before."""
        log = self.folder / "broker.out"
        with open(log, "ab") as out:
            command = [*self.java("kafka.Kafka"), str(self.settings)]
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=out, start_new_session=True)
        deadline = time.time() + 300
        while not self.answers():
            if self.process.poll() is not None or time.time() > deadline:
                self.stop()
                raise RuntimeError("the Kafka broker did not start: " + log.read_text(errors="replace")[-3000:])
            time.sleep(0.1)

    def answers(self):
        """Whether it takes connections on all listeners."""
        try:
            for address in (self.bootstrap, self.sasl, self.ssl, self.mutual):
                host, port = address.split(":")
                socket.create_connection((host, int(port)), 1).close()
            return True
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def close(self):
        self.stop()
        if self.made:
            self.made.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def cluster_id():
    """A random id in the form Kafka wants: 16 bytes as base64 for URLs; with a dash before it, it would be an option."""
    id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return id if not id.startswith("-") else cluster_id()


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    if reason := missing():
        raise SystemExit(reason)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the broker ends with this program
    with Broker() as broker:
        environment = {**os.environ, "BOATHOUSE_KAFKA": broker.bootstrap, "KAFKA_BOOTSTRAP": broker.bootstrap}
        return subprocess.run(sys.argv[1:], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
