#!/usr/bin/env python3
"""Random expressions and queries, ours against Apache Spark: names, types, nullability, rows, error classes.

    pip install 'pyspark[connect]==4.2.*'      # and Java 17, for Spark itself
    python tools/fuzz_spark.py --spark sc://localhost:15002 --ours sc://localhost:15003 --seed 1 --from 0 --count 1000

Case N of a seed is the same statement always: `--from N --count 1 -v` shows it again. Statements are about the view `t`,
whose rows come from the seed too. What differs is printed and, with `--json`, kept. Floating-point numbers may differ in the
last digits, because sums depend on the order of rows.
"""

import argparse
import collections
import json
import math
import random
import re

import record_sql

COLUMNS = {
    "bool": ["b"],
    "byte": ["ti"],
    "short": ["si"],
    "int": ["i", "j"],
    "long": ["l"],
    "float": ["f"],
    "double": ["d"],
    "decimal": ["n", "nn"],
    "string": ["s", "u"],
    "date": ["dt"],
    "timestamp": ["ts"],
    "ntz": ["tn"],
    "binary": ["bi"],
    "ints": ["ai"],
    "strings": ["sa"],
    "map": ["m"],
    "struct": ["st"],
}
SQL_TYPES = {
    "bool": "BOOLEAN", "byte": "TINYINT", "short": "SMALLINT", "int": "INT", "long": "BIGINT", "float": "FLOAT",
    "double": "DOUBLE", "decimal": "DECIMAL(10,2)", "string": "STRING", "date": "DATE", "timestamp": "TIMESTAMP",
    "ntz": "TIMESTAMP_NTZ", "binary": "BINARY", "ints": "ARRAY<INT>", "strings": "ARRAY<STRING>",
    "map": "MAP<STRING,INT>", "struct": "STRUCT<x:INT,y:STRING>",
}  # fmt: skip
LITERALS = {
    "bool": ["true", "false"],
    "byte": ["0Y", "1Y", "127Y", "-128Y"],
    "short": ["0S", "7S", "32767S"],
    "int": ["0", "1", "2", "-1", "3", "10", "2147483647", "100"],
    "long": ["0L", "1L", "5L", "9223372036854775807L", "-3L"],
    "float": ["0.0F", "1.5F", "-2.25F", "3.4E38F"],
    "double": ["0.0D", "1.5D", "-2.5D", "1E300D", "0.1D"],
    "decimal": ["0.00", "1.25", "-3.5", "12345678.91", "99999999.99", "0.5BD"],
    "string": ["''", "'a'", "'Spark SQL'", "'12'", "' x '", "'2020-02-29'", "'1.5'", "'ÄÖ€'", "'a,b,c'", "'true'", "'abcabc'"],
    "date": ["DATE'2020-02-29'", "DATE'1969-12-31'", "DATE'1582-10-04'", "DATE'2024-12-31'"],
    "timestamp": ["TIMESTAMP'2020-02-29 12:34:56.789'", "TIMESTAMP'1969-12-31 23:59:59'", "TIMESTAMP'2021-03-14 02:30:00'"],
    "ntz": ["TIMESTAMP_NTZ'2020-02-29 12:34:56.789'", "TIMESTAMP_NTZ'2021-11-07 01:30:00'"],
    "binary": ["X''", "X'00FF'", "X'537061726B'"],
    "ints": ["array(1, 2, 3)", "array(3, NULL, 1)", "array(1)", "CAST(array() AS ARRAY<INT>)"],
    "strings": ["array('a', 'b')", "array('x', NULL)", "split('a,b,c', ',')"],
    "map": ["map('a', 1, 'b', 2)", "map('x', CAST(NULL AS INT))"],
    "struct": ["named_struct('x', 1, 'y', 'z')"],
}  # fmt: skip
NUMBERS = ["byte", "short", "int", "long", "float", "double", "decimal"]
TIMES = ["date", "timestamp", "ntz"]
ANY = "any"

