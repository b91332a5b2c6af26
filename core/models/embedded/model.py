# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded model: a small promptable network, trained by this project and shipped with it.

It needs no download and no GPU. ``embedded.md`` beside this file is its card: what it was trained
on, how well it does, and what it is bad at. A network that was fine-tuned with
``samgeo_core.training`` is loaded by its path.

How much an image is magnified before the network sees it is a setting of the loaded model
(:meth:`EmbeddedModel.scaled`, :mod:`.scale`) and never depends on the image's size: a place looks
the same to the network in any window. A mask's cell is 2 pixels of the network.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ...errors import ModelError
from ...types import AnyArray, ByteArray, FloatArray
from ..base import Decoded, Embedding, Judged, ModelInfo, Prompts, Proposals
from ..image import check_image
from ..runtime import in_batches
from .corrections import corrected
from .decoding import OUTSIDE, Answer, Asked, Levels, decode_rows
from .heads import join_class_logits
from .network import (
    CANDIDATES,
    MASK_STRIDE,
    EmbeddedNet,
    Features,
    normalised,
)
from .prompt_maps import STRIDE
from .prompts import to_tensors
from .proposals import LEAST_DEPTH, joined, propose
from .quality import (
    BATCH,
    NEAR,
    OUTPUTS,
    ImageMaps,
    own_maps,
    sampled,
    squares_around,
)
from .regions import COARSEST, Look, Regions, fitted, layout, shrunk
from .scale import at_scale, check_scale

T = TypeVar("T")

FAMILY = "embedded"
VERSION = 9
"""Of what this file makes of the weights; part of the fingerprint."""

INPUT_SIZE = 1024
CPU_PROMPTS, GPU_PROMPTS = 1, 64
"""Prompts decoded together in the whole image: few on a CPU, for its cache; as many more in smaller
surroundings as these are smaller."""

KEPT_IMAGES = 2
"""Images whose features are kept as tensors, about 25 MB per 1024 x 1024 pixels each."""

MOST_TOGETHER = 16
"""Prompts decoded together at most."""

CONTEXT = 128
"""Pixels around a window in which lies what an answer within it depends on: the half of a prompt's
square, and what the encoder's features see."""

STEP = 128
"""Pixels on whose multiples windows begin: of the coarsest features (64), and of the squares in
which an automatic search asks where nothing was found (128)."""


SHRINKS = (1, COARSEST)
"""How many times the image is shrunk before it is encoded."""


