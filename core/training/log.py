# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run writes down of itself, and the curves of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from torch import Tensor

from .losses import MaskLoss
from .prompts import KINDS


class Log:
    """One JSON object a line: means since the last one."""

    def __init__(self, path: Path) -> None:
        self.path, self.sums = path, dict[str, list[float]]()

    def add(self, results: list[tuple[MaskLoss, Tensor]]) -> None:
        for number, (loss, kinds) in enumerate(results):
            if number == 0:
                self._add("loss", loss.total[None])
                for kind in (0, 1):
                    self._add(KINDS[kind], loss.single[kinds == kind])
                    self._add(f"{KINDS[kind]}_best", loss.best[kinds == kind])
                self._add("iou_error", (loss.predicted - loss.real).abs().flatten())
            else:
                self._add(f"round{number + 1}", loss.single)

    def note(self, facts: dict[str, Tensor]) -> None:
        """Single numbers."""
        for name, value in facts.items():
            self._add(name, value[None])

    def _add(self, name: str, values: Tensor) -> None:
        self.sums.setdefault(name, []).extend(values.detach().float().cpu().tolist())

    def write(self, **facts: float) -> None:
        means = {k: round(float(np.mean(v)), 4) for k, v in self.sums.items() if v}
        with self.path.open("a") as file:
            file.write(json.dumps({**facts, **means}) + "\n")
        self.sums.clear()


def plot(log: Path, out: Path) -> None:
    """The log as curves over the minutes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4))
    for name in ("loss", "iou_error"):
        picked = [(x["minutes"], x[name]) for x in lines if name in x]
        axes[0].plot(*zip(*picked, strict=True), label=name)
    names = ("box", "point", "point_best", "round2", "round3")
    valid = sorted({k for x in lines for k in x if k.startswith("valid") and "box" in k})
    for name in (*names, *valid):
        picked = [(x["minutes"], x[name]) for x in lines if name in x]
        if picked:
            axes[1].plot(*zip(*picked, strict=True), label=name, lw=2 if "valid" in name else 1)
    for axis in axes:
        axis.set_xlabel("minutes")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.tight_layout()
    figure.savefig(out, dpi=110)
