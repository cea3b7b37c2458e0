"""Every method of `delta.tables`, with the stock client. See `recorded.py`.

A scenario says which methods it is for; `test_delta_table.py` fails where the module has a method that no scenario is for.
"""

import inspect
import json

SCENARIOS = {}
# Method -> scenarios.
COVERED = {}


def of(*methods):
    """Marks a scenario as a test of these methods, `Class.method`."""

    def mark(function):
        def run(world):
            # The default here, and not there; and the default there, and not here.
            world.spark.conf.set("spark.databricks.delta.properties.defaults.enableDeletionVectors", "false")
            world.spark.conf.set("spark.databricks.delta.properties.defaults.isolationLevel", "Serializable")
            function(world)

        SCENARIOS[function.__name__.replace("_", " ")] = run
        for method in methods:
            COVERED.setdefault(method, []).append(function.__name__)
        return function

    return mark


def public_methods():
    """`Class.method` of all that `delta.tables` offers."""
    import delta.tables as module

    found = set()
    for name, made in inspect.getmembers(module, inspect.isclass):
        if made.__module__ != module.__name__:
            continue
        own = {m for m in vars(made) if not m.startswith("_")}
        found |= {f"{name}.{m}" for m in own} or {f"{name}.__init__"}
    return found


def tables(world):
    from delta.tables import DeltaTable

    return DeltaTable


def filled(world, name="t", rows=5, properties="'delta.enableDeletionVectors' = 'true'", columns="id BIGINT, v STRING"):
    """A table of id and v, in one file."""
    path = world.path(name)
    world.spark.sql(f"CREATE TABLE delta.`{path}` ({columns}) USING delta TBLPROPERTIES ({properties})")
    world.spark.range(rows).selectExpr("id", "concat('v', id) AS v").coalesce(1).write.format("delta").mode("append").save(path)
    return tables(world).forPath(world.spark, path)


def source(world, *ids):
    return world.spark.createDataFrame([(i, f"s{i}") for i in ids], "id BIGINT, v STRING").alias("s")


def shown_history(world, table, limit=None):
    frame = table.history() if limit is None else table.history(limit)
    world.note("history's columns", frame.schema.simpleString())
    # Spark numbers the columns of predicates.
    parameters = "transform_values(operationParameters, (k, v) -> regexp_replace(v, '#[0-9]+L?', '')) AS parameters"
    world.rows(frame.selectExpr("version", "operation", parameters, "readVersion", "isolationLevel", "isBlindAppend", "userMetadata", "job", "notebook", "clusterId"), "history", order=False)


@of("DeltaTable.forPath", "DeltaTable.toDF", "DeltaTable.alias")
def a_table_by_path(world):
    from pyspark.sql import functions as f

    table = filled(world)
    world.rows(table.toDF(), "toDF")
    world.rows(table.alias("x").toDF().filter("x.id > 2").select("x.v"), "alias")
    world.rows(table.toDF().filter(f.col("id") == 1).select(f.upper("v").alias("u")), "columns")
    DeltaTable = tables(world)
    world.rows(DeltaTable.forPath(world.spark, world.path("t"), {"fs.any": "option"}).toDF(), "with options")


@of("DeltaTable.forName")
def a_table_by_name(world):
    DeltaTable = tables(world)
    world.spark.sql("DROP TABLE IF EXISTS named_table")
    world.spark.sql("CREATE TABLE named_table (id BIGINT, v STRING) USING delta")
    world.spark.sql("INSERT INTO named_table VALUES (1, 'a'), (2, 'b')")
    table = DeltaTable.forName(world.spark, "named_table")
    world.rows(table.toDF(), "by name")
    world.rows(DeltaTable.forName(world.spark, "default.named_table").toDF(), "by two names")
    table.delete("id = 1")
    world.rows(world.spark.table("named_table"), "after delete")
    world.spark.sql("DROP TABLE named_table")


