"""The DataFrame API: names, types, nullability, rows and error classes of what its methods give."""

from decimal import Decimal

from pyspark.sql import Row, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T
from recorded import text_of

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def people(world):
    rows = [(1, "ann", 30, "x"), (2, "bob", None, "y"), (3, None, 25, "x"), (4, "ann", 30, None), (4, "ann", 30, None)]
    return world.spark.createDataFrame(rows, "id INT NOT NULL, name STRING, age INT, g STRING").coalesce(1)


def told(world, what, make):
    """The columns with nullability and the sorted rows of the frame that `make` gives, or the class of its error."""

    def columns_and_rows():
        frame = make()
        columns = [
            f"{f.name}: {f.dataType.simpleString()}{'' if f.nullable else ' not null'}" for f in frame.schema.fields
        ]
        return (
            "; ".join(columns)
            + " | "
            + " / ".join(sorted("\t".join(text_of(v) for v in row) for row in frame.collect()))
        )

    world.attempt(what, columns_and_rows)


def each(world, **makers):
    for what, make in makers.items():
        told(world, what, make)


@scenario
def selecting(world):
    df = people(world)
    each(
        world,
        star=lambda: df.select("*", (F.col("id") + 1).alias("next")),
        regex=lambda: df.select(df.colRegex("`(id|age)?`")),
        no_column=lambda: df.select("nope"),
        attribute=lambda: df.select(df.id, df["name"]),
        renamed=lambda: df.withColumnRenamed("id", "key").withColumnsRenamed({"name": "n", "nope": "m"}),
        with_column=lambda: df.withColumn("age", F.col("age") * 2).withColumns({"a": F.lit(1), "b": F.lit(None)}),
        with_metadata=lambda: df.withMetadata("id", {"k": 1}),
        dropped=lambda: df.drop("id", "nope", F.col("g")),
        dropped_nothing=lambda: df.drop(),
        select_expr=lambda: df.selectExpr("id AS a", "upper(name)", "age IS NULL OR age > 26"),
        to_df=lambda: df.toDF("a", "b", "c", "d"),
        to_df_wrong=lambda: df.toDF("a"),
        to_schema=lambda: df.to(T.StructType([T.StructField("age", T.LongType()), T.StructField("id", T.LongType())])),
        to_schema_narrow=lambda: df.to(
            T.StructType([T.StructField("id", T.StringType(), False), T.StructField("age", T.ByteType())])
        ),
        to_schema_not_null=lambda: df.to(T.StructType([T.StructField("name", T.StringType(), False)])),
        ambiguous=lambda: df.join(df, "id").select("name"),
        aliases=lambda: df.alias("a").join(df.alias("b"), F.col("a.id") == F.col("b.age")).select("a.id", "b.*"),
        metadata_column=lambda: df.metadataColumn("_metadata").isNull(),
        nested=lambda: df.select(F.struct("id", "name").alias("s")).select("s.*", "s.id", F.col("s")["name"]),
        case_insensitive=lambda: df.select("ID", "Name"),
        dots=lambda: df.withColumn("a.b", F.lit(1)).select("`a.b`", F.col("`a.b`") + 1),
        dots_unquoted=lambda: df.withColumn("a.b", F.lit(1)).select("a.b"),
    )


@scenario
def rows_that_stay(world):
    df = people(world)
    each(
        world,
        filtered=lambda: df.filter("age > 26 AND name = 'ann'"),
        where_column=lambda: df.where((df.age > 26) & ~df.name.isin("bob", None)),
        filter_no_boolean=lambda: df.filter(F.col("id")),
        distinct=lambda: df.distinct(),
        without_duplicates=lambda: df.dropDuplicates(["name", "age"]).select("name", "age"),
        without_duplicates_wrong=lambda: df.dropDuplicates(["nope"]),
        limit=lambda: df.orderBy("id").limit(2),
        offset=lambda: df.orderBy("id").offset(3).select("id"),
        limit_negative=lambda: df.limit(-1),
        dropna=lambda: df.na.drop(),
        dropna_all=lambda: df.dropna(how="all", subset=["name", "g"]),
        dropna_thresh=lambda: df.dropna(thresh=3),
        fillna=lambda: df.na.fill(0).na.fill("?"),
        fillna_map=lambda: df.fillna({"age": 1.9, "name": "n", "nope": 1}),
        fillna_bool=lambda: df.fillna(True),
        replaced=lambda: df.replace("ann", "eve", "name").replace([30, 25], [31, None], ["age"]),
        replaced_mixed=lambda: df.replace({"ann": "x", "x": None}),
        sample_all=lambda: df.sample(1.0, seed=1),
        sample_wrong=lambda: df.sample(withReplacement=False, fraction=1.5),
        head=lambda: world.spark.createDataFrame(df.orderBy("id").head(2), df.schema),
        tail=lambda: world.spark.createDataFrame(df.orderBy("id").tail(1), df.schema),
        intersect=lambda: df.select("name").intersect(df.select("name")),
        intersect_all=lambda: df.select("name").intersectAll(df.select("name")),
        except_all=lambda: df.select("id").exceptAll(df.select("id").distinct()),
        subtract=lambda: df.select("id").subtract(df.filter("id > 2").select("id")),
    )


