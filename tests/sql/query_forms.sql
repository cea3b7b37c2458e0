-- Forms of queries: limits below sorts, groups by expressions that mean the same, grouping sets, common tables that name themselves,
-- stars without columns, VALUES, USING among repeated names, generators beside groups, and arithmetic of clocks with and without a zone.
CREATE OR REPLACE TEMPORARY VIEW t AS SELECT * FROM VALUES (1, 'a', 10), (2, 'a', 20), (3, 'b', 30), (4, 'b', NULL), (5, NULL, 50) AS v(id, g, n);
CREATE OR REPLACE TEMPORARY VIEW u AS SELECT * FROM VALUES (1, 'a', 1.5), (3, 'x', 2.5), (5, NULL, 3.5), (7, 'b', NULL) AS v(id, g, w);
CREATE OR REPLACE TEMPORARY VIEW e AS SELECT * FROM VALUES (1, array(1, NULL, 3), map('x', 1, 'y', NULL)), (2, array(), map()), (3, NULL, NULL) AS v(id, a, m);
CREATE OR REPLACE TEMPORARY VIEW s AS SELECT 1 AS k, named_struct('a', 1, 'b', named_struct('c', 2, 'd', 'x')) AS st, array(named_struct('e', 1, 'f', 2)) AS ar, map('m', 1) AS mp;
CREATE OR REPLACE TEMPORARY VIEW ds AS SELECT * FROM VALUES (1, DATE'2020-01-01', true), (2, DATE'2020-02-01', false), (3, NULL, NULL) AS v(id, d, b);
-- a LIMIT below a sort
SELECT * FROM (SELECT * FROM t LIMIT 2) ORDER BY id DESC;
SELECT * FROM (SELECT * FROM t LIMIT 2 OFFSET 1) ORDER BY id DESC;
SELECT * FROM (SELECT id FROM range(0, 10, 1, 1) LIMIT 3) ORDER BY id DESC;
SELECT id, row_number() OVER (ORDER BY id DESC) AS r FROM (SELECT * FROM t LIMIT 2) ORDER BY id;
SELECT id FROM (SELECT * FROM t LIMIT 2) UNION ALL SELECT 100 ORDER BY id DESC;
SELECT * FROM (SELECT explode(array(1, 2, 3)) AS x LIMIT 2) ORDER BY x DESC;
SELECT * FROM (SELECT * FROM t LIMIT 3) ORDER BY id DESC LIMIT 2;
SELECT * FROM (SELECT * FROM t ORDER BY n LIMIT 2) ORDER BY id DESC;
-- expressions that mean the same
SELECT 2 * id, count(*) FROM t GROUP BY id * 2 ORDER BY 1;
SELECT id + n + 1, count(*) FROM t GROUP BY n + 1 + id ORDER BY 1;
SELECT id > n, count(*) FROM t GROUP BY n < id ORDER BY 1;
SELECT NOT id > n AS l, count(*) FROM t GROUP BY id <= n ORDER BY 1;
SELECT id > 1 AND n > 1 AS x, count(*) FROM t GROUP BY n > 1 AND id > 1 ORDER BY 1;
SELECT id | n, count(*) FROM t GROUP BY n | id ORDER BY 1;
SELECT greatest(id, n), count(*) FROM t GROUP BY greatest(n, id) ORDER BY 1;
SELECT id IN (1, 2), count(*) FROM t GROUP BY id IN (2, 1) ORDER BY 1;
SELECT id * 2.5 AS a, count(*) FROM t GROUP BY 2.5 * id ORDER BY 1;
SELECT (id * 2) + 1 AS l, count(*) FROM t GROUP BY 2 * id ORDER BY 1;
SELECT id * 2 AS l, count(*) FROM t GROUP BY ROLLUP (2 * id) ORDER BY 1;
SELECT id + n AS l, grouping(n + id) AS h, count(*) FROM t GROUP BY CUBE (id + n) ORDER BY 1, 2;
SELECT count(*) FROM t GROUP BY id + n HAVING n + id > 20 ORDER BY 1;
SELECT count(*) AS c FROM t GROUP BY id + n ORDER BY n + id;
SELECT id + n, row_number() OVER (ORDER BY n + id) AS r FROM t GROUP BY id + n ORDER BY 1;
SELECT sum(id + n) FROM t GROUP BY g HAVING sum(n + id) > 30;
SELECT DISTINCT id + n FROM t ORDER BY n + id;
SELECT substr(g, 1), count(*) FROM t GROUP BY substring(g, 1) ORDER BY 1;
SELECT id % 2 AS l, count(*) FROM t GROUP BY mod(id, 2) ORDER BY 1;
SELECT ucase(g) AS l, count(*) FROM t GROUP BY upper(g) ORDER BY 1;
SELECT string(id) AS l, count(*) FROM t GROUP BY id::STRING ORDER BY 1;
SELECT extract(YEAR FROM d) AS l, count(*) FROM ds GROUP BY year(d) ORDER BY 1;
SELECT date_part('year', d) AS l, count(*) FROM ds GROUP BY year(d) ORDER BY 1;
SELECT d + 1 AS l, count(*) FROM ds GROUP BY date_add(d, 1) ORDER BY 1;
SELECT d + INTERVAL 1 DAY AS l, count(*) FROM ds GROUP BY INTERVAL 1 DAY + d ORDER BY 1;
SELECT transform(array(id), x -> x + 1) AS l, count(*) FROM t GROUP BY transform(array(id), y -> y + 1) ORDER BY 1;
SELECT (SELECT max(id) FROM t) + id AS l, count(*) FROM t GROUP BY id + (SELECT max(id) FROM t) ORDER BY 1;
SELECT element_at(array(id), 1) AS l, element_at(array(id), 2) AS o FROM t WHERE false;
SELECT coalesce(g, 'x') AS l, count(*) FROM t GROUP BY nvl(g, 'x') ORDER BY 1;
SELECT year(d) AS y, count(*) FROM ds GROUP BY extract(YEAR FROM d) HAVING year(d) IS NOT NULL;
SELECT left(g, 1) AS y, count(*) FROM t GROUP BY substring(g, 1, 1) ORDER BY 1;
SELECT id + n AS a, count(*) FROM t GROUP BY GROUPING SETS ((id + n), (n + id)) ORDER BY 1;
SELECT if(id > 1, 'x', 'y') AS l, count(*) FROM t GROUP BY CASE WHEN id > 1 THEN 'x' ELSE 'y' END ORDER BY 1;
SELECT id BETWEEN 1 AND 2 AS l, count(*) FROM t GROUP BY id >= 1 AND id <= 2 ORDER BY 1;
-- grouping sets
SELECT g, count(*) FROM t GROUP BY g, id GROUPING SETS (g, n);
SELECT g, id, n, grouping_id() AS gi, count(*) FROM t GROUP BY g, id GROUPING SETS ((g), (n)) ORDER BY 1, 2, 3, 4;
SELECT count(*) FROM t GROUP BY g, id GROUPING SETS ((upper(g)), (id)) ORDER BY 1;
SELECT g, count(*) FROM t GROUP BY g GROUPING SETS (());
SELECT count(*) FROM t GROUP BY g GROUPING SETS (());
SELECT g, count(*) FROM t GROUP BY GROUPING SETS (());
SELECT sum(grouping(g)), max(grouping(g)), count(grouping_id()) FROM t GROUP BY ROLLUP (g);
SELECT g, sum(n + grouping(g)) FROM t GROUP BY CUBE (g) ORDER BY 1, 2;
SELECT g FROM t GROUP BY CUBE (g) HAVING sum(grouping(g)) = 0 ORDER BY g;
SELECT g, id % 2 AS o, sum(n), grouping(g), grouping(id % 2), grouping_id(), grouping_id(g, id % 2) FROM t GROUP BY CUBE (g, id % 2) ORDER BY 6, 1, 2;
SELECT g, id, n, count(*) FROM t GROUP BY CUBE ((g, id), n) ORDER BY 1, 2, 3, 4;
-- generators beside groups
SELECT explode(array(id, 2)) AS x, count(*) FROM t GROUP BY ALL;
SELECT explode(collect_list(id)) AS x, g FROM t GROUP BY ALL ORDER BY 1;
SELECT id, v.* FROM e LATERAL VIEW variant_explode(parse_json('{"a":1,"b":"x"}')) v ORDER BY id, pos;
SELECT variant_explode(parse_json('[1,"a",null]'));
SELECT id, y FROM e LEFT JOIN LATERAL explode(a) AS x(y) ORDER BY id, y;
SELECT id, y FROM e LEFT JOIN LATERAL explode(a) AS x(y) ON y > 1 ORDER BY id, y;
-- common tables that name themselves
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT * FROM (SELECT n FROM r LIMIT 3) ORDER BY n;
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) (SELECT n FROM r LIMIT 2) UNION ALL (SELECT n FROM r LIMIT 1) ORDER BY n;
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM (SELECT n FROM r LIMIT 3);
WITH RECURSIVE a AS (WITH RECURSIVE b AS (SELECT 1 AS m UNION ALL SELECT m + 1 FROM b WHERE m < 2) SELECT m AS n FROM b UNION ALL SELECT n + 10 FROM a WHERE n < 10) SELECT * FROM a ORDER BY n;
WITH RECURSIVE r AS (SELECT 1 AS n, named_struct('a', 1) AS s UNION ALL SELECT n + 1, named_struct('b', n) FROM r WHERE n < 3) SELECT * FROM r ORDER BY n;
WITH RECURSIVE r AS (SELECT TIMESTAMP'2024-01-01' AS n UNION ALL SELECT DATE'2024-01-02' FROM r WHERE n < DATE'2024-01-02') SELECT * FROM r ORDER BY n;
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n IN (SELECT id FROM t)) SELECT * FROM r ORDER BY n;
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 150) SELECT count(*) FROM (SELECT n FROM r LIMIT ALL);
WITH r(n) MAX RECURSION LEVEL 5 AS (SELECT 1) SELECT * FROM r;
-- VALUES and rows that are counted
VALUES (1), (2.5F);
VALUES (2.5F), (1L);
VALUES (array(1)), (array(2.5F));
VALUES (named_struct('a', 1)), (named_struct('a', 2.5F));
SELECT coalesce(1, 2.5F), array(1, 2.5F), if(true, 1L, 2.5F), 1 + 2.5F;
SELECT * FROM VALUES (transform(array(1, 2), x -> x + 1)) t(a);
SELECT * FROM VALUES (explode(array(1))) t(a);
SELECT id FROM range(10) LIMIT 2147483647 OFFSET 9;
SELECT count(*) FROM t TABLESAMPLE (10);
SELECT * FROM range(array(1));
SELECT * FROM range(true);
-- stars
SELECT * EXCEPT (st.a, st) FROM s;
SELECT * EXCEPT (st.b.c, st.b) FROM s;
SELECT * EXCEPT (st.a, st.b) FROM s;
SELECT * EXCEPT (st.nope) FROM s;
SELECT * EXCEPT (ar.e) FROM s;
SELECT st.* EXCEPT (b.c) FROM s;
SELECT st.* EXCEPT (b.c, a) FROM s;
SELECT struct(* EXCEPT (st.a)) FROM s;
SELECT a.* EXCEPT (b.id) FROM t a JOIN t b ON a.id = b.id;
SELECT * FROM t GROUP BY *;
-- joins
SELECT * FROM t a JOIN t b ON a.id = b.id JOIN u USING (id);
SELECT * FROM t a, t b JOIN u USING (id) WHERE a.id = 1 ORDER BY 1, 4;
SELECT * FROM u JOIN (SELECT 1 AS id, 3 AS id) a USING (id);
SELECT * FROM t a JOIN t b ON a.id = b.id JOIN u USING (n);
SELECT * FROM t NATURAL LEFT SEMI JOIN u ORDER BY id;
SELECT id, (SELECT first(w) FROM (SELECT w FROM u WHERE u.id <= t.id ORDER BY id DESC LIMIT 2)) AS x FROM t ORDER BY id;
SELECT count(*) FROM t GROUP BY (SELECT max(w) FROM u WHERE u.id = t.id);
SELECT transform(array(id, 2), x -> (SELECT max(w) FROM u WHERE u.id = x)) AS y FROM t ORDER BY id;
SELECT id FROM t WHERE EXISTS (SELECT id FROM e WHERE e.id = t.id EXCEPT SELECT id FROM u WHERE u.id = t.id) ORDER BY id;
-- windows
SELECT id, listagg(g) OVER (ORDER BY id) AS x FROM t ORDER BY id;
SELECT id, string_agg(g, ',') OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS x FROM t ORDER BY id;
SELECT id, listagg(g, ',') WITHIN GROUP (ORDER BY id DESC) OVER (PARTITION BY g) AS x FROM t ORDER BY id;
SELECT id, sum(id) OVER (PARTITION BY g RANGE UNBOUNDED PRECEDING) AS x FROM t ORDER BY id;
SELECT id, lag(id, '1') OVER (ORDER BY id) FROM t;
-- pivots
SELECT * FROM (SELECT f, id FROM VALUES (double('NaN'), 1), (1.5D, 2), (NULL, 3), (-0.0D, 4) v(f, id)) PIVOT (max(id) FOR f IN (double('NaN'), 1.5D, 0.0D, NULL));
SELECT * FROM t UNPIVOT (g FOR k IN (id, n));
SELECT * FROM t UNPIVOT ((v, v) FOR k IN ((id, n)));
-- names and clocks
SELECT IDENTIFIER('st.a') FROM s;
SELECT struct(IDENTIFIER('st.a')) FROM s;
SELECT array(1, 2) > array(1.5, 0) AS x;
SELECT TIMESTAMP'2024-03-10 01:30:00.5' - TIMESTAMP_NTZ'2024-03-10 02:30:00.5' AS x;
SELECT TIMESTAMP_NTZ'2024-03-10 02:30:00' - TIMESTAMP'2024-03-10 03:30:00' AS x;
SELECT CAST(1.50BD AS INTERVAL HOUR) AS a, CAST(0.000001BD AS INTERVAL HOUR) AS b, CAST(2.5BD AS INTERVAL MINUTE) AS c;
SELECT CAST(TIMESTAMP'9999-12-31 23:59:59.999999' AS DECIMAL(38, 18)) AS a, CAST(TIMESTAMP'2024-03-10 03:30:00.123456' AS DECIMAL(38, 6)) AS b;
SELECT TRY_CAST(0BD AS INT) AS a, TRY_CAST(0BD AS BIGINT) AS b;
