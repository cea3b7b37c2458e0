-- Aliases of a SELECT list in the rest of it, beside session variables of their names.
CREATE OR REPLACE TEMPORARY VIEW g AS SELECT * FROM VALUES (1, 'a', array(1, 2)), (2, 'b', array(3)), (2, 'c', array()) AS t(i, s, a);
DECLARE OR REPLACE VARIABLE v1 INT DEFAULT 10;
DECLARE OR REPLACE VARIABLE lo INT DEFAULT 77;
SELECT 1 AS v1, v1 + 1;
SELECT 1 AS v1, v1;
SELECT i AS v1, v1 + 1 AS w FROM g;
SELECT i AS v1, v1 + 1 AS w FROM g ORDER BY v1;
SELECT i AS v1 FROM g WHERE v1 = 10;
SELECT i AS v1 FROM g ORDER BY v1;
SELECT i AS v1 FROM g GROUP BY v1;
SELECT i AS v1, count(*) FROM g GROUP BY v1;
SELECT i AS v1, count(*) FROM g GROUP BY ALL HAVING v1 = 1;
SELECT i AS v1, count(*), v1 + 100 FROM g GROUP BY i;
SELECT sum(i) AS v1, v1 + 1 FROM g;
SELECT system.session.v1, 5 AS v1, session.v1;
SELECT named_struct('x', 1) AS v1, v1.x;
SELECT 5 AS lo, (SELECT lo);
SELECT 5 AS lo, (SELECT max(i) + lo FROM g);
SELECT lo, 5 AS lo;
SELECT lo AS lo, lo;
SELECT v1 AS x, x + 1 AS v1, v1 FROM g;
SELECT i, s AS i, i FROM g;
SELECT 1 AS z, 2 AS z, z;
SELECT 1 AS v1, 2 AS v1, v1;
SELECT 7 AS v1, sum(v1) OVER () FROM g;
SELECT 7 AS v1, transform(array(1), x -> x + v1);
SELECT 7 AS v1, transform(array(1), v1 -> v1 + 1);
FROM g |> EXTEND 5 AS v1, v1 + 1 AS q;
FROM g |> SELECT 5 AS v1, v1 + 1 AS q;
SELECT * FROM VALUES (1), (2) AS t(v1) WHERE v1 = 1;
SELECT v1 FROM VALUES (1), (2) AS t(v1);
-- What is another value each time is computed once.
SELECT i = i, length(i) FROM (SELECT uuid() AS i, 1);
SELECT length(a), same, NOT same FROM (SELECT uuid() AS a, a = a AS same, same AS again FROM range(2));
SELECT same, more FROM (SELECT rand() AS r, r AS q, r = q AS same, q + 1 > r AS more FROM range(3));
SELECT x = y, id FROM (SELECT id, rand() + id AS x, x AS y, sum(1) OVER (ORDER BY id) AS n FROM range(2)) ORDER BY id;
SELECT monotonically_increasing_id() AS m, m + 1, m = m FROM range(0, 2, 1, 1);
SELECT rand(3) AS r, r = r, sum(r) OVER () > 0 FROM range(2);
SELECT k, same FROM (SELECT id AS k, uuid() AS u, u = u AS same FROM range(3) ORDER BY id DESC) ORDER BY k;
SELECT max(id) AS m, rand() * 0 + m AS z, z = m FROM range(3);
SELECT same, more, less FROM (SELECT uuid() AS u, length(u) AS l, transform(array(1, 2), x -> u)[1] = u AS same, exists(array(36), x -> x = l) AS more, transform(array(1), x -> transform(array(1), y -> concat(u, x, y)))[0][0] = u || '11' AS less FROM range(2));
SELECT same, among FROM (SELECT uuid() AS u, (SELECT u) = u AS same, u IN (u, 'x') AS among FROM range(2));
SELECT x FROM (SELECT rand() AS r, sum(r) OVER (ORDER BY id) >= r AS x, id FROM range(3));
SELECT e FROM (SELECT uuid() AS u, u = u AS e FROM range(2) UNION ALL SELECT 'a', false);
SELECT i, same FROM (SELECT t.id AS i, uuid() AS u, u = u AS same FROM range(2) t JOIN range(2) s ON t.id = s.id) ORDER BY i;
SELECT same FROM (SELECT DISTINCT 1 AS k, uuid() AS u, u = u AS same FROM range(1));
SELECT same FROM (SELECT sum(rand(0)) OVER () AS r, r + 1 = r + 1 AS same FROM range(3));
SELECT named_struct('x', 1) AS a, a.x + 1, a.x;
SELECT named_struct('x', named_struct('y', 1)) AS a, a.x.y + 1, a.x AS b, b.y;
SELECT map('k', 1) AS m, m.k + 1, m['k'] + 1;
SELECT z = z, w - z FROM (SELECT rand() * 0 + max(id) AS z, z + 1 AS w FROM range(3));

-- An item that is nothing but an alias is the item with that alias: by its name they are one.
SELECT id AS u, u + 1 AS l, l FROM range(3) ORDER BY l DESC;
SELECT id AS u, u FROM range(3) ORDER BY u DESC;
SELECT id AS u, U FROM range(3) ORDER BY u DESC;
SELECT u FROM (SELECT id AS u, u FROM range(3));
SELECT s AS k, sum(i) AS n, n FROM g GROUP BY s ORDER BY n, k;
SELECT n FROM (SELECT s AS k, sum(i) AS n, n FROM g GROUP BY s);
SELECT sum(i) AS n, n FROM g ORDER BY n;
SELECT n FROM (SELECT sum(i) AS n, n FROM g);
SELECT s, s FROM g GROUP BY s ORDER BY s DESC;
SELECT s FROM (SELECT s, s FROM g GROUP BY s) WHERE s > 'a';
SELECT s FROM (SELECT s, upper(s) AS s FROM g GROUP BY s) WHERE s > 'a';
SELECT id AS l, id + 1 AS u, u AS l FROM range(3) ORDER BY l;
SELECT l FROM (SELECT id AS u, u + 1 AS l, l AS l FROM range(3));
SELECT same FROM (SELECT i = j AS same FROM (SELECT uuid() AS i, i AS j FROM range(2)));
SELECT length(i) FROM (SELECT uuid() AS i, i FROM range(2));
SELECT l FROM (SELECT explode(array(1, 2)) AS l, l FROM range(1));

-- Windows take no aliases of their list.
SELECT id AS a, sum(id) OVER (ORDER BY a) AS n FROM range(3);
SELECT id AS a, sum(id) OVER (PARTITION BY a % 2) AS n FROM range(3);
SELECT id AS a, sum(a) OVER (PARTITION BY a) AS n FROM range(3);
SELECT id AS a, a + sum(id) OVER () AS n FROM range(3);
SELECT s, sum(i) AS a, rank() OVER (ORDER BY a) AS r FROM g GROUP BY s;
SELECT s, sum(i) AS a, a + rank() OVER (ORDER BY s) AS r FROM g GROUP BY s;
SELECT id AS a, sum(id) OVER (ORDER BY id) AS n, n + a AS m FROM range(3);
SELECT id AS a, lag(id, 1, a) OVER (ORDER BY id) AS n FROM range(3);
SELECT id AS a, count(id) FILTER (WHERE a > 1) OVER () AS n FROM range(3);

-- Conditions of joins are about the rows of both sides.
SELECT * FROM g x JOIN g y ON x.i = y.i AND sum(x.i) OVER () > 1;
SELECT * FROM g x JOIN g y ON x.i = y.i AND max(x.i) > 1;
