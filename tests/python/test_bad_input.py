"""Bad input and bad luck: each gives the error that Spark gives, and what was there before can still be read.

The conditions were recorded from Spark 4.2 with delta-spark 4.4. With BOATHOUSE_REMOTE the tests run against any server on
this machine, Spark's own included (marks say where we are meant to do better than it).
"""

import contextlib
import datetime
import decimal
import gzip
import json
import os
import pathlib
import subprocess

import pytest
from conftest import Server
from pyspark.errors import ArithmeticException
from pyspark.sql import functions as F

FAILED_READ = "FAILED_READ_FILE.NO_HINT"
better_than_spark = pytest.mark.skipif("BOATHOUSE_REMOTE" in os.environ, reason="Spark has no error class here")


def condition(action):
    """The condition of the error that `action` ends with."""
    try:
        result = action()
    except Exception as e:
        get = getattr(e, "getCondition", None)
        assert get, f"{type(e).__name__}: {e}"
        return get()
    raise AssertionError(f"no error, but {str(result)[:200]}")


def rows(df):
    return [tuple(row) for row in df.collect()]


def one_file(directory):
    """A file of the directory that has rows."""
    forget_checksums(directory)
    return max(pathlib.Path(directory).glob("*.parquet"), key=lambda file: file.stat().st_size)


def forget_checksums(directory):
    """Hadoop's local file system keeps checksums; Spark must read what is there now."""
    for file in pathlib.Path(directory).rglob(".*.crc"):
        file.unlink()
    for file in pathlib.Path(directory).rglob("_delta_log/*.crc"):
        file.unlink()


# ---- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def parquet(spark, tmp_path):
    """A directory with one Parquet file of 1,000 rows."""
    spark.range(0, 1000, 1, 1).write.parquet(str(tmp_path / "p"))
    return tmp_path / "p"


def test_truncated_parquet(spark, parquet):
    file = one_file(parquet)
    file.write_bytes(file.read_bytes()[:-100])
    assert condition(lambda: spark.read.parquet(str(parquet)).collect()) == "FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER"
    assert condition(lambda: spark.read.schema("id BIGINT").parquet(str(parquet)).collect()) == FAILED_READ
    ignoring = spark.read.option("ignoreCorruptFiles", True).schema("id BIGINT")
    assert ignoring.parquet(str(parquet)).collect() == []


def test_no_parquet_at_all(spark, parquet):
    one_file(parquet).write_text("this was never a Parquet file")
    assert condition(lambda: spark.read.parquet(str(parquet)).collect()) == "FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER"
    assert condition(lambda: spark.read.schema("id BIGINT").parquet(str(parquet)).collect()) == FAILED_READ


