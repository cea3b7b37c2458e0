"""Hints of joins in plans: which join runs, and which side is built. What is expected is what Spark 4.2 chose."""

import re

import pytest

JOINS = re.compile(r"\w*(?:HashJoin|SortMergeJoin|NestedLoopJoin|CartesianProduct)")


@pytest.fixture
def relations(spark):
    spark.range(100).selectExpr("id AS k", "id AS x").createOrReplaceTempView("hint_a")
    spark.range(50).selectExpr("id AS k", "id AS y").createOrReplaceTempView("hint_b")
    spark.sql("CREATE OR REPLACE TEMP VIEW hint_v AS SELECT /*+ MERGE(hint_b) */ * FROM hint_b")
    return spark


def plan(spark, sql):
    return spark.sql(f"EXPLAIN {sql}").collect()[0][0]


def without_ids(text):
    return re.sub(r"#\d+L?|plan_id=\d+", "#", text)


def joins(spark, sql):
    return JOINS.findall(plan(spark, sql))


@pytest.mark.parametrize(
    "sql, expected",
    [
        ("SELECT /*+ BROADCAST(hint_a) */ * FROM hint_a JOIN hint_b USING (k)", "BroadcastHashJoin"),
        ("SELECT /*+ MERGE(hint_a) */ * FROM hint_a JOIN hint_b USING (k)", "SortMergeJoin"),
        ("SELECT /*+ MERGEJOIN(a) */ * FROM hint_a a JOIN hint_b USING (k)", "SortMergeJoin"),
        ("SELECT /*+ SHUFFLE_HASH(hint_a) */ * FROM hint_a JOIN hint_b USING (k)", "ShuffledHashJoin"),
        ("SELECT /*+ SHUFFLE_REPLICATE_NL(hint_a) */ * FROM hint_a JOIN hint_b USING (k)", "CartesianProduct"),
        ("SELECT /*+ MERGE(hint_a), BROADCAST(hint_a) */ * FROM hint_a JOIN hint_b USING (k)", "SortMergeJoin"),
        ("SELECT /*+ MERGE(hint_a), BROADCAST(hint_b) */ * FROM hint_a JOIN hint_b USING (k)", "BroadcastHashJoin"),
        ("SELECT /*+ SHUFFLE_HASH(hint_a), MERGE(hint_b) */ * FROM hint_a JOIN hint_b USING (k)", "SortMergeJoin"),
        ("SELECT /*+ SHUFFLE_HASH(hint_a) */ * FROM hint_a FULL JOIN hint_b USING (k)", "ShuffledHashJoin"),
        ("SELECT /*+ SHUFFLE_REPLICATE_NL(hint_a) */ * FROM hint_a JOIN hint_b ON x < y", "CartesianProduct"),
        ("SELECT /*+ BROADCAST(hint_a) */ * FROM hint_a LEFT JOIN hint_b ON x < y", "BroadcastNestedLoopJoin"),
        ("SELECT /*+ MERGE(hint_a) */ * FROM hint_a LEFT JOIN hint_b ON x < y", "BroadcastNestedLoopJoin"),
        ("SELECT * FROM hint_a JOIN hint_v USING (k)", "SortMergeJoin"),
        ("SELECT * FROM hint_a JOIN (SELECT /*+ MERGE */ * FROM hint_b) s USING (k)", "SortMergeJoin"),
        ("SELECT /*+ MERGE(s) */ * FROM hint_a JOIN (SELECT * FROM hint_b) s USING (k)", "SortMergeJoin"),
        ("SELECT * FROM hint_a WHERE k IN (SELECT /*+ MERGE */ k FROM hint_b)", "SortMergeJoin"),
        (
            "SELECT * FROM hint_a WHERE EXISTS (SELECT /*+ SHUFFLE_HASH */ 1 FROM hint_b WHERE hint_b.k = hint_a.k)",
            "ShuffledHashJoin",
        ),
        (
            "SELECT * FROM hint_a JOIN (SELECT /*+ MERGE */ k, count(*) FROM hint_b GROUP BY k) s USING (k)",
            "SortMergeJoin",
        ),
    ],
)
def test_a_hint_chooses_the_join(relations, sql, expected):
    assert joins(relations, sql) == [expected]


