"""Random sequences of operations on a table, against a model that is a list of rows: every version has the rows it should.

BOATHOUSE_SEQUENCES sets how many sequences run (the full proof: 500), BOATHOUSE_SEED replays one.
"""

import collections
import os
import random

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder

SEQUENCES = int(os.environ.get("BOATHOUSE_SEQUENCES", "4"))
SEED = int(os.environ.get("BOATHOUSE_SEED", str(random.SystemRandom().randrange(1 << 32))))
STEPS = 12
KEYS = 60


class Model:
    """The table as a multiset of (id, k, v), and what it was after each version."""

    def __init__(self):
        self.rows = []
        self.versions = {}

    def sorted(self):
        return sorted(self.rows, key=repr)


class Run:
    def __init__(self, spark, path, chance):
        self.spark, self.path, self.chance = spark, str(path), chance
        self.name = f"delta.`{self.path}`"
        self.model = Model()
        self.next_id = 0
        self.log = []

    def rows(self, count):
        """New rows, as tuples."""
        out = []
        for _ in range(count):
            out.append((self.next_id, self.chance.randrange(KEYS), self.chance.choice([None, self.chance.randrange(1000)])))
            self.next_id += 1
        return out

    def frame(self, rows):
        return self.spark.createDataFrame(rows, "id BIGINT, k BIGINT, v BIGINT").repartition(self.chance.randrange(1, 4))

    # Each operation changes the table and the model.

    def append(self):
        rows = self.rows(self.chance.randrange(1, 30))
        self.frame(rows).write.format("delta").mode("append").save(self.path)
        self.model.rows += rows

    def overwrite(self):
        rows = self.rows(self.chance.randrange(1, 30))
        self.frame(rows).write.format("delta").mode("overwrite").save(self.path)
        self.model.rows = rows

    def replace_where(self):
        low = self.chance.randrange(KEYS)
        rows = [(i, low + self.chance.randrange(KEYS), v) for i, _, v in self.rows(8)]
        self.frame(rows).write.format("delta").mode("overwrite").option("replaceWhere", f"k >= {low}").save(self.path)
        self.model.rows = [r for r in self.model.rows if r[1] < low] + rows

    def update(self):
        a, b = self.chance.randrange(KEYS), self.chance.randrange(1, 20)
        self.spark.sql(f"UPDATE {self.name} SET v = coalesce(v, 0) + {b}, k = k + 1 WHERE k % {b + 1} = {a % (b + 1)}")
        self.model.rows = [
            (i, k + 1, (v or 0) + b) if k % (b + 1) == a % (b + 1) else (i, k, v) for i, k, v in self.model.rows
        ]

    def delete(self):
        a = self.chance.randrange(KEYS)
        kind = self.chance.randrange(3)
        condition, test = [
            (f"k = {a}", lambda r: r[1] == a),
            (f"v > {a * 10}", lambda r: r[2] is not None and r[2] > a * 10),
            (f"v IS NULL AND k > {a}", lambda r: r[2] is None and r[1] > a),
        ][kind]
        self.spark.sql(f"DELETE FROM {self.name} WHERE {condition}")
        self.model.rows = [r for r in self.model.rows if not test(r)]

    def merge(self):
        known = [r[0] for r in self.model.rows]
        touched = self.chance.sample(known, min(len(known), self.chance.randrange(10)))
        new = self.rows(self.chance.randrange(6))
        source = [(i, self.chance.randrange(KEYS), self.chance.randrange(1000)) for i in touched] + new
        if not source:
            return
        self.frame(source).createOrReplaceTempView("source_rows")
        limit = self.chance.randrange(KEYS)
        by_source = self.chance.random() < 0.3
        self.spark.sql(
            f"""MERGE INTO {self.name} t USING source_rows s ON t.id = s.id
                WHEN MATCHED AND s.k < {limit} THEN DELETE
                WHEN MATCHED THEN UPDATE SET v = s.v, k = t.k + s.k
                WHEN NOT MATCHED AND s.k <> {limit} THEN INSERT *
                {f"WHEN NOT MATCHED BY SOURCE AND t.k = {limit} THEN UPDATE SET v = -1" if by_source else ""}"""
        )
        given = {r[0]: r for r in source}
        out = []
        for i, k, v in self.model.rows:
            if i in given:
                s = given[i]
                if s[1] >= limit:
                    out.append((i, k + s[1], s[2]))
            else:
                out.append((i, k, -1) if by_source and k == limit else (i, k, v))
        out += [r for r in new if r[1] != limit]
        self.model.rows = out

    def optimize(self):
        self.spark.sql(f"OPTIMIZE {self.name}" + self.chance.choice(["", " ZORDER BY (id)"]))

    def restore(self):
        version = self.chance.choice(list(self.model.versions))
        self.spark.sql(f"RESTORE {self.name} TO VERSION AS OF {version}")
        self.model.rows = list(self.model.versions[version])

    def property(self):
        self.spark.sql(f"ALTER TABLE {self.name} SET TBLPROPERTIES ('note' = '{self.chance.randrange(100)}')")

    def vacuum(self):
        self.spark.sql(f"VACUUM {self.name}")

    OPERATIONS = [append] * 4 + [overwrite, replace_where] + [update] * 3 + [delete] * 3 + [merge] * 4 + [optimize, restore, property, vacuum]

    def step(self):
        operation = self.chance.choice(self.OPERATIONS)
        self.log.append(operation.__name__)
        operation(self)
        self.check()

    def check(self):
        got = sorted((tuple(r) for r in self.spark.read.format("delta").load(self.path).collect()), key=repr)
        wanted = self.model.sorted()
        assert collections.Counter(got) == collections.Counter(wanted), f"{self.log}: {set(got) ^ set(wanted)}"
        version = self.spark.sql(f"DESCRIBE HISTORY {self.name} LIMIT 1").first()["version"]
        self.model.versions[version] = list(wanted)
        old = self.chance.choice(list(self.model.versions))
        read = self.spark.read.format("delta").option("versionAsOf", old).load(self.path)
        assert sorted((tuple(r) for r in read.collect()), key=repr) == self.model.versions[old], f"{self.log}: version {old}"


@pytest.mark.parametrize("number", range(SEQUENCES))
def test_sequence(spark, tmp_path, number):
    print(f"seed {SEED}, sequence {number}")
    run = Run(spark, tmp_path / "t", random.Random(f"{SEED}-{number}"))
    partitioned = number % 3 == 2
    first = run.rows(40)
    vectors = run.chance.choice(["true", "false"])
    writer = run.frame(first).write.format("delta").option("delta.enableDeletionVectors", vectors)
    (writer.partitionBy("k") if partitioned else writer).save(run.path)
    run.model.rows = list(first)
    run.check()
    for _ in range(STEPS):
        run.step()
    # An independent reader agrees.
    query = QueryBuilder().register("t", DeltaTable(run.path)).execute("SELECT id, k, v FROM t")
    other = pa.table(query.read_all()).to_pylist()
    assert sorted((tuple(r.values()) for r in other), key=repr) == run.model.sorted(), run.log