# name: (arguments, result); `number` and `time` are any of their kind, `same` an argument like the first.
FUNCTIONS = """
abs(number)number; sign(number)double; ceil(double)long; floor(double)long; ceil(decimal)decimal; floor(decimal)decimal
round(decimal,small)decimal; round(double,small)double; bround(double,small)double; sqrt(double)double; cbrt(double)double
exp(small)double; ln(double)double; log10(double)double; log2(double)double; log(double,double)double; pow(double,small)double
sin(double)double; cos(double)double; tan(double)double; atan2(double,double)double; degrees(double)double
greatest(number,same,same)number; least(number,same)number; pmod(number,same)number; mod(int,int)int; hex(long)string
bin(long)string; conv(string,base,base)string; factorial(small)long; shiftleft(int,small)int; shiftright(int,small)int
bit_count(int)int; width_bucket(double,double,double,int)long; isnan(double)bool; nanvl(double,double)double; positive(int)int
negative(number)number; rint(double)double; signum(double)double; e()double; hypot(double,double)double; try_add(int,int)int
try_divide(double,double)double; try_subtract(int,int)int; try_multiply(int,int)int; unhex(string)binary; crc32(binary)long
upper(string)string; lower(string)string; initcap(string)string; length(string)int; char_length(string)int; trim(string)string
ltrim(string)string; rtrim(string)string; reverse(string)string; repeat(string,small)string; concat(string,string)string
concat_ws(string,string,string)string; substring(string,small,small)string; substr(string,small)string; left(string,small)string
right(string,small)string; instr(string,string)int; locate(string,string)int; position(string,string)int; lpad(string,small,string)string
rpad(string,small,string)string; replace(string,string,string)string; translate(string,string,string)string; ascii(string)int
chr(int)string; space(small)string; split(string,string)strings; split_part(string,string,index)string; soundex(string)string
levenshtein(string,string)int; md5(string)string; sha1(string)string; sha2(string,bits)string; base64(binary)string
unbase64(string)binary; encode(string,charset)binary; decode(binary,charset)string; format_number(double,small)string
format_string('%s-%s',string,int)string; overlay(string,string,small)string; contains(string,string)bool
startswith(string,string)bool; endswith(string,string)bool; find_in_set(string,string)int; substring_index(string,string,small)string
regexp_replace(string,pattern,string)string; regexp_extract(string,pattern,0)string; regexp_count(string,pattern)int
rlike(string,pattern)bool; like(string,string)bool; btrim(string)string; octet_length(string)int; bit_length(string)int
elt(index,string,string)string; isnull(any)bool; isnotnull(any)bool; nvl(string,string)string; nvl2(any,int,int)int
coalesce(int,int)int; coalesce(string,string)string; ifnull(decimal,decimal)decimal; nullif(int,int)int; if(bool,int,int)int
if(bool,string,string)string; typeof(any)string; hash(any)int; xxhash64(any)long; to_json(struct)string; to_json(map)string
year(time)int; month(time)int; day(time)int; quarter(time)int; dayofweek(time)int; dayofyear(time)int; weekofyear(time)int
weekday(time)int; hour(timestamp)int; minute(timestamp)int; second(ntz)int; last_day(date)date; next_day(date,weekday)date
date_add(date,int)date; date_sub(date,small)date; datediff(date,date)int; add_months(date,small)date; months_between(timestamp,timestamp)double
trunc(date,part)date; date_trunc(part,timestamp)timestamp; date_format(timestamp,format)string; to_date(string)date; to_timestamp(string)timestamp
unix_timestamp(timestamp)long; from_unixtime(int)string; unix_date(date)int; date_from_unix_date(int)date; make_date(int,small,small)date
unix_micros(timestamp)long; timestamp_seconds(int)timestamp; timestamp_millis(long)timestamp; extract_year(time)int; make_timestamp(int,small,small,small,small,double)timestamp
to_utc_timestamp(timestamp,zone)timestamp; from_utc_timestamp(timestamp,zone)timestamp; date_part('YEAR',time)int; dayname(date)string; monthname(date)string
size(ints)int; cardinality(strings)int; array_contains(ints,int)bool; array_distinct(ints)ints; array_max(ints)int; array_min(ints)int
array_position(ints,int)long; array_remove(ints,int)ints; array_sort(ints)ints; sort_array(ints)ints; sort_array(strings)strings; slice(ints,index,small)ints
array_union(ints,ints)ints; array_intersect(ints,ints)ints; array_except(ints,ints)ints; arrays_overlap(ints,ints)bool; array_join(strings,string)string
array_repeat(int,small)ints; concat(ints,ints)ints; element_at(ints,index)int; get(ints,small)int; flatten(array(ints,ints))ints; sequence(small,small)ints
array_append(ints,int)ints; array_prepend(ints,int)ints; array_compact(ints)ints; array_insert(ints,index,int)ints; array_size(ints)int; shuffle_free(ints)ints
map_keys(map)strings; map_values(map)ints; element_at(map,string)int; map_contains_key(map,string)bool; map_concat(map)map; map_entries_size(map)int
transform(ints,x -> x + 1)ints; filter(ints,x -> x > 1)ints; exists(ints,x -> x = 2)bool; forall(ints,x -> x > 0)bool; aggregate(ints,0,(a,x) -> a + x)int
zip_with(ints,ints,(x,y) -> x + y)ints; transform_values(map,(k,v) -> v * 2)map; map_filter(map,(k,v) -> v > 1)map; reverse(ints)ints
get_json_object(string,'$.a')string; json_array_length(string)int; try_to_number(string,'999')decimal; bool_to(bool)string; ilike(string,string)bool
mask(string)string; luhn_check(string)bool; to_char(decimal,'99999999.99')string; quote(string)string; collation(string)string; url_encode(string)string; url_decode(string)string
equal_null(any,same)bool; nullifzero(int)int; zeroifnull(int)int; try_element_at(ints,index)int; to_binary(string,'utf-8')binary; is_valid_utf8(string)bool; randstr_free(int)string
"""
REWRITTEN = {"extract_year": "extract(YEAR FROM {0})", "map_entries_size": "size(map_entries({0}))", "bool_to": "CAST({0} AS STRING)",
             "shuffle_free": "array_sort(shuffle({0}))", "randstr_free": "CAST(length(randstr(5, 0)) AS STRING)"}  # fmt: skip
