"""Values of state: as the user's code has them, and as Arrow columns."""

import datetime
import decimal

import pyarrow as pa
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import types as t
from pyspark.sql.pandas.types import to_arrow_type

try:
    import numpy
except ImportError:
    numpy = None

EPOCH = datetime.datetime(1970, 1, 1)
EPOCH_UTC = EPOCH.replace(tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)
WHOLE_NUMBERS = (t.ByteType, t.ShortType, t.IntegerType, t.LongType)


def plain(value):
    """NumPy's and pandas's values as Python's."""
    if value is None or type(value) in (int, str, float, bool):
        return value
    if numpy is not None and isinstance(value, numpy.generic):
        return plain(value.tolist())
    if isinstance(value, t.Row) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return type(value)(*[plain(v) for v in value])
    if isinstance(value, (list, tuple)):
        return type(value)(plain(v) for v in value)
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if hasattr(value, "to_pytimedelta"):
        return value.to_pytimedelta()
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return value


def _text(value):
    if value is None or type(value) is str:
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of(*kinds):
    return lambda value: value if type(value) in kinds else None


def accepting(data_type):
    """What Spark takes for a value of the type (`EvaluatePython.makeFromJava`), as PyArrow takes it; others are NULL."""
    if isinstance(data_type, WHOLE_NUMBERS):
        return _of(int)
    if isinstance(data_type, (t.FloatType, t.DoubleType)):
        return _of(float)
    if isinstance(data_type, t.BooleanType):
        return _of(bool)
    if isinstance(data_type, t.StringType):
        return _text
    if isinstance(data_type, t.BinaryType):
        return lambda v: bytes(v) if isinstance(v, (bytes, bytearray)) else v.encode() if type(v) is str else None
    if isinstance(data_type, t.DecimalType):
        return lambda v: v if isinstance(v, decimal.Decimal) else None
    if isinstance(data_type, t.ArrayType):
        item = accepting(data_type.elementType)
        return lambda v: [item(x) for x in v] if isinstance(v, (list, tuple)) else None
    if isinstance(data_type, t.MapType):
        key, value = accepting(data_type.keyType), accepting(data_type.valueType)
        return lambda v: [(key(k), value(x)) for k, x in v.items()] if isinstance(v, dict) else None
    if isinstance(data_type, t.StructType):
        return Struct(data_type).as_dict
    # Dates, times and intervals are whole numbers by now (`toInternal`).
    return _of(int)


def reading(data_type):
    """A value out of an Arrow column as the user's code has it; `None` where it is that already."""
    if isinstance(data_type, t.TimestampType):
        return lambda v: None if v is None else data_type.fromInternal((v - EPOCH_UTC) // MICROSECOND)
    if isinstance(data_type, t.ArrayType):
        item = reading(data_type.elementType)
        return item and (lambda v: None if v is None else [item(x) for x in v])
    if isinstance(data_type, t.MapType):
        key, value = reading(data_type.keyType), reading(data_type.valueType)
        same = lambda v: v  # noqa: E731
        key, value = key or same, value or same
        return lambda v: None if v is None else {key(k): value(x) for k, x in v}
    if isinstance(data_type, t.StructType):
        fields = [(f.name, reading(f.dataType)) for f in data_type.fields]
        row = t.Row(*[name for name, _ in fields])
        return lambda v: None if v is None else row(*[r(v[n]) if r else v[n] for n, r in fields])
    return None


class Struct:
    """The rows of a schema: the values of state variables, and the keys of maps."""

    def __init__(self, schema):
        self.schema = schema
        self.count = len(schema.fields)
        self.names = schema.names
        self.row = t.Row(*schema.names)
        self.accept = [accepting(f.dataType) for f in schema.fields]
        self.read_as = [reading(f.dataType) for f in schema.fields]
        self.type = to_arrow_type(schema, timezone="UTC")
        converted = [f.dataType for f in schema.fields if f.dataType.needConversion()]
        # Values that are the same inside and outside.
        self.is_plain = not converted and not any(self.read_as)

    def write(self, value):
        """A value of the user's, as PyArrow takes it: a tuple."""
        value = tuple([plain(v) for v in value])
        return self.checked(value if self.is_plain else self.schema.toInternal(value))

    def checked(self, value):
        if len(value) != self.count:
            raise PySparkRuntimeError(
                "Error updating value state: [STRUCT_ARRAY_LENGTH_MISMATCH] Input row doesn't have expected number of values "
                f"required by the schema. {self.count} fields are required while {len(value)} values are provided."
            )
        return tuple([accept(v) for accept, v in zip(self.accept, value, strict=True)])

    def as_dict(self, value):
        if not isinstance(value, (tuple, list)):
            return None
        return dict(zip(self.names, self.checked(value), strict=True))

    def external(self, written):
        """What was written, as the user's code gets it."""
        return written if self.is_plain else self.read(self.array([written]))[0]

    def array(self, values):
        """Written values as a column of structs; `None` is a null."""
        empty = (None,) * self.count
        mask = pa.array([v is None for v in values], pa.bool_()) if None in values else None
        parts = zip(*[empty if v is None else v for v in values], strict=True) if values else ((),) * self.count
        columns = [pa.array(list(p), f.type) for p, f in zip(parts, self.type, strict=True)]
        if not columns:
            return pa.array([None if v is None else {} for v in values], self.type)
        return pa.StructArray.from_arrays(columns, fields=list(self.type), mask=mask)

    def read(self, column):
        """The tuples in a column of structs; `None` where it is null."""
        if not self.count:
            rows = [()] * len(column)
        else:
            parts = []
            for part, read in zip(column.flatten(), self.read_as, strict=True):
                values = part.to_pylist()
                parts.append([read(v) for v in values] if read else values)
            rows = list(zip(*parts, strict=True))
        if column.null_count:
            return [row if valid else None for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)]
        return rows