@of("DeltaTable.isDeltaTable")
def whether_it_is_a_table(world):
    DeltaTable = tables(world)
    filled(world)
    world.spark.range(3).write.parquet(world.path("parquet"))
    world.attempt("forPath", lambda: DeltaTable.forPath(world.spark, world.path("nothing")).toDF())
    world.attempt("of Parquet", lambda: DeltaTable.forPath(world.spark, world.path("parquet")).toDF())
    world.attempt("forName", lambda: DeltaTable.forName(world.spark, "no_such_table").toDF())
    world.note("are", [bool(DeltaTable.isDeltaTable(world.spark, world.path(p))) for p in ("t", "parquet", "nothing")])


def done(result):
    """The Connect client gives a frame with the number of rows, the classic one nothing."""
    if hasattr(result, "columns"):
        assert result.columns == ["num_affected_rows"] and result.count() == 1


@of("DeltaTable.delete")
def delete(world):
    from pyspark.sql import functions as f

    table = filled(world, rows=10)
    world.attempt("text", lambda: done(table.delete("id < 2")))
    world.attempt("column", lambda: done(table.delete(f.col("id") == 5)))
    world.attempt("nothing matches", lambda: done(table.delete("id > 100")))
    world.table()
    world.metrics("numDeletedRows", "numDeletionVectorsAdded", "numRemovedFiles")
    world.attempt("no such column", lambda: done(table.delete("nothing = 1")))
    world.attempt("no boolean", lambda: done(table.delete("id")))
    world.attempt("all", lambda: done(table.delete()))
    world.table()
    shown_history(world, table)


@of("DeltaTable.update")
def update(world):
    from pyspark.sql import functions as f

    table = filled(world, rows=6)
    world.attempt("text", lambda: done(table.update("id < 2", {"v": "'a'"})))
    world.attempt("columns", lambda: done(table.update(f.col("id") == 3, {"v": f.lit("b"), "id": f.col("id") + 100})))
    world.attempt("by name", lambda: done(table.update(condition="id = 4", set={"v": "upper(v)"})))
    world.attempt("nothing matches", lambda: done(table.update("id > 1000", {"v": "'x'"})))
    world.attempt("no such column", lambda: done(table.update("id = 1", {"nothing": "1"})))
    world.attempt("all", lambda: done(table.update(set={"v": "concat(v, '!')"})))
    world.table()
    world.metrics("numUpdatedRows")
    for wrong in (None, 3, {"v": 3}, {3: "v"}):
        world.attempt(f"set {wrong}", lambda w=wrong: done(table.update("id = 1", w)))


@of("DeltaTable.merge", "DeltaMergeBuilder.whenMatchedUpdate", "DeltaMergeBuilder.whenMatchedDelete", "DeltaMergeBuilder.whenNotMatchedInsert",
    "DeltaMergeBuilder.whenNotMatchedBySourceUpdate", "DeltaMergeBuilder.whenNotMatchedBySourceDelete", "DeltaMergeBuilder.execute")
def merge_with_all_clauses(world):
    from pyspark.sql import functions as f

    table = filled(world, rows=8)
    merge = (
        table.alias("t").merge(source(world, 1, 2, 3, 20, 21), "t.id = s.id")
        .whenMatchedUpdate("s.id = 1", {"v": "s.v"})
        .whenMatchedUpdate(condition=f.expr("s.id = 2"), set={"t.v": f.concat(f.col("t.v"), f.col("s.v"))})
        .whenMatchedDelete("s.id = 3")
        .whenNotMatchedInsert("s.id = 20", {"id": "s.id", "v": "s.v"})
        .whenNotMatchedInsert(condition=None, values={"id": f.col("s.id") * 10})
        .whenNotMatchedBySourceUpdate("t.id = 5", {"v": "'left'"})
        .whenNotMatchedBySourceUpdate(condition=f.col("t.id") == 6, set={"v": f.lit("right")})
        .whenNotMatchedBySourceDelete("t.id = 7")
    )
    world.attempt("result", merge.execute)
    world.table()
    world.metrics("numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted", "numSourceRows", "numTargetRowsNotMatchedBySourceUpdated")


