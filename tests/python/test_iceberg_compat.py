"""Tables that Iceberg can read too, as delta-spark makes and changes them (`scenarios_iceberg.py`)."""

import json
import re
import urllib.parse

import pyarrow.parquet as pq
import pytest
import scenarios_iceberg
from conftest import known_to_differ
from pyspark.errors.exceptions.connect import SparkConnectGrpcException
from recorded import check

# Where we differ, and why.
DIFFERS = {
    "cloned with vectors": "delta-spark checks nothing when it clones, and makes a table that nobody may write to",
    "files that are there already": "delta-spark checks nothing when it converts, and makes a table whose columns are not mapped",
}
SECOND = "'delta.enableIcebergCompatV2' = 'true'"


@pytest.mark.parametrize("name", scenarios_iceberg.SCENARIOS)
def test_iceberg(spark, tmp_path, request, name):
    known_to_differ(request, name, DIFFERS)
    check("iceberg", name, scenarios_iceberg.SCENARIOS[name], spark, tmp_path)


def refused(action, condition):
    with pytest.raises(SparkConnectGrpcException) as caught:
        action()
    assert caught.value.getCondition() == condition, str(caught.value)
    return str(caught.value)


def live_files(path):
    """The files of a table, from its commits."""
    files = {}
    for commit in sorted((path / "_delta_log").glob("*.json")):
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            if "remove" in action:
                files.pop(action["remove"]["path"], None)
            if "add" in action:
                files[action["add"]["path"]] = action["add"]
    return files


def schema_of(path):
    commits = sorted((path / "_delta_log").glob("*.json"), reverse=True)
    actions = (json.loads(line) for commit in commits for line in commit.read_text().splitlines())
    return json.loads(next(a["metaData"]["schemaString"] for a in actions if "metaData" in a))


def ids_of(schema):
    """All ids that a schema gives: those of fields, and of what is in their arrays and maps."""
    found = []

    def of(t):
        if isinstance(t, dict) and t["type"] == "struct":
            for field in t["fields"]:
                notes = field["metadata"]
                found.append(notes["delta.columnMapping.id"])
                found.extend(notes["delta.columnMapping.nested.ids"].values())
                of(field["type"])
        elif isinstance(t, dict):
            for key in ("elementType", "keyType", "valueType"):
                of(t.get(key))

    of(schema)
    return found


def check_files(path, partitions):
    """Every file has an id for all of its fields, the columns that partition it at the end, and times as whole numbers."""
    ids = ids_of(schema_of(path))
    assert len(ids) == len(set(ids)), ids
    files = live_files(path)
    assert files
    for name, add in files.items():
        file = pq.ParquetFile(path / urllib.parse.unquote(name))
        lines = [line.strip() for line in str(file.schema).splitlines()[2:] if "field_id" in line]
        fields = [line for line in lines if not re.search(r"repeated group|_row-", line)]
        given = [int(re.search(r"field_id=(-?\d+)", line).group(1)) for line in fields]
        assert set(given) <= set(ids) and len(given) == len(set(given)), (name, fields, ids)
        assert "int96" not in str(file.schema), name
        assert [c.name for c in file.schema_arrow][-len(partitions) :] == partitions, (name, file.schema_arrow)
        assert json.loads(add["stats"])["numRecords"] == file.metadata.num_rows
        assert add["tags"]["ICEBERG_COMPAT_VERSION"] == "2" and "deletionVector" not in add
        for column, value in add["partitionValues"].items():
            values = set(file.read(columns=[column]).column(0).to_pylist())
            # An empty text is NULL in a partition; delta-spark leaves it empty in the file.
            wanted = {None, ""} if value is None else {type(next(iter(values)))(value)}
            assert values <= wanted, (name, column, values, value)


