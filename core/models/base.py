# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocol of a promptable model: encode an image once, decode any number of prompts.

Numpy in and numpy out; torch lives behind this interface. Image coordinates are continuous
(row, column) pixel positions with (0, 0) at the top left *corner* of the first pixel, so that the
centre of pixel (i, j) is (i + 0.5, j + 0.5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..types import AnyArray, ByteArray, FloatArray

FOREGROUND, BACKGROUND, PADDING = 1, 0, -1
"""Labels of points."""


@dataclass(frozen=True)
class ModelInfo:
    """What a person and the pipeline need to know of a loaded model.

    Args:
        name: Name in the registry, or of the file.
        family: "embedded", "sam", "sam_hq", "sam2", "edgetam", "mobile_sam", "efficient_sam" ...
        fingerprint: Checksum over the weights and all settings that change results.
        input_size: Longest image side in pixels that the encoder sees without shrinking.
        mask_size: Cells along that side in the low-resolution logits.
        accepts: Kinds of prompt that the decoder understands.
        device: Where it runs, e.g. "cpu" or "cuda:0".
        score_threshold: Default predicted IoU above which automatic masks are kept.
        stability_threshold: Likewise for stability.
        cell: Side in image pixels of a cell of the logits, where that is the same for images of any
            size; None for models that bring every image to ``input_size``.
        context: Image pixels around a window in which the model sees what its answers within the
            window depend on; 0 for models whose answers depend on the window as a whole.
        step: Image pixels of the lattice on which it computes them.
    """

    name: str
    family: str
    fingerprint: str
    input_size: int
    mask_size: int
    accepts: frozenset[Literal["point", "box", "mask", "text"]]
    device: str = "cpu"
    score_threshold: float = 0.88
    stability_threshold: float = 0.95
    cell: float | None = None
    context: int = 0
    step: int = 1


_NUMBER_TYPE = re.compile(r"-(b?float16)(?=-|$)")
"""In a fingerprint: what :func:`in_number_type` puts there."""


def in_number_type(fingerprint: str, name: str) -> str:
    """The fingerprint of a model that computes in "float32", "bfloat16" or "float16" as a whole."""
    return fingerprint if name == "float32" else f"{fingerprint}-{name}"


def number_type_in(fingerprint: str) -> tuple[str, str]:
    """The fingerprint of the same model in float32, and the number type in which it computes."""
    found = _NUMBER_TYPE.search(fingerprint)
    return _NUMBER_TYPE.sub("", fingerprint), found[1] if found else "float32"


@dataclass(frozen=True, eq=False)
class Embedding:
    """An encoded image: plain arrays, so that it can be kept on disk (``embedding_cache.py``).

    Args:
        arrays: Named arrays, float32 or float16, as the model's ``decode`` wants them.
        shape: (H, W) of the image that was encoded, pixels.
        cell_size: (row, column) size in image pixels of a low-resolution logit's cell. The cells
            start at the image's corner and may reach beyond the image (padding).
        mask_shape: (h, w) of the low-resolution logits.
        fingerprint: Of the model that made it.
    """

    arrays: Mapping[str, AnyArray]
    shape: tuple[int, int]
    cell_size: tuple[float, float]
    mask_shape: tuple[int, int]
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Proposals:
    """Places of objects in an image.

    Args:
        points: (n, 2) float32, (row, column) in pixels of the image, deepest first.
        boxes: (n, 4) float32, roughly the objects' boxes, pixels, cut to the image.
        depth: (n,) float32, how deep in its object the place is, 0 to 1.
    """

    points: FloatArray
    boxes: FloatArray
    depth: FloatArray

    def __len__(self) -> int:
        return len(self.points)


class Judged(NamedTuple):
    """A finished mask that a model is asked to judge.

    Args:
        box: Row and column of its logits' corners, network pixels (row0, col0, row1, col1).
        tight: Likewise of its inside.
        logits: (h, w) float32, twice the logits that were decoded, so that a square of few cells
            shows where the border is.
        score: The decoder's estimate of its IoU.
        stability: IoU of the mask cut high and cut low.
    """

    box: tuple[float, float, float, float]
    tight: tuple[float, float, float, float]
    logits: AnyArray
    score: float
    stability: float


@dataclass(frozen=True, eq=False)
class Prompts:
    """``n`` independent prompts for one image. Every one has at least a point, a box or a mask.

    Args:
        points: (n, k, 2) float32, (row, column), or None.
        labels: (n, k) int8, 1 object, 0 background, -1 padding; goes with ``points``.
        boxes: (n, 4) float32, (row0, col0, row1, col1), or None.
        masks: (n, h, w) float32 logits of an earlier round in the embedding's mask shape, or None.
    """

    points: FloatArray | None = None
    labels: NDArray[np.int8] | None = None
    boxes: FloatArray | None = None
    masks: FloatArray | None = None

    def __post_init__(self) -> None:
        if (self.points is None) != (self.labels is None):
            raise ValueError("points and labels go together")
        lengths = {len(a) for a in (self.points, self.boxes, self.masks) if a is not None}
        if len(lengths) != 1:
            raise ValueError(f"prompts need one common length, not {sorted(lengths)}")

    def __len__(self) -> int:
        for array in (self.points, self.boxes, self.masks):
            if array is not None:
                return len(array)
        raise ValueError("no prompt")

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Prompts:
        """Some of the prompts."""
        return Prompts(
            points=None if self.points is None else self.points[rows],
            labels=None if self.labels is None else self.labels[rows],
            boxes=None if self.boxes is None else self.boxes[rows],
            masks=None if self.masks is None else self.masks[rows],
        )


@dataclass(frozen=True, eq=False)
class Decoded:
    """Masks for the prompts that passed.

    Args:
        index: (p,) int64, which prompt each row answers; ascending. All prompts, unless
            ``min_score`` was given.
        logits: (p, m, h, w) float32 low-resolution logits, > 0 inside; m is 1 or the model's
            number of candidates (3 for the SAM family).
        scores: (p, m) float32 predicted IoU. With ``min_score``, candidates below it stand with
            their score; their logits are not meaningful and must not be read.
    """

    index: NDArray[np.int64]
    logits: FloatArray
    scores: FloatArray


@runtime_checkable
class PromptableModel(Protocol):
    """A loaded model. Not thread-safe: one caller at a time."""

    @property
    def info(self) -> ModelInfo: ...

    def encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        """Encode images of (H, W, 3) uint8 RGB, any size; the model resizes and pads itself.

        Raises:
            ModelError: Out of memory even one by one, or an image is not (H, W, 3) uint8.
        """

    def decode(
        self,
        embedding: Embedding,
        prompts: Prompts,
        *,
        multimask: bool = True,
        min_score: float | None = None,
    ) -> Decoded:
        """Low-resolution logits and predicted IoU for each prompt, batched to memory inside.

        Args:
            embedding: From this model's :meth:`encode`.
            prompts: In the encoded image's pixels.
            multimask: Three candidates a prompt instead of one.
            min_score: Leave out prompts none of whose candidates reaches this predicted IoU,
                before their masks are computed.

        Raises:
            ModelError: The embedding is another model's, or a kind of prompt is not understood.
            PromptError: A prompt is empty or lies outside the image.
        """


@dataclass(frozen=True, eq=False)
class Concept:
    """All instances of a concept in an image.

    Args:
        logits: (n, h, w) float32 on the embedding's cells, or None where the model gives boxes.
        boxes: (n, 4) float32 (row0, col0, row1, col1) in image pixels.
        scores: (n,) float32, 0 to 1.
    """

    logits: FloatArray | None
    boxes: FloatArray
    scores: FloatArray


@runtime_checkable
class ConceptModel(Protocol):
    """A model that understands words (SAM 3, Grounding DINO, OWLv2)."""

    @property
    def info(self) -> ModelInfo: ...

    def find(self, image: ByteArray, word: str, *, min_score: float) -> Concept:
        """All instances of ``word`` in an (H, W, 3) uint8 image.

        Raises:
            PromptError: The word is empty.
            ModelError: The model failed.
        """


@runtime_checkable
class ExemplarModel(ConceptModel, Protocol):
    """A model that takes boxes around instances instead of a word, too (SAM 3)."""

    def find_like(
        self,
        image: ByteArray,
        boxes: FloatArray,
        *,
        min_score: float,
        unlike: FloatArray | None = None,
    ) -> Concept:
        """All instances of what exemplar boxes show in an (H, W, 3) uint8 image.

        Args:
            image: With the exemplars in it.
            boxes: (n, 4) float32 (row0, col0, row1, col1) in image pixels.
            min_score: The confidence that an instance must exceed.
            unlike: (m, 4) float32, boxes of what is not looked for.

        Raises:
            PromptError: There is no box.
            ModelError: The model failed.
        """