@scenario
def unions(world):
    df = people(world)
    a, b = df.select("id", "name"), df.select("name", "age")
    each(
        world,
        by_position=lambda: a.union(df.select("age", "g")),
        by_position_widened=lambda: a.select("id").union(world.spark.range(2)),
        by_position_wrong=lambda: a.union(df),
        by_name=lambda: a.unionByName(df.select("name", "id")),
        by_name_missing=lambda: a.unionByName(b, allowMissingColumns=True),
        by_name_wrong=lambda: a.unionByName(b),
        by_name_structs=lambda: df.select(F.struct("id").alias("s")).unionByName(
            df.select(F.struct("id", "age").alias("s")), allowMissingColumns=True
        ),
        by_name_structs_wrong=lambda: df.select(F.struct("id").alias("s")).unionByName(
            df.select(F.struct("age").alias("s"))
        ),
        types=lambda: df.select("id").union(df.select("name")),
    )


@scenario
def groups(world):
    df = people(world)
    each(
        world,
        counted=lambda: df.groupBy("name").count(),
        aggregated=lambda: df.groupBy("name").agg({"age": "max", "*": "count"}),
        columns=lambda: df.groupBy("g").agg(
            F.sum("age"), F.avg("id").alias("m"), F.count_distinct("name"), F.first("id", ignorenulls=True)
        ),
        all_numeric=lambda: df.groupBy("g").sum(),
        named_sum=lambda: df.groupBy("g").max("age", "id"),
        not_numeric=lambda: df.groupBy("g").sum("name"),
        expressions=lambda: df.groupBy(F.col("age") > 26, "g").count(),
        rollup=lambda: df.rollup("name", "g").agg(F.grouping_id(), F.count("*")),
        cube=lambda: df.cube("g").agg(F.grouping("g"), F.sum("age")),
        grouping_sets=lambda: df.groupingSets([["name"], ["g"], []], "name", "g").agg(F.sum("id")),
        global_agg=lambda: df.agg(F.max("age"), F.collect_set("g"), F.max(F.struct("age", "id"))),
        no_group=lambda: df.groupBy().count(),
        pivot=lambda: df.groupBy("name").pivot("g").sum("age"),
        pivot_values=lambda: df.groupBy("name").pivot("g", ["x", "z"]).agg(F.sum("age").alias("s"), F.count("*")),
        pivot_twice=lambda: df.groupBy("name").pivot("g").pivot("age").count(),
        nested=lambda: df.groupBy("name").agg(F.max(F.sum("age"))),
        not_grouped=lambda: df.groupBy("name").agg(F.col("age")),
        described=lambda: df.describe("age", "name"),
        summary=lambda: df.summary("count", "50%", "max"),
        summary_wrong=lambda: df.summary("nope"),
    )


@scenario
def joins(world):
    df = people(world)
    other = world.spark.createDataFrame([(1, "p"), (4, "q"), (9, None)], "id INT, v STRING")
    for how in ["inner", "left", "right", "full", "left_semi", "left_anti", "cross"]:
        told(world, f"on a name, {how}", lambda how=how: df.join(other, "id", how))
        told(
            world,
            f"on a condition, {how}",
            lambda how=how: df.join(other, (df.id == other.id) & other.v.isNotNull(), how),
        )
    each(
        world,
        how_wrong=lambda: df.join(other, "id", "sideways"),
        no_condition=lambda: df.join(other),
        cross=lambda: df.select("id").crossJoin(other),
        both_ids=lambda: df.join(other, df.id == other.id).select(df.id, other.id),
        itself=lambda: df.join(df, df.id == df.id),
        of_another=lambda: df.select(other.v),
        after_drop=lambda: df.join(other, df.id == other.id).drop(other.id),
        several_names=lambda: df.join(other.withColumn("name", F.lit("ann")), ["id", "name"]),
        hinted=lambda: df.join(other.hint("broadcast"), "id").select("id", "v"),
        lateral=lambda: df.lateralJoin(
            world.spark.range(3).where(F.col("id") < F.col("id").outer()).select(F.col("id").alias("k"))
        ).select("name", "k"),
        lateral_wrong=lambda: df.lateralJoin(world.spark.range(3), how="right"),
        as_of=lambda: df._joinAsOf(other, "id", "id", how="left", allowExactMatches=True).select("name", "v"),
    )


@scenario
def subqueries(world):
    df = people(world)
    other = world.spark.createDataFrame([(1, 10), (4, 40), (4, 41)], "k INT, v INT")
    each(
        world,
        scalar=lambda: df.select("id", other.agg(F.max("v")).scalar()),
        scalar_correlated=lambda: df.select(
            "id", other.where(F.col("k") == F.col("id").outer()).agg(F.sum("v")).scalar().alias("s")
        ),
        scalar_rows=lambda: df.select(other.select("v").scalar()),
        scalar_columns=lambda: df.select(other.scalar()),
        exists=lambda: df.where(other.where(F.col("k") == F.col("id").outer()).exists()),
        is_in=lambda: df.where(F.col("id").isin(other.select("k"))),
        not_in=lambda: df.where(~F.col("id").isin(other.select("k"))),
        not_correlated=lambda: df.where(other.where(F.col("k") == F.col("id")).exists()),
        table_argument=lambda: df.select(other.asTable()),
    )


@scenario
def windows(world):
    df = people(world)
    by_name = Window.partitionBy("name").orderBy("id", "age")
    each(
        world,
        ranks=lambda: df.select(
            "id", F.row_number().over(by_name), F.rank().over(by_name).alias("r"), F.ntile(2).over(by_name)
        ),
        sums=lambda: df.select(
            "id", F.sum("age").over(by_name), F.sum("age").over(by_name.rowsBetween(-1, 0)).alias("two")
        ),
        ranges=lambda: df.select("id", F.count("*").over(Window.orderBy("id").rangeBetween(-1, Window.currentRow))),
        lags=lambda: df.select(F.lag("id").over(by_name), F.lead("name", 1, "none").over(by_name)),
        no_order=lambda: df.select(F.row_number().over(Window.partitionBy("name"))),
        no_window=lambda: df.select(F.row_number()),
        in_where=lambda: df.where(F.row_number().over(by_name) == 1),
        frame_wrong=lambda: df.select(F.sum("id").over(by_name.rowsBetween(1, 0))),
        lag_framed=lambda: df.select(F.lag("id").over(by_name.rowsBetween(0, 1))),
        nth=lambda: df.select(F.nth_value("id", 2, ignoreNulls=True).over(by_name), F.first("age", True).over(by_name)),
    )