MADE = [
    f"""CREATE TABLE {{t}} (id BIGINT, p STRING, v STRING, q INT, l ARRAY<STRUCT<a: INT, m: MAP<STRING, ARRAY<INT>>>>, ts TIMESTAMP, n TIMESTAMP_NTZ) USING delta
    PARTITIONED BY (p, q) TBLPROPERTIES ({SECOND})""",
    """INSERT INTO {t} SELECT id, IF(id % 3 = 0, NULL, concat('p', id % 3)), concat('v', id), CAST(id % 2 AS INT), array(named_struct('a', 1, 'm', map('k', array(CAST(id AS INT))))),
    timestamp_micros(id), CAST(timestamp_micros(id) AS TIMESTAMP_NTZ) FROM range(30)""",
]
CHANGES = [
    "INSERT INTO {t} (id, p) VALUES (100, ''), (101, 'd')",
    "UPDATE {t} SET v = concat(v, '!') WHERE id % 4 = 0",
    "ALTER TABLE {t} ADD COLUMNS (more MAP<STRING, ARRAY<DATE>>)",
    "DELETE FROM {t} WHERE id % 5 = 2",
    """MERGE INTO {t} t USING (SELECT id FROM range(25, 35)) s ON t.id = s.id
       WHEN MATCHED AND s.id = 26 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'merged' WHEN NOT MATCHED THEN INSERT (id, v, more) VALUES (s.id, 'new', map('a', array(DATE'2020-01-01')))""",
    "ALTER TABLE {t} RENAME COLUMN more TO fewer",
    "OPTIMIZE {t}",
    "INSERT OVERWRITE {t} SELECT * FROM {t} WHERE id < 50",
    "OPTIMIZE {t} ZORDER BY (id)",
]


def partitions_of(path):
    fields = {f["name"]: f["metadata"]["delta.columnMapping.physicalName"] for f in schema_of(path)["fields"]}
    return [fields["p"], fields["q"]]


def test_files_of_every_statement(spark, tmp_path):
    for statement in MADE + CHANGES:
        spark.sql(statement.replace("{t}", f"delta.`{tmp_path / 't'}`")).collect()
        if live_files(tmp_path / "t"):
            check_files(tmp_path / "t", partitions_of(tmp_path / "t"))


def test_files_of_restored_and_cloned_tables(spark, tmp_path):
    t, c = f"delta.`{tmp_path / 't'}`", f"delta.`{tmp_path / 'c'}`"
    for statement in MADE:
        spark.sql(statement.replace("{t}", t)).collect()
    spark.sql(f"DELETE FROM {t}").collect()
    spark.sql(f"RESTORE TABLE {t} TO VERSION AS OF 1").collect()
    check_files(tmp_path / "t", partitions_of(tmp_path / "t"))
    spark.sql(f"CREATE TABLE {c} DEEP CLONE {t}").collect()
    spark.sql(f"UPDATE {c} SET v = 'c'").collect()
    check_files(tmp_path / "c", partitions_of(tmp_path / "c"))
    assert spark.sql(f"SELECT count(*) FROM {c} WHERE v = 'c' AND l[0].m['k'][0] = id").first()[0] == 30


