"""More of the DataFrame API: what self-joins, odd names, groups, fillings and local rows of rarer types give."""

from decimal import Decimal

from pyspark.sql import functions as F
from pyspark.sql import types as T
from scenarios_dataframe import each, people

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


@scenario
def a_frame_joined_with_what_was_made_of_it(world):
    df = people(world)
    some = df.filter("id > 1")
    more = df.withColumn("z", df.id + 1)
    counts = df.groupBy("id").agg(F.count("*").alias("n"))
    each(
        world,
        filtered=lambda: df.join(some, df["id"] == some["id"]),
        grouped=lambda: df.join(counts, df.id == counts.id).select(df["*"], counts["n"]),
        grouped_by_name=lambda: df.join(counts, "id").select(df.id, counts.id),
        extended=lambda: more.join(df, more.z == df.id).select(more["*"]),
        itself=lambda: df.join(df, df.id == df.age),
        union=lambda: df.union(some).select(df.id),
    )


@scenario
def columns_of_frames_below(world):
    df = people(world)
    each(
        world,
        alias_over_a_union=lambda: df.alias("t").union(df).select("t.id"),
        columns_of_one_call=lambda: df.withColumns({"a": F.lit(1), "b": F.col("a")}),
        stars_of_a_struct=lambda: (lambda d: d.select(d["s.*"]))(df.select(F.struct("id").alias("s"))),
        outer_of_the_other=lambda: df.where(df.select("age").where(df.id.outer() == F.col("age")).exists()),
    )


@scenario
def columns_of_the_same_name(world):
    df = people(world)
    twice = df.select("id", "name").toDF("a", "a")
    each(
        world,
        dropped=lambda: twice.crossJoin(twice).drop("a"),
        filled=lambda: twice.na.fill(0),
        distinct=lambda: twice.dropDuplicates(["a"]),
        joined_by_a_name_twice=lambda: df.select("id").join(df.select("id", "g"), ["id", "id"]),
        parquet=lambda: twice.write.parquet(world.path("twice")),
        cached=lambda: twice.cache(),
    )


@scenario
def names_with_dots(world):
    odd = world.spark.createDataFrame([(1, None)], T.StructType().add("a.b", T.IntegerType()).add("", T.IntegerType()))
    each(
        world,
        empty_pattern=lambda: odd.select(odd.colRegex("``")),
        renamed=lambda: odd.withColumnsRenamed({"a.b": "x", "": "y"}),
    )


@scenario
def groups_by_odd_things(world):
    df = people(world)
    each(
        world,
        a_column_twice=lambda: df.groupBy("g", df.g).count(),
        exploded=lambda: df.groupBy("g").agg(F.explode(F.collect_list("id"))),
    )


@scenario
def pivots_of_odd_things(world):
    df = people(world)
    each(
        world,
        no_aggregate=lambda: df.groupBy("name").pivot("g", ["x"]).agg(F.col("id")),
    )


@scenario
def values_for_nulls(world):
    df = world.spark.sql("SELECT INT(NULL) i, BIGINT(NULL) l, STRING(NULL) s, BOOLEAN(NULL) b, DOUBLE('NaN') d")
    each(
        world,
        text_of_a_number=lambda: df.na.fill({"s": 5}),
        values_of_other_types=lambda: df.na.fill({"s": 5, "l": "3"}),
        boolean_beside_a_number=lambda: df.na.fill({"b": 1, "i": 2}),
        number_of_a_text=lambda: df.na.fill({"l": "3"}),
        number_of_no_number=lambda: df.na.fill({"i": "x"}),
        the_same_column_twice=lambda: df.na.fill({"I": 1, "i": 2}),
        all_numbers=lambda: df.na.fill(7.9),
        number_for_a_boolean=lambda: df.na.fill({"b": 1}),
        replaced_by_null=lambda: df.na.fill(1).na.replace({1: None}),
    )


@scenario
def figures_of_columns_with_gaps(world):
    df = people(world)
    gaps = world.spark.sql("SELECT * FROM VALUES (1D), (DOUBLE('NaN')), (3D) t(d)")
    world.attempt("cov", lambda: round(df.cov("id", "age"), 6))
    world.attempt("corr", lambda: round(df.corr("id", "age"), 6))
    world.attempt("quantiles", lambda: gaps.approxQuantile("d", [0.0, 1.0], 0.0))
    each(
        world,
        sampled=lambda: world.spark.range(0, 1000, 1, 4).sample(False, 0.01, 1),
    )


@scenario
def local_rows_of_rare_types(world):
    make = world.spark.createDataFrame
    variant = T.VariantVal.parseJson('{"a": [1, null]}')
    each(
        world,
        variant=lambda: make([(variant,)], "v VARIANT").select(F.to_json("v"), F.variant_get("v", "$.a[0]", "int")),
        variant_without_schema=lambda: make([(variant,)], ["v"]).select(F.to_json("v")),
        char=lambda: make([("x",)], "a CHAR(3)"),
        decimal=lambda: make([(Decimal("1.235"),)], "a DECIMAL(5, 2)"),
        binary=lambda: make([(b"x",)], "a STRING"),
    )


@scenario
def names_and_errors_of_columns(world):
    df = people(world)
    each(
        world,
        hint_without_a_number=lambda: df.hint("coalesce"),
        hint_with_a_number=lambda: df.hint("broadcast", 1.5),
    )


@scenario
def metadata_of_columns(world):
    df = people(world).withMetadata("id", {"k": 1})
    frames = {
        "renamed": lambda: df.withColumnRenamed("id", "r"),
        "alias": lambda: df.alias("t").selectExpr("id AS y", "t.*"),
        "filled": lambda: df.withMetadata("age", {"k": 2}).na.fill(0),
        "joined": lambda: df.join(people(world).select("id"), "id"),
    }
    for what, make in frames.items():
        world.attempt(what, lambda make=make: make().schema.json())