@of("DeltaMergeBuilder.whenMatchedUpdateAll", "DeltaMergeBuilder.whenNotMatchedInsertAll", "DeltaTable.merge")
def merge_all_columns(world):
    from pyspark.sql import functions as f

    table = filled(world, rows=4)
    first = table.alias("t").merge(source(world, 1, 2, 9), f.expr("t.id = s.id"))
    world.attempt("all", first.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute)
    second = table.alias("t").merge(source(world, 0, 1, 30, 31), f.col("t.id") == f.col("s.id"))
    world.attempt("some", second.whenMatchedUpdateAll("s.id = 0").whenNotMatchedInsertAll(f.col("s.id") == 30).execute)
    world.table()
    world.attempt("delete all", table.alias("t").merge(source(world, 0, 30), "t.id = s.id").whenMatchedDelete().execute)
    world.attempt("delete by source", table.alias("t").merge(source(world, 1, 2), "t.id = s.id").whenNotMatchedBySourceDelete().execute)
    world.table()


@of("DeltaMergeBuilder.withSchemaEvolution")
def merge_with_schema_evolution(world):
    table = filled(world, rows=3)
    wide = world.spark.createDataFrame([(1, "x", 10), (7, "y", 70)], "id BIGINT, v STRING, n INT").alias("s")
    plain = table.alias("t").merge(wide, "t.id = s.id").whenMatchedUpdateAll().whenNotMatchedInsertAll()
    world.attempt("not asked for", plain.execute)
    world.table()
    world.attempt("asked for", table.alias("t").merge(wide, "t.id = s.id").withSchemaEvolution().whenMatchedUpdateAll().whenNotMatchedInsertAll().execute)
    world.table()
    world.schema()


@of("DeltaMergeBuilder.execute")
def merges_that_are_wrong(world):
    table = filled(world, rows=3)
    s = source(world, 1)
    cases = {
        "no clause": lambda: table.alias("t").merge(s, "t.id = s.id").execute(),
        "no source": lambda: table.merge(None, "true"),
        "no frame": lambda: table.merge("s", "true"),
        "no condition": lambda: table.merge(s, None),
        "no set": lambda: table.alias("t").merge(s, "t.id = s.id").whenMatchedUpdate("true"),
        "no values": lambda: table.alias("t").merge(s, "t.id = s.id").whenNotMatchedInsert("true"),
        "several matches": lambda: table.alias("t").merge(source(world, 1, 1), "t.id = s.id").whenMatchedUpdateAll().execute(),
        "two without condition": lambda: table.alias("t").merge(s, "t.id = s.id").whenMatchedDelete().whenMatchedUpdateAll().execute(),
    }
    for shown, case in cases.items():
        world.attempt(shown, case)
    world.table()


@of("DeltaTable.history")
def history(world):
    world.spark.conf.set("spark.databricks.delta.commitInfo.userMetadata", "why")
    table = filled(world)
    table.delete("id = 1")
    world.spark.conf.unset("spark.databricks.delta.commitInfo.userMetadata")
    table.update("id = 2", {"v": "'x'"})
    table.optimize().executeCompaction()
    shown_history(world, table)
    shown_history(world, table, 2)
    world.rows(table.history().selectExpr("version", "operationMetrics['numDeletedRows'] AS deleted"), "details", order=False)
    table.delete()
    table.delete("id = 1")
    shown_history(world, table, 2)


@of("DeltaTable.detail")
def detail(world):
    table = filled(world, properties="'delta.enableDeletionVectors' = 'true', 'note' = 'x'")
    frame = table.detail()
    world.tell(frame, "detail", "format", "name", "description", "partitionColumns", "clusteringColumns", "numFiles", "properties",
               "minReaderVersion", "minWriterVersion", "tableFeatures")


