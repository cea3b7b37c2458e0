"""Calls the functions that `dlt.on_event_hook` marks, one after the other, for each event of an update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlt.definitions import Hook


class Hooks:
    def __init__(self, hooks: list[Hook]) -> None:
        self._failures = {id(h): 0 for h in hooks}
        self._hooks = list(hooks)

    def tell(self, event: dict[str, Any], say: Callable[[str], None]) -> None:
        """Gives an event to each hook. One that fails too often in a row is left out from then on."""
        for hook in list(self._hooks):
            try:
                hook.function(event)
                self._failures[id(hook)] = 0
            except Exception as e:
                self._failed(hook, e, say)

    def _failed(self, hook: Hook, error: Exception, say: Callable[[str], None]) -> None:
        name = getattr(hook.function, "__name__", "hook")
        self._failures[id(hook)] += 1
        say(f"warning: the event hook {name} ({hook.location}) failed: {type(error).__name__}: {error}")
        limit = hook.max_consecutive_failures
        if limit is not None and self._failures[id(hook)] > limit:
            self._hooks.remove(hook)
            say(f"warning: the event hook {name} is not called any more: it failed {self._failures[id(hook)]} times in a row")
