"""Silver: what is wrong in the data is found by expectations, counted, and dropped where it would spoil the figures."""

from pyspark.sql import functions as F

import dlt


@dlt.table(comment="Flights out of New York's airports", table_properties={"quality": "silver"})
@dlt.expect("took_off", "dep_time IS NOT NULL")
@dlt.expect("landing_recorded", "dep_time IS NULL OR arr_time IS NOT NULL")
@dlt.expect("delay_recorded", "arr_time IS NULL OR arr_delay IS NOT NULL")
# Midnight is written as 2400 here and there, which no clock shows.
@dlt.expect("clock_time", "coalesce(dep_time, 0) < 2400 AND coalesce(arr_time, 0) < 2400")
@dlt.expect("plane_named", "tailnum IS NOT NULL")
# One flight goes from Newark to La Guardia, 17 miles, and never took off.
@dlt.expect_or_drop("plausible_distance", "distance >= 80")
@dlt.expect_or_fail("from_new_york", "origin IN ('EWR', 'JFK', 'LGA')")
def silver_flights():
    # Points in time come from the hour in UTC and the delay: the clock times have no date, and cross midnight.
    scheduled = F.expr("timestampadd(MINUTE, minute, time_hour)")
    return dlt.read_stream("bronze_flights").select(
        F.make_date("year", "month", "day").alias("flight_date"),
        "carrier",
        "flight",
        "tailnum",
        "origin",
        "dest",
        "dep_time",
        "arr_time",
        scheduled.alias("scheduled_departure"),
        F.expr("timestampadd(MINUTE, minute + dep_delay, time_hour)").alias("departure"),
        "dep_delay",
        "arr_delay",
        "air_time",
        "distance",
        "time_hour",
        F.col("dep_time").isNull().alias("is_cancelled"),
    )


@dlt.table(comment="Weather by airport and hour", table_properties={"quality": "silver"})
# 1,048 miles an hour would have been noticed.
@dlt.expect_or_drop("plausible_wind", "coalesce(wind_speed, 0) < 200")
@dlt.expect("pressure_measured", "pressure IS NOT NULL")
@dlt.expect("wind_measured", "wind_speed IS NOT NULL AND wind_dir IS NOT NULL")
def silver_weather():
    return dlt.read_stream("bronze_weather").select(
        "origin", "time_hour", "temp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"
    )


@dlt.table(comment="Planes by tail number", table_properties={"quality": "silver"})
@dlt.expect("year_known", "built IS NOT NULL")
@dlt.expect("airliner", "seats > 10")
@dlt.expect_or_fail("tail_number", "tailnum IS NOT NULL")
def silver_planes():
    return dlt.read("bronze_planes").withColumnRenamed("year", "built")


@dlt.table(comment="Airports of the United States", table_properties={"quality": "silver"})
# Some longitudes lost their sign, which puts Deer Valley, Arizona, in China.
@dlt.expect("western_longitude", "lon < 0")
@dlt.expect("zone_known", "tzone IS NOT NULL")
def silver_airports():
    return dlt.read("bronze_airports").select("faa", "name", "lat", "lon", "alt", "tzone")


@dlt.table(comment="Flights with what other files know of them", table_properties={"quality": "silver"})
@dlt.expect("airline_known", "airline IS NOT NULL")
@dlt.expect("destination_known", "destination IS NOT NULL")
@dlt.expect("plane_known", "manufacturer IS NOT NULL")
@dlt.expect("weather_known", "visib IS NOT NULL")
def silver_flight_details():
    airlines = dlt.read("bronze_airlines").withColumnRenamed("name", "airline")
    airports = dlt.read("silver_airports").select(F.col("faa").alias("dest"), F.col("name").alias("destination"))
    planes = dlt.read("silver_planes").select("tailnum", "manufacturer", "model", "built", "seats")
    weather = dlt.read("silver_weather").select("origin", "time_hour", "visib", "wind_speed", "precip")
    return (
        dlt.read("silver_flights")
        .join(airlines, "carrier", "left")
        .join(airports, "dest", "left")
        .join(planes, "tailnum", "left")
        .join(weather, ["origin", "time_hour"], "left")
    )
