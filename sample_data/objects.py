# SPDX-License-Identifier: GPL-2.0-or-later
"""What the things of the sample scene look like from above."""

from __future__ import annotations

import math

import numpy as np
from paint import SUN, Array, Canvas, Texture
from scene import SIDE, Building, Parcel, Road, Scene, Tree, rectangle
from shapely.affinity import rotate, scale, translate
from shapely.geometry import LineString, Polygon, box
from shapely.ops import substring

CROPS = {  # red, green, blue, near infrared; strength of the rows; blotches
    "wheat": ((0.50, 0.43, 0.25, 0.58), 0.06, 0.05),
    "green": ((0.24, 0.34, 0.14, 0.62), 0.14, 0.08),
    "dark": ((0.14, 0.24, 0.11, 0.58), 0.16, 0.08),
    "soil": ((0.40, 0.31, 0.23, 0.42), 0.10, 0.07),
    "stubble": ((0.52, 0.46, 0.33, 0.52), 0.10, 0.08),
    "meadow": ((0.30, 0.36, 0.19, 0.55), 0.00, 0.14),
}
GROUND = {
    "grass": (0.31, 0.36, 0.20, 0.52),
    "dirt": (0.48, 0.40, 0.30, 0.46),
    "paved": (0.56, 0.54, 0.50, 0.54),
}
SURFACES = {
    "asphalt": (0.35, 0.35, 0.36, 0.37),
    "concrete": (0.60, 0.58, 0.54, 0.58),
    "gravel": (0.55, 0.49, 0.40, 0.52),
}
TILES = [(0.56, 0.26, 0.17), (0.47, 0.23, 0.17), (0.60, 0.34, 0.22), (0.38, 0.25, 0.21)]
METAL = [(0.24, 0.36, 0.55), (0.66, 0.68, 0.70), (0.25, 0.44, 0.34), (0.78, 0.79, 0.80)]
CONCRETE = [(0.72, 0.71, 0.68), (0.62, 0.61, 0.59), (0.80, 0.79, 0.76), (0.55, 0.53, 0.50)]


def stripes(angle: float, period: float, strength: float, phase: float = 0.0) -> Texture:
    """Lines at an angle (radians), ``period`` metres apart."""

    def texture(x: Array, y: Array) -> Array:
        across = -x * np.float32(math.sin(angle)) + y * np.float32(math.cos(angle))
        return 1.0 + np.float32(strength) * np.sin(
            np.float32(2 * math.pi / period) * across + phase
        )

    return texture


def paint_scene(canvas: Canvas, scene: Scene) -> None:
    """Paint everything from the ground up."""
    rng = canvas.rng
    canvas.fill(box(0, 0, SIDE, SIDE), (0.37, 0.36, 0.24, 0.50), grain=0.12, blotch=0.12)
    for parcel in scene.fields:
        _parcel(canvas, parcel)
    for plot, kind in scene.yards:
        if kind != "grass":
            canvas.fill(plot, GROUND[kind], grain=0.09, blotch=0.07, opacity=0.75, soft=0.8)
        else:
            canvas.fill(plot, GROUND[kind], grain=0.15, blotch=0.10, opacity=0.9, soft=1.2)
    canvas.fill(scene.hangar_yard, (0.60, 0.59, 0.56, 0.60), grain=0.05, blotch=0.05, soft=0.2)
    for road in scene.roads:
        _road(canvas, road)
    _pond(canvas, scene.pond)
    _cars(canvas, scene)
    # All shadows first: one that falls on a neighbour's roof is wiped out by that roof again,
    # which is right for walls of about one height.
    for building in scene.buildings:
        canvas.shade(building.footprint, building.height)
    for building in scene.buildings:
        _building(canvas, building)
    for tree in sorted(scene.trees, key=lambda t: t.height):
        _tree(canvas, tree, rng)


def _parcel(canvas: Canvas, parcel: Parcel) -> None:
    colour, rows, blotch = CROPS[parcel.crop]
    tone = 1.0 + 0.10 * canvas.rng.normal()
    edge = tuple(0.75 * c for c in (0.34, 0.36, 0.20, 0.52))
    canvas.fill(parcel.shape.buffer(0.6), edge, grain=0.12, blotch=0.1)
    texture = stripes(parcel.angle, parcel.period, rows) if rows else None
    canvas.fill(
        parcel.shape, tuple(tone * c for c in colour), grain=0.07, blotch=blotch, texture=texture
    )


