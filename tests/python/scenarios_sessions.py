"""Session windows over streams and over tables: what comes out of each round, and the counters of state."""

from scenarios_streams import Stream, expression, minute

SCENARIOS = {}
ROW = "id INT, at TIMESTAMP, v INT, gap STRING"


def scenario(function):
    SCENARIOS[function.__name__.replace("_", " ")] = function
    return function


def row(id, at, v=1, gap=None):
    return {"id": id, "at": at if at is None or isinstance(at, str) else minute(at), "v": v, "gap": gap}


def sessions(frame, session, *aggregates, keys=("id",)):
    grouped = frame.groupBy(*keys, expression(frame, session).alias("s"))
    return grouped.agg(*[expression(frame, a) for a in aggregates or ("count(*) AS n", "sum(v) AS total")])


def flat(frame, *keys):
    names = [c for c in frame.columns if c not in ("s", *keys)]
    return frame.selectExpr(*keys, "s.start AS began", "s.end AS ended", *names)


FIXED = "session_window(at, '5 minutes')"

# Sessions that grow, that meet through a later row, that are over, and rows that come too late.
ROUNDS = [
    [row(1, 0), row(1, 3, 2), row(1, 10, 4), row(2, 1), row(None, 2), row(3, None)],
    [row(1, 6, 8), row(2, 20), row(2, 24, 2)],
    [row(1, 7, 16), row(1, 12, 32), row(2, 29, 4), row(4, 30), row(2, 4, 64)],
    [row(1, 50), row(4, 33, 2), row(1, 22, 128)],
    [row(9, 200)],
    [row(9, 400)],
]


@scenario
def sessions_with_a_gap(world):
    stream = Stream(world)
    timed = stream.source("a", ROW).withWatermark("at", "10 minutes")
    stream.start(flat(sessions(timed, FIXED), "id"))
    for rows in ROUNDS:
        stream.round(a=rows)


@scenario
def sessions_with_a_gap_of_each_row(world):
    stream = Stream(world)
    timed = stream.source("a", ROW).withWatermark("at", "10 minutes")
    gap = "CASE WHEN v = 1 THEN '1 minute' WHEN v = 2 THEN '20 minutes' WHEN v = 3 THEN '0 seconds' WHEN v = 4 THEN '-5 minutes' ELSE gap END"
    stream.start(flat(sessions(timed, f"session_window(at, {gap})", "count(*) AS n", "collect_set(v) AS vs"), "id").selectExpr("id", "began", "ended", "n", "sort_array(vs) AS vs"))
    stream.round(a=[row(1, 0), row(1, 2, 2), row(1, 15), row(1, 30, 3), row(1, 40, 4), row(2, 5, 9, "3 minutes"), row(2, 6, 9, None)])
    stream.round(a=[row(1, 20, 2), row(1, 41, 9, "90 seconds"), row(2, 8, 9, "1 hour"), row(3, 0)])
    stream.round(a=[row(2, 66), row(1, 38, 9, "3 minutes 1 second")])
    stream.round(a=[row(9, 300)])
    stream.round(a=[row(9, 500)])


@scenario
def sessions_with_many_aggregates(world):
    stream = Stream(world)
    timed = stream.source("a", ROW).withWatermark("at", "10 minutes")
    aggregates = ["avg(v) AS mean", "min(at) AS first", "max(v) AS most", "approx_count_distinct(v) AS some", "stddev(v) AS sd", "count(*) FILTER (WHERE v > 2) AS big"]
    stream.start(flat(sessions(timed, FIXED, *aggregates), "id"))
    for rows in ROUNDS:
        stream.round(a=rows)


@scenario
def sessions_of_several_keys(world):
    stream = Stream(world)
    timed = stream.source("a", ROW).withWatermark("at", "10 minutes")
    stream.start(flat(sessions(timed, FIXED, keys=("id", "gap")), "id", "gap"))
    stream.round(a=[row(1, 0, 1, "x"), row(1, 1, 2, "y"), row(1, 2, 4, "x"), row(1, 3, 8)])
    stream.round(a=[row(1, 4, 16, "y"), row(1, 5, 32), row(2, 30)])
    stream.round(a=[row(2, 100)])
    stream.round(a=[row(2, 200)])


