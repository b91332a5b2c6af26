# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures in which every tree crown and every vehicle was drawn by eye, one by one.

Outlines (:mod:`.outlines`) say where trees and car parks are, not where one tree or car ends and
the next begins. So in some of the pictures that were drawn already, or whose buildings are known,
each crown was drawn as a disc or a polygon, and each vehicle as a rectangle, for this project, by
AI assistants that looked at them magnified with a grid, and then at what they had drawn:
``small_objects.json``. Woods and yards in which single ones cannot be told are marked, and nothing
is learned of them there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from rasterio.features import rasterize

from ...models.embedded.classes import bits
from ...types import AnyArray, BoolArray, ByteArray
from .crops import BANEPA_HELD_OUT, Sample, banepa, instances, read_image, read_raster
from .opencv import cv2
from .outlines import (
    BESIDE,
    BESIDE_IN_DRONE_PICTURES,
    DRAWN_SIDE,
    DRONE_OUTLINES,
    FLIGHTS,
    OUTLINES,
    SURROUNDINGS,
    Outlines,
    outlined_sample,
    read_outlines,
    shape_of,
    surroundings_of,
    with_squares,
    with_surroundings,
)
from .strokes import HELD_OUT_TOWN

SMALL_OBJECTS = Path(__file__).with_name("small_objects.json")
"""Picture -> {"shapes": [[kind, width in px, [[x, y], ...]], ...], "complete": [kind, ...]}; pixels
from the picture's corner. A single point is a disc of that width, two are the ends of a rectangle
of that width, a width of 0 is a polygon."""

CROWN, VEHICLE = "crown", "vehicle"
"""Kinds of shapes that are one object each, the lower ones first."""

MAY_BE = "?"
"""After a kind: a polygon in which single ones of it cannot be told."""

CLASS_OF = {CROWN: bits("trees"), VEHICLE: bits("vehicle")}

SEEN = 0.6
"""Share of a crown that must lie beside other objects: what is left of one that hides half of a
roof has no crown's shape."""


def with_small_objects(sample: Sample, drawn: Outlines, beside: int = BESIDE) -> Sample:
    """A sample with tree crowns and vehicles as more of its objects and of its classes.

    Where a crown lies over another object, the object stays whole and the pixels may be either.
    Vehicles lie above all.

    Args:
        sample: With one layer of labels.
        drawn: In its pixels.
        beside: Pixels across which nothing is said beside objects that are all drawn.

    Returns:
        With two layers of labels: objects, as far as nothing lies above them; whole crowns.
    """
    size = (sample.labels.shape[1], sample.labels.shape[2])
    labels = sample.labels[0].astype(np.uint16)
    crowns = _burnt(_shapes(drawn, CROWN), size, int(labels.max()))
    free = np.where(labels == 0, crowns, 0)
    count = int(max(crowns.max(), labels.max())) + 1
    areas, seen = (np.bincount(p.ravel(), minlength=count) for p in (crowns, free))
    free = np.where((seen < SEEN * areas)[free], 0, free)
    vehicles = _burnt(_shapes(drawn, VEHICLE), size, count)
    labels = np.where(labels > 0, labels, free)
    labels = np.where(vehicles > 0, vehicles, labels)
    classes = sample.classes
    if classes is None:
        classes = np.zeros(size, np.uint8)
    for kind, inside in ((CROWN, crowns > 0), (VEHICLE, vehicles > 0)):
        classes = _classes(classes, drawn, kind, inside, beside)
    return replace(sample, labels=np.stack([labels, crowns]).astype(np.uint16), classes=classes)


def _classes(
    before: ByteArray, drawn: Outlines, kind: str, inside: BoolArray, beside: int
) -> ByteArray:
    """Sets of classes with a kind's class in its objects, and none where all of them are drawn."""
    mine = CLASS_OF[kind]
    within = np.full(before.shape, mine, np.uint8)
    if kind == CROWN:
        # Of a roof or road below, nobody can say how far the crown reaches.
        within = np.where((before & mine == 0) & (before > 0), before | mine, mine)
    classes = np.where(inside, within, before)
    if kind in drawn.complete:
        square = np.ones((beside, beside), np.uint8)
        near = cv2.dilate((inside | (before == mine)).astype(np.uint8), square) > 0
        unsure = _burnt(_shapes(drawn, kind + MAY_BE), before.shape) > 0
        rest = np.where(before > 0, before, 255) & np.uint8(255 & ~mine)
        classes = np.where(near | unsure | (rest == 0), classes, rest)
    return classes.astype(np.uint8)


