"""Random sequences of operations on a table, against a model that is a list of rows: every version has the rows and the
change feed that it should.

BOATHOUSE_SEQUENCES sets how many sequences run (the full proof: 500), BOATHOUSE_SEED replays one, BOATHOUSE_FIRST_SEQUENCE
says at which number to start. `make test-jvm` runs the same with delta-spark taking turns.
"""

import os
import random

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder
from random_runs import Run

SEQUENCES = int(os.environ.get("BOATHOUSE_SEQUENCES", "4"))
FIRST = int(os.environ.get("BOATHOUSE_FIRST_SEQUENCE", "0"))
SEED = int(os.environ.get("BOATHOUSE_SEED", str(random.SystemRandom().randrange(1 << 32))))
STEPS = 12
# What the independent reader does not know. A table that had it keeps it when it is restored to a version without.
FOREIGN = {"columnMapping", "typeWidening"}


@pytest.mark.parametrize("number", range(FIRST, FIRST + SEQUENCES))
def test_sequence(spark, tmp_path, number):
    print(f"seed {SEED}, sequence {number}")
    run = Run({"us": spark}, tmp_path, SEED, number)
    run.go(STEPS)
    state = run.made.state
    features = spark.sql(f"DESCRIBE DETAIL delta.`{run.made.path}`").collect()[0].tableFeatures
    if FOREIGN & set(features) or "_clone" in run.made.path:
        return
    query = QueryBuilder().register("t", DeltaTable(run.made.path)).execute("SELECT id, k, v FROM t")
    other = [tuple(row.values()) for row in pa.table(query.read_all()).to_pylist()]
    assert sorted(other, key=repr) == sorted((row[:3] for row in state.rows), key=repr), run.story()
