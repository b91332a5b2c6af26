# SPDX-License-Identifier: GPL-2.0-or-later
"""Opening one raster, or several as a mosaic."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import rasterio
from affine import Affine
from rasterio.crs import CRS

from ..earth.crs import known_crs, raster_crs, same_crs
from ..errors import ParameterError, RasterError
from ..job import option
from ..notes import warn
from .contents import Contents, check_sources
from .gdal import (
    GDAL_ERRORS,
    MOST_BLOCK_BYTES,
    block_bytes,
    damage_of,
    deepest,
    gdal_env,
    open_dataset,
)
from .georeference import transform_of_points, warp
from .mosaic import Mosaic, Part, describe_part, mosaic_vrt
from .names import common_name
from .overlap import check_overlap, ordered
from .references import is_remote, server_of

UNPLACED = Affine(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""Pixel to "ground" where a raster has no georeferencing: the way in which QGIS shows it."""

_NOT_READ = {
    ".ecw": "ECW",
    ".sid": "MrSID",
}
"""Formats that GDAL reads only with libraries that must not be shared."""

_NO_RASTER = {
    **dict.fromkeys((".las", ".laz", ".copc"), "a point cloud, from which QGIS can make a raster"),
    **dict.fromkeys((".dwg", ".dxf", ".dgn"), "a drawing, which QGIS can draw into a raster"),
}
"""What is taken for a raster by mistake."""


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
        contents: The files that it consists of.
        mosaic: What it was made of where there are several names.
    """

    names: tuple[str, ...]
    dataset: rasterio.DatasetReader
    transform: Affine
    crs: CRS | None
    notes: tuple[str, ...]
    placed: bool
    plain: bool
    closing: ExitStack
    contents: Contents
    mosaic: Mosaic | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """Of a mosaic, from the lowest to the one on top."""
        return () if self.mosaic is None else self.mosaic.parts

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Column and row of the first pixel of each part."""
        return () if self.mosaic is None else self.mosaic.places

    @property
    def name(self) -> str:
        return common_name(self.names)

    @property
    def remote(self) -> bool:
        """The network may be used."""
        return self.contents.remote or any(map(is_remote, self.names))

    def open_overview(self, level: int) -> rasterio.DatasetReader:
        """The dataset's overview ``level`` (0 is the first) as a dataset of its own."""
        return self.closing.enter_context(
            open_dataset(self.dataset.name, remote=self.remote, overview_level=level)
        )


def open_source(
    names: Sequence[str],
    crs: CRS | None = None,
    *,
    overlap: str = "auto",
    remote: bool = False,
    checked: bool = False,
    mosaic: Mosaic | None = None,
) -> Source:
    """Open one raster, or several as a mosaic.

    Args:
        names: To open them by.
        crs: Their CRS, instead of what the files say; None takes that.
        overlap: Which of several is on top where they overlap (:func:`~.overlap.ordered`).
        remote: Local files may lead to servers, and to raw bytes of other files.
        checked: All that they refer to was opened before, by another process of the same job.
        mosaic: What that process has made of several: none of them is opened before it is read.

    Raises:
        RasterError: A file is no raster or holds several, the files make no mosaic, or a source of
            a virtual raster is missing.
    """
    stack = ExitStack()
    contents = Contents(tuple(names), remote)
    asked = remote or any(map(is_remote, names))
    try:
        with gdal_env(remote=asked), damage_of(common_name(names)):
            if len(names) == 1:
                dataset = stack.enter_context(_open_one(names[0], remote, checked))
                placed = _georeference(contents, dataset, stack, crs)
                return replace(placed, notes=(*placed.notes, *_notes_of_more(names[0], dataset)))
            parts: list[Part] = []
            more: tuple[str, ...] = ()
            overlaps: Sequence[str] = ()
            known = mosaic
            if mosaic is None:
                for name in names:  # one after the other: a process may hold about 1,000 files open
                    with _open_one(name, remote, checked) as dataset:
                        parts.append(describe_part(name, dataset))
                        more = (*more, *_notes_of_more(name, dataset))
                mosaic = mosaic_vrt(ordered(parts, overlap))
            dataset = stack.enter_context(open_dataset(mosaic.document, remote=asked))
            if known is None:
                overlaps = check_overlap(mosaic, overlap)
    except BaseException:
        stack.close()
        raise
    return Source(
        names=tuple(names),
        dataset=dataset,
        transform=dataset.transform,
        crs=crs or dataset.crs,
        notes=(
            f"A mosaic of {len(names)} rasters.",
            *overlaps,
            *more,
            *_crs_notes(dataset.crs, placed=True, wanted=crs),
        ),
        placed=True,
        plain=False,
        closing=stack,
        contents=contents,
        mosaic=mosaic,
    )


