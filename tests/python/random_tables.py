"""Random statements about a Delta table, each with what it does to a model: the rows, the columns, and the change feed.

Every step is text of SQL (or a DataFrame write that is told like one), so that a sequence can be read, and each step can be
run by any engine.
"""

import collections
import datetime
from typing import NamedTuple

KEYS = 8
STRUCT = "STRUCT<a: INT, b: STRING>"
EXTRA_TYPES = ["INT", "BIGINT", "STRING", "DATE", "DOUBLE", STRUCT]


class Column(NamedTuple):
    name: str
    type: str


class State(NamedTuple):
    """A table at a version: rows are tuples in the order of the columns, and the first columns are id, k, v."""

    columns: tuple
    rows: tuple
    settings: dict

    def names(self):
        return [c.name for c in self.columns]

    def counted(self):
        return collections.Counter(self.rows)


class Step(NamedTuple):
    name: str
    # What is done, as text.
    text: str
    # Called with a session.
    run: object
    after: State
    # The multiset of (change, row) that the feed tells, rows with the columns after; None: only its sum is known.
    changes: object
    # The path of the table after this step, where it is another.
    path: str = None
    forgets: bool = False


def literal(value, kind):
    if value is None:
        return f"CAST(NULL AS {kind})"
    if kind == "STRING":
        return f"'{value}'"
    if kind == "DATE":
        return f"DATE'{value}'"
    if kind == "DOUBLE":
        return f"{value!r}D"
    if kind == "BIGINT":
        return f"{value}L"
    if kind == STRUCT:
        return f"named_struct('a', {literal(value[0], 'INT')}, 'b', {literal(value[1], 'STRING')})"
    return str(value)


def values(rows, columns):
    """`SELECT` of literal rows."""
    listed = ", ".join("(" + ", ".join(literal(v, c.type) for v, c in zip(row, columns, strict=True)) + ")" for row in rows)
    names = ", ".join(c.name for c in columns)
    if not rows:
        return "SELECT " + ", ".join(f"CAST(NULL AS {c.type}) AS {c.name}" for c in columns) + " WHERE false"
    return f"SELECT * FROM VALUES {listed} AS given({names})"


def statement(sql):
    return sql, lambda session: session.sql(sql).collect()


def written(rows, columns, path, parts, mode, **options):
    """A write by DataFrame."""
    query = values(rows, columns)

    def run(session):
        writer = session.sql(query).repartition(parts).write.format("delta").mode(mode)
        partitioned = options.get("partitionBy")
        if partitioned:
            writer = writer.partitionBy(partitioned)
        writer.options(**{k: v for k, v in options.items() if k != "partitionBy"}).save(path)

    return f"{query} -- {parts} parts, mode {mode}, {options}", run


def told(change, rows):
    return collections.Counter((change, row) for row in rows)


class Clause(NamedTuple):
    """A clause of MERGE: its text, when it applies to (target, source), and the row it makes (None: deletes)."""

    kind: str
    text: str
    applies: object
    makes: object


def merged(target, source, matches, clauses, widen):
    """The rows after a MERGE, and its feed. `widen` gives a row of the target the columns after the statement."""
    rows, changes, used = [], collections.Counter(), set()
    for row in target:
        found = [i for i, s in enumerate(source) if matches(row, s)]
        used.update(found)
        kind = "MATCHED" if found else "BY SOURCE"
        pairs = [source[i] for i in found] or [None]
        hits = [(c, s) for s in pairs for c in [next((c for c in clauses if c.kind == kind and c.applies(row, s)), None)] if c]
        if not hits:
            rows.append(widen(row))
            continue
        clause, with_row = hits[0]
        new = clause.makes(row, with_row)
        if new is None:
            changes[("delete", widen(row))] += 1
        else:
            rows.append(new)
            changes[("update_preimage", widen(row))] += 1
            changes[("update_postimage", new)] += 1
    for i, s in enumerate(source):
        clause = None if i in used else next((c for c in clauses if c.kind == "NOT MATCHED" and c.applies(None, s)), None)
        if clause:
            new = clause.makes(None, s)
            rows.append(new)
            changes[("insert", new)] += 1
    return tuple(rows), changes


