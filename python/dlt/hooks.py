"""Event hooks: functions that are told what happens in an update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dlt import arguments
from dlt.definitions import Hook, caller
from dlt.registry import active

Function = TypeVar("Function", bound=Callable[[dict], Any])


def on_event_hook(
    function: Function | None = None, *, max_allowable_consecutive_failures: int | None = None
) -> Any:
    """Makes a function a hook: it gets each event of an update as a dictionary (a row of the event log).

        @dlt.on_event_hook
        def tell_of_failures(event):
            if event["level"] == "ERROR":
                print(event["message"])

    A hook that fails does not end the update. After more than `max_allowable_consecutive_failures` failures in a row
    it is not called again; without a limit it is.
    """
    limit = max_allowable_consecutive_failures
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise arguments.wrong_type("max_allowable_consecutive_failures", "int of 0 or more", limit)

    def define(hook: Function) -> Function:
        arguments.function("on_event_hook", hook)
        active().hooks.append(Hook(hook, limit, caller()))
        return hook

    return define if function is None else define(function)
