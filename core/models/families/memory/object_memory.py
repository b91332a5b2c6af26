# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM 2's memory of an object: what is stored per frame, and the answer for a frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, eq=False)
class FrameMemory:
    """What is kept of an object in a frame.

    Args:
        tokens: (T, 64) bfloat16, row by row of the frame's grid; None where only the pointer is
            still needed.
        pointer: (dim,) float32.
    """

    tokens: Tensor | None
    pointer: Tensor


@dataclass(eq=False)
class ObjectMemory:
    """The memory of one object; bounded however many frames there are.

    Args:
        frames: Frames in all, for the scale of temporal distances.
        given: By number of the frame, where the object was prompted.
        seen: Likewise for other frames.
    """

    frames: int
    given: dict[int, FrameMemory] = field(default_factory=dict)
    seen: dict[int, FrameMemory] = field(default_factory=dict)

    def forget(self, frame: int, spatial: int, pointers: int) -> None:
        """Drop what neither this frame's successors nor those of a prompted frame look up.

        Args:
            frame: The last answered.
            spatial: Frames before that are looked up with their tokens.
            pointers: Likewise with their pointer.
        """
        centres = (frame, *self.given)
        for number, kept in list(self.seen.items()):
            away = min(abs(number - centre) for centre in centres)
            if away > pointers:
                del self.seen[number]
            elif away > spatial and kept.tokens is not None:
                self.seen[number] = FrameMemory(None, kept.pointer)


@dataclass(frozen=True, eq=False)
class Recalled:
    """Memory as the attention wants it: tokens, their positions (both (M, 64)) and turns."""

    tokens: Tensor
    positions: Tensor
    turns: Tensor


@dataclass(frozen=True, eq=False)
class Answers:
    """What was answered for ``n`` objects in a frame, all float32.

    Args:
        logits: (n, h, w), far below 0 everywhere for an object that is not there.
        scores: (n,) predicted IoU.
        presence: (n,) logits of being there at all.
        pointers: (n, dim).
    """

    logits: Tensor
    scores: Tensor
    presence: Tensor
    pointers: Tensor