@scenario
def orders(world):
    df = people(world).select("id", "name", "age").distinct()
    ordered = {
        "ascending": lambda: df.orderBy("age", "id"),
        "descending": lambda: df.orderBy(F.desc("name"), F.asc_nulls_last("age"), "id"),
        "flags": lambda: df.orderBy("age", "id", ascending=[False, True]),
        "by expression": lambda: df.sort(-F.col("id")),
        "by position": lambda: df.orderBy(2, -1),
        "within partitions": lambda: df.coalesce(1).sortWithinPartitions("id"),
        "by what is no column": lambda: df.orderBy("nope"),
        "by position beyond": lambda: df.orderBy(7),
        "by a map": lambda: df.select(F.create_map("id", "name").alias("m")).orderBy("m"),
        "by an aggregate": lambda: df.orderBy(F.sum("id")),
    }
    for what, make in ordered.items():
        world.attempt(
            what, lambda make=make: " / ".join("\t".join(text_of(v) for v in row) for row in make().collect())
        )


@scenario
def columns(world):
    df = people(world)
    each(
        world,
        casts=lambda: df.select(
            df.id.cast("string"), df.name.try_cast("int"), df.age.astype(T.DecimalType(5, 1)), df.id.cast("timestamp")
        ),
        cast_fails=lambda: df.select(df.name.cast("int")),
        texts=lambda: df.select(
            df.name.substr(1, 2),
            df.name.contains("n"),
            df.name.startswith("a"),
            df.name.like("%n"),
            df.name.rlike("^b"),
            df.name.ilike("A%"),
        ),
        logic=lambda: df.select(
            df.age.between(20, 26),
            df.age.eqNullSafe(None),
            df.age.isNull() | (df.id > 2),
            ~(df.id == 1),
            df.id.isin([1, 2]),
        ),
        when=lambda: df.select(
            F.when(df.id == 1, "one").when(df.id == 2, "two"), F.when(df.id > 2, df.id).otherwise(df.age)
        ),
        when_types=lambda: df.select(F.when(df.id == 1, F.array(F.lit(1))).otherwise("x")),
        arithmetic=lambda: df.select(
            df.id / 2, df.id % 2, -df.id, df.id**2, 5 - df.id, df.id.bitwiseAND(1), df.id.bitwiseXOR(df.age)
        ),
        literals=lambda: df.limit(1).select(
            F.lit(1), F.lit("a"), F.lit(1.5), F.lit(None), F.lit([1, 2]), F.lit(True), F.lit(bytearray(b"x"))
        ),
        struct_fields=lambda: df.select(F.struct("id", "name").alias("s")).select(
            F.col("s").withField("z", F.lit(1)).dropFields("id"), F.col("s").getField("id")
        ),
        field_missing=lambda: df.select(F.struct("id").alias("s")).select(F.col("s").getField("nope")),
        drop_all_fields=lambda: df.select(F.struct("id").alias("s")).select(F.col("s").dropFields("id")),
        items=lambda: df.select(
            F.array("id", "age")[0],
            F.array("id", "age").getItem(1),
            F.create_map("id", "name")[df.id],
            F.array("id", "age")[F.lit(0)],
        ),
        item_beyond=lambda: df.select(F.array("id")[3]),
        over_nothing=lambda: df.select(F.col("id").over(Window.orderBy("id"))),
        transform=lambda: df.select(
            F.transform(F.array("id", "age"), lambda x, i: x * i), F.filter(F.array("id"), lambda x: x > 2)
        ),
        named=lambda: df.select(
            F.expr("id + 1").alias("a", metadata={"m": 1}), F.explode(F.create_map("id", "name")).alias("k", "v")
        ),
        names_wrong=lambda: df.select(F.explode(F.array("id")).alias("k", "v")),
        exploded=lambda: df.select("id", F.posexplode_outer(F.array("age", "id"))),
        stars_in=lambda: df.select(F.struct("*").alias("s")),
        call=lambda: df.select(F.call_function("abs", F.lit(-1)), F.call_function("nope_function", "id")),
    )


@scenario
def frames_from_local_rows(world):
    make = world.spark.createDataFrame
    each(
        world,
        tuples=lambda: make([(1, "a"), (2, None)]),
        names=lambda: make([(1, "a"), (2, None)], ["x", "y"]),
        dicts=lambda: make([{"a": 1, "b": [1, 2]}, {"a": 2, "c": {"k": 1.5}}]),
        rows=lambda: make([Row(a=1, b=Row(c="x")), Row(a=2, b=None)]),
        nothing=lambda: make([], "a INT, b ARRAY<STRUCT<x: INT NOT NULL>>"),
        nothing_without_schema=lambda: make([]),
        null_in_not_null=lambda: make([(None,)], "a INT NOT NULL"),
        too_large=lambda: make([(300,)], "a TINYINT"),
        text_as_number=lambda: make([("x",)], "a INT"),
        decimals=lambda: make([(1,)], "a INT").select(F.lit(1).cast("decimal(10,2)")),
        only_nulls=lambda: make([(None, 1)], ["a", "b"]),
        atomic=lambda: make([1, 2], "int"),
        nested=lambda: make([({"k": [1, None]},)], "m MAP<STRING, ARRAY<INT>>"),
        range=lambda: world.spark.range(1, 10, 4),
        range_down=lambda: world.spark.range(3, 0, -1),
        values=lambda: world.spark.sql("SELECT * FROM {t} WHERE id > {n}", t=world.spark.range(4), n=1),
        arguments=lambda: world.spark.sql("SELECT :a + 1 AS x, :b AS y", args={"a": 1, "b": [1, 2]}),
        positions=lambda: world.spark.sql("SELECT ? AS x, ? AS y", args=[1, None]),
        arguments_missing=lambda: world.spark.sql("SELECT :a", args={"b": 1}),
    )


