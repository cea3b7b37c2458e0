"""Variants in parts: which fields get columns is what delta-spark 4.4 gave them for the same rows, and values come back whole."""

import pathlib

import pyarrow.parquet as pq
import pytest
from test_interop_jvm import plain

ROWS = "FROM range(0, 100, 1, 1)"
# For each expression over `id` the columns of the file below `v`, without `metadata`.
COLUMNS = {
    """parse_json(concat('{"a":', id, ',"b":"s', id, '","c":', id, '.5,"d":{"e":true,"f":', IF(id % 2 = 0, '1', '"x"'), '},"g":[1,', id,
       '],"h":null', IF(id = 3, ',"rare":1', ''), IF(id < 10, ',"tenth":1', ''), ',"n":', IF(id % 2 = 0, '1', '1.25'), ',"eo":{}}'))""": {
        "a": "int64",
        "b": "string",
        "c": "decimal128(18, 1)",
        "d": {"e": "bool", "f": None},
        "eo": None,
        "g": ["int64"],
        "h": None,
        "n": "decimal128(18, 2)",
        "tenth": "int64",
    },
    "parse_json(string(id))": "int64",
    "parse_json(concat('[', id, ',2]'))": ["int64"],
    "parse_json(concat(id, '.25'))": "decimal128(18, 2)",
    "IF(id % 2 = 0, parse_json('1'), parse_json('\"x\"'))": None,
    "IF(id % 20 <> 0, NULL, parse_json('{\"a\":1}'))": {"a": "int64"},
    "IF(id % 2 = 0, parse_json('{\"a\":1}'), parse_json('null'))": {"a": "int64"},
    "IF(id % 2 = 0, parse_json('{\"a\":1}'), parse_json('5'))": None,
    """to_variant_object(named_struct('ts', TIMESTAMP'2020-01-01 00:00:00', 'n', TIMESTAMP_NTZ'2020-01-01 00:00:00', 'd', DATE'2020-01-01',
       'f', FLOAT(id), 'db', DOUBLE(id), 'bin', X'01', 'bo', true, 'by', 1Y, 'dec', CAST(id + 0.125 AS DECIMAL(20, 3))))""": {
        "bin": "binary",
        "bo": "bool",
        "by": "int64",
        "d": "date32[day]",
        "db": "double",
        "dec": "decimal128(18, 3)",
        "f": "float",
        "n": "timestamp[us]",
        "ts": "timestamp[us, tz=UTC]",
    },
}


def typed(group):
    """What has columns of its own in a group of `value` and `typed_value`."""
    index = group.get_field_index("typed_value")
    if index < 0:
        return None
    t = group.field(index).type
    if hasattr(t, "value_type"):
        return [typed(t.value_type)]
    if str(t).startswith("struct"):
        return {f.name: typed(f.type) for f in t}
    return str(t)


def files(path):
    return [pq.ParquetFile(f) for f in pathlib.Path(path).glob("*.parquet")]


def shredded(spark, path, columns="id BIGINT, v VARIANT", **more):
    listed = "".join(f", '{k}' = '{v}'" for k, v in more.items())
    t = f"delta.`{path}`"
    spark.sql(f"CREATE TABLE {t} ({columns}) USING delta TBLPROPERTIES ('delta.enableVariantShredding' = 'true'{listed})")
    return t


@pytest.mark.parametrize("expression", COLUMNS, ids=range(len(COLUMNS)))
def test_columns_are_sparks(spark, tmp_path, expression):
    t = shredded(spark, tmp_path / "t")
    spark.sql(f"INSERT INTO {t} SELECT id, {expression} {ROWS}")
    [file] = files(tmp_path / "t")
    assert typed(file.schema_arrow.field("v").type) == COLUMNS[expression]
    # Values come back as they were.
    wanted = spark.sql(f"SELECT id, to_json({expression}) {ROWS} ORDER BY id").collect()
    assert spark.sql(f"SELECT id, to_json(v) FROM {t} ORDER BY id").collect() == wanted


