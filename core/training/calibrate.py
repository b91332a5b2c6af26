# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes predicted IoU mean something: trains the judge alone, on the network as it will be used.

During training the judge runs after masks that change under it, with batch normalisation by the
batch. Here all else stands still, in its final state, and crops are larger, as tiles are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..models.embedded_net import EmbeddedNet, normalised
from .data import Crops, Part
from .loop import make_batch, rounds

SIDES = (256, 512)
"""Of the squares in which prompts are answered, and of a tile seen from further away, pixels."""


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