@scenario
def reshaping(world):
    df = people(world)
    wide = world.spark.createDataFrame([(1, 10, 1.5), (2, None, 2.5)], "id INT, a INT, b DOUBLE")
    each(
        world,
        unpivot=lambda: wide.unpivot("id", ["a", "b"], "k", "v"),
        unpivot_rest=lambda: wide.melt(["id"], None, "k", "v"),
        unpivot_types=lambda: df.unpivot("id", ["name", "age"], "k", "v"),
        unpivot_nothing=lambda: wide.unpivot(["id", "a", "b"], None, "k", "v"),
        transposed=lambda: wide.transpose("id"),
        transposed_first=lambda: wide.drop("b").transpose(),
        transposed_types=lambda: df.transpose(),
        crosstab=lambda: df.crosstab("name", "g"),
        frequent=lambda: df.stat.freqItems(["g"], 0.5).select(F.sort_array("g_freqItems")),
        sampled_by=lambda: df.sampleBy("g", {"x": 1.0}, 0),
        exploded=lambda: world.spark.tvf.explode(F.array(F.lit(1), F.lit(2))),
        stacked=lambda: world.spark.tvf.stack(F.lit(2), F.lit(1), F.lit("a"), F.lit(2), F.lit("b")),
        from_json=lambda: world.spark.tvf.json_tuple(F.lit('{"a": 1}'), F.lit("a"), F.lit("b")),
        ranged=lambda: world.spark.tvf.range(2),
        transformed=lambda: df.transform(lambda f, n: f.limit(n).select("id"), 1),
        repartitioned=lambda: df.repartition(3, "id").select(F.spark_partition_id() >= 0).distinct(),
        coalesced=lambda: df.repartition(4).coalesce(2).select(F.spark_partition_id() < 2).distinct(),
        repartition_wrong=lambda: df.repartition(0),
        observed=lambda: df.observe("o", F.count("*").alias("n")).select("id"),
        observed_wrong=lambda: df.observe("o", F.col("id")),
    )


@scenario
def numbers_of_a_frame(world):
    df = people(world)
    world.attempt("count", lambda: df.count())
    world.attempt("isEmpty", lambda: df.where("id > 100").isEmpty())
    world.attempt("first of none", lambda: df.where("id > 100").first())
    world.attempt("columns", lambda: df.columns)
    world.attempt("dtypes", lambda: df.dtypes)
    world.attempt("corr", lambda: df.dropna().corr("id", "age"))
    world.attempt("cov", lambda: df.dropna().cov("id", "age"))
    world.attempt("corr of text", lambda: df.corr("id", "name"))
    world.attempt("quantiles", lambda: df.approxQuantile(["id", "age"], [0.0, 0.5, 1.0], 0.0))
    world.attempt("quantile beyond", lambda: df.approxQuantile("id", [1.5], 0.0))
    world.attempt("same semantics", lambda: df.select("id").sameSemantics(df.select("id")))
    world.attempt("other semantics", lambda: df.select("id").sameSemantics(df.select("age")))
    world.attempt("is local", lambda: df.isLocal())
    world.attempt("is streaming", lambda: df.isStreaming)
    world.attempt("schema", lambda: df.select(F.struct("id", F.array("name")).alias("s")).schema.json())
    world.attempt("tree", lambda: df.select(F.struct("id", F.array("name")).alias("s"))._show_string(1, False, True))


@scenario
def views(world):
    df = people(world)
    df.createOrReplaceTempView("people_view")
    told(world, "a view", lambda: world.spark.table("people_view").where("id = 1"))
    world.attempt("again", lambda: df.createTempView("people_view"))
    df.createOrReplaceGlobalTempView("people_global")
    told(world, "a global view", lambda: world.spark.sql("SELECT id FROM global_temp.people_global WHERE id = 2"))
    told(world, "a global view by its bare name", lambda: world.spark.table("people_global"))
    world.attempt("dropped", lambda: world.spark.catalog.dropTempView("people_view"))
    world.attempt("dropped again", lambda: world.spark.catalog.dropTempView("people_view"))
    world.attempt("global dropped", lambda: world.spark.catalog.dropGlobalTempView("people_global"))
    told(world, "gone", lambda: world.spark.table("people_view"))
    world.attempt("a bad name", lambda: df.createTempView("a.b"))
    world.attempt("exists", lambda: world.spark.catalog.tableExists("people_view"))


