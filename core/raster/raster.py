# SPDX-License-Identifier: GPL-2.0-or-later
"""``Raster``: windows of RGB bytes at a working resolution, with one stretch and a validity mask.

::

    source pixels --(scale)--> working pixels --(transform)--> ground (x, y) in the raster's CRS

The working grid starts at the source's first pixel, and its transform is the source's transform
times the scale, exactly: nothing is resampled where the scale is 1, and nothing is warped unless
the raster is placed by ground control points or RPCs. Rotated and south-up rasters are read as
they lie; their transform puts the polygons in the right place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from ..addresses import without_secrets
from ..earth.crs import known_crs, raster_crs
from ..earth.geometry import ground_pixel, mean_side, pixel_sides
from ..errors import ParameterError
from ..sources.bands import plan_bands
from ..sources.gdal import damage_of, gdal_env, tried_twice
from ..sources.mosaic import Mosaic
from ..sources.names import expand_sources
from ..sources.opening import open_source
from ..types import AnyArray, BoolArray, ByteArray, PixelBox
from .info import RasterInfo, describe
from .pixels import SourcePixels
from .polygon_sources import PolygonSources, polygon_sources
from .resample import axis_weights, resample
from .sampling import sample_values
from .stretch import Stretch, check_percentiles, estimate_stretch

CHUNK = 4 * 1024 * 1024
"""Source pixels that are held at once while a window is resampled."""


@dataclass(frozen=True)
class RasterOptions:
    """How to look at a raster.

    Args:
        bands: One or three band numbers from 1, in the order red, green, blue; None chooses
            (:func:`samgeo_core.sources.bands.plan_bands`).
        stretch: Limits from an earlier run, a pair a band or one for all; None estimates them once
            for the whole raster.
        percentiles: Limits in per cent of the values. None leaves pictures of bytes as they are
            and takes the 2nd and 98th percentile of everything else.
        resolution: Side of a working pixel on the ground, in units of the raster's CRS (pixels,
            where it has none); smaller or larger than the raster's own. In projected CRS working
            pixels become square. In geographic ones the pixel keeps its aspect (a square in
            degrees is none on the ground), and its geometric mean side is meant. None keeps the
            raster's pixels.
        crs: CRS of the raster in any form that :func:`~.crs.known_crs` understands, for a file that
            names none or a wrong one; None takes what the file says.
        coarser: Whole number of these working pixels along a side of one of an overview's.
        overlap: Which of a mosaic's rasters is on top, see :mod:`~.overlap`.
        allow_remote: Local files that lead to servers, or to raw bytes of other files, may do so.
    """

    bands: tuple[int, ...] | None = None
    stretch: Stretch | None = None
    percentiles: tuple[float, float] | None = None
    resolution: float | None = None
    crs: str | None = None
    coarser: int = 1
    overlap: str = "auto"
    allow_remote: bool = False


@dataclass(frozen=True, eq=False)
class RasterWindow:
    """A window, ready for a model.

    Args:
        pixels: (H, W, 3) uint8, 0 where there are no data.
        valid: (H, W) bool, False where the raster has no data or the window leaves it.
    """

    pixels: ByteArray
    valid: BoolArray


def open_raster(
    sources: str | Path | Sequence[str | Path], options: RasterOptions | None = None
) -> Raster:
    """Open a raster, a folder of rasters, or several that make a mosaic.

    Args:
        sources: Path, URL or GDAL name; several must share CRS, bands and pixel grid.
        options: How to look at it.

    Raises:
        RasterError: It cannot be opened, or the files make no mosaic.
        ParameterError: An option does not fit the raster.
    """
    options = options or RasterOptions()
    return Raster(expand_sources(sources, remote=options.allow_remote), options)


def coarser(spec: Mapping[str, Any], factor: int) -> dict[str, Any]:
    """The spec of the same raster, with the same stretch, at ``factor`` x ``factor`` of its pixels.

    Pixels keep their aspect: 1 x 2 m become 2 x 4 m, in every pyramid of the engine.

    Args:
        spec: :attr:`Raster.spec`.
        factor: Working pixels along a side of one of the coarser ones.
    """
    return {**spec, "coarser": spec["coarser"] * factor}


class Raster:
    """An open raster; use as a context manager, from one thread.

    Make one with :func:`open_raster`, or in a worker process with :meth:`from_spec`.
    """

    def __init__(
        self,
        names: Sequence[str],
        options: RasterOptions,
        *,
        checked: bool = False,
        mosaic: Mosaic | None = None,
    ) -> None:
        if options.percentiles is not None:
            check_percentiles(options.percentiles)
        self.options = options
        self._source = open_source(
            names,
            raster_crs(options.crs),
            overlap=options.overlap,
            remote=options.allow_remote,
            checked=checked,
            mosaic=mosaic,
        )
        with gdal_env(remote=self._source.remote):
            try:
                with damage_of(self._source.name):
                    dataset = self._source.dataset
                    plan = tried_twice(lambda: plan_bands(dataset, options.bands))
                    self._pixels = tried_twice(lambda: SourcePixels(self._source, plan))
                    self._row_scale, self._col_scale = self._scales()
                    self._check_stretch()
            except BaseException:
                self._source.closing.close()
                raise
        source = self._source.dataset
        self.height = max(1, math.ceil(source.height / self._row_scale - 1e-6))
        self.width = max(1, math.ceil(source.width / self._col_scale - 1e-6))
        self.transform: Affine = self._source.transform @ Affine.scale(
            self._col_scale, self._row_scale
        )
        self.crs: CRS | None = self._source.crs

    def _scales(self) -> tuple[float, float]:
        """Source pixels per working pixel, down the rows and along the columns."""
        rows, cols = self._resolution_scales()
        return rows * self.options.coarser, cols * self.options.coarser

    def _resolution_scales(self) -> tuple[float, float]:
        """Source pixels per working pixel, down the rows and along the columns."""
        resolution = self.options.resolution
        if resolution is None:
            return 1.0, 1.0
        if not (math.isfinite(resolution) and resolution > 0):
            raise ParameterError(f"A working resolution must be above 0, not {resolution}.")
        t, crs = self._source.transform, self._source.crs
        across, down = pixel_sides(t)
        if crs is None or crs.is_geographic:
            across = down = mean_side(t)
        scales = resolution / down, resolution / across
        size = self._source.dataset.height, self._source.dataset.width
        if any(n / s >= 2**31 for n, s in zip(size, scales, strict=True)) or all(
            s > n for n, s in zip(size, scales, strict=True)
        ):
            raise ParameterError(
                f"A working resolution of {resolution} does not fit this raster, whose pixels "
                f"are {across:.6g} x {down:.6g} in the units of its CRS: the raster would become "
                f"{size[1] / scales[1]:.3g} x {size[0] / scales[0]:.3g} pixels."
            )
        # Reading 1 : 1 must not resample because of the last digit of a transform.
        row, col = (1.0 if abs(s - 1.0) < 1e-6 else s for s in scales)
        return row, col

    def _check_stretch(self) -> None:
        stretch, bands = self.options.stretch, self._pixels.plan.bands
        if stretch is not None and len(stretch.low) not in (1, bands):
            raise ParameterError(
                f"The stretch has limits for {len(stretch.low)} band(s), but {bands} are read "
                f"from {self._source.name}: give one pair of limits a band."
            )

    def __enter__(self) -> Raster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all files; the raster cannot be read any more."""
        self._source.closing.close()

    @property
    def name(self) -> str:
        """Short name for messages and the attribute ``source``."""
        return self._source.name

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def bounds(self) -> PixelBox:
        return PixelBox(0, 0, self.height, self.width)

    @cached_property
    def ground_pixel(self) -> float:
        """Metres of a working pixel on the ground, where it is smallest."""
        return ground_pixel(self.transform, self.shape, known_crs(self.crs))

    @cached_property
    def identity(self) -> str:
        """Digest over the source files' paths, sizes, times and bytes: another, another raster."""
        return self._source.contents.identity

    @property
    def files(self) -> tuple[str, ...]:
        """All files that the raster is read from, side files too; addresses as they were given."""
        return self._source.contents.all_names

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the raster, or of the rasters of a mosaic, to open them by."""
        return tuple(self._source.names)

    @property
    def modified(self) -> datetime:
        """When the newest of the source files was changed, UTC."""
        return self._source.contents.modified

    @property
    def spec(self) -> dict[str, Any]:
        """JSON-able: what :meth:`from_spec` needs to open the raster with the same stretch."""
        return {
            "sources": list(self._source.names),
            "bands": None if self.options.bands is None else list(self.options.bands),
            "resolution": self.options.resolution,
            "crs": self.options.crs,
            "coarser": self.options.coarser,
            "overlap": self.options.overlap,
            "allow_remote": self.options.allow_remote,
            "stretch": self.stretch.to_json(),
        }

    @property
    def worker_spec(self) -> dict[str, Any]:
        """:attr:`spec`, and what is known of the files of a mosaic: a worker opens only those that
        it reads."""
        return {**self.spec, "mosaic": self._source.mosaic}

    @property
    def description(self) -> dict[str, Any]:
        """JSON-able: what a job's results depend on, without the secrets of addresses."""
        spec = self.spec
        sources = [without_secrets(name) for name in spec["sources"]]
        return {**spec, "sources": sources, "identity": self.identity}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Raster:
        """Open a raster again, with the stretch of the first time.

        Raises:
            RasterError: It cannot be opened any more.
        """
        return cls(
            tuple(spec["sources"]),
            RasterOptions(
                bands=None if spec["bands"] is None else tuple(spec["bands"]),
                stretch=Stretch.from_json(spec["stretch"]),
                resolution=spec["resolution"],
                crs=spec["crs"],
                coarser=spec["coarser"],
                overlap=spec["overlap"],
                allow_remote=spec["allow_remote"],
            ),
            checked=True,
            mosaic=spec.get("mosaic"),
        )

    @cached_property
    def info(self) -> RasterInfo:
        """The raster as its file describes it, and what was made of it."""
        with damage_of(self.name):
            return tried_twice(
                lambda: describe(
                    self._source,
                    self._pixels.plan,
                    working_size=(self.width, self.height),
                    working_transform=self.transform,
                )
            )

    @property
    def tags(self) -> dict[str, str]:
        """Metadata of the file as GDAL gives it, that of pictures (time of taking) included."""
        dataset = self._source.dataset
        return {**dataset.tags(), **dataset.tags(ns="IMAGERY")}

    @cached_property
    def polygon_sources(self) -> str | PolygonSources:
        """The raster's name, or of a mosaic what names the raster under each polygon."""
        source = self._source
        return polygon_sources(source) if source.parts else source.name

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided while opening, in sentences."""
        return self._source.notes + self._pixels.plan.notes

    # -- reading ---------------------------------------------------------------------------------

    @cached_property
    def stretch(self) -> Stretch:
        """The one stretch of this raster: as given, else estimated at the first call.

        Raises:
            RasterError: Not one sampled window of the raster can be read.
        """
        given = self.options.stretch
        if given is not None:
            repeat = self._pixels.plan.bands // len(given.low)
            return Stretch(given.low * repeat, given.high * repeat)
        plan, percentiles = self._pixels.plan, self.options.percentiles
        picture = plan.palette is not None or (plan.photo and self._pixels.reads_bytes)
        if picture and percentiles is None:
            return Stretch.identity(plan.bands)
        with damage_of(self.name):
            return estimate_stretch(sample_values(self._pixels), percentiles, photo=plan.photo)

    def read(self, box: PixelBox) -> RasterWindow:
        """Read a window at the working resolution.

        Args:
            box: May reach beyond the raster; there is no data there.

        Raises:
            RasterError: A block of the raster cannot be read; names the window.
        """
        stretch = self.stretch
        pixels = np.zeros((*box.shape, 3), np.uint8)
        valid = np.zeros(box.shape, bool)
        for part in self._parts(box.intersection(self.bounds)):
            with damage_of(self.name):
                values, known = self._read_part(part)
            at = part.slices(box)
            pixels[at] = stretch.apply(values, known)
            valid[at] = known.any(axis=0)
        return RasterWindow(pixels, valid)

    def has_data(self, box: PixelBox) -> bool:
        """Whether any pixel of a window has data, at as little cost as that takes.

        Raises:
            RasterError: A block of the raster cannot be read; names the window.
        """
        inside = box.intersection(self.bounds)
        if inside.empty:
            return False
        with damage_of(self.name):
            if not self._pixels.may_have_data(self._source_box(inside)):
                return False
            if self._pixels.always_valid and not self._has_holes(inside):
                return True
            return any(bool(self._read_part(part)[1].any()) for part in self._parts(inside))

    def _has_holes(self, box: PixelBox) -> bool:
        """Whether a window of working pixels touches a block that was never written."""
        return next(self._pixels.holes(self._source_box(box)), None) is not None

    def _source_box(self, box: PixelBox) -> PixelBox:
        """The source pixels that a window of working pixels touches."""
        height, width = self._pixels.shape
        return PixelBox(
            int(box.row0 * self._row_scale),
            int(box.col0 * self._col_scale),
            min(math.ceil(box.row1 * self._row_scale), height),
            min(math.ceil(box.col1 * self._col_scale), width),
        )

    def _parts(self, box: PixelBox) -> Iterator[PixelBox]:
        """A window in pieces that need no more than :data:`CHUNK` source pixels each."""
        if box.empty:
            return
        rows = max(1, int(CHUNK / max(1.0, self._col_scale * box.width) / self._row_scale))
        cols = box.width
        if rows == 1:
            cols = max(1, int(CHUNK / max(1.0, self._row_scale) / self._col_scale))
        for row in range(box.row0, box.row1, rows):
            for col in range(box.col0, box.col1, cols):
                yield PixelBox(row, col, min(row + rows, box.row1), min(col + cols, box.col1))

    def _read_part(self, box: PixelBox) -> tuple[AnyArray, BoolArray]:
        """Values and validity, (b, H, W) each, of a non-empty window inside the raster."""
        if self._row_scale == 1.0 and self._col_scale == 1.0:
            return self._pixels.read(box)
        full_height, full_width = self._pixels.shape
        dataset = self._pixels.level(min(self._row_scale, self._col_scale))
        height, width = dataset.shape
        rows = axis_weights(box.row0, box.row1, self._row_scale * height / full_height, height)
        cols = axis_weights(box.col0, box.col1, self._col_scale * width / full_width, width)
        needed = PixelBox(rows.start, cols.start, rows.stop, cols.stop)
        return resample(*self._pixels.read(needed, dataset), rows, cols)
