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
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import ModelError
from ...types import AnyArray, ByteArray, FloatArray
from ..base import PADDING, Decoded, Embedding, ModelInfo, Prompts, Proposals
from ..image import check_image
from ..runtime import in_batches
from .corrections import corrected
from .islands import without_islands
from .levels import Levels
from .network import (
    CANDIDATES,
    MASK_STRIDE,
    MULTIPLE,
    Coarse,
    EmbeddedNet,
    Features,
    enlarge,
    normalised,
)
from .prompt_maps import STRIDE, PromptTensors
from .prompts import to_tensors
from .proposals import LEAST_DEPTH, joined, propose
from .regions import COARSEST, Look, Regions, cut_features, cut_prompts, layout, one_row
from .scale import at_scale, check_scale

FAMILY = "embedded"
VERSION = 6
"""Of what this file makes of the weights; part of the fingerprint."""

INPUT_SIZE = 1024
CPU_PROMPTS, GPU_PROMPTS = 1, 64
"""Prompts decoded together in the whole image: few on a CPU, for its cache; as many more in smaller
surroundings as these are smaller."""

KEPT_IMAGES = 2
"""Images whose features are kept as tensors, about 25 MB per 1024 x 1024 pixels each."""

MOST_TOGETHER = 16
"""Prompts decoded together at most."""

WHOLE_LOOK = 128
"""Side in pixels of the squares whose fine stages are computed as a whole."""

CONTEXT = 128
"""Pixels around a window in which lies what an answer within it depends on: the half of a prompt's
square, and what the encoder's features see."""

STEP = 128
"""Pixels on whose multiples windows begin: of the coarsest features (64), and of the squares in
which an automatic search asks where nothing was found (128)."""

GREY = 128
"""What lies beyond an image for networks that learned it so; 0 once normalised."""

FAR = -2.0
"""Coarse logit below which nothing of an object is expected: the fine stage looks no further."""

OUTSIDE = -10.0
"""Logit of what lies outside of the surroundings in which a prompt was answered."""


MARGIN = 3
"""Cells of stride 8 that the fine stages see around what they are for."""

REACH = 12
"""Cells of stride 2 at the border of that, which lack some of their neighbours."""

SHRINKS = (1, COARSEST)
"""How many times the image is shrunk before it is encoded."""


class Answer(NamedTuple):
    """(m, h, w) logits of a place's cells, where those begin, and (m,) scores."""

    row0: int
    col0: int
    logits: FloatArray
    scores: FloatArray