def test_parquet_with_broken_pages(spark, parquet):
    file = one_file(parquet)
    data = bytearray(file.read_bytes())
    for i in range(10, len(data) // 2, 7):
        data[i] ^= 0xFF
    file.write_bytes(bytes(data))
    read = spark.read.schema("id BIGINT")
    assert condition(lambda: read.parquet(str(parquet)).agg(F.sum("id")).collect()) == FAILED_READ


def test_parquet_of_other_types(spark, parquet):
    for schema in ("id STRING", "id INT"):
        assert (
            condition(lambda: spark.read.schema(schema).parquet(str(parquet)).collect())
            == "FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH"
        )
    assert rows(spark.read.schema("id BIGINT, more INT").parquet(str(parquet)).limit(1)) == [(0, None)]


@pytest.mark.parametrize("format", ["parquet", "json", "csv"])
def test_nothing_to_read(spark, tmp_path, format):
    (tmp_path / "empty").mkdir()
    assert condition(lambda: spark.read.format(format).load(str(tmp_path / "nope")).collect()) == "PATH_NOT_FOUND"
    assert condition(lambda: spark.read.format(format).load(str(tmp_path / "empty")).collect()) == "UNABLE_TO_INFER_SCHEMA"


def test_delta_where_there_is_none(spark, tmp_path, parquet):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    read = spark.read.format("delta")
    assert condition(lambda: read.load(str(tmp_path / "nope")).collect()) == "PATH_NOT_FOUND"
    for place in (tmp_path / "empty", tmp_path / "file", parquet):
        assert condition(lambda: read.load(str(place)).collect()) == "DELTA_TABLE_NOT_FOUND", place


def test_empty_files(spark, tmp_path):
    (tmp_path / "e.json").write_text("")
    (tmp_path / "e.csv").write_text("")
    assert spark.read.json(str(tmp_path / "e.json")).count() == 0
    assert spark.read.option("header", True).csv(str(tmp_path / "e.csv")).collect() == []
    assert spark.read.option("header", True).schema("a INT").csv(str(tmp_path / "e.csv")).collect() == []


BAD_JSON = """{"a":1,"b":"x"}
{"a":2,
[1,2]
"str"
{"a":"notnum","b":"y"}

{"a":3} trailing
{"a":4,"b":{"c":1}}
"""


def test_wrong_json(spark, tmp_path):
    path = str(tmp_path / "bad.json")
    pathlib.Path(path).write_text(BAD_JSON)
    inferred = spark.read.json(path)
    assert inferred.schema.simpleString() == "struct<_corrupt_record:string,a:string,b:string>"
    assert rows(inferred) == [
        (None, "1", "x"),
        ('{"a":2,', None, None),
        ("[1,2]", None, None),
        ('"str"', None, None),
        (None, "notnum", "y"),
        (None, "3", None),
        (None, "4", '{"c":1}'),
    ]
    typed = "a INT, b STRING, _corrupt_record STRING"
    assert rows(spark.read.schema(typed).json(path)) == [
        (1, "x", None),
        (None, None, '{"a":2,'),
        (None, None, "[1,2]"),
        (None, None, '"str"'),
        (None, "y", '{"a":"notnum","b":"y"}'),
        (3, None, None),
        (4, '{"c":1}', None),
    ]
    dropped = spark.read.option("mode", "DROPMALFORMED")
    assert rows(dropped.schema("a INT, b STRING").json(path)) == [(1, "x"), (3, None), (4, '{"c":1}')]
    failing = spark.read.option("mode", "FAILFAST")
    assert condition(lambda: failing.json(path).collect()) == "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION"
    assert condition(lambda: failing.schema("a INT, b STRING").json(path).collect()) == FAILED_READ
    only = "UNSUPPORTED_FEATURE.QUERY_ONLY_CORRUPT_RECORD_COLUMN"
    assert condition(lambda: spark.read.json(path).select("_corrupt_record").collect()) == only


def test_wrong_csv(spark, tmp_path):
    path = str(tmp_path / "bad.csv")
    pathlib.Path(path).write_text('a,b\n1,x\nnotnum,y\n3\n4,z,extra\n"unclosed,5\n')
    read = spark.read.option("header", True).schema("a INT, b STRING, _corrupt_record STRING")
    assert rows(read.csv(path)) == [
        (1, "x", None),
        (None, "y", "notnum,y"),
        (3, None, "3"),
        (4, "z", "4,z,extra"),
        (None, None, '"unclosed,5'),
    ]
    assert rows(read.option("mode", "DROPMALFORMED").csv(path)) == [(1, "x", None)]
    assert condition(lambda: read.option("mode", "FAILFAST").csv(path).collect()) == FAILED_READ


def test_truncated_gzip(spark, tmp_path):
    data = gzip.compress(b'{"a":1}\n' * 10000)
    (tmp_path / "t.json.gz").write_bytes(data[: len(data) // 2])
    assert condition(lambda: spark.read.schema("a INT").json(str(tmp_path / "t.json.gz")).collect()) == FAILED_READ


def test_unknown_format(spark, tmp_path):
    assert condition(lambda: spark.read.format("nosuch").load(str(tmp_path)).collect()) == "DATA_SOURCE_NOT_FOUND"


# ---- columns and types ----------------------------------------------------------------------------------------------


@pytest.fixture
def table(spark):
    spark.sql("CREATE OR REPLACE TABLE bad_input (id BIGINT, name STRING, n INT) USING delta")
    spark.sql("INSERT INTO bad_input VALUES (1, 'a', 1), (2, 'b', 2)")
    yield "bad_input"
    assert rows(spark.table("bad_input").orderBy("id")) == [(1, "a", 1), (2, "b", 2)], "the table was changed"
    spark.sql("DROP TABLE bad_input")


def append(spark, *columns):
    spark.range(1).selectExpr(*columns).write.format("delta").mode("append").saveAsTable("bad_input")


def overwrite(spark, *columns):
    spark.range(1).selectExpr(*columns).write.format("delta").mode("overwrite").saveAsTable("bad_input")


WRONG_STATEMENTS = [
    ("SELECT nope FROM bad_input", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
    ("DELETE FROM bad_input WHERE nope = 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
    ("UPDATE bad_input SET n = 'abc' WHERE id = 1", "CAST_INVALID_INPUT"),
    ("INSERT INTO bad_input VALUES (1, 'a', 'notnum')", "CAST_INVALID_INPUT"),
    ("INSERT INTO bad_input VALUES (1, 'a', 3000000000)", "CAST_OVERFLOW_IN_TABLE_INSERT"),
    ("INSERT INTO bad_input SELECT id, 'a', id + 3000000000 FROM range(2)", "CAST_OVERFLOW_IN_TABLE_INSERT"),
    (
        "MERGE INTO bad_input t USING (SELECT 1 AS id UNION ALL SELECT 1) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = 9",
        "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE",
    ),
]


@pytest.mark.parametrize("statement,expected", WRONG_STATEMENTS, ids=[s[:40] for s, _ in WRONG_STATEMENTS])
def test_statements_that_fail(spark, table, statement, expected):
    assert condition(lambda: spark.sql(statement).collect()) == expected


def test_writes_that_do_not_fit(spark, table):
    assert condition(lambda: append(spark, "id", "'x' AS name", "1 AS n", "2 AS extra")) == "DELTA_METADATA_MISMATCH"
    assert condition(lambda: append(spark, "id", "'x' AS name", "'str' AS n")) == "CAST_INVALID_INPUT"
    assert condition(lambda: overwrite(spark, "struct(id) AS id", "'x' AS name")) == "DELTA_FAILED_TO_MERGE_FIELDS"
    write = spark.range(1).write.format("delta")
    assert condition(lambda: write.saveAsTable("bad_input")) == "TABLE_OR_VIEW_ALREADY_EXISTS"


def test_a_failure_halfway_leaves_the_table(spark, table):
    """The last row of many fails: nothing of the statement is there."""
    late = "CASE WHEN id = 49999 THEN CAST('x' AS INT) ELSE 1 END"
    # Spark wraps what fails in a task.
    statement = f"INSERT INTO bad_input SELECT id, 'a', {late} FROM range(50000)"
    assert condition(lambda: spark.sql(statement)) in ("CAST_INVALID_INPUT", "TASK_WRITE_FAILED")
    failing = condition(lambda: overwrite(spark, "id", "'x' AS name", "CAST(raise_error('late') AS INT) AS n"))
    assert failing in ("USER_RAISED_EXCEPTION", "TASK_WRITE_FAILED")


def test_schemas_that_cannot_be(spark, tmp_path):
    def save(*columns, **options):
        spark.range(1).selectExpr(*columns).write.format("delta").options(**options).save(str(tmp_path / "t"))

    assert condition(lambda: save("id", "id AS ID")) == "DELTA_DUPLICATE_COLUMNS_FOUND.DATA"
    assert condition(lambda: spark.range(1).select().write.format("delta").save(str(tmp_path / "t"))) == "DELTA_EMPTY_DATA"
    assert condition(lambda: save("NULL AS v")) == "DELTA_CANNOT_WRITE_EMPTY_SCHEMA.TABLE_ALL_VOID_COLUMNS"
    interval = condition(lambda: save("INTERVAL 1 DAY AS v"))
    assert interval in ("DELTA_UNSUPPORTED_DATA_TYPES", "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE")
    assert condition(lambda: save("id AS `a b`")) == "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES"
    assert not (tmp_path / "t").exists() or not list((tmp_path / "t").rglob("*.json"))
    save("id AS `a b,c;{}()=`", **{"delta.columnMapping.mode": "name"})
    assert spark.read.format("delta").load(str(tmp_path / "t")).columns == ["a b,c;{}()="]


# ---- broken tables --------------------------------------------------------------------------------------------------


@pytest.fixture
def delta(remote, spark, tmp_path):
    """Makes tables that something happens to, and reads them with a session that has not seen them."""

    class Delta:
        def __init__(self, versions):
            self.path = tmp_path / f"delta{len(list(tmp_path.iterdir()))}"
            for i in range(versions):
                self.append(i)
            forget_checksums(self.path)

        def append(self, i=0):
            df = spark.range(0, 10, 1, 1).selectExpr("id", f"{i} AS v")
            df.write.format("delta").mode("append").save(str(self.path))

        def commit(self, version):
            return self.path / "_delta_log" / f"{version:020}.json"

        def read(self):
            # Another table of the same content by its path: no cache of the server knows it.
            moved = self.path.with_name(f"{self.path.name}_")
            self.path.rename(moved)
            self.path = moved
            return spark.read.format("delta").load(str(self.path)).agg(F.count("*"), F.sum("id")).collect()[0][0]

    return Delta


def test_half_a_log_entry(delta):
    """A writer of another kind died while it wrote. What is committed there cannot be known."""
    for text in ('{"commitInfo":{"timestamp":17', "no JSON\n"):
        table = delta(3)
        table.commit(2).write_text(text)
        assert condition(table.read) == FAILED_READ
        assert condition(table.append) == FAILED_READ
        table.commit(2).unlink()
        assert table.read() == 20


def test_an_empty_log_entry_changes_nothing(delta):
    table = delta(3)
    table.commit(2).write_text("")
    assert table.read() == 20


def test_gaps_in_the_log(delta):
    table = delta(4)
    table.commit(1).rename(table.path / "kept")
    assert condition(table.read) == "DELTA_VERSIONS_NOT_CONTIGUOUS"
    (table.path / "kept").rename(table.commit(1))
    table.commit(0).rename(table.path / "kept")
    assert condition(table.read) == "DELTA_TRUNCATED_TRANSACTION_LOG"
    (table.path / "kept").rename(table.commit(0))
    assert table.read() == 40


def test_unknown_actions_are_passed_over(delta):
    table = delta(2)
    with table.commit(1).open("a") as log:
        log.write('{"whatever":{"x":1}}\n')
    assert table.read() == 20


def test_features_of_the_future(delta):
    table = delta(2)
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["fancy"], "writerFeatures": ["fancy"]}
    with table.commit(1).open("a") as log:
        log.write(json.dumps({"protocol": protocol}) + "\n")
    assert condition(table.read) == "DELTA_UNSUPPORTED_FEATURES_FOR_READ"


def test_tables_whose_commits_a_catalog_manages(spark, tmp_path):
    from pyspark.errors import PySparkException

    t, log = f"delta.`{tmp_path / 't'}`", tmp_path / "t" / "_delta_log"
    spark.sql(f"CREATE TABLE {t} (id INT) USING delta TBLPROPERTIES ('delta.enableInCommitTimestamps' = 'true')")
    actions = [json.loads(line) for line in (log / f"{0:020}.json").read_text().splitlines()]
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["catalogManaged"], "writerFeatures": ["catalogManaged", "inCommitTimestamp"]}
    copy = tmp_path / "copy" / "_delta_log"
    copy.mkdir(parents=True)
    (copy / f"{0:020}.json").write_text("".join(json.dumps({"protocol": protocol} if "protocol" in a else a) + "\n" for a in actions))
    for statement in ("SELECT * FROM {}", "INSERT INTO {} VALUES (1)", "DESCRIBE HISTORY {}"):
        with pytest.raises(PySparkException, match="catalogManaged") as e:
            spark.sql(statement.format(f"delta.`{tmp_path / 'copy'}`")).collect()
        assert e.value.getCondition() == "DELTA_PATH_BASED_ACCESS_TO_CATALOG_MANAGED_TABLE_BLOCKED"


@better_than_spark
def test_a_directory_in_place_of_a_commit(delta):
    table = delta(2)
    table.commit(2).mkdir()
    with pytest.raises(Exception, match=f"{2:020}.json: a directory has its name"):
        table.append()
    assert table.read() == 20
    table.commit(2).rmdir()
    table.append()
    assert table.read() == 30


def test_a_missing_data_file(spark, delta):
    table = delta(3)
    next(table.path.glob("*.parquet")).unlink()
    assert condition(table.read) == "FAILED_READ_FILE.FILE_NOT_EXIST"
    # Writers read none of it.
    table.append()
    assert condition(table.read) == "FAILED_READ_FILE.FILE_NOT_EXIST"
    spark.sql(f"DELETE FROM delta.`{table.path}`")
    table.append()
    assert table.read() == 10


def test_a_truncated_data_file(delta):
    table = delta(3)
    name = next(table.path.glob("*.parquet")).name
    whole = (table.path / name).read_bytes()
    (table.path / name).write_bytes(whole[: len(whole) // 2])
    assert condition(table.read) == FAILED_READ
    (table.path / name).write_bytes(whole)
    assert table.read() == 30


@better_than_spark
def test_a_corrupt_checkpoint(delta):
    """The commits have all that is in a checkpoint: it is passed over while they are there."""
    table = delta(12)
    (checkpoint,) = table.path.glob("_delta_log/*.checkpoint.parquet")
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    assert table.read() == 120
    table.append()
    assert table.read() == 130
    for version in range(10):
        table.commit(version).unlink()
    assert condition(table.read) == "FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER"
    (checkpoint,) = table.path.glob("_delta_log/*.checkpoint.parquet")
    checkpoint.write_bytes(whole)
    assert table.read() == 130


def test_a_missing_checkpoint(delta):
    table = delta(12)
    (checkpoint,) = table.path.glob("_delta_log/*.checkpoint.parquet")
    checkpoint.unlink()
    assert table.read() == 120
    table.append()
    assert table.read() == 130


def test_a_broken_pointer_to_the_checkpoint(delta):
    table = delta(12)
    (table.path / "_delta_log" / "_last_checkpoint").write_text('{"ver')
    assert table.read() == 120
    table.append()
    assert table.read() == 130


def test_versions_that_are_not_there(spark, delta):
    table = delta(2)

    def read(option, value):
        return condition(lambda: spark.read.format("delta").option(option, value).load(str(table.path)).collect())

    assert read("versionAsOf", 99) == "DELTA_VERSION_NOT_FOUND"
    assert read("timestampAsOf", "2001-01-01") == "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION"
    assert read("timestampAsOf", "2101-01-01") == "DELTA_TIMESTAMP_GREATER_THAN_COMMIT"
    assert read("timestampAsOf", "yesterdayish") == "DELTA_TIMESTAMP_INVALID"


# ---- disks ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def read_only(directory):
    """A directory nobody can write to. Root can write to all, so for root it is mounted so."""
    if os.geteuid() != 0:
        directory.chmod(0o555)
        try:
            yield
        finally:
            directory.chmod(0o755)
        return
    mount("--bind", "-o", "ro", str(directory), str(directory))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@contextlib.contextmanager
def small_disk(directory, megabytes):
    directory.mkdir()
    mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(directory))
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def mount(*arguments):
    if subprocess.run(["mount", *arguments], capture_output=True).returncode:
        pytest.skip("this user may not mount")


def test_a_file_where_a_directory_is_needed(spark, tmp_path):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file" / "t", tmp_path / "file"):
        write = spark.range(3).write.format("delta")
        assert condition(lambda: write.save(str(place))) == "DELTA_CANNOT_CREATE_LOG_PATH"
    statement = f"CREATE TABLE in_file (id INT) USING delta LOCATION '{tmp_path}/file/t'"
    assert condition(lambda: spark.sql(statement)) == "DELTA_CANNOT_CREATE_LOG_PATH"
    assert not spark.catalog.tableExists("in_file")
    assert (tmp_path / "file").read_text() == "x"


@better_than_spark
def test_no_permission(spark, tmp_path):
    path = str(tmp_path / "t")
    spark.range(10).write.format("delta").save(path)
    with read_only(tmp_path / "t"):
        for action in (
            lambda: spark.range(10).write.format("delta").mode("append").save(path),
            lambda: spark.sql(f"DELETE FROM delta.`{path}` WHERE id < 3"),
            lambda: spark.sql(f"UPDATE delta.`{path}` SET id = 1 WHERE id < 3"),
        ):
            with pytest.raises(Exception) as raised:
                action()
            assert "Read-only file system" in str(raised.value) or "Permission denied" in str(raised.value)
            assert condition(action) == "TASK_WRITE_FAILED"
        assert spark.read.format("delta").load(path).count() == 10
    spark.range(10).write.format("delta").mode("append").save(path)
    assert spark.read.format("delta").load(path).count() == 20


@better_than_spark
def test_a_full_disk(spark, tmp_path):
    with small_disk(tmp_path / "disk", 4) as disk:
        path = str(disk / "t")
        spark.range(1000).write.format("delta").save(path)
        large = spark.range(2_000_000).selectExpr("xxhash64(id) AS id")
        for mode in ("append", "overwrite"):
            write = large.write.format("delta").mode(mode)
            with pytest.raises(Exception) as raised:
                write.save(path)
            assert "No space left on device" in str(raised.value)
            assert condition(lambda: write.save(path)) == "TASK_WRITE_FAILED"
            assert spark.read.format("delta").load(path).count() == 1000
        # Nothing of the failed writes fills the disk.
        spark.range(1000).write.format("delta").mode("append").save(path)
        assert spark.read.format("delta").load(path).count() == 2000


@better_than_spark
def test_a_home_on_a_full_disk(tmp_path):
    """The metastore cannot grow: statements fail, the server does not, and it works again when there is space."""
    with small_disk(tmp_path / "disk", 8) as disk:
        server = Server(disk / "home")
        spark = server.session()
        spark.sql("CREATE TABLE t AS SELECT id FROM range(100)")
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        with pytest.raises(Exception) as raised:
            for i in range(50):
                spark.sql(f"CREATE TABLE more_{i} AS SELECT id FROM range(10000)")
        assert raised.value.getCondition(), raised.value
        assert spark.table("t").count() == 100
        ballast.unlink()
        spark.sql("CREATE OR REPLACE TABLE after AS SELECT id FROM range(10)")
        assert spark.table("after").count() == 10
        spark.stop()
        server.stop()


# ---- names, limits, sizes -------------------------------------------------------------------------------------------


def test_names(spark, tmp_path):
    name = "`T\u00e4ble \u00f1`"
    assert condition(lambda: spark.sql(f"CREATE TABLE {name} (a INT) USING delta")) == "INVALID_SCHEMA_OR_RELATION_NAME"
    spark.sql("CREATE OR REPLACE TABLE Capital_Name (`Name` INT) USING delta")
    spark.sql("INSERT INTO capital_NAME VALUES (1)")
    assert rows(spark.sql("SELECT NAME FROM CAPITAL_name")) == [(1,)]
    assert spark.table("capital_name").columns == ["Name"]
    spark.sql("DROP TABLE capital_name")
    place = str(tmp_path / "a b%20c \u00fc #?")
    columns = "id INT, `\u00dcn\u00ef c\u00f6d\u00e9` STRING, `a.b` INT"
    df = spark.createDataFrame([(1, "\u8868", 2)], columns)
    df.write.format("delta").option("delta.columnMapping.mode", "name").save(place)
    read = spark.read.format("delta").load(place)
    assert rows(read.where("`\u00fcN\u00cf C\u00d6D\u00c9` = '\u8868'").select("`a.b`")) == [(2,)]
    spark.sql(f"UPDATE delta.`{place}` SET `a.b` = 3 WHERE `\u00dcn\u00ef c\u00f6d\u00e9` = '\u8868'")
    assert rows(spark.read.format("delta").load(place).select("`a.b`")) == [(3,)]


def test_partition_values_of_all_kinds(spark, tmp_path):
    values = ["a b", "x/y=z%", "\u00fc", "{}[]#?*", "..", "a:b", None]
    df = spark.createDataFrame(list(enumerate(values)) + [(99, "")], "id INT, p STRING")
    df.write.format("delta").partitionBy("p").save(str(tmp_path / "t"))
    read = spark.read.format("delta").load(str(tmp_path / "t"))
    # An empty string is NULL as a partition value.
    assert rows(read.orderBy("id")) == list(enumerate(values)) + [(99, None)]
    for i, value in enumerate(values[:-1]):
        assert rows(read.where(F.col("p") == value)) == [(i, value)]
    assert (tmp_path / "t" / "p=x%2Fy%3Dz%25").is_dir() and (tmp_path / "t" / "p=__HIVE_DEFAULT_PARTITION__").is_dir()
    spark.sql(f"DELETE FROM delta.`{tmp_path}/t` WHERE p = 'x/y=z%' OR p IS NULL")
    assert read.count() == len(values) - 2


def test_limits_of_types(spark, tmp_path):
    text = """SELECT CAST(127 AS TINYINT) a, CAST(-32768 AS SMALLINT) b, -2147483648 c, -9223372036854775808L d,
      CAST('NaN' AS DOUBLE) e, CAST('-Infinity' AS FLOAT) f,
      CAST('99999999999999999999999999999999999999' AS DECIMAL(38,0)) g,
      DATE'9999-12-31' h, DATE'0001-01-01' i, TIMESTAMP'9999-12-31 23:59:59.999999' j,
      TIMESTAMP_NTZ'0001-01-01 00:00:00' l, X'00ff' m, '' n, CAST(-0.0 AS DOUBLE) o, 1.7976931348623157E308D p, 4.9E-324D q"""
    spark.sql(text).write.format("delta").save(str(tmp_path / "t"))
    read = spark.read.format("delta").load(str(tmp_path / "t"))
    row = read.select("a", "b", "c", "d", "f", "g", "h", "i", "l", "m", "n", "p", "q").first()
    assert tuple(row) == (
        127,
        -32768,
        -2147483648,
        -9223372036854775808,
        float("-inf"),
        decimal.Decimal("9" * 38),
        datetime.date(9999, 12, 31),
        datetime.date(1, 1, 1),
        datetime.datetime(1, 1, 1),
        b"\x00\xff",
        "",
        1.7976931348623157e308,
        5e-324,
    )
    # Statistics of files must not skip the row.
    for where in (
        "d = -9223372036854775808L AND c < -2147483647 AND a > 126",
        "h = '9999-12-31' AND i < '0001-01-02' AND j >= '9999-12-31 23:59:59.999999'",
        "isnan(e) AND e > 1e308 AND f < -1e38 AND p > 1e308 AND q > 0",
        "g > 1 AND l < '0002-01-01' AND n = '' AND o = 0 AND m = X'00FF'",
    ):
        assert read.where(where).count() == 1, where


def test_empty_inputs(spark, tmp_path):
    path = str(tmp_path / "t")
    spark.range(0).write.format("delta").save(path)
    spark.range(0).write.format("delta").mode("append").save(path)
    assert spark.read.format("delta").load(path).count() == 0
    spark.sql(f"MERGE INTO delta.`{path}` t USING (SELECT id FROM range(0)) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *")
    assert rows(spark.sql(f"UPDATE delta.`{path}` SET id = 1")) == [(0,)]
    spark.range(0).write.parquet(str(tmp_path / "p"))
    assert spark.read.parquet(str(tmp_path / "p")).schema.simpleString() == "struct<id:bigint>"
    assert spark.createDataFrame([], "a INT, b STRING").groupBy("a").count().collect() == []


def test_a_million_rows(spark, tmp_path):
    path = str(tmp_path / "t")
    n = 1_000_000
    spark.range(n).selectExpr("id", "CAST(id % 1000 AS STRING) AS k", "id / 4 AS d").write.format("delta").save(path)
    df = spark.read.format("delta").load(path)
    got = df.agg(F.count("*"), F.sum("id"), F.countDistinct("k"), F.max("d")).first()
    assert tuple(got) == (n, n * (n - 1) // 2, 1000, (n - 1) / 4)
    spark.sql(f"DELETE FROM delta.`{path}` WHERE id % 10 = 3")
    assert df.count() == n // 10 * 9
    assert len(df.where("id < 20000").toPandas()) == 18000


def test_large_values_and_wide_tables(spark, tmp_path):
    spark.sql("SELECT repeat('x', 10000000) AS s, 1 AS id").write.format("delta").save(str(tmp_path / "large"))
    large = spark.read.format("delta").load(str(tmp_path / "large"))
    assert rows(large.selectExpr("length(s)")) == [(10_000_000,)]
    wide = spark.range(2).select(*[F.col("id").alias(f"c{i}") for i in range(500)])
    wide.write.format("delta").save(str(tmp_path / "wide"))
    assert spark.read.format("delta").load(str(tmp_path / "wide")).where("c499 = 1").count() == 1
    assert rows(spark.sql("SELECT " + " + ".join(["1"] * 500))) == [(500,)]


@pytest.mark.parametrize("values, operands", [("(127Y, 1Y)", ("127S", "1S")), ("(32767S, 1S)", ("32767S", "1S"))])
def test_operands_of_an_overflow(spark, values, operands):
    """TINYINT is shown as SMALLINT, as Spark 4.2 does."""
    with pytest.raises(ArithmeticException) as caught:
        spark.sql(f"SELECT a + b FROM VALUES {values} AS t(a, b)").collect()
    told = caught.value.getMessageParameters()
    assert (told["value1"], told["symbol"], told["value2"]) == (operands[0], "+", operands[1])
