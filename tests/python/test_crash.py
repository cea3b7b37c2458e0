"""`kill -9` of the real server at random moments of a write: what was acknowledged is there, nothing is half there, and
the next run completes.

BOATHOUSE_CRASH_ROUNDS sets the number of kills for each scenario (the full proof: 50), BOATHOUSE_CRASH_SEED replays one.
"""

import os
import random
import threading
import time

import pytest
from conftest import Server

ROUNDS = int(os.environ.get("BOATHOUSE_CRASH_ROUNDS", "5"))
SEED = int(os.environ.get("BOATHOUSE_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))


class Scenario:
    """Something that goes from state 0 to 1, 2, 3, ... by steps. Each step is one atomic change."""

    def set_up(self, spark):
        """Brings state 0 about."""
        raise NotImplementedError

    def step(self, spark, n):
        """Goes from state n - 1 to state n."""
        raise NotImplementedError

    def observe(self, spark):
        """What a user sees now, to be compared."""
        raise NotImplementedError

    def expected(self, n):
        """What a user sees in state n."""
        raise NotImplementedError


class Overwrite(Scenario):
    """A table is replaced, in several files."""

    ROWS = 4000

    def write(self, spark, n):
        rows = spark.range(self.ROWS).repartition(4).selectExpr("id", f"{n} AS state", f"id * {n} AS product")
        rows.write.format("delta").mode("overwrite").saveAsTable("overwritten")

    def set_up(self, spark):
        self.write(spark, 0)

    def step(self, spark, n):
        self.write(spark, n)

    def observe(self, spark):
        row = spark.sql("SELECT count(*), count(DISTINCT id), min(state), max(state), sum(product) FROM overwritten").first()
        return tuple(row)

    def expected(self, n):
        return (self.ROWS, self.ROWS, n, n, n * self.ROWS * (self.ROWS - 1) // 2)


class Merge(Scenario):
    """A merge that updates, inserts and deletes in the files of earlier ones."""

    ROWS, MORE = 3000, 50

    def __init__(self):
        self.states = [{i: 0 for i in range(self.ROWS)}]

    def set_up(self, spark):
        rows = spark.range(self.ROWS).repartition(3).selectExpr("id", "0L AS value")
        rows.write.format("delta").mode("overwrite").saveAsTable("merged")

    def step(self, spark, n):
        spark.sql(
            f"""MERGE INTO merged t
                USING (SELECT id FROM range({self.ROWS + self.MORE * n}) WHERE id % 7 = {n % 7} OR id >= {self.ROWS}) s
                ON t.id = s.id
                WHEN MATCHED AND s.id % 11 = {n % 11} THEN DELETE
                WHEN MATCHED THEN UPDATE SET value = t.value + {n}
                WHEN NOT MATCHED THEN INSERT (id, value) VALUES (s.id, -{n})"""
        )

    def observe(self, spark):
        return {row[0]: row[1] for row in spark.sql("SELECT id, value FROM merged").collect()}

    def expected(self, n):
        while len(self.states) <= n:
            self.states.append(self.after(self.states[-1], len(self.states)))
        return self.states[n]

    def after(self, state, n):
        state = dict(state)
        for i in range(self.ROWS + self.MORE * n):
            if i % 7 != n % 7 and i < self.ROWS:
                continue
            if i not in state:
                state[i] = -n
            elif i % 11 == n % 11:
                del state[i]
            else:
                state[i] += n
        return state


@pytest.mark.parametrize("scenario", [Overwrite, Merge], ids=lambda s: s.__name__.lower())
def test_kill(scenario, tmp_path):
    seed = f"{SEED}-{scenario.__name__}"
    print(f"seed {SEED}, {ROUNDS} rounds")
    chance = random.Random(seed)
    scenario = scenario()
    server = Server(tmp_path / "home")
    try:
        spark = server.session()
        scenario.set_up(spark)
        state, begin = 1, time.monotonic()
        scenario.step(spark, state)
        duration = time.monotonic() - begin
        for round in range(ROUNDS):
            acknowledged = kill_during_steps(server, scenario, state, chance.uniform(0, 2.5 * duration))
            server = Server(tmp_path / "home")
            spark = server.session()
            seen = scenario.observe(spark)
            # The step that was under way may have been committed without anybody being told.
            candidates = [n for n in (acknowledged, acknowledged + 1) if scenario.expected(n) == seen]
            assert candidates, f"seed {SEED}, round {round}: neither state {acknowledged} nor the next one"
            state = candidates[0] + 1
            scenario.step(spark, state)
            assert scenario.observe(spark) == scenario.expected(state), f"seed {SEED}, round {round}: the run after it"
        print(f"{state} states, all whole")
    finally:
        server.stop()


def kill_during_steps(server, scenario, state, delay):
    """Runs steps after `state` until the server is killed, `delay` seconds later; the last state that was acknowledged."""
    spark = server.session()
    acknowledged, began = [state], threading.Event()

    def run():
        began.set()
        try:
            while True:
                scenario.step(spark, acknowledged[-1] + 1)
                acknowledged.append(acknowledged[-1] + 1)
        except Exception as e:
            assert "UNAVAILABLE" in str(e) or "Connection" in str(e) or "Socket" in str(e), e

    failures = []

    def guarded():
        try:
            run()
        except AssertionError as e:
            failures.append(e)

    steps = threading.Thread(target=guarded)
    steps.start()
    began.wait()
    # Not to wait for something: the moment of the kill is the input of the test.
    time.sleep(delay)
    server.kill()
    steps.join(60)
    assert not steps.is_alive(), "the client did not notice that the server is gone"
    assert not failures, f"a step failed before the server was killed: {failures[0]}"
    return acknowledged[-1]