class Generator:
    """Makes steps at random for the state it is given."""

    def __init__(self, chance, path, layout):
        self.chance, self.path, self.layout = chance, path, layout
        self.next_id = 0
        self.made = 0
        self.state = None
        # States that can be read still, by version.
        self.versions = {}

    # -- values ---------------------------------------------------------------------------------------------------

    @property
    def table(self):
        return f"delta.`{self.path}`"

    def value(self, kind):
        n = self.chance.randrange(1000)
        if self.chance.random() < 0.15:
            return None
        if kind == "STRING":
            return self.chance.choice(["", "a", "é", "x y"]) + str(n)
        if kind == "DATE":
            return datetime.date(2020, 1, 1) + datetime.timedelta(days=n)
        if kind == "DOUBLE":
            return n / 8
        if kind == STRUCT:
            return (n if n % 3 else None, f"s{n}")
        return n

    def row(self, columns, id=None):
        if id is None:
            id, self.next_id = self.next_id, self.next_id + 1
        return (id, self.chance.randrange(KEYS), *(self.value(c.type) for c in columns[2:]))

    def rows(self, count):
        return tuple(self.row(self.state.columns) for _ in range(count))

    def with_rows(self, rows):
        return self.state._replace(rows=tuple(rows))

    def parts(self):
        return self.chance.randrange(1, 4)

    def new_column(self):
        self.made += 1
        return Column(f"x{self.made}", self.chance.choice(EXTRA_TYPES))

    # -- the table ------------------------------------------------------------------------------------------------

    def create(self):
        columns = (Column("id", "BIGINT"), Column("k", "INT"), Column("v", self.chance.choice(["INT", "BIGINT"])))
        columns += tuple(self.new_column() for _ in range(self.chance.randrange(3)))
        settings = {
            "delta.enableChangeDataFeed": self.chance.choice(["true", "true", "false"]),
            "delta.enableDeletionVectors": self.chance.choice(["true", "false"]),
        }
        if self.chance.random() < 0.4:
            settings["delta.columnMapping.mode"] = self.chance.choice(["name", "id"])
        if self.chance.random() < 0.4:
            settings["delta.enableTypeWidening"] = "true"
        if self.chance.random() < 0.3:
            settings["delta.checkpointInterval"] = "3"
        if self.chance.random() < 0.2:
            settings["delta.checkpointPolicy"] = "v2"
        clause = {"plain": "", "partitioned": "PARTITIONED BY (k)", "clustered": "CLUSTER BY (k)"}[self.layout]
        listed = ", ".join(f"'{k}' = '{v}'" for k, v in settings.items())
        declared = ", ".join(f"{c.name} {c.type}" for c in columns)
        self.state = State(columns, (), settings)
        sql = f"CREATE TABLE {self.table} ({declared}) USING delta {clause} TBLPROPERTIES ({listed})"
        return Step("create", *statement(sql), self.state, collections.Counter())

    def append(self):
        rows = self.rows(self.chance.randrange(1, 25))
        if self.chance.random() < 0.5:
            text, run = written(rows, self.state.columns, self.path, self.parts(), "append")
        else:
            text, run = statement(f"INSERT INTO {self.table} {values(rows, self.state.columns)}")
        return Step("append", text, run, self.with_rows(self.state.rows + rows), told("insert", rows))

    def append_evolving(self):
        """mergeSchema adds a column."""
        added = self.new_column()
        columns = (*self.state.columns, added)
        rows = tuple(self.row(columns) for _ in range(self.chance.randrange(1, 8)))
        text, run = written(rows, columns, self.path, self.parts(), "append", mergeSchema="true")
        after = State(columns, (*((*r, None) for r in self.state.rows), *rows), self.state.settings)
        return Step("append with mergeSchema", text, run, after, told("insert", rows))

    def overwrite(self):
        rows = self.rows(self.chance.randrange(0, 25))
        text, run = written(rows, self.state.columns, self.path, self.parts(), "overwrite")
        return Step("overwrite", text, run, self.with_rows(rows), told("delete", self.state.rows) + told("insert", rows))

    def replace_where(self):
        low = self.chance.randrange(KEYS)
        rows = tuple((r[0], max(low, r[1]), *r[2:]) for r in self.rows(self.chance.randrange(0, 8)))
        text, run = written(rows, self.state.columns, self.path, self.parts(), "overwrite", replaceWhere=f"k >= {low}")
        gone = [r for r in self.state.rows if r[1] >= low]
        kept = [r for r in self.state.rows if r[1] < low]
        return Step("replaceWhere", text, run, self.with_rows([*kept, *rows]), told("delete", gone) + told("insert", rows))

    def overwrite_partitions(self):
        if self.layout != "partitioned":
            return None
        rows = self.rows(self.chance.randrange(1, 6))
        text, run = written(rows, self.state.columns, self.path, self.parts(), "overwrite", partitionOverwriteMode="dynamic")
        keys = {r[1] for r in rows}
        gone = [r for r in self.state.rows if r[1] in keys]
        kept = [r for r in self.state.rows if r[1] not in keys]
        return Step("dynamic overwrite", text, run, self.with_rows([*kept, *rows]), told("delete", gone) + told("insert", rows))

    # -- rows that are there --------------------------------------------------------------------------------------

    def condition(self):
        """A condition and what it says of a row."""
        a = self.chance.randrange(KEYS)
        if not self.state.rows:
            return f"k = {a}", lambda r: r[1] == a
        some = sorted(self.chance.sample([r[0] for r in self.state.rows], min(3, len(self.state.rows))))
        return self.chance.choice(
            [
                (f"k = {a}", lambda r: r[1] == a),
                (f"v > {a * 100}", lambda r: r[2] is not None and r[2] > a * 100),
                (f"v IS NULL OR k > {a}", lambda r: r[2] is None or r[1] > a),
                (f"id IN ({', '.join(map(str, some))})", lambda r: r[0] in some),
                (f"id % 5 = {a % 5} AND NOT (k <=> {a})", lambda r: r[0] % 5 == a % 5 and r[1] != a),
                ("true", lambda r: True),
            ]
        )

    def update(self):
        condition, holds = self.condition()
        b = self.chance.randrange(1, 20)
        sets = ["v = coalesce(v, 0) + " + str(b)]
        at = {2: lambda r: (r[2] or 0) + b}
        if self.chance.random() < 0.4:
            sets.append(f"k = (k + {b}) % {KEYS}")
            at[1] = lambda r: (r[1] + b) % KEYS
        if len(self.state.columns) > 3 and self.chance.random() < 0.6:
            i = self.chance.randrange(3, len(self.state.columns))
            column = self.state.columns[i]
            if column.type == STRUCT and self.chance.random() < 0.5:
                sets.append(f"{column.name}.a = {b}")
                at[i] = lambda r, i=i: (b, r[i][1] if r[i] else None)
            else:
                new = self.value(column.type)
                sets.append(f"{column.name} = {literal(new, column.type)}")
                at[i] = lambda r, new=new: new
        rows, changes = [], collections.Counter()
        for row in self.state.rows:
            if holds(row):
                new = tuple(at[i](row) if i in at else v for i, v in enumerate(row))
                rows.append(new)
                changes[("update_preimage", row)] += 1
                changes[("update_postimage", new)] += 1
            else:
                rows.append(row)
        where = "" if condition == "true" else f" WHERE {condition}"
        return Step("update", *statement(f"UPDATE {self.table} SET {', '.join(sets)}{where}"), self.with_rows(rows), changes)

    def delete(self):
        condition, holds = self.condition()
        gone = [r for r in self.state.rows if holds(r)]
        where = "" if condition == "true" else f" WHERE {condition}"
        kept = [r for r in self.state.rows if not holds(r)]
        return Step("delete", *statement(f"DELETE FROM {self.table}{where}"), self.with_rows(kept), told("delete", gone))

    # -- MERGE ----------------------------------------------------------------------------------------------------

    def source(self, columns):
        """Rows for a MERGE: some known ids, some new."""
        known = [r[0] for r in self.state.rows]
        touched = self.chance.sample(known, min(len(known), self.chance.randrange(8)))
        return [self.row(columns, id) for id in touched] + [self.row(columns) for _ in range(self.chance.randrange(1, 6))]

    def merge(self):
        return self.chance.choice([self.merge_clauses, self.merge_star, self.merge_evolving, self.merge_delete, self.merge_keys, self.merge_insert])()

    def merge_step(self, name, source, columns, on, matches, clauses, after=None, widen=None):
        after = after or self.state.columns
        rows, changes = merged(self.state.rows, source, matches, clauses, widen or (lambda r: r))
        texts = " ".join(c.text for c in clauses)
        evolves = "WITH SCHEMA EVOLUTION " if name == "merge evolving" else ""
        sql = f"MERGE {evolves}INTO {self.table} t USING ({values(source, columns)}) s ON {on} {texts}"
        return Step(name, *statement(sql), State(after, rows, self.state.settings), changes)

    def by_source(self):
        """Maybe clauses about rows that the source does not have."""
        limit = self.chance.randrange(KEYS)
        kinds = [
            Clause("BY SOURCE", f"WHEN NOT MATCHED BY SOURCE AND t.k = {limit} THEN UPDATE SET v = -1",
                   lambda t, s: t[1] == limit, lambda t, s: (t[0], t[1], -1, *t[3:])),
            Clause("BY SOURCE", f"WHEN NOT MATCHED BY SOURCE AND t.k > {limit} THEN DELETE",
                   lambda t, s: t[1] > limit, lambda t, s: None),
        ]
        return [c for c in kinds if self.chance.random() < 0.25]

    def merge_clauses(self):
        columns = self.state.columns
        limit = self.chance.randrange(KEYS)
        names = self.state.names()
        clauses = [
            Clause("MATCHED", f"WHEN MATCHED AND s.k < {limit} THEN DELETE", lambda t, s: s[1] < limit, lambda t, s: None),
            Clause("MATCHED", "WHEN MATCHED AND s.v IS NOT NULL THEN UPDATE SET v = s.v, k = (t.k + s.k) % 8",
                   lambda t, s: s[2] is not None, lambda t, s: (t[0], (t[1] + s[1]) % 8, s[2], *t[3:])),
        ]
        if self.chance.random() < 0.5:
            clauses.reverse()
        clauses.append(
            Clause("NOT MATCHED", f"WHEN NOT MATCHED AND s.k <> {limit} THEN INSERT ({', '.join(names)}) VALUES ({', '.join('s.' + n for n in names)})",
                   lambda t, s: s[1] != limit, lambda t, s: s))
        if self.chance.random() < 0.5:
            clauses.append(Clause("NOT MATCHED", "WHEN NOT MATCHED THEN INSERT (id, k) VALUES (s.id, 0)",
                                  lambda t, s: True, lambda t, s: (s[0], 0, *(None,) * (len(columns) - 2))))
        return self.merge_step("merge", self.source(columns), columns, "t.id = s.id", lambda t, s: t[0] == s[0], clauses + self.by_source())

    def merge_star(self):
        order = list(range(len(self.state.columns)))
        self.chance.shuffle(order)
        source = self.source(self.state.columns)
        clauses = [
            Clause("MATCHED", "WHEN MATCHED THEN UPDATE SET *", lambda t, s: True, lambda t, s: s),
            Clause("NOT MATCHED", "WHEN NOT MATCHED THEN INSERT *", lambda t, s: True, lambda t, s: s),
        ]
        clauses = [c for c in clauses if self.chance.random() < 0.85] or clauses
        step = self.merge_step("merge *", source, self.state.columns, "t.id = s.id", lambda t, s: t[0] == s[0], clauses + self.by_source())
        # The source's columns in another order mean the same.
        shuffled = values([tuple(r[i] for i in order) for r in source], [self.state.columns[i] for i in order])
        text, run = statement(step.text.replace(values(source, self.state.columns), shuffled))
        return step._replace(text=text, run=run)

    def merge_evolving(self):
        """The source has a column more and perhaps one less."""
        added = self.new_column()
        after = (*self.state.columns, added)
        lacking = None
        if len(self.state.columns) > 3 and self.chance.random() < 0.4:
            lacking = self.chance.randrange(3, len(self.state.columns))
        columns = [c for i, c in enumerate(after) if i != lacking]
        source = self.source(columns)

        def full(s, t):
            """A row of the source as one of the table: what it lacks stays."""
            row = list(s)
            if lacking is not None:
                row.insert(lacking, t[lacking] if t else None)
            return tuple(row)

        clauses = [
            Clause("MATCHED", "WHEN MATCHED THEN UPDATE SET *", lambda t, s: True, lambda t, s: full(s, t)),
            Clause("NOT MATCHED", "WHEN NOT MATCHED THEN INSERT *", lambda t, s: True, lambda t, s: full(s, None)),
        ]
        return self.merge_step("merge evolving", source, columns, "t.id = s.id", lambda t, s: t[0] == s[0], clauses, after, lambda r: (*r, None))

    def merge_delete(self):
        """Deletes by a source with rows twice: allowed, since nothing else can be meant."""
        source = self.source(self.state.columns)
        clause = Clause("MATCHED", "WHEN MATCHED THEN DELETE", lambda t, s: True, lambda t, s: None)
        return self.merge_step("merge delete", source * 2, self.state.columns, "t.id = s.id", lambda t, s: t[0] == s[0], [clause])

    def merge_keys(self):
        """A row of the source for many of the target."""
        keys = self.chance.sample(range(KEYS), 3)
        source = [(0, k, self.chance.randrange(100)) for k in keys]
        clause = Clause("MATCHED", "WHEN MATCHED AND t.id % 2 = 0 THEN UPDATE SET v = s.v + t.id",
                        lambda t, s: t[0] % 2 == 0, lambda t, s: (t[0], t[1], s[2] + t[0], *t[3:]))
        columns = (Column("id", "BIGINT"), Column("k", "INT"), Column("v", "INT"))
        return self.merge_step("merge keys", source, columns, "t.k = s.k", lambda t, s: t[1] == s[1], [clause, *self.by_source()])

    def merge_insert(self):
        source = self.source(self.state.columns)
        clause = Clause("NOT MATCHED", "WHEN NOT MATCHED THEN INSERT *", lambda t, s: True, lambda t, s: s)
        return self.merge_step("merge insert", source, self.state.columns, "t.id = s.id", lambda t, s: t[0] == s[0], [clause])

    # -- files and versions ---------------------------------------------------------------------------------------

    def optimize(self):
        tails = {"plain": [" ZORDER BY (id, v)"], "clustered": [" FULL"], "partitioned": [" ZORDER BY (id)", f" WHERE k < {self.chance.randrange(KEYS)}"]}
        tail = self.chance.choice(["", *tails[self.layout]])
        text, run = statement(f"OPTIMIZE {self.table}{tail}")
        return Step("optimize", text, self.clustered_first(run) if tail == " FULL" else run, self.state, collections.Counter())

    def clustered_first(self, run):
        """OPTIMIZE FULL is for clustered tables, which overwrites by delta-spark make others."""
        table = self.table

        def clustered(session):
            if not session.sql(f"DESCRIBE DETAIL {table}").first()["clusteringColumns"]:
                try:
                    run(session)
                except Exception as e:
                    assert "DELTA_OPTIMIZE_FULL_NOT_SUPPORTED" in str(e), e
                else:
                    raise AssertionError("OPTIMIZE FULL of a table without clustering columns")
                session.sql(f"ALTER TABLE {table} CLUSTER BY (k)")
            run(session)

        return clustered

    def reorg(self):
        return Step("reorg", *statement(f"REORG TABLE {self.table} APPLY (PURGE)"), self.state, collections.Counter())

    def restore(self):
        mapping = self.state.settings.get("delta.columnMapping.mode")
        fit = [v for v, s in self.versions.items() if s.settings.get("delta.columnMapping.mode") == mapping]
        if not fit:
            return None
        version = self.chance.choice(fit)
        sql = f"RESTORE TABLE {self.table} TO VERSION AS OF {version}"
        return Step("restore", *statement(sql), self.versions[version], None)

    def vacuum(self):
        if self.chance.random() < 0.5:
            return Step("vacuum", *statement(f"VACUUM {self.table}"), self.state, collections.Counter())
        return Step("vacuum all", *statement(f"VACUUM {self.table} RETAIN 0 HOURS"), self.state, collections.Counter(), forgets=True)

    def clone(self):
        self.made += 1
        path = f"{self.path.split('_clone')[0]}_clone{self.made}"
        sql = f"CREATE TABLE delta.`{path}` SHALLOW CLONE {self.table}"
        return Step("clone", *statement(sql), self.state, None, path=path)

    # -- columns and properties -----------------------------------------------------------------------------------

    def set_property(self, key, value):
        after = self.state._replace(settings={**self.state.settings, key: value})
        sql = f"ALTER TABLE {self.table} SET TBLPROPERTIES ('{key}' = '{value}')"
        return Step(f"{key} = {value}", *statement(sql), after, collections.Counter())

    def toggle(self):
        key = self.chance.choice(["delta.enableChangeDataFeed", "delta.enableDeletionVectors"])
        return self.set_property(key, "false" if self.state.settings[key] == "true" else "true")

    def enable(self):
        key, value = self.chance.choice([("delta.columnMapping.mode", "name"), ("delta.enableTypeWidening", "true")])
        return None if key in self.state.settings else self.set_property(key, value)

    def add_column(self):
        added = self.new_column()
        at = self.chance.choice([len(self.state.columns), 3])
        columns = (*self.state.columns[:at], added, *self.state.columns[at:])
        rows = tuple((*r[:at], None, *r[at:]) for r in self.state.rows)
        where = "" if at == len(self.state.columns) else f" AFTER {self.state.columns[at - 1].name}"
        sql = f"ALTER TABLE {self.table} ADD COLUMNS ({added.name} {added.type}{where})"
        return Step("add column", *statement(sql), State(columns, rows, self.state.settings), collections.Counter())

    def extra(self):
        """The place of a column that may be renamed or dropped."""
        if "delta.columnMapping.mode" not in self.state.settings or len(self.state.columns) < 4:
            return None
        return self.chance.randrange(3, len(self.state.columns))

    def rename_column(self):
        i = self.extra()
        if i is None:
            return None
        self.made += 1
        old = self.state.columns[i]
        columns = (*self.state.columns[:i], Column(f"y{self.made}", old.type), *self.state.columns[i + 1 :])
        sql = f"ALTER TABLE {self.table} RENAME COLUMN {old.name} TO y{self.made}"
        return Step("rename column", *statement(sql), self.state._replace(columns=columns), collections.Counter())

    def drop_column(self):
        i = self.extra()
        if i is None:
            return None
        columns = (*self.state.columns[:i], *self.state.columns[i + 1 :])
        rows = tuple((*r[:i], *r[i + 1 :]) for r in self.state.rows)
        sql = f"ALTER TABLE {self.table} DROP COLUMN {self.state.columns[i].name}"
        return Step("drop column", *statement(sql), State(columns, rows, self.state.settings), collections.Counter())

    def widen_column(self):
        fit = [i for i, c in enumerate(self.state.columns) if c.type == "INT" and i != 1]
        if not fit or self.state.settings.get("delta.enableTypeWidening") != "true":
            return None
        i = self.chance.choice(fit)
        old = self.state.columns[i]
        columns = (*self.state.columns[:i], Column(old.name, "BIGINT"), *self.state.columns[i + 1 :])
        sql = f"ALTER TABLE {self.table} ALTER COLUMN {old.name} TYPE BIGINT"
        return Step("widen column", *statement(sql), self.state._replace(columns=columns), collections.Counter())

    WEIGHTS = {
        append: 5, append_evolving: 1, overwrite: 1, replace_where: 2, overwrite_partitions: 2, update: 5, delete: 4, merge: 7,
        optimize: 3, reorg: 1, restore: 2, vacuum: 1, clone: 1, toggle: 2, enable: 1,
        add_column: 1, rename_column: 1, drop_column: 1, widen_column: 1,
    }

    def step(self):
        """A step that fits the table as it is."""
        while True:
            made = self.chance.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0](self)
            if made:
                return made
