"""State variables and timers of a stateful processor: what the server sent of them, and what the user's code changed.

The clients stand in the place of PySpark's, which ask a server for each value.
"""

import pickle

import pyarrow as pa
from pyspark.errors import PySparkRuntimeError

from boathouse_runtime.stateful.values import Struct

NULL = "[ILLEGAL_STATE_STORE_VALUE.NULL_VALUE] Illegal value provided to the State Store Cannot write null values to State Store for StateName {}. SQLSTATE: 42601"
EMPTY = "[ILLEGAL_STATE_STORE_VALUE.EMPTY_LIST_VALUE] Illegal value provided to the State Store Cannot write empty list values to State Store for StateName {}. SQLSTATE: 42601"


def groups_of(changes):
    return pa.array([c[0] for c in changes], pa.int32())


class Value:
    """A value a group. `processor.group` is the group that the user's code is called for."""

    kind = "value"

    def __init__(self, processor, schema):
        self.processor, self.values = processor, Struct(schema)
        self.begin(None)

    def begin(self, batch):
        self.found = (
            {}
            if batch is None
            else dict(zip(batch.column(0).to_pylist(), self.values.read(batch.column(1)), strict=True))
        )
        self.changed = {}

    def exists(self, name):
        return self.found.get(self.processor.group) is not None

    def get(self, name):
        return self.found.get(self.processor.group)

    def update(self, name, value):
        written = self.values.write(value)
        group = self.processor.group
        self.processor.updated += 1
        self.changed[group] = written
        self.found[group] = self.values.external(written)

    def clear(self, name):
        self.processor.removed += 1
        if self.found.pop(self.processor.group, None) is not None:
            self.changed[self.processor.group] = None

    def changes(self):
        if self.changed:
            groups = pa.array(list(self.changed), pa.int32())
            return {"group": groups, "value": self.values.array(list(self.changed.values()))}
        return None


class Elements:
    """The list of a group: numbers and what they are of."""

    __slots__ = ("first", "items", "stored", "written")

    def __init__(self):
        # What is stored has the numbers from `first` on, below `stored`; what was written since, by number.
        self.first, self.stored = 0, 0
        self.items, self.written = [], {}


class List:
    """A list a group, its elements stored under numbers."""

    kind = "list"

    def __init__(self, processor, schema):
        self.processor, self.values = processor, Struct(schema)
        self.begin(None)

    def begin(self, batch):
        self.found, self.touched = {}, set()
        if batch is None:
            return
        rows = zip(
            batch.column(0).to_pylist(), batch.column(1).to_pylist(), self.values.read(batch.column(2)), strict=True
        )
        for group, number, value in rows:
            elements = self.found.get(group)
            if elements is None:
                elements = self.found[group] = Elements()
                elements.first = number
            elements.items.append(value)
            elements.stored = number + 1

    def _elements(self):
        group = self.processor.group
        elements = self.found.get(group)
        if elements is None:
            elements = self.found[group] = Elements()
        return elements

    def exists(self, name):
        elements = self.found.get(self.processor.group)
        return elements is not None and bool(elements.items)

    def get(self, name, iterator_id):
        """The next element for an iterator, and whether it is the last."""
        cursors = self.processor.cursors
        if iterator_id not in cursors:
            elements = self.found.get(self.processor.group)
            cursors[iterator_id] = iter(list(elements.items) if elements else [])
        return next_of(cursors, iterator_id), False

    def _append(self, elements, values):
        written = [self.values.write(v) for v in values]
        self.processor.updated += len(written)
        for value in written:
            elements.written[elements.stored + len(elements.written)] = value
        elements.items.extend(self.values.external(v) for v in written)
        self.touched.add(self.processor.group)

    def append_value(self, name, value):
        self._append(self._elements(), [value])

    def append_list(self, name, values):
        self._append(self._elements(), self._checked(name, values))

    def put(self, name, values):
        values = self._checked(name, values)
        self._forget()
        self._append(self._elements(), values)

    def _checked(self, name, values):
        values = list(values)
        if not values:
            raise PySparkRuntimeError(f"Error updating value state: {EMPTY.format(name)}")
        return values

    def clear(self, name):
        self.processor.removed += 1
        self._forget()

    def _forget(self):
        group = self.processor.group
        elements = self.found.get(group)
        if elements is None:
            return
        # What is stored goes; what comes now gets numbers behind it.
        elements.written = {n: None for n in range(elements.first, elements.stored)}
        elements.items = []
        self.touched.add(group)

    def changes(self):
        rows = [(g, n, v) for g in sorted(self.touched) for n, v in self.found[g].written.items()]
        if not rows:
            return None
        groups, numbers, values = zip(*rows, strict=True)
        return {
            "group": pa.array(groups, pa.int32()),
            "number": pa.array(numbers, pa.int64()),
            "value": self.values.array(list(values)),
        }


