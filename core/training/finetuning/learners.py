# SPDX-License-Identifier: GPL-2.0-or-later
"""What a training needs of a model: tensors that may change, a loss on windows, a model to ask.

A learner of the SAM family keeps the encoder as it is and works on cached embeddings, so that a
step costs a decoder. Low-rank changes (Hu et al., "LoRA: Low-Rank Adaptation of Large Language
Models", 2021) are sums of two small factors' products on the decoder's projections; they are added
to the weights when the model is loaded, and cost nothing then.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ...errors import ParameterError
from ...models.base import Embedding, PromptableModel
from ...models.nn.attended import Attended
from ...models.nn.mask_decoder import ImageSide
from ...models.promptable import TorchModel
from ...models.weights.own import DOWN, UP, changed
from ...types import BoolArray
from ..losses import along_border, each_mask
from ..prompts import drawn_box, interior_point
from .examples import Example, Window
from .measure import CachedEncoder, deepest

What = Literal["adapter", "decoder", "whole"]

FAMILIES = ("sam", "sam2", "mobile_sam", "edgetam")
"""Families of the SAM kind whose decoder can be trained here."""

RANK = 8
PROMPTS = 4
"""Objects a step."""

GUESSES = 4
"""Places a step at which only the predicted IoU learns."""

BORDER = 0.5
"""Weight of the cross-entropy along the border."""


class Learner(Protocol):
    """A model that learns."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What is trained, by the name under which it is kept."""

    @property
    def settings(self) -> dict[str, str]:
        """Notes of the trained model's file besides its thresholds."""

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Loss of one step on randomly drawn training data; gradients reach :attr:`tensors`."""

    def model(self, tensors: Mapping[str, Tensor]) -> PromptableModel:
        """A model to ask, with some values of the tensors."""

    def thresholds(self, model: PromptableModel, score: float) -> PromptableModel:
        """The same model with another threshold of the automatic mode."""

    def mixed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is kept of trained values: perhaps a mean with those before."""

    def file(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What a file of the trained model holds, on the CPU."""


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as they are kept: kernels in half precision, what is small as it is."""
    return {
        name: (t.half() if t.ndim > 1 else t).detach().cpu().contiguous()
        for name, t in tensors.items()
    }


class LowRank(nn.Module):
    """A weight plus the product of two factors; at first the weight itself."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        rows, cols = weight.shape[0], weight[0].numel()
        start = torch.randn(rank, cols, generator=generator) / cols**0.5
        self.down = nn.Parameter(start.to(weight.device))
        self.up = nn.Parameter(torch.zeros(rows, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).reshape(weight.shape)


@dataclass(frozen=True, eq=False)
class _Seen:
    """A window as the network has it: its features, and (n, 4h, 4w) shares of its cells that each
    object and each rejected polygon covers."""

    window: Window
    arrays: Mapping[str, Tensor]
    embedding: Embedding
    objects: Tensor
    rejected: Tensor


class SamLearner:
    """A decoder of the SAM family that learns on cached embeddings.

    Args:
        base: Loaded; its weights do not change.
        encoder: Gives embeddings of windows.
        windows: To learn on, each with at least one object.
        what: "adapter" or "decoder".
        rank: Of the adapters.
        seed: Of the adapters' first values.
    """

    def __init__(
        self,
        base: TorchModel,
        encoder: CachedEncoder,
        windows: Sequence[Window],
        what: What = "adapter",
        *,
        rank: int = RANK,
        seed: int = 0,
    ) -> None:
        if base.network.family not in FAMILIES or what == "whole":
            raise ParameterError(
                f"Of {base.info.name} ({base.network.family}) the {what} cannot be trained: the "
                f"adapter or the decoder can, of {', '.join(FAMILIES)}."
            )
        self._base, self._encoder, self._windows = base, encoder, list(windows)
        self._weights = [float(len(w.objects)) for w in self._windows]
        # All but the encoder is a copy of its own.
        kept = {id(base.network.image_encoder): base.network.image_encoder}
        self._network = copy.deepcopy(base.network, kept)
        self._tensors = self._choose(what, rank, torch.Generator().manual_seed(seed))
        self._seen: dict[int, _Seen] = {}
        network = self._network
        with torch.no_grad():
            self._positions = network.prompt_encoder.pe_layer.grid(network.grid, network.grid)

    def _choose(self, what: What, rank: int, generator: torch.Generator) -> dict[str, Tensor]:
        decoder = self._network.mask_decoder
        chosen: dict[str, Tensor] = {}
        if what == "decoder":
            for name, parameter in decoder.named_parameters():
                chosen[f"mask_decoder.{name}"] = parameter.requires_grad_(True)
            return chosen
        for name, module in list(decoder.named_modules()):
            if isinstance(module, nn.Linear):
                change = LowRank(module.weight, rank, generator)
                parametrize.register_parametrization(module, "weight", change)
                chosen[f"mask_decoder.{name}.weight{DOWN}"] = change.down
                chosen[f"mask_decoder.{name}.weight{UP}"] = change.up
        return chosen

    @property
    def tensors(self) -> dict[str, Tensor]:
        return self._tensors

    @property
    def settings(self) -> dict[str, str]:
        return {}

    # A step -------------------------------------------------------------------------------------

    def loss(self, rng: np.random.Generator) -> Tensor:
        network = self._network
        weights = np.array(self._weights)
        number = int(rng.choice(len(weights), p=weights / weights.sum()))
        seen = self._look(number)
        with parametrize.cached():
            network.mask_decoder.prepare_to_learn(self._positions)
            side = network.image_side(seen.arrays)
            total = self._positions.new_zeros(())
            objects = seen.window.objects
            some = rng.choice(len(objects), min(PROMPTS, len(objects)), replace=False)
            for k in some.tolist():
                total = total + self._taught(side, seen, k, rng) / len(some)
            guesses = _places(seen.window, rng)
            for place, known in guesses:
                total = total + self._guessed(side, seen, place, known) / len(guesses)
        return total

    def _look(self, number: int) -> _Seen:
        if number not in self._seen:
            while len(self._seen) >= 4:
                del self._seen[next(iter(self._seen))]
            window = self._windows[number]
            embedding = self._encoder.encode([window.pixels])[0]
            device = self._positions.device
            arrays = {
                name: torch.from_numpy(np.array(array, np.float32)).to(device)
                for name, array in embedding.arrays.items()
            }
            self._seen[number] = _Seen(
                window,
                arrays,
                embedding,
                self._cells(embedding, [window.mask(o) for o in window.objects]),
                self._cells(embedding, [window.mask(r) for r in window.rejected]),
            )
        return self._seen[number]

    def _taught(
        self, side: ImageSide, seen: _Seen, number: int, rng: np.random.Generator
    ) -> Tensor:
        """Loss of one object's prompt: a box as people draw it, or a click inside."""
        example = seen.window.objects[number]
        target = seen.objects[number : number + 1]
        points: list[tuple[float, float]] = []
        box = None
        kind = rng.random()
        if kind < 0.5:
            box = drawn_box(seen.window.mask(example), rng)
        else:
            row, col = interior_point(example.mask, rng) if kind < 0.8 else deepest(example.mask)
            points.append(_inside(example, seen.window, row, col))
        logits, scores = self._answer(side, seen, points, box)
        losses = each_mask(logits, target) + BORDER * along_border(logits, target)
        best = losses[:, 1:].amin(dim=1)
        alone = 0.5 if box is None else 1.0
        judged = F.mse_loss(scores, _iou_of(logits.detach() > 0, target > 0.5))
        return (alone * losses[:, 0] + (1.5 - alone) * best).mean() + judged

    def _guessed(
        self, side: ImageSide, seen: _Seen, place: tuple[float, float], known: bool
    ) -> Tensor:
        """Loss of the predicted IoU for a click anywhere: what is no object scores 0.

        Args:
            side: Of the image.
            seen: The window.
            place: (row, column) in it.
            known: All objects at the place are known; else only those that are rejected.
        """
        logits, scores = self._answer(side, seen, [place], None)
        given = logits.detach() > 0
        wanted = torch.zeros_like(scores)
        certain = torch.full_like(scores, known, dtype=torch.bool)
        if known and len(seen.objects):
            wanted = _table(given, seen.objects > 0.5).amax(dim=1)[None]
        if len(seen.rejected):
            certain |= _table(given, seen.rejected > 0.5).amax(dim=1)[None] > 0.5
        error = (scores - wanted).square() * certain
        return error.sum() / scores.numel()

    def _answer(
        self,
        side: ImageSide,
        seen: _Seen,
        points: Sequence[tuple[float, float]],
        box: object,
    ) -> tuple[Tensor, Tensor]:
        """Logits (1, 4, 4h, 4w) and scores (1, 4) for one prompt."""
        network = self._network
        scale = np.array(network.preprocessing.scale(seen.embedding.shape))
        scale = scale / network.preprocessing.size
        device = self._positions.device

        def fractions(rc: object) -> Tensor:
            xy = (np.asarray(rc, np.float64).reshape(-1, 2) * scale)[:, ::-1]
            return torch.from_numpy(np.ascontiguousarray(xy, np.float32)).to(device)[None]

        spots = fractions(points) if points else None
        marks = torch.ones(1, len(points), device=device) if points else None
        corners = fractions(box) if box is not None else None
        with torch.no_grad():
            tokens = network.tokens(1, spots, marks, corners)
        attended: Attended = network.mask_decoder.attend(side, tokens)
        logits = network.mask_decoder.masks(side, attended, slice(0, None))
        return logits, network.scores(attended)

    def _cells(self, embedding: Embedding, masks: Sequence[BoolArray]) -> Tensor:
        """Share of each of the network's cells that masks cover, (n, 4h, 4w)."""
        cells = self._network.mask_size
        device = self._positions.device
        rows, cols = (round(c * cells) for c in embedding.cell_size)
        out = torch.zeros(len(masks), cells, cells, device=device)
        for number, mask in enumerate(masks):
            canvas = torch.zeros(1, 1, rows, cols, device=device)
            part = mask[:rows, :cols]
            canvas[0, 0, : part.shape[0], : part.shape[1]] = torch.from_numpy(part).to(canvas)
            if rows >= cells and cols >= cells:
                out[number] = F.adaptive_avg_pool2d(canvas, cells)[0, 0]
            else:
                out[number] = F.interpolate(canvas, (cells, cells), mode="bilinear")[0, 0]
        return out

    # To ask -------------------------------------------------------------------------------------

    def model(self, tensors: Mapping[str, Tensor]) -> CachedEncoder:
        base = self._base
        network = copy.deepcopy(
            base.network, {id(base.network.image_encoder): base.network.image_encoder}
        )
        own = {name: value.detach() for name, value in tensors.items()}
        network.load_state_dict(changed(network.state_dict(), own), strict=False)
        with torch.no_grad():
            network.mask_decoder.prepare(self._positions)
        asked = TorchModel(network, base.info, base.device, base.dtype)
        return self._encoder.with_model(asked)

    def thresholds(self, model: PromptableModel, score: float) -> CachedEncoder:
        assert isinstance(model, CachedEncoder)
        return model.with_score(score)

    def mixed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: t.detach().clone() for name, t in tensors.items()}

    def file(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return halved(tensors)


def _inside(example: Example, window: Window, row: float, col: float) -> tuple[float, float]:
    """A place in an example's own box as one in its window."""
    return row + example.box.row0 - window.box.row0, col + example.box.col0 - window.box.col0


def _places(window: Window, rng: np.random.Generator) -> list[tuple[tuple[float, float], bool]]:
    """Places of clicks for the predicted IoU, and whether all is known there: in rejected polygons
    and anywhere in what is completely labelled."""
    places: list[tuple[tuple[float, float], bool]] = []
    for _ in range(GUESSES):
        if window.rejected and rng.random() < 0.5:
            example = window.rejected[int(rng.integers(len(window.rejected)))]
            row, col = _inside(example, window, *interior_point(example.mask, rng))
            places.append(((row, col), bool(window.known[int(row), int(col)])))
        elif window.known.any():
            spots = np.flatnonzero(window.known)
            row, col = divmod(int(spots[int(rng.integers(len(spots)))]), window.box.width)
            places.append(((row + float(rng.random()), col + float(rng.random())), True))
    return places


def _iou_of(given: Tensor, wanted: Tensor) -> Tensor:
    """IoU of (1, k, h, w) masks with a (1, h, w) one: (1, k)."""
    common = (given & wanted[:, None]).sum((2, 3)).float()
    union = (given | wanted[:, None]).sum((2, 3)).float()
    return common / union.clamp(min=1)


def _table(given: Tensor, wanted: Tensor) -> Tensor:
    """IoU of (1, k, h, w) masks with (n, h, w) ones: (k, n)."""
    ours, theirs = given[0].flatten(1).float(), wanted.flatten(1).float()
    common = ours @ theirs.T
    union = ours.sum(1, keepdim=True) + theirs.sum(1) - common
    return common / union.clamp(min=1)
