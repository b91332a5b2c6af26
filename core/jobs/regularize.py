# SPDX-License-Identifier: GPL-2.0-or-later
"""A layer of polygons made rectangular, or reduced to the centre lines of its roads.

Right angles and widths need lengths. In a geographic CRS each feature is laid out in metres around
its own middle (a plane scaled by the ellipsoid's radii there), worked on, and laid back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from affine import Affine
from rasterio.features import rasterize

from ..errors import OutputError, ParameterError
from ..job import RegularizeParameters
from ..layers.inputs import check_not_input, layer_input, same_file
from ..layers.provenance import provenance
from ..layers.reader import say_flattened
from ..layers.record import ShortRun, newest, stamps
from ..layers.writer import LayerWriter
from ..notes import warn
from ..parameters import checked
from ..sources.vector_input.opening import open_vector
from ..sources.vector_input.paths import parts_of
from ..sources.vector_input.reading import VectorInput
from ..vectors.centre_lines import centre_lines
from ..vectors.contours import polygon_parts
from ..vectors.geodesic import measure
from ..vectors.local_plane import LocalPlane, short_side
from ..vectors.right_angles import right_angles
from ..vectors.schema import FIELDS, Field, carried_fields, full_names

BATCH = 500
"""Features in memory at a time."""

CELLS_ACROSS = 16
"""Cells across a road when its centre line is sought."""

FARTHEST = 1e9
"""Coordinates beyond this lie on no map, whatever its units."""

MOST_CELLS = 16_000_000
"""Cells of one road's mask; a larger one is seen coarser."""

Tell = Callable[[str, int, int], None]


def regularize_layer(params: RegularizeParameters, report: Tell) -> dict[str, Any]:
    """Read a polygon layer, straighten it, write it; attributes are carried over.

    Args:
        params: What to read, write and do.
        report: Called with ("features", done, total); may raise ``Cancelled``.

    Returns:
        ``output``, ``features`` (written) and ``changed`` (polygons that got right angles, or
        roads that got centre lines).

    Raises:
        ParameterError: The method or the layer is unknown, or the layer has no polygons.
        OutputError: The output cannot be written.
    """
    params = checked(params)
    if same_file(params.input, params.output):
        raise OutputError("The output must be another file than the input.")
    check_not_input(params.output, None, layer_input("the input", params.input, params.layer))
    path, _, _ = parts_of(params.input, None)
    kept = replace(params, overwrite=False)
    run = ShortRun(params.output, None, "straightened", (kept, stamps(path)))
    with run.begun():
        return _regularized(params, run, report)


def _regularized(params: RegularizeParameters, run: ShortRun, report: Tell) -> dict[str, Any]:
    lines = params.method == "centerlines"
    opened = _opened(params)
    total, crs = opened.features, opened.crs
    if crs is not None and crs.is_geographic and params.simplify is not None:
        # A tolerance in degrees means the same distance everywhere: that along a meridian.
        tolerance: float | None = params.simplify * 111_195.0
    else:
        tolerance = params.simplify
    first, missing = _read(opened, 0, min(BATCH, total))
    cut = full_names(first)
    first = first.rename(columns=cut)
    measured = (Field("width_m", "real"),) if lines else ()
    # What is measured anew takes the place of a field of the same name, and what one of our layers
    # says goes on; a field that has the name by chance gets another.
    anew = {"area_m2", "perimeter_m", *(field.name for field in measured)}
    same = [f.name for f in FIELDS if f.name in first and f.holds(first[f.name])]
    others = first.drop(columns=[*same, *(anew & {*first} - {*same})])
    fields, names = carried_fields(others, [field.name for field in measured])
    geometry: Literal["line", "polygon"] = "line" if lines else "polygon"
    extra = (*fields, *measured)
    changed = heights = 0
    writer = LayerWriter(
        params.output,
        crs,
        overwrite=params.overwrite or run.owns_output,
        fields=extra,
        geometry=geometry,
        pixel=_pixel(first, crs),
        modified=newest(opened.path),
        provenance=provenance(
            RegularizeParameters, vars(params), layers=[(params.input, params.layer)]
        ),
    )
    run.before_output(writer)
    with writer:
        for start in range(0, total, BATCH):
            report("features", start, total)
            frame = first
            if start > 0:
                frame, lost = _read(opened, start, BATCH)
                missing += lost
            heights += int(frame.has_z.sum())
            frame = frame.rename(columns={**cut, **names})
            make = _lines if lines else _angles
            features, count = make(frame, params, tolerance, crs)
            changed += count
            known = {field.name for field in writer.fields} | {features.geometry.name}
            writer.write(features[[c for c in features.columns if c in known]])
        report("features", total, total)
    say_flattened(heights, params.input)
    if missing:
        warn(
            f"{missing} features of {params.input} are left out: they have no polygon with "
            "coordinates that a map can show."
        )
    return {"output": str(writer.path), "features": writer.count, "changed": changed}