@of("DeltaTable.vacuum")
def vacuum(world):
    # What is to be kept is passed over there, unless it is 0 hours.
    world.spark.conf.set("spark.databricks.delta.vacuum.retentionWindowIgnore.enabled", "false")
    table = filled(world)
    table.delete("id = 1")
    # The classic API gives an empty frame where the Connect client gives nothing.
    for shown, arguments in (("default", ()), ("hours", (1000,)), ("less than a week", (0,))):
        world.attempt(shown, lambda a=arguments: (table.vacuum(*a), None)[1])
    world.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    table.vacuum(0)
    world.table()
    world.attempt("an old version", lambda: world.spark.read.format("delta").option("versionAsOf", 1).load(world.path("t")).select("id"))
    shown_history(world, table)


@of("DeltaTable.generate")
def generate(world):
    import pathlib

    table = filled(world, properties="'delta.enableDeletionVectors' = 'false'")
    table.generate("symlink_format_manifest")
    lines = (pathlib.Path(world.path("t")) / "_symlink_format_manifest" / "manifest").read_text().split()
    world.note("lines", len(lines))
    world.attempt("another mode", lambda: table.generate("nothing"))


@of("DeltaTable.convertToDelta")
def convert_to_delta(world):
    DeltaTable = tables(world)
    world.spark.range(5).selectExpr("id", "CAST(id % 2 AS INT) AS p").write.partitionBy("p").parquet(world.path("parted"))
    world.spark.range(5).write.parquet(world.path("plain"))
    world.rows(DeltaTable.convertToDelta(world.spark, f"parquet.`{world.path('plain')}`").toDF(), "plain")
    world.attempt("no partitions named", lambda: DeltaTable.convertToDelta(world.spark, f"parquet.`{world.path('parted')}`").toDF())
    world.rows(DeltaTable.convertToDelta(world.spark, f"parquet.`{world.path('parted')}`", "p INT").toDF(), "partitioned")
    from pyspark.sql.types import IntegerType, StructType

    world.spark.range(5).selectExpr("id", "CAST(id % 2 AS INT) AS p").write.partitionBy("p").parquet(world.path("again"))
    schema = StructType().add("p", IntegerType())
    world.rows(DeltaTable.convertToDelta(world.spark, f"parquet.`{world.path('again')}`", schema).toDF(), "by a schema")
    shown_history(world, DeltaTable.forPath(world.spark, world.path("again")))


@of("DeltaTable.upgradeTableProtocol")
def upgrade_protocol(world):
    table = filled(world, properties="'delta.minReaderVersion' = '1', 'delta.minWriterVersion' = '2', 'delta.enableDeletionVectors' = 'false'")

    def protocol():
        world.tell(table.detail(), "protocol", "minReaderVersion", "minWriterVersion", "tableFeatures")

    protocol()
    for versions in ((1, 3), (1, 2), (2, 5), (3, 7)):
        world.attempt(f"to {versions}", lambda v=versions: table.upgradeTableProtocol(*v))
        protocol()
    for wrong in (("1", 2), (1, "2"), (1, None)):
        world.attempt(f"to {wrong}", lambda v=wrong: table.upgradeTableProtocol(*v))


@of("DeltaTable.addFeatureSupport", "DeltaTable.dropFeatureSupport")
def features(world):
    table = filled(world, properties="'delta.enableDeletionVectors' = 'false'")

    def protocol():
        world.tell(table.detail(), "protocol", "minReaderVersion", "minWriterVersion", "tableFeatures")

    for name in ("changeDataFeed", "deletionVectors", "deletionVectors", "nothing"):
        world.attempt(f"add {name}", lambda n=name: table.addFeatureSupport(n))
        protocol()
    for name in ("changeDataFeed", "deletionVectors", "nothing", "checkConstraints"):
        world.attempt(f"drop {name}", lambda n=name: table.dropFeatureSupport(n))
        protocol()
    world.attempt("truncate", lambda: table.dropFeatureSupport("deletionVectors", True))
    for wrong in (3, None):
        world.attempt(f"add {wrong}", lambda w=wrong: table.addFeatureSupport(w))
        world.attempt(f"drop {wrong}", lambda w=wrong: table.dropFeatureSupport(w))


