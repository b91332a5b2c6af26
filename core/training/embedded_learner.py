# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded model as a :class:`~.learners.Learner`: all of it, or its decoder.

Crops are drawn around a user's objects, turned, mirrored and recoloured as in the model's own
training; prompts, corrections and losses are those of ``loop.py``. Its small encoder runs in every
step, so that no two crops are the same.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ParameterError
from ..models.base import PromptableModel
from ..models.embedded.model import EmbeddedModel, read_network
from ..models.embedded.network import EmbeddedNet, normalised
from ..models.embedded.prompt_maps import STRIDE, PromptTensors
from ..models.embedded.trained import around
from ..models.weights.tensors import family_note
from ..types import AnyArray, BoolArray, ByteArray
from .canvas import Labels
from .data import Crops, Sample, crop, recolour
from .examples import Example, Window
from .learners import What, halved
from .loop import make_batch, rounds, settle

IMAGES, OBJECTS = 3, 6
"""Crops a step, and prompts in each."""

SIDE = 256
"""Of a crop, pixels."""

ZOOM = (0.7, 1.6)
"""Range of magnifications."""

GUESSES = 8
"""Places in each crop at which only the predicted IoU learns."""

SMALLEST = 30
"""Pixels of an object in a crop."""

ROUNDS = (0.6, 0.25, 0.15)
"""Shares of steps with one, two and three rounds of prompts."""

OBJECT, REJECTED, KNOWN = range(3)
"""Layers of a window's labels."""


class ExampleCrops(Crops):
    """Draws crops around the objects of windows.

    Args:
        windows: With at least one object each.
        rng: Source of all randomness.
        size: Side of a crop.
    """

    def __init__(self, windows: Sequence[Window], rng: np.random.Generator, size: int) -> None:
        super().__init__([], rng, size, SMALLEST)
        self.samples = [sample_of(window) for window in windows]
        self.windows = list(windows)
        self.targets: list[tuple[int, Example]] = [
            (number, example)
            for number, window in enumerate(windows)
            for example in (*window.objects, *window.rejected)
        ]
        self.drawn: list[Labels] = []

    def draw(self, objects: int) -> tuple[ByteArray, Labels, BoolArray]:
        """See :meth:`.data.Crops.draw`; the labels of all layers are added to :attr:`drawn`."""
        rng = self.rng
        while True:
            number, example = self.targets[int(rng.integers(len(self.targets)))]
            zoom = float(np.exp(rng.uniform(*np.log(ZOOM))))
            around = self._around(number, example, zoom)
            image, labels = crop(around, self.size, zoom, rng)
            masks = self._choose(labels[:1], objects)
            if masks is not None:
                self.drawn.append(labels)
                both = np.stack([labels[OBJECT], labels[OBJECT] * 0])
                return recolour(image, rng), both, masks

    def _around(self, number: int, example: Example, zoom: float) -> Sample:
        """The part of a window around an object from which a crop is drawn."""
        window, sample = self.windows[number], self.samples[number]
        reach = max(0.8 * self.size / zoom, 0.6 * max(example.box.shape))
        slack = 0.25 * self.size / zoom
        row = (example.box.row0 + example.box.row1) / 2 - window.box.row0
        col = (example.box.col0 + example.box.col1) / 2 - window.box.col0
        row, col = row + self.rng.uniform(-slack, slack), col + self.rng.uniform(-slack, slack)
        part = (
            slice(max(0, int(row - reach)), max(8, int(row + reach))),
            slice(max(0, int(col - reach)), max(8, int(col + reach))),
        )
        return Sample(sample.image[part], sample.labels[:, part[0], part[1]])


def sample_of(window: Window) -> Sample:
    """A window's pixels and labels: numbers of objects, of rejected ones, 1 where all is known."""
    labels = np.zeros((3, *window.box.shape), np.uint16)
    large_first = sorted(window.objects, key=lambda o: -int(o.mask.sum()))
    for layer, examples in ((OBJECT, large_first), (REJECTED, window.rejected)):
        for number, example in enumerate(examples, 1):
            at = example.box.slices(window.box)
            labels[layer][at][example.mask] = number
    labels[KNOWN] = window.known
    return Sample(window.pixels, labels)


