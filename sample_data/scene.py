# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands where in the sample scene: a small town, its roads, fields, trees, pond and hangar.

Metres from the north-west corner, x to the east, y to the south. Only places and sizes here; what
they look like is in ``objects.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from shapely import prepare
from shapely.affinity import rotate, translate
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.ops import split, unary_union

SIDE = 384.0
"""Side of the scene, metres."""

BUILDINGS = 120
"""At most so many houses, besides the hangar."""


@dataclass(frozen=True)
class Road:
    """A road: its centre line across the scene, its width and its surface."""

    line: LineString
    width: float
    surface: str

    @property
    def area(self) -> BaseGeometry:
        return self.line.buffer(self.width / 2, cap_style="flat")


@dataclass(frozen=True)
class Building:
    """A building: its footprint, the rectangle that its roof is made for, and the roof."""

    footprint: Polygon
    centre: tuple[float, float]
    length: float
    depth: float
    angle: float
    roof: str
    height: float


@dataclass(frozen=True)
class Parcel:
    """A parcel of land with a crop, sown at an angle."""

    shape: Polygon
    crop: str
    angle: float
    period: float


@dataclass(frozen=True)
class Tree:
    """A tree crown."""

    crown: Polygon
    centre: tuple[float, float]
    radius: float
    height: float


@dataclass
class Scene:
    """All that there is."""

    roads: list[Road] = field(default_factory=list)
    fields: list[Parcel] = field(default_factory=list)
    yards: list[tuple[Polygon, str]] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    pond: Polygon = field(default_factory=Polygon)
    hangar_yard: Polygon = field(default_factory=Polygon)


def rectangle(x: float, y: float, length: float, depth: float, angle: float) -> Polygon:
    """A rectangle around (x, y); ``angle`` in degrees from the x axis towards y (clockwise)."""
    return translate(
        rotate(box(-length / 2, -depth / 2, length / 2, depth / 2), angle, origin=(0, 0)), x, y
    )


def lay_out(rng: np.random.Generator) -> Scene:
    """Place everything; the same generator state gives the same scene."""
    scene = Scene()
    _roads(scene)
    hangar = Building(rectangle(296, 58, 150, 46, 5.0), (296, 58), 150, 46, 5.0, "hangar", 9.0)
    scene.hangar_yard = rectangle(293, 62, 172, 74, 5.0)
    scene.pond = _pond(rng, 62.0, 318.0, 27.0)
    _houses(scene, rng, hangar)
    _fields(scene, rng)
    _trees(scene, rng)
    return scene


def _roads(scene: Scene) -> None:
    x = np.linspace(-10, SIDE + 10, 60)
    main = LineString(np.column_stack([x, 176 + 16 * np.sin(x / 70.0) + 0.05 * x]))
    y = np.linspace(-10, SIDE + 10, 60)
    cross = LineString(np.column_stack([205 - 0.16 * y + 9 * np.sin(y / 60.0), y]))
    west = LineString(np.column_stack([88 + 6 * np.sin(y / 50.0) + 0.04 * y, y]))
    south = LineString(np.column_stack([x, 268 - 0.07 * x + 5 * np.sin(x / 45.0 + 1.0)]))
    lane = LineString([(197, 100), (120, 92), (60, 104), (-10, 96)])
    east = LineString(np.column_stack([305 + 0.06 * y - 8 * np.sin(y / 80.0), y])[24:])
    scene.roads = [
        Road(lane, 4.0, "gravel"),
        Road(west, 5.0, "asphalt"),
        Road(south, 5.0, "concrete"),
        Road(east, 5.5, "asphalt"),
        Road(cross, 6.5, "asphalt"),
        Road(main, 9.0, "asphalt"),
    ]


def _pond(rng: np.random.Generator, x: float, y: float, radius: float) -> Polygon:
    turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    r = np.full(len(turn), radius)
    for wave in range(2, 7):
        r += radius * 0.16 / wave * np.cos(wave * turn + rng.uniform(0, 2 * np.pi)) * 1.6
    return Polygon(np.column_stack([x + 1.25 * r * np.cos(turn), y + r * np.sin(turn)]))


def _houses(scene: Scene, rng: np.random.Generator, hangar: Building) -> None:
    roads = unary_union([road.area for road in scene.roads]).buffer(2.2)
    taken: list[BaseGeometry] = [scene.hangar_yard.buffer(3), scene.pond.buffer(9)]
    frame = box(4, 4, SIDE - 4, SIDE - 4)
    spots: list[tuple[float, float, float]] = []
    for road in scene.roads:
        for side in (-1, 1):
            along = rng.uniform(4, 12)
            while along < road.line.length - 4:
                here, ahead = road.line.interpolate(along), road.line.interpolate(along + 1)
                dx, dy = ahead.x - here.x, ahead.y - here.y
                angle = math.degrees(math.atan2(dy, dx))
                for row in (1, 2):
                    away = side * (road.width / 2 + (rng.uniform(9, 12) + (row - 1) * 19))
                    spots.append((here.x - dy * away, here.y + dx * away, angle))
                along += rng.uniform(13.5, 19.0)
    order = rng.permutation(len(spots))
    roofs = ["gable", "gable", "gable", "hip", "flat", "flat", "shed"]
    houses: list[Building] = []
    for index in order:
        x, y, angle = spots[index]
        # The town thins out towards its edge, and leaves the south-east to the fields.
        if (
            rng.random() < 0.35 * (math.hypot(x - 150, y - 190) / 130.0) ** 3
            or len(houses) >= BUILDINGS
        ):
            continue
        roof = str(rng.choice(roofs))
        length, depth = rng.uniform(9.5, 15.5), rng.uniform(7.0, 10.0)
        if roof == "shed":
            length, depth = rng.uniform(5.0, 8.0), rng.uniform(4.2, 6.0)
        turn = angle + float(rng.choice([0.0, 90.0])) + rng.normal(0, 3.0)
        footprint = rectangle(x, y, length, depth, turn)
        if roof == "flat" and rng.random() < 0.4:
            wing = rectangle(0, 0, length * 0.45, depth * 1.0, 0.0)
            wing = translate(
                rotate(translate(wing, length * 0.275, depth * 0.7), turn, origin=(0, 0)), x, y
            )
            footprint = footprint.union(wing)
        if isinstance(footprint, MultiPolygon) or not frame.contains(footprint):
            continue
        if footprint.intersects(roads) or any(footprint.intersects(other) for other in taken):
            continue
        taken.append(footprint.buffer(2.6))
        height = {"shed": 2.6, "flat": float(rng.choice([3.4, 6.4, 9.4]))}.get(
            roof, rng.uniform(4.0, 6.5)
        )
        houses.append(Building(footprint, (x, y), length, depth, turn, roof, height))
        plot = rectangle(x, y, length + 7.5, depth + 9.0, turn)
        kind = str(rng.choice(["grass", "grass", "dirt", "paved"]))
        scene.yards.append((plot, kind))
    scene.buildings = [*houses, hangar]


