# SPDX-License-Identifier: GPL-2.0-or-later
"""The loop around a learner: steps, averaged weights, checkpoints, an early end.

Every step draws its data from its own number, so that a run that was killed and goes on ends with
the same weights as one that was not. The averaged weights (Polyak and Juditsky 1992, with
exponential decay) are what is measured and kept.
"""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import JobError, ModelError, ParameterError
from ...job import option
from ...models.base import PromptableModel
from ...parallel.atomic_write import write_atomically
from ...parallel.cancellation import check
from .examples import Window
from .learners import Learner
from .levels import best_level
from .measure import measure

Report = Callable[[str, int, int], None]

STATE = "state.pt"


@dataclass(frozen=True)
class LoopOptions:
    """How long and how fast.

    Args:
        steps: At most.
        minutes: At most; what ends a run by its clock is not repeated to the bit.
        rate: Highest learning rate.
        decay: Weight decay.
        average: Decay of the averaged weights a step.
        warm_up: Steps until the highest rate.
        look: Steps between looks at the watched objects, and between checkpoints.
        patience: Looks without a better figure after which the run ends.
        seed: Of everything.
    """

    steps: int = 150
    minutes: float = 20.0
    rate: float = 3e-4
    decay: float = 0.01
    average: float = 0.98
    warm_up: int = 20
    look: int = 50
    patience: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.minutes > 0 or not self.rate > 0:
            raise ParameterError(
                "Training needs at least one step, some minutes and a learning rate above 0."
            )


@dataclass
class Run:
    """A training under way.

    Args:
        learner: What learns.
        options: See :class:`LoopOptions`.
        watched: Windows with objects that are neither trained on nor held back: the run ends when
            nothing rises there. Without any it runs all its steps.
        folder: For checkpoints; None keeps none.
        digest: Of data, model and options: a checkpoint of another one is refused.
        points: Of the automatic mode, along a window's side.
    """

    learner: Learner
    options: LoopOptions
    watched: Sequence[Window]
    folder: Path | None
    digest: str
    points: int = 32
    step: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best_figure: float = -math.inf
    bad_looks: int = 0
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.live = self.learner.tensors
        self.average = {name: t.detach().clone() for name, t in self.live.items()}
        self.best = {name: t.clone() for name, t in self.average.items()}
        decayed = [t for t in self.live.values() if t.ndim > 1]
        others = [t for t in self.live.values() if t.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.options.decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=self.options.rate,
        )

    # --- steps -----------------------------------------------------------------------------------

    def rate(self) -> float:
        """Learning rate now: a short warm-up, then a cosine over all steps."""
        options = self.options
        done = min(1.0, self.step / options.steps)
        warm = min(1.0, (self.step + 1) / options.warm_up)
        return options.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))

    def advance(self) -> float:
        """One step; its loss.

        Raises:
            ModelError: The loss is no number any more.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        rng = np.random.default_rng([self.options.seed, self.step])
        loss = self.learner.loss(rng)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"The training has diverged in step {self.step + 1}: choose a smaller rate."
            )
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self.live.values()), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        keep = min(self.options.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.live.items():
                self.average[name].lerp_(tensor, 1 - keep)
        self.losses.append(value)
        return value

    def go(self, report: Report) -> None:
        """Run to the end, or until nothing rises, or until the time is over.

        Raises:
            Cancelled: The user stopped it; the next call goes on from the last checkpoint.
        """
        if self.step == 0:
            self._look()
        last = time.monotonic()
        while self.step < self.options.steps and self.bad_looks < self.options.patience:
            check()
            self.advance()
            now = time.monotonic()
            self.seconds += now - last
            last = now
            over = self.seconds > 60 * self.options.minutes or self.step == self.options.steps
            report("train", self.step, self.options.steps)
            if over or self.step % self.options.look == 0:
                self._look()
                self.save()
                last = time.monotonic()
            if over:
                break

    def _look(self) -> None:
        """Measure on the watched objects what would be kept of the averaged weights."""
        mixed = self.learner.mixed(self.average)
        if self.watched:
            figure = self._figure(self.learner.model(mixed))
            if figure <= self.best_figure:
                self.bad_looks += 1
                return
            self.best_figure, self.bad_looks = figure, 0
        self.best, self.best_step = mixed, self.step

    def _figure(self, model: PromptableModel) -> float:
        """Mean of the IoU of boxes, that of clicks, and where all is known the best F1."""
        found = measure(model, self.watched, automatic=0)
        figures = [float(found.box.mean()), float(found.click.mean())]
        known = [w for w in self.watched if w.known.any()][:1]
        if known:
            figures.append(best_level(model, known, self.points)[1])
        return float(np.mean(figures))

    # --- checkpoints -----------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint, whole or not at all.

        Raises:
            OutputError: The disk is full, or the folder cannot be written; an earlier one stays.
        """
        if self.folder is None:
            return
        state: dict[str, Any] = {
            "digest": self.digest,
            "live": {name: t.detach().cpu() for name, t in self.live.items()},
            "average": {name: t.cpu() for name, t in self.average.items()},
            "best": {name: t.cpu() for name, t in self.best.items()},
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "best_step": self.best_step,
            "best_figure": self.best_figure,
            "bad_looks": self.bad_looks,
            "losses": self.losses,
        }
        write_atomically(self.folder / STATE, lambda path: _write(state, path))

    def resume(self) -> bool:
        """Go on from the folder's checkpoint, where there is one.

        Raises:
            JobError: It is of other data, another model, or other options.
        """
        if self.folder is None or not (self.folder / STATE).exists():
            return False
        try:
            state = torch.load(self.folder / STATE, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise JobError(
                f"The unfinished training in {self.folder} is damaged: begin anew "
                f"({option('fresh')})."
            ) from error
        if state["digest"] != self.digest:
            raise JobError(
                f"The unfinished training in {self.folder} was begun with another raster, other "
                "labels or other options; the raster or the labels may have changed since: begin "
                f"anew ({option('fresh')})."
            )
        with torch.no_grad():
            for name, tensor in self.live.items():
                tensor.copy_(state["live"][name])
                self.average[name].copy_(state["average"][name])
                self.best[name].copy_(state["best"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.best_step, self.best_figure = state["best_step"], state["best_figure"]
        self.bad_looks, self.losses = state["bad_looks"], list(state["losses"])
        return True


def _write(state: dict[str, Any], path: Path) -> None:
    """``torch.save`` that raises OSError where the disk is full, and no error of torch's writer."""
    with path.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
