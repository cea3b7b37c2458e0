"""XML, Avro and ORC files, and columns of text as tables. What Spark 4.2 answers is recorded here."""

import datetime
import decimal
import glob
import json

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import Row
from pyspark.sql.types import StructType

BOOKS = """<?xml version="1.0"?>
<books><book id="b1" lang="en"><title>A</title><price>1.5</price><tag>x</tag><tag>y</tag></book>
<!-- c --><book id="b2"><title kind="k">B</title><date>2024-01-02</date><price>bad</price></book></books>"""


@pytest.fixture
def books(tmp_path):
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "a.xml").write_text(BOOKS)
    return f"file:{tmp_path}/books"


def written(tmp_path, name):
    return sorted(glob.glob(f"{tmp_path}/{name}/part*"))


def test_xml_is_written_as_spark_writes_it(spark, tmp_path):
    rows = [(1, "a", [1, 2], (1.5, None)), (2, None, [], (None, "y<&"))]
    df = spark.createDataFrame(rows, "id int, name string, xs array<int>, s struct<p: double, q: string>").coalesce(1)
    df.write.option("rowTag", "row").xml(f"file:{tmp_path}/x")
    (file,) = written(tmp_path, "x")
    assert file.endswith(".xml")
    assert open(file).read() == """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<ROWS>
    <row>
        <id>1</id>
        <name>a</name>
        <xs>1</xs>
        <xs>2</xs>
        <s>
            <p>1.5</p>
        </s>
    </row>
    <row>
        <id>2</id>
        <s>
            <q>y&lt;&amp;</q>
        </s>
    </row>
</ROWS>"""
    read = spark.read.option("rowTag", "row").xml(f"file:{tmp_path}/x")
    assert read.schema.simpleString() == "struct<id:bigint,name:string,s:struct<p:double,q:string>,xs:array<bigint>>"
    assert read.orderBy("id").collect() == [
        Row(id=1, name="a", s=Row(p=1.5, q=None), xs=[1, 2]),
        Row(id=2, name=None, s=Row(p=None, q="y<&"), xs=None),
    ]


def test_xml_root_and_nulls(spark, tmp_path):
    df = spark.createDataFrame([(None, "x")], "a int, b string").coalesce(1)
    df.write.option("rowTag", "r").option("rootTag", "root a='b'").option("declaration", "").option(
        "nullValue", "-"
    ).xml(f"file:{tmp_path}/x")
    (file,) = written(tmp_path, "x")
    assert open(file).read() == '<root a="b">\n    <r>\n        <a>-</a>\n        <b>x</b>\n    </r>\n</root>'


def test_xml_schema_is_inferred(spark, books):
    read = spark.read.option("rowTag", "book").xml(books)
    assert read.schema.simpleString() == (
        "struct<_id:string,_lang:string,date:date,price:string,tag:array<string>,title:struct<_VALUE:string,_kind:string>>"
    )
    assert read.orderBy("_id").collect() == [
        Row(_id="b1", _lang="en", date=None, price="1.5", tag=["x", "y"], title=Row(_VALUE="A", _kind=None)),
        Row(_id="b2", _lang=None, date=datetime.date(2024, 1, 2), price="bad", tag=None, title=Row(_VALUE="B", _kind="k")),
    ]


def test_malformed_xml(spark, books):
    reader = spark.read.option("rowTag", "book")
    kept = reader.schema("_id string, title string, price double, _corrupt_record string").xml(books)
    assert kept.orderBy("_id").collect() == [
        Row(_id="b1", title="A", price=1.5, _corrupt_record=None),
        Row(_id="b2", title="B", price=None, _corrupt_record=BOOKS),
    ]
    dropped = spark.read.option("rowTag", "book").option("mode", "DROPMALFORMED").schema("_id string, price double")
    assert dropped.xml(books).collect() == [Row(_id="b1", price=1.5)]
    fails = spark.read.option("rowTag", "book").option("mode", "FAILFAST").schema("_id string, price double")
    with pytest.raises(Exception, match="FAILED_READ_FILE"):
        fails.xml(books).collect()
    with pytest.raises(AnalysisException, match="XML_ROW_TAG_MISSING"):
        spark.read.xml(books).collect()


EVERYTHING = (
    "b boolean, i8 tinyint, i32 int, i64 bigint, f float, d double, s string, bin binary, dt date, ts timestamp, "
    "ntz timestamp_ntz, dec decimal(10,2), xs array<int>, m map<string,bigint>, st struct<p: int, q: array<string>>"
)


def everything():
    return [
        (True, 1, 2, 3, 1.5, 2.5, "é", bytearray(b"\x00\xff"), datetime.date(2024, 1, 2),
         datetime.datetime(2024, 1, 2, 3, 4, 5, 678901), datetime.datetime(1969, 1, 2, 3, 4, 5), decimal.Decimal("-12.34"),
         [1, None], {"k": None}, (7, ["x", None])),
        tuple([None] * 15),
    ]


