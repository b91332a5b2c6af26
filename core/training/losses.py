# SPDX-License-Identifier: GPL-2.0-or-later
"""Losses of SAM (Kirillov et al. 2023, appendix A): focal + dice + IoU regression, best of several.

Targets are soft: the share of each stride-4 cell that the object covers. With them, the zero line
of the interpolated logits runs where the object's border does, to a fraction of a cell.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

BORDER = 2.0
"""Weight of the cross-entropy along the border beside the focal and the dice loss."""


class MaskLoss(NamedTuple):
    """Losses of one round.

    Args:
        total: Scalar to minimise.
        single: (n,) real IoU of the mask for unambiguous prompts.
        best: (n,) real IoU of the best candidate.
        predicted: (n, k) predicted IoU.
        real: (n, k) real IoU.
    """

    total: Tensor
    single: Tensor
    best: Tensor
    predicted: Tensor
    real: Tensor


def each_mask(logits: Tensor, target: Tensor) -> Tensor:
    """Focal + dice for each of (n, k, h, w) logits against (n, h, w) soft targets: (n, k).

    The focal term (Lin et al. 2017, for soft targets as in Li et al. 2020) is divided by the
    object's area, so that small objects count as much as large ones.
    """
    logits = logits.float()
    target = target[:, None].expand_as(logits)
    p = torch.sigmoid(logits)
    cross = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    area = target[:, :1].sum((2, 3))
    focal = (cross * (p - target).abs()).sum((2, 3)) / (area + 24)
    overlap = (p * target).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / (p.square().sum((2, 3)) + target.square().sum((2, 3)) + 1)
    return 2 * focal + dice


@torch.no_grad()
def real_iou(logits: Tensor, fine_target: Tensor) -> Tensor:
    """IoU of (n, k, h, w) logits with (n, 2h, 2w) soft targets cut at a half: (n, k)."""
    given = F.interpolate(logits.float(), scale_factor=2.0, mode="bilinear") > 0
    wanted = (fine_target > 0.5)[:, None]
    overlap = (given & wanted).sum((2, 3)).float()
    union = (given | wanted).sum((2, 3)).float()
    return overlap / union.clamp(min=1)


def along_border(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of (n, k, h, w) logits in the cells near the border of (n, h, w) soft
    targets: (n, k).

    The focal term hardly minds a border that is half a cell off; this does.
    """
    widest = F.max_pool2d(target[:, None], 5, 1, 2)
    narrowest = -F.max_pool2d(-target[:, None], 5, 1, 2)
    near = (widest - narrowest > 0.5).float()
    cross = F.binary_cross_entropy_with_logits(
        logits.float(), target[:, None].expand_as(logits), reduction="none"
    )
    return (cross * near).sum((2, 3)) / (near.sum((2, 3)) + 1)


def sharp_loss(logits: Tensor, target2: Tensor, ambiguous: Tensor) -> Tensor:
    """Loss of (n, k, 2h, 2w) mask logits at stride 2 against their (n, 2h, 2w) soft targets."""
    losses = each_mask(logits, target2) + BORDER * along_border(logits, target2)
    best = losses[:, 1:].amin(1)
    return (torch.where(ambiguous, 0.6, 1.0) * losses[:, 0] + best).mean()


def round_loss(
    coarse: Tensor, fine: Tensor, iou_logits: Tensor, target2: Tensor, ambiguous: Tensor
) -> MaskLoss:
    """All losses of one round of prompts.

    Args:
        coarse: (n, k, h/2, w/2) mask logits at stride 8; mask 0 is for unambiguous prompts.
        fine: (n, k, h, w) mask logits at stride 4.
        iou_logits: (n, k).
        target2: (n, 2h, 2w) share of each stride-2 cell covered by the object.
        ambiguous: (n,) bool: one point only, so that the candidates matter most.
    """
    target4 = F.avg_pool2d(target2[:, None], 2)[:, 0]
    target8 = F.avg_pool2d(target4[:, None], 2)[:, 0]
    losses = each_mask(fine, target4)
    rough = each_mask(coarse, target8)
    best = losses[:, 1:].detach().argmin(1, keepdim=True) + 1
    many = torch.where(ambiguous, 1.0, 0.5)
    alone = torch.where(ambiguous, 0.6, 1.0)
    mask_loss = torch.zeros((), device=fine.device)
    for weight, part in ((1.0, losses), (0.4, rough)):
        chosen = part.gather(1, best)[:, 0] + 0.04 * part[:, 1:].mean(1)
        mask_loss = mask_loss + weight * (alone * part[:, 0] + many * chosen).mean()
    real = real_iou(fine, target2)
    judged = F.binary_cross_entropy_with_logits(iou_logits.float(), real)
    return MaskLoss(
        mask_loss + judged,
        real[:, 0],
        real[:, 1:].amax(1),
        torch.sigmoid(iou_logits.detach().float()),
        real,
    )
