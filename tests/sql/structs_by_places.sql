-- Structs are compared by the places of their fields.
SELECT (1, 2.0) IN ((2, 3.0)), (1, 2.0) NOT IN ((2, 3.0), (1, 2.0));
SELECT (a, b) IN ((2, 3.0)) FROM VALUES (2, 3.0) AS m(a, b);
SELECT (a, b) IN ((2, 3)) FROM VALUES (2, 3.0) AS m(a, b);
SELECT (a, b) NOT IN ((2, 3.0)) FROM VALUES (2, 3.0), (1, NULL) AS m(a, b);
SELECT (a, b) = (2, 3.0) FROM VALUES (2, 3.0) AS m(a, b);
SELECT named_struct('x', 1) IN (named_struct('y', 1)), named_struct('x', 1) = named_struct('y', 1L);
SELECT (a, b) <=> (2, NULL), (a, b) < (2, 3.5), (a, b) >= (2, 3.0) FROM VALUES (2, 3.0) AS m(a, b);
SELECT array((a, b)) = array((2, 3.0)), array((a, b)) = array((2, 3)) FROM VALUES (2, 3.0) AS m(a, b);
SELECT (a, (b, a)) = (2, (3.0, 2)), ((a, b), a) IN (((2, 3.0), 2)) FROM VALUES (2, 3.0) AS m(a, b);
SELECT named_struct('x', 1, 'y', 'a') = named_struct('y', 1, 'x', 'a');
SELECT named_struct('x', 1) = named_struct('X', 1), named_struct('x', 1) = named_struct('X', 1L);
SELECT named_struct('x', 1) BETWEEN named_struct('y', 0) AND named_struct('z', 2);
SELECT CASE named_struct('x', 1) WHEN named_struct('y', 1) THEN 'same' END;
SELECT count(*) FROM VALUES (2, 3.0) AS m(a, b) JOIN VALUES (2, 3.0) AS n(c, d) ON (m.a, m.b) = (n.c, n.d);
SELECT (a, b) = (NULL, 3.0), (a, b) = NULL FROM VALUES (2, 3.0) AS m(a, b);
SELECT nullif((a, b), (2, 3.0)) FROM VALUES (2, 3.0) AS m(a, b);
SELECT coalesce(named_struct('x', 1), named_struct('y', 2));
SELECT array(named_struct('x', 1), named_struct('y', 2));