def _opened(params: RegularizeParameters) -> VectorInput:
    """The layer to straighten.

    Raises:
        ParameterError: It cannot be read, or holds no polygons.
    """
    opened = open_vector(params.input, params.layer, parameter="layer")
    if "Polygon" not in opened.geometry and opened.geometry != "Unknown":
        raise ParameterError(
            f"{params.input} holds {opened.geometry} features: only polygons can be straightened."
        )
    return opened


def _read(opened: VectorInput, start: int, count: int) -> tuple[gpd.GeoDataFrame, int]:
    """Polygons that lie somewhere, and how many features are none."""
    frame = opened.read(start, count).reset_index(drop=True)
    good = [_can_be_shown(shape) for shape in frame.geometry]
    return frame[np.array(good, bool)], len(frame) - sum(good)


def _pixel(frame: gpd.GeoDataFrame, crs: pyproj.CRS | None) -> float:
    """Metres that count in small polygons of a layer: where degrees are written, they must show."""
    sizes = measure(frame.geometry.to_numpy(), crs).area
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    return min(1.0, float(np.sqrt(np.quantile(sizes, 0.05))) / 32) if len(sizes) else 1.0


def _can_be_shown(shape: Any) -> bool:
    if shape is None or shape.is_empty or shape.geom_type not in ("Polygon", "MultiPolygon"):
        return False
    return bool((np.abs(shapely.get_coordinates(shape)) < FARTHEST).all())  # NaN is not


def _angles(
    frame: gpd.GeoDataFrame,
    params: RegularizeParameters,
    tolerance: float | None,
    crs: pyproj.CRS | None,
) -> tuple[gpd.GeoDataFrame, int]:
    shapes = []
    changed = 0
    for geometry in frame.geometry:
        plane = LocalPlane(geometry, crs)
        flat = plane.there(shapely.force_2d(geometry))
        wanted = short_side(flat) if tolerance is None else tolerance
        straight = right_angles(flat, wanted, least_iou=params.min_iou) if wanted > 0 else flat
        if straight.is_empty or shapely.equals_exact(
            shapely.normalize(straight), shapely.normalize(flat), 1e-9
        ):
            shapes.append(geometry)
            continue
        shapes.append(plane.back(straight))
        changed += 1
    out = frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs))
    sizes = measure(shapes, crs)
    return out.assign(area_m2=sizes.area.round(3), perimeter_m=sizes.perimeter.round(3)), changed


def _lines(
    frame: gpd.GeoDataFrame,
    params: RegularizeParameters,
    tolerance: float | None,
    crs: pyproj.CRS | None,
) -> tuple[gpd.GeoDataFrame, int]:
    rows: list[int] = []
    shapes: list[Any] = []
    widths: list[float] = []
    for row, geometry in enumerate(frame.geometry):
        plane = LocalPlane(geometry, crs)
        flat = plane.there(shapely.force_2d(geometry))
        metres = plane.metres(geometry)
        for line, width in _stretches(flat, tolerance):
            if width >= params.min_width:
                rows.append(row)
                shapes.append(plane.back(line))
                widths.append(width * metres)
    table: pd.DataFrame = pd.DataFrame(frame.drop(columns=frame.geometry.name)).iloc[rows]
    table = table.reset_index(drop=True)
    sizes = measure(shapes, crs)
    table = table.assign(
        width_m=np.round(widths, 3), area_m2=0.0, perimeter_m=sizes.perimeter.round(3)
    )
    geometry = gpd.GeoSeries(shapes, index=table.index, crs=frame.crs, dtype="geometry")
    return gpd.GeoDataFrame(table, geometry=geometry), len(set(rows))


def _stretches(flat: Any, tolerance: float | None) -> Iterator[tuple[Any, float]]:
    """Centre lines of a polygon and their widths, in its units."""
    for part in polygon_parts(flat):
        x0, y0, x1, y1 = shapely.bounds(part)
        # Of a long thin thing, twice the area over the perimeter is the width.
        across = 2.0 * float(part.area) / max(float(part.length), 1e-12)
        cell = max(across / CELLS_ACROSS, math.sqrt((x1 - x0) * (y1 - y0) / MOST_CELLS))
        if cell <= 0:
            continue
        transform = Affine(cell, 0, x0 - cell, 0, cell, y0 - cell)
        shape = (math.ceil((y1 - y0) / cell) + 2, math.ceil((x1 - x0) / cell) + 2)
        mask = rasterize([part], out_shape=shape, transform=transform).astype(bool)
        for found in centre_lines(mask, (0, 0), 1):
            line = shapely.transform(
                found.line, lambda xy, k=cell, at=(x0 - cell, y0 - cell): xy * k + np.array(at)
            )
            line = shapely.simplify(line, across / 4 if tolerance is None else tolerance)
            if line.length > 0:
                yield line, found.width * cell
