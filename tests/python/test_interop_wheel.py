"""Tables of ours with each feature, as the `deltalake` wheel reads them: the same rows, or its own refusal of the feature."""

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder
from test_interop_features import CHANGES, FEATURES, REFUSED, make

# What the wheel says it does not know.
UNKNOWN_TO_THE_WHEEL = {
    "type widening": "TypeWidening",
    "vacuum protocol check": "VacuumProtocolCheck",
    "shredded variant": "VariantShredding",
    "all at once": "TypeWidening",
}


@pytest.mark.parametrize("feature", FEATURES)
def test_feature_is_read_by_deltalake(spark, tmp_path, feature):
    table = f"delta.`{tmp_path / 't'}`"
    if (feature, "ours") in REFUSED:
        with pytest.raises(Exception, match=REFUSED[feature, "ours"]):
            make(spark, feature, table)
        return
    make(spark, feature, table)
    for statement in (CHANGES if feature != "append only" else CHANGES[:1]):
        spark.sql(statement.replace("{t}", table)).collect()
    ours = sorted((tuple(row) for row in spark.sql(f"SELECT id, v FROM {table}").collect()), key=repr)
    assert ours

    def theirs():
        rows = QueryBuilder().register("t", DeltaTable(str(tmp_path / "t"))).execute("SELECT id, v FROM t").read_all()
        return sorted((tuple(row.values()) for row in pa.table(rows).to_pylist()), key=repr)

    if feature in UNKNOWN_TO_THE_WHEEL:
        with pytest.raises(Exception, match=UNKNOWN_TO_THE_WHEEL[feature]):
            theirs()
    else:
        assert theirs() == ours
