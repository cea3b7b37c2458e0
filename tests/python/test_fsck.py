"""FSCK REPAIR TABLE: what it finds in tables that were damaged by hand, and what is left after it."""

import json
import pathlib

import pytest


def data_files(path):
    return sorted(p for p in pathlib.Path(path).rglob("*.parquet") if "_delta_log" not in p.parts)


def last(spark, path):
    return spark.sql(f"DESCRIBE HISTORY delta.`{path}` LIMIT 1").collect()[0]


def fsck(spark, path, clauses=""):
    return spark.sql(f"FSCK REPAIR TABLE delta.`{path}` {clauses}")


def ids(spark, path):
    return sorted(r.id for r in spark.sql(f"SELECT id FROM delta.`{path}`").collect())


@pytest.fixture
def table(spark, tmp_path):
    """Four files of five rows, 0 to 19."""
    path = tmp_path / "a Table"
    for first in range(0, 20, 5):
        spark.range(first, first + 5, 1, 1).write.format("delta").mode("append").save(str(path))
    return path


def test_files_that_are_gone(spark, table):
    gone = data_files(table)[0]
    gone.unlink()
    dry = fsck(spark, table, "DRY RUN")
    assert dry.columns == ["dataFilePath", "dataFileMissing", "deletionVectorPath", "deletionVectorFileMissing"]
    assert [tuple(r) for r in dry.collect()] == [(gone.name, True, None, False)]
    assert last(spark, table).version == 3
    assert len(fsck(spark, table).collect()) == 1
    history = last(spark, table)
    assert (history.version, history.operation) == (4, "FSCK")
    assert history.operationMetrics["numRemovedFiles"] == "1"
    assert len(ids(spark, table)) == 15
    assert fsck(spark, table).collect() == []
    assert last(spark, table).version == 4


def test_deletion_vectors_that_are_gone_or_wrong(spark, table):
    spark.sql(f"DELETE FROM delta.`{table}` WHERE id IN (1, 7)")
    vector = next(table.glob("*.bin"))
    kept = vector.read_bytes()
    vector.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert fsck(spark, table, "DRY RUN").collect() == []
    (wrong,) = fsck(spark, table, "VERIFY ALL FILES DRY RUN").collect()
    assert not wrong.deletionVectorFileMissing and vector.name in wrong.deletionVectorPath
    assert "checksum" in wrong.problem
    vector.unlink()
    found = fsck(spark, table, "DRY RUN").collect()
    assert {(r.dataFileMissing, r.deletionVectorFileMissing) for r in found} == {(False, True)} and len(found) == 2
    fsck(spark, table).collect()
    assert ids(spark, table) == list(range(10, 20))


