# SPDX-License-Identifier: GPL-2.0-or-later
"""The HTML report of a raster's stretch."""

from __future__ import annotations

from typing import Any

from ..i18n import tr
from .html import page, paragraph, table


def stretch_report(name: str, stretch: list[list[float]], info: dict[str, Any]) -> str:
    """HTML: what each band used is stretched from and to, and facts of the raster.

    Args:
        name: Of the raster.
        stretch: [[low, high], ...] of the bands used, in their order.
        info: The engine's account of the raster.
    """
    bands = {band.get("number"): band for band in info.get("bands") or []}
    used = info.get("used_bands") or list(range(1, len(stretch) + 1))
    rows = []
    for number, (low, high) in zip(used, stretch):  # noqa: B905 - Python 3.9
        band = bands.get(number) or {}
        facts = [band.get(key) for key in ("colour", "dtype", "nodata")]
        rows.append([number, *facts, f"{low:g}", f"{high:g}"])
    head = [tr("Band"), tr("Colour"), tr("Type"), tr("Nodata"), tr("Low"), tr("High")]
    facts_known = [fact for fact in _facts(info) if fact[1] not in (None, "", "none")]
    notes = [paragraph(str(note)) for note in info.get("notes") or []]
    return page(name, table([head, *rows], head=True), table(facts_known), *notes)


def _facts(info: dict[str, Any]) -> list[list[Any]]:
    width, height = info.get("size") or (None, None)
    bounds = ", ".join(f"{value:.10g}" for value in info.get("bounds") or [])
    return [
        [tr("Size (pixels)"), f"{width} × {height}" if width else None],
        [tr("CRS"), info.get("crs")],
        [tr("Extent"), bounds],
        [tr("Mask"), info.get("mask")],
        [tr("Format"), info.get("driver")],
    ]
