# SPDX-License-Identifier: GPL-2.0-or-later
"""Checkpoint to model: recognise the family by its keys, build it, load every tensor.

Sizes are read from the tensors' shapes, so that any checkpoint of a family loads, published or
fine-tuned. Hub layouts (``transformers``) are renamed to the official ones first
(``weights/hub_names.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...errors import CheckpointError, ModelError
from ..base import ModelInfo
from ..network import Network
from ..promptable import TorchModel
from ..runtime import pick_device, pick_dtype, set_threads
from ..weights import hub_names as hub
from ..weights.sam3_names import is_multiplex, is_sam3, is_student
from . import edge_tam, efficient_sam, efficientvit_sam, mobile_sam, sam, sam2, sam_hq, sam_hq2
from .family import Family, Shapes, State
from .memory.sam2_video import Sam2Video
from .memory.video import TorchVideoModel

FAMILIES: tuple[Family, ...] = (
    sam_hq.FAMILY,
    efficient_sam.FAMILY,
    efficientvit_sam.FAMILY,
    mobile_sam.FAMILY,
    sam_hq2.FAMILY,
    sam2.FAMILY,
    edge_tam.FAMILY,
    sam.FAMILY,
)
"""The first whose marks are all there is taken: families with more than SAM's come before it."""


@dataclass(frozen=True)
class Recognised:
    """What a checkpoint is.

    Args:
        family: As in :class:`~.base.ModelInfo`.
        variant: Size within the family, e.g. "vit_b", "hiera_tiny"; "custom" where none fits.
        layout: Whose names the tensors have.
    """

    family: str
    variant: str
    layout: str


def recognise(shapes: Shapes) -> Recognised:
    """Say what a checkpoint is by its keys.

    Args:
        shapes: Key to shape of every tensor (``{k: v.shape for k, v in state.items()}``).

    Raises:
        CheckpointError: It is of no family that this package runs.
    """
    layout = "official"
    if is_sam3(shapes):
        if is_student(shapes):
            return Recognised("sam3", "EfficientSAM3", layout)
        return Recognised("sam3", "3.1 multiplex" if is_multiplex(shapes) else "3", layout)
    if hub.is_hub(shapes):
        layout, shapes = "hub", hub.official_shapes(shapes)
    for family in FAMILIES:
        if all(any(key.startswith(mark) for key in shapes) for mark in family.marks):
            try:
                return Recognised(family.name, family.variant(shapes), layout)
            except Exception as error:  # shapes of a file of unknown content
                raise CheckpointError(
                    f"The weights look like {family.name}, but their tensors do not fit it "
                    f"({error!r:.100}): the file is damaged or of a newer version."
                ) from error
    some = ", ".join(sorted(shapes)[:3])
    raise CheckpointError(
        f"The weights are of no model that this version runs (their first tensors are {some}): "
        f"choose a checkpoint of {', '.join(f.name for f in FAMILIES)}, sam3."
    )


