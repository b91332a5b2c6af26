# SPDX-License-Identifier: GPL-2.0-or-later
"""A picture of polygons over their raster, for notebooks (extra ``show``: matplotlib)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from .earth.geometry import mean_side
from .errors import ParameterError
from .in_memory import ArrayRaster, raster_paths
from .layers.reader import LayerLike, frame_as_file
from .raster.raster import RasterOptions, open_raster
from .sources.vector_input.opening import open_vector
from .sources.vector_input.reading import as_text
from .types import PixelBox

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rasterio.io import DatasetReader

MOST_PIXELS = 2000
"""Longest side of the picture that is drawn, pixels; larger rasters are shown coarser."""


def show(
    raster: str | Path | DatasetReader | ArrayRaster | Sequence[str | Path | DatasetReader],
    polygons: LayerLike,
    *,
    column: str | None = None,
    ax: Axes | None = None,
    **style: Any,
) -> Axes:
    """Draw polygons over the raster that they were made from.

    Args:
        raster: Anything that :func:`samgeo_core.segment` takes.
        polygons: What ``segment`` returned, or another GeoDataFrame or GeoSeries, or the path of a
            layer. Lines are drawn as they are.
        column: Attribute that colours the polygons; None draws outlines in one colour. An index
            with a name is an attribute, too.
        ax: Axes to draw on; None makes a figure.
        **style: Passed to ``GeoDataFrame.plot``.

    Returns:
        The axes, in the raster's CRS (pixels where it has none).

    Raises:
        ParameterError: matplotlib is not installed, or the polygons have no geometries or no such
            attribute.
        RasterError: The raster cannot be read.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ParameterError(
            "A picture needs matplotlib: pip install 'samgeo-seamless[show]'."
        ) from error
    layer, column = _drawn(polygons, column)
    with (
        tempfile.TemporaryDirectory(prefix="samgeo-", ignore_cleanup_errors=True) as folder,
        open_raster(paths := raster_paths(raster, Path(folder))) as opened,
    ):
        t, (height, width) = opened.transform, opened.shape
        coarser = max(height, width) / MOST_PIXELS
        if coarser > 1:
            options = RasterOptions(resolution=mean_side(t) * coarser, stretch=opened.stretch)
            with open_raster(paths, options) as small:
                pixels = small.read(PixelBox(0, 0, *small.shape)).pixels
        else:
            pixels = opened.read(PixelBox(0, 0, height, width)).pixels
        if opened.crs is not None and layer.crs is not None:
            layer = layer.to_crs(opened.crs.to_wkt())
    if ax is None:
        shape = (10.0, 10.0 * height / width)
        ax = pyplot.subplots(figsize=shape)[1]
    matrix = np.array([[t.a, t.b, t.c], [t.d, t.e, t.f], [0.0, 0.0, 1.0]])
    image = ax.imshow(pixels, extent=(0, width, height, 0))
    from matplotlib.transforms import Affine2D

    image.set_transform(Affine2D(matrix) + ax.transData)
    corners = np.array([t @ (x, y) for x in (0, width) for y in (0, height)])
    ax.set_xlim(corners[:, 0].min(), corners[:, 0].max())
    ax.set_ylim(corners[:, 1].min(), corners[:, 1].max())
    ax.set_aspect("equal")
    if len(layer):
        if column is None:
            _outlines(layer).plot(ax=ax, **{"color": "#ffd400", "linewidth": 1.0, **style})
        else:
            layer.plot(ax=ax, column=column, **{"alpha": 0.5, "legend": True, **style})
    return ax


def _drawn(polygons: LayerLike, column: str | None) -> tuple[gpd.GeoDataFrame, str | None]:
    """What is drawn, with values that matplotlib has colours for, and the column of these.

    Raises:
        ParameterError: It has no geometries, or no such column.
    """
    if isinstance(polygons, gpd.GeoSeries):
        polygons = gpd.GeoDataFrame(geometry=polygons)
    if isinstance(polygons, gpd.GeoDataFrame):
        layer = frame_as_file(polygons, "The GeoDataFrame of polygons")
    else:
        layer = open_vector(polygons, parameter=None).read()
    if column is None:
        return layer, None
    column = column if isinstance(column, str) else as_text(column)  # as frame_as_file names it
    known = [name for name in layer.columns if name != layer.geometry.name]
    if column not in known:
        raise ParameterError(
            f"The polygons have no attribute {column!r} to colour them: they have "
            f"{', '.join(known) or 'none'}."
        )
    values = layer[column]
    numbers = pd.api.types.is_numeric_dtype(values)
    if not numbers and not isinstance(values.dtype, pd.CategoricalDtype):
        there = values.notna()  # of dates, say, and of lists
        layer[column] = [as_text(v) if has else None for v, has in zip(values, there, strict=True)]
    return layer, column


def _outlines(layer: gpd.GeoDataFrame) -> gpd.GeoSeries:
    """Borders of polygons; the boundary of a line would be its ends."""
    shapes = np.asarray(layer.geometry.array, dtype=object)
    flat = shapely.get_dimensions(shapes) == 2
    shapes[flat] = shapely.boundary(shapes[flat])
    return gpd.GeoSeries(shapes, crs=layer.crs)