@pytest.mark.parametrize("codec", ["snappy", "deflate", "zstandard", "uncompressed"])
def test_avro_goes_there_and_back(spark, tmp_path, codec):
    df = spark.createDataFrame(everything(), EVERYTHING)
    df.write.format("avro").option("compression", codec).save(f"file:{tmp_path}/x")
    back = spark.read.format("avro").load(f"file:{tmp_path}/x")
    # Avro has no integers of 8 bits.
    assert back.schema == StructType.fromDDL(EVERYTHING.replace("tinyint", "int"))
    assert back.orderBy("b").collect() == df.orderBy("b").collect()
    assert back.select("s", "i32").filter("i32 = 2").collect() == [Row(s="é", i32=2)]
    assert back.count() == 2


def test_avro_schema(spark, tmp_path):
    df = spark.createDataFrame([(1, decimal.Decimal("1.50"), ([2],))], "a short, d decimal(5,2), s struct<x: array<int>>")
    df.coalesce(1).write.format("avro").option("compression", "uncompressed").save(f"file:{tmp_path}/x")
    (file,) = written(tmp_path, "x")
    data = open(file, "rb").read()
    assert data[:4] == b"Obj\x01"
    start = data.index(b'{"')
    schema, _ = json.JSONDecoder().raw_decode(data[start:].decode("latin-1"))
    assert schema["name"] == "topLevelRecord" and schema["type"] == "record"
    kinds = {f["name"]: f["type"] for f in schema["fields"]}
    assert sorted(kinds["a"]) == ["int", "null"]
    (decimals,) = [k for k in kinds["d"] if k != "null"]
    assert (decimals["logicalType"], decimals["precision"], decimals["scale"]) == ("decimal", 5, 2)


def test_avro_is_read_by_the_schema_that_is_given(spark, tmp_path):
    spark.range(3).selectExpr("id", "id * 2 AS Double_Id").write.format("avro").save(f"file:{tmp_path}/x")
    read = spark.read.format("avro").schema("double_id bigint, other string").load(f"file:{tmp_path}/x")
    assert sorted(read.collect()) == [(0, None), (2, None), (4, None)]


