"""What readers keep that the schema has no place for, and Auto Loader (`cloudFiles`): how its schema is found and grows, and what
becomes of files that were read. By Databricks' public documentation of Auto Loader and of the rescued data column."""

import json
import time

import pytest
from test_streaming import put, run, until, values


def rescued(row, column="_rescued_data"):
    """What was rescued of a row, without its file, which must be told."""
    text = row[column]
    if text is None:
        return None
    found = json.loads(text)
    assert found.pop("_file_path").startswith("file:/")
    return found


def read(spark, format, schema, path, **options):
    reader = spark.read.format(format).options(rescuedDataColumn="_rescued_data", **options)
    frame = (reader.schema(schema) if schema else reader).load(str(path))
    return frame.orderBy(frame.columns[0]).collect()


def test_rescued_json(spark, tmp_path):
    put(tmp_path / "in", "1.json",
        {"id": 1, "name": "a"},
        {"id": 2, "Name": "case", "more": {"x": [1, 2.5, None], "y": "z"}, "none": None},
        {"id": 3, "name": 7, "at": {"day": "2024-02-30", "zone": "UTC"}},
        {"id": 4, "name": "d", "at": {"day": "2024-02-29"}, "list": [{"n": 1}, {"n": "no", "m": 2}]})
    rows = read(spark, "json", "id INT, name STRING, at STRUCT<day: DATE>, list ARRAY<STRUCT<n: INT>>", tmp_path / "in")
    assert [rescued(r) for r in rows] == [
        None,
        {"Name": "case", "more": {"x": [1, 2.5, None], "y": "z"}},
        {"at": {"day": "2024-02-30", "zone": "UTC"}},
        {"list": [None, {"n": "no", "m": 2}]},
    ]
    assert [r.name for r in rows] == ["a", None, "7", "d"]
    assert rows[2].at.day is None and str(rows[3].at.day) == "2024-02-29"
    assert [e.n for e in rows[3].list] == [1, None]

    same = spark.read.options(rescuedDataColumn="r", readerCaseSensitive=False).schema("id INT, name STRING").json(str(tmp_path / "in"))
    assert same.columns == ["id", "name", "r"]
    second = same.filter("id = 2").first()
    assert second.name == "case" and set(json.loads(second.r)) == {"more", "_file_path"}
    # Other columns alone need nothing of it.
    assert values(same.select("name"), "name") == [("7",), ("a",), ("case",), ("d",)]


def test_what_is_rescued_is_not_malformed(spark, tmp_path):
    (tmp_path / "1.json").write_text('{"id": 1}\n{"id": "x"}\n{"id": \n')
    path = str(tmp_path / "1.json")
    dropping = spark.read.options(rescuedDataColumn="r", mode="DROPMALFORMED").schema("id INT")
    assert sorted((r.id, r.r is None) for r in dropping.json(path).collect() if r.id) == [(1, True)]
    assert dropping.json(path).count() == 2
    failing = spark.read.options(rescuedDataColumn="r", mode="FAILFAST").schema("id INT")
    with pytest.raises(Exception, match="MALFORMED_RECORD_IN_PARSING"):
        failing.json(path).collect()
    (tmp_path / "2.json").write_text('{"id": "x"}\n')
    assert json.loads(failing.json(str(tmp_path / "2.json")).first().r)["id"] == "x"
    corrupt = spark.read.options(rescuedDataColumn="r").schema("id INT, _corrupt_record STRING").json(path).collect()
    assert [(r.id, r._corrupt_record, r.r is not None) for r in corrupt] == [
        (1, None, False), (None, None, True), (None, '{"id": ', False)]
    with pytest.raises(Exception, match="INVALID_RESCUED_DATA_TYPE"):
        spark.read.option("rescuedDataColumn", "r").schema("id INT, r INT").json(path).collect()