def _fields(scene: Scene, rng: np.random.Generator) -> None:
    """Land cut in two again and again; what lies away from the houses is farmed."""
    built = unary_union([b.footprint for b in scene.buildings]).buffer(7)
    roads = unary_union([road.area for road in scene.roads]).buffer(1.5)
    blocked = unary_union([built, roads, scene.pond.buffer(4), scene.hangar_yard.buffer(2)])
    pieces: list[BaseGeometry] = [box(0, 0, SIDE, SIDE).difference(roads)]
    done: list[Polygon] = []
    while pieces:
        piece = pieces.pop()
        if isinstance(piece, MultiPolygon):
            pieces.extend(piece.geoms)
            continue
        if piece.area < rng.uniform(1500, 5200):
            done.append(piece)
            continue
        frame = piece.minimum_rotated_rectangle
        a, b, c = (np.array(frame.exterior.coords[i]) for i in range(3))
        long = b - a if np.linalg.norm(b - a) > np.linalg.norm(c - b) else c - b
        middle = np.array(piece.centroid.coords[0]) + long * rng.uniform(-0.15, 0.15)
        normal = np.array([-long[1], long[0]]) / np.linalg.norm(long)
        cut = LineString([middle - normal * 900, middle + normal * 900])
        pieces.extend(split(piece, cut).geoms)
    prepare(blocked)
    crops = ["wheat", "green", "green", "dark", "soil", "stubble", "meadow"]
    for cell in done:
        shape = cell.difference(blocked).buffer(-0.9).buffer(0)
        parts = list(shape.geoms) if isinstance(shape, MultiPolygon) else [shape]
        for part in parts:
            # Slivers between houses are nobody's field.
            if part.area < 420 or part.buffer(-5).is_empty:
                continue
            frame = part.minimum_rotated_rectangle.exterior.coords
            a, b, c = (np.array(frame[i]) for i in range(3))
            long = b - a if np.linalg.norm(b - a) > np.linalg.norm(c - b) else c - b
            angle = math.atan2(long[1], long[0])
            crop = str(rng.choice(crops))
            smooth = part.buffer(-2).buffer(2).simplify(0.2)
            if isinstance(smooth, Polygon) and not smooth.is_empty:
                scene.fields.append(Parcel(smooth, crop, angle, float(rng.uniform(0.9, 2.4))))


def _trees(scene: Scene, rng: np.random.Generator) -> None:
    solid = unary_union(
        [*(b.footprint.buffer(1.2) for b in scene.buildings), *(r.area for r in scene.roads)]
    ).union(scene.hangar_yard)
    prepare(solid)
    spots: list[tuple[float, float, float]] = []
    for plot, _ in scene.yards:
        west, north, east, south = plot.bounds
        for _ in range(rng.integers(0, 4)):
            spots.append(
                (rng.uniform(west, east), rng.uniform(north, south), rng.uniform(1.2, 3.0))
            )
    for parcel in scene.fields:
        edge = parcel.shape.exterior
        if rng.random() < 0.45:
            begin, run = rng.uniform(0, edge.length), rng.uniform(20, 70)
            for along in np.arange(begin, begin + run, 4.5):
                at = edge.interpolate(along % edge.length)
                spots.append(
                    (at.x + rng.normal(0, 0.7), at.y + rng.normal(0, 0.7), rng.uniform(1.4, 3.2))
                )
    for along in np.arange(0, scene.pond.exterior.length, 6.0):
        at = scene.pond.buffer(3.5).exterior.interpolate(along)
        if rng.random() < 0.55:
            spots.append((at.x, at.y, rng.uniform(1.6, 3.6)))
    for _ in range(90):  # a small wood in the south-east
        spots.append((rng.normal(345, 15), rng.normal(345, 15), rng.uniform(2.0, 4.2)))
    for x, y, radius in spots:
        turn = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        r = radius * (1 + 0.10 * np.cos(3 * turn + rng.uniform(0, 6)) + 0.06 * rng.normal(size=28))
        crown = Polygon(np.column_stack([x + r * np.cos(turn), y + r * np.sin(turn)])).buffer(0)
        inside = 2 < x < SIDE - 2 and 2 < y < SIDE - 2
        if not inside or crown.intersects(solid) or Point(x, y).within(scene.pond):
            continue
        scene.trees.append(Tree(crown, (x, y), radius, radius * rng.uniform(1.6, 2.4)))
