# SPDX-License-Identifier: GPL-2.0-or-later
"""What a training brought: the same questions to both models, on what was held back.

A gain is only claimed where its bootstrap interval (Efron 1979; objects or blocks of ground are
drawn again, the same for both models) lies above 0, and where the trained model answers better at
the objects' own places than for the same prompts moved elsewhere. Labels that do not belong to the
image pass the first test where a model has learned their sizes, but never the second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .measure import Measured

Floats = NDArray[np.float64]

DRAWS = 2000
CONFIDENCE = 0.98
"""Of the intervals. Some figures are looked at, and each may rise by chance."""

LEAST_OWN = 0.1
"""IoU by which answers must be better where the objects are than elsewhere. With the labels of
buildings and fields it was .30 to .37 better on average (from .20 on at the lower end of its
interval), with the same labels moved to random places -.03 to .09 (at most .06)."""

LEAST_GAIN = 0.005
"""A smaller rise of a figure is none worth a model of its own, however sure it is."""

LARGEST_FALL = 0.01
"""A smaller fall does not speak against a model."""


@dataclass(frozen=True)
class Change:
    """A figure before and after, and the interval of the difference."""

    before: float
    after: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class Verdict:
    """Whether a model is worth having.

    Args:
        offered: It gains, and loses nothing.
        reason: A sentence.
        changes: By figure.
        objects: Number of objects that were held back.
        own_place: How much better the trained model answers at the objects' own places than
            elsewhere: the lower end of that interval.
    """

    offered: bool
    reason: str
    changes: dict[str, Change] = field(default_factory=dict)
    objects: int = 0
    own_place: float = 0.0


WORTH = ("box_iou", "click_iou", "f1")
"""Figures whose mean says which of several models is the best."""

NAMES = {
    "box_iou": "IoU for a box",
    "click_iou": "IoU for a click",
    "recall": "automatic recall",
    "precision": "automatic precision",
    "f1": "automatic F1",
    "rejected_again": "rejected objects found again",
}


def judge(
    before: Measured, after: Measured, *, seed: int = 5, confidence: float = CONFIDENCE
) -> Verdict:
    """Compare two models on the same objects.

    Args:
        before, after: Of the same windows.
        seed: Of the bootstrap.
        confidence: Of the intervals.
    """
    rng = np.random.default_rng(seed)
    count = len(before.box)
    changes = {}
    draws = rng.integers(0, count, (DRAWS, count))
    for name in ("box", "click"):
        one, other = getattr(before, name), getattr(after, name)
        changes[f"{name}_iou"] = _change(
            one.mean(), other.mean(), (other - one)[draws].mean(axis=1), confidence
        )
    changes |= _automatic_changes(before, after, rng, confidence)
    own = (after.box + after.click) / 2 - after.moved
    own_place = float(np.quantile(own[draws].mean(axis=1), (1 - confidence) / 2))
    judged = ["box_iou", "click_iou", "f1" if "f1" in changes else "recall"]
    better = {name: changes[name] for name in judged if name in changes}
    if "rejected_again" in changes and "f1" not in changes:
        again = changes["rejected_again"]  # the fewer, the better
        better["rejected_again"] = Change(-again.before, -again.after, -again.high, -again.low)
    rising = [k for k, c in better.items() if c.low > 0 and c.difference > LEAST_GAIN]
    balance = sum(change.difference for change in better.values())
    falling = [k for k, c in better.items() if c.high < 0 and c.difference < -LARGEST_FALL]
    if own_place <= LEAST_OWN:
        reason = (
            "No gain: the trained model answers no better where the objects are than anywhere "
            "else, so that the labels do not seem to go with this raster."
        )
    elif falling:
        reason = f"No gain: worse in {_listed(falling, changes)}."
    elif rising and balance <= 0:
        fell = [k for k, c in better.items() if c.difference < 0]
        reason = (
            f"No gain: what rose ({_listed(rising, changes)}) is outweighed by what fell "
            f"({_listed(fell, changes)})."
        )
    elif not rising and (slightly := [k for k, c in better.items() if c.low > 0]):
        reason = (
            f"No gain: what rose ({_listed(slightly, changes)}) rose by no more than {LEAST_GAIN}: "
            "label more objects, or others."
        )
    elif not rising:
        reason = "No gain that chance does not explain: label more objects, or others."
    else:
        reason = f"Better on objects that were held back: {_listed(rising, changes)}."
    offered = bool(rising) and not falling and balance > 0 and own_place > LEAST_OWN
    return Verdict(offered, reason, changes, count, own_place)


def best_of(before: Measured, variants: Mapping[str, Measured]) -> tuple[str, Verdict]:
    """Which of some models that could be kept is offered, or else is wanted, and its verdict.

    The first is the one that is wanted. Only where it brings no gain the others are looked at, and
    must gain more clearly, so that together they are offered by chance half as often as the first.

    Args:
        before: Of the model before.
        variants: By name, the wanted one first; of equally good ones the first.
    """
    others = max(1, 2 * (len(variants) - 1))
    strict = 1 - (1 - CONFIDENCE) / others
    usual = {name: judge(before, measured) for name, measured in variants.items()}
    first = next(iter(usual))
    verdicts = dict(usual)
    for name, measured in variants.items():
        # Wider intervals hide falls as well as gains: a fall counts as it does for the first.
        if name != first and usual[name].offered:
            verdicts[name] = judge(before, measured, confidence=strict)

    def worth(name: str) -> float:
        changes = verdicts[name].changes
        return float(np.mean([changes[k].difference for k in WORTH if k in changes]))

    offered = [name for name, verdict in verdicts.items() if verdict.offered]
    best = first if not offered or first in offered else max(offered, key=worth)
    return best, replace(verdicts[best], changes=usual[best].changes)


def _listed(names: Sequence[str], changes: dict[str, Change]) -> str:
    return ", ".join(
        f"{NAMES[n]} ({changes[n].before:.3f} to {changes[n].after:.3f})" for n in names
    )


def _change(before: float, after: float, drawn: Floats, confidence: float) -> Change:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Change(float(before), float(after), float(low), float(high))


def _automatic_changes(
    before: Measured, after: Measured, rng: np.random.Generator, confidence: float
) -> dict[str, Change]:
    """Changes of recall, precision and F1; blocks of ground are drawn again."""
    if before.found is None or after.found is None:
        return {}
    numbers = np.unique(np.concatenate([before.block, before.false, after.false]))
    counts = []
    for measured in (before, after):
        assert measured.found is not None
        blocks = np.searchsorted(numbers, measured.block)
        hits = np.bincount(blocks[measured.found], minlength=len(numbers))
        objects = np.bincount(blocks, minlength=len(numbers))
        extra = np.bincount(np.searchsorted(numbers, measured.false), minlength=len(numbers))
        counts.append(np.stack([hits, objects, extra]).astype(np.float64))
    draws = rng.integers(0, len(numbers), (DRAWS, len(numbers)))
    sums = [np.stack([row[draws].sum(axis=1) for row in part]) for part in counts]
    whole = [part.sum(axis=1) for part in counts]
    shares: dict[str, Callable[[Floats], Floats]] = {"recall": lambda s: s[0] / np.maximum(s[1], 1)}
    if before.complete:
        shares["precision"] = lambda s: s[0] / np.maximum(s[0] + s[2], 1)
        shares["f1"] = lambda s: 2 * s[0] / np.maximum(s[1] + s[0] + s[2], 1)
    out = {
        name: _change(
            float(share(whole[0])),
            float(share(whole[1])),
            share(sums[1]) - share(sums[0]),
            confidence,
        )
        for name, share in shares.items()
    }
    if len(before.again):
        rows = rng.integers(0, len(before.again), (DRAWS, len(before.again)))
        difference = after.again.astype(float) - before.again.astype(float)
        out["rejected_again"] = _change(
            before.again.mean(), after.again.mean(), difference[rows].mean(axis=1), confidence
        )
    return out
