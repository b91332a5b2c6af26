# SPDX-License-Identifier: GPL-2.0-or-later
"""Raster metadata for ``samgeo info``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from affine import Affine

from ..addresses import without_secrets
from ..sources.bands import BandPlan
from ..sources.opening import Source


@dataclass(frozen=True)
class BandInfo:
    """A band as the file describes it."""

    number: int
    dtype: str
    colour: str
    nodata: float | None
    scale: float
    offset: float
    description: str | None


@dataclass(frozen=True)
class RasterInfo:
    """What ``samgeo info`` prints; :meth:`to_json` is plain JSON.

    Sizes are in pixels, (width, height); ``transform`` and ``working_transform`` are the six
    numbers a, b, c, d, e, f of x = a col + b row + c, y = d col + e row + f.
    """

    sources: tuple[str, ...]
    driver: str
    size: tuple[int, int]
    bands: tuple[BandInfo, ...]
    used_bands: tuple[int, ...]
    palette: bool
    mask: str
    crs: str | None
    unit: str
    transform: tuple[float, ...]
    bounds: tuple[float, float, float, float]
    overviews: tuple[int, ...]
    block: tuple[int, int]
    working_size: tuple[int, int]
    working_transform: tuple[float, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The values as plain JSON; a file may have 65,535 bands, so they are not copied deeply."""
        data = dict(vars(self))
        data["bands"] = bands = [dict(vars(band)) for band in self.bands]
        for band in bands:
            if band["nodata"] is not None and not math.isfinite(band["nodata"]):
                band["nodata"] = str(band["nodata"])  # JSON has no NaN
        return data


def describe(
    source: Source,
    plan: BandPlan,
    *,
    working_size: tuple[int, int],
    working_transform: Affine,
) -> RasterInfo:
    """Gather what a source's file says and what was chosen from it."""
    dataset, crs, t = source.dataset, source.crs, source.transform
    width, height = dataset.width, dataset.height
    corners = [t @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    if crs is None:
        unit = "unknown" if source.placed else "pixel"
    else:
        unit = "degree" if crs.is_geographic else (crs.linear_units or "unknown")
    mask = {"none": "none", "nodata": "nodata values", "dataset": "mask band"}[plan.mask]
    if plan.alpha is not None:
        mask = "alpha band" if plan.mask == "none" else f"{mask} and alpha band"
    code = crs.to_epsg() if crs else None
    # Each of these is made anew at every look, from all bands.
    dtypes, colours, nodata = dataset.dtypes, dataset.colorinterp, dataset.nodatavals
    scales, offsets, descriptions = dataset.scales, dataset.offsets, dataset.descriptions
    return RasterInfo(
        sources=tuple(map(without_secrets, source.names)),
        driver="mosaic" if len(source.names) > 1 else str(dataset.driver),
        size=(width, height),
        bands=tuple(
            BandInfo(
                number=n,
                dtype=dtypes[n - 1],
                colour=colours[n - 1].name,
                nodata=nodata[n - 1],
                scale=float(scales[n - 1]),
                offset=float(offsets[n - 1]),
                description=descriptions[n - 1],
            )
            for n in dataset.indexes
        ),
        used_bands=plan.colour,
        palette=plan.palette is not None,
        mask=mask,
        crs=None if crs is None else (f"EPSG:{code}" if code else crs.to_wkt()),
        unit=unit,
        transform=tuple(t[:6]),
        bounds=(min(xs), min(ys), max(xs), max(ys)),
        overviews=tuple(dataset.overviews(plan.colour[0])),
        block=tuple(dataset.block_shapes[plan.colour[0] - 1]),
        working_size=working_size,
        working_transform=tuple(working_transform[:6]),
        notes=source.notes + plan.notes,
    )
