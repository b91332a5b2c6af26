# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenes of known objects that are difficult for tiling: touching, nested, bent, long.

A scene is a list of masks on the lattice of cells, made from a seed. Masks may overlap only where
one lies in another. Everything is drawn by analytic shapes, so a scene of any size can be had.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..types import BoolArray, CellBox

EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False)
class Thing:
    """One object of a scene: a bool mask on its box, 8-connected, and what it is."""

    box: CellBox
    mask: BoolArray
    kind: str


@dataclass(frozen=True, eq=False)
class Scene:
    """Objects on a lattice of ``shape`` cells."""

    shape: tuple[int, int]
    things: list[Thing]

    def kinds(self) -> dict[str, int]:
        return dict(Counter(thing.kind for thing in self.things))


class _Canvas:
    """Paints objects into a layer of labels; later ones leave earlier ones alone or cut them."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.labels = np.zeros(shape, np.int32)
        self.kinds = [""]
        self.rows, self.cols = np.ogrid[: shape[0], : shape[1]]

    def paint(
        self, kind: str, mask: BoolArray, box: CellBox, *, gap: int = 0, cut: bool = False
    ) -> bool:
        """Paint only if nothing is nearer than the gap, or (``cut``) over what is there."""
        place = (slice(box.row0, box.row1), slice(box.col0, box.col1))
        if not cut:
            around = CellBox(
                max(0, box.row0 - gap), max(0, box.col0 - gap), box.row1 + gap, box.col1 + gap
            )
            if self.labels[around.row0 : around.row1, around.col0 : around.col1].any():
                return False
        self.labels[place][mask] = len(self.kinds)
        self.kinds.append(kind)
        return True

    def things(self, least: int) -> list[Thing]:
        """The painted objects; pieces that were cut off are objects of their own."""
        found = []
        for number, place in enumerate(ndimage.find_objects(self.labels), 1):
            if place is None:
                continue
            parts, _ = ndimage.label(self.labels[place] == number, EIGHT)
            for part, inner in enumerate(ndimage.find_objects(parts), 1):
                mask = parts[inner] == part
                if np.count_nonzero(mask) >= least:
                    row0, col0 = place[0].start + inner[0].start, place[1].start + inner[1].start
                    box = CellBox(row0, col0, row0 + mask.shape[0], col0 + mask.shape[1])
                    found.append(Thing(box, mask, self.kinds[number]))
        return found


def _window(shape: tuple[int, int], row: float, col: float, reach: float) -> CellBox:
    box = CellBox(int(row - reach), int(col - reach), int(row + reach) + 2, int(col + reach) + 2)
    return box.intersection(CellBox(0, 0, *shape))


def _local(box: CellBox, row: float, col: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a box's cells along and across a direction, from a centre."""
    rows = np.arange(box.row0, box.row1)[:, None] - row
    cols = np.arange(box.col0, box.col1)[None, :] - col
    c, s = np.cos(angle), np.sin(angle)
    return rows * c + cols * s, cols * c - rows * s


def rectangle(shape, row, col, height, width, angle):
    box = _window(shape, row, col, 0.5 * np.hypot(height, width))
    u, v = _local(box, row, col, angle)
    return (np.abs(u) <= height / 2) & (np.abs(v) <= width / 2), box


def letter_u(shape, row, col, size, thick, angle):
    """A square ring without one of its sides."""
    box = _window(shape, row, col, 0.75 * size)
    u, v = _local(box, row, col, angle)
    outside = np.maximum(np.abs(u), np.abs(v)) <= size / 2
    return outside & ~((np.abs(v) <= size / 2 - thick) & (u >= -size / 2 + thick)), box


def blob(shape, row, col, radius, rng):
    """A smooth, star-shaped thing."""
    box = _window(shape, row, col, 1.6 * radius)
    u, v = _local(box, row, col, 0.0)
    angle = np.arctan2(u, v)
    edge = np.full(angle.shape, 1.0)
    for k in range(2, 6):
        edge += rng.uniform(-0.12, 0.12) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return np.hypot(u, v) <= radius * edge, box


def ring(shape, row, col, radius, thick):
    box = _window(shape, row, col, radius)
    u, v = _local(box, row, col, 0.0)
    r = np.hypot(u, v)
    return (r <= radius) & (r >= radius - thick), box


def road(shape, rng, width, *, horizontal):
    """A winding band from one side of the raster to the other."""
    box = CellBox(0, 0, *shape)
    rows, cols = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    along, across, high = (cols, rows, shape[0]) if horizontal else (rows, cols, shape[1])
    centre = rng.uniform(0.1, 0.9) * high
    for _ in range(3):
        wave = rng.uniform(0.5, 2.5) * 2 * np.pi / max(shape)
        centre = centre + rng.uniform(5, 25) * np.sin(wave * along + rng.uniform(0, 2 * np.pi))
    return np.abs(across - centre) <= width / 2, box


