# SPDX-License-Identifier: GPL-2.0-or-later
"""Exemplar boxes: a window is searched for what looks like boxes on the same raster (SAM 3).

SAM 3 takes exemplars in the image that it looks at, and most windows of a raster show none of them.
So every window is looked at with them beside it: patches of the raster around the exemplars lie in
a strip to the right of the window and below it, and their boxes are the prompts. That is what
SAM 3's authors advise for exemplars of another image (facebookresearch/sam3, issue 183). Exemplars
that lie in the window itself are prompts there, too. ::

    +--------------+---+
    |              |   |    window: size x size pixels
    |              +---+
    |              |   |    strip: nine cells of size // 4, each with one patch in the middle;
    +---+---+---+--+---+    six show what is looked for, three what is not
    |   |   |   |  |   |
    +---+---+---+--+---+

The model sees all of it at four fifths of the scale of a window alone. What it finds in the strip
is left out.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..errors import ModelError, PromptError
from ..masks.masks import Mask, PromptRef, TileMasks
from ..models.base import Concept, ConceptModel, ExemplarModel
from ..notes import warn
from ..parallel.cancellation import check
from ..raster.raster import Raster
from ..raster.resample import axis_weights, resample
from ..tiles.mask_grid import PADDING_COLOUR, choose_cell, pad_image
from ..types import ByteArray, FloatArray, PixelBox
from .segmenter import TileImage
from .words import ConceptOptions, ConceptSegmenter, placed

VERSION = 1
"""Of the rules below; part of the fingerprint."""

SHARE = 4
"""Cells of the strip along a side of the window."""

MOST_LIKE, MOST_UNLIKE = 6, 3
"""Patches of a class, and of what belongs to none: together the cells of the strip."""

AROUND = 1.5
"""Side of what is shown of an exemplar, in longest sides of its box, at least."""

PATCH = 256
"""Pixels around an exemplar that are kept, at least."""

LARGEST = 1024
"""Longest side of an exemplar, pixels: a larger one would not fit into a window."""


@dataclass(frozen=True)
class ExemplarBox:
    """A box around one object.

    Args:
        bounds: (row0, col0, row1, col1) in working pixels of the raster.
        name: The object's class; empty for what belongs to none.
    """

    bounds: tuple[float, float, float, float]
    name: str

    @property
    def longest(self) -> float:
        """Its longest side, pixels."""
        row0, col0, row1, col1 = self.bounds
        return max(row1 - row0, col1 - col0)


@dataclass(frozen=True, eq=False)
class Exemplar:
    """An exemplar with the pixels around it.

    Args:
        box: Where it lies on the raster.
        pixels: (h, w, 3) uint8.
        inside: Its box (row0, col0, row1, col1) in ``pixels``.
    """

    box: ExemplarBox
    pixels: ByteArray
    inside: tuple[float, float, float, float]

    def shown(self, side: int) -> tuple[ByteArray, FloatArray]:
        """Its surroundings in at most ``side`` x ``side`` pixels, and its box in them, (4,).

        They are at the raster's scale where the exemplar fits, else shrunk.
        """
        height, width = self.pixels.shape[:2]
        row0, col0, row1, col1 = self.inside
        wanted = max(side, math.ceil(AROUND * self.box.longest))
        first = [
            int(min(max(round((low + high) / 2 - wanted / 2), 0), max(length - wanted, 0)))
            for low, high, length in ((row0, row1, height), (col0, col1, width))
        ]
        part = self.pixels[first[0] : first[0] + wanted, first[1] : first[1] + wanted]
        scale = max(max(part.shape[:2]) / side, 1.0)
        if scale > 1:
            part = _shrunk(part, scale)
        box = np.array([row0 - first[0], col0 - first[1], row1 - first[0], col1 - first[1]])
        limits = np.array([*part.shape[:2], *part.shape[:2]])
        return part, np.clip(box / scale, 0, limits).astype(np.float32)


def cut_exemplars(raster: Raster, boxes: Sequence[ExemplarBox]) -> tuple[Exemplar, ...]:
    """The exemplars that windows are shown: of many, some from the smallest to the largest.

    Args:
        raster: Open.
        boxes: Any number, in any order; the order changes nothing.

    Raises:
        PromptError: None of a class is usable: beside the raster, without data, or too large.
    """
    frame = raster.bounds
    usable, large = [], 0
    for box in sorted(set(boxes), key=lambda each: (each.longest, each.bounds, each.name)):
        whole = _whole(box).intersection(frame)
        if whole.empty or not raster.has_data(whole):
            continue
        if box.longest > LARGEST:
            large += 1
        else:
            usable.append(box)
    names = sorted({box.name for box in usable} - {""})
    if not names:
        if large:
            raise PromptError(
                f"An exemplar is longer than {LARGEST} px, which no window shows whole: give "
                "smaller objects, or look at a coarser resolution."
            )
        raise PromptError(
            "No exemplar of a class lies on the raster's data: draw a box around one object."
        )
    if large:
        warn(f"{large} exemplars are longer than {LARGEST} px and were left out.")
    unlike = _spread([box for box in usable if not box.name], MOST_UNLIKE)
    most = MOST_LIKE + MOST_UNLIKE - len(unlike)
    chosen = [_spread([box for box in usable if box.name == name], most) for name in names]
    return tuple(_cut(raster, box) for some in (*chosen, unlike) for box in some)


class ExemplarSegmenter(ConceptSegmenter):
    """A :class:`~samgeo_core.segmenters.segmenter.Segmenter` that finds what exemplars show.

    Args:
        finder: Takes exemplars.
        exemplars: From :func:`cut_exemplars`.
        options: See there.

    Raises:
        ModelError: The finder takes no exemplars.
    """

    def __init__(
        self,
        finder: ConceptModel,
        exemplars: Sequence[Exemplar],
        options: ConceptOptions | None = None,
    ) -> None:
        if not isinstance(finder, ExemplarModel) or finder.info.mask_size == 0:
            raise ModelError(
                f"{finder.info.name} finds by words, but not by exemplars: choose sam3."
            )
        names = sorted({exemplar.box.name for exemplar in exemplars} - {""})
        super().__init__(finder, names, None, options)
        self.words = tuple(names)
        self._by_name = {
            name: [each for each in exemplars if each.box.name == name] for name in (*names, "")
        }
        self._like: ExemplarModel = finder

    @property
    def fingerprint(self) -> str:
        """All that changes the results; the pixels of the exemplars, too."""
        digest = hashlib.sha256()
        for name in sorted(self._by_name):
            for each in self._by_name[name]:
                digest.update(json.dumps([name, each.inside, each.box.bounds]).encode())
                digest.update(each.pixels.tobytes())
        settings = [VERSION, self.finder.info.fingerprint, digest.hexdigest()]
        settings += [asdict(self.options)]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]

    def cell_size(self, window_size: int) -> int:
        """Side of the mask cells: the model's own of window and strip, as whole pixels."""
        side = window_size + window_size // SHARE
        return choose_cell(side / self.finder.info.mask_size, window_size)

    def segment(self, image: TileImage) -> TileMasks:
        """All instances of what the exemplars show, class by class."""
        masks: list[Mask] = []
        if image.valid.any():
            for name in self.words:
                check()
                canvas, boxes, unlike = self._canvas(image, name)
                concept = self._like.find_like(
                    canvas, boxes, unlike=unlike, min_score=self._min_score
                )
                found = self._instances(
                    _in_window(concept, image.size / canvas.shape[0]),
                    None,
                    image,
                    canvas.shape[0],
                )
                masks += placed(found, image, PromptRef(name, "exemplar", name))
        return TileMasks(image.tile.index, image.cell, masks)

    def _canvas(self, image: TileImage, name: str) -> tuple[ByteArray, FloatArray, FloatArray]:
        """Window and strip, (side, side, 3); boxes of what is looked for and of what is not."""
        size, cell = image.size, image.size // SHARE
        canvas = np.empty((size + cell, size + cell, 3), np.uint8)
        canvas[...] = PADDING_COLOUR
        canvas[:size, :size] = pad_image(image.pixels, size)
        likes, unlikes = self._by_name[name], self._by_name[""]
        cells = [(number * cell, size) for number in range(SHARE)]
        cells += [(size, number * cell) for number in range(SHARE)]
        cells += [(size, size)]
        gap = max(cell // 32, 1)
        boxes = []
        for exemplar, (row, col) in zip([*likes, *unlikes], cells, strict=False):
            patch, box = exemplar.shown(cell - 2 * gap)
            row += (cell - patch.shape[0]) // 2
            col += (cell - patch.shape[1]) // 2
            canvas[row : row + patch.shape[0], col : col + patch.shape[1]] = patch
            boxes.append(box + np.array([row, col, row, col], np.float32))
        here = [_within(image, likes), _within(image, unlikes)]
        like = np.array([*here[0], *boxes[: len(likes)]], np.float32).reshape(-1, 4)
        unlike = np.array([*here[1], *boxes[len(likes) :]], np.float32).reshape(-1, 4)
        return canvas, like, unlike


def _within(image: TileImage, exemplars: Sequence[Exemplar]) -> list[FloatArray]:
    """Boxes of the exemplars that lie whole in a window, in its pixels."""
    window = image.tile.window
    return [
        np.array(each.box.bounds, np.float32)
        - np.array([window.row0, window.col0, window.row0, window.col0], np.float32)
        for each in exemplars
        if window.contains(_whole(each.box))
    ]


def _in_window(concept: Concept, share: float) -> Concept:
    """The instances most of which is not in the strip.

    Args:
        concept: Of window and strip.
        share: Of their side, the window's.
    """
    if concept.logits is None:
        return concept
    rows, cols = (round(share * length) for length in concept.logits.shape[1:])
    inside = concept.logits > 0
    keep = 2 * inside[:, :rows, :cols].sum(axis=(1, 2)) > inside.sum(axis=(1, 2))
    return Concept(concept.logits[keep], concept.boxes[keep], concept.scores[keep])


def _whole(box: ExemplarBox) -> PixelBox:
    row0, col0, row1, col1 = box.bounds
    first = math.floor(row0), math.floor(col0)
    return PixelBox(*first, max(math.ceil(row1), first[0] + 1), max(math.ceil(col1), first[1] + 1))


def _spread(boxes: Sequence[ExemplarBox], most: int) -> list[ExemplarBox]:
    """At most so many of boxes that are in the order of their sizes, evenly from all of them."""
    if len(boxes) <= most:
        return list(boxes)
    places = np.linspace(0, len(boxes) - 1, most).round().astype(int)
    return [boxes[place] for place in places]


def _cut(raster: Raster, box: ExemplarBox) -> Exemplar:
    """An exemplar with the pixels around it, as far as the raster reaches."""
    frame, whole = raster.bounds, _whole(box)
    side = max(PATCH, math.ceil(AROUND * box.longest))
    row, col = (whole.row0 + whole.row1 - side) // 2, (whole.col0 + whole.col1 - side) // 2
    around = PixelBox(row, col, row + side, col + side).intersection(frame)
    row0, col0, row1, col1 = box.bounds
    inside = (
        max(row0, frame.row0) - around.row0,
        max(col0, frame.col0) - around.col0,
        min(row1, frame.row1) - around.row0,
        min(col1, frame.col1) - around.col0,
    )
    return Exemplar(box, raster.read(around).pixels, inside)


def _shrunk(pixels: ByteArray, scale: float) -> ByteArray:
    """(h, w, 3) uint8 by a factor of at least 1, as means of areas."""
    height, width = (max(int(length / scale), 1) for length in pixels.shape[:2])
    values = np.moveaxis(pixels, -1, 0)
    rows = axis_weights(0, height, scale, pixels.shape[0])
    cols = axis_weights(0, width, scale, pixels.shape[1])
    part = values[:, rows.start : rows.stop, cols.start : cols.stop]
    means, _ = resample(part, np.ones(part.shape, bool), rows, cols)
    return np.ascontiguousarray(np.moveaxis(means.round().astype(np.uint8), 0, -1))
