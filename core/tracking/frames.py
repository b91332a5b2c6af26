# SPDX-License-Identifier: GPL-2.0-or-later
"""Dated rasters on one grid of pixels, read window by window.

All dates are seen on the pixels of the date that the objects are known at, so that windows, masks
and areas of all dates can be compared cell by cell. A raster that lies on that grid already is read
as it is. Any other is read at about the grid's resolution (means of its pixels where it is finer)
and sampled bilinearly at the exact place of each pixel of the grid; nothing is warped as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from shapely.geometry.base import BaseGeometry

from ..earth.crs import same_crs, transformer
from ..earth.geometry import ground_pixel
from ..earth.longitude import folded, sound, turn_of, turned
from ..earth.reproject import Reprojection
from ..errors import OutputError, RasterError
from ..job import option
from ..raster.raster import Raster, RasterOptions, RasterWindow, open_raster
from ..types import PixelBox
from .series import DatedRaster

EXACT_STEP = 32
"""Pixels between places that are projected exactly; between them the way is straight."""

ALIGNED = 0.02
"""Pixels by which a raster may miss the grid and still be read as it is."""

Places = NDArray[np.float64]

LARGEST = 2**30
"""Pixels along a side of a grid."""


@dataclass(frozen=True, eq=False)
class CommonGrid:
    """The pixels on which all dates are seen.

    Args:
        transform: (column, row) to (x, y).
        crs: Of the ground; None where the rasters have none.
        height, width: Rows and columns, over all dates.
    """

    transform: Affine
    crs: pyproj.CRS | None
    height: int
    width: int

    def coarser(self, factor: int) -> CommonGrid:
        """The same ground in pixels ``factor`` times as wide and high."""
        return CommonGrid(
            self.transform @ Affine.scale(factor),
            self.crs,
            -(-self.height // factor),
            -(-self.width // factor),
        )


def common_grid(
    reference: DatedRaster,
    series: Sequence[DatedRaster],
    resolution: float | None = None,
    *,
    allow_remote: bool = False,
) -> CommonGrid:
    """A grid over all dates in the pixels of one of them.

    Args:
        reference: Whose pixels, CRS and place of the pixels are taken.
        series: All dates.
        resolution: Side of a pixel in units of the reference's CRS; None for its own.
        allow_remote: As of :class:`~samgeo_core.RasterOptions`.

    Raises:
        RasterError: A date shows other ground than the reference, or the dates lie too far apart.
    """
    options = RasterOptions(resolution=resolution, allow_remote=allow_remote)
    with open_raster(reference.sources, options) as raster:
        transform, (height, width) = raster.transform, raster.shape
    own = shapely.box(0, 0, width, height)
    low, high = np.zeros(2), np.array([width, height], float)
    for dated in series:
        if dated is reference:
            continue
        place = _on_grid(dated, reference.crs, transform, (height, width))
        if place is None or not place.intersects(own):
            raise RasterError(
                f"{dated.name} shows other ground than {reference.name}: objects can only be "
                "followed where the rasters overlap. Check their coordinate systems, or leave it "
                "out."
            )
        bounds = np.array(place.bounds)
        low = np.minimum(low, np.floor(bounds[:2]))
        high = np.maximum(high, np.ceil(bounds[2:]))
    size = high - low
    if size.max() > LARGEST:
        raise RasterError(
            f"The rasters reach over {size[0]:.0f} x {size[1]:.0f} pixels of {reference.name}: "
            "cut them to the place of the objects first, or choose a coarser "
            f"{option('resolution')}."
        )
    shifted = transform @ Affine.translation(*low)
    return CommonGrid(shifted, reference.crs, int(size[1]), int(size[0]))


def _on_grid(
    dated: DatedRaster, crs: pyproj.CRS | None, transform: Affine, shape: tuple[int, int]
) -> BaseGeometry | None:
    """A date's footprint in the pixels of another's grid; None where it has no place there."""
    footprint = dated.footprint
    if crs is not None and dated.crs is not None:
        try:
            way = Reprojection(dated.crs, crs, tolerance=ground_pixel(transform, shape, crs))
        except OutputError:
            return None
        footprint = way.moved(np.array([footprint, None], dtype=object)[:-1])[0]
        if footprint is None:
            return None
        turn = turn_of(crs)
        if turn is not None:
            middle, _ = transform @ (shape[1] / 2, shape[0] / 2)
            footprint = folded(sound(footprint), middle - turn / 2, turn)
    to_grid = ~transform
    moved: BaseGeometry = shapely.transform(
        footprint, lambda xy: np.column_stack(to_grid @ (xy[:, 0], xy[:, 1]))
    )
    return moved


class Frame:
    """One date on a grid; has what :class:`~samgeo_core.interactive.windows.Source` asks for.

    Args:
        dated: The date's rasters.
        grid: On whose pixels they are seen.
        options: How to look at them; resolution and coarseness are this class's own choice.
    """

    def __init__(
        self, dated: DatedRaster, grid: CommonGrid, options: RasterOptions | None = None
    ) -> None:
        self.grid = grid
        self.transform = grid.transform
        self.crs = grid.crs
        self.shape = (grid.height, grid.width)
        options = options or RasterOptions()
        with ExitStack() as opened:  # closes it where the date is refused
            raster = opened.enter_context(open_raster(dated.sources, options))
            scale = _scale(raster, grid, dated.crs)
            if scale >= 2:
                # Its own pixels are finer: means of them, with the limits of the whole raster.
                options = replace(options, stretch=raster.stretch, coarser=int(scale))
                opened.close()
                raster = opened.enter_context(open_raster(dated.sources, options))
            self._raster = raster
            height, width = raster.shape
            self._middle_x = float((raster.transform @ (width / 2, height / 2))[0])
            self._turn = turn_of(dated.crs)
            self._transformer: pyproj.Transformer | None = None
            if grid.crs is not None and dated.crs is not None and not same_crs(dated.crs, grid.crs):
                self._transformer = transformer(grid.crs, dated.crs)
            opened.pop_all()

    def close(self) -> None:
        """Close the date's files."""
        self._raster.close()

    @cached_property
    def _shift(self) -> tuple[int, int] | None:
        """Rows and columns from the grid's pixels to the raster's, where they are the same."""
        if self._transformer is not None:
            return None
        grid = self.grid
        beside = 0.0
        if self._turn is not None:  # the grid's longitudes may count another way than the raster's
            corners = [(0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height)]
            x = np.array([(grid.transform @ corner)[0] for corner in corners])
            turns = np.round((self._middle_x - x) / self._turn)
            if np.ptp(turns) > 0:
                return None
            beside = float(turns[0]) * self._turn
        matrix = ~self._raster.transform @ Affine.translation(beside, 0.0) @ grid.transform
        col, row = round(matrix.c), round(matrix.f)
        far = Affine.translation(-col, -row) @ matrix
        edge = max(self._raster.shape)
        error = max(
            abs(far.c),
            abs(far.f),
            *(abs(v) * edge for v in (far.a - 1, far.b, far.d, far.e - 1)),
        )
        return (row, col) if error <= ALIGNED else None

    def read(self, box: PixelBox) -> RasterWindow:
        """A window of the grid: RGB bytes, and where this date has data.

        Raises:
            RasterError: A block of the raster cannot be read.
        """
        if self._shift is not None:
            return self._raster.read(box.shifted(*self._shift))
        row, col = self._places(box)
        known = np.isfinite(row) & np.isfinite(col)
        height, width = self._raster.shape
        known &= (row > 0) & (col > 0) & (row < height) & (col < width)
        pixels = np.zeros((*box.shape, 3), np.uint8)
        if not known.any():
            return RasterWindow(pixels, known)
        needed = PixelBox(
            math.floor(row[known].min()) - 1,
            math.floor(col[known].min()) - 1,
            math.ceil(row[known].max()) + 2,
            math.ceil(col[known].max()) + 2,
        )
        seen = self._raster.read(needed)
        at = np.stack([row[known] - needed.row0 - 0.5, col[known] - needed.col0 - 0.5])
        # Pixels without data must not darken their neighbours.
        share = map_coordinates(seen.valid.astype(np.float32), at, order=1)
        has = share >= 0.5
        values = np.zeros((len(share), 3), np.uint8)
        for band in range(3):
            plane = np.where(seen.valid, seen.pixels[..., band], 0).astype(np.float32)
            sampled = map_coordinates(plane, at, order=1) / np.where(has, share, 1)
            values[:, band] = np.clip(np.rint(sampled), 0, 255)
        values[~has] = 0
        pixels[known] = values
        valid = np.zeros(box.shape, bool)
        valid[known] = has
        return RasterWindow(pixels, valid)

    def has_data(self, box: PixelBox) -> bool:
        """Whether any pixel of a window has data."""
        if self._shift is not None:
            return self._raster.has_data(box.shifted(*self._shift))
        return bool(self.read(box).valid.any())

    def _places(self, box: PixelBox) -> tuple[Places, Places]:
        """(row, column) in the raster of the centres of a window's pixels; NaN where there is none.

        Both (H, W) float64.
        """
        rows = _knots(box.row0, box.row1)
        cols = _knots(box.col0, box.col1)
        row, col = self._exactly(rows, cols)
        wanted_rows: Places = np.arange(box.row0, box.row1, dtype=np.float64) + 0.5
        wanted_cols: Places = np.arange(box.col0, box.col1, dtype=np.float64) + 0.5
        if self._torn(row, col):
            return self._exactly(wanted_rows, wanted_cols)
        return (
            _between(row, rows, cols, wanted_rows, wanted_cols),
            _between(col, rows, cols, wanted_rows, wanted_cols),
        )

    def _exactly(self, rows: Places, cols: Places) -> tuple[Places, Places]:
        """(row, column) in the raster of places in the grid; NaN where there is none.

        Args:
            rows, cols: (H,) and (W,) in the grid.

        Returns:
            Both (H, W).
        """
        col_at, row_at = np.meshgrid(cols, rows)
        t = self.grid.transform
        x: Any = t.a * col_at + t.b * row_at + t.c
        y: Any = t.d * col_at + t.e * row_at + t.f
        if self._transformer is not None:
            x, y = self._transformer.transform(x, y)
        known = np.isfinite(x) & np.isfinite(y)
        x, y = np.where(known, x, np.nan), np.where(known, y, np.nan)
        if self._turn is not None:
            x = turned(x, self._middle_x, self._turn)
        # The origin goes first: it is the large number in which digits would be lost.
        own = self._raster.transform
        linear = ~Affine(own.a, own.b, 0.0, own.d, own.e, 0.0)
        x, y = x - own.c, y - own.f
        return linear.d * x + linear.e * y, linear.a * x + linear.b * y

    def _torn(self, row: Places, col: Places) -> bool:
        """Whether neighbouring places lie half a turn around the Earth apart: nothing straight
        leads from one to the other."""
        if self._turn is None:
            return False
        own = self._raster.transform
        x = own.a * col + own.b * row
        steps = (np.abs(np.diff(x, axis=axis)) for axis in (0, 1))
        return any(bool((step > self._turn / 2).any()) for step in steps)


