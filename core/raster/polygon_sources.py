# SPDX-License-Identifier: GPL-2.0-or-later
"""Which raster of a mosaic lies under a polygon."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.windows import Window

from ..sources.gdal import GDAL_ERRORS, gdal_env, open_dataset
from ..sources.opening import Source
from ..sources.overlap import labels

KEPT_OPEN = 8
"""Rasters that are held open while it is asked which of several has data at a place."""


@dataclass(frozen=True)
class PolygonSources:
    """Names the raster under each polygon. Picklable.

    Args:
        names: To open the rasters by, from the lowest to the one on top.
        labels: What they are called in the attribute ``source``.
        transform: The mosaic's pixels to ground, (a, b, c, d, e, f).
        boxes: (col, row, width, height) of each raster, pixels of the mosaic.
        remote: The network may be used.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    transform: tuple[float, ...]
    boxes: tuple[tuple[int, int, int, int], ...]
    remote: bool = False

    def __call__(self, shapes: Sequence[Any]) -> list[str]:
        """The name for each shape on the ground.

        That of the raster on which most of a shape lies; where several hold it all, of the one on
        top that has data in its middle.
        """
        cols, rows, wide, high = np.array(self.boxes, np.float64).T
        boxes = shapely.box(cols, rows, cols + wide, rows + high)
        tree = shapely.STRtree(boxes)
        to_pixels = ~Affine(*self.transform)
        opened: OrderedDict[int, rasterio.DatasetReader] = OrderedDict()
        try:
            with gdal_env(remote=self.remote):
                placed = _moved(np.array([*shapes, None], dtype=object)[:-1], to_pixels)
                shape, found = tree.query(placed, predicate="intersects")
                number = np.bincount(shape, minlength=len(placed))
                first = np.cumsum(number) - number
                # By far the most lie on one raster.
                found = found[np.argsort(shape, kind="stable")]
                return [
                    self.labels[int(found[start])]
                    if count == 1
                    else self._name(one, boxes, tree, opened)
                    for one, count, start in zip(
                        placed, number.tolist(), first.tolist(), strict=True
                    )
                ]
        finally:
            for dataset in opened.values():
                dataset.close()

    def _name(self, shape: Any, boxes: Any, tree: Any, opened: Any) -> str:
        found = np.sort(tree.query(shape, predicate="intersects"))
        if len(found) == 0:
            found = np.atleast_1d(tree.nearest(shape))[:1]
        if len(found) > 1:
            common = shapely.intersection(boxes[found], shape)
            size = shapely.area(common) if shapely.area(shape) > 0 else shapely.length(common)
            best = size >= size.max() * (1 - 1e-6)
            found, common = found[best], common[best]
        if len(found) > 1:
            for index, part in zip(found[::-1], common[::-1], strict=True):
                middle = shapely.point_on_surface(part)
                if self._has_data(int(index), middle.x, middle.y, opened):
                    return self.labels[int(index)]
        return self.labels[int(found[-1])]

    def _has_data(self, index: int, x: float, y: float, opened: Any) -> bool:
        col0, row0, wide, high = self.boxes[index]
        col = min(max(int(x) - col0, 0), wide - 1)
        row = min(max(int(y) - row0, 0), high - 1)
        try:
            if index not in opened:
                while len(opened) >= KEPT_OPEN:
                    opened.popitem(last=False)[1].close()
                opened[index] = open_dataset(self.names[index], remote=self.remote)
            dataset = opened[index]
            opened.move_to_end(index)
            return bool((dataset.read_masks(window=Window(col, row, 1, 1)) > 0).any())
        except GDAL_ERRORS:
            return False


def _moved(shape: Any, to_pixels: Affine) -> Any:
    a, b, c, d, e, f = to_pixels[:6]
    return shapely.transform(
        shape,
        lambda xy: np.column_stack(
            [a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f]
        ),
    )


def polygon_sources(source: Source) -> PolygonSources:
    """What names the raster under each polygon of a mosaic."""
    names = tuple(part.name for part in source.parts)
    return PolygonSources(
        names=names,
        labels=tuple(labels(names)),
        transform=tuple(source.transform[:6]),
        boxes=tuple(
            (col, row, part.width, part.height)
            for part, (col, row) in zip(source.parts, source.places, strict=True)
        ),
        remote=source.remote,
    )
