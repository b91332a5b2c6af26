# SPDX-License-Identifier: GPL-2.0-or-later
"""Merged objects to features of a layer: contour, georeference, simplify, measure.

Batches of objects become polygons in the workers and wait in the job's folder; then the layer is
written from there, batch by batch. Two passes, because the ``parent_id`` of a feature must name a
feature that is in the layer, and which of them are too small is known only at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import Geometry

from ..earth.geometry import pixel_side
from ..earth.place import RasterPlace
from ..masks.store import JobStore
from ..merge import MaskSource, MergedObject, cached, fuse
from ..merge.objects import ObjectColumns
from ..parallel.atomic_write import write_atomically
from ..raster.areas import AreaOfInterest
from ..raster.polygon_sources import PolygonSources
from ..tiles.grid import Grid
from ..types import GEOMETRY
from .centre_lines import centre_lines, ground_widths, road_mask
from .contours import (
    AffineTuple,
    SizeLimits,
    all_to_ground,
    drop_small,
    simplified,
    to_ground,
    without_specks,
)
from .draw_objects import draw_objects
from .geodesic import measure
from .local_plane import squared
from .schema import CLASS, CLASS_PROBABILITY, WIDTH

CHUNK = 128
"""Objects whose features are written to a layer together."""


@dataclass(frozen=True, eq=False)
class FeatureColumns:
    """Features of some objects.

    Args:
        columns: Name -> (n,) values.
        shapes: (n,) their geometries.
        kept: (objects,) bool, which objects became features.
    """

    columns: dict[str, Any]
    shapes: NDArray[Any]
    kept: NDArray[np.bool_]

    def chunks(self) -> Iterator[pa.RecordBatch]:
        """As Arrow, geometries as WKB; the features of :data:`CHUNK` objects together."""
        arrays = [pa.array(values, from_pandas=True) for values in self.columns.values()]
        arrays.append(pa.array(shapely.to_wkb(self.shapes, flavor="iso"), pa.binary()))
        whole = pa.RecordBatch.from_arrays(arrays, names=[*self.columns, GEOMETRY])
        before = np.concatenate([[0], np.cumsum(self.kept)])
        for start in range(0, len(self.kept), CHUNK):
            first, last = before[start], before[min(start + CHUNK, len(self.kept))]
            yield whole.slice(int(first), int(last - first))

    def save(self, path: Path) -> None:
        """Write an Arrow file, a record batch for each chunk."""
        batches = list(self.chunks())
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batches[0].schema) as out:
            for batch in batches:
                out.write_batch(batch)


@dataclass(frozen=True)
class FeatureMaker:
    """Objects and their shapes -> features: sizes, attributes, and what is left out. Picklable.

    Args:
        transform: (a, b, c, d, e, f) of working pixel -> ground.
        crs: CRS of the ground as WKT, or None for pixels.
        model: For the attribute ``model``.
        source: For the attribute ``source``, or what names the raster under each polygon.
        tolerance: Of simplification, ground units.
        min_area: Smallest object, m2 on the ellipsoid (square pixels without a CRS).
        min_hole: Smallest hole, likewise.
        area: Area of interest; objects that lie mostly outside are left out.
        classes: Features say what the embedded model takes them for.
    """

    transform: AffineTuple
    crs: str | None
    model: str
    source: str | PolygonSources
    tolerance: float
    min_area: float = 0.0
    min_hole: float = 0.0
    area: AreaOfInterest | None = None
    classes: bool = False

    @property
    def pixel(self) -> float:
        """Side of a working pixel, ground units."""
        return pixel_side(Affine(*self.transform))

    def features(
        self, objects: Sequence[MergedObject], shapes: Sequence[Geometry]
    ) -> gpd.GeoDataFrame:
        """Features of objects whose polygons lie on the ground, but for those left out."""
        found = self.columns(objects, shapes)
        return gpd.GeoDataFrame(found.columns, geometry=gpd.GeoSeries(found.shapes))

    def columns(
        self,
        objects: Sequence[MergedObject],
        shapes: Sequence[Geometry],
        widths: Sequence[float] | None = None,
    ) -> FeatureColumns:
        """The same as columns.

        Args:
            objects: One a shape.
            shapes: Polygons, or centre lines.
            widths: Of the centre lines, m; None for polygons.
        """
        ground = np.array([*shapes, None], dtype=object)[:-1]
        sizes = measure(ground, self.crs)
        keep = ~shapely.is_empty(ground)
        if self.min_area > 0:
            covered = sizes.area if widths is None else sizes.perimeter * np.array(widths)
            keep &= covered >= self.min_area
        if self.area is not None:
            keep &= np.array([self.area.keeps(shape) for shape in ground], dtype=bool)
        kept = [obj for obj, good in zip(objects, keep.tolist(), strict=True) if good]
        columns: dict[str, Any] = {
            "id": [obj.id for obj in kept],
            "score": np.array([obj.score for obj in kept], np.float64).round(4),
            "stability": np.array([obj.stability for obj in kept], np.float64).round(4),
            "area_m2": sizes.area[keep].round(3),
            "perimeter_m": sizes.perimeter[keep].round(3),
            "prompt_id": [obj.prompt.id for obj in kept],
            "prompt_type": [obj.prompt.type for obj in kept],
            "label": [obj.prompt.label for obj in kept],
            "model": [self.model] * len(kept),
            "source": self._sources(ground[keep]),
            "tiles": np.array([obj.tiles for obj in kept], np.int64),
            "parent_id": [obj.parent_id for obj in kept],
        }
        if self.classes:
            columns[CLASS.name] = [obj.prompt.class_name for obj in kept]
            columns[CLASS_PROBABILITY.name] = [obj.prompt.class_prob for obj in kept]
        if widths is not None:
            columns[WIDTH.name] = np.array(widths, np.float64)[keep].round(2)
        return FeatureColumns(columns, ground[keep], keep)

    def _sources(self, shapes: Sequence[Geometry]) -> list[str]:
        if isinstance(self.source, str):
            return [self.source] * len(shapes)
        return self.source(shapes)

    def square_metres(self, polygon: Geometry) -> float:
        return float(measure([polygon], self.crs).area[0])


@dataclass(frozen=True)
class VectorStage:
    """A batch of objects -> their features, in the job's folder. Picklable.

    Args:
        store: Where the features go.
        grid: The job's tiles.
        maker: Makes features of shapes.
        outlines: "contour", "rectangles" or "centerlines".
    """

    store: JobStore
    grid: Grid
    maker: FeatureMaker
    outlines: str = "contour"

    def __call__(self, item: tuple[int, ObjectColumns, MaskSource]) -> list[int]:
        """Write a batch's features; which of its objects were left out."""
        number, batch, masks = item
        objects, tiles = batch.objects(), cached(masks)
        if self.outlines == "centerlines":
            roads = [self._road(obj, tiles) for obj in objects]
            lines, widths = [line for line, _ in roads], [width for _, width in roads]
            found = self.maker.columns(objects, lines, widths)
        else:
            found = self.maker.columns(objects, self._shapes(objects, tiles))
        # Made anew by every run: a batch that a power failure takes is missed by nobody.
        write_atomically(self.store.features_path(number, ".arrow"), found.save, flush=False)
        return list(np.flatnonzero(~found.kept).tolist())

    def _shapes(self, objects: Sequence[MergedObject], tiles: MaskSource) -> list[Geometry]:
        """The polygons of a batch; what can be is done for all of them at once."""
        maker = self.maker
        drawn = without_specks(draw_objects(objects, tiles, self.grid))
        shapes = all_to_ground(drawn, maker.transform)
        tolerance = maker.tolerance
        if self.outlines == "rectangles":
            tolerance = min(tolerance, 0.5 * maker.pixel)
            side, size = 1.5 * maker.pixel, (self.grid.height, self.grid.width)
            if maker.tolerance > tolerance:  # afterwards it would take the corners of right angles
                shapes = simplified(shapes, maker.tolerance)
            frame = RasterPlace(Affine(*maker.transform), size, None).frame
            shapes = [
                s if shapely.is_empty(s) else squared(s, maker.crs, side, frame) for s in shapes
            ]
        shapes = simplified(shapes, tolerance)
        if maker.min_hole > 0:
            limits = SizeLimits(hole=maker.min_hole, area=maker.square_metres)
            shapes = [drop_small(shape, limits) for shape in shapes]
        return shapes

    def _road(self, obj: MergedObject, tiles: MaskSource) -> tuple[Geometry, float]:
        """Centre lines of an object, and their mean width in metres."""
        maker, cell = self.maker, self.grid.cell
        mask, coarser = road_mask(fuse(obj, tiles, self.grid), obj.box)
        found = centre_lines(mask, (0, 0), cell * coarser)
        if not found:
            return shapely.MultiLineString(), 0.0
        corner = obj.box.col0 * cell, obj.box.row0 * cell
        lines = shapely.multilinestrings([one.line for one in found])
        lines = shapely.transform(lines, lambda xy: xy + corner)
        lengths = np.array([shapely.length(one.line) for one in found])
        width = float(np.average([one.width for one in found], weights=lengths))
        ground = shapely.simplify(to_ground(lines, maker.transform), maker.tolerance)
        across = ground_widths(
            np.array([ground]), np.array([width]), Affine(*maker.transform), maker.crs
        )
        return ground, float(across[0])