def test_rescued_csv(spark, tmp_path):
    (tmp_path / "1.csv").write_text("id,name,extra\n1,a,x\n2,b,\n3,c,y,z\nno,d,\n")
    (tmp_path / "2.csv").write_text("NAME,id\ne,5\n")
    rows = read(spark, "csv", "id INT, name STRING", tmp_path, header=True)
    found = {(r.id, r.name): rescued(r) for r in rows}
    # Columns are found by the header.
    assert found == {
        (1, "a"): {"extra": "x"}, (2, "b"): None, (3, "c"): {"extra": "y", "_c3": "z"}, (None, "d"): {"id": "no"},
        (5, None): {"NAME": "e"}}
    any_case = read(spark, "csv", "id INT, name STRING", tmp_path / "2.csv", header=True, readerCaseSensitive=False)
    assert [(r.id, r.name, rescued(r)) for r in any_case] == [(5, "e", None)]
    bare = read(spark, "csv", "a STRING, b STRING", tmp_path / "2.csv")
    assert [(r.a, r.b) for r in bare] == [("NAME", "id"), ("e", "5")]
    wide = read(spark, "csv", "a STRING", tmp_path / "2.csv")
    assert [(r.a, rescued(r)) for r in wide] == [("NAME", {"_c1": "id"}), ("e", {"_c1": "5"})]
    lines = read(spark, "csv", "id INT, name STRING", tmp_path / "1.csv", header=True, multiLine=True)
    assert {r.id: rescued(r) for r in lines}[3] == {"extra": "y", "_c3": "z"}


def test_rescued_xml(spark, tmp_path):
    (tmp_path / "1.xml").write_text("""<rows>
      <row id="1"><name>a</name><at><day>2024-02-29</day></at></row>
      <row id="2"><Name>case</Name><more x="1"><y>z</y></more><more>2</more></row>
      <row id="3"><name>c</name><at><day>2024-02-30</day><zone>UTC</zone></at><n>1</n><n>no</n></row>
      <row id="four"><name>d</name><n>1</n><n>2</n></row>
    </rows>""")
    schema = "_id INT, name STRING, at STRUCT<day: DATE>, n ARRAY<INT>"
    rows = {r.name: r for r in read(spark, "xml", schema, tmp_path, rowTag="row")}
    assert {name: rescued(r) for name, r in rows.items()} == {
        "a": None,
        None: {"Name": "case", "more": [{"_x": "1", "y": "z"}, "2"]},
        "c": {"at": {"day": "2024-02-30", "zone": "UTC"}, "n": ["1", "no"]},
        "d": {"_id": "four"},
    }
    assert [(rows[n]._id, rows[n].n) for n in ("a", "c", "d")] == [(1, None), (3, None), (None, [1, 2])]
    assert str(rows["a"].at.day) == "2024-02-29" and rows["c"].at.day is None
    # Other columns alone need nothing of it, and what is rescued is not malformed.
    frame = spark.read.options(rescuedDataColumn="r", rowTag="row", mode="FAILFAST").schema(schema).xml(str(tmp_path))
    assert values(frame.select("_id").na.fill(-1), "_id") == [(-1,), (1,), (2,), (3,)]
    same = spark.read.options(rescuedDataColumn="r", rowTag="row", readerCaseSensitive=False).schema(schema).xml(str(tmp_path))
    assert set(json.loads(same.filter("name = 'case'").first().r)) == {"more", "_file_path"}
    (tmp_path / "1.xml").write_text("<row><a></row>")
    broken = spark.read.options(rescuedDataColumn="r", rowTag="row").schema("a INT, _corrupt_record STRING").xml(str(tmp_path)).first()
    assert (broken.a, broken.r) == (None, None) and broken._corrupt_record is not None


