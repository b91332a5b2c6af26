# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded model: a small promptable network, trained by this project and shipped with it.

It needs no download and no GPU. ``embedded.md`` beside this file is its card: what it was trained
on, how well it does, and what it is bad at. A network that was fine-tuned with
``samgeo_core.training`` is loaded by its path.

An image whose long side is at most 512 (256) pixels is magnified twice (four times), one of more
than 1024 is shrunk to 1024, all others are seen as they are; so a mask's cell is 4 pixels of a
tile of 1024, 2 of a tile of 512 and 1 of a tile of 256.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional as F

from ..errors import CheckpointError, ModelError
from ..types import ByteArray
from .base import PADDING, Decoded, Embedding, ModelInfo, Prompts
from .embedded_net import (
    CANDIDATES,
    MULTIPLE,
    STRIDE,
    Coarse,
    EmbeddedNet,
    Features,
    NetConfig,
    PromptTensors,
    enlarge,
    folded,
    normalised,
)
from .embedded_prompts import to_tensors
from .embedded_regions import Regions, cut_features, cut_prompts, one_row
from .image import check_image
from .runtime import in_batches, pick_device, set_threads

WEIGHTS = Path(__file__).with_name("embedded.safetensors")
CARD = Path(__file__).with_name("embedded.json")

FAMILY = "embedded"
INPUT_SIZE = 1024
CPU_PROMPTS, GPU_PROMPTS = 1, 64
"""Prompts decoded together in the whole image: few on a CPU, for its cache; as many more in smaller
surroundings as these are smaller."""

KEPT_IMAGES = 2
"""Images whose features are kept as tensors, about 12 MB each."""

FAR = -2.0
"""Coarse logit below which nothing of an object is expected: the fine stage looks no further."""

OUTSIDE = -10.0
"""Logit of what lies outside of the surroundings in which a prompt was answered."""


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
        self._kept: weakref.WeakKeyDictionary[Embedding, Features] = weakref.WeakKeyDictionary()

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
            features = self._net.encoder(normalised(pixels[None].to(self._device)))
            arrays = {
                name: part[0].half().cpu().contiguous().numpy()
                for name, part in features._asdict().items()
            }
            out.append(
                Embedding(
                    arrays,
                    shape=(image.shape[0], image.shape[1]),
                    cell_size=(STRIDE / scale[0], STRIDE / scale[1]),
                    mask_shape=(features.a4.shape[2], features.a4.shape[3]),
                    fingerprint=self._info.fingerprint,
                )
            )
        return out

    def _features(self, embedding: Embedding) -> Features:
        kept = self._kept.get(embedding)
        if kept is None:
            while len(self._kept) >= KEPT_IMAGES:
                del self._kept[next(iter(self._kept))]
            parts = []
            for name in Features._fields:
                if name not in embedding.arrays:
                    raise ModelError(f"The embedding lacks '{name}': encode the image again.")
                array = torch.from_numpy(np.array(embedding.arrays[name]))
                part = array[None].to(self._device, torch.float32)
                parts.append(part.contiguous(memory_format=torch.channels_last))
            # The appearance is only ever multiplied as a matrix of channels by places.
            parts[-1] = parts[-1].contiguous()
            kept = self._kept[embedding] = Features(*parts)
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
        tensors = _without_spare_masks(to_tensors(prompts, embedding, self._device))
        features = self._features(embedding)
        height, width = features.a4.shape[-2:]
        regions = Regions(tensors, height * STRIDE, width * STRIDE)
        answers: dict[int, tuple[Tensor, Tensor]] = {}
        todo = {size: np.flatnonzero(regions.first == k).tolist()
                for k, size in enumerate(regions.sizes)}  # fmt: skip
        for size, larger in zip_longest(regions.sizes, regions.sizes[1:]):

            def work(rows: Sequence[int], size: int = size, larger: int | None = larger) -> None:
                for row, found in self._decode(
                    features, tensors, rows, regions, size, multimask, min_score
                ).items():
                    if found is not None:
                        answers[row] = found
                    elif larger is not None:
                        todo[larger].append(row)

            area = (max(regions.sizes) / size) ** 2
            on_cpu = self._device.type == "cpu"
            count = round(area * (CPU_PROMPTS if on_cpu else GPU_PROMPTS))
            for _ in in_batches(sorted(todo[size]), count, work, "prompts", lanes=on_cpu):
                pass
        m = CANDIDATES if multimask else 1
        logits = np.full((len(answers), m, height, width), OUTSIDE, np.float32)
        scores = np.empty((len(answers), m), np.float32)
        index = np.array(sorted(answers), np.int64)
        for k, row in enumerate(index.tolist()):
            found, judged = answers.pop(row)
            top, left, rows, cols = (
                side // STRIDE for side in regions.corner(row, STRIDE * max(found.shape[-2:]))
            )
            logits[k, :, top : top + rows, left : left + cols] = found.cpu().numpy()
            scores[k] = judged.cpu().numpy()
        return Decoded(index, logits, scores)

    def _decode(
        self,
        features: Features,
        prompts: PromptTensors,
        rows: Sequence[int],
        regions: Regions,
        size: int,
        multimask: bool,
        min_score: float | None,
    ) -> dict[int, tuple[Tensor, Tensor] | None]:
        """Some prompts' logits (m, h, w) in their squares of a size, and scores (m,).

        None for those whose masks reach their square's border; those that do not pass are left out.
        """
        chosen = list(rows)
        places = [regions.corner(row, size) for row in chosen]
        whole = regions.is_whole(size)
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
        out: dict[int, tuple[Tensor, Tensor] | None] = {}
        for i, row in enumerate(chosen):
            if min_score is not None and float(scores[i].amax()) < min_score:
                continue
            if not whole and regions.cut_short(coarse.masks[i, which[i]], places[i]):
                out[row] = None
                continue
            mine = seen if whole else Features(*(piece[i : i + 1] for piece in seen))
            out[row] = self._fine(mine, one_row(coarse, i), which[i]), scores[i]
        return out

    def _fine(self, features: Features, coarse: Coarse, which: Tensor) -> Tensor:
        """A prompt's chosen masks at stride 4, (m, h, w).

        The fine stage runs where the coarse masks leave any doubt, with a margin of its own reach;
        elsewhere the coarse logits, which are far below zero there, stand as they are.
        """
        masks = enlarge(coarse.masks[:, which])
        near = (coarse.masks[0, which] > FAR).any(0)
        rows, cols = torch.nonzero(near.any(1))[:, 0], torch.nonzero(near.any(0))[:, 0]
        if len(rows) == 0:
            return masks[0]
        margin = 4
        height, width = near.shape
        top, left = max(int(rows[0]) - margin, 0), max(int(cols[0]) - margin, 0)
        bottom = min(int(rows[-1]) + 1 + margin, height)
        right = min(int(cols[-1]) + 1 + margin, width)
        small = (..., slice(top, bottom), slice(left, right))
        large = (..., slice(2 * top, 2 * bottom), slice(2 * left, 2 * right))
        part = Coarse(coarse.maps[large], coarse.y8[small], coarse.masks[small], coarse.iou)
        fine = self._net.decoder.finish(features._replace(a4=features.a4[large]), part)[:, which]
        # The crop's outermost cells lack their neighbours.
        edge = 4
        inner = (
            ...,
            slice(edge if top else 0, fine.shape[2] - (edge if bottom < height else 0)),
            slice(edge if left else 0, fine.shape[3] - (edge if right < width else 0)),
        )
        masks[large][inner] = fine[inner]
        return masks[0]


