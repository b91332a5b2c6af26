# SPDX-License-Identifier: GPL-2.0-or-later
"""Run-length encoding of masks as in COCO, and masks to polygons and back.

Runs go down the columns, and the first one is of zeros. The compressed text (``maskApi.c`` of
COCO's API) writes each run as its difference from the one two before, five bits a character.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from rasterio.features import rasterize

from ..errors import ParameterError
from ..masks.logits import Steps
from ..types import BoolArray
from ..vectors.contours import contours, joined

Runs = list[int]


def to_runs(mask: BoolArray) -> Runs:
    """Runs of an (h, w) mask."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = [0, *changes.tolist(), len(flat)]
    runs = [b - a for a, b in pairwise(edges)]
    return [0, *runs] if len(flat) and flat[0] else runs


def from_runs(runs: Sequence[int], shape: tuple[int, int]) -> BoolArray:
    """The (h, w) mask of runs.

    Raises:
        ParameterError: They do not fit the shape.
    """
    lengths = np.asarray(runs, np.int64)
    if len(lengths) == 0 or (lengths < 0).any() or lengths.sum() != shape[0] * shape[1]:
        raise ParameterError(
            f"A run-length code of {int(lengths.sum())} pixels does not fit an image of "
            f"{shape[1]} x {shape[0]}: the file is damaged."
        )
    values = np.arange(len(lengths)) % 2 == 1
    out: BoolArray = np.repeat(values, lengths).reshape(shape, order="F")
    return out


def to_text(runs: Sequence[int]) -> str:
    """Runs as COCO's compressed text."""
    letters = []
    for number, run in enumerate(runs):
        value = run - runs[number - 2] if number > 2 else run
        more = True
        while more:
            part = value & 0x1F
            value >>= 5
            more = value != -1 if part & 0x10 else value != 0
            letters.append(chr(part + (0x20 if more else 0) + 48))
    return "".join(letters)


def from_text(text: str) -> Runs:
    """Runs of COCO's compressed text.

    Raises:
        ParameterError: It is no such text.
    """
    runs: Runs = []
    value = shift = 0
    for letter in text:
        part = ord(letter) - 48
        if not 0 <= part < 64:
            raise ParameterError(f"{letter!r} cannot stand in a run-length code of COCO.")
        value |= (part & 0x1F) << shift
        shift += 5
        if part & 0x20:
            continue
        if part & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ParameterError("A run-length code of COCO ends in the middle of a number.")
    return runs


def burnt(shape: Any, size: tuple[int, int]) -> BoolArray:
    """Pixels of an (h, w) image whose centres lie in a shape of (column, row).

    Of a shape so small or narrow that no centre lies in it, the pixels that it touches.
    """
    for touched in (False, True):
        out: BoolArray = rasterize(
            [shape], out_shape=size, dtype=np.uint8, all_touched=touched
        ).astype(bool)
        if out.any():
            break
    return out


def outlined(
    mask: BoolArray, corner: tuple[int, int] = (0, 0), size: tuple[int, int] | None = None
) -> Any:
    """A mask as a polygon of (column, row) whose border runs half-way between the centres.

    Burnt again it gives the same mask; the true border is nowhere further away than half a pixel
    along rows or columns.

    Args:
        mask: (h, w), the image or a window of it. A window has one more row and column around the
            object on all sides where the image goes on.
        corner: (row, column) of the window in the image.
        size: (height, width) of the image; None where ``mask`` is the image.
    """
    size = mask.shape if size is None else size
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return shapely.Polygon()
    top, left = max(0, int(rows[0]) - 1), max(0, int(cols[0]) - 1)
    part = mask[top : int(rows[-1]) + 2, left : int(cols[-1]) + 2]
    # What reaches the image's edge goes straight on beyond it, and is cut there.
    padded = np.pad(np.where(part, 1.0, -1.0).astype(np.float32), 1, mode="edge")
    x, y = np.arange(-1, part.shape[1] + 1) + 0.5, np.arange(-1, part.shape[0] + 1) + 0.5
    shape = joined([contours(Steps(padded), x + left + corner[1], y + top + corner[0])])
    return shapely.intersection(shape, shapely.box(0, 0, size[1], size[0]))
