# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster at its working resolution: windows of RGB bytes, one stretch, and where data are.

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
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window

from .bands import plan_bands, read_values
from .errors import ParameterError, RasterError
from .resample import axis_weights, resample
from .sources import expand_sources, gdal_env, identity_of, open_source
from .stretch import Stretch, check_percentiles, estimate_stretch
from .types import AnyArray, BoolArray, ByteArray, PixelBox

CHUNK = 4 * 1024 * 1024
"""Source pixels that are held at once while a window is resampled."""

SAMPLE_SIDE = 2048
"""A raster or overview up to this size is taken whole for the stretch."""

SAMPLE_WINDOWS = 16
"""Windows of a regular sample, along each side of a larger raster."""

SAMPLE_WINDOW = 96
"""Side of such a window, pixels."""

ENOUGH = 1000
"""Valid values below which a sample is not trusted and the whole raster is looked through."""


@dataclass(frozen=True)
class RasterOptions:
    """How to look at a raster.

    Args:
        bands: One or three band numbers from 1, in the order red, green, blue; None chooses
            (:func:`samgeo_core.bands.plan_bands`).
        stretch: Limits from an earlier run; None estimates them once for the whole raster.
        percentiles: Limits in per cent of the values. None leaves pictures of bytes as they are
            and takes the 2nd and 98th percentile of everything else.
        resolution: Side of a working pixel on the ground, in units of the raster's CRS (pixels,
            where it has none); smaller or larger than the raster's own. In projected CRS working
            pixels become square. In geographic ones the pixel keeps its aspect (a square in
            degrees is none on the ground), and its geometric mean side is meant. None keeps the
            raster's pixels.
    """

    bands: tuple[int, ...] | None = None
    stretch: Stretch | None = None
    percentiles: tuple[float, float] | None = None
    resolution: float | None = None


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
        data: dict[str, Any] = asdict(self)
        for band in data["bands"]:
            if band["nodata"] is not None and not math.isfinite(band["nodata"]):
                band["nodata"] = str(band["nodata"])  # JSON has no NaN
        return data


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
    return Raster(expand_sources(sources), options or RasterOptions())


