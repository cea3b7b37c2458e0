"""Who logs in to Kafka, and with which keys: passwords, tokens, certificates in the forms that Java's client reads."""

import base64
import http.server
import json
import threading
import time
import urllib.parse

import pytest
from kafka_broker import kafka as tool
from test_kafka import name, read, stream, values, wait_for  # noqa: F401

TOKENS = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"


@pytest.fixture
def topic(kafka, name):  # noqa: F811
    kafka.topic(name)
    kafka.send(name, [b"x"])
    return name


@pytest.mark.parametrize("mechanism, module", [("PLAIN", "plain.PlainLoginModule"), ("SCRAM-SHA-256", "scram.ScramLoginModule")])
def test_passwords(spark, kafka, topic, mechanism, module):
    login = 'org.apache.kafka.common.security.{} required username="{}" password="{}";'
    sasl = {"kafka.bootstrap.servers": kafka.broker.sasl, "kafka.security.protocol": "SASL_PLAINTEXT", "kafka.sasl.mechanism": mechanism}
    good = login.format(module, tool.USER, tool.PASSWORD)
    assert read(spark, kafka, topic, **sasl, **{"kafka.sasl.jaas.config": good}).count() == 1
    with pytest.raises(Exception, match="(?i)authentication"):
        read(spark, kafka, topic, **sasl, **{"kafka.sasl.jaas.config": login.format(module, tool.USER, "wrong")}).count()


# ---- tokens -----------------------------------------------------------------------------------------------------