class EmbeddedModel:
    """A :class:`~.base.PromptableModel`.

    Args:
        net: Network for inference (:func:`.network.folded`).
        info: What it says of itself at a scale of 1.
        device: Where it runs.
        levels: What is added to the logits of masks of each size.
        scale: Network pixels per image pixel, one of :data:`.scale.SCALES`.
        temperature: By which the logits of classes are divided, so that probabilities are right.
        proposal_depth: Depth from which a maximum is a proposal.
        dtype: Number type of the encoder's convolutions. Prompts are small: what a cast of their
            features costs is more than it saves, and they stay float32.
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
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_scale(scale)
        self._net = net
        self._dtype = dtype
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
        settings = self._levels, scale, self._temperature, self._depth, self._dtype
        return EmbeddedModel(self._net, self._plain, self._device, *settings)

    def _precision(self) -> torch.autocast:
        half = self._dtype != torch.float32
        return torch.autocast(self._device.type, self._dtype if half else None, enabled=half)

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
                with self._precision():
                    pyramid = self._net.encoder.pyramid(normalised(near))
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
                    part = array[None].to(self._device, torch.float32)
                    parts.append(part.contiguous(memory_format=layout(field)))
                kept[shrink] = Features(*parts)
            self._kept[embedding] = kept
        return kept

    # --- without a prompt ---------------------------------------------------------------------

    @property
    def proposes(self) -> bool:
        """Whether the weights have the head for proposals and classes."""
        return self._net.dense is not None

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
        logits = np.asarray(self._map(embedding, "classes", 1), np.float32) / self._temperature
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
        answers = self.decode_cropped(embedding, prompts, multimask=multimask, min_score=min_score)
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
        *,
        multimask: bool = True,
        min_score: float | None = None,
        around: FloatArray | None = None,
    ) -> dict[int, Answer]:
        """Like :meth:`decode`, but each prompt's logits only where they were computed.

        Nothing is corrected here: mask prompts are seen by the network and no more.

        Args:
            embedding, prompts, multimask, min_score: As there.
            around: (n,) image pixels that must be seen around each prompt's points at least, where
                something is known of the objects' sizes. A mask that needs more gets it.

        Returns:
            Answers by prompt; everything outside of an answer's cells is far below 0.
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
        answers: dict[int, Answer] = {}
        todo = {look: np.flatnonzero(regions.first == k).tolist()
                for k, look in enumerate(regions.looks)}  # fmt: skip
        for look, larger in zip_longest(regions.looks, regions.looks[1:]):

            def work(rows: Sequence[int], look: Look = look, larger: Look | None = larger) -> None:
                for row, found in self._decode(
                    features[look.shrink], tensors, rows, regions, look, multimask, min_score
                ).items():
                    if found is not None:
                        answers[row] = found
                    elif larger is not None:
                        todo[larger].append(row)

            area = (INPUT_SIZE * look.shrink / look.side) ** 2
            on_cpu = self._device.type == "cpu"
            count = max(
                1, min(MOST_TOGETHER, round(area * (CPU_PROMPTS if on_cpu else GPU_PROMPTS)))
            )
            for _ in in_batches(sorted(todo[look]), count, work, "prompts", lanes=on_cpu):
                pass
        return answers

    def _decode(
        self,
        features: Features,
        prompts: PromptTensors,
        rows: Sequence[int],
        regions: Regions,
        look: Look,
        multimask: bool,
        min_score: float | None,
    ) -> dict[int, Answer | None]:
        """Some prompts' answers in their squares of a look.

        None for those whose masks reach their square's border; those that do not pass are left out.
        """
        chosen = list(rows)
        places = [regions.place(row, look) for row in chosen]
        whole = regions.is_whole(look)
        part = cut_prompts(prompts, chosen, places)
        seen = features if whole else cut_features(features, places)
        coarse = self._net.decoder.begin(seen, part)
        scores = torch.sigmoid(coarse.iou)
        if multimask:
            which = torch.arange(1, CANDIDATES + 1, device=scores.device)
            which = which.expand(len(scores), CANDIDATES)
        else:
            alone = (part.labels != PADDING).sum(1) == 1
            alone &= ~torch.isfinite(part.boxes[:, 0])
            if part.masks is not None:
                alone[:] = False
            which = torch.where(alone, scores.argmax(1), 0)[:, None]
        scores = scores.gather(1, which)
        passing = scores.amax(1) >= (-1 if min_score is None else min_score)
        chosen_masks = coarse.masks.gather(
            1, which[..., None, None].expand(*which.shape, *coarse.masks.shape[2:])
        )
        if min_score is not None:
            # A mask that nobody will look at is no reason to look from further away.
            rejected = (scores < min_score)[..., None, None]
            chosen_masks = chosen_masks.masked_fill(rejected, OUTSIDE)
        short = torch.zeros_like(passing) if whole else regions.cut_short(chosen_masks, places)
        out: dict[int, Answer | None] = {
            chosen[i]: None for i in torch.nonzero(passing & short)[:, 0].tolist()
        }
        keep = torch.nonzero(passing & ~short)[:, 0].tolist()
        found: list[Tensor] = []
        if keep and look.side <= WHOLE_LOOK:
            # So small that finding out where the fine stages are needed costs more than they do.
            mine = Features(*(piece[keep] for piece in seen)) if not whole else seen
            fine = self._net.decoder.finish(mine, Coarse(*(part_[keep] for part_ in coarse)))
            picked = which[keep][..., None, None].expand(-1, -1, *fine.shape[2:])
            found = list(fine.gather(1, picked))
        else:
            for i in keep:
                mine = seen if whole else Features(*(piece[i : i + 1] for piece in seen))
                # An answer without any score that passes does not come this far.
                wanted = None if min_score is None else scores[i] >= min_score
                found.append(self._fine(mine, one_row(coarse, i), which[i], wanted)[0])
        for i, logits in zip(keep, found, strict=True):
            clear = torch.full((len(logits),), not multimask)
            levelled = self._levels.apply(logits, clear)
            for _ in range(look.shrink.bit_length() - 1):
                levelled = enlarge(levelled[None])[0]
            rows_, cols_ = places[i]._replace(shrink=1).cells(MASK_STRIDE)
            answer = levelled.cpu().numpy()
            if prompts.masks is None and min_score is None:
                # Somebody waits for these; of masks that a search may reject, few are worth it.
                clicks = prompts.points[chosen[i]][prompts.labels[chosen[i]] == 1].cpu().numpy()
                seeds = np.floor(clicks / MASK_STRIDE).astype(np.intp)
                answer = without_islands(answer, seeds - (rows_.start, cols_.start))
            out[chosen[i]] = Answer(rows_.start, cols_.start, answer, scores[i].cpu().numpy())
        return out

    def _fine(
        self, features: Features, coarse: Coarse, which: Tensor, wanted: Tensor | None = None
    ) -> Tensor:
        """A prompt's chosen masks at stride 2, (1, m, h, w).

        The fine stages run where the coarse masks leave any doubt, with a margin of their own
        reach; elsewhere the coarse logits, which are far below zero there, stand as they are.

        Args:
            features: Of the prompt's square.
            coarse: The prompt's.
            which: (m,) numbers of the masks.
            wanted: (m,) bool, which of these somebody will look at; None: all.
        """
        masks = enlarge(enlarge(coarse.masks[:, which]))
        near = (coarse.masks[0, which if wanted is None else which[wanted]] > FAR).any(0)
        rows, cols = torch.nonzero(near.any(1))[:, 0], torch.nonzero(near.any(0))[:, 0]
        if len(rows) == 0:
            return masks
        height, width = near.shape
        top, left = max(int(rows[0]) - MARGIN, 0), max(int(cols[0]) - MARGIN, 0)
        bottom = min(int(rows[-1]) + 1 + MARGIN, height)
        right = min(int(cols[-1]) + 1 + MARGIN, width)
        at8, at4, at2 = (
            (..., slice(n * top, n * bottom), slice(n * left, n * right)) for n in (1, 2, 4)
        )
        part = Coarse(coarse.maps[at4], coarse.y8[at8], coarse.masks[at8], coarse.iou)
        near_features = features._replace(a4=features.a4[at4], a2=features.a2[at2])
        fine = self._net.decoder.finish(near_features, part)[:, which]
        inner = (
            ...,
            slice(REACH if top else 0, fine.shape[2] - (REACH if bottom < height else 0)),
            slice(REACH if left else 0, fine.shape[3] - (REACH if right < width else 0)),
        )
        masks[at2][inner] = fine[inner]
        return masks