def _shapes(drawn: Outlines, kind: str) -> list[shapely.Geometry]:
    """A kind's shapes, large ones first, so that a small one within a large one stays whole."""
    shapes = [shape_of(stroke) for stroke in drawn.shapes if stroke.kind == kind]
    return sorted((shape for shape in shapes if not shape.is_empty), key=lambda s: -s.area)


def _burnt(shapes: list[shapely.Geometry], size: tuple[int, ...], after: int = 0) -> AnyArray:
    """Shapes as numbers that follow ``after``, (H, W) uint16; 0 elsewhere."""
    if not shapes:
        return np.zeros(size, np.uint16)
    numbered = ((shape, after + 1 + k) for k, shape in enumerate(shapes))
    return np.asarray(rasterize(numbered, out_shape=size, dtype="uint16"))


def photographs_of_small_objects(
    folder: Path, *, held_out: bool, path: Path = SMALL_OBJECTS
) -> Iterator[tuple[str, Sample]]:
    """NAIP photographs that were drawn completely, with their crowns and vehicles.

    Args:
        folder: Of the photographs (``train/naip_rgb``).
        held_out: Those of :data:`~.strokes.HELD_OUT_TOWN`; or all others.
        path: What was drawn.
    """
    outlines = read_outlines(OUTLINES)
    for name, drawn in read_outlines(path).items():
        if name in outlines and name.startswith(HELD_OUT_TOWN) == held_out:
            sample = outlined_sample(read_image(folder / f"{name}.jpg"), outlines[name])
            yield name, with_small_objects(sample, drawn)


def near_pictures_of_small_objects(
    shared: Path, *, held_out: bool, path: Path = SMALL_OBJECTS
) -> Iterator[tuple[str, Sample]]:
    """Pictures of drones and of map tiles with their crowns and vehicles.

    They are instances with buildings, also at other zooms of the same ground, squares of Banepa's
    western half, tiles of Banepa and crops of flights.

    Args:
        shared: The shared data.
        held_out: Places of the instances that are kept back; or all other pictures.
        path: What was drawn.
    """
    drawn, around = read_outlines(path), read_outlines(SURROUNDINGS)
    train = shared / "train"
    for _, name, sample in instances(train / "instances", held_out=held_out):
        size = (sample.labels.shape[1], sample.labels.shape[2])
        mine = surroundings_of(name, size, drawn)
        if mine is None:
            continue
        surroundings = surroundings_of(name, size, around)
        if surroundings is not None:
            sample = with_surroundings(sample, surroundings)
        yield name, with_small_objects(sample, mine)
    if held_out:
        return
    squares = [name for name in drawn if re.fullmatch(r"banepa_\d+_\d+", name)]
    if squares:
        west = with_squares(banepa(shared / "eval" / "buildings_banepa"), around)
        assert west.classes is not None
        for name in squares:
            top, left = (int(part) for part in name.split("_")[1:])
            assert top + DRAWN_SIDE <= BANEPA_HELD_OUT
            part = (slice(top, top + DRAWN_SIDE), slice(left, left + DRAWN_SIDE))
            square = Sample(west.image[part], west.labels[:, part[0], part[1]], west.classes[part])
            yield name, with_small_objects(square, drawn[name], BESIDE_IN_DRONE_PICTURES)
    outlines = read_outlines(DRONE_OUTLINES)
    for name, mine in drawn.items():
        flight, _, photograph = name.partition("_")
        if flight in FLIGHTS:
            image = read_image(train / "drone_crops" / FLIGHTS[flight] / f"{photograph}.jpg")
        elif (train / "banepa_unlabelled" / f"{name}.tif").exists():
            image = read_raster(train / "banepa_unlabelled" / f"{name}.tif")
        else:
            continue
        known = outlines.get(name, Outlines([], ()))
        sample = outlined_sample(image, known, BESIDE_IN_DRONE_PICTURES)
        yield name, with_small_objects(sample, mine, BESIDE_IN_DRONE_PICTURES)
