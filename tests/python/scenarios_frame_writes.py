"""DataFrames that change tables: `mergeInto` with its clauses, and `writeTo` over what is there."""

from pyspark.sql import functions as F

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


class Target:
    """A table of names, made anew for each merge; and rows to merge into it."""

    def __init__(self, world, name, columns="id INT, v STRING, n INT"):
        self.world, self.name, self.columns = world, name, columns

    def made(self):
        self.world.sql(f"DROP TABLE IF EXISTS {self.name}", f"CREATE TABLE {self.name} ({self.columns}) USING delta")
        self.world.sql(f"INSERT INTO {self.name} VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', NULL)")

    def source(self, rows="(1, 'x', 1), (4, 'y', 4)", columns="id, v, n"):
        return self.world.spark.sql(f"SELECT * FROM VALUES {rows} AS s({columns})").alias("source")

    def merged(self, what, clauses, source=None, on=None):
        """What a merge leaves, and what it counted."""
        self.made()
        merge = (self.source() if source is None else source).mergeInto(self.name, F.expr(on or f"source.id = {self.name}.id"))

        def run():
            clauses(merge).merge()
            return self.world.spark.table(self.name)

        self.world.attempt(what, run)
        last = self.world.spark.sql(f"DESCRIBE HISTORY {self.name} LIMIT 1").first()
        # How many rows are copied depends on how they lie in files.
        metrics = {k: v for k, v in sorted(last["operationMetrics"].items()) if k != "numTargetRowsCopied"}
        counts = {k: v for k, v in metrics.items() if k.startswith("numTargetRows") or k == "numSourceRows"}
        self.world.note(f"{what}: history", [last["operation"], counts if last["operation"] == "MERGE" else None])

    def gone(self):
        self.world.sql(f"DROP TABLE {self.name}")


@scenario
def clauses_of_merges(world):
    t = Target(world, "merge_clauses")
    t.merged("upsert", lambda m: m.whenMatched().updateAll().whenNotMatched().insertAll())
    t.merged("insert only", lambda m: m.whenNotMatched().insertAll())
    t.merged("update some", lambda m: m.whenMatched().update({"v": F.col("source.v"), "n": F.expr("merge_clauses.n + source.n")}))
    t.merged("update a constant", lambda m: m.whenMatched().update({"v": F.lit("new")}))
    t.merged("delete", lambda m: m.whenMatched().delete())
    t.merged("insert some", lambda m: m.whenNotMatched().insert({"id": F.col("source.id"), "v": F.lit("only")}))
    t.merged("with conditions", lambda m: m.whenMatched(F.expr("source.n > 1")).updateAll().whenNotMatched(F.expr("source.n > 9")).insertAll())
    t.merged(
        "several clauses",
        lambda m: m.whenMatched(F.expr("merge_clauses.n = 20")).delete().whenMatched().update({"n": F.lit(0)}).whenNotMatched(F.expr("source.id = 9")).insertAll()
        .whenNotMatched().insert({"id": F.col("id"), "n": F.col("source.n")}),
        t.source("(1, 'x', 1), (2, 'z', 2), (4, 'y', 4), (9, 'q', 9)"),
    )
    t.merged("by source", lambda m: m.whenNotMatchedBySource().delete())
    t.merged("by source with a condition", lambda m: m.whenNotMatchedBySource(F.expr("merge_clauses.n IS NULL")).update({"n": F.lit(-1)}))
    t.merged(
        "all kinds",
        lambda m: m.whenMatched().updateAll().whenNotMatched().insertAll().whenNotMatchedBySource(F.expr("merge_clauses.id = 2")).update({"v": F.lit("left")})
        .whenNotMatchedBySource().delete(),
    )
    t.gone()


@scenario
def merges_that_are_refused(world):
    t = Target(world, "merge_refused")
    t.merged("no clause", lambda m: m)
    t.merged("two without a condition", lambda m: m.whenMatched().delete().whenMatched().updateAll())
    t.merged("two inserts without a condition", lambda m: m.whenNotMatched().insertAll().whenNotMatched().insertAll())
    t.merged("a row for two", lambda m: m.whenMatched().updateAll(), t.source("(1, 'x', 1), (1, 'y', 2)"))
    t.merged("two rows delete one", lambda m: m.whenMatched().delete(), t.source("(1, 'x', 1), (1, 'y', 2)"))
    t.merged("an unknown column", lambda m: m.whenMatched().update({"nope": F.lit(1)}))
    t.merged("an unknown value", lambda m: m.whenMatched().update({"v": F.col("source.nope")}))
    t.merged("an unknown condition", lambda m: m.whenMatched(F.expr("source.nope > 1")).updateAll())
    t.merged("an unknown key", lambda m: m.whenMatched().updateAll(), on="source.nope = merge_refused.id")
    t.merged("a value of another type", lambda m: m.whenMatched().update({"n": F.lit("text")}))
    t.merged("columns that are missing", lambda m: m.whenMatched().updateAll().whenNotMatched().insertAll(), t.source("(1, 'x'), (4, 'y')", "id, v"))
    t.merged("an aggregate as condition", lambda m: m.whenMatched(F.expr("max(source.n) > 1")).updateAll())
    t.gone()
    world.attempt("a table that is not there", lambda: t.source().mergeInto("merge_none", F.expr("true")).whenMatched().delete().merge())


