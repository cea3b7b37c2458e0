"""Declarative pipelines: tables and views are functions, what is right in them are expectations.

    import dlt
    from pyspark.sql.functions import col

    @dlt.table(comment="Sales with a customer and a positive amount")
    @dlt.expect("positive_amount", "amount > 0")
    @dlt.expect_or_drop("has_customer", "customer_id IS NOT NULL")
    def silver_sales():
        return dlt.read_stream("bronze_sales").filter(col("sale_date").isNotNull())

Run it with `boathouse pipeline run FILE`. The module only records what is defined; `boathouse_runtime.pipeline` sends
it to the server. Each file here holds one concern: `datasets`, `expectations`, `flows`, `auto_cdc`, `sinks`,
`reading`, `hooks`.
"""

from dlt.auto_cdc import (
    apply_changes,
    apply_changes_from_snapshot,
    create_auto_cdc_flow,
    create_auto_cdc_from_snapshot_flow,
)
from dlt.datasets import (
    create_streaming_live_table,
    create_streaming_table,
    create_table,
    create_target_table,
    create_view,
    materialized_view,
    table,
    temporary_view,
    view,
)
from dlt.expectations import (
    expect,
    expect_all,
    expect_all_or_drop,
    expect_all_or_fail,
    expect_or_drop,
    expect_or_fail,
)
from dlt.flows import append_flow, update_flow
from dlt.hooks import on_event_hook
from dlt.reading import read, read_stream
from dlt.sinks import create_sink, foreach_batch_sink

__all__ = [
    "append_flow",
    "apply_changes",
    "apply_changes_from_snapshot",
    "create_auto_cdc_flow",
    "create_auto_cdc_from_snapshot_flow",
    "create_sink",
    "create_streaming_live_table",
    "create_streaming_table",
    "create_table",
    "create_target_table",
    "create_view",
    "expect",
    "expect_all",
    "expect_all_or_drop",
    "expect_all_or_fail",
    "expect_or_drop",
    "expect_or_fail",
    "foreach_batch_sink",
    "materialized_view",
    "on_event_hook",
    "read",
    "read_stream",
    "table",
    "temporary_view",
    "update_flow",
    "view",
]