@of("DeltaTable.restoreToVersion", "DeltaTable.restoreToTimestamp")
def restore(world):
    table = filled(world)
    table.delete("id < 3")
    frame = table.restoreToVersion(1)
    world.note("columns", frame.schema.simpleString())
    world.tell(frame, "restored", "num_of_files_after_restore", "num_removed_files", "num_restored_files")
    world.table()
    shown_history(world, table)
    world.metrics()
    at = world.spark.sql(world.filled("DESCRIBE HISTORY {t}")).filter("version = 2").selectExpr("CAST(timestamp AS STRING)").first()[0]
    world.tell(table.restoreToTimestamp(at), "restored by time", "num_of_files_after_restore", "num_removed_files", "num_restored_files")
    world.table()
    world.attempt("no such version", lambda: table.restoreToVersion(99))
    world.attempt("too early", lambda: table.restoreToTimestamp("2001-01-01"))
    world.attempt("no time", lambda: table.restoreToTimestamp("nonsense"))
    for wrong in ("1", None):
        world.attempt(f"version {wrong!r}", lambda w=wrong: table.restoreToVersion(w))


@of("DeltaTable.clone", "DeltaTable.cloneAtVersion", "DeltaTable.cloneAtTimestamp")
def clone(world):
    table = filled(world)
    at = world.spark.sql(world.filled("DESCRIBE HISTORY {t}")).filter("version = 1").selectExpr("CAST(timestamp AS STRING)").first()[0]
    table.delete("id < 3")
    clones = {
        "shallow": lambda to: table.clone(to, True),
        "with properties": lambda to: table.clone(to, isShallow=True, replace=False, properties={"note": "x"}),
        "at a version": lambda to: table.cloneAtVersion(1, to, True),
        "at a time": lambda to: table.cloneAtTimestamp(at, to, True),
    }
    for shown, make in clones.items():
        to = world.path(shown.replace(" ", "_"))
        # The classic API gives a Java object.
        make(to)
        made = tables(world).forPath(world.spark, to)
        world.rows(made.toDF(), shown)
        world.note("note", made.detail().first()["properties"].get("note"))
        shown_history(world, made)
        world.attempt(f"{shown} again", lambda m=make, t=to: (m(t), None)[1])
    for shown, wrong in {"target": lambda: table.clone(3, True), "version": lambda: table.cloneAtVersion("x", world.path("w"), True),
                         "properties": lambda: table.clone(world.path("w"), True, False, {"a": 1})}.items():
        world.attempt(f"wrong {shown}", wrong)


def without_sizes(known):
    return {k: v for k, v in known.items() if k != "size"}


@of("DeltaTable.optimize", "DeltaOptimizeBuilder.where", "DeltaOptimizeBuilder.executeCompaction", "DeltaOptimizeBuilder.executeZOrderBy")
def optimize(world):
    path = world.path("t")
    for i in range(4):
        world.spark.range(i * 10, i * 10 + 10).selectExpr("id", "CAST(id % 2 AS INT) AS p", "id * 7 % 40 AS v").coalesce(1).write.format("delta").partitionBy("p").mode("append").save(path)
    table = tables(world).forPath(world.spark, path)
    results = {
        "a partition": lambda: table.optimize().where("p = 1").executeCompaction(),
        "z-order of a partition": lambda: table.optimize().where("p = 0").executeZOrderBy("id"),
        "nothing left": lambda: table.optimize().executeCompaction(),
        "z-order": lambda: table.optimize().executeZOrderBy("id", "v"),
        "z-order by a list": lambda: table.optimize().executeZOrderBy(["v"]),
    }
    for shown, run in results.items():
        frame = run()
        # Bytes and times differ, and so do the threads that there are.
        row = frame.first()["metrics"].asDict(recursive=True)
        known = {k: v for k, v in row.items() if k not in ("startTimeMs", "endTimeMs", "totalClusterParallelism", "totalScheduledTasks")}
        for files in ("filesAdded", "filesRemoved"):
            known[files] = known[files]["totalFiles"]
        world.note(shown, json.loads(json.dumps(known), object_hook=without_sizes))
        world.metrics("numAddedFiles", "numRemovedFiles")
    world.table()
    # The Connect client makes the frame anew, from values.
    for statement in ("OPTIMIZE {t}", "OPTIMIZE {t} ZORDER BY (id)"):
        world.note(statement, world.spark.sql(world.filled(statement)).schema.simpleString())
    wrong = {
        "a data column": lambda: table.optimize().where("v = 1").executeCompaction(),
        "z-order by a partition column": lambda: table.optimize().executeZOrderBy("p"),
        "z-order by no column": lambda: table.optimize().executeZOrderBy("nothing"),
        "z-order by a number": lambda: table.optimize().executeZOrderBy(3),
    }
    for shown, run in wrong.items():
        world.attempt(shown, run)


