-- `window(..)` in and beside ROLLUP, CUBE and GROUPING SETS.
CREATE OR REPLACE TEMPORARY VIEW e AS SELECT * FROM VALUES (TIMESTAMP'2024-01-01 00:01:00', 'a', 1), (TIMESTAMP'2024-01-01 00:04:00', 'b', 2), (TIMESTAMP'2024-01-01 00:06:00', 'a', 3), (TIMESTAMP'2024-01-01 00:30:00', 'b', 4) AS e(at, k, v);
SELECT window(at, '10 minutes').start w, k, sum(v), grouping(k), grouping_id() FROM e GROUP BY window(at, '10 minutes'), ROLLUP (k);
SELECT window(at, '10 minutes').start w, k, sum(v), grouping_id() FROM e GROUP BY GROUPING SETS ((window(at, '10 minutes')), (k), ());
SELECT window, k, sum(v) FROM e GROUP BY CUBE (window(at, '10 minutes'), k);
SELECT window(at, '10 minutes', '5 minutes').start w, k, sum(v) FROM e GROUP BY ROLLUP (window(at, '10 minutes', '5 minutes'), k);
SELECT window.end w, k, sum(v) FROM e GROUP BY window(at, '10 minutes'), k WITH ROLLUP;
SELECT window(at, '10 minutes').start w, k, v, count(*) FROM e GROUP BY ROLLUP (window(at, '10 minutes')), CUBE (k, v);
SELECT window(at, '5 minutes').end w, count(*) FROM e GROUP BY GROUPING SETS ((window(at, '5 minutes'), k), (window(at, '5 minutes')));
SELECT window(at, '10 minutes').start w, sum(v) s FROM e GROUP BY ROLLUP (window(at, '10 minutes')) HAVING sum(v) > 4 ORDER BY w;
SELECT k, count(*) FROM e GROUP BY window(at, '10 minutes'), GROUPING SETS ((k), (window(at, '10 minutes'), k));