class EmbeddedModel:
    """A :class:`~.base.PromptableModel`.

    Args:
        net: Network for inference (:func:`.network.folded`), of the number type in which it is to
            compute (:func:`.network.with_dtype`).
        info: What it says of itself at a scale of 1.
        device: Where it runs.
        levels: What is added to the logits of masks of each size.
        scale: Network pixels per image pixel, one of :data:`.scale.SCALES`.
        temperature: By which the logits of classes are divided, so that probabilities are right.
        proposal_depth: Depth from which a maximum is a proposal.
    """

    def __init__(
        self,
        net: EmbeddedNet,
        info: ModelInfo,
        device: torch.device,
        levels: Levels | None = None,
        scale: float = 1.0,
        temperature: float = 1.0,
        proposal_depth: float = LEAST_DEPTH,
    ) -> None:
        check_scale(scale)
        self._net = net
        self._dtype = net.encoder.e4.weight.dtype
        self._plain = info
        self._levels = levels or Levels()
        self.scale = scale
        self._temperature = temperature
        self._depth = proposal_depth
        self._info = at_scale(info, scale)
        self._device = device
        self._kept: weakref.WeakKeyDictionary[Embedding, dict[int, Features]] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    def scaled(self, scale: float) -> EmbeddedModel:
        """The same network for images that are magnified (above 1) or shrunk (below 1).

        Raises:
            ParameterError: The scale is none of :data:`.scale.SCALES`.
        """
        if scale == self.scale:
            return self
        settings = self._levels, scale, self._temperature, self._depth
        return EmbeddedModel(self._net, self._plain, self._device, *settings)

    # --- images ----------------------------------------------------------------------------------

    def encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        """See :meth:`.base.PromptableModel.encode`."""
        for image in images:
            check_image(image)
        out: list[Embedding] = []
        # Images of one shape could go together, but a tile alone keeps two cores busy.
        for part in in_batches(images, 1, self._encode, "images"):
            out += part
        return out

    @torch.inference_mode()
    def _encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        out = []
        for image in images:
            pixels = fitted(image, self.scale, self._net.config.padding)
            seen = pixels[None].to(self._device)
            arrays = {}
            for shrink in SHRINKS:
                near = seen if shrink == 1 else shrunk(seen, shrink)
                pyramid = self._net.encoder.pyramid(normalised(near).to(self._dtype))
                parts = self._net.encoder.features(*pyramid)._asdict()
                if self._net.dense is not None:
                    parts |= self._net.dense(*pyramid[:3])._asdict()
                for name, part in parts.items():
                    arrays[array_name(name, shrink)] = part[0].half().cpu().contiguous().numpy()
            cell = MASK_STRIDE / self.scale
            out.append(
                Embedding(
                    arrays,
                    shape=(image.shape[0], image.shape[1]),
                    cell_size=(cell, cell),
                    mask_shape=(pixels.shape[1] // MASK_STRIDE, pixels.shape[2] // MASK_STRIDE),
                    fingerprint=self._info.fingerprint,
                )
            )
        return out

    def _features(self, embedding: Embedding) -> dict[int, Features]:
        """Features of an image by how many times it was shrunk."""
        kept = self._kept.get(embedding)
        if kept is None:
            while len(self._kept) >= KEPT_IMAGES:
                del self._kept[next(iter(self._kept))]
            kept = {}
            for shrink in SHRINKS:
                parts = []
                for field in Features._fields:
                    name = array_name(field, shrink)
                    if name not in embedding.arrays:
                        raise ModelError(f"The embedding lacks '{name}': encode the image again.")
                    array = torch.from_numpy(np.array(embedding.arrays[name]))
                    dtype = torch.float32 if field == "e4" else self._dtype
                    part = array[None].to(self._device, dtype)
                    parts.append(part.contiguous(memory_format=layout(field)))
                kept[shrink] = Features(*parts)
            self._kept[embedding] = kept
        return kept

    # --- without a prompt ---------------------------------------------------------------------

    @property
    def proposes(self) -> bool:
        """Whether the weights have the head for proposals and classes."""
        return self._net.dense is not None

    @property
    def class_temperature(self) -> float:
        """By which the logits of classes are divided, so that probabilities are right."""
        return self._temperature

    def propose(self, embedding: Embedding) -> Proposals:
        """One prompt per object that the network expects in an image.

        Raises:
            ModelError: The weights have no head for it, or the embedding is another model's.
        """
        near, far = (
            propose(
                self._map(embedding, "depth", shrink),
                self._map(embedding, "sides", shrink),
                shrink=shrink,
                least=self._depth,
            )
            for shrink in SHRINKS
        )
        points, boxes, depth = joined(near, far)
        limit = np.array(embedding.shape, np.float32)
        points, boxes = points / np.float32(self.scale), boxes / np.float32(self.scale)
        inside = (points < limit).all(axis=1)
        boxes = np.clip(boxes, 0, np.tile(limit, 2))
        return Proposals(points[inside], boxes[inside], depth[inside])

    def class_probabilities(self, embedding: Embedding) -> tuple[FloatArray, tuple[float, float]]:
        """What is where: probabilities of :data:`.classes.CLASSES`.

        Returns:
            (classes, h, w) float32, and the (row, column) size in image pixels of their cells,
            which begin at the image's corner.

        Raises:
            ModelError: As of :meth:`propose`.
        """
        near, far = (
            torch.from_numpy(np.asarray(self._map(embedding, "classes", shrink), np.float32))[None]
            for shrink in SHRINKS
        )
        logits = join_class_logits(near, far)[0].numpy() / self._temperature
        shifted = np.exp(logits - logits.max(axis=0))
        cell = STRIDE / self.scale
        return np.asarray(shifted / shifted.sum(axis=0), np.float32), (cell, cell)

    def _map(self, embedding: Embedding, name: str, shrink: int) -> AnyArray:
        if embedding.fingerprint != self._info.fingerprint:
            raise ModelError(
                f"The embedding was made by another model than {self._info.name}: encode the "
                "image again."
            )
        if not self.proposes:
            raise ModelError(
                f"The weights of {self._info.name} know neither proposals nor classes: use newer "
                "ones, or a grid of points."
            )
        return embedding.arrays[array_name(name, shrink)]

    @property
    def judges(self) -> bool:
        """Whether the weights have the head that judges finished masks."""
        return self._net.quality is not None

    @torch.inference_mode()
    def judge(self, embedding: Embedding, masks: Sequence[Judged]) -> FloatArray:
        """How likely finished masks are whole objects.

        Args:
            embedding: Of the image that they were found in.
            masks: Any number; in network pixels, which are image pixels times :attr:`scale`.

        Returns:
            (n, 2) float32: predicted IoU with a whole object, and with a whole building.

        Raises:
            ModelError: The weights have no head for it, or the embedding is another model's.
        """
        head = self._net.quality
        if head is None:
            raise ModelError(
                f"The weights of {self._info.name} cannot judge finished masks: use newer ones."
            )
        out = np.zeros((len(masks), OUTPUTS), np.float32)
        squares = squares_around(masks)
        far = squares.side > NEAR
        for shrink, mine in ((1, ~far), (COARSEST, far)):
            rows = torch.nonzero(mine)[:, 0]
            if not len(rows):
                continue
            maps = head.of_image(self.seen(embedding, shrink))
            for part in torch.split(rows, BATCH):
                chosen = [masks[row] for row in part.tolist()]
                some = squares.part(part)
                seen = sampled(maps, some, shrink)
                own = own_maps(chosen, some, seen.sides).to(self._device)
                out[part.numpy()] = torch.sigmoid(head(seen.m4 + seen.m8, own)).cpu().numpy()
        return out

    def seen(self, embedding: Embedding, shrink: int) -> ImageMaps:
        """An image, shrunk so many times, as the head that judges masks sees it."""

        def read(name: str) -> Tensor:
            array = np.asarray(self._map(embedding, name, shrink), np.float32)
            return torch.from_numpy(array).to(self._device)[None]

        depth = read("depth")[None]
        f4 = torch.cat([read("a4"), read("e4"), read("classes"), depth], 1)
        return ImageMaps(f4, read("a8"), read("sides") * shrink)

    # --- prompts ---------------------------------------------------------------------------------

    @torch.inference_mode()
    def decode(
        self,
        embedding: Embedding,
        prompts: Prompts,
        *,
        multimask: bool = True,
        min_score: float | None = None,
    ) -> Decoded:
        """See :meth:`.base.PromptableModel.decode`.

        One mask for a single point is the best of all by predicted IoU; one mask for any other
        prompt is the network's mask for unambiguous prompts.
        """
        answers = self.decode_cropped(
            embedding, prompts, lambda answer: answer, multimask=multimask, min_score=min_score
        )
        height, width = embedding.mask_shape
        m = CANDIDATES if multimask else 1
        logits = np.full((len(answers), m, height, width), OUTSIDE, np.float32)
        scores = np.empty((len(answers), m), np.float32)
        index = np.array(sorted(answers), np.int64)
        for k, row in enumerate(index.tolist()):
            answer = answers.pop(row)
            h, w = answer.logits.shape[1:]
            part = (slice(answer.row0, answer.row0 + h), slice(answer.col0, answer.col0 + w))
            logits[k][:, part[0], part[1]] = answer.logits
            scores[k] = answer.scores
            if prompts.masks is not None and prompts.points is not None:
                assert prompts.labels is not None  # they go together
                logits[k] = corrected(
                    prompts.masks[row],
                    logits[k],
                    prompts.points[row] / embedding.cell_size,
                    prompts.labels[row],
                )
        return Decoded(index, logits, scores)

    @torch.inference_mode()
    def decode_cropped(
        self,
        embedding: Embedding,
        prompts: Prompts,
        then: Callable[[Answer], T],
        *,
        multimask: bool = True,
        min_score: float | None = None,
        around: FloatArray | None = None,
    ) -> dict[int, T]:
        """Like :meth:`decode`, but each prompt's logits only where they were computed.

        Nothing is corrected here: mask prompts are seen by the network and no more.

        Args:
            embedding, prompts, multimask, min_score: As there.
            then: What is made of each answer, by the thread that found it: an answer is not kept.
                Everything outside of its cells is far below 0.
            around: (n,) image pixels that must be seen around each prompt's points at least, where
                something is known of the objects' sizes. A mask that needs more gets it.

        Returns:
            What was made of the answers, by prompt.
        """
        if embedding.fingerprint != self._info.fingerprint:
            raise ModelError(
                f"The embedding was made by another model than {self._info.name}: encode the "
                "image again."
            )
        tensors = to_tensors(prompts, embedding, self._device)
        features = self._features(embedding)
        height, width = embedding.mask_shape
        reach = None if around is None else np.asarray(around, np.float64) * self.scale
        regions = Regions(tensors, height * MASK_STRIDE, width * MASK_STRIDE, reach)
        asked = Asked(tensors, regions, multimask, min_score)
        made: dict[int, T] = {}
        todo = {look: np.flatnonzero(regions.first == k).tolist()
                for k, look in enumerate(regions.looks)}  # fmt: skip
        for look, larger in zip_longest(regions.looks, regions.looks[1:]):

            def work(rows: Sequence[int], look: Look = look, larger: Look | None = larger) -> None:
                seen = features[look.shrink]
                found = decode_rows(self._net, self._levels, seen, asked, rows, look)
                for row, answer in found.items():
                    if answer is not None:
                        made[row] = then(answer)
                    elif larger is not None:
                        todo[larger].append(row)

            area = (INPUT_SIZE * look.shrink / look.side) ** 2
            on_cpu = self._device.type == "cpu"
            count = max(
                1, min(MOST_TOGETHER, round(area * (CPU_PROMPTS if on_cpu else GPU_PROMPTS)))
            )
            for _ in in_batches(sorted(todo[look]), count, work, "prompts", lanes=on_cpu):
                pass
        return made


def array_name(features: str, shrink: int) -> str:
    return features if shrink == 1 else f"{features}_by{shrink}"