@scenario
def errors_say_where(world):
    """Class, SQLSTATE, parameters, and the fragment of the text that an error is about."""
    df = people(world)
    failing = {
        "SELECT 1 / 0": lambda: world.spark.sql("SELECT 1 / 0").collect(),
        "SELECT  nope FROM range(3)": lambda: world.spark.sql("SELECT  nope FROM range(3)").collect(),
        "CAST in two lines": lambda: world.spark.sql("SELECT\n  CAST('x' AS INT) AS y").collect(),
        "an unknown table": lambda: world.spark.sql("SELECT * FROM a.b.c").collect(),
        "an unknown function": lambda: world.spark.sql("SELECT nope(1)").collect(),
        "a wrong type": lambda: world.spark.sql("SELECT abs(array(1))").collect(),
        "an index": lambda: world.spark.sql("SELECT array(1, 2)[5]").collect(),
        "an overflow": lambda: world.spark.sql("SELECT 2147483647 + id FROM VALUES (1) t(id)").collect(),
        "a group": lambda: world.spark.sql("SELECT id, count(*) FROM range(3)").collect(),
    }
    note_errors(world, failing)
    world.attempt("of a DataFrame", lambda: df.select(F.lit(1) / F.lit(0)))


def note_errors(world, failing):
    for what, run in failing.items():
        try:
            run()
            world.note(what, "no error")
        except Exception as e:
            context = [
                [c.objectType(), c.objectName(), c.startIndex(), c.stopIndex(), c.fragment()]
                for c in e.getQueryContext()
            ]
            world.note(what, [e.getCondition(), e.getSqlState(), dict(e.getMessageParameters()), context])


@scenario
def errors_name_what_is_near(world):
    """The columns that are proposed for one that is not there, and lambdas as messages show them."""
    world.sql(
        "CREATE OR REPLACE TEMPORARY VIEW near_s AS SELECT * FROM VALUES (1, 'a', 10.5, 2) AS t(id, g, v, d)",
        "CREATE OR REPLACE TEMPORARY VIEW near_u AS SELECT * FROM VALUES (1, 'a') AS t(uid, Name)",
    )
    statements = [
        "SELECT nope FROM near_s",
        "SELECT near_s.nope FROM near_s",
        "SELECT x.id FROM near_s",
        "SELECT nope FROM near_s JOIN near_u ON id = uid",
        "SELECT a.b.nope FROM near_s JOIN near_u ON id = uid",
        "SELECT name1 FROM near_s JOIN near_u ON id = uid",
        "SELECT * FROM near_s JOIN near_u ON near_s.id = near_u.ix",
        "SELECT * FROM near_s JOIN near_u USING (ix)",
        "SELECT NAM FROM near_u",
        "SELECT 1 FROM near_s WHERE ix > 1",
        "SELECT 1 FROM near_s GROUP BY ix",
        "SELECT id, g FROM near_s ORDER BY ix",
        "SELECT zz FROM VALUES (1, 2, 3, 4, 5, 6, 7) t(za, zb, zcc, zd, zee, zf, zg)",
        "SELECT yz FROM (SELECT id AS x1, g AS `y.z` FROM near_s)",
        "SELECT ee.z FROM near_s LATERAL VIEW explode(array(1)) e AS z",
        "SELECT * EXCEPT (nope) FROM near_s",
        "SELECT nope.* FROM near_s JOIN near_u ON id = uid",
        "SELECT filter(array(1, 2), x -> x)",
        "SELECT aggregate(array(1, 2), 0, (a, x) -> a + x * 1.5)",
        "SELECT array_sort(array(1, 2), (l, r) -> NULL)",
    ]
    note_errors(world, {s: lambda s=s: world.spark.sql(s).collect() for s in statements})


@scenario
def arguments(world):
    df = people(world)
    each(
        world,
        decimals=lambda: world.spark.sql("SELECT :a, :b", {"a": Decimal("1.5"), "b": Decimal("0.050")}),
        decimals_by_place=lambda: world.spark.sql("SELECT ?, ? + 1", [Decimal("12"), Decimal("-1.25")]),
        by_name_and_place=lambda: world.spark.sql("SELECT :a, ?", {"a": 1}),
        word_that_is_no_type=lambda: df.select(F.col("id").cast("nope")),
        among_nothing=lambda: df.select(F.col("id").isin([]), F.lit(1).isin([])),
        inner_as_of=lambda: world.spark.range(3)._joinAsOf(
            world.spark.range(1, 4).withColumnRenamed("id", "k"), "id", "k", how="inner"
        ),
        left_as_of=lambda: world.spark.range(3)._joinAsOf(
            world.spark.range(1, 4).withColumnRenamed("id", "k"), "id", "k", how="left"
        ),
    )


@scenario
def more_of_frames(world):
    df = people(world)
    other = world.spark.createDataFrame([(1, 5), (3, 7)], "id INT, w INT")
    each(
        world,
        lateral=lambda: df.select("id", "age").lateralJoin(
            world.spark.tvf.explode(F.array(F.col("id").outer(), F.lit(9)))
        ),
        grouping_sets=lambda: df.groupingSets([["name"], ["g"], []], "name", "g").agg(F.count("*").alias("n")),
        zip_with_index=lambda: df.orderBy("id").select("id").zipWithIndex(),
        sorted_twice=lambda: df.sort("name", F.col("age").desc_nulls_first(), "id").sortWithinPartitions("id"),
        to_json=lambda: df.select("id", "name").toJSON(),
        without_duplicates=lambda: df.drop_duplicates(["name"]).select("name"),
        nearest=lambda: df.select("id").distinct().join(other, "id", "left_anti"),
        scalar=lambda: df.where(F.col("id") == other.select(F.max("id")).scalar()).select("id"),
        exists=lambda: df.where(other.where(F.col("id") == F.col("id").outer()).exists()).select("id"),
        localized=lambda: df.select("id").localCheckpoint(),
        cached=lambda: df.select("id").cache(),
    )
    frame = df.orderBy("id")
    world.attempt("take", lambda: [r.id for r in frame.take(2)])
    world.attempt("head", lambda: frame.head().id)
    world.attempt("tail", lambda: [r.id for r in frame.tail(2)])
    world.attempt("first", lambda: frame.first().name)
    world.attempt("hash", lambda: df.select("id").semanticHash() == df.select("id").semanticHash())
    world.attempt("iterated", lambda: [r.id for r in frame.toLocalIterator()])
    world.attempt("storage", lambda: str(df.select("age").storageLevel))


