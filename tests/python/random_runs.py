"""Runs the sequences of `random_tables` and checks each version: the rows, the change feed, and old versions."""

import collections
import random

from random_tables import Generator

CHANGE_COLUMNS = ("_change_type", "_commit_version", "_commit_timestamp")


def plain(value):
    """A value that can be counted: rows and arrays become tuples."""
    if isinstance(value, (list, tuple)):
        return tuple(plain(v) for v in value)
    return value


def read(frame):
    return collections.Counter(plain(row) for row in frame.collect())


def difference(got, wanted):
    return f"not wanted: {list((got - wanted).items())[:8]}\nlacking: {list((wanted - got).items())[:8]}"


class Run:
    """One sequence on one table, by one or several engines, each a session by its name."""

    def __init__(self, engines, directory, seed, number):
        self.engines, self.directory = engines, directory
        self.chance = random.Random(f"{seed}-{number}")
        self.made = Generator(self.chance, str(directory / "t"), ["plain", "partitioned", "clustered"][number % 3])
        self.versions = {}
        self.told = {}
        self.last = -1
        # The first version of a time in which the feed can be read at once: always on, the same columns, the files there.
        self.era = 0
        self.log = []
        for session in engines.values():
            session.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")

    def story(self):
        return "\n" + "\n".join(self.log)

    def go(self, steps):
        self.do(self.made.create())
        self.do(self.made.append())
        for _ in range(steps):
            self.do(self.made.step())
        for version in self.versions:
            self.check_version(version)
        self.check_era()

    def do(self, step):
        name = self.chance.choice(list(self.engines))
        self.log.append(f"-- {len(self.log)}: {step.name}, by {name}, after version {self.last}\n{step.text};")
        before = self.made.state
        try:
            step.run(self.engines[name])
        except Exception as e:
            raise AssertionError(f"{self.story()}\nfails: {e}") from e
        if step.path:
            self.made.path, self.versions, self.told, self.last, self.era = step.path, {}, {}, -1, 1
        if step.forgets:
            self.versions, self.era = {}, self.latest() + 1
        if step.after.columns != before.columns:
            self.era = self.last + 1
        self.made.state = step.after
        self.check(before, step)

    def latest(self):
        return next(iter(self.engines.values())).sql(f"DESCRIBE HISTORY {self.made.table} LIMIT 1").first()["version"]

    def columns(self):
        return self.made.state.names()

    def check(self, before, step):
        """Every engine reads what the model has, now, at a version of before, and as a feed."""
        for name, session in self.engines.items():
            frame = session.read.format("delta").load(self.made.path)
            assert frame.columns == self.columns(), f"{self.story()}\n{name} has the columns {frame.columns}"
            got = read(frame)
            assert got == step.after.counted(), f"{self.story()}\n{name} reads: {difference(got, step.after.counted())}"
        clustered = {name: session.sql(f"DESCRIBE DETAIL {self.made.table}").first()["clusteringColumns"] for name, session in self.engines.items()}
        assert len(set(map(tuple, clustered.values()))) == 1, f"{self.story()}\nclustered by {clustered}"
        latest = self.latest()
        fed = before.settings.get("delta.enableChangeDataFeed") == step.after.settings.get("delta.enableChangeDataFeed") == "true"
        if not fed:
            self.era = latest + 1
        for version in range(self.last + 1, latest + 1):
            self.versions[version] = step.after
        if fed and self.last >= 0:
            self.check_feed(before, step, self.last + 1, latest)
        self.last = latest
        self.made.versions = self.versions
        if self.versions:
            self.check_version(self.chance.choice(list(self.versions)))

    def check_version(self, version):
        state = self.versions[version]
        for name, session in self.engines.items():
            got = read(session.read.format("delta").option("versionAsOf", version).load(self.made.path))
            assert got == state.counted(), f"{self.story()}\n{name}, version {version}: {difference(got, state.counted())}"

    def feed(self, session, first, last):
        """The feed from one version to another, a counter of (change, row) by version."""
        columns = ", ".join([*CHANGE_COLUMNS[:2], *self.columns()])
        out = collections.defaultdict(collections.Counter)
        for row in session.sql(f"SELECT {columns} FROM table_changes_by_path('{self.made.path}', {first}, {last})").collect():
            out[row[1]][(row[0], plain(row[2:]))] += 1
        return out

    def check_feed(self, before, step, first, last):
        if first > last:
            assert not step.changes, f"{self.story()}\nno commit"
            return
        heard = {name: self.feed(session, first, last) for name, session in self.engines.items()}
        for name, feed in heard.items():
            got = sum(feed.values(), collections.Counter())
            if step.changes is not None:
                assert got == step.changes, f"{self.story()}\n{name}'s feed: {difference(got, step.changes)}"
            elif not step.path and before.columns == step.after.columns:
                left = before.counted()
                left.subtract(net(got))
                assert +left == step.after.counted(), f"{self.story()}\n{name}'s feed does not add up: {difference(+left, step.after.counted())}"
            assert feed == heard[next(iter(heard))], f"{self.story()}\nthe feeds differ: {heard}"
        for version in range(first, last + 1):
            self.told[version] = next(iter(heard.values()))[version]

    def check_era(self):
        """The commits of the last era read at once, and as a stream, tell what each told alone."""
        if self.era > self.last:
            return
        wanted = {v: self.told[v] for v in range(self.era, self.last + 1) if self.told.get(v)}
        for name, session in self.engines.items():
            got = {v: c for v, c in self.feed(session, self.era, self.last).items() if c}
            assert got == wanted, f"{self.story()}\n{name}'s feed from {self.era}: {got}\nwanted {wanted}"
            got = self.streamed(session, name)
            assert got == wanted, f"{self.story()}\n{name}'s stream from {self.era}: {got}\nwanted {wanted}"

    def streamed(self, session, name):
        stream = session.readStream.format("delta").option("readChangeFeed", "true").option("startingVersion", self.era)
        frame = stream.load(self.made.path).select(*CHANGE_COLUMNS[:2], *self.columns())
        frame = frame.withColumnsRenamed({CHANGE_COLUMNS[0]: "change", CHANGE_COLUMNS[1]: "version"})
        target, checkpoint = (str(self.directory / f"{what}_{name}") for what in ("stream", "checkpoint"))
        query = frame.writeStream.format("parquet").option("checkpointLocation", checkpoint).trigger(availableNow=True).start(target)
        assert query.awaitTermination(120), "the stream does not end"
        assert query.exception() is None, f"{self.story()}\nstream from {self.era} by {name}: {query.exception()}"
        out = collections.defaultdict(collections.Counter)
        for row in session.read.schema(frame.schema).parquet(target).collect():
            out[row[1]][(row[0], plain(row[2:]))] += 1
        return dict(out)


def net(feed):
    """What a feed takes away from the rows: deletes less inserts."""
    out = collections.Counter()
    for (change, row), count in feed.items():
        out[row] += count if change in ("delete", "update_preimage") else -count
    return out
