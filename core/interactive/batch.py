# SPDX-License-Identifier: GPL-2.0-or-later
"""Many prompts at once: grouped by window, decoded in batches, each object followed.

Prompts are grouped by the window in which they lie well inside; a window is encoded once and its
prompts are decoded together. An object that reaches its window's trusted border is followed into
the neighbours like a clicked one (``propagate.py``), so that no prompt loses a part at a border.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from ..errors import PromptError
from ..models.base import Prompts
from ..prompts.prompt_layer import LayerPrompt
from ..prompts.prompts import joint_extent, window_prompts
from ..types import FloatArray, PixelBox
from .first_prediction import Candidate, Question, add_window, begin, nothing_known
from .propagate import Limits
from .windows import Level

AT_ONCE = 32
"""Prompts decoded at once: three float masks of each are 24 MB."""


def windows_of(level: Level, prompts: Sequence[LayerPrompt]) -> dict[PixelBox, list[LayerPrompt]]:
    """Prompts by the window in which they are asked, windows row by row."""
    groups: dict[PixelBox, list[LayerPrompt]] = {}
    for prompt in prompts:
        window = level.lattice.around(joint_extent(prompt.prompts))
        groups.setdefault(window, []).append(prompt)
    return dict(sorted(groups.items()))


def ask_all(
    level: Level,
    prompts: Sequence[LayerPrompt],
    *,
    coarser: Callable[[int], Level | None] = lambda step: None,
    limits: Limits | None = None,
    check: Callable[[], None] | None = None,
) -> Iterator[tuple[LayerPrompt, Candidate | str]]:
    """Every prompt's object, window by window.

    Args:
        level: The raster at its working resolution.
        prompts: In its pixels.
        coarser: As in :class:`~.answering.Question`.
        limits: How far an object is followed.
        check: Raises ``Cancelled``.

    Yields:
        A prompt and its candidate, or the reason why there is none.
    """
    for window, group in windows_of(level, prompts).items():
        if check is not None:
            check()
        if level.encode(window) is None:
            yield from ((prompt, "the raster has no data there") for prompt in group)
            continue
        together: dict[tuple[str, int, bool, bool], list[tuple[LayerPrompt, Prompts]]] = {}
        for prompt in group:
            question = Question(
                level, coarser, prompt.prompts, multimask=prompt.type == "point", check=check
            )
            if limits is not None:
                question = replace(question, limits=limits)
            extent = joint_extent(prompt.prompts)
            if not _has_data(level, extent):
                yield prompt, "the raster has no data there"
            elif level.lattice.margin(window, extent) < level.lattice.size / 16:
                yield prompt, _alone(question)
            else:
                asked = window_prompts(
                    prompt.prompts, window, level.cell, accepts=level.model.info.accepts
                )
                if asked is None:
                    yield prompt, "the model does not understand prompts of this kind"
                    continue
                kind = (
                    prompt.type,
                    0 if asked.points is None else asked.points.shape[1],
                    asked.boxes is not None,
                    asked.masks is not None,
                )
                together.setdefault(kind, []).append((prompt, asked))
        for same in together.values():
            yield from _together(level, window, same, coarser, limits, check)


def _has_data(level: Level, extent: tuple[float, float, float, float]) -> bool:
    height, width = level.source.shape
    row0, col0 = min(int(extent[0]), height - 1), min(int(extent[1]), width - 1)
    row1, col1 = max(math.ceil(extent[2]), row0 + 1), max(math.ceil(extent[3]), col0 + 1)
    return level.source.has_data(PixelBox(max(row0, 0), max(col0, 0), row1, col1))


def _alone(question: Question) -> Candidate | str:
    """A prompt that no window holds."""
    try:
        found = begin(question)
    except PromptError as error:
        return str(error)
    return found[0] if found else "the model finds nothing there"


def _together(
    level: Level,
    window: PixelBox,
    same: Sequence[tuple[LayerPrompt, Prompts]],
    coarser: Callable[[int], Level | None],
    limits: Limits | None,
    check: Callable[[], None] | None,
) -> Iterator[tuple[LayerPrompt, Candidate | str]]:
    """Prompts of one kind in one window, decoded in batches, each followed where it goes on."""
    multimask = same[0][0].type == "point"
    for start in range(0, len(same), AT_ONCE):
        part = same[start : start + AT_ONCE]
        said = level.ask(window, stacked([asked for _, asked in part]), multimask=multimask)
        if said is None:
            continue
        for (prompt, _), logits, scores in zip(part, *said, strict=True):
            best = int(np.argmax(scores))
            known = add_window(nothing_known(level), level, window, cast(FloatArray, logits[best]))
            if known.positive_box() is None:
                yield prompt, "the model finds nothing there"
                continue
            question = Question(level, coarser, prompt.prompts, check=check)
            if limits is not None:
                question = replace(question, limits=limits)
            walk = question.walk([window])
            known = walk.follow(known)
            yield (
                prompt,
                Candidate(known, float(scores[best]), frozenset(walk.windows), walk.limit),
            )


def stacked(prompts: Sequence[Prompts]) -> Prompts:
    """Prompts of one kind (as many points, a box or none, a mask or none) as one batch."""
    first = prompts[0]
    return Prompts(
        points=None if first.points is None else np.concatenate([p.points for p in prompts]),
        labels=None if first.labels is None else np.concatenate([p.labels for p in prompts]),
        boxes=None if first.boxes is None else np.concatenate([p.boxes for p in prompts]),
        masks=None if first.masks is None else np.concatenate([p.masks for p in prompts]),
    )