@scenario
def more_of_columns(world):
    df = people(world)
    nested = df.select(
        F.struct("id", "name").alias("s"), F.array("id", "age").alias("a"), F.create_map("g", "id").alias("m")
    )
    each(
        world,
        bits=lambda: df.select(F.col("id").bitwiseAND(3), F.col("id").bitwiseOR(8), F.col("id").bitwiseXOR(1)),
        orders=lambda: (
            df.orderBy(F.col("name").asc_nulls_last(), F.col("id").desc_nulls_last()).select("name").limit(2)
        ),
        texts=lambda: df.select(
            F.col("name").contains("n"),
            F.col("name").like("a%"),
            F.col("name").ilike("A%"),
            F.col("name").rlike("^a"),
            F.col("name").substr(1, 2),
            F.col("name").startswith("a"),
            F.col("name").endswith("b"),
        ),
        nulls=lambda: df.select(
            F.col("age").isNull(), F.col("age").isNotNull(), F.col("age").eqNullSafe(None), F.col("age").isin(30, 25)
        ),
        nan=lambda: df.select((F.col("age") * F.lit(float("nan"))).isNaN()),
        fields=lambda: nested.select(
            F.col("s").getField("id"), F.col("a").getItem(0), F.col("m").getItem("x"), F.col("s")["name"]
        ),
        changed_fields=lambda: nested.select(F.col("s").withField("x", F.lit(1)).dropFields("name").alias("s")),
        dropped_all_fields=lambda: nested.select(F.col("s").dropFields("id", "name")),
        casts=lambda: df.select(
            F.col("name").try_cast("int"), F.col("id").cast("string"), F.col("id").astype("double")
        ),
        cases=lambda: df.select(F.when(F.col("id") > 2, "big").when(F.col("id") > 1, "two").otherwise("one")),
        between=lambda: df.select(
            F.col("id").between(2, 3), ~(F.col("id") == 2), -F.col("id"), F.col("id") % 2, F.col("id") ** 2
        ),
        transformed=lambda: df.select(F.col("id").transform(lambda c: c + 1)),
        named=lambda: df.select(F.col("id").name("a"), F.col("id").alias("b", metadata={"k": 1})),
    )


@scenario
def more_of_groups_and_windows(world):
    df = people(world)
    by_id = Window.partitionBy("name").orderBy("id")
    each(
        world,
        short_forms=lambda: df.groupBy("name").avg("id"),
        minimum=lambda: df.groupBy("name").min("id", "age"),
        of_no_number=lambda: df.groupBy("name").sum("g"),
        all_rows=lambda: df.select(
            "id", F.sum("id").over(by_id.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing))
        ),
        until_here=lambda: df.select(
            "id", F.sum("id").over(by_id.rangeBetween(Window.unboundedPreceding, Window.currentRow))
        ),
        around=lambda: df.select("id", F.count("id").over(Window.orderBy("id").rangeBetween(-1, 1))),
        rows_around=lambda: df.distinct().select(
            "id", F.collect_list("id").over(Window.orderBy("id").rowsBetween(-1, 1))
        ),
        wrong_frame=lambda: df.select(F.sum("id").over(Window.rowsBetween(1, -1))),
    )


@scenario
def table_valued_functions(world):
    tvf = world.spark.tvf
    each(
        world,
        explode_outer=lambda: tvf.explode_outer(F.array().cast("array<int>")),
        posexplode=lambda: tvf.posexplode(F.array(F.lit("a"), F.lit("b"))),
        posexplode_outer=lambda: tvf.posexplode_outer(F.create_map(F.lit("a"), F.lit(1))),
        inline=lambda: tvf.inline(F.array(F.struct(F.lit(1).alias("x"), F.lit("b").alias("y")))),
        inline_outer=lambda: tvf.inline_outer(F.lit(None).cast("array<struct<x:int>>")),
        variant_explode=lambda: tvf.variant_explode(F.parse_json(F.lit("[1, 2]"))).select("pos", "key"),
        variant_explode_outer=lambda: tvf.variant_explode_outer(F.parse_json(F.lit("[]"))).select("pos", "key"),
        sql_keywords=lambda: tvf.sql_keywords().where("keyword = 'SELECT'"),
        collations=lambda: tvf.collations().where("name = 'UTF8_LCASE'").select("catalog", "schema", "name"),
        no_array=lambda: tvf.explode(F.lit(1)),
    )


