"""Lines of a socket as a stream."""

import json
import socket
import threading

import pytest
from test_streaming import until


@pytest.fixture
def lines():
    """Sends lines to whoever connects, again from the beginning to each."""
    listener = socket.create_server(("127.0.0.1", 0))
    sent, clients = [], []

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            clients.append(client)
            for line in sent:
                client.sendall(line)

    threading.Thread(target=accept, daemon=True).start()

    def send(text):
        sent.append(text.encode())
        for client in clients:
            client.sendall(text.encode())

    send.port, send.clients = listener.getsockname()[1], clients
    yield send
    listener.close()
    for client in clients:
        client.close()


def source(spark, port, **options):
    return spark.readStream.format("socket").option("host", "127.0.0.1").option("port", port).options(**options).load()


def test_the_word_count_of_the_guide(spark, lines):
    """Spark's first example of a stream."""
    from pyspark.sql.functions import explode, split

    words = source(spark, lines.port).select(explode(split("value", " ")).alias("word"))
    query = words.groupBy("word").count().writeStream.outputMode("complete").format("memory").queryName("counts").start()
    lines("apache spark\n")
    until(lambda: {r.word: r["count"] for r in spark.table("counts").collect()} == {"apache": 1, "spark": 1})
    lines("apache hadoop\nno end of")
    until(lambda: {r.word: r["count"] for r in spark.table("counts").collect()} == {"apache": 2, "spark": 1, "hadoop": 1})
    lines(" line\n")
    until(lambda: "line" in {r.word for r in spark.table("counts").collect()})
    assert json.loads(query.lastProgress.json)["sources"][0]["description"].startswith("TextSocketV2[host: 127.0.0.1, port: ")
    query.stop()


def test_times_of_lines(spark, lines):
    frame = source(spark, lines.port, includeTimestamp=True)
    assert frame.schema.simpleString() == "struct<value:string,timestamp:timestamp>"
    query = frame.writeStream.format("memory").queryName("times").start()
    lines("a\nb\n")
    until(lambda: spark.table("times").count() == 2)
    assert spark.sql("SELECT abs(unix_micros(now()) - unix_micros(timestamp)) < 600000000 AS near FROM times").distinct().first().near
    query.stop()


def test_what_a_socket_needs(spark):
    with pytest.raises(Exception, match="(?i)host"):
        spark.readStream.format("socket").option("port", 1).load().schema.simpleString()
    with pytest.raises(Exception, match="(?i)port"):
        spark.readStream.format("socket").option("host", "127.0.0.1").load().schema.simpleString()
    with pytest.raises(Exception, match="(?i)includeTimestamp"):
        spark.readStream.format("socket").option("host", "127.0.0.1").option("port", 1).option("includeTimestamp", "x").load().schema.simpleString()


def test_nobody_listens(spark):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Exception, match="(?i)refused"):
        source(spark, port).writeStream.format("noop").start().awaitTermination(300)
