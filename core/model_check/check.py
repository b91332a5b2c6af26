# SPDX-License-Identifier: GPL-2.0-or-later
"""Expected properties of a model on a known picture, each with a floor that it must reach.

A checkpoint whose every tensor found its place can still be wrong: another normalisation, another
order of channels, keys that were swapped. Such a model answers with masks that do not fit what is
seen. The floors lie above what answers without an understanding of the picture reach (a box that
is filled has a mean IoU of .76 here) and below what a family is known to reach. Only the embedded
model's were measured here; weights of the others cannot be had where this project is developed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..models.base import Concept, ConceptModel, Decoded, Embedding, PromptableModel, Prompts
from ..models.load import abilities, load_model
from ..parallel.cancellation import stopped_by
from ..segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from ..segmenters.proposers import Proposer
from ..segmenters.segmenter import TileImage
from ..tiles.grid import Tile
from ..tiles.mask_grid import resample
from ..types import BoolArray, ByteArray, FloatArray, PixelBox, TileIndex
from .memory import peak_memory
from .scene import Scene, read_scene

WORD = "house"
"""What models that understand words are asked for."""

POINTS_PER_SIDE = 16
"""Of the automatic search by a grid; the smallest house has 20 pixels, the step is 32."""

FOUND = 0.5
"""IoU from which a house counts as found."""


@dataclass(frozen=True)
class Floors:
    """What a family must reach.

    Args:
        boxes: Mean IoU of the houses, each asked for by its box.
        clicks: Mean IoU of the best candidate for one click in each house's deepest place.
        automatic: Share of the houses that the automatic search finds.
        words: Share of the houses that the word "house" finds.
    """

    boxes: float = 0.8
    clicks: float = 0.6
    automatic: float = 0.6
    words: float = 0.3


FLOORS: Mapping[str, Floors] = {
    "embedded": Floors(boxes=0.85, clicks=0.75, automatic=0.75),
    "mobile_sam": Floors(boxes=0.75, clicks=0.5, automatic=0.5),
    "efficient_sam": Floors(boxes=0.75, clicks=0.5, automatic=0.5),
    "edgetam": Floors(boxes=0.75, clicks=0.5, automatic=0.5),
    "fastsam": Floors(boxes=0.6, clicks=0.45, automatic=0.45),
}
"""By family; the others have :class:`Floors`' own."""


@dataclass(frozen=True)
class Property:
    """One property of a model.

    Args:
        name: "finite", "boxes", "clicks", "automatic", "words" or "scores".
        title: What was measured, for a person.
        value: What the model reached.
        floor: What it must reach; None where the value is only told.
    """

    name: str
    title: str
    value: float
    floor: float | None = None

    @property
    def holds(self) -> bool:
        return self.floor is None or self.value >= self.floor  # not where it is NaN