@scenario
def the_catalog(world):
    catalog = world.spark.catalog
    world.sql("CREATE DATABASE catalog_of_test COMMENT 'for a test'")
    world.attempt("current", lambda: [catalog.currentCatalog(), catalog.currentDatabase()])
    world.attempt("exists", lambda: [catalog.databaseExists("catalog_of_test"), catalog.databaseExists("nope")])
    catalog.setCurrentDatabase("catalog_of_test")
    world.attempt("moved", lambda: catalog.currentDatabase())
    world.attempt("no database", lambda: catalog.setCurrentDatabase("nope"))
    world.attempt("no catalog", lambda: catalog.setCurrentCatalog("nope"))
    world.attempt(
        "database",
        lambda: [catalog.getDatabase("catalog_of_test").name, catalog.getDatabase("catalog_of_test").description],
    )
    world.attempt("databases", lambda: [d.name for d in catalog.listDatabases("catalog_of*")])
    world.attempt("catalogs", lambda: [c.name for c in catalog.listCatalogs("spark*")])
    world.sql("CREATE TABLE kept (a INT COMMENT 'first', p STRING) USING PARQUET PARTITIONED BY (p)")
    world.sql("CREATE TEMPORARY VIEW seen AS SELECT 1 AS one")
    world.attempt("tables", lambda: [[t.name, t.isTemporary, t.tableType] for t in catalog.listTables()])
    world.attempt("a pattern", lambda: [t.name for t in catalog.listTables(pattern="k*")])
    world.attempt(
        "table",
        lambda: [catalog.getTable("kept").name, catalog.getTable("kept").namespace, catalog.getTable("kept").tableType],
    )
    world.attempt("no table", lambda: catalog.getTable("nope"))
    world.attempt(
        "table exists",
        lambda: [
            catalog.tableExists("kept"),
            catalog.tableExists("kept", "catalog_of_test"),
            catalog.tableExists("nope"),
        ],
    )
    world.attempt(
        "columns",
        lambda: [[c.name, c.dataType, c.nullable, c.isPartition, c.description] for c in catalog.listColumns("kept")],
    )
    world.attempt("functions", lambda: [f.name for f in catalog.listFunctions(pattern="abs")])
    world.attempt(
        "function",
        lambda: [
            catalog.getFunction("abs").name,
            catalog.getFunction("abs").isTemporary,
            catalog.functionExists("nope"),
        ],
    )
    world.attempt(
        "cached",
        lambda: [
            catalog.isCached("kept"),
            catalog.cacheTable("kept"),
            catalog.isCached("kept"),
            catalog.uncacheTable("kept"),
            catalog.isCached("kept"),
        ],
    )
    world.attempt("cleared", lambda: [catalog.cacheTable("seen"), catalog.clearCache(), catalog.isCached("seen")])
    world.attempt("refreshed", lambda: [catalog.refreshTable("kept"), catalog.recoverPartitions("kept")])
    world.attempt("no table to refresh", lambda: catalog.refreshTable("nope"))
    world.attempt(
        "dropped",
        lambda: [catalog.dropTempView("seen"), catalog.dropTempView("seen"), catalog.dropGlobalTempView("seen")],
    )
    catalog.setCurrentDatabase("default")
    world.sql("DROP DATABASE catalog_of_test CASCADE")


@scenario
def settings_of_a_session(world):
    conf = world.spark.conf
    world.attempt("default", lambda: conf.get("spark.sql.ansi.enabled"))
    world.attempt("set", lambda: [conf.set("spark.sql.ansi.enabled", False), conf.get("spark.sql.ansi.enabled")])
    world.attempt("unset", lambda: [conf.unset("spark.sql.ansi.enabled"), conf.get("spark.sql.ansi.enabled")])
    world.attempt("no such", lambda: conf.get("spark.sql.nope"))
    world.attempt("no such with a default", lambda: conf.get("spark.sql.nope", "d"))
    world.attempt(
        "modifiable",
        lambda: [
            conf.isModifiable("spark.sql.ansi.enabled"),
            conf.isModifiable("spark.sql.warehouse.dir"),
            conf.isModifiable("nope"),
        ],
    )
    world.attempt("static", lambda: conf.set("spark.sql.warehouse.dir", "/x"))
    world.attempt("a wrong value", lambda: conf.set("spark.sql.ansi.enabled", "maybe"))
    conf.set("spark.sql.my.own", "1")
    world.attempt("own", lambda: [conf.get("spark.sql.my.own"), conf.getAll.get("spark.sql.my.own")])


STRUCTS = {
    "order": ("named_struct('a', 1, 'b', 'x')", "named_struct('b', 'y', 'a', 2)"),
    "order of equal types": ("named_struct('a', 1, 'b', 2)", "named_struct('b', 3, 'a', 4)"),
    "case": ("named_struct('a', 1, 'b', 2)", "named_struct('B', 3, 'A', 4)"),
    "wider": ("named_struct('a', 1, 'b', 2)", "named_struct('b', 3L, 'a', 4.5D)"),
    "decimals": ("named_struct('a', 1.5, 'b', 'x')", "named_struct('b', 'y', 'a', 2)"),
    "more on the right": ("named_struct('a', 1)", "named_struct('b', 3, 'a', 2)"),
    "more on the left": ("named_struct('a', 1, 'b', 2)", "named_struct('b', 3)"),
    "more on both": ("named_struct('a', 1, 'b', 2)", "named_struct('c', 3, 'b', 5)"),
    "nested": (
        "named_struct('x', named_struct('a', 1, 'b', 2), 'y', 1)",
        "named_struct('y', 5, 'x', named_struct('b', 3, 'c', 4))",
    ),
    "arrays": ("array(named_struct('a', 1, 'b', 2))", "array(named_struct('b', 3, 'a', 4))"),
    "arrays with more": ("array(named_struct('a', 1, 'b', 2))", "array(named_struct('b', 3, 'c', 4))"),
    "arrays of arrays": (
        "array(array(named_struct('a', 1, 'b', 2)))",
        "array(array(named_struct('b', 3, 'a', 4), NULL))",
    ),
    "arrays in structs": (
        "named_struct('l', array(named_struct('a', 1, 'b', 2)), 'k', 1)",
        "named_struct('k', 2, 'l', array(named_struct('b', 3, 'c', 4)))",
    ),
    "maps": ("map('k', named_struct('a', 1, 'b', 2))", "map('k', named_struct('b', 3, 'a', 4))"),
    "maps with more": ("map('k', named_struct('a', 1))", "map('k', named_struct('a', 3, 'b', 4))"),
    "a NULL": ("named_struct('a', 1, 'b', 2)", "IF(true, NULL, named_struct('b', 3, 'a', 4))"),
    "NULL and more": ("IF(true, NULL, named_struct('a', 1, 'b', 2))", "named_struct('b', 3, 'c', 4)"),
    "a field of two": ("named_struct('a', 1, 'a', 2)", "named_struct('a', 3, 'b', 2)"),
    "no struct": ("named_struct('a', 1)", "1"),
    "other types": ("named_struct('a', 1, 'b', array(1))", "named_struct('b', 3, 'a', 4)"),
}


