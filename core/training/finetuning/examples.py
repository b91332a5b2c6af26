# SPDX-License-Identifier: GPL-2.0-or-later
"""A user's layer as examples: objects on windows of the raster, split by place.

What is labelled is known, and nothing else: outside an area that is said to be complete, ground
without a polygon is not background.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from ...errors import ParameterError
from ...labels.chips import NO_CLASS, on_raster, polygons_on
from ...labels.places import Cut, cut_by_place
from ...layers.reader import LayerLike, read_vector
from ...raster.raster import Raster
from ...types import BoolArray, ByteArray, PixelBox

LEAST_OBJECTS = 12
"""Objects without which nothing is trained: half of them could not even tell a gain."""

LEAST_HELD_BACK = 4

ONE_PLACE = 5
"""Sides of an object: examples that lie within so many of each other are all of one place."""

SMALLEST = 16
"""Pixels of an object; smaller ones teach nothing."""

POSITIVE = frozenset({"accepted", "corrected", "accept", "correct", "ok", "yes"})
NEGATIVE = frozenset({"rejected", "reject", "no"})

Side = Literal["train", "held back"]


@dataclass(frozen=True, eq=False)
class Example:
    """One polygon in pixels.

    Args:
        id: Of the feature.
        label: Its class.
        rejected: It is no object.
        box: Tight box of its pixels.
        mask: (h, w) bool on that box.
        shape: Polygon, (column, row) of the raster.
    """

    id: str
    label: str
    rejected: bool
    box: PixelBox
    mask: BoolArray
    shape: Any

    @property
    def middle(self) -> tuple[float, float]:
        """(column, row) of its centroid."""
        point = self.shape.centroid
        return float(point.x), float(point.y)


@dataclass(frozen=True, eq=False)
class Examples:
    """All that a layer says of a raster.

    Args:
        objects: Accepted and corrected polygons, by place.
        rejected: Polygons that are no objects, by place.
        known: Polygons (column, row) inside which everything is labelled, or None.
        left_out: Sentences on what was not used.
        digest: Of all this and of the raster: another one, other data.
    """

    objects: tuple[Example, ...]
    rejected: tuple[Example, ...]
    known: Any | None
    left_out: tuple[str, ...]
    digest: str


@dataclass(frozen=True, eq=False)
class Window:
    """A part of the raster with its examples.

    Args:
        box: Its pixels.
        pixels: (h, w, 3) uint8.
        valid: (h, w) bool.
        objects, rejected: Examples that lie wholly inside.
        known: (h, w) bool; where everything is labelled.
        part: (h, w) bool; what no earlier window covers: objects are counted there only.
    """

    box: PixelBox
    pixels: ByteArray
    valid: BoolArray
    objects: tuple[Example, ...]
    rejected: tuple[Example, ...]
    known: BoolArray
    part: BoolArray

    def mask(self, example: Example) -> BoolArray:
        """An example's mask on this window."""
        out = np.zeros(self.box.shape, bool)
        out[example.box.slices(self.box)] = example.mask
        return out


@dataclass(frozen=True)
class ExampleOptions:
    """How a layer is read.

    Args:
        layer: Within the file.
        status_field: Field with "accepted", "corrected" or "rejected"; features of another status
            are not used. None: "status" where there is such a field, else all are accepted.
        class_field: Field with the class; noted in the card.
        complete: Polygons inside which everything is labelled.
        complete_everywhere: Everything on the raster is labelled.
        held_back: Share of the objects that is kept for measuring.
    """

    layer: str | None = None
    status_field: str | None = None
    class_field: str | None = None
    complete: str | Path | None = None
    complete_everywhere: bool = False
    held_back: float = 0.3

    def __post_init__(self) -> None:
        if not 0.1 <= self.held_back <= 0.7:
            raise ParameterError(
                f"The share that is held back must be 0.1 to 0.7, not {self.held_back}."
            )