@dataclass(frozen=True)
class ModelCheck:
    """What a check found.

    Args:
        name: The model's.
        family: Likewise.
        device: Where it ran.
        properties: What was measured, in order.
        seconds: Time of each part: "load", "encode" ...
        memory: Peak of the process in bytes; None where the system does not say.
    """

    name: str
    family: str
    device: str
    properties: tuple[Property, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    memory: int | None = None

    @property
    def passed(self) -> bool:
        return all(one.holds for one in self.properties)

    def raise_if_failed(self) -> None:
        """Name what does not hold.

        Raises:
            ModelError: The model does not work as it should.
        """
        failed = [
            f"{one.title}: {one.value:.2f} instead of at least {one.floor:.2f}"
            for one in self.properties
            if not one.holds
        ]
        if failed:
            raise ModelError(
                f"{self.name} does not work as it should ({'; '.join(failed)}): verify its file, "
                "or get it again; if the file is the published one, please report this."
            )


def check_model(
    name_or_path: str | Path,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
    stop: Callable[[], None] | None = None,
) -> ModelCheck:
    """Try a model on a picture that comes with the package. Nothing is downloaded.

    Every tensor of the checkpoint must find its place, as always when a model is loaded; then the
    embedding must be finite, and prompts, the automatic search and words must find the houses.

    Args:
        name_or_path, device, threads, precision: As in :func:`~samgeo_core.models.load.load_model`.
        stop: Called between batches; raises ``Cancelled`` to stop.

    Returns:
        What was measured. Ask :attr:`ModelCheck.passed`, or :meth:`ModelCheck.raise_if_failed`.

    Raises:
        ModelError, CheckpointError: The model cannot be loaded.
        Cancelled: ``stop`` raised it.
    """
    stop = stop or (lambda: None)
    can = abilities(name_or_path)
    scene, clock = read_scene(), _Clock()
    properties: list[Property] = []
    model: PromptableModel | ConceptModel | None = None
    with stopped_by(stop):
        if "prompts" in can:
            with clock.part("load"):
                model = load_model(name_or_path, device, threads, precision)
            properties += check_prompts(model, scene, clock)
        stop()
        if "words" in can:
            from ..models.words import load_concepts

            with clock.part("load words"):
                finder = load_concepts(name_or_path, device, threads)
            properties += check_words(finder, scene, clock)
            model = model or finder
    assert model is not None  # a model has one of the two
    info = model.info
    return ModelCheck(
        info.name, info.family, info.device, tuple(properties), clock.seconds, peak_memory()
    )


class _Clock:
    """Seconds of each part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


class _Encoded:
    """A model that has encoded the picture: the automatic search need not do it again."""

    def __init__(self, model: PromptableModel, image: ByteArray, embedding: Embedding) -> None:
        self._model, self._image, self._embedding = model, image, embedding
        self.info = model.info

    def encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        if len(images) == 1 and np.array_equal(images[0], self._image):
            return [self._embedding]
        return self._model.encode(images)

    def decode(self, embedding: Embedding, prompts: Prompts, **options: Any) -> Decoded:
        return self._model.decode(embedding, prompts, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def check_prompts(
    model: PromptableModel, scene: Scene, clock: _Clock | None = None
) -> list[Property]:
    """Boxes, clicks and the automatic search of a model."""
    clock = clock or _Clock()
    floors = FLOORS.get(model.info.family, Floors())
    with clock.part("encode"):
        (embedding,) = model.encode([scene.pixels])
    finite = all(
        np.isfinite(array).all() and array.min() < array.max()
        for array in embedding.arrays.values()
    )
    found = [Property("finite", "embedding finite and not constant", float(finite), 1.0)]
    if "box" in model.info.accepts:
        with clock.part("boxes"):
            answer = model.decode(embedding, Prompts(boxes=scene.boxes), multimask=False)
        overlaps = _ious(answer, embedding, scene)[:, 0]
        agreement = 1 - float(np.abs(answer.scores[:, 0] - overlaps).mean())
        found.append(Property("boxes", "mean IoU, boxes", float(overlaps.mean()), floors.boxes))
        found.append(Property("scores", "agreement of predicted and true IoU", agreement))
    if "point" in model.info.accepts:
        labels = np.ones((len(scene.points), 1), np.int8)
        with clock.part("clicks"):
            answer = model.decode(embedding, Prompts(scene.points[:, None], labels))
        best = _ious(answer, embedding, scene).max(axis=1)
        found.append(Property("clicks", "mean IoU, one click", float(best.mean()), floors.clicks))
        with clock.part("automatic"):
            masks = _everything(_Encoded(model, scene.pixels, embedding), scene)
        share = _share_found(masks, scene)
        title = f"share of {len(scene.masks)} houses found automatically"
        found.append(Property("automatic", title, share, floors.automatic))
    return found


def check_words(model: ConceptModel, scene: Scene, clock: _Clock | None = None) -> list[Property]:
    """What a word finds: boxes that fit the houses' boxes."""
    clock = clock or _Clock()
    floors = FLOORS.get(model.info.family, Floors())
    threshold = model.info.score_threshold
    with clock.part("words"):
        concept = model.find(scene.pixels, WORD, min_score=threshold)
    finite = np.isfinite(concept.boxes).all() and np.isfinite(concept.scores).all()
    title = f"share of {len(scene.masks)} houses found by the word '{WORD}'"
    return [
        Property("finite words", "boxes and scores of words finite", float(finite), 1.0),
        Property("words", title, _share_boxed(concept, scene), floors.words),
    ]


def _ious(answer: Decoded, embedding: Embedding, scene: Scene) -> FloatArray:
    """(n, m) IoU of each prompt's candidates with its house, at the picture's pixels."""
    shape = scene.pixels.shape[:2]
    out = np.zeros(answer.scores.shape, np.float32)
    for row, logits in enumerate(answer.logits):
        fine = resample(logits, embedding.cell_size, (1.0, 1.0), shape=(shape[0], shape[1])) > 0
        truth = scene.masks[answer.index[row]]
        common = (fine & truth).sum(axis=(1, 2))
        out[row] = common / np.maximum((fine | truth).sum(axis=(1, 2)), 1)
    return out


def _everything(model: PromptableModel, scene: Scene) -> list[BoolArray]:
    """Masks of the automatic search at the picture's pixels: the search that a job makes, by
    proposals where the model has some, else by a grid of points."""
    height, width = scene.pixels.shape[:2]
    whole = PixelBox(0, 0, height, width)
    if getattr(model, "proposes", False):
        options = AutomaticOptions(proposals="embedded")
        segmenter = AutomaticSegmenter(model, options, cast(Proposer, model))
    else:
        segmenter = AutomaticSegmenter(model, AutomaticOptions(points_per_side=POINTS_PER_SIDE))
    cell = segmenter.cell_size(height)
    tile = Tile(TileIndex(0, 0), whole, whole, whole)
    valid = np.ones((height, width), bool)
    masks = []
    for mask in segmenter.segment(TileImage(tile, scene.pixels, valid, height, cell)).masks:
        canvas = np.full((-(-height // cell), -(-width // cell)), -1.0, np.float32)
        box = mask.box
        canvas[box.row0 : box.row1, box.col0 : box.col1] = mask.logits
        fine = resample(canvas, (cell, cell), (1.0, 1.0), shape=(height, width))
        masks.append(fine > 0)
    return masks


def _share_found(masks: Sequence[BoolArray], scene: Scene) -> float:
    found = 0
    for truth in scene.masks:
        found += any((m & truth).sum() > FOUND * (m | truth).sum() for m in masks)
    return found / len(scene.masks)


def _share_boxed(concept: Concept, scene: Scene) -> float:
    """Share of the houses whose box has an IoU of more than a half with one that was found."""
    low = np.maximum(scene.boxes[:, None, :2], concept.boxes[None, :, :2])
    high = np.minimum(scene.boxes[:, None, 2:], concept.boxes[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [_areas(boxes) for boxes in (scene.boxes, concept.boxes)]
    union = areas[0][:, None] + areas[1][None] - common
    return float((common > FOUND * union).any(axis=1).mean()) if len(concept.boxes) else 0.0


def _areas(boxes: FloatArray) -> NDArray[np.float32]:
    sides: NDArray[np.float32] = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]
