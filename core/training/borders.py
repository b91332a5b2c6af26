# SPDX-License-Identifier: GPL-2.0-or-later
"""Trains the last stage alone: where exactly a mask's border runs.

The masks of stride 2 learn last: what they refine changes until a run's end. Here all else stands
still, so that a step costs little and the stage sees every prompt.
"""

from __future__ import annotations

import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from ..models.embedded import read_network
from ..models.embedded_net import EmbeddedNet, Fine, PromptTensors, normalised
from .data import Part
from .export import write
from .loop import Batches, TrainConfig
from .losses import sharp_loss

KEEP = 0.99
"""Decay of the averaged weights a step."""


def stage(net: EmbeddedNet) -> dict[str, torch.nn.Module]:
    """The parts that are trained, by their names in the network."""
    decoder = net.decoder
    return {
        "encoder.a2": net.encoder.a2,
        "decoder.up2": decoder.up2,
        "decoder.mix2": decoder.mix2,
        "decoder.sharp": decoder.sharp,
    }


def train_borders(
    weights: Path, out: Path, parts: list[Part], config: TrainConfig, *, half: bool = True
) -> dict[str, Any]:
    """Train the last stage of exported weights, and write them again.

    Args:
        weights: Exported ones.
        out: The .safetensors to write, with a .json beside it.
        parts: What to train on.
        config: Minutes, rate, images, objects, size, workers and seed count.
        half: Compute what stands still in bfloat16.

    Returns:
        What stands in the .json.
    """
    net, notes, _ = read_network(weights)
    net.eval().requires_grad_(False)
    trained = [p.requires_grad_() for part in stage(net).values() for p in part.parameters()]
    average = copy.deepcopy(stage(net))
    optimiser = torch.optim.AdamW(trained, lr=config.rate, weight_decay=0.01)
    loader = DataLoader(
        Batches(parts, config, config.seed),
        batch_size=None,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
    )
    begun, losses = time.monotonic(), []
    for batch in loader:
        done = (time.monotonic() - begun) / (60 * config.minutes)
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = config.rate * 0.5 * (1 + math.cos(math.pi * done))
        prompts = PromptTensors(batch["points"], batch["labels"], batch["boxes"], batch["masks"])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            pyramid = net.encoder.pyramid(normalised(batch["images"]))
            features = net.encoder.features(*pyramid)
            found = net.decoder.refine(features, net.decoder.begin(features, prompts))
        a2 = net.encoder.a2(pyramid[3].float())
        sharp = net.decoder.sharpen(a2, Fine(found.y4.float(), found.masks.float()))
        alone = (prompts.labels >= 0).sum(1) == 1
        ambiguous = alone & ~torch.isfinite(prompts.boxes[:, 0])
        loss = sharp_loss(sharp, batch["targets"], ambiguous)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 2.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        keep = min(KEEP, len(losses) / (len(losses) + 10))
        with torch.no_grad():
            for name, part in stage(net).items():
                for ours, theirs in zip(average[name].parameters(), part.parameters(), strict=True):
                    ours.lerp_(theirs, 1 - keep)
    for name, part in stage(net).items():
        part.load_state_dict(average[name].state_dict())
    facts = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    last = losses[-100:]
    facts["border_steps"] = len(losses)
    facts["border_loss"] = round(sum(last) / max(1, len(last)), 4)
    kept = ("steps", "minutes", "calibration", "border_steps", "border_loss")
    return write(
        net,
        out,
        score_threshold=float(notes["score_threshold"]),
        stability_threshold=float(notes["stability_threshold"]),
        facts={name: facts[name] for name in kept if name in facts},
    )