CHOICES = {
    "small": ["0", "1", "2", "3", "5", "-1", "-2", "12"],
    "index": ["1", "2", "3", "-1", "10"],
    "base": ["2", "10", "16", "36"],
    "bits": ["0", "224", "256", "512", "7"],
    "charset": ["'UTF-8'", "'US-ASCII'", "'UTF-16BE'", "'ISO-8859-1'"],
    "pattern": ["'[a-z]+'", "'(\\\\\\\\d+)'", "'a'", "'^S'", "'b|c'"],
    "part": ["'YEAR'", "'month'", "'QUARTER'", "'week'", "'DAY'", "'hour'", "'nope'"],
    "weekday": ["'MO'", "'Tuesday'", "'x'"],
    "format": ["'yyyy-MM-dd'", "'HH:mm:ss.SSS'", "'E, d MMM y'", "'QQQ yy'", "'a hh'", "'DDD'"],
    "zone": ["'UTC'", "'Asia/Tokyo'", "'America/New_York'", "'+05:30'"],
}
AGGREGATES = """
count(any)long; sum(number)number; avg(number)double; min(any)any; max(any)any; count_if(bool)long; bool_and(bool)bool; bool_or(bool)bool
stddev_pop(double)double; var_samp(double)double; max_by(int,long)int; min_by(string,int)string; approx_count_distinct(int)long; bit_and(int)int
bit_or(int)int; bit_xor(long)long; median(int)double; percentile(double,0.5)double; mode(int)int; array_sort(collect_set(int))ints; array_sort(collect_list(int))ints
corr(double,double)double; covar_pop(double,double)double; skewness(double)double; kurtosis(double)double; any_value(1)int; regr_slope(double,double)double
try_sum(int)long; try_avg(decimal)decimal; sum(DISTINCT int)long; count(DISTINCT string)long; grouping_free(int)int; percentile_approx(int,0.5)int; listagg_free(string)string
"""  # fmt: skip