class TokenServer(http.server.ThreadingHTTPServer):
    """Gives a token for `id` and `the secret`, which is good for `lifetime` seconds. The first `troubles` requests fail."""

    def __init__(self, lifetime=3600, troubles=0):
        super().__init__(("127.0.0.1", 0), Answers)
        self.lifetime, self.troubles, self.asked = lifetime, troubles, []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/token"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked.append(form)
        login = base64.b64encode(b"id:the secret").decode()
        if self.server.troubles > 0:
            self.server.troubles -= 1
            self.answer(503, "busy")
        elif self.headers["Authorization"] != f"Basic {login}" or form["grant_type"] != ["client_credentials"]:
            self.answer(401, json.dumps({"error": "invalid_client"}))
        else:
            self.answer(200, json.dumps({"access_token": token("carol", self.server.lifetime), "token_type": "Bearer"}))

    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def token(subject, lifetime=3600):
    """A token that nobody signed, as the broker of these tests takes it."""
    now = time.time()
    parts = [{"alg": "none"}, {"sub": subject, "iat": now, "exp": now + lifetime}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."


def bearer(kafka, login, **options):
    given = {f"kafka.{key}": value for key, value in options.items()}
    return {"kafka.bootstrap.servers": kafka.broker.sasl, "kafka.security.protocol": "SASL_PLAINTEXT", "kafka.sasl.mechanism": "OAUTHBEARER",
            "kafka.sasl.jaas.config": f"{TOKENS} required {login};", **given}


def from_server(kafka, server, secret="the secret"):
    handler = "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler"
    login = f'clientId="id" clientSecret="{secret}" scope="read all"'
    return bearer(kafka, login, **{"sasl.oauthbearer.token.endpoint.url": server.url, "sasl.login.callback.handler.class": handler})


def test_tokens_of_a_server(spark, kafka, topic):
    with TokenServer(troubles=2) as server:
        given = from_server(kafka, server)
        assert read(spark, kafka, topic, **given).count() == 1
        assert server.asked[-1] == {"grant_type": ["client_credentials"], "scope": ["read all"]} and server.troubles == 0
        rows = spark.sql("SELECT 'y' AS value")
        rows.write.format("kafka").options(**given, topic=topic).save()
        rows.write.format("kafka").options(**given, topic=topic, transactionalId=topic).save()
        assert values(read(spark, kafka, topic, **given)) == ["x", "y", "y"]
        with pytest.raises(Exception, match="401.*invalid_client"):
            read(spark, kafka, topic, **from_server(kafka, server, "another secret")).count()
    with pytest.raises(Exception, match="(?i)no token to log in with"):
        read(spark, kafka, topic, **given, **{"kafka.sasl.login.retry.backoff.max.ms": "200"}).count()


def test_tokens_of_a_file(spark, kafka, topic, tmp_path):
    (tmp_path / "token").write_text(token("dora") + "\n")
    given = bearer(kafka, "", **{"sasl.oauthbearer.token.endpoint.url": (tmp_path / "token").as_uri()})
    assert read(spark, kafka, topic, **given).count() == 1
    (tmp_path / "token").write_text("nothing")
    with pytest.raises(Exception, match="no JSON Web Token"):
        read(spark, kafka, topic, **given).count()


def test_tokens_that_nobody_signs(spark, kafka, topic):
    assert read(spark, kafka, topic, **bearer(kafka, 'unsecuredLoginStringClaim_sub="alice"')).count() == 1
    with pytest.raises(Exception, match="token.endpoint.url"):
        read(spark, kafka, topic, **bearer(kafka, "")).count()


def test_a_stream_outlives_its_tokens(spark, kafka, topic, tmp_path):
    """It asks for new ones before they run out. On a slow machine one may run out on the way: then the query is started again."""
    with TokenServer(lifetime=10) as server:
        writer = stream(spark, kafka, topic, **from_server(kafka, server)).writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c"))
        query, before, sent = writer.start(str(tmp_path / "t")), 0, 1

        def has_asked_again():
            nonlocal query, before, sent
            if not query.isActive:
                before, query = len(server.asked), writer.start(str(tmp_path / "t"))
            kafka.send(topic, [b"%d" % sent])
            sent += 1
            query.processAllAvailable()
            # Each of its few clients has asked once when it began.
            return len(server.asked) - before >= 10

        wait_for(has_asked_again, 600)
        query.stop()
        rows = spark.read.format("delta").load(str(tmp_path / "t"))
        assert len(set(values(rows))) == rows.count() >= 2


# ---- certificates -----------------------------------------------------------------------------------------------


def tls(address, **options):
    return {"kafka.bootstrap.servers": address, "kafka.security.protocol": "SSL", **{f"kafka.ssl.{k.replace('_', '.')}": str(v) for k, v in options.items()}}


@pytest.fixture
def stores(kafka, tmp_path):
    """The broker's certificate as something to be trusted, and the client's key, in the forms JKS and PKCS12."""
    broker = kafka.broker
    for form in ("JKS", "PKCS12"):
        broker.keytool("-importcert", "-file", broker.ca, "-keystore", tmp_path / f"trust.{form}", "-storetype", form, "-storepass", tool.PASSWORD,
                       "-alias", "broker")
    broker.keytool("-importkeystore", "-srckeystore", broker.client, "-srcstorepass", tool.PASSWORD, "-srcalias", "client",
                   "-srckeypass", tool.PASSWORD + "-key", "-destkeystore", tmp_path / "key.PKCS12", "-deststoretype", "PKCS12",
                   "-deststorepass", tool.PASSWORD, "-destkeypass", tool.PASSWORD)
    return tmp_path


def test_certificates_in_pem(spark, kafka, topic):
    trusted = tls(kafka.broker.ssl, truststore_location=kafka.broker.ca, truststore_type="PEM")
    assert read(spark, kafka, topic, **trusted).count() == 1
    with pytest.raises(Exception, match="(?i)certificate"):
        read(spark, kafka, topic, **tls(kafka.broker.ssl)).count()


def test_key_stores_of_java(spark, kafka, topic, stores):
    for form in ("JKS", "PKCS12"):
        trust = {"truststore_location": stores / f"trust.{form}", "truststore_password": tool.PASSWORD}
        assert read(spark, kafka, topic, **tls(kafka.broker.ssl, **trust)).count() == 1
        assert read(spark, kafka, topic, **tls(kafka.broker.ssl, **trust, truststore_type=form)).count() == 1
        with pytest.raises(Exception, match="the password is wrong"):
            read(spark, kafka, topic, **tls(kafka.broker.ssl, **{**trust, "truststore_password": "wrong"})).count()
        # A broker that asks for a certificate lets nobody in without.
        with pytest.raises(Exception, match="(?i)certificate|SSL|handshake"):
            read(spark, kafka, topic, **tls(kafka.broker.mutual, **trust), **{"kafka.default.api.timeout.ms": "10000"}).count()
        keys = {
            "JKS": {"keystore_location": kafka.broker.client, "keystore_password": tool.PASSWORD, "key_password": tool.PASSWORD + "-key"},
            "PKCS12": {"keystore_location": stores / "key.PKCS12", "keystore_password": tool.PASSWORD, "keystore_type": "PKCS12"},
        }[form]
        assert read(spark, kafka, topic, **tls(kafka.broker.mutual, **trust, **keys)).count() == 1
    with pytest.raises(Exception, match="the password of its key is wrong"):
        wrong = {"keystore_location": kafka.broker.client, "keystore_password": tool.PASSWORD}
        read(spark, kafka, topic, **tls(kafka.broker.mutual, **trust, **wrong)).count()
    (stores / "empty").write_bytes(b"")
    with pytest.raises(Exception, match="neither PKCS12 nor JKS"):
        read(spark, kafka, topic, **tls(kafka.broker.ssl, truststore_location=stores / "empty")).count()
    with pytest.raises(Exception, match="cannot be read"):
        read(spark, kafka, topic, **tls(kafka.broker.ssl, truststore_location=stores / "nowhere")).count()
    with pytest.raises(Exception, match="BCFKS"):
        read(spark, kafka, topic, **tls(kafka.broker.ssl, truststore_location=stores / "empty", truststore_type="BCFKS")).count()
