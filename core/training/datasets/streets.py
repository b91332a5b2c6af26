# SPDX-License-Identifier: GPL-2.0-or-later
"""Composed street scenes, in which things look like what they are.

In :mod:`.scenes` any texture fills any object, which teaches outlines; here roads, roofs, crowns,
water and ground are filled with squares of photographs in which there is nothing else, and stand
as they do in towns: streets with kerbs, lines and cars, houses and terraces along them, halls with
yards, courtyards, tanks, pools, solar roofs, hedges, tracks, boats. Buildings lean, as they do away
from an image's nadir. This teaches the head what things are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...models.embedded.classes import bits
from ...types import AnyArray, FloatArray
from .canvas import Canvas, Textures, smooth_noise
from .crops import Sample
from .opencv import cv2
from .scenes import Sun, photographed, pieces
from .shapes import blob, footprint, turned

YARD = bits("bare ground", "other", "field")
"""What lies between the things of a town."""

PAVED = bits("other", "bare ground", "road")
"""Kerbs and drives: an answer of "road" is not wrong enough to be punished."""

LOT = bits("other", "bare ground")

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Scene:
    """A canvas with what all things of a scene share.

    Args:
        canvas: Painted on.
        sun: Where shadows fall, and how dark they are.
        lean: (x, y) by which the top of a thing lies beside its foot, per pixel of height.
        metre: Pixels per metre.
        taken: (size, size) uint8, 1 where a thing stands or a road lies.
    """

    canvas: Canvas
    sun: Sun
    lean: AnyArray
    metre: float
    taken: AnyArray

    def free(self, polygon: AnyArray, margin: float = 0.0) -> bool:
        """Whether nothing stands where a polygon would, and takes the place."""
        found = self.canvas.cover(polygon)
        if found is None:
            return False
        window, alpha = found
        if (self.taken[window] * (alpha > 0.3)).sum() > margin * max(1.0, float(alpha.sum())):
            return False
        self.taken[window] |= (alpha > 0.3).astype(np.uint8)
        return True


def fill(scene: Scene, polygon: AnyArray, name: str, classes: int, *, part: bool = False) -> None:
    """A thing that lies flat on the ground."""
    canvas, found = scene.canvas, scene.canvas.cover(polygon)
    if found is not None:
        canvas.paint(*found, canvas.real(found[0], name), part=part, classes=classes)
        if classes & bits("road"):
            # Streets are a class, not objects: nobody can say where one ends.
            canvas.labels[0][found[0]][found[1] > 0.5] = 0


def stand(
    scene: Scene, polygon: AnyArray, height: float, name: str, classes: int, angle: float = 0.0
) -> None:
    """A thing of some height in pixels: its shadow, its leaning wall and its top."""
    canvas, rng = scene.canvas, scene.canvas.rng
    lengths = np.linspace(0, height, 6)[:, None, None]
    for direction, dark in ((scene.sun.direction, True), (scene.lean, False)):
        swept = (polygon[None] + lengths * direction).reshape(-1, 2).astype(np.float32)
        found = canvas.cover(cv2.convexHull(swept)[:, 0])
        if found is None:
            continue
        if dark:
            canvas.darken(*found, scene.sun.factor)
        elif np.hypot(*scene.lean) * height > 1:
            # The wall belongs to the thing's class, not to its outline from above.
            grey = canvas.real(found[0], name) * 0.3 + rng.uniform(40, 120)
            canvas.paint(*found, grey.astype(np.float32), classes=classes)
            canvas.labels[0][found[0]][found[1] > 0.5] = 0
    top = polygon + scene.lean * height
    found = canvas.cover(top)
    if found is None:
        return
    window = found[0]
    paint = canvas.real(window, name)
    if name == "building":
        paint = _roof(scene, paint, window, top, angle)
    canvas.paint(*found, paint, classes=classes)


def _roof(
    scene: Scene, paint: FloatArray, window: Window, top: AnyArray, angle: float
) -> FloatArray:
    """Two faces, a rim, or rows of solar panels."""
    rng = scene.canvas.rng
    rows, cols = np.mgrid[window[0], window[1]]
    centre = top.mean(0)
    x = (cols - centre[0]) * np.cos(angle) + (rows - centre[1]) * np.sin(angle)
    y = (rows - centre[1]) * np.cos(angle) - (cols - centre[0]) * np.sin(angle)
    kind = rng.random()
    if kind < 0.4:
        paint = paint * np.where(y > 0, 1 + rng.uniform(0, 0.25), 1)[..., None]
    elif kind < 0.55:
        step = max(3.0, 1.7 * scene.metre)
        panels = (np.mod(y, step) < 0.7 * step) & (np.mod(x, 2 * step) < 1.9 * step)
        half = np.abs(y) < rng.uniform(0.2, 0.9) * np.abs(y).max()
        paint = np.where((panels & half)[..., None], (35, 45, 75), paint)
    elif kind < 0.7:
        wave = np.sin(x * 2 * np.pi / rng.uniform(2.5, 7))
        paint = paint * (1 + rng.uniform(0.02, 0.1) * wave)[..., None]
    return np.clip(paint, 0, 255).astype(np.float32)


def rectangle(long: float, short: float) -> AnyArray:
    """Corners around the origin."""
    return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (long / 2, short / 2)


def car(scene: Scene, centre: AnyArray, angle: float) -> None:
    """A car, or now and then a lorry."""
    rng = scene.canvas.rng
    long = scene.metre * (rng.uniform(3.8, 5) if rng.random() < 0.9 else rng.uniform(7, 14))
    polygon = turned(rectangle(long, scene.metre * rng.uniform(1.7, 2.4)), angle, centre)
    found = scene.canvas.cover(polygon)
    shadow = scene.canvas.cover(polygon + scene.sun.direction * 0.8 * scene.metre)
    if found is None or shadow is None:
        return
    scene.canvas.darken(*shadow, scene.sun.factor)
    grey = rng.choice([20, 60, 120, 190, 235]) + rng.normal(0, 15)
    colour = grey + rng.normal(0, 6 if rng.random() < 0.7 else 45, 3)
    paint = np.clip(np.broadcast_to(colour, (*found[1].shape, 3)), 5, 250).astype(np.float32)
    scene.canvas.paint(*found, paint, classes=bits("vehicle"))


def street(scene: Scene, line: AnyArray, width: float, *, paved: bool) -> None:
    """A road along (n, 2) points, paved with kerbs, lines and cars, or a track."""
    canvas, rng = scene.canvas, scene.canvas.rng
    step = np.gradient(line, axis=0)
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    side = np.stack([-step[:, 1], step[:, 0]], 1)

    def band(half: float) -> AnyArray:
        return np.concatenate([line + side * half, (line - side * half)[::-1]])

    if paved and rng.random() < 0.6:
        fill(scene, band(width / 2 + scene.metre * rng.uniform(0.8, 2.5)), "other", PAVED)
    fill(scene, band(width / 2), "road" if paved else "bare ground", bits("road"))
    found = canvas.cover(band(width / 2 + 2 * scene.metre))
    if found is not None:
        scene.taken[found[0]] |= (found[1] > 0.3).astype(np.uint8)
    if paved and rng.random() < 0.5 and width > 7:
        colour = (225, 222, 205) if rng.random() < 0.6 else (205, 170, 70)
        points = np.round(line * 16).astype(np.int32)
        bright = canvas.image.copy()
        for k in range(0, len(points) - 1, 1 if rng.random() < 0.5 else 2):
            cv2.polylines(bright, [points[k : k + 2]], False, colour, 1, cv2.LINE_AA, 4)
        canvas.image += 0.7 * (bright - canvas.image)
    if paved:
        for _ in range(int(rng.poisson(0.01 * canvas.size / scene.metre * 2))):
            k = int(rng.integers(len(line)))
            place = line[k] + side[k] * width * rng.choice([-0.35, -0.2, 0.2, 0.35])
            car(scene, place, float(np.arctan2(step[k, 1], step[k, 0])))


def building(scene: Scene, centre: AnyArray, angle: float, size: float, storey: float) -> bool:
    """A house, hall or block with a courtyard of about ``size`` pixels, where there is room."""
    rng = scene.canvas.rng
    shape = footprint(rng, size * rng.uniform(1, 1.8), size)
    polygon = turned(shape, angle, centre)
    if not scene.free(polygon):
        return False
    stand(scene, polygon, storey, "building", bits("building"), angle)
    if size > 22 * scene.metre and rng.random() < 0.4:
        court = turned(rectangle(0.5 * size, 0.4 * size), angle, centre + scene.lean * storey)
        fill(scene, court, "bare ground", LOT)
    return True


def town(scene: Scene) -> None:
    """One of: houses along streets, terraces, halls with lots and cars."""
    rng, size, metre = scene.canvas.rng, scene.canvas.size, scene.metre
    turn = rng.uniform(0, np.pi)
    frame = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    block = metre * rng.uniform(40, 110)
    width = metre * rng.uniform(5, 14)
    bend = rng.normal(0, 0.15) if rng.random() < 0.4 else 0.0
    t = np.linspace(-0.9, 0.9, 60)
    paved = rng.random() < 0.85
    for axis in (0, 1):
        for offset in np.arange(-1.0 * size, 1.0 * size, block * (1 + axis * rng.uniform(0, 1.5))):
            if rng.random() < 0.3:
                continue
            along, across = frame[axis], frame[1 - axis]
            line = size / 2 + size * t[:, None] * along
            line = line + (offset + bend * size * t**2)[:, None] * across
            street(scene, line, width * rng.uniform(0.7, 1.3), paved=paved)
    kind = rng.choice(["houses", "terraces", "halls"], p=[0.55, 0.2, 0.25])
    side = metre * {"houses": 11.0, "terraces": 9.0, "halls": 32.0}[kind]
    storey = metre * rng.uniform(2, 7)
    spots = rng.uniform(0, size, (int(np.clip(1.2 * (size / (1.6 * side)) ** 2, 3, 220)), 2))
    for spot in spots:
        axis = int(rng.integers(2))
        angle = turn + axis * np.pi / 2 + rng.normal(0, 0.02)
        here = side * float(np.exp(rng.normal(0, 0.25)))
        if not building(scene, spot, angle, here, storey * rng.uniform(0.6, 1.4)):
            continue
        if kind == "terraces":
            for k in range(1, int(rng.integers(2, 7))):
                building(scene, spot + k * 1.02 * here * frame[axis], angle, here, storey)
        near = spot + turned(rng.uniform(-1, 1, (1, 2)) * 1.3 * here, angle, np.zeros(2))[0]
        if kind == "halls":
            lot = turned(rectangle(here * 1.4, here), angle, near)
            if scene.free(lot, 0.35):
                fill(scene, lot, "other", LOT)
                for _ in range(int(rng.integers(0, 12))):
                    shift = turned(rng.uniform(-0.5, 0.5, (1, 2)) * here, angle, near)[0]
                    car(scene, shift, angle)
        elif rng.random() < 0.25:
            pool = near + blob(rng, metre * rng.uniform(2, 4), 0.1)
            if scene.free(pool):
                fill(scene, pool, "water", bits("water"))


def greenery(scene: Scene) -> None:
    """Crowns alone and in groves, and hedges."""
    rng, size, metre = scene.canvas.rng, scene.canvas.size, scene.metre
    for _ in range(int(rng.integers(3, 70))):
        centre = rng.uniform(0, size, 2)
        crown = blob(rng, metre * float(np.exp(rng.uniform(0.3, 1.8))), 0.12)
        if rng.random() < 0.1:
            crown = turned(
                rectangle(metre * rng.uniform(10, 40), metre * 2), rng.uniform(0, 3), 0 * centre
            )
        found = scene.canvas.cover(crown + centre)
        shadow = scene.canvas.cover(crown + centre + scene.sun.direction * 2 * metre)
        if found is None or shadow is None:
            continue
        scene.canvas.darken(*shadow, scene.sun.factor)
        paint = scene.canvas.real(found[0], "trees")
        light = 1 + 0.2 * smooth_noise(rng, found[1].shape, max(2.0, metre))
        scene.canvas.paint(
            *found, np.asarray(paint * light[..., None], np.float32), classes=bits("trees")
        )


def extras(scene: Scene) -> None:
    """Tanks, a body of water with boats."""
    rng, size, metre = scene.canvas.rng, scene.canvas.size, scene.metre
    if rng.random() < 0.15:
        radius, corner = metre * rng.uniform(4, 18), rng.uniform(0, size, 2)
        turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        for k in range(int(rng.integers(1, 5))):
            tank = (
                radius * np.stack([np.cos(turn), np.sin(turn)], 1) + corner + (2.4 * radius * k, 0)
            )
            if scene.free(tank):
                stand(scene, tank, radius * 0.6, "building", bits("building", "other"))


def water(scene: Scene) -> None:
    """A pond, river or shore below all else, with boats."""
    rng, size = scene.canvas.rng, scene.canvas.size
    shape = blob(rng, size * rng.uniform(0.1, 0.5), 0.25)
    shape = shape * (1, rng.choice([1.0, 0.25])) + rng.uniform(0, size, 2)
    fill(scene, shape, "water", bits("water"))
    found = scene.canvas.cover(shape)
    if found is None:
        return
    scene.taken[found[0]] |= (found[1] > 0.3).astype(np.uint8)
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 8))):
            place = shape[int(rng.integers(len(shape)))] * 0.6 + shape.mean(0) * 0.4
            car(scene, place, rng.uniform(0, np.pi))


def compose_street(textures: Textures, size: int = 384) -> Sample:
    """One street scene of ``size`` x ``size`` pixels, with two layers of labels."""
    rng = textures.rng
    canvas = Canvas(size, textures)
    turn, tilt = rng.uniform(0, 2 * np.pi, 2)
    sun = Sun(np.array([np.cos(turn), np.sin(turn)]), float(rng.uniform(0.35, 0.75)))
    lean = np.array([np.cos(tilt), np.sin(tilt)]) * (
        rng.uniform(0, 0.6) if rng.random() < 0.5 else 0
    )
    metre = 1 / float(np.exp(rng.uniform(np.log(0.12), np.log(0.9))))
    scene = Scene(canvas, sun, lean, metre, np.zeros((size, size), np.uint8))
    whole = (slice(0, size), slice(0, size))
    ground = str(rng.choice(["bare ground", "field"]))
    canvas.image[:] = canvas.real(whole, ground)
    canvas.classes[:] = bits(ground) if ground == "bare ground" else bits("field", "other")
    for _ in range(int(rng.integers(0, 8))):
        name = str(rng.choice(["bare ground", "field"]))
        patch = blob(rng, metre * float(np.exp(rng.uniform(1.5, 4))), 0.3) + rng.uniform(0, size, 2)
        fill(scene, patch, name, bits("bare ground") if name == "bare ground" else YARD)
    if rng.random() < 0.2:
        water(scene)
    town(scene)
    extras(scene)
    if rng.random() < 0.85:
        greenery(scene)
    labels = np.stack([pieces(layer) for layer in canvas.labels]).astype(np.uint16)
    labels[1][labels[1] > 0] += labels[0].max()
    return Sample(photographed(canvas.image, rng, False), labels, canvas.classes)