def _road(canvas: Canvas, road: Road) -> None:
    colour = SURFACES[road.surface]
    verge = road.line.buffer(road.width / 2 + 1.1, cap_style="flat")
    canvas.fill(verge, (0.47, 0.42, 0.31, 0.48), grain=0.10, blotch=0.06, soft=0.35)
    canvas.fill(road.area, colour, grain=0.035, blotch=0.04)
    for shift in (-0.27, 0.27):  # worn tracks
        track = road.line.parallel_offset(abs(shift) * road.width, "left" if shift < 0 else "right")
        canvas.fill(track.buffer(0.5), tuple(1.10 * c for c in colour), opacity=0.5, soft=0.25)
    if road.surface == "asphalt" and road.width > 6:
        for begin in np.arange(0, road.line.length, 6.0):
            dash = substring(road.line, begin, begin + 3.0)
            canvas.fill(dash.buffer(0.11, cap_style="flat"), (0.80, 0.80, 0.77, 0.8), grain=0.03)


def _pond(canvas: Canvas, shape: Polygon) -> None:
    canvas.fill(shape.buffer(2.4), (0.44, 0.38, 0.27, 0.42), grain=0.12, blotch=0.08, soft=0.7)
    canvas.fill(shape, (0.13, 0.20, 0.19, 0.05), grain=0.02, blotch=0.05)
    canvas.fill(shape.buffer(-5), (0.09, 0.15, 0.17, 0.03), grain=0.02, blotch=0.04, soft=2.2)


def _cars(canvas: Canvas, scene: Scene) -> None:
    rng = canvas.rng
    colours = [(0.85, 0.85, 0.85), (0.12, 0.12, 0.13), (0.60, 0.10, 0.09), (0.15, 0.22, 0.45)]
    for road in scene.roads[1:]:
        for along in np.arange(rng.uniform(5, 30), road.line.length - 6, 38.0):
            side = float(rng.choice([-1, 1])) * road.width / 4
            here = road.line.interpolate(along + rng.uniform(-10, 10))
            ahead = road.line.interpolate(min(along + 2, road.line.length))
            angle = math.atan2(ahead.y - here.y, ahead.x - here.x)
            x, y = here.x - math.sin(angle) * side, here.y + math.cos(angle) * side
            body = rectangle(x, y, 4.3, 1.8, math.degrees(angle))
            colour = colours[int(rng.integers(len(colours)))]
            canvas.shade(body, 1.4)
            canvas.fill(body, (*colour, 0.4), grain=0.03, lit=True)
            glass = rectangle(x, y, 1.9, 1.5, math.degrees(angle))
            canvas.fill(glass, (*(0.55 * c + 0.03 for c in colour), 0.2), grain=0.02)


