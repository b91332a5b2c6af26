# SPDX-License-Identifier: GPL-2.0-or-later
"""Photographs of towns whose buildings, roads and water were all outlined by eye.

Strokes (:mod:`.strokes`) say what is where at some places; they know no object, and cannot say that
a place is *no* building. So some of the NAIP photographs (60 cm, California) were drawn completely
for this project, by AI assistants that looked at them four times magnified with a grid, and then at
what they had drawn: ``naip_outlines.json``. The photographs of other years of the same place get
the same buildings, roads and water, moved by what the photographs differ. One town is kept back.

Drone pictures were drawn in the same way (:func:`drawn_drone_pictures`): tiles of Banepa without
footprints, which lie 70 m and more east of the tested half, and crops of photographs of three other
flights.

Pictures whose buildings or fields are known already (:func:`~.crops.instances`, Banepa's western
half) were drawn as to what is around those: ``surroundings.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from rasterio.features import rasterize
from skimage.registration import phase_cross_correlation

from ...models.embedded.classes import bits
from ...types import AnyArray, ByteArray
from .crops import Sample, read_image, read_raster
from .opencv import cv2
from .strokes import HELD_OUT_TOWN, KINDS, Stroke

OUTLINES = Path(__file__).with_name("naip_outlines.json")
"""Photograph -> {"shapes": [[kind, width in px, [[x, y], ...]], ...], "complete": [kind, ...]};
pixels from the photograph's corner; a width of 0 is a filled polygon, a single point a dot."""

SURROUNDINGS = Path(__file__).with_name("surroundings.json")
"""The same of pictures of the instances, by their names, and of squares of the Banepa mosaic, by
``banepa_row_column`` of their corner."""

DRONE_OUTLINES = Path(__file__).with_name("drone_outlines.json")
"""The same of tiles of Banepa (``OAM-column-row-zoom``) and of crops of drone photographs
(``flight_photograph``)."""

FLIGHTS = {"brighton": "brighton_bsd2", "caliterra": "caliterra_cc0", "seneca": "seneca_cc0_nir"}
"""Folders of the crops, by the first part of their names."""

KIND_CLASSES = {**KINDS, "vehicle": bits("vehicle")}
"""Sets of classes of the kinds of shapes."""

UNSURE = "unsure"
"""The kind of a shape in which nobody could tell what is there: its classes stay unknown."""

OBJECTS = ("building", "water", "vehicle")
"""Kinds of which each shape is an object."""

LASTING = ("building", "road", "water", UNSURE)
"""Kinds that are the same in photographs of other years."""

BESIDE, BESIDE_IN_DRONE_PICTURES = 5, 11
"""Pixels across which nothing is said beside a complete kind, outlines being off by a few."""

DRAWN_SIDE = 512
"""Pixels of the pictures whose surroundings were drawn."""

LARGEST_SHIFT = 6.0
"""Pixels by which photographs of one place may differ; those that differ more are left out."""


@dataclass(frozen=True)
class Outlines:
    """What was drawn on a photograph.

    Args:
        shapes: In the order of drawing; later ones lie above earlier ones. A width of 0 is a
            filled polygon.
        complete: Kinds of which everything was drawn.
    """

    shapes: Sequence[Stroke]
    complete: tuple[str, ...]

    def moved(self, right: float, down: float, scale: float = 1.0) -> Outlines:
        """All of it, magnified and then moved by pixels."""
        by = np.array([right, down], np.float32)
        shapes = [Stroke(s.kind, s.width * scale, s.points * scale + by) for s in self.shapes]
        return Outlines(shapes, self.complete)

    @property
    def lasting(self) -> Outlines:
        """What is the same in other years."""
        return Outlines([s for s in self.shapes if s.kind in LASTING], self.complete)


