# SPDX-License-Identifier: GPL-2.0-or-later
"""Opening: one file, a folder, several files; ground control points and RPCs are warped away."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as warp_points

from ..addresses import without_signature
from ..errors import RasterError, SamGeoWarning
from .crs import known_crs, same_crs
from .mosaic import common_name, mosaic_vrt

SUFFIXES = (
    *(".tif", ".tiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg", ".webp"),
    *(".img", ".ecw", ".sid", ".ntf", ".bil", ".bip", ".bsq", ".asc"),
)
"""Files of a folder that are taken for rasters."""

CACHE_BYTES = 48 * 1024 * 1024, 256 * 1024 * 1024
"""GDAL's block cache, at least and at most. Its own default is a share of the machine's memory,
which would make a job's memory depend on the machine and grow with the raster until it is full."""

CACHE_ROWS = 1536
"""Rows that the cache should hold of a raster stored in strips: else a tile's neighbour to the
right would decode all of its strips again."""

UNPLACED = Affine(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""Pixel to "ground" where a raster has no georeferencing: the way in which QGIS shows it."""


def gdal_env(dataset: rasterio.DatasetReader | None = None) -> rasterio.Env:
    """Settings under which rasters are opened and read."""
    least, most = CACHE_BYTES
    if dataset is not None and dataset.block_shapes[0][1] == dataset.width:
        names = ["complex64" if name == "complex_int16" else name for name in dataset.dtypes]
        pixel = sum(np.dtype(name).itemsize for name in names)
        least = min(most, max(least, CACHE_ROWS * dataset.width * pixel))
    return rasterio.Env(GDAL_CACHEMAX=least, GDAL_ERROR_ON_LIBJPEG_WARNING=True)


@dataclass(frozen=True, eq=False)
class Source:
    """An open raster, ready to be read by pixel windows.

    Args:
        names: What it was opened from.
        dataset: The dataset, a mosaic of several, or a warped view of one.
        transform: Source pixel to ground.
        crs: CRS of the ground, or None.
        notes: What was decided on the way, for people.
        placed: The file says where it lies; False leaves pixels as the ground's units.
        plain: The dataset is a file as it is, so that its overviews and block offsets can be used.
        closing: Closes all that was opened.
    """

    names: tuple[str, ...]
    dataset: rasterio.DatasetReader
    transform: Affine
    crs: CRS | None
    notes: tuple[str, ...]
    placed: bool
    plain: bool
    closing: ExitStack

    @property
    def name(self) -> str:
        return common_name(self.names)

    def open_overview(self, level: int) -> rasterio.DatasetReader:
        """The dataset's overview ``level`` (0 is the first) as a dataset of its own."""
        return self.closing.enter_context(_open(self.dataset.name, overview_level=level))


def expand_sources(sources: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    """Names to open: a folder stands for the rasters in it, in the order of their names.

    Raises:
        RasterError: A file is missing, a folder has no rasters, or nothing is given.
    """
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    if not given:
        raise RasterError("No raster was given.")
    names: list[str] = []
    for source in given:
        path = Path(source)
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            if not found:
                raise RasterError(f"The folder {path} has no rasters in it.")
            names += [str(p) for p in found]
        elif isinstance(source, Path) or _is_plain_path(source):
            if not path.exists():
                raise RasterError(f"There is no file {source}: check the path.")
            names.append(str(path))
        else:
            names.append(source)
    return tuple(names)


def _is_plain_path(name: str) -> bool:
    """Neither a URL, nor GDAL's /vsi..., DRIVER:... or inline XML."""
    if name.startswith(("/vsi", "<")):
        return False
    return ":" not in name[2:]


def _open(name: str, **options: object) -> rasterio.DatasetReader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(name, **options)


def open_source(names: Sequence[str], crs: CRS | None = None) -> Source:
    """Open one raster, or several as a mosaic.

    Args:
        names: To open them by.
        crs: Their CRS, instead of what the files say; None takes that.

    Raises:
        RasterError: A file is no raster or holds several, or the files make no mosaic.
    """
    stack = ExitStack()
    try:
        if len(names) == 1:
            dataset = stack.enter_context(_open_one(names[0]))
            return _georeference(tuple(names), dataset, stack, crs)
        with ExitStack() as parts:
            opened = [(name, parts.enter_context(_open_one(name))) for name in names]
            document = mosaic_vrt(opened)
        dataset = stack.enter_context(_open(document))
        return Source(
            names=tuple(names),
            dataset=dataset,
            transform=dataset.transform,
            crs=crs or dataset.crs,
            notes=(
                f"A mosaic of {len(names)} rasters.",
                *_crs_notes(dataset.crs, placed=True, wanted=crs),
            ),
            placed=True,
            plain=False,
            closing=stack,
        )
    except BaseException:
        stack.close()
        raise


def _open_one(name: str) -> rasterio.DatasetReader:
    try:
        dataset = _open(name)
    except RasterioIOError as error:
        raise RasterError(f"{name} cannot be opened as a raster: {error}") from error
    if dataset.count == 0:
        parts = list(dataset.subdatasets)
        dataset.close()
        if parts:
            shown = ", ".join(parts[:5]) + (" ..." if len(parts) > 5 else "")
            raise RasterError(f"{name} holds several rasters: give one of them by name: {shown}")
        raise RasterError(f"{name} has no bands.")
    return dataset


def _georeference(
    names: tuple[str, ...],
    dataset: rasterio.DatasetReader,
    stack: ExitStack,
    crs: CRS | None = None,
) -> Source:
    points, points_crs = dataset.gcps
    points_crs = crs or points_crs
    placed = not dataset.transform.is_identity
    if not placed and points and points_crs:
        warped = stack.enter_context(_warp(dataset, points_crs, by="GCP"))
        note = f"Placed by {len(points)} ground control points, warped to {_label(warped.crs)}."
        return Source(names, warped, warped.transform, warped.crs, (note,), True, False, stack)
    if not placed and dataset.rpcs:
        warped = stack.enter_context(_warp(dataset, CRS.from_epsg(4326), by="RPC"))
        note = f"Placed by its RPCs at their mean height, warped to {_label(warped.crs)}."
        return Source(names, warped, warped.transform, warped.crs, (note,), True, False, stack)
    notes = _crs_notes(dataset.crs, placed=placed, wanted=crs)
    found = (crs or dataset.crs) if placed else None
    transform = dataset.transform if placed else UNPLACED
    if transform.is_degenerate:
        raise RasterError(
            f"{names[0]} has a transform that maps all pixels onto a line ({transform[:6]}): "
            "its georeferencing is damaged."
        )
    return Source(names, dataset, transform, found, notes, placed, True, stack)


def _crs_notes(crs: CRS | None, *, placed: bool, wanted: CRS | None = None) -> tuple[str, ...]:
    """What there is to say of a raster's CRS, also as a warning."""
    if not placed and (crs or wanted):
        note = (
            f"The raster has a coordinate system ({_label(wanted or crs)}), but nothing says where "
            "in it the raster lies: it is left out, and positions, lengths and areas are in pixels."
        )
    elif wanted:
        if not crs or same_crs(known_crs(crs), known_crs(wanted)):
            return ()
        note = f"The raster's own coordinate system, {_label(crs)}, gives way to {_label(wanted)}."
    elif crs:
        return ()
    else:
        unit = "the units of its own transform" if placed else "pixels"
        note = f"The raster has no coordinate system: positions, lengths and areas are in {unit}."
    warnings.warn(note, SamGeoWarning, stacklevel=2)
    return (note,)


def _label(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.to_string()[:60]


def _warp(dataset: rasterio.DatasetReader, crs: CRS, *, by: str) -> WarpedVRT:
    """A north-up view of a raster that is placed by points or by RPCs.

    Geographic points are warped to the UTM zone (or polar stereographic) of their middle, because
    degrees would show every object stretched.
    """
    try:
        target = _metric_crs(dataset, crs)
        interpretation = dataset.colorinterp
        smooth = ColorInterp.palette not in interpretation
        flags = set(dataset.mask_flag_enums[0])
        options: dict[str, object] = {
            "src_crs": crs,
            "crs": target,
            "resampling": Resampling.bilinear if smooth else Resampling.nearest,
        }
        if MaskFlags.nodata not in flags and ColorInterp.alpha not in interpretation:
            options["add_alpha"] = True
        if by == "GCP" and len(dataset.gcps[0]) > 10:
            # A polynomial misses a dense grid of points by pixels; splines go through them.
            options["SRC_METHOD"] = "GCP_TPS"
        return WarpedVRT(dataset, **options)
    except (RasterioError, ValueError) as error:
        raise RasterError(
            f"{dataset.name} cannot be placed by its "
            f"{'ground control points' if by == 'GCP' else 'RPCs'}: {error}"
        ) from error


def _metric_crs(dataset: rasterio.DatasetReader, crs: CRS) -> CRS:
    if not crs.is_geographic:
        return crs
    points, _ = dataset.gcps
    if points:
        # Points on both sides of the date line are neighbours.
        xs = [p.x - 360.0 * round((p.x - points[0].x) / 360.0) for p in points]
        ys = [p.y for p in points]
        lon, lat = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    else:
        lon, lat = dataset.rpcs.long_off, dataset.rpcs.lat_off
    wgs84 = CRS.from_epsg(4326)
    if crs != wgs84:
        (lon,), (lat,) = warp_points(crs, wgs84, [lon], [lat])
    if abs(lat) > 84:
        return CRS.from_epsg(5041 if lat > 0 else 5042)
    zone = int((lon + 180.0) // 6.0) % 60 + 1
    return CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)


def identity_of(source: Source) -> str:
    """A digest that changes when a source file does: its path, size and time of change.

    Files that a virtual raster refers to count as well; side files with statistics and overviews,
    which QGIS writes while one looks at a raster, do not.
    """
    digest = hashlib.sha256()
    for name in _files(source):
        path = Path(name)
        if path.is_file():
            status = path.stat()
            text = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}\n"
        else:
            text = f"{without_signature(name)}\n"
        digest.update(text.encode())
    return digest.hexdigest()


def modified_of(source: Source) -> datetime:
    """When the newest source file was changed, UTC; the epoch where none is on this machine."""
    times = [Path(name).stat().st_mtime for name in _files(source) if Path(name).is_file()]
    return datetime.fromtimestamp(max(times, default=0.0), timezone.utc)


def files_of(source: Source) -> tuple[str, ...]:
    """All files that a source is read from, side files too, sorted."""
    return tuple(sorted({*source.names, *source.dataset.files}))


def _files(source: Source) -> list[str]:
    """Files that the pixels come from, sorted."""
    files = set(source.names)
    for name in source.names:
        if name.lower().endswith(".vrt"):
            files.update(source.dataset.files)
    return sorted(name for name in files if not name.lower().endswith((".aux.xml", ".ovr")))
