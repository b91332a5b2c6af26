# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading the embedded model: its file, checked, and the model around the network in it, with the
tensors that a user trained (``samgeo train``) where there are some."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...errors import CheckpointError
from ..base import ModelInfo, in_number_type
from ..catalogue import EMBEDDED_CARD, EMBEDDED_WEIGHTS
from ..runtime import pick_device, pick_dtype, set_threads
from ..weights.files import check_file
from ..weights.own import OwnNotes, changed
from .decoding import Levels
from .model import CONTEXT, FAMILY, INPUT_SIZE, STEP, VERSION, EmbeddedModel
from .network import MASK_STRIDE, EmbeddedNet, NetConfig, folded, with_dtype
from .proposals import LEAST_DEPTH


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


def without_quality(
    net: EmbeddedNet, notes: Mapping[str, str]
) -> tuple[EmbeddedNet, dict[str, str]]:
    """A network that is to be trained further, and its notes, without the head that judges finished
    masks: it learned from the masks of the network as it was."""
    net.quality = None
    net.config = replace(net.config, quality=0)
    return net, {**notes, "config": json.dumps(net.config.to_json())}


def load_embedded(
    device: str = "auto",
    threads: int | None = None,
    path: Path | None = None,
    scale: float = 1.0,
    precision: str = "auto",
) -> EmbeddedModel:
    """The shipped model, or a fine-tuned one.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        threads: CPU threads for torch in this process, or None for its own choice.
        path: A file written by ``python -m samgeo_core.training export``; None for the shipped one.
        scale: Network pixels per image pixel, one of :data:`.scale.SCALES`.
        precision: Number type of the convolutions: "float32", which "auto" is on every
            device, "bfloat16", "float16" or "fastest".

    Raises:
        CheckpointError: The weights are missing or damaged.
        ModelError: There is no such device or precision.
    """
    chosen = pick_device(device)
    set_threads(threads)
    net, notes, digest = read_network(EMBEDDED_WEIGHTS if path is None else path)
    if path is None and json.loads(EMBEDDED_CARD.read_text(encoding="utf-8"))["sha256"] != digest:
        raise CheckpointError(
            f"The weights {EMBEDDED_WEIGHTS} are not the ones that were shipped: install the "
            "package again."
        )
    name = FAMILY if path is None else path.stem
    return model_around(net, notes, name, digest, chosen, scale, precision)


def load_changed(
    own: Mapping[str, Tensor],
    notes: OwnNotes,
    name: str,
    checksum: str,
    base: Path,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
) -> EmbeddedModel:
    """An embedded model with some tensors that a user trained.

    Args:
        own: Those tensors; see :func:`~samgeo_core.models.weights.own.changed`.
        notes: Of their file.
        name: Of the model.
        checksum: Of their file.
        base: File of the model that was trained.
        device, threads, precision: As for :func:`load_embedded`.

    Raises:
        CheckpointError: They do not fit.
        ModelError: There is no such device or precision.
    """
    chosen = pick_device(device)
    set_threads(threads)
    net, base_notes, digest = read_network(base)
    net, base_notes = without_quality(net, base_notes)
    net.load_state_dict(changed(net.state_dict(), own), strict=False)
    thresholds = {
        "score_threshold": notes.score_threshold,
        "stability_threshold": notes.stability_threshold,
        "proposal_depth": notes.proposal_depth,
    }
    digest = f"{digest}+{checksum}"
    return model_around(net, base_notes | thresholds, name, digest, chosen, precision=precision)


def model_around(
    net: EmbeddedNet,
    notes: Mapping[str, str],
    name: str,
    digest: str,
    device: torch.device,
    scale: float = 1.0,
    precision: str = "auto",
) -> EmbeddedModel:
    """A model to ask around a network.

    Args:
        net: Trained; it is copied.
        notes: Of its file: thresholds of the automatic mode, depth of proposals, levels,
            temperature.
        name: Of the model.
        digest: All that makes its weights different from others.
        device: Where it runs.
        scale: Network pixels per image pixel.
        precision: As for :func:`load_embedded`.
    """
    dtype = torch.float32 if precision == "auto" else pick_dtype(precision, device)
    depth = float(notes.get("proposal_depth") or LEAST_DEPTH)
    info = ModelInfo(
        name=name,
        family=FAMILY,
        fingerprint=in_number_type(
            f"{FAMILY}-{VERSION}-{digest}" + (f"-d{depth:g}" if depth != LEAST_DEPTH else ""),
            str(dtype).removeprefix("torch."),
        ),
        input_size=INPUT_SIZE,
        mask_size=INPUT_SIZE // MASK_STRIDE,
        accepts=frozenset({"point", "box", "mask"}),
        cell=float(MASK_STRIDE),
        context=CONTEXT,
        step=STEP,
        device=str(device),
        score_threshold=float(notes["score_threshold"]),
        stability_threshold=float(notes["stability_threshold"]),
    )
    levels = Levels.from_json(notes["levels"]) if "levels" in notes else Levels()
    temperature = float(notes.get("temperature", "1"))
    fast = with_dtype(folded(net), dtype).to(device)
    return EmbeddedModel(fast, info, device, levels, scale, temperature, depth)