def _scale(raster: Raster, grid: CommonGrid, crs: pyproj.CRS | None) -> float:
    """The raster's pixels along a side of one of the grid's, in the middle of the raster."""
    height, width = raster.shape
    middle = raster.transform @ (width / 2, height / 2)
    spots = [middle]
    step = math.sqrt(abs(raster.transform.determinant))
    spots += [(middle[0] + step, middle[1]), (middle[0], middle[1] + step)]
    xy = np.array(spots)
    if crs is not None and grid.crs is not None and not same_crs(crs, grid.crs):
        xy = np.column_stack(transformer(crs, grid.crs).transform(xy[:, 0], xy[:, 1]))
        turn = turn_of(grid.crs)
        if turn is not None:
            xy[:, 0] = turned(xy[:, 0], xy[0, 0], turn)
    right, down = xy[1] - xy[0], xy[2] - xy[0]
    area = abs(float(right[0] * down[1] - right[1] * down[0]))
    if not math.isfinite(area) or area <= 0:
        raise RasterError(
            f"{raster.name} has no place in the coordinate system of the other dates: check its "
            "own."
        )
    return math.sqrt(abs(grid.transform.determinant) / area) * (1 + 1e-9)


def _knots(low: int, high: int) -> Places:
    """Places along an axis at which positions are exact, from one end of a window to the other."""
    count = max(2, -(-(high - low) // EXACT_STEP) + 1)
    return np.linspace(low, high, count)


def _between(
    values: Places,
    rows: Places,
    cols: Places,
    wanted_rows: Places,
    wanted_cols: Places,
) -> Places:
    """Values at knots bilinearly at all places between them."""

    def taps(knots: Places, wanted: Places) -> tuple[NDArray[np.intp], Places]:
        at = (wanted - knots[0]) / (knots[1] - knots[0])
        low = np.clip(np.floor(at).astype(np.intp), 0, len(knots) - 2)
        return low, at - low

    row, down = taps(rows, wanted_rows)
    col, right = taps(cols, wanted_cols)
    across = values[:, col] * (1 - right) + values[:, col + 1] * right
    out: Places = across[row] * (1 - down)[:, None] + across[row + 1] * down[:, None]
    return out
