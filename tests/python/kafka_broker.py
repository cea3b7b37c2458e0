"""A Kafka broker for tests, and what tests do with one: make topics, send and read messages."""

import json
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import kafka  # noqa: E402  tools/kafka.py

# Clients outlive the broker by a moment, and would say so.
QUIET = {"log_level": 0}


class Cluster:
    def __init__(self, broker):
        from confluent_kafka.admin import AdminClient

        self.broker = broker
        self.bootstrap = broker.bootstrap
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, **QUIET})

    def topic(self, name, partitions=1, **settings):
        from confluent_kafka.admin import NewTopic

        config = {key.replace("_", "."): value for key, value in settings.items()}
        self._wait(self.admin.create_topics([NewTopic(name, partitions, 1, config=config)]))
        self._until(lambda: len(self._metadata(name).partitions) == partitions)
        return name

    def delete(self, name):
        self._wait(self.admin.delete_topics([name]))
        self._until(lambda: name not in self.admin.list_topics(timeout=60).topics)

    def add_partitions(self, name, count):
        from confluent_kafka.admin import NewPartitions

        self._wait(self.admin.create_partitions([NewPartitions(name, count)]))
        self._until(lambda: len(self._metadata(name).partitions) == count)

    def truncate(self, name, before, partition=0):
        """Records before an offset age out."""
        from confluent_kafka import TopicPartition

        self._wait(self.admin.delete_records([TopicPartition(name, partition, before)]))

    def _metadata(self, name):
        return self.admin.list_topics(name, timeout=60).topics[name]

    @staticmethod
    def _wait(futures):
        for future in futures.values():
            future.result(300)

    @staticmethod
    def _until(condition):
        deadline = time.time() + 300
        while not condition():
            assert time.time() < deadline, "the broker did not do it in 300 s"
            time.sleep(0.05)

    def producer(self, **settings):
        from confluent_kafka import Producer

        return Producer({"bootstrap.servers": self.bootstrap, **QUIET, **{k.replace("_", "."): v for k, v in settings.items()}})

    def send(self, topic, values, partition=0, **more):
        producer = self.producer()
        for value in values:
            value = json.dumps(value) if isinstance(value, dict) else value
            self._produce(producer, topic, value, partition=partition, **more)
        assert producer.flush(300) == 0

    @staticmethod
    def _produce(producer, topic, value, **more):
        while True:
            try:
                return producer.produce(topic, value, **more)
            except BufferError:
                producer.poll(0.1)

    def messages(self, topic, committed=False):
        """All messages of a topic: (partition, offset, key, value, headers)."""
        from confluent_kafka import Consumer, TopicPartition

        level = "read_committed" if committed else "read_uncommitted"
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "tests", "isolation.level": level,
                             "auto.offset.reset": "earliest", "enable.partition.eof": True, **QUIET})
        places = [TopicPartition(topic, p, 0) for p in self._metadata(topic).partitions]
        consumer.assign(places)
        out, ends, deadline = [], set(), time.time() + 300
        while len(ends) < len(places):
            assert time.time() < deadline, "the messages could not be read in 300 s"
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error():
                ends.add(message.partition())
            else:
                out.append((message.partition(), message.offset(), message.key(), message.value(), message.headers()))
        consumer.close()
        return sorted(out, key=lambda m: m[:2])


def missing():
    """Why there can be no broker here; None where there can."""
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        return "confluent-kafka is needed to speak with the broker"
    return kafka.missing()
