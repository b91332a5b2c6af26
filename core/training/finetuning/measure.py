# SPDX-License-Identifier: GPL-2.0-or-later
"""What a model does on some windows: boxes, clicks and the automatic mode.

Prompts are those of ``benchmarks/embedded_model.py``: the object's exact box (one mask asked for),
and a click in its deepest place (the candidate that the model ranks first). The automatic mode runs
over the windows; recall and precision are at IoU > 0.5, one to one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ...masks.masks import Mask
from ...models.base import Decoded, Embedding, PromptableModel, Prompts
from ...models.embedding_cache import EmbeddingCache, embedding_key
from ...parallel.cancellation import check
from ...segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from ...segmenters.proposers import Proposer
from ...segmenters.segmenter import TileImage
from ...tiles.grid import Tile
from ...tiles.mask_grid import resample
from ...types import BoolArray, ByteArray, FloatArray, PixelBox, TileIndex
from .examples import Example, Window

Floats = NDArray[np.float64]
Found = list[tuple[PixelBox, BoolArray]]
"""What was found in a window: each on its box, in pixels of the window."""

BLOCK = 4
"""Blocks along a window's side: units that are drawn again for the automatic mode."""

MOVES = 3
"""Places that each object's prompts are moved to."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model does on some windows.

    Args:
        box, click: (n,) IoU of each object.
        moved: (n,) mean IoU for the same two prompts moved elsewhere with their object.
        found: (a,) whether the automatic mode found an object of the windows in which it was run;
            None where it was not.
        block: (a,) number of the block of ground that such an object lies in.
        false: (m,) blocks of what the automatic mode found besides, where everything is labelled.
        again: (r,) whether a rejected polygon was found again by the automatic mode.
        complete: Everything is labelled somewhere in the windows.
    """

    box: Floats
    click: Floats
    moved: Floats
    found: BoolArray | None
    block: NDArray[np.int64]
    false: NDArray[np.int64]
    again: BoolArray
    complete: bool

    def figures(self) -> dict[str, float]:
        """Means by name."""
        out = {"box_iou": float(self.box.mean()), "click_iou": float(self.click.mean())}
        if self.found is not None:
            recall = float(self.found.mean())
            out["recall"] = recall
            if self.complete:
                hits = int(self.found.sum())
                out["precision"] = hits / max(1, hits + len(self.false))
                out["f1"] = 2 * hits / max(1, len(self.found) + hits + len(self.false))
            if len(self.again):
                out["rejected_again"] = float(self.again.mean())
        return out


class CachedEncoder:
    """A model whose encoder is asked once an image; its decoder may have changed since.

    Args:
        model: Its embeddings are kept under the fingerprint ``encoder``.
        cache: Where they are kept.
        encoder: Fingerprint of the encoder.
    """

    def __init__(self, model: PromptableModel, cache: EmbeddingCache, encoder: str) -> None:
        self.model, self._cache, self._encoder = model, cache, encoder
        self.info = model.info

    def with_model(self, model: PromptableModel) -> CachedEncoder:
        """Another decoder behind the same encoder."""
        return CachedEncoder(model, self._cache, self._encoder)

    def with_score(self, score: float) -> CachedEncoder:
        """Another threshold of the automatic mode."""
        other = self.with_model(self.model)
        other.info = replace(self.info, score_threshold=score)
        return other

    def encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        """See :meth:`PromptableModel.encode`."""
        return [self._encoded(image) for image in images]

    def _encoded(self, image: ByteArray) -> Embedding:
        key = embedding_key(image, self._encoder)
        return self._cache.get_or_make(key, lambda: self.model.encode([image])[0])[0]

    def decode(
        self,
        embedding: Embedding,
        prompts: Prompts,
        *,
        multimask: bool = True,
        min_score: float | None = None,
    ) -> Decoded:
        """See :meth:`PromptableModel.decode`."""
        return self.model.decode(embedding, prompts, multimask=multimask, min_score=min_score)


def deepest(mask: BoolArray) -> tuple[float, float]:
    """(row, column) of the place in a mask that is farthest from its border."""
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(depth.argmax()), mask.shape)
    return float(row) + 0.5, float(col) + 0.5


def iou_at(logits: FloatArray, embedding: Embedding, box: PixelBox, mask: BoolArray) -> float:
    """IoU of an answer with an object, in pixels of the image.

    Only where either of them is: the rest of a window would take most of the time.

    Args:
        logits: (h, w) on the embedding's cells.
        embedding: Of the image.
        box: The object's, in the image.
        mask: Of the object, on its box.
    """
    height, width = embedding.shape
    rows, cols = np.flatnonzero((logits > 0).any(axis=1)), np.flatnonzero((logits > 0).any(axis=0))
    near = box
    if len(rows):
        cell_row, cell_col = embedding.cell_size
        near = PixelBox(
            max(0, int((rows[0] - 1) * cell_row)),
            max(0, int((cols[0] - 1) * cell_col)),
            min(height, int(np.ceil((rows[-1] + 2) * cell_row))),
            min(width, int(np.ceil((cols[-1] + 2) * cell_col))),
        ).union(box)
    fine = resample(
        logits, embedding.cell_size, (1.0, 1.0), offset=(near.row0, near.col0), shape=near.shape
    )
    given = fine > 0
    common = int(np.count_nonzero(given[box.slices(near)] & mask))
    union = int(np.count_nonzero(given)) + int(np.count_nonzero(mask)) - common
    return common / union if union else 1.0