@pytest.mark.parametrize("codec", ["snappy", "deflate", "zstandard", "uncompressed"])
def test_corrupt_avro(spark, tmp_path, codec):
    rows = spark.range(60).selectExpr("id", "concat('name ', id) AS s", "array(id, id + 1) AS a", "map('k', id) AS m")
    rows.coalesce(1).write.format("avro").option("compression", codec).save(f"file:{tmp_path}/x")
    (file,) = written(tmp_path, "x")
    data = open(file, "rb").read()
    sync = data[-16:]
    block = data.index(sync) + 16
    assert data[block] == 60, "thirty rows, in zig-zag: a block for each partition"

    def read(changed):
        path = tmp_path / "corrupt.avro"
        path.write_bytes(changed)
        return spark.read.schema(rows.schema).format("avro").load(f"file:{path}").collect()

    assert len(read(data)) == 60
    for broken in [
        data[:block] + bytes([58]) + data[block + 1 :],  # fewer rows than the block holds
        data[:block] + bytes([62]) + data[block + 1 :],  # more
        data[:-20],
        data[:-1] + bytes([data[-1] ^ 1]),
        data[: block + 1],
    ]:
        with pytest.raises(Exception, match="FAILED_READ_FILE"):
            read(broken)
    # Whatever byte is wrong, reading ends.
    for i in range(block, len(data) - 16, max(1, (len(data) - block) // 60)):
        try:
            assert len(read(data[:i] + bytes([data[i] ^ 0x15]) + data[i + 1 :])) == 60
        except Exception as e:
            assert "FAILED_READ_FILE" in str(e), e


ORC_ROWS = [
    (1, 2, 3, 4, 1.5, 2.5, True, "é", b"\x00", datetime.date(1969, 12, 31), datetime.datetime(2020, 2, 29, 12, 34, 56, 789000)),
    (None,) * 11,
]
ORC_TYPES = "a tinyint, b smallint, c int, d bigint, e float, f double, g boolean, h string, i binary, j date, k timestamp"


@pytest.mark.parametrize("codec", ["uncompressed", "zstd", "snappy", "zlib", "lz4"])
def test_orc_goes_there_and_back(spark, tmp_path, codec):
    df = spark.createDataFrame(ORC_ROWS, ORC_TYPES).coalesce(1)
    df.write.option("compression", codec).orc(f"file:{tmp_path}/x")
    (file,) = written(tmp_path, "x")
    assert file.endswith(".orc")
    back = spark.read.orc(f"file:{tmp_path}/x")
    assert back.schema.simpleString() == df.schema.simpleString()
    assert back.collect() == df.collect()
    assert back.select("h").collect() == df.select("h").collect()
    assert back.count() == 2
    assert spark.sql(f"SELECT c FROM orc.`file:{tmp_path}/x` WHERE c IS NOT NULL").collect() == [Row(c=3)]


def test_orc_files_of_others(spark, tmp_path):
    orc, pa = pytest.importorskip("pyarrow.orc"), pytest.importorskip("pyarrow")
    table = pa.table(
        {
            "n": pa.array([decimal.Decimal("1.25"), None], pa.decimal128(10, 2)),
            "xs": pa.array([[1, None], []], pa.list_(pa.int32())),
            "m": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
            "s": pa.array([{"x": 1, "y": "z"}, None], pa.struct([("x", pa.int32()), ("y", pa.string())])),
        }
    )
    (tmp_path / "x").mkdir()
    orc.write_table(table, f"{tmp_path}/x/a.orc")
    read = spark.read.orc(f"file:{tmp_path}/x")
    assert read.schema.simpleString() == (
        "struct<n:decimal(10,2),xs:array<int>,m:map<string,bigint>,s:struct<x:int,y:string>>"
    )
    assert read.collect() == [
        Row(n=decimal.Decimal("1.25"), xs=[1, None], m={"a": 1}, s=Row(x=1, y="z")),
        Row(n=None, xs=[], m=None, s=None),
    ]
    read = spark.read.schema("XS array<int>, other string").orc(f"file:{tmp_path}/x")
    assert read.collect() == [Row(XS=[1, None], other=None), Row(XS=[], other=None)]


ORC_NESTED = """SELECT if(n = 1, NULL, CAST(n * 1.25 AS DECIMAL(5,2))) AS d, CAST('12345678901234567890.123456' AS DECIMAL(38,6)) AS big,
 if(n = 2, NULL, array(n, NULL)) AS xs, map(concat('k', n), 1, 'n', NULL) AS m, if(n = 1, NULL, struct(n AS x, 'y' AS `Y`)) AS st,
 array(struct(1.5BD AS q), NULL) AS nested, TIMESTAMP_NTZ'2021-07-01 12:34:56.789' AS tn, INTERVAL '3' DAY AS days,
 array(TIMESTAMP'2021-07-01 12:34:56.789') AS times, map(n, array(map('x', n))) AS deep, DATE'1500-01-01' AS old
 FROM VALUES (1), (2), (3) AS v(n)"""


@pytest.mark.parametrize("codec", ["uncompressed", "zstd", "snappy", "zlib", "lz4"])
def test_orc_of_nested_types_goes_there_and_back(spark, tmp_path, codec):
    df = spark.sql(ORC_NESTED)
    df.write.option("compression", codec).orc(f"file:{tmp_path}/x")
    back = spark.read.orc(f"file:{tmp_path}/x")
    assert back.schema.simpleString() == df.schema.simpleString()
    assert sorted(back.collect(), key=str) == sorted(df.collect(), key=str)


def test_orc_schemas_are_merged_where_asked_for(spark, tmp_path):
    spark.sql("SELECT 1L AS id, 2 AS a").write.orc(f"file:{tmp_path}/x/p=1")
    spark.sql("SELECT 2L AS id, 'b' AS b").write.orc(f"file:{tmp_path}/x/p=2")
    (tmp_path / "x" / "p=2" / "nothing.orc").touch()
    assert spark.read.orc(f"file:{tmp_path}/x").columns == ["id", "a", "p"]
    read = spark.read.option("mergeSchema", "true").orc(f"file:{tmp_path}/x")
    assert sorted(read.collect()) == [Row(id=1, a=2, b=None, p=1), Row(id=2, a=None, b="b", p=2)]


def test_orc_values_of_other_types_than_the_files(spark, tmp_path):
    spark.sql("SELECT 3 AS i, 'x' AS s, 1.25BD AS d, struct(1 AS x, 'y' AS `Y`) AS st").write.orc(f"file:{tmp_path}/x")
    schema = "I string, s int, d decimal(10,4), st struct<Y:string,z:int>"
    assert spark.read.schema(schema).orc(f"file:{tmp_path}/x").collect() == [
        Row(I="3", s=None, d=decimal.Decimal("1.2500"), st=Row(Y="y", z=None))
    ]


def test_orc_that_is_refused(spark, tmp_path):
    with pytest.raises(AnalysisException, match="UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE"):
        spark.sql("SELECT parse_json('1') AS n").write.orc(f"file:{tmp_path}/x")
    (tmp_path / "bad.orc").write_bytes(b"no ORC at all")
    with pytest.raises(Exception, match="FAILED_READ_FILE"):
        spark.read.orc(f"file:{tmp_path}/bad.orc").collect()

@pytest.mark.parametrize("format", ["parquet", "avro", "orc", "json", "csv", "text"])
def test_files_of_no_bytes_have_no_rows(spark, tmp_path, format):
    """As writers leave them that died."""
    table, dead = tmp_path / "t", f"part-00000-dead.{format}"
    spark.range(3).selectExpr("string(id) AS s").coalesce(1).write.format(format).save(str(table))
    (table / dead).write_bytes(b"")
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / dead).write_bytes(b"")
    reader = spark.read.format(format).schema("s STRING")
    assert sorted(reader.load(str(table)).collect()) == [Row(s="0"), Row(s="1"), Row(s="2")]
    assert reader.load(str(table)).count() == 3
    assert reader.load(str(tmp_path / "only")).collect() == []