def signatures(text):
    found = []
    for part in re.split(r"[;\n]", text):
        match = re.match(r"\s*(\w+)\((.*)\)(\w+)\s*$", part)
        if match:
            found.append((match[1], split_arguments(match[2]), match[3]))
    return found


def split_arguments(text):
    parts, depth, part = [], 0, ""
    for c in text:
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += c
    return [p.strip() for p in [*parts, part] if p.strip()]


SCALARS = signatures(FUNCTIONS)
AGGREGATE = [s for s in signatures(AGGREGATES) if not s[0].endswith("_free")]
KINDS = list(COLUMNS)


class Case:
    """One statement, made by its own random numbers."""

    def __init__(self, seed, number):
        self.random = random.Random(f"{seed}:{number}")

    def pick(self, items):
        return self.random.choice(items)

    def chance(self, p):
        return self.random.random() < p

    def kind(self, name):
        if name == "number":
            return self.pick(NUMBERS)
        if name == "time":
            return self.pick(TIMES)
        return self.pick(KINDS) if name == ANY else name

    def leaf(self, kind):
        if self.chance(0.06):
            return self.pick(["NULL", f"CAST(NULL AS {SQL_TYPES[kind]})"])
        if self.chance(0.7):
            return self.pick(COLUMNS[kind])
        return self.pick(LITERALS[kind])

    def argument(self, name, depth, first):
        if name in CHOICES:
            return self.pick(CHOICES[name])
        if name == "same":
            name = first
        if name in KINDS or name in ("number", "time", ANY):
            return self.expression(self.kind(name), depth)
        inner = re.match(r"(DISTINCT )?(\w+)$", name)
        if inner and inner[2] in KINDS:
            return (inner[1] or "") + self.expression(inner[2], depth)
        nested = re.match(r"(\w+)\((.*)\)$", name)
        if nested:
            return f"{nested[1]}({', '.join(self.argument(a, depth, first) for a in split_arguments(nested[2]))})"
        return name

    def call(self, signature, depth, result=None):
        name, arguments, _ = signature
        first = self.kind(arguments[0]) if arguments and arguments[0] in ("number", "time", ANY, *KINDS) else None
        if result and arguments and arguments[0] == "number":
            first = result
        written = [self.argument(first if i == 0 and first else a, depth - 1, first) for i, a in enumerate(arguments)]
        if name in REWRITTEN:
            return REWRITTEN[name].format(*written)
        return f"{name}({', '.join(written)})"

    def expression(self, kind, depth):
        if depth <= 0 or self.chance(0.2):
            return self.leaf(kind)
        if self.chance(0.03):  # another type than asked for: coercion, or an error
            kind = self.pick(KINDS)
        forms = [self.function, self.function, self.function, self.conversion, self.case]
        if kind == "bool":
            forms += [self.comparison, self.comparison, self.logic]
        if kind in NUMBERS:
            forms += [self.arithmetic, self.arithmetic]
        if kind in ("int", "string"):
            forms += [self.extraction]
        return self.pick(forms)(kind, depth)

    def function(self, kind, depth):
        fitting = [s for s in SCALARS if s[2] == kind or (s[2] == "number" and kind in NUMBERS)]
        return self.call(self.pick(fitting), depth, kind) if fitting else self.leaf(kind)

    def conversion(self, kind, depth):
        source = self.pick(["string", "int", "double", "decimal", "timestamp", "date", "bool", kind])
        function = self.pick(["CAST", "TRY_CAST"])
        return f"{function}({self.expression(source, depth - 1)} AS {SQL_TYPES[kind]})"

    def case(self, kind, depth):
        condition = self.expression("bool", depth - 1)
        other = f" ELSE {self.expression(kind, depth - 1)}" if self.chance(0.7) else ""
        return f"CASE WHEN {condition} THEN {self.expression(kind, depth - 1)}{other} END"

    def comparison(self, _, depth):
        kind = self.pick([k for k in KINDS if k != "map"])
        other = kind if self.chance(0.8) else self.pick(NUMBERS + ["string"] + TIMES)
        left, right = self.expression(kind, depth - 1), self.expression(other, depth - 1)
        form = self.pick(["{} = {}", "{} <> {}", "{} < {}", "{} >= {}", "{} <=> {}", "{} IS DISTINCT FROM {}", "{} IN ({}, {})", "{} BETWEEN {} AND {}"])
        return "(" + form.format(left, right, self.leaf(other)) + ")"

    def logic(self, _, depth):
        left, right = self.expression("bool", depth - 1), self.expression("bool", depth - 1)
        return self.pick([f"({left} AND {right})", f"({left} OR {right})", f"(NOT {left})", f"({left} IS NULL)", f"({left} IS TRUE)"])

    def arithmetic(self, kind, depth):
        other = kind if self.chance(0.6) else self.pick([*NUMBERS, "string"])
        operator = self.pick(["+", "-", "*", "/", "%", "div"] if kind not in ("float", "double") else ["+", "-", "*", "/", "%"])
        return f"({self.expression(kind, depth - 1)} {operator} {self.expression(other, depth - 1)})"

    def extraction(self, kind, depth):
        if kind == "string":
            return self.pick(["st.y", f"{self.expression('strings', depth - 1)}[{self.pick(['0', '1'])}]"])
        return self.pick(["st.x", "m['a']", f"{self.expression('ints', depth - 1)}[{self.pick(['0', '1', '2'])}]"])

    # ---- queries

    def aggregate(self, depth):
        return self.call(self.pick(AGGREGATE), depth)

    def query(self):
        any_kind = lambda: self.pick(KINDS)  # noqa: E731
        groupable = [k for k in KINDS if k != "map"]
        form = self.random.random()
        if form < 0.6:
            where = f" WHERE {self.expression('bool', 2)}" if self.chance(0.25) else ""
            return f"SELECT {self.expression(any_kind(), 3)} FROM t{where}"
        if form < 0.7:
            return f"SELECT {self.aggregate(2)}, {self.aggregate(1)} FROM t"
        if form < 0.8:
            key = self.expression(self.pick(groupable), 1)
            having = f" HAVING count(*) > {self.pick(['0', '1', '2'])}" if self.chance(0.3) else ""
            grouping = self.pick(["GROUP BY {}", "GROUP BY {}", "GROUP BY ROLLUP({})", "GROUP BY CUBE({}, b)"]).format(key)
            return f"SELECT {key}, {self.aggregate(1)} FROM t {grouping}{having}"
        if form < 0.87:
            order = self.pick(["id", "id DESC", "i NULLS LAST, id"])
            function = self.pick(["row_number()", "rank()", "dense_rank()", "lag(i, 1)", "lead(s, 2, 'z')", "sum(i)", "count(*)", "first_value(s)", "last_value(d)", "ntile(3)", "nth_value(i, 2)", "avg(n)", "max(dt)", "cume_dist()", "percent_rank()"])
            frame = self.pick(["", "", " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"])
            if not function.startswith(("sum", "count", "first", "last", "avg", "max", "nth")):
                frame = ""
            return f"SELECT id, {function} OVER (PARTITION BY {self.pick(['b', 'ti', 's', 'i % 2'])} ORDER BY {order}{frame}) FROM t"
        if form < 0.93:
            join = self.pick(["JOIN", "LEFT JOIN", "FULL JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN", "RIGHT JOIN"])
            side = "a.id, b.id, b.s" if "SEMI" not in join and "ANTI" not in join else "a.id, a.s"
            condition = self.pick(["a.i = b.j", "a.s = b.u", "a.i = b.i AND a.l > b.l", "a.dt = b.dt", "a.n <=> b.n", "a.ti = b.l"])
            return f"SELECT {side} FROM t a {join} t b ON {condition}"
        if form < 0.97:
            kind, other = self.pick(groupable), self.pick(groupable)
            other = kind if self.chance(0.7) else other
            operator = self.pick(["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
            return f"SELECT {self.expression(kind, 2)} FROM t {operator} SELECT {self.expression(other, 2)} FROM t"
        inner = self.pick(["i IN (SELECT j FROM t)", "EXISTS (SELECT 1 FROM t x WHERE x.i = t.j)", "i > (SELECT avg(j) FROM t)", "s NOT IN (SELECT u FROM t WHERE u IS NOT NULL)", "(SELECT max(x.i) FROM t x WHERE x.s = t.s) = i"])
        return f"SELECT id, {self.expression('string', 2)} FROM t WHERE {inner}"


def table(seed):
    """The view that all statements are about."""
    rows = random.Random(f"{seed}:rows")

    def value(kind):
        if rows.random() < 0.15:
            return f"CAST(NULL AS {SQL_TYPES[kind]})"
        if kind == "int" and rows.random() < 0.6:
            return str(rows.randint(-3, 6))
        if kind == "string" and rows.random() < 0.5:
            return rows.choice(["'a'", "'b'", "'Spark'", "'1'", "'2'"])
        text = rows.choice(LITERALS[kind])
        return f"CAST({text} AS {SQL_TYPES[kind]})" if kind == "decimal" else text

    names = ["id"] + [name for kind in KINDS for name in COLUMNS[kind]]
    lines = []
    for n in range(12):
        values = [str(n)] + [value(kind) for kind in KINDS for _ in COLUMNS[kind]]
        lines.append(f"({', '.join(values)})")
    return f"CREATE OR REPLACE TEMP VIEW t AS SELECT * FROM VALUES {', '.join(lines)} AS t({', '.join(names)})"


NUMBER = re.compile(r"-?\d+\.\d+(?:[eE][-+]?\d+)?")


def near(a, b):
    """Whether two texts of rows are the same but for the last digits of floating-point numbers."""
    if a == b:
        return True
    if NUMBER.sub("#", a) != NUMBER.sub("#", b):
        return False
    pairs = zip(NUMBER.findall(a), NUMBER.findall(b), strict=True)
    return all(x == y or math.isclose(float(x), float(y), rel_tol=1e-9, abs_tol=1e-12) for x, y in pairs)


def without_counters(text):
    """Names of columns without what each run makes anew."""
    return re.sub(r"#\d+", "#", text)


# Errors that a value raises while a query runs.
RUNTIME = {
    "ARITHMETIC_OVERFLOW", "BINARY_ARITHMETIC_OVERFLOW", "CAST_INVALID_INPUT", "CAST_OVERFLOW", "CONVERSION_INVALID_INPUT",
    "DATETIME_FIELD_OUT_OF_BOUNDS", "DIVIDE_BY_ZERO", "INTERVAL_ARITHMETIC_OVERFLOW", "INVALID_ARRAY_INDEX",
    "INVALID_ARRAY_INDEX_IN_ELEMENT_AT", "INVALID_INDEX_OF_ZERO", "NUMERIC_VALUE_OUT_OF_RANGE", "REMAINDER_BY_ZERO",
    "INVALID_PARAMETER_VALUE", "CANNOT_PARSE_TIMESTAMP", "SCALAR_SUBQUERY_TOO_MANY_ROWS", "ILLEGAL_DAY_OF_WEEK",
}  # fmt: skip


def without_signs_of_overflow(answer):
    """The answer with one word for all numbers that are not finite."""
    return {**answer, "rows": sorted(re.sub(r"-?\binf\b|\bNaN\b", "NaN", row) for row in answer.get("rows", []))}


def explained(want, got):
    """Why answers may differ without either being wrong, or nothing."""
    ours, spark = got.get("error", ""), want.get("error", "")
    if ours and spark and not re.fullmatch(r"[A-Z][A-Z0-9_.]+", spark):
        return "Spark has no class for its error"
    runtime = lambda e: e.split(".")[0] in RUNTIME  # noqa: E731
    if runtime(ours) and runtime(spark):
        return "several values are errors, and which comes first is open: Spark goes by rows, we by columns"
    if not ours and not spark and same(without_signs_of_overflow(want), without_signs_of_overflow(got)):
        return "squares beyond the range of doubles: infinite or NaN by how rows are split"
    if runtime(ours) and not spark:
        return "Spark never computed the value that is an error here, because it was not needed for the row"
    return None


OVER_VALUES = "Spark evaluates over VALUES, as `t` is, what it does not evaluate over a table with the same rows"


def stored(session):
    """Keeps the rows of `t` in a table of files, too."""
    session.sql("DROP TABLE IF EXISTS stored_t").collect()
    session.sql("CREATE TABLE stored_t USING parquet AS SELECT * FROM t").collect()


def over_table(sql):
    return re.sub(r"\bFROM t\b", "FROM stored_t AS t", sql)


def same(want, got):
    if "error" in want or "error" in got:
        return want.get("error") == got.get("error")
    columns = lambda a: [[without_counters(name), t, n] for name, t, n in a["columns"]]  # noqa: E731
    if columns(want) != columns(got) or len(want["rows"]) != len(got["rows"]):
        return False
    # Numbers that are near each other may stand in another order among the sorted rows.
    rounded = lambda a: sorted(a["rows"], key=lambda row: NUMBER.sub(lambda n: f"{float(n[0]):.6f}", row))  # noqa: E731
    return all(near(a, b) for a, b in zip(rounded(want), rounded(got), strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spark", required=True)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--json")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    from pyspark.sql import SparkSession

    record_sql.local_time()
    sessions = [SparkSession.builder.remote(url).create() for url in (options.spark, options.ours)]
    for session in sessions:
        for key, value in record_sql.CONF.items():
            session.conf.set(key, value)
        session.sql(table(options.seed)).collect()
    stored(sessions[0])
    counts, differences = collections.Counter(), []
    for number in range(options.first, options.first + options.count):
        sql = Case(options.seed, number).query()
        want, got = (record_sql.answer(session, sql) for session in sessions)
        counts["errors of both" if "error" in want and want.get("error") == got.get("error") else "statements"] += 1
        if options.verbose:
            print(number, sql, want, got, sep="\n  ", flush=True)
        if not same(want, got):
            why = explained(want, got)
            if why is None and "error" in want and "error" not in got:
                why = OVER_VALUES if same(record_sql.answer(sessions[0], over_table(sql)), got) else None
            counts[why or "differ"] += 1
            if why and not options.verbose:
                continue
            differences.append({"case": number, "sql": sql, "spark": want, "ours": got})
            show = lambda a: a.get("error") or (a["columns"], a["rows"][:6])  # noqa: E731
            print(f"case {number}: {sql}\n  spark {show(want)}\n  ours  {show(got)}", flush=True)
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"seed": options.seed, "differences": differences}, out, indent=1, ensure_ascii=False)
    print(dict(counts))
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
