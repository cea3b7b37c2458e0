"""Operations for a table that many writers share, and the checker that proves what they did: the log, replayed version by
version through a model, is a serial order of the operations under the isolation level.

Rows are (id, kind, n, by). Accounts keep their sum, counters count, tickets are numbered without gap or double, items come and
go, merged rows are upserted. Each operation is recorded with what it meant, and names itself in its commit.
"""

import collections
import itertools
import json
import pathlib
from typing import NamedTuple

ACCOUNTS = range(0, 6)
COUNTERS = range(100, 104)
MERGED = range(1000, 1020)
FIRST_TICKET = 10_000
FIRST_ITEM = 1_000_000
COLUMNS = "id BIGINT, kind STRING, n BIGINT, by STRING"


def first_state():
    rows = {i: ("account", 100, "") for i in ACCOUNTS} | {i: ("counter", 0, "") for i in COUNTERS}
    return rows | {FIRST_TICKET: ("ticket", 0, "")}


class Operation(NamedTuple):
    name: str
    sql: str
    # state -> state: what the statement does, given a dictionary of id -> (kind, n, by).
    does: object
    blind: bool = False


def updated(state, ids, change):
    return {i: (r[0], change(i, r[1]), r[2]) if i in ids else r for i, r in state.items()}


# Each takes the table, a source of chance, and the id of the operation.


def append(table, chance, me):
    first = FIRST_ITEM + int(me.split("-")[1]) * 10_000_000 + int(me.split("-")[2]) * 100
    new = {first + i: ("item", chance.randrange(50), me) for i in range(chance.randrange(1, 4))}
    rows = ", ".join(f"({i}L, '{r[0]}', {r[1]}L, '{r[2]}')" for i, r in new.items())
    return Operation("append", f"INSERT INTO {table} VALUES {rows}", lambda s: s | new, True)


def transfer(table, chance, me):
    """From one account to another, whatever they have."""
    a, b = chance.sample(ACCOUNTS, 2)
    x = chance.randrange(1, 20)
    sql = f"UPDATE {table} SET n = n + CASE id WHEN {a} THEN -{x} ELSE {x} END WHERE id IN ({a}, {b})"
    return Operation("transfer", sql, lambda s: updated(s, {a, b}, lambda i, n: n - x if i == a else n + x))


def transfer_if_rich(table, chance, me):
    """The source of the MERGE reads the table: the transfer depends on the balance."""
    a, b = chance.sample(ACCOUNTS, 2)
    x = chance.randrange(1, 150)
    sql = f"""MERGE INTO {table} t
        USING (SELECT id, IF(id = {a}, -{x}, {x}) AS d FROM {table}
               WHERE id IN ({a}, {b}) AND (SELECT n FROM {table} WHERE id = {a}) >= {x}) s
        ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = t.n + s.d"""

    def does(s):
        return updated(s, {a, b}, lambda i, n: n - x if i == a else n + x) if s[a][1] >= x else s

    return Operation("transfer if rich", sql, does)


def level(table, chance, me):
    """An UPDATE whose condition other updates may make true: no row may slip by."""
    a = chance.randrange(80, 120)

    def does(s):
        return {i: (r[0], r[1] + 1000, me) if r[0] == "item" and r[1] * 3 > a else r for i, r in s.items()}

    return Operation("level", f"UPDATE {table} SET n = n + 1000, by = '{me}' WHERE kind = 'item' AND n * 3 > {a}", does)


def increment(table, chance, me):
    c = chance.choice(COUNTERS)
    return Operation("increment", f"UPDATE {table} SET n = n + 1 WHERE id = {c}", lambda s: updated(s, {c}, lambda _, n: n + 1))


def ticket(table, chance, me):
    """The next number: the row that is inserted depends on the rows that are there."""
    sql = f"INSERT INTO {table} SELECT max(id) + 1, 'ticket', max(n) + 1, '{me}' FROM {table} WHERE kind = 'ticket'"

    def does(s):
        last = max((i for i, r in s.items() if r[0] == "ticket"), default=FIRST_TICKET)
        return s | {last + 1: ("ticket", last + 1 - FIRST_TICKET, me)}

    return Operation("ticket", sql, does)


def delete(table, chance, me):
    x = chance.randrange(5)
    return Operation("delete", f"DELETE FROM {table} WHERE kind = 'item' AND n % 5 = {x}",
                     lambda s: {i: r for i, r in s.items() if r[0] != "item" or r[1] % 5 != x})


def upsert(table, chance, me):
    ids = chance.sample(MERGED, 3)
    source = " UNION ALL ".join(f"SELECT {i}L AS id" for i in ids)
    sql = f"""MERGE INTO {table} t USING ({source}) s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET n = t.n + 1
        WHEN NOT MATCHED THEN INSERT (id, kind, n, by) VALUES (s.id, 'merged', 1, '{me}')"""
    return Operation("upsert", sql, lambda s: s | {i: ("merged", s[i][1] + 1, s[i][2]) if i in s else ("merged", 1, me) for i in ids})


def insert_if_absent(table, chance, me):
    i = chance.choice(MERGED)
    sql = f"""MERGE INTO {table} t USING (SELECT {i}L AS id) s ON t.id = s.id
        WHEN NOT MATCHED THEN INSERT (id, kind, n, by) VALUES (s.id, 'merged', 0, '{me}')"""
    return Operation("insert if absent", sql, lambda s: s if i in s else s | {i: ("merged", 0, me)})