def test_new_columns_of_xml(spark, tmp_path):
    def put_xml(name, *rows):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text("<rows>" + "".join(f"<row>{r}</row>" for r in rows) + "</rows>")

    put_xml("1.xml", "<id>1</id><v>1</v>")
    stream = cloud(spark, tmp_path, format="xml", rowTag="row")
    text = f"SELECT * FROM STREAM read_files('{tmp_path}/in', format => 'xml', rowTag => 'row')"
    assert spark.sql(text).schema == stream.schema
    assert stream.schema.simpleString() == "struct<id:bigint,v:bigint,_rescued_data:string>"
    load(spark, tmp_path, "of_xml", format="xml", rowTag="row")
    put_xml("2.xml", "<id>2</id><v>text</v><new>true</new>")
    with pytest.raises(Exception, match="UNKNOWN_FIELD_EXCEPTION"):
        load(spark, tmp_path, "of_xml", format="xml", rowTag="row")
    load(spark, tmp_path, "of_xml", format="xml", rowTag="row")
    rows = spark.table("of_xml").orderBy("id").collect()
    assert [(r.id, r.v, r.new, rescued(r)) for r in rows] == [(1, 1, None, None), (2, None, True, {"v": "text"})]


@pytest.mark.parametrize("format", ["parquet", "avro"])
def test_rescued_columns(spark, tmp_path, format):
    path = str(tmp_path / "t")
    spark.sql("""SELECT 1 AS id, 'x' AS Name, named_struct('a', 1, 'b', DATE '2024-01-02') AS s, 1.50BD AS price
                 UNION ALL SELECT 2, NULL, NULL, NULL""").write.format(format).save(path)
    rows = read(spark, format, "id INT, name STRING, s STRUCT<a: INT>, price STRING", path)
    assert [(r.id, r.name, r.price) for r in rows] == [(1, None, None), (2, None, None)]
    assert rows[0].s.a == 1 and rows[1].s is None
    assert [rescued(r) for r in rows] == [{"Name": "x", "s": {"b": "2024-01-02"}, "price": 1.50}, None]
    any_case = read(spark, format, "id INT, name STRING", path, readerCaseSensitive=False)
    assert [(r.name, rescued(r)) for r in any_case] == [
        ("x", {"s": {"a": 1, "b": "2024-01-02"}, "price": 1.5}), (None, None)]
    frame = spark.read.format(format).option("rescuedDataColumn", "r").schema("id INT").load(path)
    assert frame.filter("r IS NOT NULL AND id > 0").select("id").collect() == [(1,)]
    assert frame.select("id").agg({"id": "sum"}).first()[0] == 3
    spark.conf.set("spark.databricks.sql.rescuedDataColumn.filePath.enabled", "false")
    try:
        kept = spark.read.format(format).option("rescuedDataColumn", "r").schema("id INT, Name STRING, s STRUCT<a: INT, b: DATE>").load(path)
        assert [r.r for r in kept.orderBy("id").collect()] == ['{"price":1.50}', None]
    finally:
        spark.conf.unset("spark.databricks.sql.rescuedDataColumn.filePath.enabled")
    with pytest.raises(Exception, match="rescuedDataColumn"):
        spark.read.option("rescuedDataColumn", "r").schema("id INT").orc(path).collect()


def cloud(spark, tmp_path, **options):
    reader = spark.readStream.format("cloudFiles").option("cloudFiles.format", options.pop("format", "json"))
    schema = options.pop("schema", None)
    for key, value in options.items():
        reader = reader.option(key if key in ("rescuedDataColumn", "rowTag") else "cloudFiles." + key.replace("_", "."), value)
    return (reader.schema(schema) if schema else reader).load(str(tmp_path / "in"))


def load(spark, tmp_path, table, **options):
    stream = cloud(spark, tmp_path, **options)
    writer = stream.writeStream.option("checkpointLocation", str(tmp_path / "checkpoint")).option("mergeSchema", "true")
    query = writer.trigger(availableNow=True).toTable(table)
    query.awaitTermination(300)
    return stream


