# SPDX-License-Identifier: GPL-2.0-or-later
"""One prompt per object, from the embedded network's head (``heads.py``), without a prompt."""

from __future__ import annotations

import numpy as np
import torch

from ...types import AnyArray, FloatArray
from .heads import peaks
from .prompt_maps import STRIDE

LEAST_DEPTH = 0.5
"""Depth from which a maximum is a proposal. Held-back training places (102 objects of four places):
with 0.25 nine of ten objects have a proposal whose best mask has an IoU of 0.5, with 0.45 and a
third fewer proposals nearly as many, with 0.55 eight of ten."""

REACH = 3
"""Cells on each side in which a proposal is the deepest place; of small objects fewer."""

SMALL, USUAL = 16.0, 48.0
"""Network pixels: shorter sides of the boxes of the smallest objects, and of those from which on
nothing depends on the size."""

SMALL_DEPTH = 0.6
"""Share of the least depth that the smallest objects must reach.

On what was held back (nine sources, three of them shrunk; 1,340 objects) the share of objects that
is found and of masks that are objects are .704 and .261 with one reach and depth for all sizes,
.712 and .257 with a reach by size, .725 and .235 with 0.8 as well, .745 and .217 with 0.6. Of
objects of less than 15, 25 and 35 px .12, .51 and .77 are found with the first, .34, .66 and .78
with the last. Classes from examples are as good with 0.6 as with 0.8."""

MOST = 1500
"""Proposals of an image of 1024 x 1024 pixels at most; of a larger one as many more. It bounds the
time: towns and fields have 290 to 800. Where it binds, what is proposed depends on the window."""

FAR_SIDE = 64.0
"""Network pixels: objects with a shorter box are not proposed from the image at half its size."""

SAME_PLACE = 6.0
"""Network pixels between a proposal of the whole image and one of the image at half its size below
which they are one."""


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
    away = torch.from_numpy(np.array(sides, np.float32))
    # Random weights say anything, and numbers that are none.
    short = torch.minimum(away[0] + away[2], away[1] + away[3]).nan_to_num(USUAL, USUAL, USUAL)
    # 0 for the smallest objects, 1 for the usual ones.
    size = ((short - SMALL) / (USUAL - SMALL)).clamp(0, 1)
    at, value = peaks(
        likely,
        least * torch.lerp(torch.full_like(size, SMALL_DEPTH), torch.ones_like(size), size),
        most_of(likely.numel() * shrink**2),
        (short * REACH / USUAL).round().clamp(1, REACH),
    )
    rows, cols = at[:, 0].numpy(), at[:, 1].numpy()
    points = (np.stack([rows, cols], axis=1) + 0.5) * STRIDE
    apart = np.asarray(sides[:, rows, cols], np.float64).T
    boxes = np.concatenate([points - apart[:, :2], points + apart[:, 2:]], axis=1)
    return (
        np.asarray(points * shrink, np.float32),
        np.asarray(boxes * shrink, np.float32),
        np.asarray(value.numpy(), np.float32),
    )


def most_of(cells: int) -> int:
    """Proposals at most for an image of so many cells of stride 4."""
    return max(1, MOST * cells * STRIDE**2 // 1024**2)


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
    order = np.argsort(-out[2], kind="stable")
    return out[0][order], out[1][order], out[2][order]