def _parcels(canvas: _Canvas, region: CellBox, size: float, rng: np.random.Generator) -> None:
    """Irregular fields that touch one another, without a gap between them (Voronoi cells)."""
    n_rows, n_cols = max(1, int(region.height / size)), max(1, int(region.width / size))
    seeds = np.array(
        [
            (
                region.row0 + (i + rng.uniform(0.2, 0.8)) * region.height / n_rows,
                region.col0 + (j + rng.uniform(0.2, 0.8)) * region.width / n_cols,
            )
            for i in range(n_rows)
            for j in range(n_cols)
        ]
    )
    from scipy.spatial import cKDTree

    rows, cols = np.mgrid[region.row0 : region.row1, region.col0 : region.col1]
    nearest = cKDTree(seeds).query(np.column_stack([rows.ravel(), cols.ravel()]))[1]
    target = canvas.labels[region.row0 : region.row1, region.col0 : region.col1]
    target[:] = nearest.reshape(target.shape) + len(canvas.kinds)
    canvas.kinds.extend(["parcel"] * len(seeds))


def make_scene(
    size: int | tuple[int, int],
    seed: int = 1,
    *,
    nested: bool = True,
    tile: int = 512,
    detail: float = 1.0,
    least: int = 150,
) -> Scene:
    """A scene of fields, houses, lakes, roads, rings and U shapes.

    Args:
        size: Cells, a side or (height, width).
        seed: Of everything random.
        nested: With houses in fields, islands in lakes, trees in courtyards.
        tile: The largest things are some two of these wide.
        detail: Scale of the small things (houses of about 90 cells, fields of 120).
        least: Smaller leftovers of things that a road cuts are left out, cells.
    """
    shape = (size, size) if isinstance(size, int) else size
    rng = np.random.default_rng(seed)
    canvas = _Canvas(shape)
    high, wide = shape
    area = high * wide
    # Its two straight sides lie on none of the lines where tiles of usual sizes meet.
    _parcels(canvas, CellBox(0, 0, int(0.53 * high), int(0.77 * wide)), 120 * detail, rng)

    def anywhere() -> tuple[float, float]:
        return rng.uniform(0, high), rng.uniform(0, wide)

    def try_paint(kind: str, make, count: int) -> None:
        for _ in range(count):
            for _ in range(20):
                mask, box = make(*anywhere())
                if mask.any() and canvas.paint(kind, mask, box, gap=2):
                    break

    many = area / 4096**2
    large = min(high, wide) / 8
    big = min(tile * 1.1, large * 1.6)
    try_paint("lake", lambda r, c: blob(shape, r, c, rng.uniform(0.5, 1) * big * 0.6, rng),
              max(1, round(5 * many)))  # fmt: skip
    try_paint("ring", lambda r, c: ring(shape, r, c, rng.uniform(0.3, 0.7) * big, 24 * detail),
              max(1, round(4 * many)))  # fmt: skip
    try_paint("U", lambda r, c: letter_u(shape, r, c, rng.uniform(0.3, 1) * big, 26 * detail,
              rng.uniform(0, 6.28)), max(2, round(14 * many)))  # fmt: skip
    density = 1 / detail**2
    try_paint("small U", lambda r, c: letter_u(shape, r, c, rng.uniform(90, 160) * detail,
              26 * detail, rng.uniform(0, 6.28)), round(90 * many * density))  # fmt: skip
    try_paint("house", lambda r, c: rectangle(shape, r, c, rng.uniform(48, 130) * detail,
              rng.uniform(48, 130) * detail, rng.uniform(0, 6.28)),
              round(1300 * many * density))  # fmt: skip
    for k in range(max(2, round(6 * many))):
        mask, box = road(shape, rng, rng.uniform(14, 26) * detail, horizontal=bool(k % 2))
        canvas.paint("road", mask, box, cut=True)
    things = canvas.things(least)
    if nested:
        things += _nested(shape, things, rng, detail)
    return Scene(shape, things)


def _nested(
    shape: tuple[int, int], holders: list[Thing], rng: np.random.Generator, detail: float
) -> list[Thing]:
    """Things that lie wholly within larger ones, and some within those again."""
    found: list[Thing] = []
    for holder in holders:
        area = np.count_nonzero(holder.mask)
        if holder.kind not in ("parcel", "lake") or area < 2500 * detail**2:
            continue
        canvas = _Canvas(shape)
        for _ in range(2 if holder.kind == "parcel" else 6):
            row = rng.uniform(holder.box.row0, holder.box.row1)
            col = rng.uniform(holder.box.col0, holder.box.col1)
            if rng.random() < 0.5:
                height, width = rng.uniform(36, 70, 2) * detail
                mask, box = rectangle(shape, row, col, height, width, rng.uniform(0, 6.28))
            else:
                mask, box = blob(shape, row, col, rng.uniform(18, 36) * detail, rng)
            if box.empty or not holder.box.contains(box) or not mask.any():
                continue
            if not (holder.mask[box.slices(holder.box)] | ~mask).all():
                continue
            canvas.paint("nested", mask, box, gap=2)
        inner = canvas.things(1)
        found += inner
        for thing in inner:
            area = np.count_nonzero(thing.mask)
            core = ndimage.distance_transform_edt(np.pad(thing.mask, 1))[1:-1, 1:-1]
            core = core > 0.35 * core.max()
            if 100 * detail**2 < np.count_nonzero(core) < 0.45 * area:
                deep = _Canvas(shape)
                deep.paint("nested twice", core, thing.box, cut=True)
                found += deep.things(12)[:1]
    return found
