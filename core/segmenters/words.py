# SPDX-License-Identifier: GPL-2.0-or-later
"""Text-prompted segmentation of a window: masks of a concept model, or its boxes as prompts.

SAM 3 gives masks. Grounding DINO and OWLv2 give boxes; a promptable model then turns each box
into a mask. Either way the result are tile masks like any other's, labelled with their word.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from ..errors import ModelError, ParameterError, PromptError
from ..masks.masks import ABSENT, LOGIT_STEPS, Mask, PromptRef, TileMasks
from ..models.base import Concept, ConceptModel, Embedding, PromptableModel, Prompts
from ..parallel.cancellation import check
from ..tiles.mask_grid import choose_cell, pad_image, resample, valid_cells
from ..types import CellBox, FloatArray
from .automatic import AutomaticOptions, AutomaticSegmenter
from .mask_nms import Candidate, make_candidate, remove_duplicates, stability_of
from .segmenter import Hint, TileImage
from .small_regions import mend

VERSION = 1
"""Of the rules below; part of the fingerprint."""

_INSTANCES_AT_ONCE = 64


@dataclass(frozen=True)
class ConceptOptions:
    """How words are looked for.

    Args:
        min_score: The model's confidence that an instance must exceed; None: its default.
        max_iou: Masks of one word whose IoU exceeds this are the same instance.
        min_region: Islands and holes smaller than this many pixels are removed and filled.

    Raises:
        ParameterError: A value is out of range.
    """

    min_score: float | None = None
    max_iou: float = 0.7
    min_region: int = 0

    def __post_init__(self) -> None:
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise ParameterError(f"min_score is {self.min_score}, but must lie between 0 and 1.")
        if not 0 <= self.max_iou <= 1:
            raise ParameterError(f"max_iou is {self.max_iou}, but must lie between 0 and 1.")
        if self.min_region < 0:
            raise ParameterError(f"min_region is {self.min_region}, but must not be negative.")


class ConceptSegmenter:
    """A :class:`~samgeo_core.segmenters.segmenter.Segmenter` that finds words.

    Args:
        finder: Understands words.
        words: What to look for, each for itself.
        masker: Turns boxes into masks, where ``finder`` gives boxes only.
        options: See there.

    Raises:
        PromptError: There is no word, or an empty one.
        ModelError: The finder gives boxes only, and there is no masker that understands them.
    """

    def __init__(
        self,
        finder: ConceptModel,
        words: Sequence[str],
        masker: PromptableModel | None = None,
        options: ConceptOptions | None = None,
    ) -> None:
        self.words = tuple(dict.fromkeys(" ".join(word.split()) for word in words))
        if not self.words or "" in self.words:
            raise PromptError("The word to look for is empty: name what to find, e.g. 'building'.")
        gives_masks = finder.info.mask_size > 0
        if not gives_masks and (masker is None or "box" not in masker.info.accepts):
            raise ModelError(
                f"{finder.info.name} finds boxes only: choose a model beside it that turns boxes "
                "into masks, e.g. sam-vit-b."
            )
        options = options or ConceptOptions()
        score = finder.info.score_threshold if options.min_score is None else options.min_score
        self._min_score = score
        self.finder = finder
        self.masker = None if gives_masks else masker
        self.options = replace(options, min_score=score)

    @property
    def name(self) -> str:
        both = [self.finder.info.name] + ([self.masker.info.name] if self.masker else [])
        return "+".join(both)

    @property
    def fingerprint(self) -> str:
        models = [self.finder.info.fingerprint]
        models += [self.masker.info.fingerprint] if self.masker else []
        settings = [VERSION, models, self.words, asdict(self.options)]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]

    def cell_size(self, window_size: int) -> int:
        """Side of the mask cells: those of the model that makes the masks, as whole pixels."""
        info = (self.masker or self.finder).info
        return choose_cell(window_size / info.mask_size, window_size)

    def segment(self, image: TileImage) -> TileMasks:
        """All instances of the words, word by word; see :class:`~.segmenter.Segmenter`."""
        masks: list[Mask] = []
        if image.valid.any():
            canvas = pad_image(image.pixels, image.size)
            embedding: Embedding | None = None
            for word in self.words:
                check()
                concept = self.finder.find(canvas, word, min_score=self._min_score)
                if self.masker is not None and embedding is None and len(concept.scores):
                    embedding = self.masker.encode([canvas])[0]
                found = self._instances(concept, embedding, image, image.size)
                masks += placed(found, image, PromptRef(word, "text", word))
        return TileMasks(image.tile.index, image.cell, masks)

    def _instances(
        self, concept: Concept, embedding: Embedding | None, image: TileImage, side: int
    ) -> list[Candidate]:
        """Distinct masks of one word, best first.

        Args:
            concept: What was found.
            embedding: Of the window, where boxes have to become masks.
            image: The window.
            side: Of the image that was looked at, pixels; the window is its upper left corner.
        """
        valid = valid_cells(image.valid, image.cell)
        window = CellBox(0, 0, *valid.shape)
        found: list[Candidate] = []
        for start in range(0, len(concept.scores), _INSTANCES_AT_ONCE):
            check()
            part = slice(start, start + _INSTANCES_AT_ONCE)
            logits, cells = self._logits(concept, part, embedding, side)
            size = (image.cell, image.cell)
            fine = resample(logits, cells, size, shape=window.shape)
            fine = np.where(valid, fine, np.float32(ABSENT / LOGIT_STEPS))
            for mask, score, stability in zip(
                fine, concept.scores[part], stability_of(fine, 1.0), strict=True
            ):
                candidate = make_candidate(
                    mask, window, score=float(score), stability=float(stability)
                )
                if candidate is not None:
                    found.append(candidate)
        found = remove_duplicates(found, self.options.max_iou)
        if self.options.min_region:
            smallest = self.options.min_region / image.cell**2
            mended = [mend(candidate, smallest, window) for candidate in found]
            found = remove_duplicates(mended, self.options.max_iou)
        return found

    def _logits(
        self, concept: Concept, part: slice, embedding: Embedding | None, size: int
    ) -> tuple[FloatArray, tuple[float, float]]:
        """Logits of some of the instances, (n, h, w), and the size of their cells in pixels."""
        if concept.logits is not None:
            height, width = concept.logits.shape[1:]
            return concept.logits[part], (size / height, size / width)
        if self.masker is None or embedding is None:
            raise ModelError(f"{self.finder.info.name} promised masks, but gave boxes only.")
        boxes = _at_least_a_pixel(concept.boxes[part], size)
        decoded = self.masker.decode(embedding, Prompts(boxes=boxes), multimask=False)
        logits: FloatArray = decoded.logits[:, 0]
        return logits, embedding.cell_size


class RefiningConceptSegmenter(ConceptSegmenter):
    """A concept segmenter whose masker can be asked for one object again."""

    def refine(self, image: TileImage, hints: Sequence[Hint]) -> list[Mask | None]:
        """See :class:`~samgeo_core.segmenters.segmenter.PromptableSegmenter`."""
        if self.masker is None:
            raise ModelError(f"{self.finder.info.name} cannot be asked for one object.")
        options = AutomaticOptions(max_iou=self.options.max_iou)
        return AutomaticSegmenter(self.masker, options).refine(image, hints)


def concept_segmenter(
    finder: ConceptModel,
    words: Sequence[str],
    masker: PromptableModel | None = None,
    options: ConceptOptions | None = None,
) -> ConceptSegmenter:
    """The segmenter for a finder: one that can refine where it goes through a masker."""
    boxes_only = finder.info.mask_size == 0
    kind = RefiningConceptSegmenter if boxes_only else ConceptSegmenter
    return kind(finder, words, masker, options)


def _at_least_a_pixel(boxes: FloatArray, size: int) -> FloatArray:
    """Boxes of no area, which a detector may give and maskers refuse, widened."""
    first = np.minimum(boxes[:, :2], size - 1)
    return np.concatenate([first, np.maximum(boxes[:, 2:], first + 1)], axis=1)


def placed(found: Sequence[Candidate], image: TileImage, prompt: PromptRef) -> list[Mask]:
    """Candidates of a window as masks on the raster's grid of cells."""
    row, col = image.tile.window.row0 // image.cell, image.tile.window.col0 // image.cell
    return [Mask(c.box.shifted(row, col), c.logits, c.score, c.stability, prompt) for c in found]
