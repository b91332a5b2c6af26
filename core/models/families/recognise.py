# SPDX-License-Identifier: GPL-2.0-or-later
"""From a checkpoint's tensors to a model: recognise the family, build it, load every tensor.

Sizes are read from the tensors' shapes, so that any checkpoint of a family loads, published or
fine-tuned. Hub layouts (``transformers``) are renamed to the official ones first
(``weights/hub_names.py``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import CheckpointError
from ..base import ModelInfo
from ..network import Network
from ..promptable import TorchModel
from ..runtime import pick_device, pick_dtype, set_threads
from ..weights import hub_names as hub
from . import edge_tam, efficient_sam, mobile_sam, sam, sam2, sam_hq
from .family import Family, Shapes, State

FAMILIES: tuple[Family, ...] = (
    sam_hq.FAMILY,
    efficient_sam.FAMILY,
    mobile_sam.FAMILY,
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
    if hub.is_hub(shapes):
        layout, shapes = "hub", hub.official_shapes(shapes)
    for family in FAMILIES:
        if all(any(key.startswith(mark) for key in shapes) for mark in family.marks):
            return Recognised(family.name, family.variant(shapes), layout)
    some = ", ".join(sorted(shapes)[:3])
    raise CheckpointError(
        f"The weights are of no model that this version runs (their first tensors are {some}): "
        f"choose a checkpoint of {', '.join(f.name for f in FAMILIES)}."
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
) -> TorchModel:
    """A model from a checkpoint's tensors.

    Args:
        state: Tensors by name, official or hub layout; see :func:`unwrap`.
        name: For messages and attributes.
        device: See :func:`~.runtime.pick_device`.
        precision: See :func:`~.runtime.pick_dtype`.
        threads: CPU threads for torch in this process, or None to leave them.
        fingerprint: The file's checksum where it is known; otherwise one is computed of the
            tensors (a second a GB).
        image_size: Side of the encoder's square, for families whose weights do not fix it; None
            for the family's own.
        batch: Prompts a batch in the decoder, or None for what suits the device.

    Raises:
        CheckpointError: The weights are of no known family, or tensors are missing, too many or
            of another shape.
        ModelError: There is no such device.
    """
    found = recognise({key: tensor.shape for key, tensor in state.items()})
    if found.layout == "hub":
        state = hub.official(state)
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    family = next(f for f in FAMILIES if f.name == found.family)
    chosen = pick_device(device)
    dtype = pick_dtype(precision, chosen)
    set_threads(threads)
    try:
        with torch.device("meta"):
            network = family.make(shapes, image_size)
    except (KeyError, ValueError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError(
            f"The weights look like {family.name}, but their tensors do not fit it ({error}): the "
            "file is incomplete or of a newer version."
        ) from error
    _load(network, state, family)
    return finished(
        network,
        name=name,
        device=chosen,
        dtype=dtype,
        checksum=fingerprint or weights_checksum(state),
        batch=batch,
    )


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
    return TorchModel(network, info, device, dtype, batch)


def _load(network: Network, state: State, family: Family) -> None:
    """Give every tensor its place; nothing may be left over on either side."""
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
