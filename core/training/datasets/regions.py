# SPDX-License-Identifier: GPL-2.0-or-later
"""Regions of unlabelled photographs that are objects by their looks alone.

Composed scenes have true masks but painted borders; photographs have real borders but no masks. A
graph-based segmentation (Felzenszwalb and Huttenlocher 2004) at several scales proposes regions;
kept are those which come back at another scale (IoU >= 0.8), are compact, and whose border is much
sharper than their inside. What is left is wrong now and then, and a minor part of training.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from skimage.segmentation import felzenszwalb

from ...types import BoolArray, ByteArray, FloatArray
from .crops import Sample
from .opencv import cv2

SCALES = (40.0, 90.0, 200.0, 450.0)


def sharpness(image: ByteArray) -> FloatArray:
    """Length of the colour gradient, (H, W)."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab = cv2.GaussianBlur(lab, (0, 0), 0.8)
    across, down = cv2.Sobel(lab, -1, 1, 0), cv2.Sobel(lab, -1, 0, 1)
    out: FloatArray = np.sqrt((across**2 + down**2).sum(-1))
    return out


def clear_regions(image: ByteArray, smallest: int = 80) -> Iterator[tuple[float, BoolArray]]:
    """Regions that look like objects, with how much sharper their border is than their inside."""
    edges = sharpness(image)
    smooth = cv2.bilateralFilter(image, 5, 25, 3)
    levels = [felzenszwalb(smooth, scale=s, sigma=0.6, min_size=smallest) for s in SCALES]
    largest = 0.15 * edges.size
    kernel = np.ones((3, 3), np.uint8)
    for number, level in enumerate(levels):
        areas = np.bincount(level.ravel())
        other = levels[number + 1] if number + 1 < len(levels) else levels[number - 1]
        other_areas = np.bincount(other.ravel())
        for value in np.flatnonzero((areas >= smallest) & (areas <= largest)):
            mask = level == value
            rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if rows[0] == 0 or cols[0] == 0 or rows[-1] == len(mask) - 1:
                continue
            overlaps = np.bincount(other[mask])
            best = int(overlaps.argmax())
            if overlaps[best] / (areas[value] + other_areas[best] - overlaps[best]) < 0.8:
                continue
            small = mask[rows[0] - 1 : rows[-1] + 2, max(cols[0] - 1, 0) : cols[-1] + 2]
            part = small.astype(np.uint8)
            part = cv2.morphologyEx(part, cv2.MORPH_OPEN, kernel)
            lines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            if not lines:
                continue
            line = max(lines, key=cv2.contourArea)
            area = cv2.contourArea(line)
            if area < 0.8 * areas[value] or area < 0.72 * cv2.contourArea(cv2.convexHull(line)):
                continue
            filled = np.zeros_like(part)
            cv2.drawContours(filled, [line], -1, 1, cv2.FILLED)
            window = edges[rows[0] - 1 : rows[-1] + 2, max(cols[0] - 1, 0) : cols[-1] + 2]
            rim = cv2.morphologyEx(filled, cv2.MORPH_GRADIENT, kernel) > 0
            inside = (cv2.erode(filled, kernel, iterations=2) > 0) & ~rim
            if inside.sum() < 20:
                continue
            # The weakest fifth of the border counts: an object has no gap in its outline.
            ratio = float(np.percentile(window[rim], 35) / (np.median(window[inside]) + 4))
            if ratio > 1.8:
                whole = np.zeros_like(mask)
                whole[rows[0] - 1 : rows[-1] + 2, max(cols[0] - 1, 0) : cols[-1] + 2] = filled > 0
                yield ratio, whole


def region_sample(image: ByteArray, most: int = 60) -> Sample | None:
    """The clearest regions of a photograph, no two of them overlapping much; None for none."""
    labels = np.zeros((1, *image.shape[:2]), np.uint16)
    count = 0
    for _, mask in sorted(clear_regions(image), key=lambda found: -found[0])[:most]:
        if (labels[0][mask] > 0).mean() < 0.1:
            count += 1
            labels[0][mask & (labels[0] == 0)] = count
    return Sample(image, labels) if count else None
