# SPDX-License-Identifier: GPL-2.0-or-later
"""Metrics of masks against the truth, and of artefacts along tile seams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..merge.nodes import box_overlaps, overlap
from ..tiles.grid import Grid
from .scenes import Thing


@dataclass(frozen=True)
class Score:
    """Panoptic quality and what went wrong.

    Args:
        objects: Predicted objects.
        matched: Pairs of IoU > 0.5 (each object is in one at most: Kirillov et al. 2019, PQ).
        pq: Sum of the pairs' IoU over (matched + half of the unmatched of both sides).
        exact: Pairs of IoU 1.
        merges: Predicted objects that hold more than half of two or more true ones, those not
            counted that lie within another of them.
        splits: True objects in which two or more predicted ones lie that cover a tenth or more,
            one of them at least without being a true object.
        duplicates: Pairs of predicted objects with IoU > 0.5.
    """

    objects: int
    matched: int
    pq: float
    exact: int
    merges: int
    splits: int
    duplicates: int


def _pairs(a: Sequence[Thing], b: Sequence[Thing], chunk: int = 256):
    """All overlapping pairs (i, j, common cells)."""
    box_a = np.array([(t.box.row0, t.box.col0, t.box.row1, t.box.col1) for t in a], np.int32)
    box_b = np.array([(t.box.row0, t.box.col0, t.box.row1, t.box.col1) for t in b], np.int32)
    box_a, box_b = box_a.reshape(-1, 4), box_b.reshape(-1, 4)
    for start in range(0, len(a), chunk):
        first, second = np.nonzero(box_overlaps(box_a[start : start + chunk], box_b))
        for i, j in zip((first + start).tolist(), second.tolist(), strict=True):
            common = overlap(a[i].mask, box_a[i].tolist(), b[j].mask, box_b[j].tolist())
            if common:
                yield i, j, common


def evaluate(found: Sequence[Thing], truth: Sequence[Thing]) -> Score:
    """Compare predicted masks with the true ones."""
    area_found = np.array([np.count_nonzero(t.mask) for t in found], float)
    area_truth = np.array([np.count_nonzero(t.mask) for t in truth], float)
    best: list[tuple[float, int, int]] = []
    holds: defaultdict[int, list[int]] = defaultdict(list)
    pieces: defaultdict[int, list[int]] = defaultdict(list)
    for i, j, common in _pairs(found, truth):
        iou = common / (area_found[i] + area_truth[j] - common)
        if iou > 0.5:
            best.append((iou, i, j))
        if common > 0.5 * area_truth[j]:
            holds[i].append(j)
        if common > 0.5 * area_found[i] and common > 0.1 * area_truth[j]:
            pieces[j].append(i)
    best.sort(key=lambda item: (-item[0], item[1], item[2]))
    used_found: set[int] = set()
    used_truth: set[int] = set()
    total, exact = 0.0, 0
    for iou, i, j in best:
        if i not in used_found and j not in used_truth:
            used_found.add(i)
            used_truth.add(j)
            total += iou
            exact += iou == 1.0
    matched = len(used_found)
    within: defaultdict[int, set[int]] = defaultdict(set)
    for i, j, common in _pairs(truth, truth):
        if i != j and common > 0.9 * area_truth[i] and area_truth[j] >= area_truth[i]:
            within[i].add(j)
    merges = sum(sum(not within[j].intersection(held) for j in held) > 1 for held in holds.values())
    splits = sum(
        any(i not in used_found for i in parts) and len(parts) > 1 for parts in pieces.values()
    )
    duplicates = sum(
        i < j and common > 0.5 * (area_found[i] + area_found[j] - common)
        for i, j, common in _pairs(found, found)
    )
    denominator = matched + 0.5 * (len(found) - matched) + 0.5 * (len(truth) - matched)
    return Score(
        len(found), matched, total / max(1.0, denominator), exact, merges, splits, duplicates
    )


def edge_lengths(found: Sequence[Thing], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Cell sides between inside and outside of any object, by row and by column of the lattice.

    Returns:
        (h + 1,) and (w + 1,): sides that lie on the line above row i, left of column j.
    """
    rows, cols = np.zeros(shape[0] + 1), np.zeros(shape[1] + 1)
    for thing in found:
        padded = np.pad(thing.mask, 1)
        rows[thing.box.row0 : thing.box.row1 + 1] += np.count_nonzero(
            padded[1:, 1:-1] != padded[:-1, 1:-1], axis=1
        )
        cols[thing.box.col0 : thing.box.col1 + 1] += np.count_nonzero(
            padded[1:-1, 1:] != padded[1:-1, :-1], axis=0
        )
    rows[[0, -1]] = cols[[0, -1]] = 0  # the raster's own edge
    return rows, cols


SEAMS = "seams"
CUTS = "cuts"


def tile_lines(length: int, grid: Grid, kind: str) -> np.ndarray:
    """Where tiles could show along one axis, cells: the lines of cores and windows (``SEAMS``), or
    those of trusted windows, where masks without a partner end (``CUTS``)."""
    core, margin, trust = (n // grid.cell for n in (grid.core, grid.margin, grid.trust))
    cores = np.arange(core, length, core)
    steps = [0, margin, -margin] if kind == SEAMS else [margin - trust, trust - margin]
    lines = np.unique((cores[:, None] + np.array(steps)).ravel())
    return lines[(lines > 0) & (lines < length)]


def seam_excess(
    found: Sequence[Thing],
    shape: tuple[int, int],
    grid: Grid,
    kind: str = SEAMS,
    offsets: int = 20,
    seed: int = 1,
) -> float:
    """Edge length on the tiles' lines over its mean on the same lines moved at random.

    1 where the tiles leave no trace. Offsets that bring lines onto lines again are not drawn.
    """
    rng = np.random.default_rng(seed)
    lengths = edge_lengths(found, shape)
    patterns = [tile_lines(n, grid, kind) for n in shape]
    on = sum(float(length[lines].sum()) for length, lines in zip(lengths, patterns, strict=True))
    moved = []
    for _ in range(offsets):
        total = 0.0
        for length, lines in zip(lengths, patterns, strict=True):
            span = grid.core // grid.cell
            own = set((lines % span).tolist())
            shift = int(rng.integers(1, span))
            while own & {(line + shift) % span for line in own}:
                shift = int(rng.integers(1, span))
            inner = len(length) - 2
            total += float(length[1 + (lines - 1 + shift) % inner].sum())
        moved.append(total)
    return on / max(1.0, float(np.mean(moved)))