def test_files_whose_contents_are_damaged(spark, table):
    files = data_files(table)
    content = files[0].read_bytes()
    # The pages go, the footer stays: the file opens, and only reading tells.
    files[0].write_bytes(content[:4] + bytes(len(content) // 4) + content[4 + len(content) // 4 :])
    files[1].write_bytes(files[1].read_bytes()[:-9])
    assert fsck(spark, table).collect() == []
    found = {r.dataFilePath: r for r in fsck(spark, table, "VERIFY ALL FILES DRY RUN").collect()}
    assert set(found) == {files[0].name, files[1].name}
    assert "bytes" in found[files[1].name].problem and not found[files[1].name].dataFileMissing
    assert last(spark, table).version == 3
    fsck(spark, table, "VERIFY ALL FILES").collect()
    assert last(spark, table).operationMetrics["numCorruptFiles"] == "2"
    assert len(ids(spark, table)) == 10
    assert fsck(spark, table, "VERIFY ALL FILES").collect() == []


def test_files_of_a_time_are_verified(spark, table):
    damaged = data_files(table)[0]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    past = "VERIFY FILES MODIFIED BETWEEN '2020-01-01' AND current_timestamp() - INTERVAL 1 DAY"
    assert fsck(spark, table, past).collect() == []
    now = "VERIFY FILES MODIFIED BETWEEN current_date() - INTERVAL 1 DAY AND current_timestamp() + INTERVAL 1 HOUR"
    assert [r.dataFilePath for r in fsck(spark, table, now).collect()] == [damaged.name]
    with pytest.raises(Exception, match="DELTA_TIMESTAMP_INVALID"):
        fsck(spark, table, "VERIFY FILES MODIFIED BETWEEN 'never' AND 'ever'").collect()


def test_counts_that_the_log_has_wrong(spark, table):
    commit = table / "_delta_log" / f"{3:020}.json"
    lines = [json.loads(line) for line in commit.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            stats = json.loads(line["add"]["stats"]) | {"numRecords": 6}
            line["add"]["stats"] = json.dumps(stats)
            name = line["add"]["path"]
    commit.write_text("\n".join(map(json.dumps, lines)) + "\n")
    (found,) = fsck(spark, table, "VERIFY ALL FILES DRY RUN").collect()
    assert found.dataFilePath == name and "5 rows" in found.problem and "6" in found.problem


def test_partitions_that_may_not_be_null(spark, tmp_path):
    path = tmp_path / "t"
    spark.sql(f"CREATE TABLE delta.`{path}` (id BIGINT, p STRING NOT NULL) USING delta PARTITIONED BY (p)")
    spark.sql(f"INSERT INTO delta.`{path}` VALUES (1, 'a')")
    spark.sql(f"INSERT INTO delta.`{path}` VALUES (2, 'b')")
    commit = path / "_delta_log" / f"{2:020}.json"
    commit.write_text(commit.read_text().replace('"p":"b"', '"p":null'))
    assert len(fsck(spark, path).collect()) == 1
    assert ids(spark, path) == [1]


@pytest.mark.parametrize("policy", ["classic", "v2"])
def test_the_log(spark, tmp_path, policy):
    path = tmp_path / "t"
    spark.sql(
        f"CREATE TABLE delta.`{path}` (id BIGINT) USING delta TBLPROPERTIES "
        f"('delta.checkpointInterval' = '2', 'delta.checkpointPolicy' = '{policy}')"
    )
    for i in range(4):
        spark.sql(f"INSERT INTO delta.`{path}` VALUES ({i})")
    log = path / "_delta_log"
    broken = next(log.glob(f"{4:020}.checkpoint*.parquet"))
    broken.write_bytes(broken.read_bytes()[:100])
    checksum = log / f"{4:020}.crc"
    text = json.loads(checksum.read_text())
    text["txnId"] = "another"
    checksum.write_text(json.dumps(text))
    dry = fsck(spark, path, "METADATA ONLY DRY RUN")
    assert dry.columns == ["logFilePath", "problem"]
    assert {r.logFilePath for r in dry.collect()} == {broken.name, checksum.name, "_last_checkpoint"}
    assert broken.stat().st_size == 100
    assert len(fsck(spark, path, "METADATA ONLY").collect()) == 3
    assert fsck(spark, path, "METADATA ONLY").collect() == []
    hint = json.loads((log / "_last_checkpoint").read_text())
    assert hint["version"] == 4 and last(spark, path).version == 4
    # The checkpoint alone opens the table now.
    for version in range(5):
        (log / f"{version:020}.json").rename(tmp_path / f"{version}.json")
    (tmp_path / "4.json").rename(log / f"{4:020}.json")
    spark.sql(f"CREATE TABLE delta.`{tmp_path / 'copy'}` SHALLOW CLONE delta.`{path}`")
    assert ids(spark, tmp_path / "copy") == [0, 1, 2, 3]


def test_a_hint_to_nowhere(spark, table):
    hint = table / "_delta_log" / "_last_checkpoint"
    hint.write_text('{"version": 99, "size": 1}')
    assert [r.logFilePath for r in fsck(spark, table, "METADATA ONLY").collect()] == ["_last_checkpoint"]
    assert json.loads(hint.read_text())["version"] == 3
    assert ids(spark, table) == list(range(20))


def test_storage_that_fails_loses_no_file(spark, table):
    file = data_files(table)[0]
    file.unlink()
    file.symlink_to(file.name)
    with pytest.raises(Exception, match=file.name):
        fsck(spark, table).collect()
    assert last(spark, table).version == 3


def test_so_many_rows_are_told(spark, table):
    for file in data_files(table):
        file.unlink()
    spark.conf.set("spark.databricks.delta.fsck.maxNumEntriesInResult", "3")
    try:
        assert len(fsck(spark, table, "DRY RUN").collect()) == 3
    finally:
        spark.conf.unset("spark.databricks.delta.fsck.maxNumEntriesInResult")
    assert len(fsck(spark, table).collect()) == 4
    assert ids(spark, table) == []


def test_a_damaged_checkpoint_is_in_nobodys_way(spark, tmp_path):
    """Whatever reads more of the log than the files passes it over too: transactions, domains, removed files."""
    path = tmp_path / "t"
    spark.sql(
        f"CREATE TABLE delta.`{path}` (id BIGINT) USING delta CLUSTER BY (id) TBLPROPERTIES ('delta.checkpointInterval' = '2')"
    )
    frame = spark.range(0, 5)
    for version in (7, 8):
        frame.write.format("delta").mode("append").option("txnAppId", "app").option("txnVersion", version).save(str(path))
    for log_file in [*(path / "_delta_log").glob("*.crc"), *(path / "_delta_log").glob("*.checkpoint.parquet")]:
        log_file.write_bytes(b"PAR1")
    copy = tmp_path / "copy"
    copy.mkdir()
    (path / "_delta_log").rename(copy / "_delta_log")
    for file in data_files(path):
        file.rename(copy / file.name)
    frame.write.format("delta").mode("append").option("txnAppId", "app").option("txnVersion", 8).save(str(copy))
    assert len(ids(spark, copy)) == 10
    detail = spark.sql(f"DESCRIBE DETAIL delta.`{copy}`").collect()[0]
    assert detail.clusteringColumns == ["id"]
    spark.sql(f"VACUUM delta.`{copy}`")
    spark.sql(f"INSERT INTO delta.`{copy}` VALUES (9), (10)")
    assert len(ids(spark, copy)) == 12
