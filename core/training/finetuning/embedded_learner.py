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
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import ParameterError
from ...models.base import PromptableModel
from ...models.embedded.load import model_around, read_network, without_quality
from ...models.embedded.model import EmbeddedModel
from ...models.embedded.network import MASK_STRIDE, EmbeddedNet, normalised
from ...models.embedded.prompt_maps import STRIDE, PromptTensors
from ...models.weights.tensors import family_note
from ...types import AnyArray, BoolArray, ByteArray, FloatArray
from ..datasets.canvas import Labels
from ..datasets.crops import recolour
from ..datasets.opencv import cv2
from ..dense_heads import DenseTargets, dense_loss, targets_of
from ..loop import Batch, rounds, settle
from ..prompts import first_prompts
from .examples import Example, Window
from .learners import What, halved

IMAGES, OBJECTS = 3, 6
"""Crops per step, and prompts per crop."""

SIDE = 256
"""Of a crop, pixels."""

ZOOM = (0.7, 1.6)
"""Range of magnifications."""

GUESSES, ANYWHERE = 8, 2
"""Places in each crop at which only the predicted IoU learns, and how many of them at least are no
proposals."""

SHARE = 0.6
"""Of the trained weights in what is kept, the rest of which are the model's own (Wortsman et al.,
"Robust fine-tuning of zero-shot models", 2022). Catanduanes, 83 roofs to train and 45 to test on:
IoU of boxes .781 before, .776 with .6, .770 with 1; F1 of the automatic mode .30, .46 and .54."""

DEPTH = 0.35
"""Depth from which a trained model proposes: what is no object has become shallow, and so have some
objects. There (with a share of .6) 31 of 45 roofs have a proposal, 28 before, 27 with .5."""

GUESSED, EXPECTED = 1.0, 1.0
"""Weights of the losses of the predicted IoU at such places, and of proposals."""

SMALLEST = 30
"""Pixels of an object in a crop."""

ROUNDS = (0.6, 0.25, 0.15)
"""Shares of steps with one, two and three rounds of prompts."""

OBJECT, REJECTED, KNOWN = range(3)
"""Layers of a window's labels."""


class Drawn(NamedTuple):
    """A crop: (s, s, 3) uint8, (3, s, s) uint16 layers, (n, s, s) bool masks of objects, and (k, 2)
    places (row, column) in it where the automatic mode asks."""

    image: ByteArray
    layers: Labels
    masks: BoolArray
    asked: FloatArray


