# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics of a set of objects: all of them, one class, or one size range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .objects import Bools, Floats, Matching, Objects, overlaps

THRESHOLDS = np.arange(50, 100, 5) / 100
"""IoU thresholds of COCO's AP."""

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO reads the precision."""


@dataclass(frozen=True)
class Figures:
    """How well one set of objects was found. Shares are 0 to 1; None where nothing defines them.

    Args:
        truth, found, matched: Numbers of objects, and of pairs with IoU > 0.5.
        pq, sq, rq: Panoptic, segmentation and recognition quality.
        recall, precision, f1: At IoU > 0.5.
        mean_iou: Mean over true objects of the IoU with the best found one, 0 where there is none.
        boundary_iou: Mean over the pairs.
        ap, ap50, ap75: Average precision as COCO has it; None without scores.
        duplicates, merges, splits: Counted as :class:`~.objects.Matching` says.
    """

    truth: int
    found: int
    matched: int
    pq: float | None
    sq: float | None
    rq: float | None
    recall: float | None
    precision: float | None
    f1: float | None
    mean_iou: float | None
    boundary_iou: float | None
    ap: float | None
    ap50: float | None
    ap75: float | None
    duplicates: int
    merges: int
    splits: int


def figures(
    found: Objects,
    truth: Objects,
    matching: Matching,
    boundary: Floats,
    *,
    of_found: Bools | None = None,
    of_truth: Bools | None = None,
    precisions: tuple[float, float, float] | None = None,
) -> Figures:
    """Figures of some of the objects.

    A pair belongs to the set that its true object belongs to.

    Args:
        found, truth: All objects.
        matching: Of them.
        boundary: (pairs,) boundary IoU.
        of_found, of_truth: Which belong to the set; None for all.
        precisions: AP, AP at 0.5 and at 0.75, where there are scores.
    """
    mine = truth.counted if of_truth is None else truth.counted & of_truth
    ours = np.ones(len(found), bool) if of_found is None else of_found
    good = mine[matching.truth]
    paired = np.zeros(len(found), bool)
    paired[matching.found] = True
    alone = int(np.count_nonzero(found.counted & ours & ~paired))
    matched, wanted = int(np.count_nonzero(good)), int(np.count_nonzero(mine))
    given = matched + alone
    total = float(matching.iou[good].sum())
    rq = _share(matched, 0.5 * (wanted + given))
    recall, precision = _share(matched, wanted), _share(matched, given)
    counted = found.counted & ours
    return Figures(
        truth=wanted,
        found=given,
        matched=matched,
        pq=_share(total, 0.5 * (wanted + given)),
        sq=_share(total, matched),
        rq=rq,
        recall=recall,
        precision=precision,
        f1=rq,  # matched / (matched + half of the unmatched) is F1
        mean_iou=_share(float(matching.best[mine].sum()), wanted),
        boundary_iou=_share(float(boundary[good].sum()), matched),
        ap=precisions[0] if precisions else None,
        ap50=precisions[1] if precisions else None,
        ap75=precisions[2] if precisions else None,
        duplicates=sum(bool(counted[i] and counted[j]) for i, j in matching.duplicates),
        merges=int(np.count_nonzero(counted[matching.merged])),
        splits=int(np.count_nonzero(mine[matching.split])),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def average_precision(found: Objects, truth: Objects) -> tuple[float, float, float] | None:
    """AP over IoU 0.5 to 0.95, at 0.5 and at 0.75, as COCO computes it (101 recalls).

    Found objects take, by descending score, the free true object with which their IoU is highest.
    What lies outside the area of interest costs nothing, and gains nothing.

    Returns:
        None without scores, or where there is nothing to find.
    """
    count = int(np.count_nonzero(truth.counted))
    if found.scores is None or count == 0:
        return None
    pairs = overlaps(found, truth)
    order = np.lexsort((np.arange(len(found)), -found.scores))
    starts = np.searchsorted(pairs.found, np.arange(len(found) + 1))
    out = []
    for threshold in THRESHOLDS:
        free = np.ones(len(truth), bool)
        right, counts = np.zeros(len(order), bool), np.ones(len(order), bool)
        for place, i in enumerate(order.tolist()):
            part = slice(starts[i], starts[i + 1])
            others, iou = pairs.truth[part], pairs.iou[part]
            open_ = free[others] & (iou >= threshold)
            if open_.any():
                # Those that count before those that do not; then the best.
                which = np.lexsort((others, -iou, ~truth.counted[others], ~open_))[0]
                free[others[which]] = False
                counts[place] = right[place] = truth.counted[others[which]]
            else:
                counts[place] = found.counted[i]
        out.append(_interpolated(right[counts], count))
    return float(np.mean(out)), out[0], out[5]


def _interpolated(right: Bools, count: int) -> float:
    """Mean over 101 recalls of the highest precision at that recall or above."""
    if len(right) == 0:
        return 0.0
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / count, RECALLS, side="left")
    reached = places < len(right)
    return float(np.where(reached, precision[np.minimum(places, len(right) - 1)], 0.0).mean())
