# SPDX-License-Identifier: GPL-2.0-or-later
"""Which blocks of a sparse GeoTIFF were written, read from its directory.

GDAL tells this one block at a time. A raster of 1,000,000 x 1,000,000 pixels has millions of them,
and a file of a few megabytes.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..types import BoolArray

MOST = 1 << 27
"""Blocks of a file that are looked at; more are left to GDAL."""

_WIDTH, _LENGTH, _SAMPLES, _PLANAR = 256, 257, 277, 284
_ROWS, _STRIP_COUNTS, _TILE_WIDTH, _TILE_LENGTH, _TILE_COUNTS = 278, 279, 322, 323, 325
_TYPES = {3: "u2", 4: "u4", 16: "u8"}


def written_blocks(path: str | Path, band: int) -> BoolArray | None:
    """Whether each block of a band is in the file.

    Args:
        path: A TIFF on this machine; its first directory is looked at.
        band: From 1.

    Returns:
        (rows, columns) of blocks; None where the directory cannot be understood.
    """
    try:
        with Path(path).open("rb") as file:
            return _written(file, band)
    except (OSError, struct.error, ValueError, KeyError, OverflowError):
        return None


def _written(file: BinaryIO, band: int) -> BoolArray | None:
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}[head[:2]]
    (version,) = struct.unpack_from(order + "H", head, 2)
    if version == 42:
        (offset,) = struct.unpack_from(order + "I", head, 4)
        count_type, entry, inline = "H", "HHI", 4
    elif version == 43:
        (offset,) = struct.unpack_from(order + "Q", head, 8)
        count_type, entry, inline = "Q", "HHQ", 8
    else:
        return None
    file.seek(offset)
    (entries,) = struct.unpack(order + count_type, file.read(struct.calcsize(order + count_type)))
    size = struct.calcsize(order + entry) + inline
    directory = file.read(size * min(entries, 4096))
    fields: dict[int, tuple[int, int, bytes]] = {}
    for start in range(0, len(directory) - size + 1, size):
        tag, kind, count = struct.unpack_from(order + entry, directory, start)
        fields[tag] = kind, count, directory[start + size - inline : start + size]

    def values(tag: int) -> NDArray[np.uint64]:
        kind, count, raw = fields[tag]
        dtype = np.dtype(order + _TYPES[kind])
        if count > MOST:
            raise ValueError("too many blocks")
        length = count * dtype.itemsize
        if length > inline:
            (at,) = struct.unpack(order + ("I" if inline == 4 else "Q"), raw)
            file.seek(at)
            raw = file.read(length)
        return np.frombuffer(raw[:length], dtype).astype(np.uint64)

    def number(tag: int, default: int) -> int:
        return int(values(tag)[0]) if tag in fields else default

    width, length = number(_WIDTH, 0), number(_LENGTH, 0)
    if _TILE_COUNTS in fields or _TILE_WIDTH in fields:
        wide, high = number(_TILE_WIDTH, 0), number(_TILE_LENGTH, 0)
        counts = values(_TILE_COUNTS)
    else:
        wide, high = width, min(number(_ROWS, length), length)
        counts = values(_STRIP_COUNTS)
    if min(width, length, wide, high) < 1:
        return None
    rows, cols = -(-length // high), -(-width // wide)
    planes = number(_SAMPLES, 1) if number(_PLANAR, 1) == 2 else 1
    if len(counts) != rows * cols * planes:
        return None
    plane = band - 1 if planes > 1 else 0
    written: BoolArray = (counts > 0).reshape(planes, rows, cols)[plane]
    return written