def next_of(cursors, iterator_id):
    try:
        return next(cursors[iterator_id])
    except StopIteration:
        del cursors[iterator_id]
        raise


class Map:
    """A map a group."""

    kind = "map"

    def __init__(self, processor, key_schema, schema):
        self.processor, self.keys, self.values = processor, Struct(key_schema), Struct(schema)
        self.begin(None)

    def begin(self, batch):
        """By group: by key as it is written: key and value as the user's code has them."""
        self.found, self.changed = {}, {}
        if batch is None:
            return
        rows = zip(
            batch.column(0).to_pylist(), self.keys.read(batch.column(1)), self.values.read(batch.column(2)), strict=True
        )
        for group, key, value in rows:
            self.found.setdefault(group, {})[self._name(self.keys.write(key))] = (key, value)

    def _name(self, written):
        try:
            hash(written)
            return written
        except TypeError:
            return pickle.dumps(written)

    def _group(self):
        return self.found.get(self.processor.group) or {}

    def exists(self, name):
        return bool(self._group())

    def get_value(self, name, key):
        found = self._group().get(self._name(self.keys.write(key)))
        return found and self.values.row(*found[1])

    def contains_key(self, name, key):
        return self._name(self.keys.write(key)) in self._group()

    def update_value(self, name, key, value):
        group, key, value = self.processor.group, self.keys.write(key), self.values.write(value)
        name = self._name(key)
        self.processor.updated += 1
        self.changed[group, name] = (key, value)
        self.found.setdefault(group, {})[name] = (self.keys.external(key), self.values.external(value))

    def remove_key(self, name, key):
        key = self.keys.write(key)
        name = self._name(key)
        self.processor.removed += 1
        if self._group().pop(name, None) is not None:
            self.changed[self.processor.group, name] = (key, None)

    def clear(self, name):
        group = self.processor.group
        found = self.found.pop(group, None) or {}
        self.processor.removed += len(found)
        for name, (key, _) in found.items():
            self.changed[group, name] = (self.keys.write(key), None)

    def _iterate(self, iterator_id, select):
        cursors = self.processor.cursors
        if iterator_id not in cursors:
            cursors[iterator_id] = iter([select(*pair) for pair in self._group().values()])
        return next_of(cursors, iterator_id)

    def get_key_value_pair(self, name, iterator_id):
        return *self._iterate(iterator_id, lambda key, value: (key, value)), False

    def get_row(self, name, iterator_id, is_key):
        return self._iterate(iterator_id, lambda key, value: key if is_key else value), False

    def changes(self):
        if not self.changed:
            return None
        groups, keys, values = zip(*[(group, *pair) for (group, _), pair in self.changed.items()], strict=True)
        return {
            "group": pa.array(groups, pa.int32()),
            "key": self.keys.array(list(keys)),
            "value": self.values.array(list(values)),
        }


class Timers:
    """The times, in milliseconds, at which groups want to be called."""

    def __init__(self, processor):
        self.processor = processor
        self.begin(None)

    def begin(self, batch):
        self.found, self.changed = {}, {}
        for group, at in zip(*(c.to_pylist() for c in batch.columns), strict=True) if batch is not None else ():
            self.found.setdefault(group, set()).add(at)

    def register(self, at):
        self.found.setdefault(self.processor.group, set()).add(at)
        self.changed[self.processor.group, at] = True

    def delete(self, at):
        times = self.found.get(self.processor.group)
        if times and at in times:
            times.discard(at)
            self.changed[self.processor.group, at] = False

    def list(self):
        return iter(sorted(self.found.get(self.processor.group) or ()))

    def changes(self):
        if not self.changed:
            return None
        return {
            "group": groups_of(list(self.changed)),
            "at": pa.array([at for _, at in self.changed], pa.int64()),
            "kept": pa.array(list(self.changed.values()), pa.bool_()),
        }
