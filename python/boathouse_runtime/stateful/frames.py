"""The rows of groups as pandas frames, cut out of the frame of all of them: a frame of its own is slow to make."""

import collections

import pandas as pd
import pyarrow as pa
from pyspark.errors import PySparkValueError
from pyspark.sql.conversion import ArrowBatchTransformer, PandasToArrowConversion
from pyspark.sql.types import StructField, StructType


class Rows:
    """The rows of some groups, one group after the other."""

    def __init__(self, batch, conf, widened):
        """Where frames are made of rows (`transformWithState`), they have the types of Python's values: `widened`."""
        self.batch, self.conf = batch, conf
        series = to_series(batch, conf)
        names = batch.schema.names
        if widened:
            series = [_wide(s) for s in series]
            # As `itertuples` names them.
            names = collections.namedtuple("Pandas", names, rename=True)._fields
        self.frame = pd.concat(series, axis=1) if series else pd.DataFrame(index=range(batch.num_rows))
        self.frame.columns = list(names)
        # What a column is depends upon whether there are nulls in it.
        varies = [i for i, c in enumerate(batch.columns) if c.null_count and _varies(c.type)]
        self.varying = [] if widened and not _booleans(batch, varies) else varies
        self.widened = widened

    def part(self, start, count):
        frame = self.frame.iloc[start : start + count]
        # It is the user's own: what is written into it warns of nothing.
        frame._is_copy = None
        frame.index = pd.RangeIndex(count)
        for i in self.varying:
            column = self.batch.column(i).slice(start, count)
            if self.widened and (column.null_count or not pa.types.is_boolean(column.type)):
                continue
            frame.isetitem(i, to_series(pa.RecordBatch.from_arrays([column], [""]), self.conf)[0])
        return frame

    def frames(self, start, count):
        """The rows of a group, so many at a time as the session says."""
        most = self.conf.arrow_max_records_per_batch
        most = most if most > 0 else count or 1
        for at in range(start, start + count, most):
            yield self.part(at, min(most, start + count - at))


def to_series(batch, conf):
    return ArrowBatchTransformer.to_pandas(
        batch, timezone=conf.timezone, prefer_int_ext_dtype=conf.prefer_int_ext_dtype
    )


def _varies(kind):
    return pa.types.is_integer(kind) or pa.types.is_boolean(kind)


def _booleans(batch, columns):
    return [i for i in columns if pa.types.is_boolean(batch.column(i).type)]


def _wide(series):
    if series.dtype.kind in "iu" and not pd.api.types.is_extension_array_dtype(series.dtype):
        return series.astype("int64", copy=False)
    return series.astype("float64", copy=False) if series.dtype == "float32" else series


class Output:
    """Frames that the user's functions gave, until there are enough of them to send."""

    def __init__(self, schema, conf, send, fills=False):
        """`fills`: columns that are not there are NULL, as they are in Spark where frames are put together."""
        self.fills = fills
        self.schema, self.conf, self.send = StructType([StructField("_0", schema)]), conf, send
        self.names = schema.names
        self.frames, self.rows = [], 0

    def add(self, frame):
        if not isinstance(frame, pd.DataFrame):
            raise PySparkValueError(
                "Invalid return type. Please make sure that the UDF returns a pandas.DataFrame when the specified return type "
                "is StructType."
            )
        if len(frame):
            self.frames.append(frame)
            self.rows += len(frame)
            if self.rows > max(self.conf.arrow_max_records_per_batch, 1):
                self.flush()

    def flush(self):
        if not self.frames:
            return
        frame = self.frames[0] if len(self.frames) == 1 else pd.concat(self.frames, ignore_index=True)
        self.frames, self.rows = [], 0
        if self.fills and any(isinstance(c, str) for c in frame.columns):
            for name in self.names:
                if name not in frame.columns:
                    frame = frame.assign(**{name: None})
        self.send(
            PandasToArrowConversion.convert(
                [frame],
                self.schema,
                timezone=self.conf.timezone,
                safecheck=self.conf.safecheck,
                arrow_cast=True,
                assign_cols_by_name=self.conf.assign_cols_by_name,
                int_to_decimal_coercion_enabled=self.conf.int_to_decimal_coercion_enabled,
            )
        )