def fitted(image: ByteArray, scale: float, padding: str) -> Tensor:
    """An image as the network sees it.

    Args:
        image: (H, W, 3) uint8.
        scale: Network pixels per image pixel, a power of two.
        padding: What is put beyond the image at the right and below: "mirror" or "grey".

    Returns:
        (3, h, w) uint8, sides multiples of 64.
    """
    height, width = image.shape[:2]
    step = max(1, round(MULTIPLE * COARSEST / scale))
    beyond = ((0, -height % step), (0, -width % step), (0, 0))
    if padding == "grey":
        array = np.pad(image, beyond, constant_values=GREY)
    else:
        array = np.pad(image, beyond, mode="symmetric")
    pixels = torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)[None]
    if scale < 1:
        pixels = F.avg_pool2d(pixels.float(), round(1 / scale)).round_().to(torch.uint8)
    elif scale > 1:
        pixels = F.interpolate(pixels, scale_factor=scale, mode="bilinear", align_corners=False)
    return pixels[0]


def shrunk(pixels: Tensor, times: int) -> Tensor:
    """(b, 3, H, W) uint8 at a fraction of its size, by means over squares of pixels."""
    return F.avg_pool2d(pixels.float(), times).round_().to(torch.uint8)


def array_name(features: str, shrink: int) -> str:
    return features if shrink == 1 else f"{features}_by{shrink}"