class ExampleCrops:
    """Draws crops around the objects of windows.

    Args:
        windows: With at least one object each.
        size: Side of a crop.
        scale: Pixels of a crop per pixel of the windows, before the magnification by chance.
        asked: For each window, (k, 2) places (row, column) where the automatic mode asks.
    """

    def __init__(
        self,
        windows: Sequence[Window],
        size: int,
        scale: float = 1.0,
        asked: Sequence[FloatArray] | None = None,
    ) -> None:
        self.size = size
        self._scale = scale
        self._asked = [np.zeros((0, 2), np.float32)] * len(windows) if asked is None else asked
        self._windows = list(windows)
        self._layers = [layers_of(window) for window in windows]
        self._targets: list[tuple[int, Example]] = [
            (number, example)
            for number, window in enumerate(windows)
            for example in (*window.objects, *window.rejected)
        ]

    def draw(self, objects: int, rng: np.random.Generator) -> Drawn:
        """A crop and the masks of some of its objects (repeated where it has fewer)."""
        while True:
            number, example = self._targets[int(rng.integers(len(self._targets)))]
            zoom = self._scale * float(np.exp(rng.uniform(*np.log(ZOOM))))
            matrix = self._matrix(self._windows[number], example, zoom, rng)
            layers = np.stack([self._warped(layer, matrix) for layer in self._layers[number]])
            masks = self._some(layers[OBJECT], objects, rng)
            if masks is not None:
                image = self._image(self._windows[number].pixels, matrix, zoom)
                asked = self._inside(self._asked[number], matrix)
                return Drawn(recolour(image, rng), layers, masks, asked)

    def _matrix(
        self, window: Window, example: Example, zoom: float, rng: np.random.Generator
    ) -> AnyArray:
        """(2, 3) from a crop's (x, y) to the window's: turned, mirrored, around an object."""
        angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.6 else rng.integers(4) * np.pi / 2
        mirror = 1.0 if rng.random() < 0.5 else -1.0
        cos, sin = np.cos(angle), np.sin(angle)
        matrix = np.zeros((2, 3))
        matrix[:, :2] = np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror, 1.0]) / zoom
        box, slack = example.box, 0.25 * self.size / zoom
        centre = np.array(
            [
                (box.col0 + box.col1) / 2 - window.box.col0,
                (box.row0 + box.row1) / 2 - window.box.row0,
            ]
        ) + rng.uniform(-slack, slack, 2)
        matrix[:, 2] = centre - matrix[:, :2] @ (self.size / 2, self.size / 2)
        return matrix

    def _inside(self, places: FloatArray, matrix: AnyArray) -> FloatArray:
        """Places of a window in a crop, as far as they lie in it."""
        xy = places[:, ::-1] - matrix[:, 2]
        moved = np.linalg.solve(matrix[:, :2], xy.T).T[:, ::-1].astype(np.float32)
        inside = ((moved >= 0) & (moved < self.size)).all(axis=1)
        return np.ascontiguousarray(moved[inside])

    def _warped(self, layer: AnyArray, matrix: AnyArray) -> AnyArray:
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        out: AnyArray = cv2.warpAffine(layer, matrix, (self.size, self.size), flags=flags)
        return out

    def _image(self, pixels: ByteArray, matrix: AnyArray, zoom: float) -> ByteArray:
        if zoom < 0.9:  # against aliases
            pixels = cv2.GaussianBlur(pixels, (0, 0), 0.45 / zoom)
        out: ByteArray = cv2.warpAffine(
            pixels,
            matrix,
            (self.size, self.size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return out

    def _some(self, layer: AnyArray, objects: int, rng: np.random.Generator) -> BoolArray | None:
        areas = np.bincount(layer.ravel())
        areas[0] = 0
        good = np.flatnonzero((areas >= SMALLEST) & (areas < 0.75 * layer.size))
        if len(good) == 0:
            return None
        chosen = rng.choice(good, min(objects, len(good)), replace=False)
        return np.stack([layer == number for number in np.resize(chosen, objects)])


def layers_of(window: Window) -> Labels:
    """A window's labels, (3, h, w): numbers of objects, of rejected ones, 1 where all is known."""
    labels = np.zeros((3, *window.box.shape), np.uint16)
    large_first = sorted(window.objects, key=lambda o: -int(o.mask.sum()))
    for layer, examples in ((OBJECT, large_first), (REJECTED, window.rejected)):
        for number, example in enumerate(examples, 1):
            at = example.box.slices(window.box)
            labels[layer][at][example.mask] = number
    labels[KNOWN] = window.known
    return labels


def batch_of(drawn: Sequence[Drawn], rng: np.random.Generator) -> Batch:
    """Crops as the batch that :func:`.loop.rounds` takes, with a first prompt for each object."""
    side = drawn[0].image.shape[0] // MASK_STRIDE
    shares = [
        d.masks.reshape(-1, side, MASK_STRIDE, side, MASK_STRIDE).mean((2, 4), dtype=np.float32)
        for d in drawn
    ]
    prompts = [first_prompts(d.masks, rng) for d in drawn]
    names = ("points", "labels", "boxes", "masks", "kinds")
    return {
        "images": torch.from_numpy(np.stack([d.image.transpose(2, 0, 1) for d in drawn])),
        "targets": torch.from_numpy(np.concatenate(shares)),
        **{
            name: torch.from_numpy(np.concatenate([getattr(p, name) for p in prompts]))
            for name in names
        },
    }


class EmbeddedLearner:
    """The embedded model, or a fine-tuned one.

    Args:
        path: Its weights.
        windows: To learn on.
        what: "decoder", or "whole": the encoder, too. What else reads the encoder's features
            (a head for proposals) may suffer from the latter.
        device: Where it runs.
        name: Of the model to ask.
        scale: How much the model magnifies images; see :mod:`~samgeo_core.models.embedded.scale`.
    """

    def __init__(
        self,
        path: Path,
        windows: Sequence[Window],
        what: What = "whole",
        *,
        device: torch.device | None = None,
        name: str = "embedded",
        scale: float = 1.0,
    ) -> None:
        if what == "adapter":
            raise ParameterError(
                "The embedded model has no adapters: train its decoder, or the whole of it."
            )
        if family_note(path) != "embedded":
            raise ParameterError(f"{path} does not hold an embedded model.")
        self.device = device or torch.device("cpu")
        net, notes, self._digest = read_network(path)
        net, self.notes = without_quality(net, notes)
        self._net: EmbeddedNet = net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._name = name
        self._scale = scale
        self._whole = what == "whole"
        for parameter in self._net.parameters():
            parameter.requires_grad_(False)
        self._tensors: dict[str, Tensor] = {}
        learning = ("decoder.", "dense.", *(("encoder.",) if self._whole else ()))
        for key, parameter in self._net.named_parameters():
            if key.startswith(learning):
                self._tensors[key] = parameter.requires_grad_(True)
        self._start = {key: tensor.detach().clone() for key, tensor in self._tensors.items()}
        # What was known of classes: these labels say nothing of them.
        self._taught = copy.deepcopy(self._net.dense)
        self._net.train()
        # Batch normalisation stands still: a few crops of one place are no statistics.
        settle(self._net)
        self._windows = [window for window in windows if window.objects or window.rejected]
        asked = [self._proposed(window) for window in self._windows]
        self._crops = ExampleCrops(self._windows, SIDE, scale, asked)

    def _proposed(self, window: Window) -> FloatArray:
        """Where the model that learns asks in a window before it has learned anything."""
        if self._taught is None:
            return np.zeros((0, 2), np.float32)
        model = self.model({})
        return model.propose(model.encode([window.pixels])[0]).points

    @property
    def tensors(self) -> dict[str, Tensor]:
        return self._tensors

    @property
    def settings(self) -> dict[str, str]:
        """See :attr:`.learners.Learner.settings`."""
        return {} if self._net.dense is None else {"proposal_depth": f"{DEPTH:g}"}

    def loss(self, rng: np.random.Generator) -> Tensor:
        """See :meth:`.learners.Learner.loss`."""
        drawn = [self._crops.draw(OBJECTS, rng) for _ in range(IMAGES)]
        batch = {name: part.to(self.device) for name, part in batch_of(drawn, rng).items()}
        count = 1 + int(rng.choice(len(ROUNDS), p=ROUNDS))
        with torch.set_grad_enabled(self._whole):
            pyramid = self._net.encoder.pyramid(normalised(batch["images"]))
            features = self._net.encoder.features(*pyramid)
        results = rounds(self._net, features, batch, count, rng)
        total = results[0][0].total
        for loss, _ in results[1:]:
            total = total + 0.5 * loss.total
        guess = self._guessed(features, drawn, rng)
        if guess is not None:
            total = total + GUESSED * guess
        if self._net.dense is not None:
            total = total + EXPECTED * self._expected(pyramid[:3], drawn)
        return total

    def _expected(self, pyramid: Sequence[Tensor], drawn: Sequence[Drawn]) -> Tensor:
        """Loss of what is expected without a prompt: depths and boxes as the labels say, classes as
        before (Li and Hoiem, "Learning without Forgetting", 2016).

        Args:
            pyramid: (b, channels, h, w) features of strides 16, 8 and 4.
            drawn: The b crops.
        """
        assert self._net.dense is not None
        assert self._taught is not None
        targets = []
        for crop in drawn:
            sure = (crop.layers[KNOWN] > 0) | (crop.layers[REJECTED] > 0)
            unknown = np.zeros(sure.shape, np.uint8)
            targets.append(
                targets_of(crop.layers[OBJECT].astype(np.int32), sure.astype(np.float32), unknown)
            )
        batch = {
            name: torch.from_numpy(np.stack([getattr(t, name) for t in targets])).to(self.device)
            for name in DenseTargets._fields
        }
        p16, p8, p4 = pyramid
        dense = self._net.dense(p16, p8, p4)
        loss, _ = dense_loss(dense, batch)
        with torch.no_grad():
            wanted = F.softmax(self._taught(p16.detach(), p8.detach(), p4.detach()).classes, dim=1)
        given = F.log_softmax(dense.classes, dim=1)
        return loss + F.kl_div(given, wanted, reduction="none").sum(1).mean()

    def _places(self, crop: Drawn, rng: np.random.Generator) -> FloatArray:
        """(GUESSES, 2) places in a crop: proposals where there are enough, else any that are in
        rejected polygons or where all is known."""
        sure = (crop.layers[KNOWN] > 0) | (crop.layers[REJECTED] > 0)
        rows, cols = crop.asked.astype(np.intp).T
        asked = crop.asked[sure[rows, cols] | (crop.layers[OBJECT, rows, cols] > 0)]
        asked = asked[rng.permutation(len(asked))[: GUESSES - ANYWHERE]]
        out = [asked]
        for k in range(GUESSES - len(asked)):
            spots = np.flatnonzero(crop.layers[REJECTED] if k % 2 else crop.layers[KNOWN])
            if len(spots) == 0:
                spots = np.flatnonzero(sure)
            if len(spots) == 0:
                spots = np.array([0])
            row, col = divmod(int(spots[int(rng.integers(len(spots)))]), sure.shape[1])
            out.append(np.array([[row, col]], np.float32) + rng.random((1, 2), np.float32))
        return np.concatenate(out)

    def _guessed(
        self, features: object, drawn: Sequence[Drawn], rng: np.random.Generator
    ) -> Tensor | None:
        """Loss of the predicted IoU where the automatic mode asks: at its proposals, and elsewhere.

        Args:
            features: Of the crops.
            drawn: The crops.
            rng: Chooses the places.
        """
        labels = np.stack([d.layers for d in drawn])
        points = np.zeros((len(labels), GUESSES, 1, 2), np.float32)
        known = np.zeros((len(labels), GUESSES), bool)
        for b, layers in enumerate(labels):
            places = self._places(drawn[b], rng)
            points[b, :, 0] = places
            rows, cols = places.astype(np.intp).T
            known[b] = layers[KNOWN, rows, cols]
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
        notes = {**self.notes, **(self.settings if tensors else {})}
        self._last = net, digest.hexdigest(), notes
        return self._around({})

    def thresholds(self, model: PromptableModel, score: float) -> EmbeddedModel:
        """See :meth:`.learners.Learner.thresholds`; of the last :meth:`model`."""
        return self._around({"score_threshold": str(score)})

    def _around(self, changed: Mapping[str, str]) -> EmbeddedModel:
        net, digest, notes = self._last
        return model_around(net, {**notes, **changed}, self._name, digest, self.device, self._scale)

    def mixed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See :meth:`.learners.Learner.mixed`."""
        return {k: torch.lerp(self._start[k], t.detach(), SHARE) for k, t in tensors.items()}

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