def read_outlines(path: Path = OUTLINES) -> dict[str, Outlines]:
    """The outlines of every photograph, by its name without the ending."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Outlines(
            [Stroke(k, width, np.array(points, np.float32)) for k, width, points in row["shapes"]],
            tuple(row["complete"]),
        )
        for name, row in rows.items()
    }


def shape_of(stroke: Stroke) -> shapely.Geometry:
    """A polygon, a line as wide as it was drawn, or a disc."""
    if len(stroke.points) == 1:
        return shapely.Point(stroke.points[0]).buffer(max(stroke.width, 1) / 2)
    if stroke.width > 0:
        return shapely.LineString(stroke.points).buffer(stroke.width / 2, cap_style="flat")
    if len(stroke.points) == 2:
        return shapely.LineString(stroke.points).buffer(0.5)
    return shapely.Polygon(stroke.points).buffer(0)


def _drawn(outlines: Outlines) -> list[tuple[str, shapely.Geometry]]:
    """Kinds and shapes that cover something, in the order of drawing."""
    shapes = ((stroke.kind, shape_of(stroke)) for stroke in outlines.shapes)
    return [(kind, shape) for kind, shape in shapes if not shape.is_empty]


def outlined_sample(image: ByteArray, outlines: Outlines, beside: int = BESIDE) -> Sample:
    """A photograph with its objects and the sets of classes that its pixels may have.

    Args:
        image: (H, W, 3) uint8.
        outlines: In its pixels.
        beside: As for :func:`class_plane`.
    """
    size = (image.shape[0], image.shape[1])
    objects = [shape for kind, shape in _drawn(outlines) if kind in OBJECTS]
    # Large ones first, so that a small one within a large one stays whole.
    objects.sort(key=lambda shape: -shape.area)
    labels = np.zeros(size, np.uint16)
    if objects:
        numbered = ((shape, number + 1) for number, shape in enumerate(objects))
        labels = rasterize(numbered, out_shape=size, dtype="uint16")
    return Sample(image, labels[None], class_plane(outlines, size, beside))


def class_plane(outlines: Outlines, size: tuple[int, int], beside: int = BESIDE) -> ByteArray:
    """The sets of classes that outlines give, (H, W) uint8; 0 where nothing is known.

    Args:
        outlines: In pixels.
        size: (rows, columns).
        beside: Pixels across which nothing is said beside a complete kind.
    """
    shapes = _drawn(outlines)
    classes = np.full(size, 255, np.uint8)
    if shapes:
        known = rasterize(
            ((shape, number + 1) for number, (_, shape) in enumerate(shapes)),
            out_shape=size,
            dtype="uint16",
        )
        sets = [255, *(0 if kind == UNSURE else KIND_CLASSES[kind] for kind, _ in shapes)]
        classes = np.array(sets, np.uint8)[known]
    for kind in outlines.complete:
        mine = [(shape, 1) for name, shape in shapes if name == kind]
        inside = (
            rasterize(mine, out_shape=size, dtype="uint8") if mine else np.zeros(size, np.uint8)
        )
        near = cv2.dilate(inside, np.ones((beside, beside), np.uint8)) > 0
        # What may be anything else, and car parks, are still no member of the complete kinds.
        without = classes & np.uint8(255 & ~bits(kind))
        classes = np.where(near | (without == 0), classes, without)
    classes[classes == 255] = 0
    return classes.astype(np.uint8)


def with_surroundings(sample: Sample, outlines: Outlines) -> Sample:
    """A sample whose objects are known, with the classes of what was drawn around them.

    Where both say something, a pixel may be what both allow; where that is nothing, what is known
    of the objects counts.
    """
    assert sample.classes is not None
    drawn = class_plane(outlines, sample.classes.shape)
    both = np.where(drawn > 0, sample.classes & drawn, sample.classes)
    both = np.where(sample.classes == 0, drawn, both)
    return replace(sample, classes=np.where(both > 0, both, sample.classes).astype(np.uint8))


def surroundings_of(
    name: str, size: tuple[int, int], drawn: Mapping[str, Outlines]
) -> Outlines | None:
    """What was drawn around the objects of a picture of the instances.

    Pictures of map tiles (``town_z20_column_row``) show the same ground at several zooms; any that
    was drawn will do.

    Args:
        name: Of the picture, without the ending.
        size: Its (rows, columns).
        drawn: :func:`read_outlines` of :data:`SURROUNDINGS`.

    Returns:
        None where nothing was drawn of this ground.
    """
    if name in drawn:
        return drawn[name]
    mine = _tile(name)
    if mine is None:
        return None
    town, zoom, left, top = mine
    for other, outlines in drawn.items():
        theirs = _tile(other)
        if theirs is None or theirs[0] != town:
            continue
        scale = 2.0 ** (zoom - theirs[1])
        right, down = theirs[2] * scale - left, theirs[3] * scale - top
        side = DRAWN_SIDE * scale
        if right <= 0 and down <= 0 and right + side >= size[1] and down + side >= size[0]:
            return outlines.moved(right, down, scale)
    return None


def with_squares(mosaic: Sample, drawn: Mapping[str, Outlines]) -> Sample:
    """The western half of the Banepa mosaic with what was drawn around its buildings."""
    assert mosaic.classes is not None
    classes = mosaic.classes.copy()
    for name, outlines in drawn.items():
        found = re.fullmatch(r"banepa_(\d+)_(\d+)", name)
        if found is not None:
            top, left = int(found[1]), int(found[2])
            part = (slice(top, top + DRAWN_SIDE), slice(left, left + DRAWN_SIDE))
            square = Sample(mosaic.image[part], mosaic.labels[:, part[0], part[1]], classes[part])
            known = with_surroundings(square, outlines).classes
            assert known is not None
            classes[part] = known
    return replace(mosaic, classes=classes)


def _tile(name: str) -> tuple[str, int, float, float] | None:
    """Town, zoom, and left and top in pixels of the zoom, of a picture of map tiles."""
    found = re.fullmatch(r"(.+)_z(\d\d)_(\d+)_(\d+)", name)
    if found is None:
        return None
    return found[1], int(found[2]), 256.0 * int(found[3]), 256.0 * int(found[4])


def place_and_year(name: str) -> tuple[str, str]:
    """Town and number, and year, of a photograph's name (``palm_springs_2018_33``)."""
    found = re.fullmatch(r"(.+)_(\d{4})_(\d+)", name)
    if found is None:
        raise ValueError(f"{name} is no name of a photograph: town_year_number is expected.")
    return f"{found[1]}_{found[3]}", found[2]