def test_fields_are_read_from_parts(spark, tmp_path):
    t = shredded(spark, tmp_path / "t", "id BIGINT, v VARIANT, s STRUCT<w: VARIANT, x: INT>, l ARRAY<VARIANT>")
    spark.sql(
        f"""INSERT INTO {t} SELECT id, parse_json(concat('{{"k":', id, ',"o":{{"p":"q', id, '","only', id, '":1}}}}')),
            named_struct('w', parse_json(concat('[', id, ']')), 'x', 1), array(parse_json(string(id))) {ROWS}"""
    )
    [file] = files(tmp_path / "t")
    fields = file.schema_arrow
    assert typed(fields.field("v").type) == {"k": "int64", "o": {"p": "string"}}
    assert typed(fields.field("s").type.field("w").type) == ["int64"]
    assert typed(fields.field("l").type.value_type) is None
    found = spark.sql(
        f"""SELECT v:k::int, v:o.p::string, try_variant_get(v, concat('$.o.only', id), 'int'), variant_get(s.w, '$[0]', 'int'), l[0]::int
            FROM {t} WHERE v:k::int BETWEEN 41 AND 42 ORDER BY id"""
    )
    assert [tuple(r) for r in found.collect()] == [(41, "q41", 1, 41, 41), (42, "q42", 1, 42, 42)]


def test_rows_after_the_sample_may_be_anything(spark, tmp_path):
    t = shredded(spark, tmp_path / "t")
    value = "IF(id < 5000, concat('{\"a\":', id, '}'), IF(id % 2 = 0, '{\"a\":\"late\",\"b\":[1]}', '[true,{\"z\":null}]'))"
    spark.range(0, 6000, 1, 1).selectExpr("id", f"parse_json({value}) AS v").coalesce(1).write.format("delta").mode("append").save(str(tmp_path / "t"))
    [file] = files(tmp_path / "t")
    assert typed(file.schema_arrow.field("v").type) == {"a": "int64"}
    assert spark.sql(f"SELECT count(*), count_if(to_json(v) = {value}) FROM {t}").collect()[0][:] == (6000, 6000)


def test_changes_of_shredded_tables(spark, tmp_path):
    t = shredded(spark, tmp_path / "t", **{"delta.enableChangeDataFeed": "true", "delta.columnMapping.mode": "name"})
    spark.sql(f"INSERT INTO {t} SELECT id, parse_json(concat('{{\"a\":', id, '}}')) {ROWS}")
    spark.sql(f"UPDATE {t} SET v = parse_json('{{\"a\":\"changed\"}}') WHERE v:a::int = 7")
    spark.sql(f"ALTER TABLE {t} RENAME COLUMN v TO w")
    spark.sql(f"DELETE FROM {t} WHERE id > 50")
    spark.sql(f"OPTIMIZE {t}")
    found = spark.sql(f"SELECT count(*), count_if(w:a::string = 'changed'), sum(try_variant_get(w, '$.a', 'int')) FROM {t}").collect()[0]
    assert tuple(found) == (51, 1, sum(range(51)) - 7)


def test_tables_that_do_not_ask_have_whole_variants(spark, tmp_path):
    t = f"delta.`{tmp_path / 't'}`"
    spark.sql(f"CREATE TABLE {t} (v VARIANT) USING delta")
    spark.sql(f"INSERT INTO {t} SELECT parse_json('{{\"a\":1}}')")
    assert [typed(f.schema_arrow.field("v").type) for f in files(tmp_path / "t")] == [None]


@pytest.mark.parametrize("expression", COLUMNS, ids=range(len(COLUMNS)))
def test_both_shred_alike_and_read_each_other(spark, jvm, tmp_path, expression):
    values = []
    for writer, name in ((spark, "ours"), (jvm, "theirs")):
        t = shredded(writer, tmp_path / name)
        writer.sql(f"INSERT INTO {t} SELECT id, {expression} {ROWS}")
        assert {repr(typed(f.schema_arrow.field("v").type)) for f in files(tmp_path / name)} == {repr(COLUMNS[expression])}
        for reader in (spark, jvm):
            values.append([tuple(map(plain, row)) for row in reader.sql(f"SELECT id, v FROM {t} ORDER BY id").collect()])
    assert len(values[0]) == 100 and values[1:] == values[:1] * 3
