# SPDX-License-Identifier: GPL-2.0-or-later
"""Automatic masks from proposals: one click per object that the embedded model expects, then one
per region that is left uncovered, then one box per pair of masks that may be parts of one building.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..models.base import Embedding, PromptableModel, Prompts
from ..parallel.cancellation import check
from ..tiles.grid import Context
from ..types import FloatArray
from .answers import LOGITS_AT_ONCE, Answers
from .mask_nms import Candidate
from .point_grids import uncovered
from .proposers import Proposer, canvas_of
from .segmenter import TileImage
from .small_regions import main_pieces
from .views import View, cells_of, cover, holds, reaching_into
from .wholes import boxes_of_pairs

REST_STEP = 128
"""Network pixels along a side of the squares that are asked once each where nothing was found."""

REST_DEPTH = 8
"""Network pixels from what was found below which nothing more is asked."""

ROUGHLY = 32
"""Network pixels by which expected boxes may be too small."""

SMALL_SIDE, SMALL_IOU = 32, 0.5
"""Network pixels along a square of the area below which two masks are duplicates from this IoU: a
border that differs by a cell makes more of a small object. On nine held-back sources the share of
masks that are an object rises from .218 to .235, that of objects found falls from .751 to .748."""

SEEN_AROUND = (40.0, 128.0)
"""Least and most network pixels that are seen around a proposal at first."""


@dataclass(frozen=True)
class ProposalSearch:
    """Finds what a proposer expects in a window.

    Args:
        answers: Of the model that is asked.
        proposer: Says where to ask.
        pairs: Also ask for pairs of parts (:mod:`.wholes`).
    """

    answers: Answers
    proposer: Proposer
    pairs: bool

    @property
    def model(self) -> PromptableModel:
        return self.answers.model

    @property
    def same(self) -> bool:
        """Whether the model that is asked is the proposer itself."""
        return self.proposer.info.fingerprint == self.model.info.fingerprint

    @property
    def context(self) -> Context:
        """What the model wants to see around a window."""
        return Context(self.model.info.context, self.model.info.step)

    def found(self, image: TileImage, view: View) -> tuple[list[Candidate], Embedding]:
        """The candidates of a window from proposals, and what the proposer saw.

        A model that sees a context answers the same in all windows that hold a place. Only objects
        that reach into the tile's core are asked for then, wherever their proposals lie: a
        neighbour asks for the others, and both for those on the line between their cores.
        """
        cell = image.cell
        proposer = self.proposer
        embedding = self.model.encode([canvas_of(self.model, image)])[0]
        seen = embedding if self.same else proposer.encode([canvas_of(proposer, image)])[0]
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
        small = round((SMALL_SIDE * pixels / cell) ** 2), min(SMALL_IOU, self.answers.max_iou)
        whole = [main_pieces(c) for c in self.answers.distinct(found)]
        found = self.answers.distinct(whole, small)
        if self.pairs:
            probabilities, size = proposer.class_probabilities(seen)
            times = cell / size[0], cell / size[1]
            boxes = boxes_of_pairs(found, probabilities, times, cell / pixels)
            wholes = self._ask_boxes(embedding, view, boxes * cell)
            whole = [main_pieces(c) for c in self.answers.distinct(wholes)]
            found = self.answers.distinct([*found, *whole], small)
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
                decoded = self.answers.to_points(embedding, points[part], view)
                found += self.answers.of_window(decoded, embedding, view)
                continue
            labels = np.ones((len(points[part]), 1), np.int8)
            by_prompt = cropped(
                embedding,
                Prompts(points=points[part][:, None], labels=labels),
                lambda answer: list(self.answers.of_crop(answer, view, finer)),
                min_score=self.answers.min_score,
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
                    embedding, prompts, multimask=False, min_score=self.answers.min_score
                )
                found += self.answers.of_window(decoded, embedding, view)
                continue
            by_prompt = cropped(
                embedding,
                prompts,
                lambda answer: list(self.answers.of_crop(answer, view, finer)),
                multimask=False,
                min_score=self.answers.min_score,
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
            return None, 1, max(1, LOGITS_AT_ONCE // (12 * h * w))
        return cropped, int(finer), 256
