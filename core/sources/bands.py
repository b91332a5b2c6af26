# SPDX-License-Identifier: GPL-2.0-or-later
"""The choice of a raster's bands: which are shown as RGB, which are masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NodataShadowWarning
from rasterio.vrt import WarpedVRT

from ..errors import ParameterError, RasterError
from ..notes import silenced
from ..types import AnyArray, BoolArray, ByteArray
from .gdal import GDAL_ERRORS

MaskKind = Literal["none", "nodata", "dataset"]

IMPLAUSIBLE = 1e30
"""Floats beyond this are undeclared fill values, such as -3.4e38."""


LOOK, LOOKS = 64, 6
"""Side of the windows in which an alpha band is looked at, and their number along an axis."""

ALPHA_BETWEEN = 0.5
"""Share of the visible pixels that are neither opaque nor clear from which alpha is a picture."""


@dataclass(frozen=True, eq=False)
class BandPlan:
    """How a raster's bands become values and validity.

    Args:
        colour: One or three band numbers (from 1), in the order red, green, blue.
        alpha: Number of the alpha band, or None.
        mask: Where validity comes from: a nodata value a band, one mask for the dataset, or none.
        palette: (256, 4) uint8 RGBA of a palette band, or None.
        photo: The colour bands are declared red, green and blue, or come from a palette.
        scales: Factor a colour band, from the file.
        offsets: Summand a colour band, after the factor.
        nodata: Colour bands that have a nodata value; the others have data everywhere.
        inverted: 0 is white (a TIFF's MINISWHITE).
        notes: What was decided, in sentences.
    """

    colour: tuple[int, ...]
    alpha: int | None
    mask: MaskKind
    palette: ByteArray | None
    photo: bool
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    nodata: tuple[int, ...] = ()
    inverted: bool = False
    notes: tuple[str, ...] = ()

    @property
    def bands(self) -> int:
        """Number of bands of the values that :func:`read_values` returns."""
        return 3 if self.palette is not None else len(self.colour)


def plan_bands(dataset: rasterio.DatasetReader, requested: Sequence[int] | None) -> BandPlan:
    """Choose bands: those asked for, else by colour interpretation, else the first ones.

    One band is grey; of two, the first is; of three and more, those named red, green and blue in
    whatever order they come, otherwise 1, 2, 3. Alpha never counts as colour.

    Raises:
        ParameterError: The bands asked for do not exist, or are not one or three.
        RasterError: The raster has no band that could be shown.
    """
    interpretation = list(dataset.colorinterp)
    numbers = list(dataset.indexes)
    alpha = next(
        (n for n, c in zip(numbers, interpretation, strict=True) if c == ColorInterp.alpha), None
    )
    named = {c: n for n, c in reversed(list(zip(numbers, interpretation, strict=True)))}
    rgb = tuple(
        named[c] for c in (ColorInterp.red, ColorInterp.green, ColorInterp.blue) if c in named
    )
    if requested is not None:
        colour = tuple(int(number) for number in requested)
        if len(colour) not in (1, 3):
            raise ParameterError(
                f"One band or three are needed for a picture, not {len(colour)}: {colour}."
            )
        missing = [number for number in colour if number not in numbers]
        if missing:
            raise ParameterError(
                f"Band {missing[0]} was asked for, but {dataset.name} has the bands 1 to "
                f"{dataset.count}."
            )
    elif len(rgb) == 3:
        colour = rgb
    else:
        opaque = [number for number in numbers if number != alpha]
        if not opaque:
            raise RasterError(f"{dataset.name} has no band but alpha: there is nothing to see.")
        colour = tuple(opaque[:3]) if len(opaque) >= 3 else (opaque[0],)
    palette = None
    if len(colour) == 1 and interpretation[colour[0] - 1] == ColorInterp.palette:
        palette = _palette(dataset, colour[0])
    all_flags = dataset.mask_flag_enums
    flags = set(all_flags[colour[0] - 1])
    mask: MaskKind = "none"
    nodata = tuple(n for n in dict.fromkeys(colour) if MaskFlags.nodata in all_flags[n - 1])
    if nodata:
        mask = "nodata"
    elif MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
        mask = "dataset"
    alpha = None if alpha in colour else alpha
    notes: tuple[str, ...] = ()
    if alpha is not None and _is_data(dataset, alpha):
        notes = (
            f"Band {alpha} is called alpha, but its values are those of a picture (near infrared?):"
            " it is not taken for a mask.",
        )
        alpha = None
    scales, offsets = dataset.scales, dataset.offsets
    return BandPlan(
        colour=colour,
        alpha=alpha,
        mask=mask,
        palette=palette,
        photo=palette is not None or colour == rgb,
        scales=tuple(float(scales[n - 1]) for n in colour),
        offsets=tuple(float(offsets[n - 1]) for n in colour),
        nodata=nodata,
        inverted=palette is None and is_inverted(dataset),
        notes=notes,
    )


def is_inverted(dataset: rasterio.DatasetReader) -> bool:
    """Whether 0 is white and the largest value black, as in scans of line art."""
    return str(dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE", "")).upper() == "YES"


def _is_data(dataset: rasterio.DatasetReader, alpha: int) -> bool:
    """Whether a band that the file calls alpha holds a picture.

    Alpha is 0 or full in most places; between lie only soft edges. A sample of windows tells.
    """
    name = dataset.dtypes[alpha - 1]
    if not name.startswith("uint") or isinstance(dataset, WarpedVRT):  # or it was made just now
        return False
    kind = np.dtype(name)
    full = {1, 255, np.iinfo(kind).max}
    between = visible = 0
    for row in _starts(dataset.height):
        for col in _starts(dataset.width):
            window = rasterio.windows.Window(
                col, row, min(LOOK, dataset.width - col), min(LOOK, dataset.height - row)
            )
            try:
                values = dataset.read(alpha, window=window)
            except GDAL_ERRORS:
                continue  # reading the pixels there raises the error
            seen = values[values > 0]
            visible += seen.size
            between += int((~np.isin(seen, list(full))).sum())
    return between > ALPHA_BETWEEN * visible


def _starts(size: int) -> list[int]:
    return sorted({round(k * max(0, size - LOOK) / (LOOKS - 1)) for k in range(LOOKS)})


def _palette(dataset: rasterio.DatasetReader, band: int) -> ByteArray | None:
    try:
        entries = dataset.colormap(band)
    except ValueError:  # declared, but not there
        return None
    table = np.zeros((max(256, max(entries) + 1), 4), np.uint8)
    for index, colour in entries.items():
        table[index] = colour
    return table


def read_values(
    dataset: rasterio.DatasetReader, plan: BandPlan, window: rasterio.windows.Window
) -> tuple[AnyArray, BoolArray]:
    """Values of a window of source pixels, before any stretch.

    Args:
        dataset: Open dataset.
        plan: Its bands.
        window: Whole source pixels inside the dataset.

    Returns:
        (b, h, w) values: uint8 where the source is a picture of bytes, float32 where that is
        exact, else float64; magnitudes of complex values; scale and offset applied. And (b, h, w)
        bool: that band has data there.

    Raises:
        rasterio.errors.RasterioIOError: A block cannot be read.
    """
    raw = dataset.read(list(plan.colour), window=window)
    if plan.mask == "nodata":
        # Beside an alpha band: both are looked at, see below.
        with silenced(NodataShadowWarning):
            valid = np.ones(raw.shape, bool)
            for number, band in enumerate(plan.colour):
                if band in plan.nodata:
                    valid[number] = dataset.read_masks(band, window=window) > 0
    elif plan.mask == "dataset":
        one = dataset.read_masks(plan.colour[0], window=window) > 0
        valid = np.repeat(one[None], len(plan.colour), axis=0)
    else:
        valid = np.ones(raw.shape, bool)
    if plan.alpha is not None:
        # The band itself, not GDAL's mask of it: an alpha of 1 or 255 in uint16 is rounded away.
        valid &= np.real(dataset.read(plan.alpha, window=window)) > 0
    if plan.palette is not None:
        index = np.clip(raw[0], 0, len(plan.palette) - 1).astype(np.int64)
        rgba = plan.palette[index]
        opaque = valid[0] & (rgba[..., 3] > 0)
        return np.moveaxis(rgba[..., :3], -1, 0), np.repeat(opaque[None], 3, axis=0)
    if plan.inverted and raw.dtype.kind == "u":
        raw = np.iinfo(raw.dtype).max - raw
    if np.iscomplexobj(raw):
        raw = np.abs(raw)
    if raw.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            valid &= np.abs(raw) < IMPLAUSIBLE  # NaN and infinity fail this as well
    plain = all(s == 1.0 for s in plan.scales) and all(o == 0.0 for o in plan.offsets)
    if raw.dtype == np.uint8 and plain:
        return raw, valid
    exact = raw.dtype in (np.uint8, np.int8, np.uint16, np.int16, np.float32)
    values = raw.astype(np.float32 if exact else np.float64)
    if not plain:
        values = values.astype(np.float64)
        values *= np.array(plan.scales)[:, None, None]
        values += np.array(plan.offsets)[:, None, None]
    return values, valid
