# SPDX-License-Identifier: GPL-2.0-or-later
"""Real footprints as a scene: true polygons on a raster's grid, one object per footprint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.features import rasterize
from samgeo_core.masks.masks import LOGIT_STEPS, Mask, PromptRef, TileMasks, crop_mask, quantize
from samgeo_core.testing.oracle import Oracle
from samgeo_core.testing.scenes import Scene, Thing
from samgeo_core.types import CellBox, TileIndex
from samgeo_core.vectors.contours import contours
from scipy.ndimage import binary_dilation, binary_erosion
from shapely import Geometry


def footprint_scene(raster: Path, footprints: Path) -> tuple[Scene, list[Geometry]]:
    """Footprints burnt one by one onto a raster's pixels; they may overlap and nest.

    Returns:
        The scene and each thing's footprint in pixel coordinates, whole, even at the raster's end.
        A footprint that holds no pixel's centre is burnt with all pixels that it touches, so none
        is lost.
    """
    with rasterio.open(raster) as file:
        transform, shape, crs = file.transform, file.shape, file.crs
    a, b, c, d, e, f = (~transform)[:6]
    frame = shapely.box(0, 0, shape[1], shape[0])
    things, shapes = [], []
    for polygon in gpd.read_file(footprints).to_crs(crs).geometry:
        pixels = shapely.transform(polygon, lambda xy: xy @ [[a, d], [b, e]] + [c, f])
        uncut = shapely.make_valid(pixels)
        pixels = shapely.intersection(uncut, frame)
        if shapely.area(pixels) == 0:
            continue
        x0, y0, x1, y1 = shapely.bounds(pixels)
        box = CellBox(int(y0), int(x0), int(np.ceil(y1)), int(np.ceil(x1)))
        mask = _burn(pixels, box, all_touched=False)
        if not mask.any():
            mask = _burn(pixels, box, all_touched=True)
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        inner = CellBox(rows[0], cols[0], rows[-1] + 1, cols[-1] + 1)
        tight = CellBox(*(int(side) for side in (inner.row0, inner.col0, inner.row1, inner.col1)))
        things.append(
            Thing(
                tight.shifted(box.row0, box.col0),
                mask[tight.slices(CellBox(0, 0, *box.shape))],
                "footprint",
            )
        )
        shapes.append(uncut)
    return Scene(shape, things), shapes


def _burn(pixels: Geometry, box: CellBox, *, all_touched: bool) -> np.ndarray:
    origin = rasterio.Affine.translation(box.col0, box.row0)
    return rasterize(
        [pixels], out_shape=box.shape, transform=origin, all_touched=all_touched, dtype=np.uint8
    ).astype(bool)


@dataclass(frozen=True, eq=False)
class FootprintOracle(Oracle):
    """An oracle whose logits say where between two cells' centres a footprint's border runs.

    Logits are the distances of the cells' centres from the border, corrected where it bends, as
    those of a perfect model; :class:`Oracle` says inside or outside alone.

    Args:
        footprints: Each thing's footprint in pixel coordinates; cells are pixels here.
    """

    footprints: Sequence[Geometry] = ()
    logits: list[tuple[CellBox, np.ndarray]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        logits = [_signed(t, f) for t, f in zip(self.things, self.footprints, strict=True)]
        object.__setattr__(self, "logits", logits)

    def load(self, index: TileIndex) -> TileMasks:
        window = self.grid[index].window.cells(1)
        masks = []
        for box, logits in self.logits:
            part = box.intersection(window)
            if not part.empty:
                cut = crop_mask(quantize(logits[part.slices(box)]), (part.row0, part.col0))
                if cut is not None:
                    masks.append(Mask(*cut, 0.9, 0.95, PromptRef()))
        return TileMasks(index, 1, masks)


def _signed(thing: Thing, footprint: Geometry) -> tuple[CellBox, np.ndarray]:
    """Logits of a footprint: 2 a pixel from the border, up to 4 pixels away.

    Straight lines between distances cut the footprint's corners. So what a pixel then lacks of its
    share of the footprint (or has too much of) is added to its distance: on this lattice of pixels
    distances alone put the tip of 4 square pixels that the raster leaves of one footprint 0.067 px
    off its place, whoever draws them.
    """
    box = thing.box.grown(4)
    rows, cols = np.mgrid[box.row0 : box.row1, box.col0 : box.col1] + 0.5
    shapely.prepare(footprint)
    side = np.where(shapely.contains_xy(footprint, cols, rows), 1.0, -1.0)
    near = binary_dilation(side > 0, iterations=4) & ~binary_erosion(side > 0, iterations=4)
    distance = np.full(box.shape, 4.0)
    places = shapely.points(cols[near], rows[near])
    distance[near] = shapely.distance(places, shapely.boundary(footprint))
    signed = side * np.minimum(distance, 4)
    # Along a straight border nothing is wrong; looking there, too, would take five times as long.
    crossed = distance < 1
    corners = shapely.extract_unique_points(footprint)
    crossed[crossed] = shapely.dwithin(places[crossed[near]], corners, 3)
    stored = (2 * LOGIT_STEPS * signed).astype(np.float32)
    drawn = shapely.multipolygons(contours(stored, cols[0], rows[:, 0]))
    signed[crossed] += [
        _share(footprint, col, row) - _share(drawn, col, row)
        for col, row in zip(cols[crossed].tolist(), rows[crossed].tolist(), strict=True)
    ]
    return box, (2 * signed).astype(np.float32)


def _share(shape: Geometry, col: float, row: float) -> float:
    """How much of the pixel with this centre a shape covers."""
    return float(shapely.clip_by_rect(shape, col - 0.5, row - 0.5, col + 0.5, row + 0.5).area)


def centroid(thing: Thing) -> tuple[float, float]:
    """(x, y) of the mean of a mask's pixels, continuous pixel coordinates."""
    rows, cols = np.nonzero(thing.mask)
    return float(cols.mean() + 0.5 + thing.box.col0), float(rows.mean() + 0.5 + thing.box.row0)


def same_masks(found: Sequence[Thing], truth: Sequence[Thing]) -> tuple[int, int]:
    """How many true masks came back exactly, and how many found ones are no true mask.

    Equal true masks must come back as often as they are there.
    """
    wanted: dict[tuple[CellBox, bytes], int] = {}
    for thing in truth:
        key = (thing.box, thing.mask.tobytes())
        wanted[key] = wanted.get(key, 0) + 1
    extra = 0
    for thing in found:
        key = (thing.box, thing.mask.tobytes())
        if wanted.get(key, 0):
            wanted[key] -= 1
        else:
            extra += 1
    return len(truth) - sum(wanted.values()), extra
