# SPDX-License-Identifier: GPL-2.0-or-later
"""Composed scenes: endless overhead images whose every object is known.

A scene is painted from below: parcels that share their borders, roads, ponds and lawns, then
houses with gable, hip or flat roofs, their shadows, cars, and trees over all. What fills them are
patches of real photographs (:class:`Textures`), recoloured, so that inside and outside of an
object differ as in nature: sometimes strongly, sometimes by texture alone. A scene ends as a
photograph does: blurred, noisy, hazy, JPEG.

Labels come in two layers, because "the thing here" has more than one right answer: layer 0 whole
objects, layer 1 their parts (roof faces, things standing on something).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from skimage.measure import label as connected

from ...models.embedded.classes import bits
from ...types import AnyArray, BoolArray, ByteArray, FloatArray
from .canvas import Canvas, Textures, smooth_noise
from .crops import Sample
from .opencv import cv2
from .shapes import blob, footprint, turned

BUILDING, ROAD, TREES = bits("building"), bits("road"), bits("trees")
OPEN_GROUND = bits("water", "trees", "field", "bare ground", "other")
"""Parcels and blobs of any texture."""


def parcels(canvas: Canvas, cell: float) -> None:
    """Fields or blocks of about ``cell`` pixels that share borders, some with paths between."""
    rng, size = canvas.rng, canvas.size
    angle = rng.uniform(0, np.pi)
    axes = turned(np.eye(2), angle, np.zeros(2))
    yy, xx = np.mgrid[0:size, 0:size].astype(np.float32) - size / 2
    warp = rng.uniform(0, 0.15) * cell
    u = xx * axes[0, 0] + yy * axes[0, 1] + warp * smooth_noise(rng, (size, size), 2.5 * cell)
    v = xx * axes[1, 0] + yy * axes[1, 1] + warp * smooth_noise(rng, (size, size), 2.5 * cell)
    ids = np.zeros((size, size), np.int32)
    if rng.random() < 0.65:
        _split(ids, u, v, np.ones((size, size), bool), cell, rng)
    else:
        count = max(4, int((1.5 * size / cell) ** 2))
        seeds = rng.uniform(-0.75 * size, 0.75 * size, (count, 2))
        aspect = rng.uniform(1, 2.5)
        tree = cKDTree(seeds * (1, aspect))
        points = np.stack([u.ravel(), v.ravel() * aspect], axis=1)
        ids = (tree.query(points)[1] + 1).reshape(size, size).astype(np.int32)
    gap = float(rng.choice([0, 0, 1, 2, 4])) * rng.uniform(0.5, 1.5)
    similar = rng.random() < 0.35
    family = canvas.textures.colour()
    spread = rng.uniform(8, 40)
    lines = rng.random() < 0.4
    window = (slice(0, size), slice(0, size))
    for value in np.unique(ids)[1:] if ids.min() == 0 else np.unique(ids):
        inside = (ids == value).astype(np.uint8)
        if gap > 0.4:
            padded = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
            distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
            alpha = np.clip(distance - gap / 2, 0, 1)
        else:
            alpha = inside.astype(np.float32)
        if alpha.sum() < 12 or rng.random() < 0.06:
            continue
        rows, cols = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
        window = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        alpha = np.ascontiguousarray(alpha[window], np.float32)
        paint = canvas.filling(window, contrast=float(rng.beta(1, 4)))
        if similar:
            paint += family + rng.normal(0, spread, 3) - paint.mean((0, 1))
        height, width = alpha.shape
        if rng.random() < 0.5:
            drift = smooth_noise(rng, (height, width), rng.uniform(0.4, 1.5) * cell)
            paint *= 1 + rng.uniform(0.03, 0.15) * drift[..., None]
        if lines and rng.random() < 0.7:
            turn = angle + rng.choice([0, np.pi / 2])
            rr, cc = np.mgrid[0:height, 0:width]
            wave = np.sin((cc * np.cos(turn) + rr * np.sin(turn)) * 2 * np.pi / rng.uniform(2.5, 9))
            paint *= 1 + rng.uniform(0.02, 0.12) * wave[..., None]
        canvas.paint(window, alpha, paint, classes=OPEN_GROUND)


def _split(
    ids: NDArray[np.int32],
    u: FloatArray,
    v: FloatArray,
    inside: BoolArray,
    cell: float,
    rng: np.random.Generator,
) -> None:
    """Halve a piece across its longer side until pieces are about ``cell`` pixels, in place."""
    if not inside.any():
        return
    us, vs = u[inside], v[inside]
    span_u, span_v = np.ptp(us), np.ptp(vs)
    if max(span_u, span_v) < cell * rng.uniform(0.6, 2.2):
        ids[inside] = ids.max() + 1
        return
    values, span = (u, span_u) if span_u > span_v * rng.uniform(0.6, 1.6) else (v, span_v)
    cut = float(values[inside].min() + span * rng.uniform(0.3, 0.7))
    _split(ids, u, v, inside & (values < cut), cell, rng)
    _split(ids, u, v, inside & (values >= cut), cell, rng)


def road(canvas: Canvas, width: float, label: bool) -> None:
    """A road across the scene, sometimes with a centre line."""
    rng, size = canvas.rng, canvas.size
    turn = rng.uniform(0, np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-along[1], along[0]])
    t = np.linspace(-0.8, 0.8, 40)
    bend = rng.normal(0, 0.12) * t**2 + rng.normal(0, 0.02) * np.sin(6 * t)
    middle = rng.uniform(0.1, 0.9, 2) * size
    line = middle + size * (t[:, None] * along + bend[:, None] * across)
    polygon = np.concatenate([line + across * width / 2, line[::-1] - across * width / 2])
    found = canvas.cover(polygon)
    if found is None:
        return
    window, alpha = found
    before = canvas.labels[0].copy()
    canvas.paint(
        window, alpha, canvas.filling(window, contrast=float(rng.beta(1, 5))), classes=ROAD
    )
    if not label:
        canvas.labels[0][canvas.labels[0] == canvas.count] = 0
        canvas.labels[0][(before > 0) & (canvas.labels[0] == 0)] = 0
    if rng.random() < 0.3 and width > 6:
        points = np.round(line * 16).astype(np.int32)
        bright = canvas.image.copy()
        cv2.polylines(bright, [points], False, (230, 230, 220), 1, cv2.LINE_AA, 4)
        canvas.image = bright


@dataclass(frozen=True)
class Sun:
    """Direction towards which shadows fall, unit (x, y), and how dark they are."""

    direction: AnyArray
    factor: float


def house(canvas: Canvas, polygon: AnyArray, angle: float, sun: Sun, height: float) -> None:
    """A building with its shadow, its roof's faces and sometimes things on the roof."""
    rng = canvas.rng
    if height > 0.5:
        steps = polygon[None] + np.linspace(0, height, 6)[:, None, None] * sun.direction
        hull = cv2.convexHull(steps.reshape(-1, 2).astype(np.float32))[:, 0]
        found = canvas.cover(hull)
        if found is not None:
            canvas.darken(*found, sun.factor)
    found = canvas.cover(polygon)
    if found is None:
        return
    window, alpha = found
    paint: AnyArray = canvas.filling(window, contrast=float(rng.beta(1, 4)))
    centre = polygon.mean(0)
    local = turned(polygon - centre, -angle, np.zeros(2))
    low, high = local.min(0), local.max(0)
    rows, cols = np.mgrid[window[0], window[1]]
    here = np.stack([cols + 0.5, rows + 0.5], axis=-1) - centre
    x = here @ (np.cos(angle), np.sin(angle)) - (low[0] + high[0]) / 2
    y = here @ (-np.sin(angle), np.cos(angle)) - (low[1] + high[1]) / 2
    half_x, half_y = (high - low) / 2
    roof = rng.random()
    faces = np.zeros(alpha.shape, np.int32)
    if roof < 0.35:
        faces = (y > rng.normal(0, 0.1) * half_y).astype(np.int32)
    elif roof < 0.5:
        ends = np.abs(x) - (half_x - half_y)
        sides = np.abs(y)
        faces = np.where(ends > sides, np.where(x > 0, 2, 3), (y > 0).astype(np.int32))
    shade = rng.normal(0, 0.13, 4)
    paint = paint * (1 + shade[faces])[..., None]
    if rng.random() < 0.3:
        wave = np.sin((x if rng.random() < 0.5 else y) * 2 * np.pi / rng.uniform(2.5, 8))
        paint = paint * (1 + rng.uniform(0.02, 0.12) * wave)[..., None]
    if rng.random() < 0.3:
        rim = cv2.erode((alpha > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
        paint[rim] += rng.normal(0, 35)
    canvas.paint(window, alpha, paint, classes=BUILDING)
    canvas.image[window] = np.clip(canvas.image[window], 0, 255)
    inside = alpha > 0.5
    if roof < 0.5 and inside.any() and np.ptp(faces[inside]) > 0:
        for face in np.unique(faces):
            piece = inside & (faces == face)
            if piece.sum() > 40:
                canvas.count += 1
                canvas.labels[1][window][piece] = canvas.count
    if rng.random() < 0.35 and min(half_x, half_y) > 8:
        for _ in range(int(rng.integers(1, 5))):
            spot = centre + turned(
                rng.uniform(-0.6, 0.6, (1, 2)) * (half_x, half_y), angle, np.zeros(2)
            )
            side = rng.uniform(1.5, 0.35 * min(half_x, half_y))
            small = turned(footprint(rng, side * 2, side * 1.4), angle, spot)
            shadow = canvas.cover(small + sun.direction * side * 0.6)
            there = canvas.cover(small)
            if shadow is not None and there is not None:
                canvas.darken(*shadow, sun.factor)
                canvas.paint(*there, canvas.filling(there[0], 0.1), part=True)


def town(canvas: Canvas, sun: Sun) -> None:
    """Houses along one or two directions, apart or wall to wall."""
    rng, size = canvas.rng, canvas.size
    scale = float(np.exp(rng.uniform(np.log(10), np.log(75))))
    dense = rng.random()
    count = int(np.clip(dense * 0.9 * (size / (1.6 * scale)) ** 2, 2, 160))
    grid_angle = rng.uniform(0, np.pi)
    tall = rng.uniform(0, 0.4) * scale
    taken = np.zeros((size, size), np.uint8)
    rows_of_houses = rng.random() < 0.4
    spacing = scale * rng.uniform(1.0, 1.5)
    for number in range(count):
        angle = grid_angle + (rng.normal(0, 0.05) if rng.random() < 0.8 else rng.uniform(0, 3.2))
        side = scale * float(np.exp(rng.normal(0, 0.3)))
        shape = footprint(rng, side * rng.uniform(1, 1.9), side)
        if rows_of_houses:
            per_row = max(2, int(1.4 * size / spacing))
            lattice = np.array([number % per_row, 1.7 * (number // per_row)]) * spacing
            centre = turned((lattice - 0.7 * size)[None], grid_angle, np.full(2, size / 2))[0]
            shape = shape * (spacing / np.ptp(shape[:, 0]), 1)
        else:
            centre = rng.uniform(0, size, 2)
        polygon = turned(shape, angle if not rows_of_houses else grid_angle, centre)
        found = canvas.cover(polygon)
        if found is None:
            continue
        window, alpha = found
        allowed = 0.02 if rows_of_houses else 0.0
        if (taken[window] * (alpha > 0.5)).sum() > allowed * max(1.0, float(alpha.sum())):
            continue
        taken[window] |= (alpha > 0.3).astype(np.uint8)
        house(canvas, polygon, angle, sun, tall * rng.uniform(0.5, 1.5))


def trees(canvas: Canvas, sun: Sun, count: int, radius: float) -> None:
    """Crowns: lumpy discs, lighter towards the sun, with a shadow."""
    rng = canvas.rng
    green = canvas.textures.colour() * 0.3 + np.array([60, 85, 50], np.float32) * rng.uniform(
        0.5, 1
    )
    groves = rng.uniform(0, canvas.size, (max(1, count // 6), 2))
    for _ in range(count):
        r = radius * float(np.exp(rng.normal(0, 0.3)))
        centre = rng.uniform(0, canvas.size, 2)
        if rng.random() < 0.5:
            centre = groves[int(rng.integers(len(groves)))] + rng.normal(0, 2.5 * radius, 2)
        crown = blob(rng, r, 0.12) + centre
        shadow = canvas.cover(crown + sun.direction * r * rng.uniform(0.5, 1.5))
        found = canvas.cover(crown)
        if found is None or shadow is None:
            continue
        canvas.darken(*shadow, sun.factor)
        window, alpha = found
        rows, cols = np.mgrid[window[0], window[1]]
        offset = np.stack([cols + 0.5, rows + 0.5], axis=-1) - centre
        light = 1 - 0.3 * np.clip(offset @ sun.direction / r, -1, 1)
        light = light + rng.uniform(0.1, 0.3) * smooth_noise(rng, alpha.shape, max(2.0, r / 4))
        paint = canvas.filling(window, 0.3)
        paint += green * np.exp(rng.normal(0, 0.15)) - paint.mean((0, 1))
        canvas.paint(
            window,
            alpha,
            np.clip(paint * light[..., None], 0, 255).astype(np.float32),
            classes=TREES,
        )


def blobs(canvas: Canvas, count: int) -> None:
    """Ponds, lawns, bare ground: smooth outlines, any filling."""
    rng = canvas.rng
    for _ in range(count):
        radius = float(np.exp(rng.uniform(np.log(8), np.log(90))))
        shape = blob(rng, radius, rng.uniform(0.05, 0.4)) + rng.uniform(0, canvas.size, 2)
        found = canvas.cover(shape)
        if found is not None:
            contrast = 0.05 if rng.random() < 0.3 else None
            canvas.paint(*found, canvas.filling(found[0], contrast), classes=OPEN_GROUND)


def things(canvas: Canvas, sun: Sun, count: int) -> None:
    """Cars, pools, panels, sheds: small rectangles of clean colours."""
    rng = canvas.rng
    for _ in range(count):
        long = rng.uniform(6, 22)
        angle = rng.uniform(0, np.pi)
        half = np.array([long, long * rng.uniform(0.35, 0.8)]) / 2
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
        centre = rng.uniform(0, canvas.size, 2)
        polygon = turned(corners, angle, centre)
        found, shadow = canvas.cover(polygon), canvas.cover(polygon + sun.direction * 2)
        if found is None or shadow is None:
            continue
        canvas.darken(*shadow, sun.factor)
        canvas.paint(*found, canvas.filling(found[0], 0.08), part=rng.random() < 0.3)


def photographed(painted: FloatArray, rng: np.random.Generator, coarse: bool) -> ByteArray:
    """A painted image as a camera would give it: blur, noise, haze, JPEG; uint8."""
    sigma = rng.uniform(0.3, 1.1) if not coarse else rng.uniform(0.6, 1.4)
    image: AnyArray = cv2.GaussianBlur(np.clip(painted, 0, 255), (0, 0), float(sigma))
    light = smooth_noise(rng, image.shape[:2], image.shape[0] / 2)
    image = image * (1 + rng.uniform(0, 0.1) * light[..., None])
    image = image + rng.normal(0, rng.uniform(0.5, 5), image.shape)
    out: ByteArray = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 95))]
        done, code = cv2.imencode(".jpg", out, quality)
        if done:
            out = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return out


def pieces(layer: AnyArray) -> AnyArray:
    """Every connected piece with a number of its own."""
    out: AnyArray = connected(layer, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    return out


def compose(textures: Textures, size: int = 384) -> Sample:
    """One scene of ``size`` x ``size`` pixels, with two layers of labels."""
    rng = textures.rng
    canvas = Canvas(size, textures)
    turn = rng.uniform(0, 2 * np.pi)
    sun = Sun(np.array([np.cos(turn), np.sin(turn)]), float(rng.uniform(0.35, 0.75)))
    coarse = rng.random() < 0.3
    if coarse:
        # Satellite images of ten-metre pixels: parcels of a few dozen pixels, no houses.
        parcels(canvas, float(np.exp(rng.uniform(np.log(14), np.log(70)))))
        for _ in range(int(rng.integers(0, 3))):
            road(canvas, rng.uniform(1.5, 4), label=False)
        blobs(canvas, int(rng.integers(0, 5)))
        if rng.random() < 0.3:
            trees(canvas, sun, int(rng.integers(5, 40)), rng.uniform(3, 8))
    else:
        if rng.random() < 0.65:
            parcels(canvas, float(np.exp(rng.uniform(np.log(40), np.log(250)))))
        blobs(canvas, int(rng.integers(0, 9)))
        for _ in range(int(rng.integers(0, 4))):
            road(canvas, rng.uniform(5, 28), label=rng.random() < 0.5)
        if rng.random() < 0.85:
            town(canvas, sun)
        things(canvas, sun, int(rng.integers(0, 25)))
        if rng.random() < 0.7:
            trees(canvas, sun, int(rng.integers(2, 50)), float(np.exp(rng.uniform(1.5, 3.4))))
    pieces = [pieces(layer) for layer in canvas.labels]
    labels = np.stack(pieces).astype(np.uint16)
    labels[1][labels[1] > 0] += labels[0].max()
    return Sample(photographed(canvas.image, rng, coarse), labels, canvas.classes, whole=True)
