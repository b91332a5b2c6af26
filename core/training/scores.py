# SPDX-License-Identifier: GPL-2.0-or-later
"""Predicted IoU that is right on average, on data that was held back.

The judge learns on crops and in training's own rounds; a finished model answers in squares around
its prompts, beside corrections, and its masks are better there than it believes. What is left is a
straight line on its logits (Platt 1999), which changes no mask and no order of masks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from ..models.base import Prompts
from ..models.embedded.load import model_around
from ..models.embedded.model import EmbeddedModel
from ..models.embedded.network import EmbeddedNet
from ..tiles.mask_grid import resample
from ..types import BoolArray, FloatArray
from .datasets.crops import Part
from .prompts import correcting_point, tight_box

SIDE = 1024
"""Of the squares of an image that are looked at."""

SMALLEST, LARGEST = 100, 0.5
"""Objects of fewer pixels, or of a larger share of the image, are left out."""


def score_pairs(
    model: EmbeddedModel, part: Part, *, images: int = 6, objects: int = 8, seed: int = 12
) -> FloatArray:
    """(n, 2) logits of predicted IoU and real IoU, of boxes, clicks and a corrective click."""
    rng = np.random.default_rng(seed)
    pairs: list[tuple[float, float]] = []
    for number in rng.permutation(len(part.samples))[:images]:
        sample = part.samples[int(number)]
        image = np.ascontiguousarray(sample.image[:SIDE, :SIDE])
        labels = sample.labels[0, :SIDE, :SIDE]
        areas = np.bincount(labels.ravel())
        areas[0] = 0
        good = np.flatnonzero((areas >= SMALLEST) & (areas < LARGEST * labels.size))
        if not len(good):
            continue
        embedding = model.encode([image])[0]

        def whole(logits: FloatArray) -> BoolArray:
            shape, cell = embedding.shape, embedding.cell_size  # noqa: B023
            return np.asarray(resample(logits[None], cell, (1, 1), shape=shape)[0] > 0)

        def ask(prompts: Prompts, wanted: BoolArray, several: bool) -> tuple[FloatArray, BoolArray]:
            answer = model.decode(embedding, prompts, multimask=several)  # noqa: B023
            scores = np.clip(answer.scores[0], 1e-4, 1 - 1e-4)
            masks = [whole(logits) for logits in answer.logits[0]]
            for score, mask in zip(scores.tolist(), masks, strict=True):
                pairs.append((math.log(score / (1 - score)), _iou(mask, wanted)))
            best = int(scores.argmax())
            return answer.logits[0, best], masks[best]

        for label in rng.permutation(good)[:objects]:
            wanted = labels == label
            ask(Prompts(boxes=np.array([tight_box(wanted)], np.float32)), wanted, False)
            place = correcting_point(wanted, np.zeros_like(wanted), 1, rng)
            if place is None:
                continue
            clicks = [place]
            logits, mask = ask(_clicked(clicks, None), wanted, True)
            place = correcting_point(wanted, mask, 1, rng)
            if place is not None:
                ask(_clicked([*clicks, place], logits), wanted, False)
    return np.array(pairs, np.float32).reshape(-1, 2)


def _clicked(clicks: Sequence[tuple[float, float, int]], logits: FloatArray | None) -> Prompts:
    return Prompts(
        points=np.array([[c[:2] for c in clicks]], np.float32),
        labels=np.array([[c[2] for c in clicks]], np.int8),
        masks=None if logits is None else logits[None],
    )


def _iou(a: BoolArray, b: BoolArray) -> float:
    either = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / either if either else 1.0


def fit_line(sources: Sequence[FloatArray]) -> tuple[float, float]:
    """Slope and shift of logits for which the real IoU is likeliest, each source the same."""
    line = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    parts = [torch.from_numpy(pairs.astype(np.float64)) for pairs in sources if len(pairs)]
    optimiser = torch.optim.LBFGS([line], max_iter=60)

    def cost() -> torch.Tensor:
        optimiser.zero_grad()
        costs = [
            F.binary_cross_entropy_with_logits(line[0] * part[:, 0] + line[1], part[:, 1])
            for part in parts
        ]
        total = torch.stack(costs).mean()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(cost)  # type: ignore[no-untyped-call]
    slope, shift = line.tolist()
    return round(slope, 3), round(shift, 3)


def straighten(net: EmbeddedNet, parts: Sequence[Part]) -> tuple[float, float]:
    """Let predicted IoU be right on average on held-back data; ``net.decoder.judge`` is changed in
    place.

    Returns:
        Slope and shift of the logits.
    """
    everything = {"score_threshold": "0", "stability_threshold": "0"}
    model = model_around(net, everything, "exported", "", torch.device("cpu"))
    slope, shift = fit_line([score_pairs(model, part) for part in parts])
    last = net.decoder.judge[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.mul_(slope)
        last.bias.mul_(slope).add_(shift)
    return slope, shift


def moved(threshold: float, line: tuple[float, float]) -> float:
    """A threshold of scores that keeps the same masks after :func:`straighten`."""
    if not 0 < threshold < 1:
        return threshold
    logit = math.log(threshold / (1 - threshold))
    return round(1 / (1 + math.exp(-(line[0] * logit + line[1]))), 3)
