# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded model: a small promptable network, trained by this project and shipped with it.

It needs no download and no GPU. ``embedded.md`` beside this file is its card: what it was trained
on, how well it does, and what it is bad at. A network that was fine-tuned with
``samgeo_core.training`` is loaded by its path.

An image whose long side is at most 512 (256) pixels is magnified twice (four times), one of more
than 1024 is shrunk to 1024, all others are seen as they are; so a mask's cell is 2 pixels of a
tile of 1024, 1 of a tile of 512 and a half of a tile of 256.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional as F

from ...errors import CheckpointError, ModelError
from ...types import ByteArray
from ..base import PADDING, Decoded, Embedding, ModelInfo, Prompts
from ..catalogue import EMBEDDED_CARD, EMBEDDED_WEIGHTS
from ..image import check_image
from ..runtime import in_batches, pick_device, set_threads
from ..weights.files import check_file
from .network import (
    CANDIDATES,
    MASK_STRIDE,
    MULTIPLE,
    Coarse,
    EmbeddedNet,
    Features,
    NetConfig,
    enlarge,
    folded,
    normalised,
)
from .prompt_maps import PromptTensors
from .prompts import to_tensors
from .regions import COARSEST, Look, Place, Regions, cut_features, cut_prompts, layout, one_row

FAMILY = "embedded"
INPUT_SIZE = 1024
CPU_PROMPTS, GPU_PROMPTS = 1, 64
"""Prompts decoded together in the whole image: few on a CPU, for its cache; as many more in smaller
surroundings as these are smaller."""

KEPT_IMAGES = 2
"""Images whose features are kept as tensors, about 25 MB each."""

FAR = -2.0
"""Coarse logit below which nothing of an object is expected: the fine stage looks no further."""

OUTSIDE = -10.0
"""Logit of what lies outside of the surroundings in which a prompt was answered."""


MARGIN = 4
"""Cells of stride 8 that the fine stages see around what they are for."""

REACH = 12
"""Cells of stride 2 at the border of that, which lack some of their neighbours."""

SHRINKS = (1, COARSEST)
"""How many times the image is shrunk before it is encoded."""


class _Answer(NamedTuple):
    """(m, h, w) logits of a place's cells and (m,) scores."""

    place: Place
    logits: Tensor
    scores: Tensor