def _open_one(name: str, remote: bool, checked: bool) -> rasterio.DatasetReader:
    if not checked:
        check_sources(name, remote=remote)
    try:
        dataset = open_dataset(name, remote=remote or is_remote(name))
    except GDAL_ERRORS as error:
        raise RasterError(_cannot_open(name, deepest(error))) from error
    if dataset.count == 0:
        parts = list(dataset.subdatasets)
        dataset.close()
        if parts:
            shown = ", ".join(parts[:5]) + (" ..." if len(parts) > 5 else "")
            raise RasterError(f"{name} holds several rasters: give one of them by name: {shown}")
        raise RasterError(f"{name} has no bands.")
    if block_bytes(dataset) > MOST_BLOCK_BYTES:
        size = block_bytes(dataset) / 1024**3
        dataset.close()
        raise RasterError(
            f"{name} is stored in blocks of {size:.1f} GB, which must be decoded at once: write it "
            "anew in tiles (gdal_translate -co TILED=YES -co INTERLEAVE=BAND)."
        )
    if not remote and not is_remote(name):
        for domain in ("OVERVIEWS", "GEOLOCATION"):
            for value in dataset.tags(ns=domain).values():
                if is_remote(value):
                    dataset.close()
                    raise RasterError(
                        f"{name} refers to {server_of(value)}: nothing is fetched from the network "
                        f"because a file says so, unless you allow it ({option('allow_remote')})."
                    )
    return dataset


def _notes_of_more(name: str, dataset: rasterio.DatasetReader) -> tuple[str, ...]:
    """What is said where a file that opens as one raster holds others beside it, as pages."""
    parts = list(dataset.subdatasets)
    if len(parts) < 2 or name in parts:
        return ()
    shown = ", ".join(parts[1:4]) + (" ..." if len(parts) > 4 else "")
    note = (
        f"{name} holds {len(parts)} rasters (pages): the first one is used; give another by its "
        f"name: {shown}."
    )
    warn(note)
    return (note,)


def _cannot_open(name: str, reason: str) -> str:
    kind = _NOT_READ.get(Path(name).suffix.lower())
    if kind is not None:
        return (
            f"{name} is a raster in the format {kind}, which needs a library that cannot come with "
            "this engine: convert it to GeoTIFF first, in QGIS (Raster, Conversion, Translate) or "
            "with a gdal_translate that has the driver."
        )
    what = _NO_RASTER.get(Path(name).suffix.lower())
    if what is not None:
        return f"{name} cannot be opened as a raster: it seems to be {what}. Give a GeoTIFF."
    return (
        f"{name} cannot be opened as a raster: {reason.rstrip('.')}. If QGIS shows it, convert it "
        "to GeoTIFF there (Raster, Conversion, Translate); else get a whole copy."
    )


def _georeference(
    contents: Contents,
    dataset: rasterio.DatasetReader,
    stack: ExitStack,
    crs: CRS | None = None,
) -> Source:
    names = contents.names
    points, points_crs = dataset.gcps
    points_crs = crs or points_crs
    placed = not dataset.transform.is_identity
    geolocation = dataset.tags(ns="GEOLOCATION")
    if not placed and points and points_crs:
        return _warped(contents, dataset, stack, points_crs, "GCP")
    if not placed and dataset.rpcs:
        return _warped(contents, dataset, stack, CRS.from_epsg(4326), "RPC")
    if not placed and not points and "X_DATASET" in geolocation:
        found = crs or dataset.crs or _crs_of(geolocation.get("SRS")) or CRS.from_epsg(4326)
        return _warped(contents, dataset, stack, found, "GEOLOC_ARRAY")
    transform = dataset.transform if placed else UNPLACED
    if not placed and points:
        transform, placed = transform_of_points(dataset), True
    notes = _crs_notes(dataset.crs, placed=placed, wanted=crs)
    chosen = (crs or dataset.crs) if placed else None
    if transform.is_degenerate:
        raise RasterError(
            f"{names[0]} has a transform that maps all pixels onto a line ({transform[:6]}): "
            "its georeferencing is damaged."
        )
    return Source(names, dataset, transform, chosen, notes, placed, True, stack, contents)


def _warped(
    contents: Contents, dataset: rasterio.DatasetReader, stack: ExitStack, crs: CRS, by: str
) -> Source:
    warped = stack.enter_context(warp(dataset, crs, by=by))
    label = _label(warped.crs)
    note = {
        "GCP": f"Placed by {len(dataset.gcps[0])} ground control points, warped to {label}.",
        "RPC": f"Placed by its RPCs at their mean height, warped to {label}.",
        "GEOLOC_ARRAY": f"Placed by its geolocation arrays, warped to {label}.",
    }[by]
    return Source(
        contents.names,
        warped,
        warped.transform,
        warped.crs,
        (note,),
        True,
        False,
        stack,
        contents,
    )


def _crs_of(text: str | None) -> CRS | None:
    try:
        return raster_crs(text or None)
    except ParameterError:
        return None


def _crs_notes(crs: CRS | None, *, placed: bool, wanted: CRS | None = None) -> tuple[str, ...]:
    """What there is to say of a raster's CRS, also as a warning."""
    if not placed and (crs or wanted):
        note = (
            f"The raster has a coordinate system ({_label(wanted or crs)}), but nothing says where "
            "in it the raster lies: it is left out, and positions, lengths and areas are in "
            f"{_PIXELS}."
        )
    elif wanted:
        if not crs or same_crs(known_crs(crs), known_crs(wanted)):
            return ()
        note = f"The raster's own coordinate system, {_label(crs)}, gives way to {_label(wanted)}."
    elif crs:
        return ()
    else:
        unit = "the units of its own transform" if placed else _PIXELS
        note = f"The raster has no coordinate system: positions, lengths and areas are in {unit}."
    warn(note)
    return (note,)


_PIXELS = "pixels (y goes up: row 20 is at -20)"


def _label(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.to_string()[:60]