@scenario
def windows_of_sessions(world):
    stream = Stream(world)
    timed = stream.source("a", ROW).withWatermark("at", "10 minutes")
    inner = sessions(timed, FIXED)
    outer = inner.groupBy(expression(inner, "window(window_time(s), '1 hour')").alias("w"))
    stream.start(outer.agg(expression(inner, "sum(n) AS n"), expression(inner, "count(*) AS sessions")).selectExpr("w.start AS began", "n", "sessions"))
    for rows in ROUNDS:
        stream.round(a=rows)
    stream.round(a=[row(9, 800)])


@scenario
def sessions_of_different_rows(world):
    stream = Stream(world)
    timed = stream.source("a", ROW).withWatermark("at", "10 minutes")
    stream.start(flat(sessions(timed.dropDuplicates(["id", "at"]), FIXED), "id"))
    for rows in ROUNDS:
        stream.round(a=[*rows, *rows[:2]])


@scenario
def sessions_of_rows_of_two_streams(world):
    stream = Stream(world)
    a = stream.source("a", ROW).withWatermark("at", "10 minutes")
    b = stream.source("b", ROW).withWatermark("at", "5 minutes")
    stream.start(flat(sessions(a.unionByName(b), FIXED), "id"))
    for rows in ROUNDS:
        stream.round(a=rows[::2], b=rows[1::2] or [row(8, 1)])
    stream.round(a=[row(9, 900)], b=[row(9, 901)])
    stream.round(a=[row(9, 1000)], b=[row(9, 1001)])


@scenario
def sessions_whose_time_is_named_later(world):
    stream = Stream(world)
    timed = stream.source("a", ROW).selectExpr("id", "at AS t", "v", "gap AS label").withWatermark("t", "10 minutes")
    grouped = timed.groupBy(expression(timed, "session_window(t, '5 minutes')"), expression(timed, "id % 2 AS odd"))
    stream.start(grouped.agg(expression(timed, "sum(v) AS total")).selectExpr("session_window.start AS began", "session_window.end AS ended", "odd", "total"))
    for rows in ROUNDS:
        stream.round(a=rows)


@scenario
def sessions_in_sql(world):
    stream = Stream(world)
    stream.source("a", ROW).withWatermark("at", "10 minutes").createOrReplaceTempView("clicks")
    text = """SELECT id, session_window.start AS began, session_window.end AS ended, count(*) AS n FROM clicks
              GROUP BY session_window(at, '5 minutes'), id HAVING count(*) > 1"""
    stream.start(world.spark.sql(text))
    for rows in ROUNDS:
        stream.round(a=rows)


def whole(world, frame, stream, mode, rounds, name):
    """All rounds of one query, a batch each, into memory."""
    for _i, rows in enumerate(rounds):
        stream.put("a", *rows)
    writer = frame.writeStream.format("memory").queryName(name).outputMode(mode)
    query = writer.trigger(availableNow=True).start()
    query.awaitTermination()
    world.rows(world.spark.table(name), f"rows of {mode}")
    stream.counters(query)


@scenario
def sessions_in_complete_mode(world):
    for name, watermark in [("marked", "10 minutes"), ("unmarked", None)]:
        inner = type(world)(world.spark, world.directory / name)
        inner.directory.mkdir()
        stream = Stream(inner, counts_input=False)
        timed = stream.source("a", ROW, maxFilesPerTrigger=1)
        timed = timed.withWatermark("at", watermark) if watermark else timed
        whole(inner, flat(sessions(timed, FIXED), "id"), stream, "complete", ROUNDS, f"sessions_{name}")
        world.seen.extend(inner.seen)