def test_new_columns_are_added(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"id": 1, "v": 1})
    stream = load(spark, tmp_path, "grown")
    assert stream.schema.simpleString() == "struct<id:bigint,v:bigint,_rescued_data:string>"
    put(tmp_path / "in", "2.json", {"id": 2, "v": "text", "new": True})
    with pytest.raises(Exception, match="UNKNOWN_FIELD_EXCEPTION"):
        load(spark, tmp_path, "grown")
    load(spark, tmp_path, "grown")
    rows = spark.table("grown").orderBy("id").collect()
    assert [(r.id, r.v, r.new, rescued(r)) for r in rows] == [(1, 1, None, None), (2, None, True, {"v": "text"})]


def test_new_columns_are_rescued(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"id": 1})
    load(spark, tmp_path, "rescues", schemaEvolutionMode="rescue")
    put(tmp_path / "in", "2.json", {"id": 2, "new": {"a": 1}, "ID": 3})
    load(spark, tmp_path, "rescues", schemaEvolutionMode="rescue")
    rows = spark.table("rescues").orderBy("id").collect()
    assert [(r.id, rescued(r)) for r in rows] == [(1, None), (2, {"new": {"a": 1}, "ID": 3})]


def test_files_of_avro_grow(spark, tmp_path):
    """By a column, and by one whose type does not fit."""

    def arrives(query):
        spark.sql(query).coalesce(1).write.format("avro").mode("overwrite").save(str(tmp_path / "made"))
        (tmp_path / "in").mkdir(exist_ok=True)
        for file in (tmp_path / "made").glob("*.avro"):
            file.rename(tmp_path / "in" / file.name)

    arrives("SELECT 1L AS id, 1L AS v")
    stream = load(spark, tmp_path, "of_avro", format="avro")
    assert stream.schema.simpleString() == "struct<id:bigint,v:bigint,_rescued_data:string>"
    arrives("SELECT 2L AS id, 'text' AS v, true AS new")
    with pytest.raises(Exception, match="UNKNOWN_FIELD_EXCEPTION"):
        load(spark, tmp_path, "of_avro", format="avro")
    load(spark, tmp_path, "of_avro", format="avro")
    rows = spark.table("of_avro").orderBy("id").collect()
    assert [(r.id, r.v, r.new, rescued(r)) for r in rows] == [(1, 1, None, None), (2, None, True, {"v": "text"})]


def test_new_columns_fail_the_query(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"id": 1})
    load(spark, tmp_path, "failing", schemaEvolutionMode="failOnNewColumns")
    put(tmp_path / "in", "2.json", {"id": 2, "new": 1})
    for _ in range(2):
        with pytest.raises(Exception, match="UNKNOWN_FIELD_EXCEPTION"):
            load(spark, tmp_path, "failing", schemaEvolutionMode="failOnNewColumns")
    load(spark, tmp_path, "failing", schemaEvolutionMode="failOnNewColumns", schemaHints="new INT")
    assert values(spark.table("failing").filter("id = 2"), "id", "new") == [(2, 1)]


def test_new_columns_are_left_out(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"id": 1})
    stream = load(spark, tmp_path, "ignoring", schemaEvolutionMode="none")
    assert stream.columns == ["id"]
    put(tmp_path / "in", "2.json", {"id": 2, "new": 1})
    load(spark, tmp_path, "ignoring", schemaEvolutionMode="none")
    assert spark.table("ignoring").columns == ["id"] and spark.table("ignoring").count() == 2
    named = cloud(spark, tmp_path, schemaEvolutionMode="none", schema="id INT", rescuedDataColumn="kept")
    run(named.writeStream.format("memory").queryName("named"))
    assert [json.loads(r.kept)["new"] for r in spark.table("named").filter("id = 2").collect()] == [1]
    given = cloud(spark, tmp_path, schema="id INT")
    assert given.columns == ["id"]
    with pytest.raises(Exception, match="CF_ADD_NEW_NOT_SUPPORTED"):
        _ = cloud(spark, tmp_path, schema="id INT", schemaEvolutionMode="addNewColumns").schema