@scenario
def schemas_of_merges(world):
    t = Target(world, "merge_schemas")
    more = t.source("(1, 'x', 1, true), (4, 'y', 4, false)", "id, v, n, extra")
    upsert = lambda m: m.whenMatched().updateAll().whenNotMatched().insertAll()  # noqa: E731
    t.merged("more columns", upsert, more)
    t.merged("more columns evolve", lambda m: upsert(m.withSchemaEvolution()), more)
    t.merged("fewer columns evolve", lambda m: upsert(m.withSchemaEvolution()), t.source("(1, 'x'), (4, 'y')", "id, v"))
    t.merged("a new column is set", lambda m: m.withSchemaEvolution().whenMatched().update({"extra": F.col("source.extra")}), more)
    t.merged("other case", upsert, t.source(columns="ID, V, N"), on="source.ID = merge_schemas.id")
    t.merged("wider", upsert, t.source("(1, 'x', 1L), (4, 'y', 4L)"))
    t.merged("too wide", upsert, t.source("(1, 'x', 5000000000L)"))
    t.gone()


@scenario
def partitions_are_overwritten(world):
    def made(name, partitioned=True):
        world.sql(f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} (id INT, p STRING) USING delta {'PARTITIONED BY (p)' if partitioned else ''}")
        world.sql(f"INSERT INTO {name} VALUES (1, 'a'), (2, 'b'), (3, 'b'), (4, NULL)")

    def after(what, name, write):
        made(name, "plain" not in name)

        def run():
            write(name)
            return world.spark.table(name)

        world.attempt(what, run)
        last = world.spark.sql(f"DESCRIBE HISTORY {name} LIMIT 1").first()
        world.note(f"{what}: history", [last["version"], last["operation"], last["operationParameters"].get("mode")])
        world.sql(f"DROP TABLE {name}")

    def rows(text, columns="id, p"):
        return world.spark.sql(f"SELECT * FROM VALUES {text} AS s({columns})")

    after("one partition", "op_one", lambda n: rows("(9, 'b')").writeTo(n).overwritePartitions())
    after("a new one and that of NULL", "op_new", lambda n: rows("(8, 'z'), (9, CAST(NULL AS STRING))").writeTo(n).overwritePartitions())
    after("no rows", "op_none", lambda n: rows("(9, 'b')").where("id < 0").writeTo(n).overwritePartitions())
    after("a table without partitions", "op_plain", lambda n: rows("(9, 'b')").writeTo(n).overwritePartitions())
    after("columns by name", "op_names", lambda n: rows("('b', 9)", "p, id").writeTo(n).overwritePartitions())
    after("a column is missing", "op_missing", lambda n: rows("(9)", "id").writeTo(n).overwritePartitions())
    after("an append without the partition", "op_append", lambda n: rows("(9)", "id").writeTo(n).append())
    after("a saved append without it", "op_saved", lambda n: rows("(9)", "id").write.mode("append").saveAsTable(n))
    after("an insert without it", "op_insert", lambda n: world.sql(f"INSERT INTO {n} (id) VALUES (9)"))
    after("another column is missing", "op_other", lambda n: rows("('b')", "p").writeTo(n).overwritePartitions())
    after("overwritten without it", "op_over", lambda n: rows("(9)", "id").writeTo(n).overwrite(F.lit(True)))
    after("a column is too many", "op_many", lambda n: rows("(9, 'b', 1)", "id, p, q").writeTo(n).overwritePartitions())
    after("another type", "op_type", lambda n: rows("('x', 'b')").writeTo(n).overwritePartitions())
    after("a condition", "op_condition", lambda n: rows("(9, 'b')").writeTo(n).overwrite(F.expr("p = 'b'")))
    after("a condition that rows are not in", "op_outside", lambda n: rows("(9, 'z')").writeTo(n).overwrite(F.expr("p = 'b'")))
    after("everything", "op_all", lambda n: rows("(9, 'z')").writeTo(n).overwrite(F.lit(True)))
    world.attempt("a table that is not there", lambda: rows("(1, 'a')").writeTo("op_nowhere").overwritePartitions())