# -- tables that are made ----------------------------------------------------------------------------------------------


def made(world, builder, name="made"):
    """Makes the table and tells of it."""
    table = builder.location(world.path(name)).execute()
    world.schema(name)
    properties = "map_filter(properties, (k, v) -> k <> 'delta.enableDeletionVectors') AS properties"
    world.rows(table.detail().selectExpr("description", "partitionColumns", "clusteringColumns", properties, "minReaderVersion", "minWriterVersion", "tableFeatures"), "detail")
    world.rows(table.history().selectExpr("operation", "operationParameters['partitionBy'] AS parts", "operationParameters['clusterBy'] AS clustering"), "history", order=False)
    return table


@of("DeltaTable.create", "DeltaTableBuilder.addColumn", "DeltaTableBuilder.location", "DeltaTableBuilder.comment", "DeltaTableBuilder.property",
    "DeltaTableBuilder.partitionedBy", "DeltaTableBuilder.execute")
def create(world):
    from pyspark.sql.types import IntegerType, StringType

    def builder():
        return (
            tables(world).create(world.spark)
            .addColumn("id", "BIGINT", nullable=False, comment="the key")
            .addColumn("p", IntegerType())
            .addColumn("v", StringType(), comment="a value")
            .addColumn("twice", "BIGINT", generatedAlwaysAs="id * 2")
            .comment("a table")
            .property("note", "x")
            .property("delta.enableDeletionVectors", "false")
            .partitionedBy("p")
        )

    table = made(world, builder())
    world.spark.createDataFrame([(1, 2, "a")], "id BIGINT, p INT, v STRING").write.format("delta").mode("append").save(world.path("made"))
    world.rows(table.toDF(), "rows")
    world.attempt("again", lambda: builder().location(world.path("made")).execute().toDF())


@of("DeltaTable.createIfNotExists", "DeltaTableBuilder.tableName", "DeltaTableBuilder.addColumns")
def create_if_not_exists(world):
    from pyspark.sql.types import LongType, StringType, StructField, StructType

    DeltaTable = tables(world)
    world.spark.sql("DROP TABLE IF EXISTS made_by_name")
    schema = StructType([StructField("id", LongType(), False), StructField("v", StringType())])
    table = DeltaTable.createIfNotExists(world.spark).tableName("made_by_name").addColumns(schema).execute()
    world.spark.sql("INSERT INTO made_by_name VALUES (1, 'a')")
    DeltaTable.createIfNotExists(world.spark).tableName("made_by_name").addColumn("other", "INT").execute()
    world.rows(table.toDF(), "rows")
    shown_history(world, table)
    world.attempt("another one", lambda: DeltaTable.create(world.spark).tableName("made_by_name").addColumns(schema).execute())
    fields = [StructField("a", LongType()), StructField("b", StringType())]
    made(world, DeltaTable.createIfNotExists(world.spark).addColumns(fields))
    world.spark.sql("DROP TABLE made_by_name")