class EmbeddedLearner:
    """The embedded model, or a fine-tuned one.

    Args:
        path: Its weights.
        windows: To learn on.
        what: "whole" or "decoder".
        device: Where it runs.
        name: Of the model to ask.
    """

    def __init__(
        self,
        path: Path,
        windows: Sequence[Window],
        what: What = "whole",
        *,
        device: torch.device | None = None,
        name: str = "embedded",
    ) -> None:
        if what == "adapter":
            raise ParameterError(
                "The embedded model has no adapters: train its decoder, or the whole of it."
            )
        if family_note(path) != "embedded":
            raise ParameterError(f"{path} does not hold an embedded model.")
        self.device = device or torch.device("cpu")
        net, self.notes, self._digest = read_network(path)
        self._net: EmbeddedNet = net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._name = name
        self._whole = what == "whole"
        for parameter in self._net.parameters():
            parameter.requires_grad_(False)
        self._tensors: dict[str, Tensor] = {}
        for key, parameter in self._net.named_parameters():
            if self._whole or key.startswith("decoder."):
                self._tensors[key] = parameter.requires_grad_(True)
        self._net.train()
        # Batch normalisation stands still: a few crops of one place are no statistics.
        settle(self._net)
        self._windows = [window for window in windows if window.objects or window.rejected]
        self._crops = ExampleCrops(self._windows, np.random.default_rng(0), SIDE)

    @property
    def tensors(self) -> dict[str, Tensor]:
        return self._tensors

    def loss(self, rng: np.random.Generator) -> Tensor:
        """See :meth:`.learners.Learner.loss`."""
        crops = self._crops
        crops.rng, crops.drawn = rng, []
        batch = make_batch(crops, IMAGES, OBJECTS)
        batch = {name: part.to(self.device) for name, part in batch.items()}
        count = 1 + int(rng.choice(len(ROUNDS), p=ROUNDS))
        with torch.set_grad_enabled(self._whole):
            pyramid = self._net.encoder.pyramid(normalised(batch["images"]))
            features = self._net.encoder.features(*pyramid)
        results = rounds(self._net, features, batch, count, rng)
        total = results[0][0].total
        for loss, _ in results[1:]:
            total = total + 0.5 * loss.total
        guess = self._guessed(features, np.stack(crops.drawn), rng)
        return total if guess is None else total + guess

    def _guessed(
        self, features: object, labels: AnyArray, rng: np.random.Generator
    ) -> Tensor | None:
        """Loss of the predicted IoU at places that a grid of points might ask.

        Args:
            features: Of the crops.
            labels: (b, 3, s, s) layers of the crops.
            rng: Chooses the places.
        """
        points = np.zeros((len(labels), GUESSES, 1, 2), np.float32)
        known = np.zeros((len(labels), GUESSES), bool)
        for b, layers in enumerate(labels):
            for k in range(GUESSES):
                # Half of them in rejected polygons, where there are some.
                spots = np.flatnonzero(layers[REJECTED] if k % 2 else layers[KNOWN])
                if len(spots) == 0:
                    spots = np.flatnonzero(layers[KNOWN] | (layers[REJECTED] > 0))
                if len(spots) == 0:
                    spots = np.array([0])
                row, col = divmod(int(spots[int(rng.integers(len(spots)))]), layers.shape[2])
                points[b, k, 0] = row + rng.random(), col + rng.random()
                known[b, k] = bool(layers[KNOWN, row, col])
        if not labels[:, KNOWN].any() and not labels[:, REJECTED].any():
            return None
        count = known.size
        device = self.device
        prompts = PromptTensors(
            torch.from_numpy(points.reshape(count, 1, 2)).to(device),
            torch.ones(count, 1, dtype=torch.int8, device=device),
            torch.full((count, 4), float("nan"), device=device),
        )
        net = self._net
        coarse = net.decoder.begin(features, prompts)  # type: ignore[arg-type]
        with torch.no_grad():
            given = net.decoder.refine(features, coarse).masks > 0  # type: ignore[arg-type]
        middle = STRIDE // 2
        cells = torch.from_numpy(labels[:, :, middle::STRIDE, middle::STRIDE].astype(np.int64))
        wanted, certain = best_labels(given, cells.to(device), torch.from_numpy(known).to(device))
        judged = F.binary_cross_entropy_with_logits(coarse.iou.float(), wanted, reduction="none")
        return (judged * certain).sum() / max(1, count * judged.shape[1] // 2)

    def model(self, tensors: Mapping[str, Tensor]) -> EmbeddedModel:
        """See :meth:`.learners.Learner.model`."""
        net = copy.deepcopy(self._net).eval()
        net.load_state_dict(dict(tensors), strict=False)
        digest = hashlib.sha256(self._digest.encode())
        for key in sorted(tensors):
            digest.update(tensors[key].detach().cpu().contiguous().numpy().tobytes())
        score, stability = (float(self.notes[f"{n}_threshold"]) for n in ("score", "stability"))
        self._last = net, digest.hexdigest(), stability
        return around(net, self._name, self._last[1], self.device, score, stability)

    def thresholds(self, model: PromptableModel, score: float) -> EmbeddedModel:
        """See :meth:`.learners.Learner.thresholds`; of the last :meth:`model`."""
        net, digest, stability = self._last
        return around(net, self._name, digest, self.device, score, stability)

    def file(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See :meth:`.learners.Learner.file`; the whole model stands alone."""
        if not self._whole:
            return halved(tensors)
        whole = {**self._net.state_dict(), **tensors}
        return halved({k: v for k, v in whole.items() if not k.endswith("num_batches_tracked")})


def best_labels(given: Tensor, labels: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """What the predicted IoU of masks should be, and where that is certain.

    Args:
        given: (b * p, k, h, w) bool masks.
        labels: (b, 3, h, w) int64 layers.
        known: (b, p) bool, whether all is known at the prompt's place.

    Returns:
        (b * p, k) float IoU with the best object, and (b * p, k) float weights, 0 or 1.
    """
    b, p = known.shape
    masks = given.reshape(b, p * given.shape[1], -1).float()
    best = []
    for layer in (OBJECT, REJECTED):
        flat = labels[:, layer].flatten(1)
        count = int(flat.max()) + 1
        ones = F.one_hot(flat, count)[..., 1:].float()
        common = masks @ ones
        union = masks.sum(2, keepdim=True) + ones.sum(1)[:, None] - common
        table = common / union.clamp(min=1)
        best.append(
            table.amax(2) if count > 1 else torch.zeros(masks.shape[:2], device=masks.device)
        )
    wanted, false = (part.reshape(b * p, -1) for part in best)
    certain = known.reshape(-1, 1) | (false > 0.5)
    return torch.where(
        certain & (false > wanted), torch.zeros_like(wanted), wanted
    ), certain.float()