def test_new_columns_of_csv(spark, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("id,v\n1,a\n")

    def stream():
        reader = spark.readStream.format("cloudFiles").option("cloudFiles.format", "csv").option("header", "true")
        return reader.load(str(tmp_path / "in"))

    def go(table):
        writer = stream().writeStream.option("checkpointLocation", str(tmp_path / "checkpoint")).option("mergeSchema", "true")
        writer.trigger(availableNow=True).toTable(table).awaitTermination(300)

    go("of_csv")
    (tmp_path / "in" / "2.csv").write_text("v,id\nb,2\n")
    (tmp_path / "in" / "3.csv").write_text("id,w\n3,c\n")
    with pytest.raises(Exception, match="UNKNOWN_FIELD_EXCEPTION"):
        go("of_csv")
    go("of_csv")
    assert values(spark.table("of_csv").na.fill("-"), "id", "v", "w", "_rescued_data") == [
        (1, "a", "-", "-"), (2, "b", "-", "-"), (3, "-", "c", "-")]


def test_hints_of_what_is_inside(spark, tmp_path):
    put(tmp_path / "in", "1.json", {
        "id": 1, "user": {"born": "2000-01-02"}, "sizes": [1, 2], "items": [{"n": 1}], "names": {"a": 1}})
    stream = cloud(
        spark, tmp_path,
        schemaHints="user.born DATE, user.`a.b` INT, sizes.element STRING, items.element.n DOUBLE, names MAP<STRING, INT>, "
                    "names.value BIGINT, other.x INT")
    assert stream.drop("_rescued_data").schema.simpleString() == (
        "struct<id:bigint,items:array<struct<n:double>>,names:map<string,bigint>,sizes:array<string>,"
        "user:struct<born:date,a.b:int>,other:struct<x:int>>")
    run(stream.writeStream.format("memory").queryName("hinted"))
    row = spark.table("hinted").first()
    assert str(row.user.born) == "2000-01-02" and row.sizes == ["1", "2"] and row["items"][0].n == 1.0
    assert row.names == {"a": 1} and row.other is None and row._rescued_data is None
    with pytest.raises(Exception, match="schemaHints"):
        _ = cloud(spark, tmp_path, schemaHints="sizes.first INT").schema


def test_read_files_take_the_options(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"id": 1})
    text = f"SELECT * FROM STREAM read_files('{tmp_path}/in', format => 'json', inferColumnTypes => false)"
    assert spark.sql(text).schema.simpleString() == "struct<id:string,_rescued_data:string>"


def test_files_are_moved_once_they_were_read(spark, tmp_path):
    for i in range(3):
        put(tmp_path / "in" / f"day={i}", f"{i}.json", {"id": i})
    options = {"cleanSource": "MOVE", "cleanSource.moveDestination": str(tmp_path / "done"), "cleanSource.retentionDuration": "0 seconds"}
    load(spark, tmp_path, "moved", **options)
    put(tmp_path / "in" / "day=9", "9.json", {"id": 9})
    load(spark, tmp_path, "moved", **options)
    until(lambda: len(list((tmp_path / "done").rglob("*.json"))) == 3)
    assert sorted(str(p.relative_to(tmp_path / "done")) for p in (tmp_path / "done").rglob("*.json")) == [
        "day=0/0.json", "day=1/1.json", "day=2/2.json"]
    assert [p.name for p in (tmp_path / "in").rglob("*.json")] == ["9.json"]
    assert values(spark.table("moved"), "id", "day") == [(0, 0), (1, 1), (2, 2), (9, 9)]


