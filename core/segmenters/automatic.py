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
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from ..errors import ParameterError
from ..job import option
from ..masks.masks import Mask, PromptRef, TileMasks
from ..models.base import Embedding, PromptableModel
from ..models.embedded.classes import CLASSES
from ..parallel.cancellation import check
from ..tiles.grid import NO_CONTEXT, Context
from ..tiles.mask_grid import choose_cell, pad_image
from ..types import BoolArray, FloatArray
from .answers import LOGITS_AT_ONCE, Answers
from .ask_again import ask_again
from .mask_nms import Candidate, Criterion
from .point_grids import coarse_to_fine, crop_boxes, point_grid
from .proposal_search import ProposalSearch
from .proposers import Proposer, class_of, judged_scores
from .segmenter import Hint, Segmenter, TileImage
from .views import View, asked_in, cells_of, cover, views_of

VERSION = 6
"""Of the rules below; part of the fingerprint."""

SINGLE = ("building",)
"""Classes of the embedded model whose objects lie beside each other, never within each other."""


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
        score = info.score_threshold if score is None else score
        stable = info.stability_threshold if stable is None else stable
        self.model = model
        self.options = replace(options, score_threshold=score, stability_threshold=stable)
        self.answers = Answers(
            model,
            score,
            stable,
            options.stability_offset,
            options.max_iou,
            options.duplicates,
            options.min_region,
        )
        self.search = None
        if proposer is not None:
            self.search = ProposalSearch(self.answers, proposer, options.pairs)

    @property
    def gives_classes(self) -> bool:
        """Whether every mask says its class."""
        return self.proposer is not None

    @property
    def judges_again(self) -> bool:
        """Whether scores are a second estimate (:func:`~.proposers.judged_scores`)."""
        if self.search is None or self.options.judged_score is None:
            return False
        return self.search.proposer.judges and self.search.same

    @property
    def single(self) -> tuple[str, ...]:
        """Classes whose objects share no ground: where a map of buildings is wanted, a part of a
        building is no object beside it, and second estimates tell which of both is one."""
        return tuple(name for name in self.options.classes if name in SINGLE and self.judges_again)

    @property
    def context(self) -> Context:
        """What the model wants to see around a window: with a grid of points, the window alone."""
        return NO_CONTEXT if self.search is None else self.search.context

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
        if self.search is not None:
            return self._segment_proposals(self.search, image, views[0])
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
                    every = list(self.answers.of_window(everything(embedding), embedding, view))
                    found += self.answers.tidied(self.answers.distinct(every), view)
        if len(views) > 1:
            found = self.answers.distinct(found)
        origin = image.tile.window.row0 // cell, image.tile.window.col0 // cell
        masks = [
            Mask(c.box.shifted(*origin), c.logits, c.score, c.stability, PromptRef()) for c in found
        ]
        return TileMasks(image.tile.index, cell, masks)

    def _segment_proposals(self, search: ProposalSearch, image: TileImage, view: View) -> TileMasks:
        """All masks of a window from proposals."""
        cell = image.cell
        if not view.asked.any():
            return TileMasks(image.tile.index, cell, [])
        found, seen = search.found(image, view)
        options, proposer = self.options, search.proposer
        probabilities, sides = proposer.class_probabilities(seen)
        times = cell / sides[0], cell / sides[1]
        looked = self.judges_again
        if looked:
            scores = judged_scores(found, proposer, seen, cell)
            found = [replace(c, score=s) for c, s in zip(found, scores, strict=True)]
            found = self.answers.distinct(
                [c for c in found if c.score >= (options.judged_score or 0)]
            )
        found = self.answers.tidied(found, view)
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
        batch = max(1, LOGITS_AT_ONCE // (3 * 4 * max(h * w, view.cells.area)))
        covered = np.zeros(view.cells.shape, bool)
        found: list[Candidate] = []
        for points in rounds:
            rows, cols = cells_of(points, view)
            points = points[~covered[rows, cols]]
            new: list[Candidate] = []
            for start in range(0, len(points), batch):
                check()
                decoded = self.answers.to_points(embedding, points[start : start + batch], view)
                new += self.answers.of_window(decoded, embedding, view)
            found += new
            if len(rounds) > 1:
                cover(covered, new, view)
        return self.answers.tidied(self.answers.distinct(found), view)


def single_of(segmenter: Segmenter) -> tuple[str, ...]:
    """Classes whose objects share no ground in the merge of a segmenter's masks."""
    return segmenter.single if isinstance(segmenter, AutomaticSegmenter) else ()


def judges_again(segmenter: Segmenter) -> bool:
    """Whether a segmenter's scores are a second estimate."""
    return isinstance(segmenter, AutomaticSegmenter) and segmenter.judges_again
