-- Distinct values in aggregations: one kind, several, with and without keys, beside other functions.
CREATE TEMPORARY VIEW d AS SELECT * FROM VALUES
  (1, 'a', 10, 1.5D, DATE'2024-01-01', array(1, 2)),
  (1, 'a', 10, -0.0D, DATE'2024-01-01', array(1, 2)),
  (1, 'b', 20, 0.0D, DATE'2024-01-02', array(1)),
  (1, NULL, NULL, NULL, NULL, NULL),
  (2, 'a', 10, CAST('NaN' AS DOUBLE), DATE'2024-01-01', array()),
  (2, 'A', 30, CAST('NaN' AS DOUBLE), DATE'2024-01-03', array(NULL)),
  (NULL, 'c', 40, 2.5D, NULL, array(1, 2)),
  (NULL, 'c', 40, 2.5D, NULL, array(2, 1)) AS v(k, s, n, f, t, l);
SELECT k, count(DISTINCT s) FROM d GROUP BY k ORDER BY k;
SELECT k, count(DISTINCT s), count(s), sum(n), avg(n), min(s), max(t), count(*) FROM d GROUP BY k ORDER BY k;
SELECT count(DISTINCT s) FROM d;
SELECT count(DISTINCT s), count(*), sum(n), avg(f), min(s), max(s) FROM d;
SELECT count(DISTINCT s) AS c, count(*), sum(n), avg(n), min(s) FROM d WHERE n > 1000;
SELECT k, count(DISTINCT s), sum(n) FROM d WHERE n > 1000 GROUP BY k;
SELECT count(DISTINCT s, n), count(DISTINCT n, s), count(DISTINCT s) FROM d;
SELECT k, count(DISTINCT s), count(DISTINCT n), count(DISTINCT s, n), sum(DISTINCT n), avg(DISTINCT n), sum(n), count(*) FROM d GROUP BY k ORDER BY k;
SELECT count(DISTINCT s), count(DISTINCT n), sum(DISTINCT n), avg(DISTINCT f), sum(n), count(*), min(f), max(t) FROM d;
SELECT count(DISTINCT s), sum(DISTINCT n), sum(n), count(*), min(s) FROM d WHERE false;
SELECT count(DISTINCT f), sum(DISTINCT f), avg(DISTINCT f) FROM d WHERE NOT isnan(f);
SELECT k, count(DISTINCT f) FROM d GROUP BY k ORDER BY k;
SELECT f, count(DISTINCT f), count(DISTINCT f, s) FROM d GROUP BY f ORDER BY f;
SELECT count(DISTINCT t), min(DISTINCT t), max(DISTINCT t) FROM d;
SELECT count(DISTINCT l), count(DISTINCT struct(k, s)), count(DISTINCT struct(f)), count(DISTINCT array(f)) FROM d;
SELECT count(DISTINCT map(k, f)) FROM d WHERE k IS NOT NULL;
SELECT count(DISTINCT k), count(DISTINCT k, k), count(DISTINCT k + 0), count(DISTINCT 1), count(DISTINCT NULL) FROM d;
SELECT k, count(DISTINCT k) FROM d GROUP BY k ORDER BY k;
SELECT k, count(DISTINCT k, s), sum(DISTINCT k) FROM d GROUP BY k ORDER BY k;
SELECT k + 1, count(DISTINCT k + 1), count(DISTINCT upper(s)) FROM d GROUP BY k + 1 ORDER BY 1;
SELECT count(DISTINCT s) FILTER (WHERE n > 10), count(DISTINCT s), sum(n) FILTER (WHERE n > 10) FROM d;
SELECT k, count(DISTINCT s) FILTER (WHERE n > 10), count(*) FILTER (WHERE s = 'a') FROM d GROUP BY k ORDER BY k;
SELECT k, count(DISTINCT s), sum(n) FILTER (WHERE n > 10), count(DISTINCT n), count(*) FILTER (WHERE s = 'a') FROM d GROUP BY k ORDER BY k;
SELECT k, s, count(DISTINCT n) FROM d GROUP BY ROLLUP (k, s) ORDER BY k, s, 3;
SELECT k, count(DISTINCT s), grouping(k) FROM d GROUP BY GROUPING SETS ((k), ()) ORDER BY k, 3;
SELECT DISTINCT count(DISTINCT s) FROM d GROUP BY k ORDER BY 1;
SELECT k, sort_array(collect_list(DISTINCT n)), count(DISTINCT s) FROM d GROUP BY k ORDER BY k;
SELECT k, count(DISTINCT s), sort_array(collect_set(n)), max_by(s, n), first(k) FROM d GROUP BY k ORDER BY k;
SELECT k, count(DISTINCT s), percentile(n, 0.5), stddev(n), corr(n, f) FROM d WHERE NOT isnan(f) GROUP BY k ORDER BY k;
SELECT k, count(DISTINCT s), bool_or(n > 10), bit_or(n), any_value(k), count_if(n > 10), try_sum(DISTINCT n) FROM d GROUP BY k ORDER BY k;
SELECT (SELECT count(DISTINCT s) FROM d AS i WHERE i.k = o.k) AS c, k FROM d AS o ORDER BY k, c;
SELECT k FROM d AS o WHERE (SELECT count(DISTINCT s) FROM d AS i WHERE i.k = o.k) > 1 ORDER BY k;
SELECT sum(c) FROM (SELECT k, count(DISTINCT s) AS c, sum(DISTINCT n) AS x FROM d GROUP BY k) WHERE c > 1;
SELECT a.k, count(DISTINCT b.s), count(DISTINCT a.n), sum(a.n) FROM d AS a JOIN d AS b ON a.k = b.k GROUP BY a.k ORDER BY a.k;
SELECT regr_count(DISTINCT n, f) FROM d;
SELECT count(DISTINCT s COLLATE UTF8_LCASE), count(DISTINCT s), min(s COLLATE UTF8_LCASE) FROM d;
SELECT count(DISTINCT CAST(s AS BINARY)), count(DISTINCT n > 10), count(DISTINCT CAST(n AS DECIMAL(20, 2))), sum(DISTINCT CAST(n AS DECIMAL(20, 2))) FROM d;
SELECT sum(DISTINCT n * 1000000000000000000) FROM d;
SELECT count(DISTINCT t - DATE'2024-01-01'), sum(DISTINCT t - DATE'2024-01-01') FROM d;
SELECT count(DISTINCT make_interval(0, 0, 0, k)) FROM d;
SELECT w.a, count(DISTINCT s), sum(n) FROM (SELECT k, s, n, named_struct('a', n) AS w FROM d) GROUP BY k, w ORDER BY w.a, 2;