class Raster:
    """An open raster; use as a context manager, from one thread.

    Make one with :func:`open_raster`, or in a worker process with :meth:`from_spec`.
    """

    def __init__(self, names: Sequence[str], options: RasterOptions) -> None:
        if options.percentiles is not None:
            check_percentiles(options.percentiles)
        self.options = options
        with gdal_env():
            self._source = open_source(names)
            try:
                self._plan = plan_bands(self._source.dataset, options.bands)
                self._row_scale, self._col_scale = self._scales()
                self._check_stretch()
                self._overviews: dict[int, rasterio.DatasetReader] = {}
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
        """Source pixels a working pixel, down the rows and along the columns."""
        resolution = self.options.resolution
        if resolution is None:
            return 1.0, 1.0
        if not (math.isfinite(resolution) and resolution > 0):
            raise ParameterError(f"A working resolution must be above 0, not {resolution}.")
        t, crs = self._source.transform, self._source.crs
        across, down = math.hypot(t.a, t.d), math.hypot(t.b, t.e)
        if crs is None or crs.is_geographic:
            across = down = math.sqrt(across * down)
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
        stretch = self.options.stretch
        if stretch is not None and len(stretch.low) != self._plan.bands:
            raise ParameterError(
                f"The stretch has limits for {len(stretch.low)} band(s), but {self._plan.bands} "
                f"are read from {self._source.name}: give one pair of limits a band."
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
    def identity(self) -> str:
        """Digest over the source files' paths, sizes and times: another one, another raster."""
        return identity_of(self._source)

    @property
    def spec(self) -> dict[str, Any]:
        """JSON-able: what :meth:`from_spec` needs to open the raster with the same stretch."""
        return {
            "sources": list(self._source.names),
            "bands": None if self.options.bands is None else list(self.options.bands),
            "resolution": self.options.resolution,
            "stretch": self.stretch.to_json(),
        }

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
            ),
        )

    @cached_property
    def info(self) -> RasterInfo:
        """The raster as its file describes it, and what was made of it."""
        dataset, plan = self._source.dataset, self._plan
        crs, t = self.crs, self._source.transform
        xs, ys = zip(
            *(
                t @ corner
                for corner in (
                    (0, 0),
                    (dataset.width, 0),
                    (0, dataset.height),
                    (dataset.width, dataset.height),
                )
            ),
            strict=True,
        )
        if crs is None:
            unit = "pixel" if self.notes and t.a == 1.0 and t.e == -1.0 else "unknown"
        else:
            unit = "degree" if crs.is_geographic else (crs.linear_units or "unknown")
        mask = {"none": "none", "nodata": "nodata values", "dataset": "mask band"}[plan.mask]
        if plan.alpha is not None:
            mask = "alpha band" if plan.mask == "none" else f"{mask} and alpha band"
        code = crs.to_epsg() if crs else None
        return RasterInfo(
            sources=self._source.names,
            driver="mosaic" if len(self._source.names) > 1 else str(dataset.driver),
            size=(dataset.width, dataset.height),
            bands=tuple(
                BandInfo(
                    number=n,
                    dtype=dataset.dtypes[n - 1],
                    colour=dataset.colorinterp[n - 1].name,
                    nodata=dataset.nodatavals[n - 1],
                    scale=float(dataset.scales[n - 1]),
                    offset=float(dataset.offsets[n - 1]),
                    description=dataset.descriptions[n - 1],
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
            working_size=(self.width, self.height),
            working_transform=tuple(self.transform[:6]),
            notes=self.notes,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided while opening, in sentences."""
        return self._source.notes

    # -- reading ---------------------------------------------------------------------------------

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
        if self._always_valid and not self._has_holes(inside):
            return True
        return any(bool(self._read_part(part)[1].any()) for part in self._parts(inside))

    @cached_property
    def _always_valid(self) -> bool:
        """No mask, no alpha, no floats: only blocks that were never written have no data."""
        plan, dtypes = self._plan, self._source.dataset.dtypes
        return (
            plan.mask == "none"
            and plan.alpha is None
            and all(np.dtype(_numpy_name(dtypes[n - 1])).kind in "iu" for n in plan.colour)
            and (plan.palette is None or bool((plan.palette[:, 3] > 0).all()))
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
        full = self._source.dataset
        dataset = self._level(min(self._row_scale, self._col_scale))
        row_scale = self._row_scale * dataset.height / full.height
        col_scale = self._col_scale * dataset.width / full.width
        if row_scale == 1.0 and col_scale == 1.0:
            return self._read_source(dataset, box)
        rows = axis_weights(box.row0, box.row1, row_scale, dataset.height)
        cols = axis_weights(box.col0, box.col1, col_scale, dataset.width)
        needed = PixelBox(rows.start, cols.start, rows.stop, cols.stop)
        values, valid = self._read_source(dataset, needed)
        return resample(values, valid, rows, cols)

    def _read_source(
        self, dataset: rasterio.DatasetReader, box: PixelBox
    ) -> tuple[AnyArray, BoolArray]:
        """A window of the source's (or an overview's) own pixels."""
        window = Window(box.col0, box.row0, box.width, box.height)
        try:
            with gdal_env():
                values, valid = read_values(dataset, self._plan, window)
        except RasterioError as error:
            whole = " of an overview" if dataset is not self._source.dataset else ""
            raise RasterError(
                f"{self.name} cannot be read in rows {box.row0} to {box.row1} and columns "
                f"{box.col0} to {box.col1}{whole}; the file is damaged or incomplete there: "
                f"{_deepest(error)}"
            ) from error
        if dataset is self._source.dataset:
            for hole in self._holes(box):
                rows, cols = hole.slices(box)
                valid[:, rows, cols] = False
        return values, valid

    # -- overviews and blocks --------------------------------------------------------------------

    def _level(self, scale: float) -> rasterio.DatasetReader:
        """The coarsest overview that still has all that a scale needs, or the raster itself."""
        full = self._source.dataset
        if scale < 2.0 or not self._source.plain:
            return full
        factors = full.overviews(self._plan.colour[0])
        fitting = [i for i, factor in enumerate(factors) if factor <= scale * (1 + 1e-6)]
        for index in sorted(fitting, key=lambda i: -factors[i]):
            if index not in self._overviews:
                with gdal_env():
                    self._overviews[index] = self._source.open_overview(index)
            dataset = self._overviews[index]
            # An overview without the mask of its raster would call everything valid.
            if dataset.mask_flag_enums == full.mask_flag_enums:
                return dataset
        return full

    @cached_property
    def _may_have_holes(self) -> bool:
        dataset = self._source.dataset
        return self._source.plain and dataset.driver == "GTiff" and self._plan.mask == "none"

    def _holes(self, box: PixelBox) -> Iterator[PixelBox]:
        """Blocks of a sparse GeoTIFF that were never written, as far as they lie in a window."""
        if not self._may_have_holes:
            return
        dataset = self._source.dataset
        band = self._plan.colour[0]
        high, wide = dataset.block_shapes[band - 1]
        for row in range(box.row0 // high, -(-box.row1 // high)):
            for col in range(box.col0 // wide, -(-box.col1 // wide)):
                key = f"BLOCK_OFFSET_{col}_{row}"
                if dataset.get_tag_item(key, "TIFF", bidx=band) is None:
                    block = PixelBox(row * high, col * wide, (row + 1) * high, (col + 1) * wide)
                    yield block.intersection(box)

    def _has_holes(self, box: PixelBox) -> bool:
        """Whether a window of working pixels touches a block that was never written."""
        if not self._may_have_holes:
            return False
        full = self._source.dataset
        source = PixelBox(
            int(box.row0 * self._row_scale),
            int(box.col0 * self._col_scale),
            min(math.ceil(box.row1 * self._row_scale), full.height),
            min(math.ceil(box.col1 * self._col_scale), full.width),
        )
        return next(self._holes(source), None) is not None

    # -- the stretch -----------------------------------------------------------------------------

    @cached_property
    def stretch(self) -> Stretch:
        """The one stretch of this raster: as given, else estimated at the first call.

        Raises:
            RasterError: Not one sampled window of the raster can be read.
        """
        if self.options.stretch is not None:
            return self.options.stretch
        plan = self._plan
        if plan.palette is not None and self.options.percentiles is None:
            return Stretch.identity(3)
        if plan.photo and self._reads_bytes and self.options.percentiles is None:
            return Stretch.identity(plan.bands)
        sample = self._sample(self._sample_windows())
        if min(len(values) for values in sample) < ENOUGH:
            sample = self._sample(self._all_windows(), limit=20_000)
        return estimate_stretch(sample, self.options.percentiles, photo=plan.photo)

    @property
    def _reads_bytes(self) -> bool:
        plan, dtypes = self._plan, self._source.dataset.dtypes
        plain = all(s == 1.0 for s in plan.scales) and all(o == 0.0 for o in plan.offsets)
        return plain and all(dtypes[n - 1] == "uint8" for n in plan.colour)

    def _sample(
        self, windows: Iterator[tuple[rasterio.DatasetReader, PixelBox]], limit: int | None = None
    ) -> list[AnyArray]:
        """Valid values, band by band; damaged windows are passed over as long as one is sound."""
        kept: list[list[AnyArray]] = [[] for _ in range(self._plan.bands)]
        sound, failure = False, None
        for dataset, box in windows:
            try:
                values, valid = self._read_source(dataset, box)
            except RasterError as error:
                failure = error
                continue
            sound = True
            for band, known in enumerate(valid):
                chosen = values[band][known]
                step = 1 if limit is None else max(1, -(-len(chosen) // limit))
                kept[band].append(chosen[::step])
        if failure is not None and not sound:
            raise failure
        return [np.concatenate(parts) if parts else np.empty(0, np.float32) for parts in kept]

    def _sample_windows(self) -> Iterator[tuple[rasterio.DatasetReader, PixelBox]]:
        full = self._source.dataset
        dataset = self._level(max(full.height, full.width) / SAMPLE_SIDE * 2.0)
        height, width = dataset.shape
        if max(height, width) <= 2 * SAMPLE_SIDE or height * width <= SAMPLE_SIDE**2:
            yield from ((dataset, box) for box in _strips(height, width))
            return
        for row in _spread(height):
            for col in _spread(width):
                yield (
                    dataset,
                    PixelBox(
                        row,
                        col,
                        min(row + SAMPLE_WINDOW, height),
                        min(col + SAMPLE_WINDOW, width),
                    ),
                )

    def _all_windows(self) -> Iterator[tuple[rasterio.DatasetReader, PixelBox]]:
        dataset = self._source.dataset
        for box in _strips(*dataset.shape):
            if sum(hole.area for hole in self._holes(box)) < box.area:
                yield dataset, box


def _strips(height: int, width: int) -> Iterator[PixelBox]:
    """A raster in windows of at most 1024 x 4096 pixels."""
    for row in range(0, height, 1024):
        for col in range(0, width, 4096):
            yield PixelBox(row, col, min(row + 1024, height), min(col + 4096, width))


def _spread(size: int) -> list[int]:
    """First pixels of the sample's windows along an axis, from edge to edge."""
    last = max(0, size - SAMPLE_WINDOW)
    return sorted({round(i * last / (SAMPLE_WINDOWS - 1)) for i in range(SAMPLE_WINDOWS)})


def _numpy_name(dtype: str) -> str:
    return "complex64" if dtype == "complex_int16" else dtype


def _deepest(error: BaseException) -> str:
    """The innermost cause: GDAL says there what is wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)
