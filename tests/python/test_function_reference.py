"""docs/functions.md says which of Spark's functions are here: the server says the same."""

import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "functions.md"


def test_the_page_lists_what_the_server_has(spark):
    listed = dict(re.findall(r"^\| `(.+?)` \| (yes|no) \|", PAGE.read_text().replace("\\|", "|"), re.M))
    assert len(listed) > 500
    there = {row[0] for row in spark.sql("SHOW SYSTEM FUNCTIONS").collect()}
    assert sorted(name for name, here in listed.items() if (here == "yes") != (name in there)) == []


def test_functions_are_described(spark):
    short = ["Function: abs", "Class: org.apache.spark.sql.catalyst.expressions.Abs", "Usage: abs(expr)"]
    assert [row[0] for row in spark.sql("DESCRIBE FUNCTION abs").collect()] == short
    extended = [row[0] for row in spark.sql("DESCRIBE FUNCTION EXTENDED abs").collect()]
    assert extended == [*short, "Extended Usage:\n    Since: 1.2.0\n"]
