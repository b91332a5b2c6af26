# SPDX-License-Identifier: GPL-2.0-or-later
"""What is set once the weights are final, on data that was held back: levels by size, temperature.

Unlike :mod:`.calibrate`, nothing here changes the weights: the numbers stand in the notes of the
exported file (``models/embedded/decoding.py``).
"""

from __future__ import annotations

import numpy as np
import torch

from ..models.embedded.decoding import Levels
from ..models.embedded.heads import join_class_logits
from ..models.embedded.network import EmbeddedNet, normalised
from ..models.embedded.prompt_maps import PromptTensors
from ..models.embedded.regions import COARSEST, shrunk
from ..types import AnyArray
from .datasets.crops import Crops, Part
from .dense_heads import class_loss
from .loop import DENSE, make_batch

SIDES = (3.0, 5.0, 8.0, 12.0, 18.0, 27.0, 40.0)
"""Sides of masks, in cells, at which levels are chosen."""

TRIED = np.linspace(-0.6, 1.2, 19)
"""What is added to logits."""

FEWEST = 12
"""Masks of a size below which a source says nothing of it."""

TEMPERATURES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 1.8, 2.0, 2.3)


@torch.no_grad()
def levels_by_size(
    net: EmbeddedNet, parts: list[Part], *, batches: int = 10, side: int = 256, seed: int = 8
) -> Levels:
    """The addition to logits of masks of each size for which their mean IoU is highest.

    Args:
        net: Final weights.
        parts: Data that were not trained on; each counts the same.
        batches: Of 2 crops and 24 objects, a part.
        side: Of the crops, pixels.
        seed: Of the data.
    """
    net.eval()
    shape = (len(parts), 2, len(SIDES))
    sums, counts = np.zeros((*shape, len(TRIED))), np.zeros(shape)
    for number, part in enumerate(parts):
        crops = Crops([part], np.random.default_rng(seed), side)
        for _ in range(batches):
            batch = make_batch(crops, 2, 12)
            prompts = PromptTensors(batch["points"], batch["labels"], batch["boxes"])
            clear = torch.isfinite(prompts.boxes[:, 0]) | ((prompts.labels >= 0).sum(1) > 1)
            features = net.encoder(normalised(batch["images"]))
            logits = net.decoder.finish(features, net.decoder.begin(features, prompts))
            wanted = batch["targets"] > 0.5
            best = _ious(logits[:, 1:], wanted[:, None]).argmax(1) + 1
            chosen = torch.where(clear, 0, best)
            mine = logits[torch.arange(len(logits)), chosen]
            found = np.stack([_ious(mine + a, wanted).numpy() for a in TRIED], axis=1)
            cells = np.sqrt((mine > 0).sum((1, 2)).clamp(min=1).numpy())
            at = np.abs(np.log(cells[:, None] / np.array(SIDES))).argmin(1)
            for row, place in enumerate(at):
                kind = 0 if clear[row] else 1
                # A mask that is wrong altogether says nothing of its border.
                if found[row].max() > 0.5:
                    sums[number, kind, place] += found[row]
                    counts[number, kind, place] += 1
    return Levels(SIDES, *(tuple(_best(sums[:, k], counts[:, k])) for k in (0, 1)))


def _best(sums: AnyArray, counts: AnyArray) -> list[float]:
    """What to add at each size: the best for the mean of the sources, a little smoothed."""
    means = sums / np.maximum(counts, 1)[..., None]
    weights = (counts >= FEWEST).astype(float)
    scores = (means * weights[..., None]).sum(0) / np.maximum(weights.sum(0), 1)[:, None]
    smooth = scores.copy()
    smooth[1:] += 0.5 * scores[:-1]
    smooth[:-1] += 0.5 * scores[1:]
    known = weights.sum(0) > 0
    return [
        round(float(TRIED[int(row.argmax())]), 2) if some else 0.0
        for row, some in zip(smooth, known, strict=True)
    ]


def _ious(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    given = logits > 0
    union = (given | wanted).sum((-2, -1)).clamp(min=1)
    return (given & wanted).sum((-2, -1)) / union


@torch.no_grad()
def class_temperature(
    net: EmbeddedNet, parts: list[Part], *, batches: int = 12, side: int = 256, seed: int = 9
) -> tuple[float, dict[str, float]]:
    """What to divide the logits of classes by: held-back cells are likeliest with it.

    Returns:
        The temperature, and the share of cells whose likeliest class is possible, by source.
    """
    if net.dense is None:
        return 1.0, {}
    net.eval()
    costs = np.zeros(len(TEMPERATURES))
    right: dict[str, float] = {}
    for part in parts:
        crops = Crops([part], np.random.default_rng(seed), side)
        hits, cells = 0, 0
        for _ in range(batches):
            batch = make_batch(crops, 3, 1)
            near, far = (
                net.dense(*net.encoder.pyramid(normalised(image))[:3]).classes
                for image in (batch["images"], shrunk(batch["images"], COARSEST))
            )
            logits, sets = join_class_logits(near, far), batch[DENSE + "classes"]
            for number, temperature in enumerate(TEMPERATURES):
                costs[number] += float(class_loss(logits / temperature, sets)[0])
            likeliest = logits.argmax(1)
            hits += int((((sets.int() >> likeliest) & 1) * (sets > 0)).sum())
            cells += int((sets > 0).sum())
        right[part.name] = round(hits / max(1, cells), 3)
    return TEMPERATURES[int(costs.argmin())], right