@pytest.mark.parametrize("maker", ["ours", "theirs"])
def test_files_of_both_engines(spark, jvm, tmp_path, maker):
    t = f"delta.`{tmp_path / 't'}`"
    engines = [spark, jvm] if maker == "ours" else [jvm, spark]
    for statement in MADE:
        engines[0].sql(statement.replace("{t}", t)).collect()
    for i, change in enumerate(CHANGES * 2):
        if i >= len(CHANGES) and "ALTER" in change:
            continue
        engines[(i + 1 + i // len(CHANGES)) % 2].sql(change.replace("{t}", t).replace("more", "fewer" if i >= len(CHANGES) else "more")).collect()
        check_files(tmp_path / "t", partitions_of(tmp_path / "t"))
        rows = [sorted(str(row) for row in s.read.format("delta").load(str(tmp_path / "t")).collect()) for s in engines]
        assert rows[0] == rows[1], change


def test_uniform_is_refused_by_its_name(spark, tmp_path):
    t = f"delta.`{tmp_path / 't'}`"
    uniform = "'delta.universalFormat.enabledFormats' = 'iceberg'"
    text = refused(lambda: spark.sql(f"CREATE TABLE {t} (id INT) USING delta TBLPROPERTIES ({SECOND}, {uniform})"), "UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE")
    assert "delta.universalFormat.enabledFormats" in text
    spark.sql(f"CREATE TABLE {t} (id INT) USING delta TBLPROPERTIES ({SECOND})")
    refused(lambda: spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ({uniform})"), "UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE")
    refused(lambda: spark.sql(f"ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableIcebergCompatV3' = 'true')"), "UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE")


def add_to_log(path, **changes):
    """A commit of another writer, whose metadata or protocol has what we do not write."""
    log = path / "_delta_log"
    last = max(log.glob("*.json"))
    actions = [json.loads(line) for line in (log / f"{0:020}.json").read_text().splitlines()]
    out = []
    for action in actions:
        if "metaData" in action and "configuration" in changes:
            action["metaData"]["configuration"].update(changes["configuration"])
            out.append(action)
        if "protocol" in action and "feature" in changes:
            action["protocol"]["writerFeatures"].append(changes["feature"])
            out.append(action)
    (log / f"{int(last.stem) + 1:020}.json").write_text("\n".join(json.dumps(a) for a in out) + "\n")


def test_tables_with_uniform_are_read(spark, tmp_path):
    t = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} (id INT) USING delta TBLPROPERTIES ({SECOND})")
    spark.sql(f"INSERT INTO {t} VALUES (1)")
    add_to_log(tmp_path / "t", configuration={"delta.universalFormat.enabledFormats": "iceberg"})
    assert spark.table(t).collect() == [(1,)]
    for statement in (f"INSERT INTO {t} VALUES (2)", f"DELETE FROM {t}", f"OPTIMIZE {t}"):
        text = refused(lambda s=statement: spark.sql(s).collect(), "UNSUPPORTED_FEATURE.NOT_IN_BOATHOUSE")
        assert "UniForm" in text and "delta.universalFormat.enabledFormats" in text
    spark.sql(f"ALTER TABLE {t} UNSET TBLPROPERTIES ('delta.universalFormat.enabledFormats')")
    spark.sql(f"INSERT INTO {t} VALUES (2)")
    assert spark.table(t).count() == 2


def test_the_third_version_is_refused_by_its_name(spark, tmp_path):
    t = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} (id INT) USING delta TBLPROPERTIES ({SECOND})")
    spark.sql(f"INSERT INTO {t} VALUES (1)")
    add_to_log(tmp_path / "t", feature="icebergCompatV3")
    assert spark.table(t).collect() == [(1,)]
    assert "icebergCompatV3" in refused(lambda: spark.sql(f"INSERT INTO {t} VALUES (2)"), "DELTA_UNSUPPORTED_FEATURES_FOR_WRITE")


def test_a_write_that_is_refused_leaves_no_files(spark, tmp_path):
    t = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} (id INT) USING delta TBLPROPERTIES ({SECOND})")
    spark.conf.set("spark.databricks.delta.stats.collect", "false")
    refused(lambda: spark.sql(f"INSERT INTO {t} VALUES (2)"), "DELTA_ICEBERG_COMPAT_VIOLATION.FILES_WITHOUT_STATISTICS")
    assert not list((tmp_path / "t").glob("*.parquet"))
    spark.conf.set("spark.databricks.delta.stats.collect", "true")
    spark.sql(f"INSERT INTO {t} VALUES (2)")


def test_new_tables_have_no_vectors(spark, tmp_path):
    """Tables have them by default, but not these; who asks for them is told that they do not go together."""
    for given, wanted in (("'x' = 'y'", "true"), (SECOND, None), ("'DELTA.ENABLEICEBERGCOMPATV1' = 'TRUE'", None), ("'delta.enableIcebergCompatV2' = 'false'", "true")):
        name = f"delta.`{tmp_path / str(len(list(tmp_path.iterdir())))}`"
        spark.sql(f"CREATE TABLE {name} (id INT) USING delta TBLPROPERTIES ({given})")
        properties = {row.key: row.value for row in spark.sql(f"SHOW TBLPROPERTIES {name}").collect()}
        assert properties.get("delta.enableDeletionVectors") == wanted, (given, properties)