@pytest.mark.parametrize(
    "hinted",
    [
        # Inside of subqueries, views and common tables names mean nothing, and a common table's own hint is lost.
        "SELECT /*+ MERGE(hint_b) */ * FROM hint_a JOIN (SELECT * FROM hint_b) s USING (k)",
        "WITH c AS (SELECT /*+ MERGE */ * FROM hint_b) SELECT * FROM hint_a JOIN c USING (k)",
        "SELECT /*+ MERGE(nope) */ * FROM hint_a JOIN hint_b USING (k)",
        # The type of the join does not allow them.
        "SELECT /*+ SHUFFLE_REPLICATE_NL(hint_a) */ * FROM hint_a LEFT JOIN hint_b USING (k)",
        "SELECT /*+ BROADCAST(hint_a) */ * FROM hint_a LEFT JOIN hint_b USING (k)",
        "SELECT /*+ BROADCAST(hint_a, hint_b) */ * FROM hint_a FULL JOIN hint_b USING (k)",
        "SELECT /*+ SHUFFLE_HASH(hint_a) */ * FROM hint_a LEFT SEMI JOIN hint_b USING (k)",
    ],
)
def test_a_hint_that_cannot_hold_is_ignored(relations, hinted):
    plain = re.sub(r"/\*\+.*?\*/ ", "", hinted)
    assert joins(relations, plain), "there is a join"
    # The whole plan, and so the side that is built, but for the numbers of columns and plans.
    assert without_ids(plan(relations, hinted)) == without_ids(plan(relations, plain))


@pytest.mark.parametrize(
    "key, expected",
    [("id", "SortMergeJoin"), ("timestamp_micros(id)", "HashJoin"), ("make_dt_interval(0, 0, 0, id)", "HashJoin")],
)
@pytest.mark.parametrize("kind", ["LEFT SEMI", "LEFT ANTI"])
def test_joins_that_ask_for_a_match_merge_keys_that_batches_are_compared_by(relations, kind, key, expected):
    rows = f"(SELECT {key} AS k FROM range(20000))"
    [join] = joins(relations, f"SELECT /*+ MERGE(b) */ * FROM {rows} a {kind} JOIN {rows} b ON a.k = b.k")
    assert expected in join


def built_side(text):
    """The side that is drawn first below a join."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if JOINS.search(line))
    depth = re.search(r"\w", lines[at]).start()
    first = []
    for line in lines[at + 1 :]:
        inside = re.search(r"\w", line)
        if first and inside and inside.start() == depth + 3:
            break
        first.append(line)
    return "\n".join(first)


@pytest.mark.parametrize("kind", ["BROADCAST", "SHUFFLE_HASH"])
@pytest.mark.parametrize("side", ["hint_a", "hint_b"])
def test_the_hinted_side_is_built(relations, kind, side):
    text = plan(relations, f"SELECT /*+ {kind}({side}) */ * FROM hint_a JOIN hint_b USING (k)")
    assert "BuildLeft" in text
    assert {"hint_a": "x#", "hint_b": "y#"}[side] in built_side(text), text


def test_hints_of_data_frames(relations):
    a, b = relations.table("hint_a"), relations.table("hint_b")
    joined = {
        "broadcast": "BroadcastHashJoin",
        "merge": "SortMergeJoin",
        "shuffle_hash": "ShuffledHashJoin",
        "shuffle_replicate_nl": "CartesianProduct",
    }
    for hint, expected in joined.items():
        frame = a.join(b.hint(hint), "k")
        assert expected in frame._explain_string(), hint
        assert frame.count() == 50, hint
    assert "SortMergeJoin" in a.hint("merge").filter("x > 3").select("k").join(b, "k")._explain_string()


def test_a_rebalanced_query_is_one_file_for_few_rows(relations, tmp_path):
    relations.sql("SELECT /*+ REBALANCE */ * FROM hint_a").write.parquet(str(tmp_path / "few"))
    assert len(list((tmp_path / "few").glob("*.parquet"))) == 1
    relations.conf.set("spark.sql.adaptive.advisoryPartitionSizeInBytes", "1b")
    try:
        rows = relations.sql("SELECT /*+ REBALANCE(3) */ id FROM range(0, 100000, 1, 4)")
        assert rows.selectExpr("spark_partition_id() AS p").distinct().count() == 3
        assert rows.selectExpr("count(id)", "sum(id)").collect()[0][:] == (100000, 4999950000)
    finally:
        relations.conf.unset("spark.sql.adaptive.advisoryPartitionSizeInBytes")
