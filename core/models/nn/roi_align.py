# SPDX-License-Identifier: GPL-2.0-or-later
"""RoIAlign: features of boxes from bilinear samples (He et al. 2017, "Mask R-CNN", section 3).

The same numbers as torchvision's ``roi_align`` with its defaults (``spatial_scale=1``,
``sampling_ratio=-1``, ``aligned=False``), which SAM 3 calls; torchvision itself would bring
another build of torch along.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def roi_align(features: Tensor, boxes: Sequence[Tensor], size: int | tuple[int, int]) -> Tensor:
    """Pool boxes out of feature maps.

    Args:
        features: (B, C, H, W).
        boxes: For each of the B maps (n_i, 4), (x0, y0, x1, y1) in cells of the map.
        size: Bins (h, w) a box, or one number for both.

    Returns:
        (sum n_i, C, h, w), the boxes of the first map first.
    """
    bins = (size, size) if isinstance(size, int) else size
    pooled = [
        _pool(image, box, bins)
        for image, own in zip(features, boxes, strict=True)
        for box in own.tolist()
    ]
    return torch.stack(pooled) if pooled else features.new_zeros(0, features.shape[1], *bins)


def _pool(image: Tensor, box: Sequence[float], bins: tuple[int, int]) -> Tensor:
    """One box: (C, H, W) to (C, *bins)."""
    left, top, right, bottom = box
    rows, row_samples = _samples(top, bottom, bins[0], image)
    cols, col_samples = _samples(left, right, bins[1], image)
    across = _interpolate(image, rows, dim=1)
    both = _interpolate(across, cols, dim=2)
    grid = both.view(len(image), bins[0], row_samples, bins[1], col_samples)
    return grid.mean(dim=(2, 4))


def _samples(start: float, stop: float, bins: int, image: Tensor) -> tuple[Tensor, int]:
    """Positions of all samples along one side, and their number a bin."""
    extent = max(stop - start, 1.0)
    count = math.ceil(extent / bins)
    places = (torch.arange(bins * count, device=image.device, dtype=image.dtype) + 0.5) / count
    return start + places * (extent / bins), count


def _interpolate(image: Tensor, places: Tensor, dim: int) -> Tensor:
    """Linear samples along one dimension; 0 more than a cell outside."""
    length = image.shape[dim]
    outside = (places < -1) | (places > length)
    places = places.clamp(0, length - 1)
    low = places.floor().long()
    high = (low + 1).clamp(max=length - 1)
    shape = [-1, 1] if dim == 1 else [-1]
    weight = (places - low).view(shape)
    found = image.index_select(dim, low) * (1 - weight) + image.index_select(dim, high) * weight
    return found * (~outside).view(shape)
