"""The names notebooks expect: `dbutils` and `display`."""

from dbruntime.display import display
from dbruntime.utilities import DBUtils

__all__ = ["DBUtils", "display"]
