"""Tables in the object stores of Azure and Google, by emulators on this machine, with credentials from settings of sessions."""

import base64
import concurrent.futures
import json
import pathlib
import re

import pyarrow as pa
import pytest
from conftest import Server
from deltalake import DeltaTable, QueryBuilder
from emulators import Azurite, FakeGcs, environment


class Azure:
    def __init__(self, directory):
        self.emulator = Azurite(directory / "azurite")
        self.emulator.create_container("tables")
        self.root = f"abfss://tables@{Azurite.ACCOUNT}.dfs.core.windows.net"
        self.settings = {f"fs.azure.account.key.{Azurite.ACCOUNT}.dfs.core.windows.net": Azurite.KEY}
        self.reader_options = {
            "account_name": Azurite.ACCOUNT,
            "account_key": Azurite.KEY,
            "azure_storage_use_emulator": "true",
        }


class Google:
    def __init__(self, directory):
        self.emulator = FakeGcs()
        self.emulator.create_bucket("tables")
        self.root = "gs://tables"
        self.settings = {"spark.hadoop.fs.gs.auth.type": "UNAUTHENTICATED"}
        # A key that is never shown: what the emulator is asked for carries no token.
        key = {"gcs_base_url": self.emulator.url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
        self.reader_options = {"google_service_account_key": json.dumps(key)}


@pytest.fixture(scope="module", params=[Azure, Google])
def cloud(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param.__name__)
    cloud = request.param(directory)
    with environment(**cloud.emulator.environment):
        cloud.servers = [Server(directory / f"home{i}") for i in range(2)]
        yield cloud
    for server in cloud.servers:
        server.stop()
    cloud.emulator.stop()


def session(cloud, server=0):
    session = cloud.servers[server].session()
    for key, value in cloud.settings.items():
        session.conf.set(key, value)
    return session


def rows(frame):
    return [tuple(row) for row in frame.collect()]


def test_a_table_from_birth_to_vacuum(cloud):
    spark, path = session(cloud), f"{cloud.root}/life/of a table"
    t = f"delta.`{path}`"
    spark.sql(f"CREATE TABLE {t} (id BIGINT, p INT, s STRING) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    spark.range(1000).selectExpr("id", "INT(id % 3) AS p", "concat('row ', id) AS s").write.format("delta").mode("append").save(path)
    spark.sql(f"UPDATE {t} SET s = 'changed' WHERE id < 10")
    spark.sql(f"DELETE FROM {t} WHERE id >= 990")
    spark.sql(
        f"""MERGE INTO {t} AS t USING (SELECT id, INT(0) AS p, 'merged' AS s FROM range(985, 995)) AS s ON t.id = s.id
            WHEN MATCHED THEN UPDATE SET s = s.s WHEN NOT MATCHED THEN INSERT *"""
    )
    spark.sql(f"OPTIMIZE {t}")
    expected = [("changed", 10), ("merged", 10), ("row", 975)]
    counts = f"SELECT IF(s LIKE 'row %', 'row', s) AS what, count(*) FROM {t} GROUP BY what ORDER BY what"
    assert rows(spark.sql(counts)) == expected
    assert rows(spark.sql(f"SELECT count(*), min(id), max(id) FROM {t} VERSION AS OF 1")) == [(1000, 0, 999)]
    changes = spark.sql(f"SELECT _change_type, count(*) FROM table_changes_by_path('{path}', 2) GROUP BY 1 ORDER BY 1")
    assert rows(changes) == [("delete", 10), ("insert", 5), ("update_postimage", 15), ("update_preimage", 15)]
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    spark.sql(f"VACUUM {t} RETAIN 0 HOURS")
    assert rows(spark.sql(counts)) == expected
    # Another program, by its own client of the store.
    other = DeltaTable(path, storage_options=cloud.reader_options)
    read = pa.table(QueryBuilder().register("t", other).execute("SELECT count(*) AS n, sum(id) AS s FROM t").read_all())
    ids = [*range(985), *range(985, 995)]
    assert read.to_pylist() == [{"n": len(ids), "s": sum(ids)}]
    names = [row.file_path for row in spark.sql(f"SELECT DISTINCT _metadata.file_path FROM {t}").collect()]
    assert all(name.startswith(f"{cloud.root}/life/of%20a%20table/") for name in names)


def test_the_example_of_the_page(cloud, tmp_path):
    """The code in docs/object_stores.md, with the emulators' accounts in place of those it names."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "object_stores.md").read_text()
    example = page.split("```python\n")[1].split("```")[0]
    azure, google = example.strip().split("\n\n")
    spark = cloud.servers[0].session()
    if isinstance(cloud, Azure):
        code = azure.replace("lake@myaccount", f"tables@{Azurite.ACCOUNT}").replace("myaccount", Azurite.ACCOUNT)
        exec(code, {"spark": spark, "key": Azurite.KEY})
        assert rows(spark.read.format("delta").load(f"{cloud.root}/numbers").selectExpr("sum(id)")) == [(45,)]
    else:
        keyfile = tmp_path / "writer.json"
        keyfile.write_text(cloud.reader_options["google_service_account_key"])
        code = google.replace("/keys/writer.json", str(keyfile)).replace("my-bucket", "tables")
        exec(code, {"spark": spark})
        assert rows(spark.table("far")) == [(1,)]
        spark.sql("DROP TABLE far")


def test_files_and_catalog(cloud):
    spark, path = session(cloud), f"{cloud.root}/files"
    spark.range(100).selectExpr("id", "id % 2 AS k").write.partitionBy("k").parquet(f"{path}/parquet")
    spark.range(3).selectExpr("id").coalesce(1).write.json(f"{path}/json")
    assert rows(spark.read.parquet(f"{path}/parquet").groupBy("k").sum("id").orderBy("k")) == [(0, 2450), (1, 2500)]
    assert rows(spark.read.json(f"{path}/json/*.json").orderBy("id")) == [(0,), (1,), (2,)]
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS far LOCATION '{path}/far'")
    spark.sql("CREATE TABLE far.t AS SELECT 1 AS a")
    spark.sql("INSERT INTO far.t VALUES (2)")
    assert rows(spark.sql("SELECT a FROM far.t ORDER BY a")) == [(1,), (2,)]
    location = spark.sql("DESCRIBE DETAIL far.t").collect()[0].location
    # The directory is of this table alone: object stores have none that one of several sessions could make.
    assert re.fullmatch(f"{re.escape(path)}/far/t-[0-9a-f]{{32}}", location)
    spark.sql(f"CREATE TABLE far.copy SHALLOW CLONE far.t LOCATION '{path}/copy'")
    spark.sql("INSERT INTO far.copy VALUES (3)")
    assert rows(spark.sql("SELECT a FROM far.copy ORDER BY a")) == [(1,), (2,), (3,)]
    spark.sql("DROP TABLE far.t")
    spark.sql("DROP TABLE far.copy")
    spark.sql("DROP SCHEMA far")


def test_a_large_file_in_parts(cloud):
    spark, path = session(cloud), f"{cloud.root}/large"
    frame = spark.range(0, 1_500_000, 1, 1).selectExpr("id", "uuid() AS u")
    frame.write.format("delta").save(path)
    assert spark.sql(f"DESCRIBE DETAIL delta.`{path}`").collect()[0].sizeInBytes > 20 << 20
    assert rows(spark.read.format("delta").load(path).selectExpr("count(DISTINCT u)", "sum(id)")) == [
        (1_500_000, 1_500_000 * 1_499_999 // 2)
    ]


def test_two_writers(cloud):
    """Each version is one writer's: nothing is lost, and nothing is doubled."""
    path = f"{cloud.root}/shared"
    first = session(cloud)
    first.sql(f"CREATE TABLE delta.`{path}` (writer INT, n INT) USING delta")

    def write(writer):
        spark = session(cloud, writer)
        for n in range(12):
            spark.sql(f"INSERT INTO delta.`{path}` VALUES ({writer}, {n})")
            if n % 4 == 3:
                spark.sql(f"UPDATE delta.`{path}` SET n = n + 100 WHERE writer = {writer} AND n = {n}")

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    changed = {3, 7, 11}
    expected = sorted((w, n + 100 if n in changed else n) for w in range(2) for n in range(12))
    for spark in (first, session(cloud, 1)):
        assert sorted(rows(spark.read.format("delta").load(path))) == expected
    history = first.sql(f"DESCRIBE HISTORY delta.`{path}`").collect()
    assert sorted(row.version for row in history) == list(range(1 + 2 * (12 + 3)))


def test_streams(cloud):
    spark, path = session(cloud), f"{cloud.root}/stream"
    spark.range(5).write.format("delta").save(f"{path}/in")

    def run():
        stream = spark.readStream.format("delta").load(f"{path}/in").writeStream.format("delta")
        query = stream.option("checkpointLocation", f"{path}/checkpoint").trigger(availableNow=True).start(f"{path}/out")
        query.awaitTermination()
        assert query.exception() is None

    run()
    spark.range(5, 8).write.format("delta").mode("append").save(f"{path}/in")
    run()
    assert rows(spark.read.format("delta").load(f"{path}/out").orderBy("id")) == [(i,) for i in range(8)]


def test_settings_are_of_the_session(cloud, tmp_path):
    """Who does not bring the settings does not get what others reach by them."""
    path = f"{cloud.root}/secret"
    session(cloud).range(3).write.format("delta").save(path)
    stranger = cloud.servers[0].session()
    if isinstance(cloud, Azure):
        wrong = base64.b64encode(bytes(64)).decode()
        stranger.conf.set(f"fs.azure.account.key.{Azurite.ACCOUNT}.dfs.core.windows.net", wrong)
        refusal = "403|denied|AuthenticationFailed|AuthorizationFailure"
        names = [f"wasbs://tables@{Azurite.ACCOUNT}.blob.core.windows.net/secret", "az://tables/secret"]
        of_all = {"fs.azure.account.key": Azurite.KEY}
    else:
        # The emulator asks for no credentials: those that cannot be had at all are refused before it is asked.
        stranger.conf.set("fs.gs.auth.service.account.json.keyfile", str(tmp_path / "no such key.json"))
        refusal = "no such key.json"
        names, of_all = ["gcs://tables/secret"], {}
    with pytest.raises(Exception, match=refusal):
        stranger.read.format("delta").load(path).collect()
    # The same container by its other names.
    for name in names:
        spark = session(cloud)
        for key, value in of_all.items():
            spark.conf.set(key, value)
        assert spark.read.format("delta").load(name).count() == 3


def test_what_makes_no_sense_is_said(cloud):
    spark = cloud.servers[0].session()
    for path, settings, message in (
        ("abfss://c@account/x", {}, "account.dfs.core.windows.net"),
        ("abfss://c@a.dfs.core.windows.net/x", {"fs.azure.account.auth.type": "Custom"}, "fs.azure.account.auth.type = Custom"),
        ("abfss://c@a.dfs.core.windows.net/x", {"fs.azure.account.auth.type": "SAS"}, "fs.azure.sas.fixed.token is needed"),
        ("gs://b/x", {"fs.gs.auth.type": "USER_CREDENTIALS"}, "fs.gs.auth.type = USER_CREDENTIALS"),
        ("gs://b/x", {"fs.gs.auth.service.account.json.keyfile": "/no/such/file"}, "/no/such/file"),
        ("s3://b/x", {"fs.s3a.access.key": "k"}, "fs.s3a.secret.key is not"),
        ("hdfs://b/x", {}, "scheme hdfs"),
    ):
        for key, value in settings.items():
            spark.conf.set(key, value)
        with pytest.raises(Exception, match=message):
            spark.read.parquet(path).collect()
        for key in settings:
            spark.conf.unset(key)


def test_shallow_clones_across_stores(cloud, tmp_path):
    spark = session(cloud)
    source, here, again = f"{cloud.root}/a source", tmp_path / "a clone", tmp_path / "again"
    spark.range(0, 10, 1, 2).write.format("delta").option("delta.enableDeletionVectors", "true").save(source)
    spark.sql(f"DELETE FROM delta.`{source}` WHERE id = 3")
    spark.sql(f"CREATE TABLE delta.`{here}` SHALLOW CLONE delta.`{source}`")
    left = [i for i in range(10) if i != 3]
    assert sorted(r[0] for r in rows(spark.read.format("delta").load(str(here)))) == left
    files = {r[0] for r in rows(spark.sql(f"SELECT DISTINCT _metadata.file_path FROM delta.`{here}`"))}
    assert all(name.startswith(source.replace(" ", "%20")) for name in files) and files
    # What is changed is the clone's own, on its own disk.
    spark.sql(f"DELETE FROM delta.`{here}` WHERE id = 5")
    spark.sql(f"UPDATE delta.`{here}` SET id = 70 WHERE id = 7")
    spark.sql(f"INSERT INTO delta.`{here}` VALUES (99)")
    changed = [0, 1, 2, 4, 6, 8, 9, 70, 99]
    assert sorted(r[0] for r in rows(spark.sql(f"SELECT id FROM delta.`{here}`"))) == changed
    assert sorted(r[0] for r in rows(spark.sql(f"SELECT id FROM delta.`{source}`"))) == left
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    spark.sql(f"VACUUM delta.`{here}` RETAIN 0 HOURS")
    # A clone of the clone names files of both stores; one in the cloud may not name files of this machine.
    spark.sql(f"CREATE TABLE delta.`{again}` SHALLOW CLONE delta.`{here}`")
    assert sorted(r[0] for r in rows(spark.sql(f"SELECT id FROM delta.`{again}`"))) == changed
    with pytest.raises(Exception, match="in no object store"):
        spark.sql(f"CREATE TABLE delta.`{cloud.root}/clone of a clone` SHALLOW CLONE delta.`{here}`")
    deep = f"{cloud.root}/a copy"
    spark.sql(f"CREATE TABLE delta.`{deep}` DEEP CLONE delta.`{again}`")
    spark.sql(f"OPTIMIZE delta.`{again}`")
    for table in (deep, again):
        assert sorted(r[0] for r in rows(spark.sql(f"SELECT id FROM delta.`{table}`"))) == changed
    assert spark.sql(f"FSCK REPAIR TABLE delta.`{here}` VERIFY ALL FILES DRY RUN").collect() == []
