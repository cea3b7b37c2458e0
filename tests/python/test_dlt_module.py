"""The `dlt` module by itself: what its decorators record, and what they refuse."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "python"))

import dlt  # noqa: E402
from dlt.columns import sql_text  # noqa: E402
from dlt.registry import recording  # noqa: E402


def a_query(): ...


def rules(dataset):
    return [(r.name, r.condition, r.action) for r in dataset.rules]


def test_expectations_stack_above_and_below_the_table():
    with recording() as definitions:

        @dlt.expect_or_fail("a", "1 = 1")
        @dlt.table(name="sales", comment="c")
        @dlt.expect_all_or_drop({"b": "2 = 2", "c": "3 = 3"})
        @dlt.expect("d", "4 = 4")
        def query():
            return "rows"

    sales = definitions.datasets["sales"]
    assert rules(sales) == [("a", "1 = 1", "fail"), ("b", "2 = 2", "drop"), ("c", "3 = 3", "drop"), ("d", "4 = 4", "warn")]
    assert (sales.kind, sales.comment) == ("auto", "c")
    assert [(f.name, f.target) for f in definitions.flows] == [("sales", "sales")]
    assert query() == "rows"  # decorated functions stay functions, so that they can be tested
    assert sales.location.file == __file__


def test_decorators_are_bare_or_called():
    with recording() as definitions:

        @dlt.table
        def a(): ...

        @dlt.view
        def b(): ...

        @dlt.materialized_view(partition_cols=["day"], table_properties={"quality": "gold", "n": 1, "flag": True})
        def c(): ...

        @dlt.temporary_view(name="LIVE.d")
        def other(): ...

        @dlt.table(temporary=True)
        def e(): ...

    kinds = {n: d.kind for n, d in definitions.datasets.items()}
    assert kinds == {"a": "auto", "b": "view", "c": "materialized_view", "d": "view", "e": "auto"}
    assert definitions.datasets["c"].table_properties == {"quality": "gold", "n": "1", "flag": "true"}
    assert definitions.datasets["e"].private and not definitions.datasets["a"].private


def test_streaming_tables_flows_and_changes():
    with recording() as definitions:
        dlt.create_streaming_table("all_sales", expect_all={"x": "1"}, expect_all_or_fail={"y": "2"})

        @dlt.append_flow(target="LIVE.all_sales", once=True, spark_conf={"k": "v"})
        def west(): ...

        dlt.apply_changes(
            target="all_sales", source="live.changes", keys=["id"], sequence_by="at", stored_as_scd_type="2",
            apply_as_deletes="op = 'D'", except_column_list=["op"], name="cdc",
        )
        dlt.create_sink("out", "delta", {"path": "/mnt/out"})

    assert rules(definitions.datasets["all_sales"]) == [("x", "1", "warn"), ("y", "2", "fail")]
    flow, = definitions.flows
    assert (flow.name, flow.target, flow.once, flow.spark_conf) == ("west", "all_sales", True, {"k": "v"})
    cdc, = definitions.cdc_flows
    assert (cdc.source, cdc.scd_type, cdc.except_column_list) == ("changes", 2, ["op"])
    assert definitions.datasets["out"].options == {"path": "/mnt/out"}


@pytest.mark.parametrize(
    "wrong, error, words",
    [
        (lambda: dlt.table(nme="x"), TypeError, "nme"),
        (lambda: dlt.table(cluster_by_auto=True)(a_query), NotImplementedError, "cluster_by_auto"),
        (lambda: dlt.materialized_view(refresh_policy="incremental"), NotImplementedError, "refresh_policy"),
        (lambda: dlt.table(partition_cols="day")(a_query), TypeError, "partition_cols"),
        (lambda: dlt.table(schema=1)(a_query), TypeError, "schema"),
        (lambda: dlt.expect("n", True), TypeError, "constraint"),
        (lambda: dlt.expect_all([("n", "c")]), TypeError, "expectations"),
        (lambda: dlt.update_flow(target="s"), NotImplementedError, "update_flow"),
        (lambda: dlt.apply_changes_from_snapshot("t", "s", ["k"], 1), NotImplementedError, "snapshot"),
        (lambda: dlt.foreach_batch_sink(name="s"), NotImplementedError, "foreach_batch_sink"),
        (lambda: dlt.apply_changes("t", "s", [], "x"), ValueError, "keys"),
        (lambda: dlt.apply_changes("t", "s", ["k"], "x", stored_as_scd_type=3), ValueError, "stored_as_scd_type"),
        (lambda: dlt.apply_changes("t", "s", ["k"], "x", column_list=["a"], except_column_list=["b"]), ValueError, "only one"),
        (lambda: dlt.apply_changes("t", "s", ["k"], "x", track_history_column_list=["a"]), ValueError, "track_history"),
        (lambda: dlt.append_flow(name="no_target"), TypeError, "target"),
    ],
)
def test_what_has_no_meaning_is_refused_by_name(wrong, error, words):
    from pyspark.errors import PySparkNotImplementedError

    expected = PySparkNotImplementedError if error is NotImplementedError else error
    with recording(), pytest.raises(expected, match=words):
        wrong()


def test_definitions_without_effect_are_refused():
    with recording() as definitions:

        @dlt.expect("n", "c")
        def nothing(): ...

    with pytest.raises(ValueError, match="nothing.*is no table"):
        definitions.check()
    with recording() as definitions:
        dlt.create_streaming_table("t")
        with pytest.raises(ValueError, match="t is defined twice"):
            dlt.create_streaming_table("t")
        with pytest.raises(ValueError, match="two expectations named 'n'"):

            @dlt.table
            @dlt.expect("n", "a")
            @dlt.expect("n", "b")
            def twice(): ...


def test_outside_of_a_pipeline():
    with pytest.raises(Exception, match="GRAPH_ELEMENT_DEFINED_OUTSIDE_OF_DECLARATIVE_PIPELINE"):
        dlt.create_streaming_table("t")


def test_columns_become_sql():
    from pyspark.sql.connect.functions import builtin as F

    assert sql_text("k", "a > 1") == "a > 1"
    assert sql_text("k", F.col("op") == F.lit("it's")) == r"(op = 'it\'s')"
    assert sql_text("k", F.expr("a > 1") & ~F.col("b").isNull()) == "(a > 1 AND (NOT isNull(b)))"
    assert sql_text("k", F.struct("a", "b")) == "struct(a, b)"
    assert sql_text("k", F.col("a").cast("date")) == "CAST(a AS date)"
    with pytest.raises(Exception, match="write it as SQL text"):
        sql_text("k", F.when(F.col("a") > 1, 2))