@scenario
def sessions_that_are_refused(world):
    for name, watermark, build in [
        ("keys", "10 minutes", lambda f: sessions(f, FIXED)),
        ("no watermark", None, lambda f: sessions(f, FIXED)),
        ("no keys", "10 minutes", lambda f: sessions(f, FIXED, keys=())),
        ("distinct", "10 minutes", lambda f: sessions(f, FIXED, "count(DISTINCT v) AS n")),
        ("a constant key", "10 minutes", lambda f: sessions(f, FIXED, keys=(expression(f, "1"),))),
        ("not an event time", "10 minutes", lambda f: sessions(f, "session_window(CAST(v AS TIMESTAMP), '5 minutes')")),
        ("in rows", "10 minutes", lambda f: f.selectExpr("id", "session_window(at, '5 minutes') AS s")),
    ]:
        for mode in ["append", "update", "complete"]:
            stream = Stream(world)
            frame = stream.source("a", ROW)
            frame = frame.withWatermark("at", watermark) if watermark else frame
            stream.put("a", row(1, 0))
            world.note("sessions", name)
            stream.refused(lambda frame=frame, build=build: build(frame), mode)


@scenario
def sessions_of_tables(world):
    world.spark.conf.set("spark.sql.session.timeZone", "UTC")
    world.spark.conf.set("spark.sql.shuffle.partitions", "2")
    rows = [r for round in ROUNDS for r in round]
    frame = world.spark.createDataFrame([(r["id"], r["at"], r["v"], r["gap"]) for r in rows], "id INT, at STRING, v INT, gap STRING").selectExpr("id", "CAST(at AS TIMESTAMP) AS at", "v", "gap")
    frame.createOrReplaceTempView("clicks")
    world.rows(flat(sessions(frame, FIXED), "id"), "fixed")
    world.rows(flat(sessions(frame, "session_window(at, IF(v > 3, '20 minutes', '2 minutes'))"), "id"), "by row")
    world.rows(flat(sessions(frame, FIXED, keys=())), "global")
    world.rows(flat(sessions(frame, FIXED, "count(DISTINCT v) AS n", "count(DISTINCT gap) AS g", "sum(v) AS v"), "id"), "distinct")
    for text in [
        "SELECT session_window.start, count(*) FROM clicks GROUP BY session_window(at, '5 minutes'), id",
        "SELECT session_window(at, '5 minutes') FROM clicks",
        "SELECT count(*) FROM clicks GROUP BY session_window(at, '5 minutes') HAVING count(*) > 2",
        "SELECT id, session_window.end - session_window.start FROM clicks GROUP BY id, session_window(at, '1 hour')",
        "SELECT id, s.start FROM (SELECT id, session_window(at, '1 hour') AS s, count(*) FROM clicks GROUP BY id, session_window(at, '1 hour'))",
        "SELECT count(*) FROM clicks GROUP BY session_window(at, '5 minutes'), session_window(at, '6 minutes')",
        "SELECT count(*) FROM clicks GROUP BY session_window(at, '5 minutes'), window(at, '6 minutes')",
        "SELECT count(*) FROM clicks GROUP BY session_window(id, '5 minutes')",
        "SELECT count(*) FROM clicks GROUP BY session_window(at, 5)",
        "SELECT count(*) FROM clicks GROUP BY session_window(at, '5 month')",
        "SELECT count(*) FROM clicks GROUP BY session_window(at, 'a gap')",
        "SELECT count(*) FROM clicks GROUP BY session_window(at)",
        "SELECT count(*) FROM clicks GROUP BY session_window(at, INTERVAL 5 MINUTES), id",
        "SELECT count(*) FROM clicks GROUP BY session_window(at, IF(v > 3, INTERVAL 20 MINUTES, INTERVAL 0 MINUTES)), id",
        "SELECT id, session_window.start, count(*) FROM clicks GROUP BY 1, session_window(at, '5 minutes')",
        "SELECT id + 1 AS k, session_window.start, count(*) FROM clicks GROUP BY k, session_window(at, '5 minutes')",
        "SELECT *, session_window(at, '5 minutes') AS s FROM clicks WHERE id = 2",
        "SELECT count(*) FROM clicks GROUP BY session_window(at, '-5 minutes')",
        "SELECT window_time(session_window), n FROM (SELECT session_window, count(*) AS n FROM clicks GROUP BY session_window(at, '5 minutes'), id)",
    ]:
        world.ask(text)