def _without_spare_masks(prompts: PromptTensors) -> PromptTensors:
    """Earlier masks only where there is neither a click nor a box.

    Beside clicks it leads the network of this version astray: five clicks on fields give an IoU of
    0.56 with it, 0.76 without.
    """
    if prompts.masks is None:
        return prompts
    spare = (prompts.labels != PADDING).any(1) | torch.isfinite(prompts.boxes[:, 0])
    return prompts._replace(masks=prompts.masks * ~spare[:, None, None])


def fitted(image: ByteArray) -> tuple[Tensor, tuple[float, float]]:
    """An image as the network sees it.

    Returns:
        (3, H, W) uint8, sides multiples of 32, mirrored beyond the image; and the network's pixels
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
    below, right = -rows % MULTIPLE, -cols % MULTIPLE
    array = np.pad(pixels[0].numpy(), ((0, 0), (0, below), (0, right)), mode="symmetric")
    return torch.from_numpy(array), (rows / height, cols / width)


def read_network(path: Path) -> tuple[EmbeddedNet, dict[str, str], str]:
    """A network from its file, the file's notes, and the file's sha256.

    Raises:
        CheckpointError: The file is missing, damaged, or holds another kind of model.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with safe_open(str(path), framework="pt") as file:
            notes = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
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
    except (ValueError, TypeError, RuntimeError) as error:
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
    net, notes, digest = read_network(WEIGHTS if path is None else path)
    if path is None and json.loads(CARD.read_text())["sha256"] != digest:
        raise CheckpointError(
            f"The weights {WEIGHTS} are not the ones that were shipped: install the package again."
        )
    info = ModelInfo(
        name=FAMILY if path is None else path.stem,
        family=FAMILY,
        fingerprint=f"{FAMILY}-1-{digest}",
        input_size=INPUT_SIZE,
        mask_size=INPUT_SIZE // STRIDE,
        accepts=frozenset({"point", "box", "mask"}),
        device=str(chosen),
        score_threshold=float(notes["score_threshold"]),
        stability_threshold=float(notes["stability_threshold"]),
    )
    return EmbeddedModel(net, info, chosen)
