"""Checks of arguments. What has no meaning here is refused by name, never ignored."""

from __future__ import annotations

from typing import Any

from pyspark.errors import PySparkNotImplementedError, PySparkTypeError


def wrong_type(argument: str, expected: str, value: Any) -> PySparkTypeError:
    return PySparkTypeError(
        errorClass="NOT_EXPECTED_TYPE",
        messageParameters={"arg_name": argument, "expected_type": expected, "arg_type": type(value).__name__},
    )


def unsupported(feature: str) -> PySparkNotImplementedError:
    return PySparkNotImplementedError(errorClass="NOT_IMPLEMENTED", messageParameters={"feature": feature})


def text(argument: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type(argument, "str", value)
    return value


def optional_text(argument: str, value: Any) -> str | None:
    return None if value is None else text(argument, value)


def flag(argument: str, value: Any) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise wrong_type(argument, "bool", value)
    return value


def names(argument: str, value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
        raise wrong_type(argument, "list of str", value)
    return list(value)


def settings(argument: str, value: Any) -> dict[str, str]:
    """A dictionary of strings; booleans and numbers are written as Spark writes them."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        raise wrong_type(argument, "dict", value)
    written = {}
    for key, setting in value.items():
        if isinstance(setting, bool):
            setting = str(setting).lower()
        elif isinstance(setting, (int, float)):
            setting = str(setting)
        written[key] = text(f"{argument}[{key!r}]", setting)
    return written


def function(decorator: str, value: Any) -> Any:
    if not callable(value):
        raise PySparkTypeError(
            errorClass="DECORATOR_ARGUMENT_NOT_CALLABLE",
            messageParameters={"decorator_name": decorator, "example_usage": f"@{decorator}(name='{decorator}_a')"},
        )
    return value


def dataset_name(argument: str, value: Any) -> str:
    """A dataset's name without the `LIVE.` of old code, which stands for the pipeline's own schema."""
    name = text(argument, value)
    return name[5:] if name[:5].lower() == "live." else name
