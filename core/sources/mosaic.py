# SPDX-License-Identifier: GPL-2.0-or-later
"""Several rasters of one grid as a mosaic: a GDAL virtual raster without copied pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import MaskFlags

from ..earth.crs import known_crs
from ..earth.longitude import turn_of, turns_of_neighbours
from ..errors import RasterError
from .bands import is_inverted

ALIGNMENT = 0.25
"""Pixels by which a source may miss the mosaic's grid; it is then placed on the nearest pixel."""

GDAL_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "uint64": "UInt64",
    "int64": "Int64",
    "float32": "Float32",
    "float64": "Float64",
    "complex_int16": "CInt16",
    "complex64": "CFloat32",
    "complex128": "CFloat64",
}


@dataclass(frozen=True)
class Part:
    """What of a source the mosaic needs to know."""

    name: str
    width: int
    height: int
    transform: Affine
    crs: CRS | None
    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    nodata: tuple[float | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    palette: tuple[tuple[int, tuple[int, ...]], ...] | None
    masked: bool
    block: tuple[int, int]
    inverted: bool
    tags: tuple[tuple[str, str], ...]


def describe_part(name: str, dataset: rasterio.DatasetReader) -> Part:
    """What of an open source the mosaic needs to know, so that it can be closed again."""
    palette = None
    if dataset.colorinterp[0].name == "palette":
        palette = tuple(sorted(dataset.colormap(1).items()))
    flags = set(dataset.mask_flag_enums[0])
    return Part(
        name=name,
        width=dataset.width,
        height=dataset.height,
        transform=dataset.transform,
        crs=dataset.crs,
        dtypes=tuple(dataset.dtypes),
        colours=tuple(c.name for c in dataset.colorinterp),
        nodata=tuple(dataset.nodatavals),
        scales=tuple(dataset.scales),
        offsets=tuple(dataset.offsets),
        palette=palette,
        masked=MaskFlags.nodata not in flags,
        block=tuple(dataset.block_shapes[0]),
        inverted=is_inverted(dataset),
        tags=tuple(sorted({**dataset.tags(), **dataset.tags(ns="IMAGERY")}.items())),
    )


@dataclass(frozen=True)
class Mosaic:
    """A mosaic as GDAL opens it.

    Args:
        document: The virtual raster as XML.
        parts: Its sources, from the lowest to the one on top.
        places: Column and row of each one's first pixel.
    """

    document: str
    parts: tuple[Part, ...]
    places: tuple[tuple[int, int], ...]


def mosaic_vrt(parts: Sequence[Part]) -> Mosaic:
    """The virtual raster over several sources, as XML that ``rasterio.open`` takes for a name.

    Where sources overlap, the later one is on top, except where it has no data. Places without a
    source have no data.

    Args:
        parts: Of :func:`describe_part`, at least one.

    Raises:
        RasterError: The sources differ in CRS, bands, data type, nodata, palette or pixel size,
            are offset by more than :data:`ALIGNMENT` pixels, or have no georeferencing.
    """
    parts = list(parts)
    first = parts[0]
    for part in parts[1:]:
        _check_alike(first, part)
    if any(part.transform.is_identity for part in parts):
        unplaced = next(part for part in parts if part.transform.is_identity)
        raise RasterError(
            f"{unplaced.name} has no georeferencing, so that it cannot be placed in a mosaic: "
            "process it on its own."
        )
    parts = _as_neighbours(parts)
    first = parts[0]
    placed = [_place(first, part) for part in parts]
    col0, row0 = min(c for c, _ in placed), min(r for _, r in placed)
    width = max(c + p.width for (c, _), p in zip(placed, parts, strict=True)) - col0
    height = max(r + p.height for (_, r), p in zip(placed, parts, strict=True)) - row0
    if max(width, height) >= 2**31:
        raise RasterError(
            f"The sources lie too far apart for one mosaic ({width} x {height} pixels)."
        )
    transform = first.transform @ Affine.translation(col0, row0)
    vrt = Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    if first.crs:
        SubElement(vrt, "SRS", dataAxisToSRSAxisMapping="1,2").text = first.crs.to_wkt()
    if first.inverted:
        domain = SubElement(vrt, "Metadata", domain="IMAGE_STRUCTURE")
        SubElement(domain, "MDI", key="MINISWHITE").text = "YES"
    SubElement(vrt, "GeoTransform").text = ", ".join(repr(v) for v in transform.to_gdal())
    shifted = [(c - col0, r - row0) for c, r in placed]
    for band in range(1, len(first.dtypes) + 1):
        _add_band(vrt, band, parts, shifted)
    if first.masked and "alpha" not in first.colours:
        mask = SubElement(SubElement(vrt, "MaskBand"), "VRTRasterBand", dataType="Byte")
        for part, place in zip(parts, shifted, strict=True):
            _add_source(mask, "mask,1", part, place)
    return Mosaic(tostring(vrt, encoding="unicode"), tuple(parts), tuple(shifted))


def _as_neighbours(parts: list[Part]) -> list[Part]:
    """The parts, moved by whole turns of longitude where that brings them together.

    Tiles at 179 and at -179 degrees are two degrees apart, not 358.
    """
    turn = turn_of(known_crs(parts[0].crs))
    if turn is None:
        return parts
    spans = []
    for part in parts:
        corners = [(0, 0), (part.width, 0), (0, part.height), (part.width, part.height)]
        xs = [(part.transform @ corner)[0] for corner in corners]
        spans.append((min(xs), max(xs)))
    turns = turns_of_neighbours(spans, turn)
    return [
        replace(part, transform=Affine.translation(number * turn, 0.0) @ part.transform)
        if number
        else part
        for part, number in zip(parts, turns, strict=True)
    ]


def _check_alike(first: Part, part: Part) -> None:
    def number(value: float | None) -> str:
        return "none" if value is None else repr(float(value))  # NaN equals itself as text

    for what, one, other in (
        ("coordinate systems", first.crs, part.crs),
        ("numbers of bands", len(first.dtypes), len(part.dtypes)),
        ("data types", first.dtypes, part.dtypes),
        ("band meanings", first.colours, part.colours),
        ("nodata values", [*map(number, first.nodata)], [*map(number, part.nodata)]),
        ("scales", first.scales, part.scales),
        ("offsets", first.offsets, part.offsets),
        ("palettes", first.palette, part.palette),
        ("meanings of 0 (black or white)", first.inverted, part.inverted),
    ):
        if one != other:
            detail = "" if what == "palettes" else f" ({one} and {other})"
            raise RasterError(
                f"{first.name} and {part.name} have different {what}{detail} and make no mosaic: "
                "bring them to one grid first (gdalwarp, gdal_translate) or process them one by "
                "one."
            )


def _place(first: Part, part: Part) -> tuple[int, int]:
    """Column and row of a source's first pixel on the first source's grid."""
    to_grid = ~first.transform @ part.transform
    corners = [(0, 0), (part.width, 0), (0, part.height), (part.width, part.height)]
    at = [to_grid @ corner for corner in corners]
    # The middle is placed best, so that a slightly different pixel size errs on all sides alike.
    middle = to_grid @ (part.width / 2, part.height / 2)
    col, row = round(middle[0] - part.width / 2), round(middle[1] - part.height / 2)
    error = max(
        math.hypot(x - (col + c), y - (row + r)) for (x, y), (c, r) in zip(at, corners, strict=True)
    )
    if error > ALIGNMENT:
        raise RasterError(
            f"{part.name} does not lie on the pixel grid of {first.name}: it is off by "
            f"{error:.2f} pixels. Bring them to one grid first (gdalwarp -tap -tr) or process "
            "them one by one."
        )
    return col, row


def _add_band(
    vrt: Element, band: int, parts: Sequence[Part], places: Sequence[tuple[int, int]]
) -> None:
    first = parts[0]
    index = band - 1
    name = first.dtypes[index]
    if name not in GDAL_TYPES:
        raise RasterError(f"{first.name} has the data type {name}, which no mosaic can hold.")
    node = SubElement(vrt, "VRTRasterBand", dataType=GDAL_TYPES[name], band=str(band))
    nodata = first.nodata[index]
    if nodata is not None:
        SubElement(node, "NoDataValue").text = repr(float(nodata))
    SubElement(node, "ColorInterp").text = first.colours[index].capitalize()
    SubElement(node, "Scale").text = repr(first.scales[index])
    SubElement(node, "Offset").text = repr(first.offsets[index])
    if band == 1 and first.palette is not None:
        table = SubElement(node, "ColorTable")
        for _, colour in first.palette:
            SubElement(
                table, "Entry", {f"c{i}": str(value) for i, value in enumerate(colour, start=1)}
            )
    for part, place in zip(parts, places, strict=True):
        _add_source(node, str(band), part, place, nodata=nodata)


def _add_source(
    node: Element,
    band: str,
    part: Part,
    place: tuple[int, int],
    *,
    nodata: float | None = None,
) -> None:
    masks = band.startswith("mask")
    source = SubElement(node, "ComplexSource")
    name = part.name if "://" in part.name else _absolute(part.name)
    SubElement(source, "SourceFilename", relativeToVRT="0").text = name
    SubElement(source, "SourceBand").text = band
    width, height = str(part.width), str(part.height)
    # With its properties known, GDAL opens a source when it reads it, and not all at once.
    SubElement(
        source,
        "SourceProperties",
        RasterXSize=width,
        RasterYSize=height,
        DataType="Byte" if masks else GDAL_TYPES[part.dtypes[int(band) - 1]],
        BlockXSize=str(part.block[1]),
        BlockYSize=str(part.block[0]),
    )
    SubElement(source, "SrcRect", xOff="0", yOff="0", xSize=width, ySize=height)
    col, row = str(place[0]), str(place[1])
    SubElement(source, "DstRect", xOff=col, yOff=row, xSize=width, ySize=height)
    if masks:
        # Zeros of a mask leave alone what lies below, as the pixels of that source do.
        SubElement(source, "NODATA").text = "0"
    elif nodata is not None:
        SubElement(source, "NODATA").text = repr(float(nodata))
    elif part.masked:
        SubElement(source, "UseMaskBand").text = "true"


def _absolute(name: str) -> str:
    path = Path(name)
    return str(path.resolve()) if path.exists() else name
