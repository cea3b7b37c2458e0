"""Expectations: what holds for every row of a table or view, as SQL conditions.

They stand above or below `@dlt.table`, in any number. A row for which the condition is false or NULL does not meet it:
`expect` counts such rows, `expect_or_drop` leaves them out (and keeps them for `dropped_records('<table>')`),
`expect_or_fail` ends the update and leaves the table as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dlt import arguments
from dlt.definitions import Rule
from dlt.registry import active

Function = TypeVar("Function", bound=Callable)
Decorator = Callable[[Function], Function]


def expect(description: str, constraint: str) -> Decorator:
    """Rows that do not meet the condition are counted, and stay.

        @dlt.table
        @dlt.expect("positive_amount", "amount > 0")
        def sales(): ...
    """
    return _rule("expect", description, constraint, "warn")


def expect_or_drop(description: str, constraint: str) -> Decorator:
    """Rows that do not meet the condition are left out.

        @dlt.table
        @dlt.expect_or_drop("has_customer", "customer_id IS NOT NULL")
        def sales(): ...
    """
    return _rule("expect_or_drop", description, constraint, "drop")


def expect_or_fail(description: str, constraint: str) -> Decorator:
    """A row that does not meet the condition ends the update.

        @dlt.table
        @dlt.expect_or_fail("has_id", "sale_id IS NOT NULL")
        def sales(): ...
    """
    return _rule("expect_or_fail", description, constraint, "fail")


def expect_all(expectations: dict[str, str]) -> Decorator:
    """Several of `expect`.

        @dlt.table
        @dlt.expect_all({"positive_amount": "amount > 0", "known_year": "year(sale_date) >= 2020"})
        def sales(): ...
    """
    return _all("expect_all", expectations, "warn")


def expect_all_or_drop(expectations: dict[str, str]) -> Decorator:
    """Several of `expect_or_drop`: a row that misses one of them is left out.

        @dlt.table
        @dlt.expect_all_or_drop({"has_customer": "customer_id IS NOT NULL", "has_amount": "amount IS NOT NULL"})
        def sales(): ...
    """
    return _all("expect_all_or_drop", expectations, "drop")


def expect_all_or_fail(expectations: dict[str, str]) -> Decorator:
    """Several of `expect_or_fail`.

        @dlt.table
        @dlt.expect_all_or_fail({"has_id": "sale_id IS NOT NULL"})
        def sales(): ...
    """
    return _all("expect_all_or_fail", expectations, "fail")


def rules(argument: str, expectations: dict[str, str] | None, action: str) -> list[Rule]:
    """The rules of a dictionary of names and conditions."""
    if expectations is None:
        return []
    if not isinstance(expectations, dict):
        raise arguments.wrong_type(argument, "dict of names and conditions", expectations)
    return [
        Rule(arguments.text(f"a name in {argument}", n), arguments.text(f"{argument}[{n!r}]", c), action)
        for n, c in expectations.items()
    ]


def _rule(decorator: str, description: Any, constraint: Any, action: str) -> Decorator:
    rule = Rule(arguments.text("description", description), arguments.text("constraint", constraint), action)
    return _decorator(decorator, [rule])


def _all(decorator: str, expectations: Any, action: str) -> Decorator:
    if expectations is None:
        raise arguments.wrong_type("expectations", "dict of names and conditions", expectations)
    return _decorator(decorator, rules("expectations", expectations, action))


def _decorator(decorator: str, found: list[Rule]) -> Decorator:
    def attach(function: Function) -> Function:
        arguments.function(decorator, function)
        active().add_rules(function, found)
        return function

    return attach