@of("DeltaTable.replace", "DeltaTable.createOrReplace", "DeltaTableBuilder.clusterBy")
def replace(world):
    DeltaTable = tables(world)
    world.attempt("nothing there", lambda: DeltaTable.replace(world.spark).location(world.path("made")).addColumn("id", "INT").execute())
    made(world, DeltaTable.createOrReplace(world.spark).addColumn("id", "BIGINT").addColumn("v", "STRING").clusterBy("id").property("note", "first"))
    world.sql("INSERT INTO {made} VALUES (1, 'a')")
    made(world, DeltaTable.replace(world.spark).addColumn("k", "INT").addColumn("j", "INT").clusterBy(["k", "j"]))
    world.table("made")
    parted = DeltaTable.createOrReplace(world.spark).addColumn("x", "INT").partitionedBy(["x"]).addColumn("y", "INT")
    world.attempt("partitioned for clustered", lambda: parted.location(world.path("made")).execute().toDF())
    world.attempt("clustered and partitioned", lambda: DeltaTable.createOrReplace(world.spark).addColumn("x", "INT").addColumn("y", "INT").partitionedBy("x").clusterBy("y").location(world.path("made")).execute())
    world.rows(world.spark.read.format("delta").option("versionAsOf", 1).load(world.path("made")), "an old version")


@of("IdentityGenerator.start", "IdentityGenerator.step", "DeltaTableBuilder.addColumn")
def identity_columns(world):
    from delta.tables import IdentityGenerator

    builder = (
        tables(world).create(world.spark)
        .addColumn("always", "BIGINT", generatedAlwaysAs=IdentityGenerator())
        .addColumn("default", "BIGINT", generatedByDefaultAs=IdentityGenerator(start=10, step=5))
        .addColumn("v", "STRING")
    )
    table = made(world, builder)
    world.spark.createDataFrame([("a",), ("b",)], "v STRING").coalesce(1).write.format("delta").mode("append").save(world.path("made"))
    world.rows(table.toDF().groupBy().agg({"always": "count", "default": "min"}), "rows")
    world.attempt("a given value", lambda: world.spark.createDataFrame([(5, "c")], "always BIGINT, v STRING").write.format("delta").mode("append").save(world.path("made")))
    world.note("generators", [IdentityGenerator().start, IdentityGenerator().step, IdentityGenerator(3, -1).step])


@of("DeltaTableBuilder.addColumn", "DeltaTableBuilder.property", "DeltaTableBuilder.partitionedBy", "DeltaTableBuilder.clusterBy", "DeltaTableBuilder.addColumns",
    "DeltaTableBuilder.tableName", "DeltaTableBuilder.location", "DeltaTableBuilder.comment")
def wrong_arguments(world):
    from delta.tables import IdentityGenerator

    cases = {
        "column without type": lambda b: b.addColumn("a"),
        "column of a number": lambda b: b.addColumn(1, "INT"),
        "type of a number": lambda b: b.addColumn("a", 1),
        "nullable of text": lambda b: b.addColumn("a", "INT", nullable="no"),
        "comment of a number": lambda b: b.addColumn("a", "INT", comment=1),
        "generated by a number": lambda b: b.addColumn("a", "INT", generatedAlwaysAs=1),
        "generated twice": lambda b: b.addColumn("a", "BIGINT", generatedAlwaysAs="1", generatedByDefaultAs=IdentityGenerator()),
        "identity of text": lambda b: b.addColumn("a", "STRING", generatedAlwaysAs=IdentityGenerator()),
        "step of zero": lambda b: b.addColumn("a", "BIGINT", generatedAlwaysAs=IdentityGenerator(1, 0)),
        "columns of text": lambda b: b.addColumns("a INT"),
        "columns of a list": lambda b: b.addColumns(["a"]),
        "partition by a number": lambda b: b.addColumn("a", "INT").partitionedBy(1),
        "cluster by a number": lambda b: b.addColumn("a", "INT").clusterBy(1),
        "property of a number": lambda b: b.property("a", 1),
        "a column twice": lambda b: b.addColumn("a", "INT").addColumn("A", "INT"),
        "name of a number": lambda b: b.tableName(1),
        "place of a number": lambda b: b.location(1),
        "comment of the table of a number": lambda b: b.comment(1),
    }
    for shown, case in cases.items():
        world.attempt(shown, lambda c=case: c(tables(world).create(world.spark).location(world.path("wrong"))).execute().toDF())