def build(
    state: State,
    *,
    name: str = "model",
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    fingerprint: str | None = None,
    image_size: int | None = None,
    batch: int | None = None,
    video: bool = False,
) -> TorchModel:
    """A model from a checkpoint's tensors.

    Args:
        state: Tensors by name, official or hub layout; see :func:`unwrap`.
        name: For messages and attributes.
        device: See :func:`~.runtime.pick_device`.
        precision: See :func:`~.runtime.pick_dtype`.
        threads: CPU threads for torch in this process, or None to leave them.
        fingerprint: The file's checksum where it is known; otherwise one is computed of the
            tensors (a second per GB).
        image_size: Side of the encoder's square, for families whose weights do not fix it; None
            for the family's own.
        batch: Prompts a batch in the decoder, or None for what suits the device.
        video: With its memory, as a :class:`~.video.TorchVideoModel`; otherwise the tensors that
            only the memory needs are not read.

    Raises:
        CheckpointError: The weights are of no known family, or tensors are missing, too many or
            of another shape.
        ModelError: There is no such device, or the family has no memory.
    """
    found = recognise({key: tensor.shape for key, tensor in state.items()})
    if found.family == "sam3":
        raise ModelError(
            "SAM 3 is built from its file by load_model: give the path instead of the tensors."
        )
    if found.layout == "hub":
        state = hub.official(state)
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    family = next(f for f in FAMILIES if f.name == found.family)
    if video:
        family = _with_memory(family, found.layout)
    chosen = pick_device(device)
    dtype = pick_dtype(precision, chosen)
    set_threads(threads)
    try:
        with torch.device("meta"):
            network = family.make(shapes, image_size)
    except Exception as error:  # shapes of a file of unknown content
        raise CheckpointError(
            f"The weights look like {family.name}, but their tensors do not fit it ({error}): the "
            "file is incomplete or of a newer version."
        ) from error
    _load(network, state, family)
    checksum = fingerprint or weights_checksum(state)
    try:
        return finished(
            network, name=name, device=chosen, dtype=dtype, checksum=checksum, batch=batch
        )
    except (ValueError, IndexError, TypeError) as error:
        raise CheckpointError(
            f"The weights look like {family.name}, but do not work together ({error}): the file "
            "is damaged."
        ) from error


def _with_memory(family: Family, layout: str) -> Family:
    """The family as it is made for video."""
    if family.make_video is None:
        able = [one.name for one in FAMILIES if one.make_video is not None]
        raise ModelError(
            f"A model of the family {family.name} has no memory to follow objects with: choose one "
            f"of {', '.join(able)}, or track without memory."
        )
    if layout != "official":
        raise CheckpointError(
            "The memory of a model is read from official checkpoints only, and this one has the "
            "hub's layout: get the official file with 'samgeo models download'."
        )
    return replace(family, make=family.make_video, ignored=())


def finished(
    network: Network,
    *,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    checksum: str,
    batch: int | None = None,
) -> TorchModel:
    """A model around a network that has its weights; ``checksum`` is theirs."""
    network.eval().requires_grad_(False)
    network.to(device)
    network.prepare()
    settings = {**network.settings(), "dtype": str(dtype)}
    info = ModelInfo(
        name=name,
        family=network.family,
        fingerprint=_fingerprint(checksum, settings),
        input_size=network.preprocessing.size,
        mask_size=network.mask_size,
        accepts=network.accepts,
        device=str(device),
        score_threshold=network.score_threshold,
        stability_threshold=network.stability_threshold,
    )
    if isinstance(network, Sam2Video):
        return TorchVideoModel(network, info, device, dtype, batch)
    return TorchModel(network, info, device, dtype, batch)


def _load(network: Network, state: State, family: Family) -> None:
    """Give every tensor its place; nothing may be left over on either side."""
    for key, tensor in state.items():
        if tensor.is_complex() or tensor.is_quantized or tensor.layout is not torch.strided:
            raise CheckpointError(
                f"The weights look like {family.name}, but {key} is not a tensor of plain numbers: "
                "the file is damaged."
            )
        if tensor.is_meta or not tensor.is_floating_point():
            continue  # tensors of the meta device have shapes only
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"The weights look like {family.name}, but {key} holds numbers that are not "
                "finite: the file is damaged."
            )
    wanted = {
        family.rename(key): tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in state.items()
        if not key.startswith(family.ignored)
    }
    try:
        missing, extra = network.load_state_dict(wanted, strict=False, assign=True)
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(
            f"The weights look like {family.name}, but a tensor has another shape ({line})."
        ) from error
    for problem, keys in (("lacks", missing), ("has unknown", extra)):
        if keys:
            raise CheckpointError(
                f"The weights look like {family.name}, but the file {problem} {len(keys)} tensors "
                f"(the first is {sorted(keys)[0]}): it is damaged or of another version."
            )


def weights_checksum(state: State) -> str:
    """Checksum over all tensors and their names, the same for any order of them."""
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _fingerprint(weights: str, settings: Mapping[str, Any]) -> str:
    text = json.dumps({"weights": weights, **settings}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