def read_examples(raster: Raster, source: LayerLike, options: ExampleOptions) -> Examples:
    """Read a layer.

    Raises:
        ParameterError: It cannot be read, has no polygons on the raster, too few of them, or some
            that overlap.
    """
    features = read_vector(source, options.layer, parameter="layer")
    layer, shapes = polygons_on(raster, features)
    left_out: list[str] = []
    if len(features) > len(layer):
        left_out.append(f"{len(features) - len(layer)} features without area on the raster")
    status_field = options.status_field
    if status_field is None and "status" in layer.attributes.columns:
        status_field = "status"
    states = ["accepted"] * len(layer)
    if status_field is not None:
        states = [text.strip().lower() for text in layer.texts(status_field)]
    labels = [NO_CLASS] * len(layer)
    if options.class_field is not None:
        labels = [text or NO_CLASS for text in layer.texts(options.class_field)]
    frame = shapely.box(0, 0, raster.width, raster.height)
    objects: list[Example] = []
    rejected: list[Example] = []
    unseen = small = 0
    for row, shape in enumerate(shapes):
        if states[row] not in POSITIVE | NEGATIVE:
            unseen += 1
            continue
        example = _example(
            str(layer.attributes.index[row]), labels[row], states[row] in NEGATIVE,
            shapely.intersection(shape, frame),
        )  # fmt: skip
        if example is None:
            small += 1
            continue
        (rejected if example.rejected else objects).append(example)
    if unseen:
        left_out.append(f"{unseen} polygons whose {status_field} says that nobody looked at them")
    if small:
        left_out.append(f"{small} polygons of less than {SMALLEST} pixels")
    objects.sort(key=_place)
    rejected.sort(key=_place)
    if len(objects) < LEAST_OBJECTS:
        rest = f" Left out: {'; '.join(left_out)}." if left_out else ""
        raise ParameterError(
            f"{len(objects)} objects are too few to train on and to measure on others: at least "
            f"{LEAST_OBJECTS} are needed, and 30 are a good start.{rest}"
        )
    _check_overlaps(objects)
    known = None
    if options.complete_everywhere:
        known = frame
    elif options.complete is not None:
        area = read_vector(options.complete, what="The complete area")
        known = shapely.intersection(shapely.union_all(on_raster(area, raster)), frame)
        if known.area == 0:
            raise ParameterError(f"The complete area {options.complete} misses {raster.name}.")
    digest = hashlib.blake2b(digest_size=16)
    digest.update(raster.identity.encode())
    for example in (*objects, *rejected):
        digest.update(repr((example.label, example.rejected, example.box)).encode())
        digest.update(example.mask.tobytes())
    digest.update(b"" if known is None else shapely.to_wkb(known))
    return Examples(tuple(objects), tuple(rejected), known, tuple(left_out), digest.hexdigest())


def _place(example: Example) -> tuple[PixelBox, float, str]:
    return example.box, example.shape.area, example.id