def forget(table, chance, me):
    """Rows that the source does not have go."""
    i = chance.choice(MERGED)
    sql = f"""MERGE INTO {table} t USING (SELECT {i}L AS id) s ON t.id = s.id AND t.kind = 'merged'
        WHEN MATCHED THEN DELETE WHEN NOT MATCHED BY SOURCE AND t.kind = 'merged' AND t.n > 5 THEN DELETE"""
    return Operation("forget", sql, lambda s: {k: r for k, r in s.items() if not (r[0] == "merged" and (k == i or r[1] > 5))})


def drop_last(table, chance, me):
    """Which row goes depends on the others."""
    sql = f"DELETE FROM {table} WHERE kind = 'item' AND id = (SELECT max(id) FROM {table} WHERE kind = 'item')"

    def does(s):
        last = max((i for i, r in s.items() if r[0] == "item"), default=None)
        return {i: r for i, r in s.items() if i != last}

    return Operation("drop last", sql, does)


def raise_lowest(table, chance, me):
    """Which rows change depends on all of their kind."""
    sql = f"""UPDATE {table} SET n = n + 1 WHERE kind = 'merged'
        AND n IN (SELECT min(n) FROM {table} WHERE kind = 'merged')"""

    def does(s):
        lowest = min((r[1] for r in s.values() if r[0] == "merged"), default=None)
        return updated(s, {i for i, r in s.items() if r[0] == "merged" and r[1] == lowest}, lambda _, n: n + 1)

    return Operation("raise lowest", sql, does)


def layout(statement):
    def make(table, chance, me):
        return Operation("layout", statement.format(table), lambda s: s)

    return make


OPERATIONS = [append] * 5 + [transfer] * 3 + [transfer_if_rich] * 2 + [increment] * 4 + [ticket] * 2 + [upsert] * 3
OPERATIONS += [level, delete, insert_if_absent, forget, drop_last, raise_lowest]
LAYOUTS = ["OPTIMIZE {}", "OPTIMIZE {} ZORDER BY (id)", "REORG TABLE {} APPLY (PURGE)"]
OPERATIONS += [layout(s) for s in LAYOUTS]


class Record(NamedTuple):
    """What a client knows of an operation: the last version it could see before and after, and whether it was acknowledged."""

    me: str
    operation: Operation
    before: int
    after: int
    refused: str = None


class Read(NamedTuple):
    before: int
    after: int
    rows: collections.Counter


def last_version(path):
    log = pathlib.Path(path) / "_delta_log"
    return max(int(f.name[:20]) for f in log.iterdir() if f.name.endswith(".json") and f.name[:20].isdigit())


def commit_info(path, version):
    for line in (pathlib.Path(path) / "_delta_log" / f"{version:020}.json").read_text().splitlines():
        action = json.loads(line)
        if "commitInfo" in action:
            return action["commitInfo"]
    return {}


def counted(state):
    return collections.Counter((i, *r) for i, r in state.items())


class Checker:
    """Replays the log of a table. `rows_at(version)` gives the rows that a version has, as a counter."""

    def __init__(self, path, level, first, records, reads, rows_at):
        self.path, self.level, self.first, self.records, self.reads, self.rows_at = path, level, first, records, reads, rows_at
        self.by_name = {r.me: r for r in records}
        self.states = {}
        self.committed = collections.Counter()
        self.reordered = 0

    def check(self):
        self.states[self.first] = first_state()
        last = last_version(self.path)
        for version in range(self.first + 1, last + 1):
            self.replay(version)
        for record in self.records:
            self.check_record(record)
        for read in self.reads:
            assert any(read.rows == counted(self.states[v]) for v in self.between(read)), f"a read between {read.before} and {read.after} saw no version"
        return last

    def between(self, seen):
        return range(max(seen.before, self.first), seen.after + 1)

    def replay(self, version):
        info = commit_info(self.path, version)
        me = info.get("userMetadata")
        record = self.by_name.get(me)
        assert record, f"version {version} is nobody's: {info}"
        self.committed[me] += 1
        rows = self.rows_at(version)
        self.states[version] = self.explained(version, record, info, rows)

    def explained(self, version, record, info, rows):
        """The state that explains the rows of a version: the operation done to the version before, or, under
        WriteSerializable, done before some of the blind appends that it had not seen."""
        before = self.states[version - 1]
        state = record.operation.does(before)
        if counted(state) == rows:
            return state
        if self.level == "WriteSerializable" and not record.operation.blind:
            unseen = self.appended(info.get("readVersion", version - 1), version)
            for count in range(1, len(unseen) + 1):
                for late in itertools.combinations(unseen, count):
                    added = {i: before[i] for ids in late for i in ids if i in before}
                    state = record.operation.does({i: r for i, r in before.items() if i not in added}) | added
                    if counted(state) == rows:
                        self.reordered += 1
                        return state
        wanted = counted(record.operation.does(before))
        raise AssertionError(
            f"version {version} (read {info.get('readVersion')}) is not {record.operation.name} of the version before: {record.operation.sql}\n"
            f"not wanted: {list((rows - wanted).items())[:6]}\nlacking: {list((wanted - rows).items())[:6]}"
        )

    def appended(self, after, before):
        """The ids of each blind append between two versions."""
        out = []
        for version in range(max(after, self.first) + 1, before):
            if self.by_name[commit_info(self.path, version)["userMetadata"]].operation.blind:
                out.append(self.states[version].keys() - self.states[version - 1].keys())
        return out

    def check_record(self, record):
        """An acknowledged operation is in the log once, or had nothing to do; a refused one is not there."""
        times = self.committed[record.me]
        if record.refused:
            assert times == 0, f"{record.me} was refused ({record.refused}) and is in the log"
        elif times == 0:
            nothing = [v for v in self.between(record) if record.operation.does(self.states[v]) == self.states[v]]
            assert nothing, f"{record.me} was acknowledged and is not in the log: {record.operation.sql}"
        else:
            assert times == 1, f"{record.me} is {times} times in the log"
