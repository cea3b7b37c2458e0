SET spark.sql.ansi.enabled = false;
SELECT array_append(array(), 1) AS a, array_prepend(array(), 'x') AS b, concat(array(), array(1)) AS c, map_concat(map(), map(1, 2)) AS d;
SELECT array_union(array(), array(1, NULL)) AS a, coalesce(array(), array(1)) AS b, if(true, array(), array('a')) AS c;
SELECT CAST(array() AS ARRAY<INT>) AS a, CAST(map() AS MAP<STRING, INT>) AS b;
SELECT CAST(array('1', 'x') AS ARRAY<INT>) AS a, CAST('x' AS INT) AS b, 1 / 0 AS c, 2147483647 + 1 AS d;
SET spark.sql.ansi.enabled = true;
