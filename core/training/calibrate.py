# SPDX-License-Identifier: GPL-2.0-or-later
"""What is set once the training is over: how large masks are, and what predicted IoU means.

During training the judge runs after masks that change under it, with batch normalisation by the
batch. Here all else stands still, in its final state, and crops are larger, as tiles are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..models.embedded.network import EmbeddedNet, normalised
from ..models.embedded.prompt_maps import PromptTensors
from .datasets.crops import Crops, Part
from .loop import make_batch, rounds

SIDES = (256, 512)
"""Of the squares in which prompts are answered, and of a tile seen from further away, pixels."""


LEVELS = np.linspace(-0.5, 0.5, 21)
"""Logits at which :func:`level` tries to draw the border."""


@torch.no_grad()
def level(
    net: EmbeddedNet, parts: list[Part], *, batches: int = 24, side: int = 256, seed: int = 6
) -> float:
    """Let the mask for unambiguous prompts be as large as objects are.

    Focal and dice losses are not for area: where borders are in doubt, masks come out a little too
    small. One number, added to that mask's logits, makes up for it: ``net.decoder.sharp.bias`` is
    changed in place.

    Args:
        net: Final weights.
        parts: Data that were not trained on; each counts the same.
        batches: Of 2 crops and 24 objects, a part.
        side: Of the crops, pixels.
        seed: Of the data.

    Returns:
        What was added: that for which the mean IoU is highest.
    """
    net.eval()
    found = np.zeros((len(parts), len(LEVELS)))
    for part, sums in zip(parts, found, strict=True):
        crops = Crops([part], np.random.default_rng(seed), side)
        for _ in range(batches):
            batch = make_batch(crops, 2, 12)
            prompts = PromptTensors(batch["points"], batch["labels"], batch["boxes"])
            clear = torch.isfinite(prompts.boxes[:, 0]) | ((prompts.labels >= 0).sum(1) > 1)
            features = net.encoder(normalised(batch["images"]))
            logits = net.decoder.finish(features, net.decoder.begin(features, prompts))[:, 0]
            wanted = (batch["targets"] > 0.5)[clear]
            for number, least in enumerate(LEVELS.tolist()):
                given = logits[clear] > least
                union = (given | wanted).sum((1, 2)).clamp(min=1)
                sums[number] += float(((given & wanted).sum((1, 2)) / union).sum())
    share = (found / found.max(axis=1, keepdims=True)).mean(axis=0)
    added = -float(LEVELS[int(share.argmax())])
    assert net.decoder.sharp.bias is not None
    net.decoder.sharp.bias[0] += added
    return added


def calibrate(
    net: EmbeddedNet, parts: list[Part], *, steps: int, sides: Sequence[int] = SIDES, seed: int = 5
) -> float:
    """Train ``net.decoder.judge`` in place.

    Args:
        net: Final weights.
        parts: Training data.
        steps: Batches of 2 crops and 24 objects, in up to three rounds of clicks.
        sides: Sides of the crops, pixels, in turn: those in which prompts will be answered.
        seed: Of the data.

    Returns:
        Correlation of predicted with real IoU over the last half of the steps, each batch judged
        before it is learned from.
    """
    net.eval()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    for parameter in net.decoder.judge.parameters():
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(net.decoder.judge.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    rng = np.random.default_rng(seed)
    crops = [Crops(parts, rng, side) for side in sides]
    pairs = []
    for step in range(steps):
        batch = make_batch(crops[step % len(crops)], 2, 12)
        with torch.no_grad():
            features = net.encoder(normalised(batch["images"]))
        results = rounds(net, features, batch, 1 + step % 3, rng)
        total = torch.stack([loss.total for loss, _ in results]).sum()
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step >= steps // 2:
            pairs += [torch.stack([r.predicted, r.real]).flatten(1) for r, _ in results]
    for parameter in net.parameters():
        parameter.requires_grad_(True)
    return float(torch.corrcoef(torch.cat(pairs, 1))[0, 1])
