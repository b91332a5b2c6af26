# SPDX-License-Identifier: GPL-2.0-or-later
"""Automatic mask generation in a window: point grid, score and stability thresholds, NMS.

The semantics are those of the official ``SamAutomaticMaskGenerator`` (Kirillov et al. 2023,
"Segment Anything", section 5 and appendix B). What differs, and why:

* nothing is ever upsampled to the window: thresholds, stability, small regions and duplicates are
  computed on the cells of the lattice, which are the decoder's own resolution;
* masks at the window's edge are kept, because the merge joins them with the neighbour's;
* duplicates are found by the IoU of masks, not of their boxes;
* a window that is clamped at the raster's edge is padded, so that objects there have the same
  scale; points are asked, and masks believed, only where there are data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from ..errors import ParameterError
from ..job import option
from ..masks.masks import ABSENT, LOGIT_STEPS, Mask, PromptRef, TileMasks
from ..models.base import Decoded, Embedding, PromptableModel, Prompts
from ..models.embedded.classes import CLASSES
from ..parallel.cancellation import check
from ..tiles.grid import NO_CONTEXT, Context
from ..tiles.mask_grid import choose_cell, pad_image, resample
from ..types import BoolArray, CellBox, FloatArray
from .ask_again import ask_again
from .mask_nms import (
    Candidate,
    Criterion,
    make_candidate,
    remove_duplicates,
    stability_of,
)
from .point_grids import coarse_to_fine, crop_boxes, point_grid, uncovered
from .proposers import Cropped, Proposer, canvas_of, class_of, judged_scores
from .segmenter import Hint, Segmenter, TileImage
from .small_regions import main_pieces, mend
from .views import (
    View,
    asked_in,
    cells_of,
    cover,
    holds,
    is_cut_off,
    reaching_into,
    views_of,
)
from .wholes import boxes_of_pairs

VERSION = 5
"""Of the rules below; part of the fingerprint."""

REST_STEP = 128
"""Network pixels along a side of the squares that are asked once each where nothing was found."""

REST_DEPTH = 8
"""Network pixels from what was found below which nothing more is asked."""

ROUGHLY = 32
"""Network pixels by which expected boxes may be too small."""

SEEN_AROUND = (40.0, 128.0)
"""Least and most network pixels that are seen around a proposal at first."""

SINGLE = ("building",)
"""Classes of the embedded model whose objects lie beside each other, never within each other."""

STEPS = np.float32(LOGIT_STEPS)

_LOGITS_AT_ONCE = 64 << 20
"""Bytes of logits that one call of ``decode`` may return."""


@dataclass(frozen=True)
class AutomaticOptions:
    """How a window is searched.

    Args:
        points_per_side: Points along a window's side (its density; fewer on clamped windows).
        n_layers: Layers of crops searched besides the window: layer i has 2^i x 2^i crops.
        downscale: Points a side in layer i are divided by ``downscale ** i``.
        score_threshold: Predicted IoU that a mask must exceed; None: the model's default.
        stability_threshold: Stability that a mask must reach; None: the model's default.
        stability_offset: Logit by which the mask is cut higher and lower for its stability.
        proposals: "grid" asks a grid of points; "embedded" asks once per object that the embedded
            model expects, then once per region that is left uncovered.
        classes: Of the embedded model: only objects whose likeliest class is one of them are kept;
            empty keeps all. With "embedded", every mask says its class.
        judged_score: With "embedded", for that model's own masks: a mask's score is its predicted
            IoU with a whole object, by a head that looks at the picture again, and must reach this;
            None: its score is the decoder's. ``score_threshold`` is the decoder's in any case.
        building_score: What the score of a building must reach then.
        pairs: With "embedded", also ask once for each pair of masks that may be parts of one
            building (:mod:`.wholes`).
        grid: "official" asks every point; "skip" asks a coarse grid first and then only points
            outside confident masks: several times faster, but parts of things are lost.
        duplicates: IoU of what makes two masks duplicates.
        max_iou: IoU above which the worse of two masks is left out; 1 keeps all.
        min_region: Islands and holes smaller than this many pixels are removed and filled.

    Raises:
        ParameterError: A value is out of range.
    """

    points_per_side: int = 32
    n_layers: int = 0
    downscale: int = 1
    score_threshold: float | None = None
    stability_threshold: float | None = None
    stability_offset: float = 1.0
    proposals: Literal["grid", "embedded"] = "grid"
    classes: tuple[str, ...] = ()
    pairs: bool = True
    judged_score: float | None = None
    building_score: float = 0.0
    grid: Literal["official", "skip"] = "official"
    duplicates: Criterion = "mask"
    max_iou: float = 0.7
    min_region: int = 0

    def __post_init__(self) -> None:
        _check("points_per_side", self.points_per_side, 1, 256)
        _check("n_layers", self.n_layers, 0, 4)
        _check("downscale", self.downscale, 1, 16)
        _check("score_threshold", self.score_threshold, -1, 1)
        _check("judged_score", self.judged_score, 0, 1)
        _check("building_score", self.building_score, 0, 1)
        _check("stability_threshold", self.stability_threshold, 0, 1)
        _check("stability_offset", self.stability_offset, 0, 7)
        _check("max_iou", self.max_iou, 0, 1)
        _check("min_region", self.min_region, 0, 1 << 30)
        for name in self.classes:
            if name not in CLASSES:
                raise ParameterError(
                    f"The embedded model has no class {name!r}: choose from {', '.join(CLASSES)}."
                )
        for name, known in (
            ("grid", ("official", "skip")),
            ("duplicates", ("mask", "box")),
            ("proposals", ("grid", "embedded")),
        ):
            if getattr(self, name) not in known:
                raise ParameterError(
                    f"{name} is {getattr(self, name)!r}, but must be one of {', '.join(known)}."
                )


def _check(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise ParameterError(f"{name} is {value}, but must lie between {low} and {high}.")


class AutomaticSegmenter:
    """A :class:`~.segmenter.PromptableSegmenter` over any promptable model."""

    def __init__(
        self,
        model: PromptableModel,
        options: AutomaticOptions | None = None,
        proposer: Proposer | None = None,
    ) -> None:
        options = options or AutomaticOptions()
        if options.proposals == "embedded":
            if proposer is None:
                raise ParameterError("Proposals need the embedded model: name it, or use a grid.")
            if options.n_layers:
                raise ParameterError("Proposals go with whole windows: leave the crops out.")
        elif options.classes:
            raise ParameterError(
                f"{option('classes')} {', '.join(options.classes)} goes with the embedded model's "
                f"proposals, not with a grid of points: leave {option('proposals')} grid out, or "
                f"leave {option('classes')} out."
            )
        self.proposer = proposer
        info = model.info
        score, stable = options.score_threshold, options.stability_threshold
        self._min_score = info.score_threshold if score is None else score
        self._min_stability = info.stability_threshold if stable is None else stable
        self.model = model
        self.options = replace(
            options, score_threshold=self._min_score, stability_threshold=self._min_stability
        )

    @property
    def gives_classes(self) -> bool:
        """Whether every mask says its class."""
        return self.proposer is not None

    @property
    def judges_again(self) -> bool:
        """Whether scores are a second estimate (:func:`~.proposers.judged_scores`)."""
        if self.proposer is None or self.options.judged_score is None:
            return False
        return self.proposer.judges and self._same(self.proposer)

    @property
    def single(self) -> tuple[str, ...]:
        """Classes whose objects share no ground: where a map of buildings is wanted, a part of a
        building is no object beside it, and second estimates tell which of both is one."""
        return tuple(name for name in self.options.classes if name in SINGLE and self.judges_again)

    @property
    def context(self) -> Context:
        """What the model wants to see around a window: with a grid of points, the window alone."""
        info = self.model.info
        return NO_CONTEXT if self.proposer is None else Context(info.context, info.step)

    @property
    def name(self) -> str:
        return self.model.info.name

    @property
    def fingerprint(self) -> str:
        settings = [VERSION, self.model.info.fingerprint, asdict(self.options)]
        if self.proposer is not None:
            settings.append(self.proposer.info.fingerprint)
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]

    def cell_size(self, window_size: int) -> int:
        """Side of the mask cells: the model's own at the finest crop layer, as whole pixels."""
        if self.model.info.cell is not None:
            return choose_cell(self.model.info.cell, window_size)
        _, finest = crop_boxes(window_size, self.options.n_layers)[-1]
        return choose_cell(max(finest.shape) / self.model.info.mask_size, window_size)

    def segment(self, image: TileImage) -> TileMasks:
        """All instance masks of a window, best first; see :class:`~.segmenter.Segmenter`."""
        found: list[Candidate] = []
        cell = image.cell
        views = views_of(image, self.options.n_layers)
        if self.proposer is not None:
            return self._segment_proposals(self.proposer, image, views[0])
        canvas = pad_image(image.pixels, image.size)
        everything = getattr(self.model, "everything", None)
        for view in views:
            rounds = self._points(view, asked_in(image)) if everything is None else []
            if (rounds or everything is not None) and view.asked.any():
                crop = canvas[view.box.row0 : view.box.row1, view.box.col0 : view.box.col1]
                embedding = self.model.encode([np.ascontiguousarray(crop)])[0]
                if everything is None:
                    found += self._search(embedding, rounds, view)
                else:  # FastSAM: one pass gives all masks, no prompt is asked
                    every = list(self._candidates(everything(embedding), embedding, view))
                    found += self._tidied(self._distinct(every), view)
        if len(views) > 1:
            found = self._distinct(found)
        origin = image.tile.window.row0 // cell, image.tile.window.col0 // cell
        masks = [
            Mask(c.box.shifted(*origin), c.logits, c.score, c.stability, PromptRef()) for c in found
        ]
        return TileMasks(image.tile.index, cell, masks)

    def _segment_proposals(self, proposer: Proposer, image: TileImage, view: View) -> TileMasks:
        """All masks of a window from proposals."""
        cell = image.cell
        if not view.asked.any():
            return TileMasks(image.tile.index, cell, [])
        found, seen = self.found(proposer, image, view)
        options = self.options
        probabilities, sides = proposer.class_probabilities(seen)
        times = cell / sides[0], cell / sides[1]
        looked = self.judges_again
        if looked:
            scores = judged_scores(found, proposer, seen, cell)
            found = [replace(c, score=s) for c, s in zip(found, scores, strict=True)]
            found = self._distinct([c for c in found if c.score >= (options.judged_score or 0)])
        found = self._tidied(found, view)
        origin = image.tile.window.row0 // cell, image.tile.window.col0 // cell
        masks = []
        for c in found:
            name, likely = class_of(c, probabilities, times)
            if options.classes and name not in options.classes:
                continue
            if looked and name == "building" and c.score < options.building_score:
                continue
            ref = PromptRef(class_name=name, class_prob=likely)
            masks.append(Mask(c.box.shifted(*origin), c.logits, c.score, c.stability, ref))
        return TileMasks(image.tile.index, cell, masks)

    def _same(self, proposer: Proposer) -> bool:
        return proposer.info.fingerprint == self.model.info.fingerprint

    def found(
        self, proposer: Proposer, image: TileImage, view: View
    ) -> tuple[list[Candidate], Embedding]:
        """The candidates of a window from proposals, and what the proposer saw.

        A model that sees a context answers the same in all windows that hold a place. Only objects
        that reach into the tile's core are asked for then, wherever their proposals lie: a
        neighbour asks for the others, and both for those on the line between their cores.
        """
        cell = image.cell
        embedding = self.model.encode([canvas_of(self.model, image)])[0]
        same = self._same(proposer)
        seen = embedding if same else proposer.encode([canvas_of(proposer, image)])[0]
        expected = proposer.propose(seen)
        origin = image.tile.window.row0 // cell, image.tile.window.col0 // cell
        own = view.cells
        if self.context.pixels:
            own = image.tile.core.cells(cell).shifted(-origin[0], -origin[1]).intersection(own)
        pixels = 1 / proposer.scale  # of the image along a pixel of the network
        reaching = reaching_into(expected.boxes, own.pixels(cell).grown(round(ROUGHLY * pixels)))
        ask = partial(self._ask_near, embedding, view, pixels)
        sides = np.ptp(expected.boxes.reshape(-1, 2, 2), axis=1).max(axis=1)
        found = ask(expected.points[reaching], sides[reaching])
        covered = np.zeros(view.cells.shape, bool)
        cover(covered, found, view)
        covered |= ~view.asked
        step, least = (max(1, round(n * pixels / cell)) for n in (REST_STEP, REST_DEPTH))
        phase = origin[0] % step, origin[1] % step
        left = [at for at in uncovered(covered, least, step, phase) if holds(own, at)]
        rest = np.array(left, np.float32).reshape(-1, 2)
        found += ask((rest + 0.5) * cell, np.full(len(rest), REST_STEP * pixels))
        found = self._distinct([main_pieces(c) for c in self._distinct(found)])
        if self.options.pairs:
            probabilities, size = proposer.class_probabilities(seen)
            times = cell / size[0], cell / size[1]
            boxes = boxes_of_pairs(found, probabilities, times, cell / pixels)
            wholes = self._ask_boxes(embedding, view, boxes * cell)
            found = self._distinct([*found, *(main_pieces(c) for c in self._distinct(wholes))])
        return found, seen

    def _ask_near(
        self,
        embedding: Embedding,
        view: View,
        pixels: float,
        points: FloatArray,
        sides: FloatArray,
    ) -> list[Candidate]:
        """Candidates for one click each, where that is asked.

        Args:
            embedding: Of the window.
            view: The window.
            pixels: Image pixels along a pixel of the network.
            points: (n, 2) in image pixels.
            sides: (n,) image pixels, roughly the sides of the objects.
        """
        rows, cols = cells_of(points, view)
        inside = view.asked[rows, cols] if len(points) else np.zeros(0, bool)
        points, sides = points[inside], sides[inside]
        found: list[Candidate] = []
        cropped, finer, batch = self._in_crops(embedding, view)
        for start in range(0, len(points), batch):
            check()
            part = slice(start, start + batch)
            if cropped is None:
                decoded = self._ask(embedding, points[part], view)
                found += self._candidates(decoded, embedding, view)
                continue
            labels = np.ones((len(points[part]), 1), np.int8)
            by_prompt = cropped(
                embedding,
                Prompts(points=points[part][:, None], labels=labels),
                lambda answer: list(self._of_crop(answer, view, finer)),
                min_score=self._min_score,
                around=np.clip(sides[part], SEEN_AROUND[0] * pixels, SEEN_AROUND[1] * pixels),
            )
            for row in sorted(by_prompt):
                found += by_prompt[row]
        return found

    def _ask_boxes(self, embedding: Embedding, view: View, boxes: FloatArray) -> list[Candidate]:
        """Candidates for one box each.

        Args:
            embedding: Of the window.
            view: The window.
            boxes: (n, 4) in image pixels.
        """
        found: list[Candidate] = []
        cropped, finer, batch = self._in_crops(embedding, view)
        for start in range(0, len(boxes), batch):
            check()
            prompts = Prompts(boxes=boxes[start : start + batch])
            if cropped is None:
                decoded = self.model.decode(
                    embedding, prompts, multimask=False, min_score=self._min_score
                )
                found += self._candidates(decoded, embedding, view)
                continue
            by_prompt = cropped(
                embedding,
                prompts,
                lambda answer: list(self._of_crop(answer, view, finer)),
                multimask=False,
                min_score=self._min_score,
            )
            for row in sorted(by_prompt):
                found += by_prompt[row]
        return found

    def _in_crops(self, embedding: Embedding, view: View) -> tuple[Any, int, int]:
        """How a window's prompts are asked.

        Returns:
            The model's ``decode_cropped``, None where it has none or its cells do not fit the
            window's; the model's cells along one of the window's; and prompts per call.
        """
        cropped = getattr(self.model, "decode_cropped", None)
        finer = view.cell / embedding.cell_size[0]  # where an image is magnified four times, 2
        whole = embedding.cell_size == (view.cell / finer,) * 2 and finer in (1, 2)
        h, w = embedding.mask_shape
        if cropped is None or not whole:
            return None, 1, max(1, _LOGITS_AT_ONCE // (12 * h * w))
        return cropped, int(finer), 256

    def _of_crop(self, answer: Cropped, view: View, finer: int) -> Iterator[Candidate]:
        """What is good of one prompt's masks, which lie somewhere in the window.

        Args:
            answer: Its first cell and its size are multiples of 16 cells.
            view: Of the window.
            finer: Cells of the answer along a cell of the window.
        """
        logits = answer.logits
        if finer > 1:
            m, h, w = logits.shape
            squares = logits.reshape(m, h // finer, finer, w // finer, finer)
            logits = squares.mean((2, 4), dtype=np.float32)
        row0, col0 = answer.row0 // finer, answer.col0 // finer
        box = CellBox(row0, col0, row0 + logits.shape[1], col0 + logits.shape[2])
        cells = box.intersection(view.cells)
        if cells.empty:
            return
        logits = logits[:, : cells.height, : cells.width]
        valid = view.valid[cells.slices(view.cells)]
        if not valid.all():
            logits = np.where(valid, logits, ABSENT / STEPS)
        good = np.flatnonzero(answer.scores > self._min_score)
        stability = stability_of(logits[good], self.options.stability_offset)
        for number, steady in zip(good.tolist(), stability.tolist(), strict=True):
            if steady >= self._min_stability:
                candidate = make_candidate(
                    logits[number],
                    cells,
                    score=float(answer.scores[number]),
                    stability=float(steady),
                )
                if candidate is not None:
                    yield candidate

    def refine(self, image: TileImage, hints: Sequence[Hint]) -> list[Mask | None]:
        """One mask a hint, from its box and its logits; see :class:`~.segmenter.Hint`."""
        rescore = None
        if self.judges_again and self.proposer is not None:
            rescore = partial(judged_scores, proposer=self.proposer, cell=image.cell)
        return ask_again(self.model, self.options.stability_offset, image, hints, rescore)

    def _points(self, view: View, valid: BoolArray) -> list[FloatArray]:
        """Points of a view that lie on data, (n, 2) float32 (row, column) in the window's pixels.

        One array for each round of the grid's mode, empty ones left out.
        """
        options = self.options
        side = max(1, int(options.points_per_side / options.downscale**view.layer))
        # The official code asks half a pixel of the encoder's input beyond the middles of the
        # grid's squares; kept, because results are compared with it.
        half = 0.5 * max(view.box.shape) / self.model.info.input_size
        points = point_grid(view.box, side, half)
        rounds = coarse_to_fine(side) if options.grid == "skip" else np.zeros(side * side, np.int8)
        inside = (points < valid.shape).all(axis=1)
        points, rounds = points[inside], rounds[inside]
        rows, cols = points.astype(np.intp).T
        points, rounds = points[valid[rows, cols]], rounds[valid[rows, cols]]
        return [points[rounds == number] for number in np.unique(rounds)]

    def _search(
        self, embedding: Embedding, rounds: Sequence[FloatArray], view: View
    ) -> list[Candidate]:
        """Ask the points of a view, and keep what is good, whole and not there twice."""
        h, w = embedding.mask_shape
        batch = max(1, _LOGITS_AT_ONCE // (3 * 4 * max(h * w, view.cells.area)))
        covered = np.zeros(view.cells.shape, bool)
        found: list[Candidate] = []
        for points in rounds:
            rows, cols = cells_of(points, view)
            points = points[~covered[rows, cols]]
            new: list[Candidate] = []
            for start in range(0, len(points), batch):
                check()
                decoded = self._ask(embedding, points[start : start + batch], view)
                new += self._candidates(decoded, embedding, view)
            found += new
            if len(rounds) > 1:
                cover(covered, new, view)
        return self._tidied(self._distinct(found), view)

    def _tidied(self, found: list[Candidate], view: View) -> list[Candidate]:
        """Masks without their small islands and holes, where that is asked for."""
        if not self.options.min_region:
            return found
        smallest = self.options.min_region / view.cell**2
        mended = [mend(candidate, smallest, view.cells) for candidate in found]
        return self._distinct(mended)

    def _ask(self, embedding: Embedding, points: FloatArray, view: View) -> Decoded:
        local = points - np.array([view.box.row0, view.box.col0], np.float32)
        prompts = Prompts(points=local[:, None], labels=np.ones((len(points), 1), np.int8))
        return self.model.decode(embedding, prompts, min_score=self._min_score)

    def _candidates(
        self, decoded: Decoded, embedding: Embedding, view: View
    ) -> Iterator[Candidate]:
        cell = view.cell
        passed = decoded.scores > self._min_score
        row, which = np.nonzero(passed)
        h, w = decoded.logits.shape[2:]
        every = decoded.logits.reshape(-1, h, w)
        offset = view.cells.row0 * cell - view.box.row0, view.cells.col0 * cell - view.box.col0
        logits = resample(
            every if passed.all() else every[passed.ravel()],
            embedding.cell_size,
            (cell, cell),
            offset=offset,
            shape=view.cells.shape,
        )
        if not view.valid.all():
            logits = np.where(view.valid, logits, ABSENT / STEPS)
        stability = stability_of(logits, self.options.stability_offset)
        for number in np.flatnonzero(stability >= self._min_stability):
            candidate = make_candidate(
                logits[number],
                view.cells,
                score=float(decoded.scores[row[number], which[number]]),
                stability=float(stability[number]),
                layer=view.layer,
            )
            if candidate is not None and not is_cut_off(candidate, view):
                yield candidate

    def _distinct(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return remove_duplicates(candidates, self.options.max_iou, self.options.duplicates)


def single_of(segmenter: Segmenter) -> tuple[str, ...]:
    """Classes whose objects share no ground in the merge of a segmenter's masks."""
    return segmenter.single if isinstance(segmenter, AutomaticSegmenter) else ()


def judges_again(segmenter: Segmenter) -> bool:
    """Whether a segmenter's scores are a second estimate."""
    return isinstance(segmenter, AutomaticSegmenter) and segmenter.judges_again
