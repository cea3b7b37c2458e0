-- Gold: what people ask. SQL files and Python files make one pipeline.

CREATE OR REFRESH MATERIALIZED VIEW gold_punctuality
COMMENT 'How punctual each airline was'
TBLPROPERTIES ('quality' = 'gold')
AS SELECT
  carrier,
  airline,
  count(*) AS flights,
  count_if(is_cancelled) AS cancelled,
  round(avg(dep_delay), 2) AS mean_departure_delay,
  round(100.0 * count_if(arr_delay <= 15) / count(arr_delay), 2) AS percent_on_time
FROM silver_flight_details
GROUP BY carrier, airline;

CREATE OR REFRESH MATERIALIZED VIEW gold_daily_departures
COMMENT 'Departures and delays of each airport by day'
TBLPROPERTIES ('quality' = 'gold')
AS SELECT
  origin,
  flight_date,
  count(*) AS flights,
  count_if(is_cancelled) AS cancelled,
  sum(greatest(dep_delay, 0)) AS minutes_late
FROM silver_flights
GROUP BY origin, flight_date;

CREATE OR REFRESH MATERIALIZED VIEW gold_visibility (
  CONSTRAINT enough_flights EXPECT (flights >= 100)
)
COMMENT 'What fog does to departures'
TBLPROPERTIES ('quality' = 'gold')
AS SELECT
  CASE WHEN visib < 1 THEN 'under 1 mile' WHEN visib < 5 THEN '1 to 5 miles' WHEN visib < 10 THEN '5 to 10 miles'
       ELSE '10 miles or more' END AS visibility,
  count(*) AS flights,
  round(100.0 * count_if(is_cancelled) / count(*), 2) AS percent_cancelled,
  round(avg(dep_delay), 2) AS mean_departure_delay
FROM silver_flight_details
WHERE visib IS NOT NULL
GROUP BY 1;
