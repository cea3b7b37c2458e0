"""Change data capture: rows that tell of inserts, updates and deletes, applied in order to a streaming table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlt import arguments
from dlt.columns import sql_text
from dlt.definitions import AutoCdcFlow, caller
from dlt.registry import active

if TYPE_CHECKING:
    from pyspark.sql import Column

    Columns = list[str] | list[Column]


def create_auto_cdc_flow(
    target: str,
    source: str,
    keys: Columns,
    sequence_by: str | Column,
    ignore_null_updates: bool = False,
    apply_as_deletes: str | Column | None = None,
    apply_as_truncates: str | Column | None = None,
    column_list: Columns | None = None,
    except_column_list: Columns | None = None,
    stored_as_scd_type: int | str = 1,
    track_history_column_list: Columns | None = None,
    track_history_except_column_list: Columns | None = None,
    name: str | None = None,
    once: bool = False,
) -> None:
    """Applies the changes in `source` to the streaming table `target`: the row with the highest `sequence_by` of each
    key wins.

        dlt.create_streaming_table("customers")
        dlt.create_auto_cdc_flow(
            target="customers",
            source="customer_changes",
            keys=["customer_id"],
            sequence_by="changed_at",
            apply_as_deletes="operation = 'DELETE'",
            except_column_list=["operation", "changed_at"],
        )

    `stored_as_scd_type=1` keeps the newest row of a key; 2 keeps every one, with `__START_AT` and `__END_AT`.
    """
    scd_type = _scd_type(stored_as_scd_type)
    _at_most_one(column_list=column_list, except_column_list=except_column_list)
    _at_most_one(
        track_history_column_list=track_history_column_list,
        track_history_except_column_list=track_history_except_column_list,
    )
    if scd_type == 1 and (track_history_column_list or track_history_except_column_list):
        raise ValueError("track_history_column_list and track_history_except_column_list need stored_as_scd_type=2")
    target = arguments.dataset_name("target", target)
    key_texts = _list("keys", keys)
    if not key_texts:
        raise ValueError("keys must name at least one column")
    active().add_flow(
        AutoCdcFlow(
            name=arguments.optional_text("name", name) or target,
            target=target,
            source=arguments.dataset_name("source", source),
            keys=key_texts,
            sequence_by=sql_text("sequence_by", sequence_by),
            location=caller(),
            ignore_null_updates=arguments.flag("ignore_null_updates", ignore_null_updates),
            apply_as_deletes=_optional("apply_as_deletes", apply_as_deletes),
            apply_as_truncates=_optional("apply_as_truncates", apply_as_truncates),
            column_list=_list("column_list", column_list),
            except_column_list=_list("except_column_list", except_column_list),
            scd_type=scd_type,
            track_history_column_list=_list("track_history_column_list", track_history_column_list),
            track_history_except_column_list=_list(
                "track_history_except_column_list", track_history_except_column_list
            ),
            once=arguments.flag("once", once),
        )
    )


# The name of earlier releases.
apply_changes = create_auto_cdc_flow


def create_auto_cdc_from_snapshot_flow(*args: Any, **kwargs: Any) -> None:
    """Not supported: refused by name.

        dlt.create_auto_cdc_from_snapshot_flow(target="t", source="s", keys=["id"])      # raises
    """
    raise arguments.unsupported("dlt.create_auto_cdc_from_snapshot_flow (apply_changes_from_snapshot)")


apply_changes_from_snapshot = create_auto_cdc_from_snapshot_flow


def _scd_type(value: Any) -> int:
    if value is None:
        return 1
    if isinstance(value, bool) or str(value) not in ("1", "2"):
        raise ValueError(f"stored_as_scd_type is {value!r}: it must be 1 or 2")
    return int(value)


def _at_most_one(**lists: Any) -> None:
    given = [n for n, v in lists.items() if v is not None]
    if len(given) > 1:
        raise ValueError(f"only one of {' and '.join(given)} can be given")


def _list(argument: str, value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)):
        raise arguments.wrong_type(argument, "list of str or Column", value)
    return [sql_text(argument, v) for v in value]


def _optional(argument: str, value: Any) -> str | None:
    return None if value is None else sql_text(argument, value)
