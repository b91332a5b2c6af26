# SPDX-License-Identifier: GPL-2.0-or-later
"""One prompt per object, from the embedded network's head (``heads.py``), without a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ...types import AnyArray, FloatArray
from .heads import peaks
from .prompt_maps import STRIDE

LEAST_DEPTH = 0.25
"""Depth from which a maximum is a proposal."""

MOST = 900
"""Proposals of an image at most."""

FAR_SIDE = 64.0
"""Network pixels: objects with a shorter box are not proposed from the image at half its size."""

SAME_PLACE = 6.0
"""Network pixels between a proposal of the whole image and one of the image at half its size below
which they are one."""


@dataclass(frozen=True, eq=False)
class Proposals:
    """Places of objects in an image.

    Args:
        points: (n, 2) float32, (row, column) in pixels of the image, deepest first.
        boxes: (n, 4) float32, roughly the objects' boxes, pixels, cut to the image.
        depth: (n,) float32, how deep in its object the place is, 0 to 1.
    """

    points: FloatArray
    boxes: FloatArray
    depth: FloatArray

    def __len__(self) -> int:
        return len(self.points)


def propose(
    depth: AnyArray, sides: AnyArray, *, shrink: int, least: float = LEAST_DEPTH
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Proposals of one pair of maps.

    Args:
        depth: (h, w) logits on cells of stride 4 of the image shrunk by ``shrink``.
        sides: (4, h, w) distances to the box's sides in pixels of that image.
        shrink: As above.
        least: Smallest depth.

    Returns:
        (n, 2) points, (n, 4) boxes in network pixels, and (n,) depths.
    """
    likely = torch.sigmoid(torch.from_numpy(np.array(depth, np.float32)))
    at, value = peaks(likely, least, MOST)
    rows, cols = at[:, 0].numpy(), at[:, 1].numpy()
    points = (np.stack([rows, cols], axis=1) + 0.5) * STRIDE
    away = np.asarray(sides[:, rows, cols], np.float64).T
    boxes = np.concatenate([points - away[:, :2], points + away[:, 2:]], axis=1)
    return (
        np.asarray(points * shrink, np.float32),
        np.asarray(boxes * shrink, np.float32),
        np.asarray(value.numpy(), np.float32),
    )


def joined(
    near: tuple[FloatArray, FloatArray, FloatArray],
    far: tuple[FloatArray, FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The proposals of the whole image and, of large objects, those of it at half its size."""
    points, boxes, _ = far
    large = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) >= FAR_SIDE
    if len(near[0]) and len(points):
        apart = np.hypot(*(points[:, None] - near[0][None]).transpose(2, 0, 1)).min(axis=1)
        large &= apart >= SAME_PLACE
    out = [np.concatenate([one, other[large]]) for one, other in zip(near, far, strict=True)]
    order = np.argsort(-out[2], kind="stable")[:MOST]
    return out[0][order], out[1][order], out[2][order]


def uncovered(covered: NDArray[np.bool_], smallest: int, step: int) -> Iterator[tuple[int, int]]:
    """One place in each uncovered region: its deepest cell; large regions get several.

    Args:
        covered: (h, w).
        smallest: Regions whose deepest cell is nearer than this to a covered one are left out.
        step: Side in cells of the squares into which large regions are cut.

    Yields:
        (row, column) of cells, by place.
    """
    free = np.pad(~covered, 1)
    depth = ndimage.distance_transform_edt(free)[1:-1, 1:-1]
    height, width = covered.shape
    for top in range(0, height, step):
        for left in range(0, width, step):
            part = depth[top : top + step, left : left + step]
            row, col = np.unravel_index(int(part.argmax()), part.shape)
            if part[row, col] >= smallest:
                yield top + int(row), left + int(col)