class EmbeddedModel:
    """A :class:`~.base.PromptableModel`.

    Args:
        net: Trained network, not folded.
        info: What it says of itself.
        device: Where it runs.
    """

    def __init__(self, net: EmbeddedNet, info: ModelInfo, device: torch.device) -> None:
        self._net = folded(net).to(device)
        self._info = info
        self._device = device
        self._kept: weakref.WeakKeyDictionary[Embedding, dict[int, Features]] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

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
            pixels, scale = fitted(image)
            seen = pixels[None].to(self._device)
            arrays = {}
            for shrink in SHRINKS:
                near = seen if shrink == 1 else shrunk(seen, shrink)
                for name, part in self._net.encoder(normalised(near))._asdict().items():
                    arrays[_array_name(name, shrink)] = part[0].half().cpu().contiguous().numpy()
            out.append(
                Embedding(
                    arrays,
                    shape=(image.shape[0], image.shape[1]),
                    cell_size=(MASK_STRIDE / scale[0], MASK_STRIDE / scale[1]),
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
                    name = _array_name(field, shrink)
                    if name not in embedding.arrays:
                        raise ModelError(f"The embedding lacks '{name}': encode the image again.")
                    array = torch.from_numpy(np.array(embedding.arrays[name]))
                    part = array[None].to(self._device, torch.float32)
                    parts.append(part.contiguous(memory_format=layout(field)))
                kept[shrink] = Features(*parts)
            self._kept[embedding] = kept
        return kept

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
        if embedding.fingerprint != self._info.fingerprint:
            raise ModelError(
                f"The embedding was made by another model than {self._info.name}: encode the "
                "image again."
            )
        tensors = to_tensors(prompts, embedding, self._device)
        features = self._features(embedding)
        height, width = embedding.mask_shape
        regions = Regions(tensors, height * MASK_STRIDE, width * MASK_STRIDE)
        answers: dict[int, _Answer] = {}
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
            count = max(1, round(area * (CPU_PROMPTS if on_cpu else GPU_PROMPTS)))
            for _ in in_batches(sorted(todo[look]), count, work, "prompts", lanes=on_cpu):
                pass
        m = CANDIDATES if multimask else 1
        logits = np.full((len(answers), m, height, width), OUTSIDE, np.float32)
        scores = np.empty((len(answers), m), np.float32)
        index = np.array(sorted(answers), np.int64)
        for k, row in enumerate(index.tolist()):
            answer = answers.pop(row)
            part_rows, part_cols = answer.place._replace(shrink=1).cells(MASK_STRIDE)
            logits[k, :, part_rows, part_cols] = answer.logits.cpu().numpy()
            scores[k] = answer.scores.cpu().numpy()
        return Decoded(index, logits, scores)

    def _decode(
        self,
        features: Features,
        prompts: PromptTensors,
        rows: Sequence[int],
        regions: Regions,
        look: Look,
        multimask: bool,
        min_score: float | None,
    ) -> dict[int, _Answer | None]:
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
        out: dict[int, _Answer | None] = {}
        for i, row in enumerate(chosen):
            if min_score is not None and float(scores[i].amax()) < min_score:
                continue
            if not whole and regions.cut_short(coarse.masks[i, which[i]], places[i]):
                out[row] = None
                continue
            mine = seen if whole else Features(*(piece[i : i + 1] for piece in seen))
            logits = self._fine(mine, one_row(coarse, i), which[i])
            for _ in range(look.shrink.bit_length() - 1):
                logits = enlarge(logits)
            out[row] = _Answer(places[i], logits[0], scores[i])
        return out

    def _fine(self, features: Features, coarse: Coarse, which: Tensor) -> Tensor:
        """A prompt's chosen masks at stride 2, (1, m, h, w).

        The fine stages run where the coarse masks leave any doubt, with a margin of their own
        reach; elsewhere the coarse logits, which are far below zero there, stand as they are.
        """
        masks = enlarge(enlarge(coarse.masks[:, which]))
        near = (coarse.masks[0, which] > FAR).any(0)
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


def fitted(image: ByteArray) -> tuple[Tensor, tuple[float, float]]:
    """An image as the network sees it.

    Returns:
        (3, H, W) uint8, sides multiples of 64, mirrored beyond the image; and the network's pixels
        a pixel along rows and columns.
    """
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    height, width = image.shape[:2]
    long = max(height, width)
    if long > INPUT_SIZE:
        size = [max(1, round(side * INPUT_SIZE / long)) for side in (height, width)]
        pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
    elif long <= INPUT_SIZE // 2:
        factor = 2 if long > INPUT_SIZE // 4 else 4
        pixels = F.interpolate(pixels, scale_factor=factor, mode="bilinear", align_corners=False)
    rows, cols = pixels.shape[2:]
    step = MULTIPLE * COARSEST
    below, right = -rows % step, -cols % step
    array = np.pad(pixels[0].numpy(), ((0, 0), (0, below), (0, right)), mode="symmetric")
    return torch.from_numpy(array), (rows / height, cols / width)


def shrunk(pixels: Tensor, times: int) -> Tensor:
    """(b, 3, H, W) uint8 at a fraction of its size, by means over squares of pixels."""
    return F.avg_pool2d(pixels.float(), times).round_().to(torch.uint8)


def _array_name(features: str, shrink: int) -> str:
    return features if shrink == 1 else f"{features}_by{shrink}"


def read_network(path: Path) -> tuple[EmbeddedNet, dict[str, str], str]:
    """A network from its file, the file's notes, and the file's sha256.

    Raises:
        CheckpointError: The file is missing, damaged, or holds another kind of model.
    """
    try:
        check_file(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with safe_open(str(path), framework="pt") as file:
            notes = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"The weights {path} cannot be read ({error}): install the package again, or choose "
            "another file."
        ) from error
    if notes.get("family") != FAMILY or "config" not in notes:
        raise CheckpointError(
            f"{path} does not hold an embedded model: choose a file that "
            "'python -m samgeo_core.training export' wrote."
        )
    try:
        net = EmbeddedNet(NetConfig.from_json(json.loads(notes["config"])))
        net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except Exception as error:  # a damaged file can name any sizes
        raise CheckpointError(
            f"The weights {path} do not fit the network they describe: export them again."
        ) from error
    return net.eval(), notes, digest


def load_embedded(
    device: str = "auto", threads: int | None = None, path: Path | None = None
) -> EmbeddedModel:
    """The shipped model, or a fine-tuned one.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        threads: CPU threads for torch in this process, or None for its own choice.
        path: A file written by ``python -m samgeo_core.training export``; None for the shipped one.

    Raises:
        CheckpointError: The weights are missing or damaged.
        ModelError: There is no such device.
    """
    chosen = pick_device(device)
    set_threads(threads)
    net, notes, digest = read_network(EMBEDDED_WEIGHTS if path is None else path)
    if path is None and json.loads(EMBEDDED_CARD.read_text(encoding="utf-8"))["sha256"] != digest:
        raise CheckpointError(
            f"The weights {EMBEDDED_WEIGHTS} are not the ones that were shipped: install the "
            "package again."
        )
    info = ModelInfo(
        name=FAMILY if path is None else path.stem,
        family=FAMILY,
        fingerprint=f"{FAMILY}-2-{digest}",
        input_size=INPUT_SIZE,
        mask_size=INPUT_SIZE // MASK_STRIDE,
        accepts=frozenset({"point", "box", "mask"}),
        device=str(chosen),
        score_threshold=float(notes["score_threshold"]),
        stability_threshold=float(notes["stability_threshold"]),
    )
    return EmbeddedModel(net, info, chosen)
