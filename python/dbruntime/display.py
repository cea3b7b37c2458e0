"""`display(df)`: the first rows, as text."""

ROWS = 1000


def display(value, *args, **kwargs):
    """Shows a DataFrame (at most 1000 rows), or prints anything else."""
    if hasattr(value, "show") and hasattr(value, "schema"):
        if value.columns:
            value.show(ROWS, truncate=False)
        return
    print(value)
