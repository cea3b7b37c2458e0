"""Aligned columns of text, for the terminal and the report."""

from __future__ import annotations

import unicodedata


def width(text: str) -> int:
    """How many cells a terminal gives the text."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if not unicodedata.combining(c))


def columns(header: list[str], rows: list[list[str]], numbers: set[int]) -> list[str]:
    """Lines of a table; the columns of `numbers` are aligned to the right."""
    widths = [max(width(r[i]) for r in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str]) -> str:
        out = []
        for i, cell in enumerate(cells):
            pad = " " * (widths[i] - width(cell))
            out.append(pad + cell if i in numbers else cell + pad)
        return "  ".join(out).rstrip()

    return [line(header), *(line(r) for r in rows)]


def number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
