# SPDX-License-Identifier: GPL-2.0-or-later
"""From a checkpoint to the file that is shipped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ..errors import ParameterError
from ..models.embedded.load import read_network
from ..models.embedded.model import FAMILY
from ..models.embedded.network import EmbeddedNet, NetConfig
from ..models.embedded.quality import QualityHead
from .after import class_temperature, levels_by_size
from .calibrate import calibrate, level
from .datasets.crops import Part
from .scores import moved, straighten

LICENCE = "GPL-2.0-or-later"

NO_OUTLINES = ("dubai", "naip", "streets")
"""Sources whose pieces of classes are no objects with outlines, or drawn ones."""


def averaged(checkpoint: Path) -> tuple[EmbeddedNet, dict[str, Any]]:
    """The averaged network of a checkpoint, and the checkpoint's numbers."""
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    net = EmbeddedNet(NetConfig.from_json(state["config"]))
    net.load_state_dict(state["average"])
    return net.eval(), {"steps": state["step"], "minutes": round(state["elapsed"] / 60, 1)}


def export(
    checkpoint: Path,
    out: Path,
    *,
    score_threshold: float,
    stability_threshold: float,
    parts: list[Part] | None = None,
    held_back: list[Part] | None = None,
    steps: int = 60,
    by_size: bool = False,
) -> dict[str, Any]:
    """Write the averaged weights in half precision, and a .json with checksum beside them.

    Args:
        checkpoint: Of a run.
        out: The .safetensors to write.
        score_threshold: Default predicted IoU above which automatic masks are kept, before it is
            set right on held-back data (:mod:`.scores`); what is written keeps the same masks.
        stability_threshold: Likewise for stability.
        parts: Training data to calibrate the predicted IoU on, or None to leave it as it is.
        held_back: Other data to choose the size of masks on (:func:`calibrate.level`, and by size
            in :mod:`.after`) and the temperature of classes; or None. Without ``parts`` the masks'
            own level stays: for a run that trained the heads alone.
        steps: Of the calibration.
        by_size: Choose levels by size.

    Returns:
        What stands in the .json.
    """
    net, facts = averaged(checkpoint)
    heads_only = parts is None and held_back is not None
    if held_back and not heads_only:
        facts["level"] = round(level(net, held_back), 3)
    if parts is not None:
        facts["calibration"] = round(calibrate(net, parts, steps=steps), 3)
    if held_back:
        outlined = [part for part in held_back if part.name not in NO_OUTLINES]
        line = straighten(net, outlined)
        score_threshold = moved(score_threshold, line)
        facts["score_line"] = line
    notes = {
        "family": FAMILY,
        "config": json.dumps(net.config.to_json()),
        "score_threshold": str(score_threshold),
        "stability_threshold": str(stability_threshold),
    }
    if held_back:
        temperature, right = class_temperature(net, held_back)
        notes["temperature"] = str(temperature)
        facts |= {"temperature": temperature, "classes_right": right}
        if by_size:
            levels = levels_by_size(net, outlined)
            notes["levels"] = levels.to_json()
            facts["levels"] = asdict(levels)
    thresholds = {"score_threshold": score_threshold, "stability_threshold": stability_threshold}
    return write_weights(net, notes, out, thresholds | {"licence": LICENCE} | facts)


def with_quality_head(weights: Path, head: QualityHead, width: int, out: Path) -> dict[str, Any]:
    """Write exported weights again with a head that judges masks (:mod:`.quality`), and their card.

    Args:
        weights: Exported ones; a head that they have is replaced.
        head: Trained.
        width: Of the head.
        out: The .safetensors to write.

    Returns:
        What stands in the .json.
    """
    old, notes, _ = read_network(weights)
    net = EmbeddedNet(replace(old.config, quality=width))
    tensors = {k: v for k, v in old.state_dict().items() if not k.startswith("quality.")}
    tensors |= {f"quality.{name}": value for name, value in head.state_dict().items()}
    net.load_state_dict(tensors)
    card = weights.with_suffix(".json")
    facts: dict[str, Any] = json.loads(card.read_text()) if card.exists() else {}
    return write_weights(net, notes | {"config": json.dumps(net.config.to_json())}, out, facts)


def mean_of(
    first: Path,
    second: Path,
    out: Path,
    *,
    share: float,
    score_threshold: float,
    held_back: list[Part],
) -> dict[str, Any]:
    """Write weights between those of two exported files, of which the second was trained on from
    the first, and their card.

    They keep what the first knows of things that the second has seen less of (Wortsman et al.
    2022, "Robust fine-tuning of zero-shot models"). A head that judges masks is the first's.

    Args:
        first: Exported weights.
        second: Others of a network of the same sizes.
        out: The .safetensors to write.
        share: Of the second, 0 to 1.
        score_threshold: As of :func:`export`, and written as it is given.
        held_back: Data to choose the temperature of classes on.

    Returns:
        What stands in the .json.

    Raises:
        ParameterError: The networks are of different sizes.
    """
    net, notes, _ = read_network(first)
    other, _, _ = read_network(second)
    tensors, theirs = net.state_dict(), other.state_dict()
    for name, mine in tensors.items():
        if name.startswith("quality.") or not mine.is_floating_point():
            continue
        if name not in theirs or theirs[name].shape != mine.shape:
            raise ParameterError(
                f"{first} and {second} are networks of different sizes ({name}): take weights of "
                "one network, of which one was trained on from the other."
            )
        tensors[name] = (mine.double() * (1 - share) + theirs[name].double() * share).float()
    net.load_state_dict(tensors)
    temperature, right = class_temperature(net.eval(), held_back)
    notes |= {"temperature": str(temperature), "score_threshold": str(score_threshold)}
    facts: dict[str, Any] = {
        "score_threshold": score_threshold,
        "stability_threshold": float(notes["stability_threshold"]),
        "licence": LICENCE,
        "share_of_second": share,
        "temperature": temperature,
        "classes_right": right,
    }
    return write_weights(net, notes, out, facts)


def write_weights(
    net: EmbeddedNet, notes: dict[str, str], out: Path, facts: dict[str, Any]
) -> dict[str, Any]:
    """Write a network in half precision, and its card beside it."""
    tensors = {
        # Halves are enough for kernels; statistics and biases are small and stay exact.
        name: (value.half() if value.ndim > 1 else value).contiguous()
        for name, value in net.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    part = out.with_suffix(".part")
    save_file(tensors, part, metadata=notes)
    part.chmod(0o644)
    part.replace(out)
    card: dict[str, Any] = {
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "bytes": out.stat().st_size,
        "parameters": sum(p.numel() for p in net.parameters()),
    }
    card |= {name: value for name, value in facts.items() if name not in card}
    out.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    return card