def _example(name: str, label: str, rejected: bool, shape: Any) -> Example | None:
    if shape.is_empty or shape.area < SMALLEST:
        return None
    x0, y0, x1, y1 = shape.bounds
    box = PixelBox(int(y0), int(x0), int(np.ceil(y1)), int(np.ceil(x1)))
    moved = shapely.transform(shape, lambda xy: xy - np.array([box.col0, box.row0]))
    mask: BoolArray = rasterize([moved], out_shape=box.shape, dtype=np.uint8).astype(bool)
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if mask.sum() < SMALLEST:
        return None
    tight = PixelBox(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
    inner = mask[tight.slices(PixelBox(0, 0, *box.shape))]
    return Example(name, label, rejected, tight.shifted(box.row0, box.col0), inner, shape)


def _check_overlaps(objects: Sequence[Example]) -> None:
    """Refuse objects that overlap without one lying within the other.

    Raises:
        ParameterError: Two do.
    """
    shapes = np.array([o.shape for o in objects], dtype=object)
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    keep = first < second
    first, second = first[keep], second[keep]
    common = shapely.area(shapely.intersection(shapes[first], shapes[second]))
    areas = shapely.area(shapes)
    small, large = np.minimum(areas[first], areas[second]), np.maximum(areas[first], areas[second])
    twice = common > 0.5 * (small + large - common)
    crossing = (common > 0.2 * small) & (common < 0.9 * small)
    bad = np.flatnonzero(twice | crossing)
    if len(bad):
        one, other = objects[first[bad[0]]], objects[second[bad[0]]]
        raise ParameterError(
            f"{len(bad)} pairs of labels overlap (the first: features {one.id} and {other.id}): "
            "what belongs to which object is not clear; delete one of each pair, or cut them."
        )


# --- places --------------------------------------------------------------------------------------


def split(examples: Examples, share: float) -> Cut:
    """The line beyond which objects are held back.

    Raises:
        ParameterError: All lie at one place.
    """
    middles = np.array([o.middle for o in examples.objects])
    cut = cut_by_place(middles, share, LEAST_HELD_BACK)
    # Neighbours share light, roofs and mistakes: within a few objects' sides it is one place.
    sides = np.median([max(o.box.shape) for o in examples.objects])
    if np.ptp(middles[:, cut.axis]) < ONE_PLACE * sides:
        raise ParameterError(
            "All objects lie at one place, so that none can be held back elsewhere: add objects "
            "from another part of the raster."
        )
    return cut


def on_side(items: Sequence[Example], cut: Cut, side: Side) -> tuple[Example, ...]:
    """Those whose centroid lies on one side of a cut."""
    if not items:
        return ()
    beyond = cut.beyond(np.array([item.middle for item in items]))
    wanted = beyond if side == "held back" else ~beyond
    return tuple(item for item, keep in zip(items, wanted.tolist(), strict=True) if keep)


def side_of(box: PixelBox, cut: Cut, side: Side) -> BoolArray:
    """Pixels of a box on one side of a cut."""
    columns = cut.axis == 0
    first, count = (box.col0, box.width) if columns else (box.row0, box.height)
    centres = np.arange(first, first + count) + 0.5
    keep: BoolArray = np.asarray(centres >= cut.at if side == "held back" else centres < cut.at)
    shaped = keep.reshape(1, -1) if columns else keep.reshape(-1, 1)
    out: BoolArray = np.broadcast_to(shaped, box.shape).copy()
    return out


@dataclass
class Windows:
    """Windows of a raster in which all of some objects lie whole.

    Args:
        raster: Read from.
        size: Side of a window, pixels; smaller rasters are one window.
    """

    raster: Raster
    size: int
    dropped: list[str] = field(default_factory=list)

    def around(self, examples: Examples, cut: Cut, side: Side) -> list[Window]:
        """The fewest windows that a greedy choice finds, in the order of the choice.

        Objects that are larger than a window are left out and noted in :attr:`dropped`.
        """
        objects = on_side(examples.objects, cut, side)
        rejected = on_side(examples.rejected, cut, side)
        holds = self._holding(objects)
        left = set(range(len(objects)))
        # Counts only fall: a corner that is taken off the heap is looked at again.
        heap = [(-len(numbers), corner) for corner, numbers in holds.items()]
        heapq.heapify(heap)
        chosen: list[tuple[PixelBox, list[int]]] = []
        while left and heap:
            _, corner = heapq.heappop(heap)
            count = len(left.intersection(holds[corner]))
            if heap and (-count, corner) > heap[0]:
                if count:
                    heapq.heappush(heap, (-count, corner))
                continue
            if count:
                chosen.append((self._box(corner), holds[corner]))
                left.difference_update(holds[corner])
        if left:
            self.dropped.append(f"{len(left)} objects larger than a window of {self.size}")
        out: list[Window] = []
        seen: list[PixelBox] = []
        for box, numbers in chosen:
            out.append(
                self._window(box, [objects[k] for k in numbers], rejected, examples.known,
                             cut, side, seen)
            )  # fmt: skip
            seen.append(box)
        return out

    def _holding(self, objects: Sequence[Example]) -> dict[tuple[int, int], list[int]]:
        """Corners of candidates, at half-window steps and flush with the raster's end, and the
        numbers of the objects that lie whole in each."""
        rows, cols = self._starts(self.raster.height), self._starts(self.raster.width)
        holds: dict[tuple[int, int], list[int]] = {}
        for number, example in enumerate(objects):
            box = example.box
            for row in self._around(rows, box.row0, box.row1):
                for col in self._around(cols, box.col0, box.col1):
                    holds.setdefault((row, col), []).append(number)
        return holds

    def _starts(self, length: int) -> NDArray[np.int64]:
        last = max(0, length - self.size)
        return np.unique([*range(0, last, max(1, self.size // 2)), last]).astype(np.int64)

    def _around(self, starts: NDArray[np.int64], low: int, high: int) -> list[int]:
        """Those starts from which a window reaches over all of a span."""
        first = int(np.searchsorted(starts, high - self.size, "left"))
        found: list[int] = starts[first : np.searchsorted(starts, low, "right")].tolist()
        return found

    def _box(self, corner: tuple[int, int]) -> PixelBox:
        row, col = corner
        return PixelBox(
            row,
            col,
            min(row + self.size, self.raster.height),
            min(col + self.size, self.raster.width),
        )

    def _window(
        self,
        box: PixelBox,
        objects: Sequence[Example],
        rejected: Sequence[Example],
        known: Any | None,
        cut: Cut,
        side: Side,
        seen: Sequence[PixelBox],
    ) -> Window:
        read = self.raster.read(box)
        area = np.zeros(box.shape, bool)
        mine = side_of(box, cut, side)
        if known is not None:
            moved = shapely.transform(known, lambda xy: xy - np.array([box.col0, box.row0]))
            area = rasterize([moved], out_shape=box.shape, dtype=np.uint8).astype(bool)
            area &= mine
        part = mine.copy()
        for earlier in seen:
            both = earlier.intersection(box)
            if not both.empty:
                part[both.slices(box)] = False
        return Window(
            box,
            read.pixels,
            read.valid,
            tuple(objects),
            tuple(r for r in rejected if box.contains(r.box)),
            area,
            part,
        )