@scenario
def unions_of_structs(world):
    select = lambda value: world.spark.sql(f"SELECT {value} AS s")  # noqa: E731
    for what, (left, right) in STRUCTS.items():
        told(world, what, lambda left=left, right=right: select(left).unionByName(select(right)))
        told(
            world,
            f"{what}, some missing",
            lambda left=left, right=right: select(left).unionByName(select(right), allowMissingColumns=True),
        )
    rows = world.spark.sql(
        "SELECT * FROM VALUES (1, named_struct('a', 1, 'b', array(named_struct('p', 1, 'q', 2)))), (2, NULL) t(i, s)"
    )
    more = world.spark.sql(
        "SELECT * FROM VALUES (named_struct('b', array(named_struct('q', 3, 'p', 4), NULL), 'a', 5), 3),"
        " (named_struct('b', NULL, 'a', 6), 4), (NULL, 5) t(s, i)"
    )
    a, b, c = (select(f"named_struct('{f}', 1, '{g}', 2)") for f, g in ["ab", "bc", "da"])
    each(
        world,
        rows=lambda: rows.unionByName(more),
        rows_with_more=lambda: rows.unionByName(more.withColumn("z", F.lit(1)), allowMissingColumns=True),
        three=lambda: a.unionByName(b, True).unionByName(c, True),
        distinct=lambda: a.unionByName(select("named_struct('b', 2, 'a', 1)")).distinct(),
        equal_columns=lambda: world.spark.sql("SELECT 1 id, 2 ID").unionByName(world.spark.sql("SELECT 1 id, 2 k")),
        equal_columns_there=lambda: world.spark.sql("SELECT 1 id").unionByName(world.spark.sql("SELECT 1 id, 2 id")),
        by_position=lambda: a.union(select("named_struct('b', 3, 'a', 4)")),
        maps_by_position=lambda: select("map('k', named_struct('a', 1))").union(
            select("map('k', named_struct('b', 1))")
        ),
    )
    world.spark.conf.set("spark.sql.caseSensitive", "true")
    each(
        world,
        exact_names=lambda: a.unionByName(select("named_struct('B', 3, 'a', 4)"), allowMissingColumns=True),
        exact_names_wrong=lambda: a.unionByName(select("named_struct('B', 3, 'a', 4)")),
    )
    world.spark.conf.unset("spark.sql.caseSensitive")


@scenario
def frames_of_windows(world):
    df = people(world).distinct()
    by_name = Window.partitionBy("name").orderBy("id")
    by_age = Window.orderBy("age")
    for lower, upper in [(1, 0), (0, -1), (2, 1), (-1, -2), (1, -1), (-2, -1), (-1, 1), (0, 0)]:
        told(
            world,
            f"rows {lower} to {upper}",
            lambda low=lower, up=upper: df.select("id", F.collect_list("id").over(by_name.rowsBetween(low, up))),
        )
        told(
            world,
            f"range {lower} to {upper}",
            lambda low=lower, up=upper: df.select("id", F.count("*").over(by_age.rangeBetween(low, up))),
        )
    each(
        world,
        empty=lambda: df.select(
            F.sum("id").over(by_name.rowsBetween(1, 0)),
            F.first("id").over(by_name.rowsBetween(0, -1)),
            F.nth_value("id", 1).over(by_name.rowsBetween(0, -2)),
            F.count_if(F.col("id") > 1).over(by_name.rowsBetween(3, 0)),
        ),
        empty_but_for_null=lambda: df.select(
            "id", F.nth_value("id", 1).over(by_age.rangeBetween(1, 0)), F.sum("id").over(by_age.rangeBetween(0, -1))
        ),
        doubles=lambda: df.select(
            "id", F.count("*").over(Window.orderBy(F.expr("age * 1e300D")).rangeBetween(1, 0)).alias("n")
        ),
        no_order=lambda: df.select(F.sum("id").over(Window.partitionBy("id").rowsBetween(-1, 0))),
        no_order_range=lambda: df.select(F.sum("id").over(Window.partitionBy("id").rangeBetween(-1, 0))),
        two_keys=lambda: df.select(F.sum("id").over(Window.orderBy("id", "age").rangeBetween(-1, 0))),
        too_far=lambda: df.select(F.sum("id").over(Window.orderBy("id").rangeBetween(-(1 << 40), 0))),
        of_dates=lambda: df.select(F.sum("id").over(Window.orderBy(F.current_date()).rangeBetween(-1, 0))),
        of_text=lambda: df.select(F.sum("id").over(Window.orderBy("name").rangeBetween(-1, 0))),
    )
