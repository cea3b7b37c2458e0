"""The examples, run as their README says, and checked against DuckDB over the same files."""

import json
import os
import subprocess
import sys

import duckdb
import pytest
from conftest import ROOT, binary


class Example:
    """One run of `examples/flights` in a home of its own."""

    def __init__(self, directory):
        self.data = directory / "data"
        self.env = {**os.environ, "BOATHOUSE_HOME": str(directory / "home"), "FLIGHTS_DATA": str(self.data)}
        self.env.update(BOATHOUSE_PYTHON=sys.executable, BOATHOUSE_PYTHON_MODULES=str(ROOT / "python"))
        fetch = [sys.executable, str(ROOT / "examples/flights/fetch.py"), str(self.data)]
        subprocess.run(fetch, check=True, capture_output=True, timeout=120)
        self.output = self.boathouse("pipeline", "run", str(ROOT / "examples/flights"))
        self.duckdb = duckdb.connect()
        self.duckdb.execute("SET TimeZone = 'UTC'")
        for name in ("flights", "weather", "planes", "airports", "airlines"):
            file = self.data / name / f"{name}.csv"
            self.duckdb.execute(f"CREATE VIEW {name} AS SELECT * FROM read_csv('{file}', nullstr = 'NA')")

    def boathouse(self, *arguments):
        done = subprocess.run([binary(), *arguments], env=self.env, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def ask(self, sql):
        return [tuple(r.values()) for r in json.loads(self.boathouse("sql", "--format", "json", "-e", sql))]

    def expect(self, sql):
        return [tuple(str(v) if hasattr(v, "isoformat") else v for v in r) for r in self.duckdb.execute(sql).fetchall()]

    def count(self, sql):
        return self.expect(f"SELECT count(*) {sql}")[0][0]


@pytest.fixture(scope="module")
def flights(tmp_path_factory):
    return Example(tmp_path_factory.mktemp("flights"))


def test_bronze_is_the_files(flights):
    for name in ("flights", "weather", "planes", "airports", "airlines"):
        assert flights.ask(f"SELECT count(*) FROM bronze_{name}") == [(flights.count(f"FROM {name}"),)], name
    sums = "sum(dep_time), sum(arr_delay), sum(distance), count(tailnum), min(time_hour) = '2013-01-01 10:00:00'"
    duck = sums.replace("time_hour)", "time_hour)::TIMESTAMP")
    assert flights.ask(f"SELECT {sums} FROM bronze_flights") == flights.expect(f"SELECT {duck} FROM flights")


def test_expectations_find_what_is_wrong(flights):
    found = {}
    log = "SELECT details FROM event_log('flights') WHERE event_type = 'flow_progress'"
    for (details,) in flights.ask(log):
        details = json.loads(details) if isinstance(details, str) else details
        for e in (details["flow_progress"].get("data_quality") or {}).get("expectations", []):
            table = e["dataset"].rsplit(".", 1)[-1]
            found[table, e["name"]] = found.get((table, e["name"]), 0) + e["failed_records"]
    known = "FROM flights WHERE distance >= 80"
    wrong = {
        ("silver_flights", "took_off"): "FROM flights WHERE dep_time IS NULL",
        ("silver_flights", "landing_recorded"): "FROM flights WHERE dep_time IS NOT NULL AND arr_time IS NULL",
        ("silver_flights", "delay_recorded"): "FROM flights WHERE arr_time IS NOT NULL AND arr_delay IS NULL",
        ("silver_flights", "clock_time"): "FROM flights WHERE dep_time >= 2400 OR arr_time >= 2400",
        ("silver_flights", "plane_named"): "FROM flights WHERE tailnum IS NULL",
        ("silver_flights", "plausible_distance"): "FROM flights WHERE distance < 80",
        ("silver_flights", "from_new_york"): "FROM flights WHERE origin NOT IN ('EWR', 'JFK', 'LGA')",
        ("silver_weather", "plausible_wind"): "FROM weather WHERE wind_speed >= 200",
        ("silver_weather", "pressure_measured"): "FROM weather WHERE pressure IS NULL",
        ("silver_weather", "wind_measured"): "FROM weather WHERE wind_speed IS NULL OR wind_dir IS NULL",
        ("silver_planes", "year_known"): "FROM planes WHERE year IS NULL",
        ("silver_planes", "airliner"): "FROM planes WHERE seats <= 10",
        ("silver_planes", "tail_number"): "FROM planes WHERE tailnum IS NULL",
        ("silver_airports", "western_longitude"): "FROM airports WHERE lon >= 0",
        ("silver_airports", "zone_known"): "FROM airports WHERE tzone IS NULL",
        ("silver_flight_details", "airline_known"): f"{known} AND carrier NOT IN (SELECT carrier FROM airlines)",
        ("silver_flight_details", "destination_known"): f"{known} AND dest NOT IN (SELECT faa FROM airports)",
        ("silver_flight_details", "plane_known"): f"{known} AND NOT EXISTS (SELECT 1 FROM planes p WHERE p.tailnum = flights.tailnum)",
        ("silver_flight_details", "weather_known"): f"""{known} AND NOT EXISTS (SELECT 1 FROM weather w
            WHERE w.origin = flights.origin AND w.time_hour = flights.time_hour AND coalesce(wind_speed, 0) < 200)""",
    }
    expected = {rule: flights.count(sql) for rule, sql in wrong.items()}
    assert {k: v for k, v in found.items() if k in expected} == expected
    assert found["gold_visibility", "enough_flights"] == 0


def test_dropped_rows_are_kept(flights):
    dropped = flights.ask("SELECT carrier, origin, dest, _failed_expectations FROM dropped_records('silver_flights')")
    assert dropped == [("US", "EWR", "LGA", ["took_off", "plane_named", "plausible_distance"])]
    wind = flights.ask("SELECT origin, wind_speed FROM dropped_records('silver_weather')")
    assert wind == flights.expect("SELECT origin, wind_speed FROM weather WHERE wind_speed >= 200")


def test_gold_equals_duckdb(flights):
    punctuality = """SELECT carrier, {name}, count(*), {cancelled}, round(avg(dep_delay), 2),
        round(100.0 * {on_time} / count(arr_delay), 2) FROM {source} GROUP BY ALL ORDER BY carrier"""
    asked = flights.ask("SELECT * FROM gold_punctuality ORDER BY carrier")
    assert asked == flights.expect(
        punctuality.format(
            name="name",
            cancelled="count(*) FILTER (dep_time IS NULL)",
            on_time="count(*) FILTER (arr_delay <= 15)",
            source="(SELECT * FROM flights WHERE distance >= 80) JOIN airlines USING (carrier)",
        )
    )
    daily = flights.ask("SELECT origin, flight_date, flights, cancelled, minutes_late FROM gold_daily_departures ORDER BY 1, 2")
    assert daily == flights.expect("""SELECT origin, make_date(year, month, day), count(*), count(*) FILTER (dep_time IS NULL),
        sum(CASE WHEN dep_delay > 0 THEN dep_delay WHEN dep_delay <= 0 THEN 0 END)::BIGINT
        FROM flights WHERE distance >= 80 GROUP BY ALL ORDER BY 1, 2""")
    fog = flights.ask("SELECT visibility, flights, mean_departure_delay FROM gold_visibility ORDER BY 1")
    assert fog == flights.expect("""SELECT CASE WHEN visib < 1 THEN 'under 1 mile' WHEN visib < 5 THEN '1 to 5 miles'
        WHEN visib < 10 THEN '5 to 10 miles' ELSE '10 miles or more' END, count(*), round(avg(dep_delay), 2)
        FROM (SELECT * FROM flights WHERE distance >= 80) JOIN (SELECT * FROM weather WHERE coalesce(wind_speed, 0) < 200)
        USING (origin, time_hour) GROUP BY ALL ORDER BY 1""")


def test_a_second_run_reads_only_what_is_new(flights):
    file = flights.data / "airlines" / "airlines.csv"
    (flights.data / "airlines" / "more.csv").write_text("carrier,name\nBH,Boathouse Air\n")
    flights.boathouse("pipeline", "run", str(ROOT / "examples/flights"))
    names = file.read_text().count("\n") - 1
    assert flights.ask("SELECT count(*) FROM bronze_airlines") == [(names + 1,)]
    assert flights.ask("SELECT count(*) FROM bronze_flights") == [(flights.count("FROM flights"),)]
    assert flights.ask("SELECT count(*) FROM silver_flights") == [(flights.count("FROM flights WHERE distance >= 80"),)]