def shift_between(drawn: ByteArray, other: ByteArray) -> tuple[float, float] | None:
    """How far right and down things lie in another photograph of a place, pixels.

    By phase correlation of the edges (light and seasons differ).

    Returns:
        None where the photographs do not fit.
    """
    if drawn.shape != other.shape:
        return None
    one, two = (_edges(image) for image in (drawn, other))
    shift, _, _ = phase_cross_correlation(two, one, upsample_factor=4)  # type: ignore[no-untyped-call]
    right, down = float(shift[1]), float(shift[0])
    if max(abs(right), abs(down)) > LARGEST_SHIFT:
        return None
    return right, down


def _edges(image: ByteArray) -> AnyArray:
    grey = cv2.GaussianBlur(image.astype(np.float32).mean(-1), (0, 0), 1.0)
    across, along = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, along)
    return np.asarray(strength / (strength.mean() + cv2.blur(strength, (31, 31))), np.float32)


def outlined_photographs(
    folder: Path, *, held_out: bool, path: Path = OUTLINES
) -> Iterator[tuple[str, Sample]]:
    """The photographs that were drawn, and those of other years of the same places.

    Args:
        folder: Of the photographs (``train/naip_rgb``).
        held_out: Those of :data:`~.strokes.HELD_OUT_TOWN`, only as they were drawn; or all others.
        path: The outlines.
    """
    years: dict[str, list[str]] = {}
    for photograph in sorted(folder.glob("*.jpg")):
        years.setdefault(place_and_year(photograph.stem)[0], []).append(photograph.stem)
    for name, outlines in read_outlines(path).items():
        if name.startswith(HELD_OUT_TOWN) != held_out:
            continue
        image = read_image(folder / f"{name}.jpg")
        yield name, outlined_sample(image, outlines)
        if held_out:
            continue
        for other in years[place_and_year(name)[0]]:
            if other == name:
                continue
            seen = read_image(folder / f"{other}.jpg")
            shift = shift_between(image, seen)
            if shift is not None:
                yield other, outlined_sample(seen, outlines.lasting.moved(*shift))


def drawn_drone_pictures(train: Path, path: Path = DRONE_OUTLINES) -> Iterator[tuple[str, Sample]]:
    """Tiles of Banepa and crops of drone photographs that were drawn completely.

    Args:
        train: The training folder, of which ``banepa_unlabelled`` and ``drone_crops`` are read.
        path: The outlines.
    """
    for name, outlines in read_outlines(path).items():
        flight, _, photograph = name.partition("_")
        if flight in FLIGHTS:
            image = read_image(train / "drone_crops" / FLIGHTS[flight] / f"{photograph}.jpg")
        else:
            image = read_raster(train / "banepa_unlabelled" / f"{name}.tif")
        yield name, outlined_sample(image, outlines, BESIDE_IN_DRONE_PICTURES)
