"""Columns as SQL text: what the server takes for keys, sequences and conditions of change data capture."""

from __future__ import annotations

from typing import Any

from dlt import arguments

# Functions of the client that SQL writes as operators.
_INFIX = {
    "==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "<=>": "<=>",
    "and": "AND", "or": "OR", "+": "+", "-": "-", "*": "*", "/": "/", "%": "%",
}  # fmt: skip
_POSTFIX = {"isnull": "IS NULL", "isnotnull": "IS NOT NULL"}
_PREFIX = {"not": "NOT", "!": "NOT", "negative": "-"}


def sql_text(argument: str, value: Any) -> str:
    """The SQL of a string (which is SQL already) or of a Column."""
    if isinstance(value, str):
        return value
    expression = getattr(value, "_expr", None)
    if expression is None:
        raise arguments.wrong_type(argument, "str or Column", value)
    return _text(argument, expression)


def _text(argument: str, e: Any) -> str:
    kind = type(e).__name__
    if kind == "ColumnReference":
        return e._unparsed_identifier
    if kind == "SQLExpression":
        return e._expr
    if kind == "LiteralExpression":
        return _literal(argument, e)
    if kind == "UnresolvedFunction":
        return _call(argument, e._name, [_text(argument, a) for a in e._args])
    if kind == "CastExpression":
        target = e._data_type if isinstance(e._data_type, str) else e._data_type.simpleString()
        return f"CAST({_text(argument, e._expr)} AS {target})"
    raise arguments.unsupported(f"the Column {e} in {argument} (write it as SQL text)")


def _call(argument: str, name: str, args: list[str]) -> str:
    if name in _INFIX and len(args) == 2:
        return f"({args[0]} {_INFIX[name]} {args[1]})"
    if name in _POSTFIX and len(args) == 1:
        return f"({args[0]} {_POSTFIX[name]})"
    if name in _PREFIX and len(args) == 1:
        return f"({_PREFIX[name]} {args[0]})"
    if name == "in" and len(args) > 1:
        return f"({args[0]} IN ({', '.join(args[1:])}))"
    if not name.isidentifier():
        raise arguments.unsupported(f"the operator {name} in {argument} (write the condition as SQL text)")
    return f"{name}({', '.join(args)})"


def _literal(argument: str, e: Any) -> str:
    value, kind = e._value, type(e._dataType).__name__
    if value is None:
        return "NULL"
    if kind == "BooleanType":
        return "true" if value else "false"
    if kind in ("ByteType", "ShortType", "IntegerType"):
        return str(value)
    if kind == "LongType":
        return f"{value}L"
    if kind == "DoubleType":
        return f"{value!r}D"
    if kind == "DecimalType":
        return f"{value}BD"
    if kind == "StringType":
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if kind == "DateType":
        return f"DATE '{e._dataType.fromInternal(value)}'"
    raise arguments.unsupported(f"a literal of type {e._dataType.simpleString()} in {argument} (write it as SQL text)")
