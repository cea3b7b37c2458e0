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
-- `session_window(..)` in and beside them: each set has sessions of its own.
CREATE OR REPLACE TEMPORARY VIEW sw AS SELECT * FROM VALUES ('a', 'x', TIMESTAMP'2021-01-01 00:00:00', 1), ('a', 'x', TIMESTAMP'2021-01-01 00:04:30', 2), ('a', 'y', TIMESTAMP'2021-01-01 00:08:00', 3), ('b', 'x', TIMESTAMP'2021-01-01 00:01:00', 4), ('b', 'y', TIMESTAMP'2021-01-01 00:20:00', 5), (NULL, 'y', TIMESTAMP'2021-01-01 00:21:00', 6) AS t(a, k, ts, v);
SELECT a, session_window(ts, '5 minutes'), count(*) FROM sw GROUP BY session_window(ts, '5 minutes'), ROLLUP(a);
SELECT a, session_window.start, count(*) FROM sw GROUP BY session_window(ts, '5 minutes'), ROLLUP(a);
SELECT a, k, session_window.start, sum(v) FROM sw GROUP BY session_window(ts, '5 minutes'), CUBE(a, k);
SELECT a, k, session_window.end, sum(v), grouping_id() FROM sw GROUP BY session_window(ts, '5 minutes'), GROUPING SETS ((a), (k), ());
SELECT a, w, count(*) FROM sw GROUP BY ROLLUP(a), session_window(ts, '5 minutes') AS w;
SELECT a, session_window.start, count(DISTINCT k), sum(v) FROM sw GROUP BY a, session_window(ts, '5 minutes'), ROLLUP(k);
SELECT a, session_window.start, grouping(a), sum(v) FROM sw GROUP BY session_window(ts, '5 minutes'), ROLLUP(a) HAVING count(*) > 1;
SELECT upper(a), session_window.start, sum(v) FROM sw GROUP BY session_window(ts, '5 minutes'), ROLLUP(upper(a));
SELECT a, session_window(ts, concat(v, ' minutes')).end, sum(v) FROM sw GROUP BY session_window(ts, concat(v, ' minutes')), CUBE(a);
SELECT a, session_window.start, sum(v) FROM sw GROUP BY a, session_window(ts, '5 minutes') GROUPING SETS ((a, session_window(ts, '5 minutes')), (session_window(ts, '5 minutes')));
SELECT a, session_window.start, sum(v) FROM sw GROUP BY GROUPING SETS ((a, session_window(ts, '5 minutes')), (session_window(ts, '5 minutes')));
SELECT session_window.start, sum(v) FROM sw GROUP BY session_window(ts, '5 minutes'), GROUPING SETS (());
SELECT session_window(ts, '5 minutes').start, max(v), sum(sum(v)) OVER (PARTITION BY a) FROM sw GROUP BY session_window(ts, '5 minutes'), ROLLUP(a);