def measure(
    model: PromptableModel,
    windows: Sequence[Window],
    *,
    automatic: int = 4,
    points: int = 32,
    seed: int = 11,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Ask a model about all objects of some windows, each once.

    Args:
        model: Any.
        windows: Held-back ones, or others.
        automatic: Windows in which the automatic mode is run, too; the first ones.
        points: Its points along a window's side.
        seed: Where prompts are moved to.
        report: Told of progress.
    """
    rng = np.random.default_rng(seed)
    box: list[float] = []
    click: list[float] = []
    moved: list[float] = []
    found: list[bool] = []
    blocks: list[int] = []
    false: list[int] = []
    again: list[bool] = []
    for number, window in enumerate(windows):
        check()
        embedding = model.encode([window.pixels])[0]
        mine = []
        for example, local in _own(window):
            mine.append(window.mask(example))
            if number < automatic:
                blocks.append(_block(number, (float(local[0]), float(local[1])), window))
            at = example.box.shifted(-window.box.row0, -window.box.col0)
            answers = _asked(model, embedding, at, example.mask)
            box.append(answers[0])
            click.append(answers[1])
            there = [_elsewhere(at, window.box.shape, rng) for _ in range(MOVES)]
            asked = [_asked(model, embedding, place, example.mask) for place in there]
            moved.append(float(np.mean(asked)))
        if number < automatic:
            hits, extra, back = _compared(everything(model, window, points)[0], window, mine)
            found += hits
            false += [_block(number, place, window) for place in extra]
            again += back
        report(number + 1, len(windows))
    return Measured(
        np.array(box),
        np.array(click),
        np.array(moved),
        np.array(found, bool) if automatic > 0 else None,
        np.array(blocks, np.int64),
        np.array(false, np.int64),
        np.array(again, bool),
        any(bool(window.known.any()) for window in windows[:automatic]),
    )


def measure_found(
    measured: Measured,
    found_there: Sequence[Sequence[tuple[PixelBox, BoolArray]]],
    windows: Sequence[Window],
) -> Measured:
    """The same answers to boxes and clicks with other finds of the automatic mode.

    Args:
        measured: Of a model with the same decoder, on windows that begin with these.
        found_there: For each window what is found in it, each on its box.
        windows: Those in which the automatic mode was run.
    """
    found: list[bool] = []
    false: list[int] = []
    again: list[bool] = []
    for number, (window, here) in enumerate(zip(windows, found_there, strict=True)):
        mine = [window.mask(example) for example, _ in _own(window)]
        hits, extra, back = _compared(here, window, mine)
        found += hits
        false += [_block(number, place, window) for place in extra]
        again += back
    return replace(
        measured,
        found=np.array(found, bool),
        false=np.array(false, np.int64),
        again=np.array(again, bool),
    )


def _own(window: Window) -> list[tuple[Example, tuple[int, int]]]:
    """Objects of a window that no earlier window has, and their (row, column) in it."""
    out = []
    for example in window.objects:
        row, col = (int(v) for v in (example.middle[1], example.middle[0]))
        local = (
            min(row - window.box.row0, window.box.height - 1),
            min(col - window.box.col0, window.box.width - 1),
        )
        if window.part[max(0, local[0]), max(0, local[1])]:
            out.append((example, local))
    return out


def _asked(
    model: PromptableModel, embedding: Embedding, box: PixelBox, mask: BoolArray
) -> tuple[float, float]:
    """IoU for an object's box, and for a click in its middle."""
    corners = np.array([[box.row0, box.col0, box.row1, box.col1]], np.float32)
    by_box = model.decode(embedding, Prompts(boxes=corners), multimask=False)
    row, col = deepest(mask)
    place = np.array([[[row + box.row0, col + box.col0]]], np.float32)
    by_click = model.decode(embedding, Prompts(points=place, labels=np.ones((1, 1), np.int8)))
    best = int(by_click.scores[0].argmax())
    return (
        iou_at(by_box.logits[0, 0], embedding, box, mask),
        iou_at(by_click.logits[0, best], embedding, box, mask),
    )


def _elsewhere(box: PixelBox, size: tuple[int, int], rng: np.random.Generator) -> PixelBox:
    """A box of the same size in the window, its own length away where there is room."""
    row, col = box.row0, box.col0
    for _ in range(20):
        row = int(rng.integers(0, size[0] - box.height + 1))
        col = int(rng.integers(0, size[1] - box.width + 1))
        if abs(row - box.row0) >= box.height or abs(col - box.col0) >= box.width:
            break
    return PixelBox(row, col, row + box.height, col + box.width)


def _block(number: int, place: tuple[float, float], window: Window) -> int:
    """Number of the block of ground that a place of a window lies in."""
    row, col = (
        min(BLOCK - 1, max(0, int(BLOCK * v / side)))
        for v, side in zip(place, window.box.shape, strict=True)
    )
    return (number * BLOCK + row) * BLOCK + col


def masks_found(
    model: PromptableModel,
    window: Window,
    points: int,
    score: float | None = None,
    stability: float | None = None,
) -> tuple[list[Mask], int]:
    """All masks that the automatic mode finds in a window, and the side of their cells.

    As in a job, a model that proposes objects asks at its proposals, another one a grid of points.
    """
    side = max(window.box.shape)
    proposes = bool(getattr(model, "proposes", False))
    options = AutomaticOptions(
        points_per_side=points,
        score_threshold=score,
        stability_threshold=stability,
        proposals="embedded" if proposes else "grid",
    )
    segmenter = AutomaticSegmenter(model, options, cast(Proposer, model) if proposes else None)
    cell = segmenter.cell_size(side)
    whole = PixelBox(0, 0, *window.box.shape)
    tile = Tile(TileIndex(0, 0), whole, whole, whole)
    image = TileImage(tile, window.pixels, window.valid, side, cell)
    return list(segmenter.segment(image).masks), cell


def in_pixels(masks: Sequence[Mask], cell: int, window: Window) -> list[tuple[PixelBox, BoolArray]]:
    """Masks of a window in its pixels, each on its box."""
    whole = PixelBox(0, 0, *window.box.shape)
    out = []
    for mask in masks:
        area = mask.box.pixels(cell).intersection(whole)
        logits = mask.logits.astype(np.float32)
        out.append((area, resample(logits, (cell, cell), (1.0, 1.0), shape=area.shape) > 0))
    return out


def everything(
    model: PromptableModel, window: Window, points: int, score: float | None = None
) -> tuple[list[tuple[PixelBox, BoolArray]], Floats]:
    """All that the automatic mode finds in a window, in its pixels, and their scores."""
    masks, cell = masks_found(model, window, points, score)
    return in_pixels(masks, cell, window), np.array([mask.score for mask in masks], np.float64)


def lies_on(ground: BoolArray, area: PixelBox, part: BoolArray) -> bool:
    """Whether the middle of a found mask lies on some ground of its window."""
    rows, cols = np.nonzero(part)
    if len(rows) == 0:
        return False
    return bool(ground[int(rows.mean()) + area.row0, int(cols.mean()) + area.col0])


def overlaps(found: Sequence[tuple[PixelBox, BoolArray]], masks: Sequence[BoolArray]) -> Floats:
    """IoU of found masks with full-size ones: (found, masks)."""
    areas = [int(mask.sum()) for mask in masks]
    out = np.zeros((len(found), len(masks)))
    for i, (box, part) in enumerate(found):
        rows, cols = slice(box.row0, box.row1), slice(box.col0, box.col1)
        size = int(part.sum())
        for j, mask in enumerate(masks):
            common = int(np.count_nonzero(mask[rows, cols] & part))
            if common:
                out[i, j] = common / (size + areas[j] - common)
    return out


def one_to_one(table: Floats) -> list[tuple[int, int]]:
    """Pairs of IoU > 0.5 by descending IoU, each row and column once."""
    rows, cols = np.nonzero(table > 0.5)
    order = np.lexsort((cols, rows, -table[rows, cols]))
    used_rows: set[int] = set()
    used_cols: set[int] = set()
    pairs = []
    for k in order.tolist():
        i, j = int(rows[k]), int(cols[k])
        if i not in used_rows and j not in used_cols:
            used_rows.add(i)
            used_cols.add(j)
            pairs.append((i, j))
    return pairs


def _compared(
    found: Sequence[tuple[PixelBox, BoolArray]], window: Window, mine: Sequence[BoolArray]
) -> tuple[list[bool], list[tuple[float, float]], list[bool]]:
    """Which objects were found, places of what else was found, which rejected ones came back."""
    table = overlaps(found, mine)
    pairs = one_to_one(table)
    hits = {j for _, j in pairs}
    paired = {i for i, _ in pairs}
    others = [window.mask(example) for example in window.objects]
    elsewhere = overlaps(found, others) if len(others) > len(mine) else table
    extra = []
    for i, (box, part) in enumerate(found):
        if i in paired or not part.any():
            continue
        rows, cols = np.nonzero(part)
        row, col = int(rows.mean()) + box.row0, int(cols.mean()) + box.col0
        counted = window.known[row, col] and window.part[row, col]
        theirs = elsewhere[i].max(initial=0.0) > 0.5 and table[i].max(initial=0.0) <= 0.5
        if counted and not theirs:
            extra.append((float(row), float(col)))
    rejected = overlaps(found, [window.mask(r) for r in window.rejected])
    back = (rejected.max(axis=0, initial=0.0) > 0.5).tolist()
    return [j in hits for j in range(len(mine))], extra, back
