# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded model with tensors that a user trained (``samgeo train``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..runtime import pick_device, set_threads
from ..weights.own import OwnNotes, changed
from .load import model_around, read_network
from .model import EmbeddedModel


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
    net, base_notes, digest = read_network(base)
    net.load_state_dict(changed(net.state_dict(), own), strict=False)
    thresholds = {
        "score_threshold": notes.score_threshold,
        "stability_threshold": notes.stability_threshold,
        "proposal_depth": notes.proposal_depth,
    }
    return model_around(net, base_notes | thresholds, name, f"{digest}+{checksum}", chosen)
