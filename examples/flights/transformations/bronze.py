"""Bronze: the files as they came, only typed. `NA` is how they write that a value is missing.

Each table is a streaming table: files that are there already are not read again.
"""

import os
import pathlib

import dlt

DATA = pathlib.Path(os.environ.get("FLIGHTS_DATA", pathlib.Path(__file__).parents[1] / "data"))

SCHEMAS = {
    "flights": """
        year INT, month INT, day INT, dep_time INT, sched_dep_time INT, dep_delay INT, arr_time INT, sched_arr_time INT,
        arr_delay INT, carrier STRING, flight INT, tailnum STRING, origin STRING, dest STRING, air_time INT,
        distance INT, hour INT, minute INT, time_hour TIMESTAMP""",
    "weather": """
        origin STRING, year INT, month INT, day INT, hour INT, temp DOUBLE, dewp DOUBLE, humid DOUBLE, wind_dir INT,
        wind_speed DOUBLE, wind_gust DOUBLE, precip DOUBLE, pressure DOUBLE, visib DOUBLE, time_hour TIMESTAMP""",
    "planes": """
        tailnum STRING, year INT, type STRING, manufacturer STRING, model STRING, engines INT, seats INT, speed INT,
        engine STRING""",
    "airports": "faa STRING, name STRING, lat DOUBLE, lon DOUBLE, alt INT, tz INT, dst STRING, tzone STRING",
    "airlines": "carrier STRING, name STRING",
}


def bronze(name: str, schema: str) -> None:
    @dlt.table(
        name=f"bronze_{name}", comment=f"{name}.csv as it came", table_properties={"quality": "bronze"}
    )
    def read():
        return (
            spark.readStream.format("cloudFiles")
            .option("cloudFiles.format", "csv")
            .option("header", True)
            .option("nullValue", "NA")
            .schema(schema)
            .load(str(DATA / name))
        )


for name, schema in SCHEMAS.items():
    bronze(name, schema)
