# SPDX-License-Identifier: GPL-2.0-or-later
"""Prompts as the embedded network sees them: maps beside the image's features.

Bumps at clicks and distances from a box's border, as in RITM ("Reviving Iterative Training with
Mask Guidance for Interactive Segmentation", Sofiiuk et al. 2021), on the cells of stride 4.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

STRIDE = 4
"""Image pixels along a side of a cell of the finest features with a meaning, and of prompt maps."""

MAPS = 8
"""Prompt maps: see :func:`prompt_maps`."""

CLICK_SIGMA = 4.0
BROAD_SIGMA = 32.0
"""Widths of a click's two bumps, pixels."""


class PromptTensors(NamedTuple):
    """``n`` prompts in pixels, (row, column).

    ``points`` (n, k, 2) with ``labels`` (n, k) of 1, 0 and -1 (padding); ``boxes`` (n, 4) as
    (row0, col0, row1, col1), NaN where there is none; ``masks`` (n, h, w) logits at stride 4 or
    None.
    """

    points: Tensor
    labels: Tensor
    boxes: Tensor
    masks: Tensor | None = None


def bumps(points: Tensor, chosen: Tensor, rows: Tensor, cols: Tensor, sigma: float) -> Tensor:
    """The largest of Gaussian bumps at the chosen points, (n, h, w); 0 where none is chosen."""
    scale = -0.5 / sigma**2
    by_row = torch.exp(scale * (rows - points[..., :1]).square()) * chosen[..., None]
    by_col = torch.exp(scale * (cols - points[..., 1:]).square())
    # One point at a time: (n, k, h, w) at once would be larger than all features together.
    out = by_row[:, 0, :, None] * by_col[:, 0, None, :]
    for k in range(1, points.shape[1]):
        out = torch.maximum(out, by_row[:, k, :, None] * by_col[:, k, None, :])
    return out


def prompt_maps(prompts: PromptTensors, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Prompts drawn on the cells of stride 4.

    Returns:
        (n, 8, h, w) maps: narrow and broad bumps at clicks on the object, the same for clicks on
        the background, inside of the box, distance from the box's border relative to its size
        (1 in the centre, 0 on the border, down to -1 outside), earlier mask, size of the box;
        and (n, 2, h, w) weights: where the object certainly is, and where it is not.
    """
    device = prompts.points.device
    rows = (torch.arange(height, device=device) + 0.5) * STRIDE
    cols = (torch.arange(width, device=device) + 0.5) * STRIDE
    points, labels = prompts.points, prompts.labels
    near_on = bumps(points, (labels == 1).float(), rows, cols, CLICK_SIGMA)
    wide_on = bumps(points, (labels == 1).float(), rows, cols, BROAD_SIGMA)
    near_off = bumps(points, (labels == 0).float(), rows, cols, CLICK_SIGMA)
    wide_off = bumps(points, (labels == 0).float(), rows, cols, BROAD_SIGMA)

    present = torch.isfinite(prompts.boxes[:, 0])
    boxes = torch.nan_to_num(prompts.boxes)
    half_h = ((boxes[:, 2] - boxes[:, 0]) / 2).clamp(min=0.5)
    half_w = ((boxes[:, 3] - boxes[:, 1]) / 2).clamp(min=0.5)
    away_r = (rows - (boxes[:, 0] + half_h)[:, None]).abs()
    away_c = (cols - (boxes[:, 1] + half_w)[:, None]).abs()
    relative = torch.maximum(
        (away_r / half_h[:, None])[:, :, None], (away_c / half_w[:, None])[:, None, :]
    )
    there = present.float()[:, None, None]
    depth = (1 - relative).clamp(-1, 1) * there
    # Share of each cell inside the box, so that a small box is drawn to a fraction of a cell.
    share_r = ((half_h[:, None] - away_r) / STRIDE + 0.5).clamp(0, 1)
    share_c = ((half_w[:, None] - away_c) / STRIDE + 0.5).clamp(0, 1)
    inside = share_r[:, :, None] * share_c[:, None, :] * there
    size = torch.log2(torch.sqrt(half_h * half_w) / 32) / 4
    sizes = (size * present)[:, None, None].expand_as(depth)
    earlier = torch.zeros_like(depth) if prompts.masks is None else torch.tanh(prompts.masks / 4)
    maps = torch.stack([near_on, wide_on, near_off, wide_off, inside, depth, earlier, sizes], dim=1)
    on = near_on + 0.2 * inside * depth.clamp(min=0) + 0.05 * earlier.clamp(min=0)
    ring = ((depth < 0) & (depth > -0.5)).float() * (1 - inside)
    off = near_off + 0.2 * ring
    return maps, torch.stack([on, off], dim=1)
