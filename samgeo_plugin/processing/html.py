# SPDX-License-Identifier: GPL-2.0-or-later
"""HTML reports of algorithms: a title, tables, small charts."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Optional

_HEAD = (
    "<!DOCTYPE html><meta charset='utf-8'><title>{title}</title>"
    "<style>body{{font-family:sans-serif}}table{{border-collapse:collapse;margin-bottom:1em}}"
    "td,th{{border:1px solid #999;padding:2px 8px;text-align:left}}</style><h3>{title}</h3>"
)


def page(title: str, *parts: str) -> str:
    """A page with a title and parts that are HTML already."""
    return _HEAD.format(title=html.escape(title)) + "".join(parts)


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def table(rows: Sequence[Sequence[Any]], head: bool = False, raw: Sequence[int] = ()) -> str:
    """A table; None is an empty cell.

    Args:
        rows: Of cells.
        head: The first row is the header.
        raw: Columns whose cells, below the header, are HTML already.
    """
    lines = []
    for number, row in enumerate(rows):
        tag = "th" if head and number == 0 else "td"
        cells = []
        for column, value in enumerate(row):
            text = "" if value is None else str(value)
            plain = column not in raw or (head and number == 0)
            cells.append(f"<{tag}>{html.escape(text) if plain else text}</{tag}>")
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return f"<table>{''.join(lines)}</table>"


def line_chart(values: Sequence[Optional[float]], width: int = 160, height: int = 32) -> str:
    """A line through values at even distances, from 0 upwards, as SVG; gaps where one is None."""
    most = max([value for value in values if value is not None], default=0.0) or 1.0
    step = (width - 6) / max(len(values) - 1, 1)
    spots = [
        None if value is None else (3 + k * step, height - 3 - (height - 6) * value / most)
        for k, value in enumerate(values)
    ]
    parts = [f"<svg width='{width}' height='{height}' xmlns='http://www.w3.org/2000/svg'>"]
    for one, other in zip(spots, spots[1:]):  # noqa: B905, RUF007 - Python 3.9
        if one is not None and other is not None:
            ends = f"x1='{one[0]:.1f}' y1='{one[1]:.1f}' x2='{other[0]:.1f}' y2='{other[1]:.1f}'"
            parts.append(f"<line {ends} stroke='#1f6fb4' stroke-width='1.5'/>")
    for spot in spots:
        if spot is not None:
            parts.append(f"<circle cx='{spot[0]:.1f}' cy='{spot[1]:.1f}' r='2' fill='#1f6fb4'/>")
    return "".join([*parts, "</svg>"])
