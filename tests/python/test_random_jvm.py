"""The random sequences of `test_random_operations.py`, each step by us or by delta-spark on the JVM as chance has it: both read
the same rows and the same change feed after each step. `make test-jvm` runs it; BOATHOUSE_JVM_SEQUENCES says how many.
"""

import os

import pytest
from random_runs import Run
from test_random_operations import FIRST, SEED, STEPS

SEQUENCES = int(os.environ.get("BOATHOUSE_JVM_SEQUENCES", "6"))


@pytest.mark.parametrize("number", range(FIRST, FIRST + SEQUENCES))
def test_sequence_of_both(spark, jvm, tmp_path, number):
    print(f"seed {SEED}, sequence {number}")
    Run({"us": spark, "delta-spark": jvm}, tmp_path, SEED, number).go(STEPS)