def test_files_stay_for_a_time(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"id": 1})
    options = {"cleanSource": "DELETE", "cleanSource.retentionDuration": "8 days"}
    load(spark, tmp_path, "kept_for_a_time", **options)
    put(tmp_path / "in", "2.json", {"id": 2})
    load(spark, tmp_path, "kept_for_a_time", **options)
    assert len(list((tmp_path / "in").glob("*.json"))) == 2
    # As if the first had been read nine days ago.
    log = tmp_path / "checkpoint" / "sources" / "0" / "0"
    head, line = log.read_text().split("\n")
    entry = json.loads(line)
    assert abs(entry["taken"] / 1000 - time.time()) < 600
    entry["taken"] -= 9 * 24 * 3600 * 1000
    log.write_text(head + "\n" + json.dumps(entry))
    put(tmp_path / "in", "3.json", {"id": 3})
    load(spark, tmp_path, "kept_for_a_time", **options)
    until(lambda: not (tmp_path / "in" / "1.json").exists())
    until(lambda: (tmp_path / "checkpoint" / "sources" / "0" / "cleaned").exists())
    assert sorted(p.name for p in (tmp_path / "in").glob("*.json")) == ["2.json", "3.json"]
    assert values(spark.table("kept_for_a_time"), "id") == [(1,), (2,), (3,)]


def test_what_cleaning_refuses(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"id": 1})

    def refused(match, **options):
        with pytest.raises(Exception, match=match):
            run(cloud(spark, tmp_path, **options).writeStream.format("noop"))

    refused("more than 7 days", cleanSource="DELETE", **{"cleanSource.retentionDuration": "7 days"})
    refused("moveDestination", cleanSource="MOVE")
    refused("below the directory", cleanSource="MOVE", **{"cleanSource.moveDestination": str(tmp_path / "in" / "done")})
    refused("must be 'OFF'", cleanSource="SOME")
    refused("CF_CLEAN_SOURCE_ALLOW_OVERWRITES_BOTH_ON", cleanSource="DELETE", allowOverwrites=True)


def test_files_that_were_there_before(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"id": 1})

    def load(**options):
        given = {"cloudFiles.format": "json", "cloudFiles.schemaEvolutionMode": "none"} | options
        rows = spark.readStream.format("cloudFiles").schema("id INT").options(**given).load(str(tmp_path / "in"))
        return run(rows.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c")), str(tmp_path / "out"))

    load(**{"cloudFiles.includeExistingFiles": False})
    put(tmp_path / "in", "2.json", {"id": 2})
    put(tmp_path / "in", "3.json", {"id": 3})
    # The option counts when the query starts for the first time.
    query = load(**{"cloudFiles.includeExistingFiles": True, "cloudFiles.maxFilesPerTrigger": 1, "cloudFiles.backfillInterval": "1 day"})
    assert values(spark.read.format("delta").load(str(tmp_path / "out")), "id") == [(2,), (3,)]
    assert [p["numInputRows"] for p in query.recentProgress] == [1, 1]


@pytest.mark.parametrize("option", ["useNotifications", "useManagedFileEvents", "queueUrl", "fetchParallelism", "anything"])
def test_options_of_auto_loader_are_known_or_refused(spark, tmp_path, option):
    put(tmp_path / "in", "1.json", {"id": 1})
    rows = spark.readStream.format("cloudFiles").schema("id INT").option("cloudFiles.format", "json").option(f"cloudFiles.{option}", "true")
    with pytest.raises(Exception, match=f"(?i){option}"):
        run(rows.load(str(tmp_path / "in")).writeStream.format("noop").option("checkpointLocation", str(tmp_path / "c")))


def test_notifications_may_be_switched_off(spark, tmp_path):
    put(tmp_path / "in", "1.json", {"id": 1})
    off = {"useNotifications": "false", "useManagedFileEvents": False, "useIncrementalListing": "auto"}
    options = {"cloudFiles.format": "json", "cloudFiles.schemaEvolutionMode": "none", **{f"cloudFiles.{k}": v for k, v in off.items()}}
    rows = spark.readStream.format("cloudFiles").schema("id INT").options(**options).load(str(tmp_path / "in"))
    run(rows.writeStream.format("delta").option("checkpointLocation", str(tmp_path / "c")), str(tmp_path / "out"))
    assert values(spark.read.format("delta").load(str(tmp_path / "out")), "id") == [(1,)]
