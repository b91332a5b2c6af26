# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded model with tensors that a user trained (``samgeo train``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..base import ModelInfo
from ..runtime import pick_device, set_threads
from ..weights.own import OwnNotes, changed
from .model import FAMILY, INPUT_SIZE, EmbeddedModel, read_network
from .network import MASK_STRIDE, EmbeddedNet


def around(
    net: EmbeddedNet,
    name: str,
    fingerprint: str,
    device: torch.device,
    score: float,
    stability: float,
) -> EmbeddedModel:
    """A model around a network.

    Args:
        net: Trained; it is copied.
        name: Of the model.
        fingerprint: All that makes its weights different from others.
        device: Where it runs.
        score, stability: Thresholds of the automatic mode.
    """
    info = ModelInfo(
        name=name,
        family=FAMILY,
        fingerprint=f"{FAMILY}-2-{fingerprint}",
        input_size=INPUT_SIZE,
        mask_size=INPUT_SIZE // MASK_STRIDE,
        accepts=frozenset({"point", "box", "mask"}),
        device=str(device),
        score_threshold=score,
        stability_threshold=stability,
    )
    return EmbeddedModel(net, info, device)


def load_changed(
    own: Mapping[str, Tensor],
    notes: OwnNotes,
    name: str,
    checksum: str,
    base: Path,
    device: str = "auto",
    threads: int | None = None,
) -> EmbeddedModel:
    """An embedded model with some tensors that a user trained.

    Args:
        own: Those tensors; see :func:`~..weights.own.changed`.
        notes: Of their file.
        name: Of the model.
        checksum: Of their file.
        base: File of the model that was trained.
        device, threads: As for :func:`~.model.load_embedded`.

    Raises:
        CheckpointError: They do not fit.
        ModelError: There is no such device.
    """
    chosen = pick_device(device)
    set_threads(threads)
    net, _, digest = read_network(base)
    net.load_state_dict(changed(net.state_dict(), own), strict=False)
    score, stability = float(notes.score_threshold), float(notes.stability_threshold)
    return around(net, name, f"{digest}+{checksum}", chosen, score, stability)