def _building(canvas: Canvas, building: Building) -> None:
    rng = canvas.rng
    x, y = building.centre
    turn = math.radians(building.angle)
    along = np.array([math.cos(turn), math.sin(turn)])
    across = np.array([-math.sin(turn), math.cos(turn)])
    if building.roof == "hangar":
        _hangar(canvas, building, turn)
        return
    if building.roof == "flat":
        colour = CONCRETE[int(rng.integers(len(CONCRETE)))]
        rim = tuple(min(0.95, 1.18 * c) for c in colour)
        canvas.fill(building.footprint, (*rim, 0.7), grain=0.03, lit=True)
        canvas.fill(building.footprint.buffer(-0.35), (*colour, 0.6), grain=0.04, blotch=0.06)
        for _ in range(int(rng.integers(1, 4))):  # tanks, stairheads
            dx, dy = (
                rng.uniform(-0.3, 0.3) * building.length,
                rng.uniform(-0.3, 0.3) * building.depth,
            )
            spot = (x + dx * along[0] + dy * across[0], y + dx * along[1] + dy * across[1])
            size = rng.uniform(0.9, 2.2)
            thing = rectangle(*spot, size, size, building.angle)
            canvas.shade(thing, 1.0, 0.45)
            canvas.fill(thing, (*(0.85 * c for c in rim), 0.5), grain=0.02, lit=True)
        return
    metal = building.roof == "shed" or rng.random() < 0.35
    palette = METAL if metal else TILES
    colour = np.array(palette[int(rng.integers(len(palette)))]) * (1 + 0.06 * rng.normal())
    infrared = 0.45 if metal else 0.40
    ribs = stripes(turn + math.pi / 2, 0.9 if metal else 0.55, 0.04 if metal else 0.05)
    half, deep = building.length / 2, building.depth / 2

    def at(u: float, v: float) -> tuple[float, float]:
        return (x + u * along[0] + v * across[0], y + u * along[1] + v * across[1])

    corner = [at(-half, -deep), at(half, -deep), at(half, deep), at(-half, deep)]
    if building.roof == "shed":
        planes = [(Polygon(corner), across)]
    else:
        inset = deep * 0.95 if building.roof == "hip" else 0.0
        west, east = at(-half + inset, 0), at(half - inset, 0)
        planes = [
            (Polygon([corner[0], corner[1], east, west]), -across),
            (Polygon([corner[3], corner[2], east, west]), across),
        ]
        if building.roof == "hip":
            planes += [
                (Polygon([corner[0], corner[3], west]), -along),
                (Polygon([corner[1], corner[2], east]), along),
            ]
    canvas.fill(building.footprint, (*colour, infrared), lit=True)
    for plane, outward in planes:
        # A plane that leans towards the sun is bright.
        tone = 1.0 - 0.24 * float(outward @ SUN)
        canvas.fill(
            plane,
            (*(tone * colour), infrared * tone),
            grain=0.045,
            blotch=0.07,
            texture=ribs,
            lit=True,
        )
    if building.roof != "shed":
        ridge = LineString([west, east]).buffer(0.13)
        canvas.fill(ridge, (*(1.22 * colour), infrared), grain=0.03)
        if rng.random() < 0.5:
            stack = rectangle(*at(rng.uniform(-0.3, 0.3) * half, 0.45), 0.8, 0.8, building.angle)
            canvas.shade(stack, 0.9, 0.5)
            canvas.fill(stack, (0.42, 0.33, 0.30, 0.4), lit=True)


def _hangar(canvas: Canvas, building: Building, turn: float) -> None:
    x, y = building.centre
    canvas.fill(
        building.footprint,
        (0.62, 0.65, 0.68, 0.62),
        grain=0.025,
        blotch=0.035,
        texture=stripes(turn + math.pi / 2, 1.2, 0.035),
        lit=True,
    )
    halves = rotate(
        translate(box(-building.length / 2, 0, building.length / 2, building.depth / 2), x, y),
        building.angle,
        origin=(x, y),
    )
    canvas.fill(halves, (0.56, 0.59, 0.62, 0.57), grain=0.025, blotch=0.035, opacity=0.8)
    for place in np.linspace(-0.42, 0.42, 9):  # skylights
        for side in (-0.25, 0.25):
            u, v = place * building.length, side * building.depth
            spot = (
                x + u * math.cos(turn) - v * math.sin(turn),
                y + u * math.sin(turn) + v * math.cos(turn),
            )
            canvas.fill(
                rectangle(*spot, 2.0, building.depth * 0.32, building.angle),
                (0.74, 0.77, 0.78, 0.7),
                grain=0.02,
            )


def _tree(canvas: Canvas, tree: Tree, rng: np.random.Generator) -> None:
    canvas.shade(scale(tree.crown, 0.9, 0.9), tree.height, 0.55)
    tone = rng.uniform(0.75, 1.2)
    base = np.array([0.15, 0.22, 0.10, 0.55]) * tone + rng.normal(0, 0.008, 4)
    canvas.fill(tree.crown, tuple(base * 0.72), grain=0.20, blotch=0.05, soft=0.12, lit=True)
    # The side towards the sun, then tufts.
    x, y = tree.centre
    lit = scale(translate(tree.crown, *(-0.22 * tree.radius * SUN)), 0.72, 0.72)
    canvas.fill(lit, tuple(base * 1.25), grain=0.26, blotch=0.05, soft=0.3 * tree.radius / 2)
    for _ in range(int(3 + tree.radius * 3)):
        turn, away = rng.uniform(0, 2 * math.pi), tree.radius * math.sqrt(rng.uniform(0, 0.6))
        dx, dy = away * math.cos(turn), away * math.sin(turn)
        facing = -(dx * SUN[0] + dy * SUN[1]) / max(tree.radius, 0.1)
        tuft = rectangle(x + dx, y + dy, rng.uniform(0.5, 1.1), rng.uniform(0.5, 1.1), turn * 57)
        strength = 1.05 + 0.55 * facing + 0.12 * rng.normal()
        canvas.fill(tuft, tuple(base * strength), grain=0.15, opacity=0.6, soft=0.16)
