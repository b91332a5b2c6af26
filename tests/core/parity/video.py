# SPDX-License-Identifier: GPL-2.0-or-later
"""The series of frames of the parity tests for video: images, prompts, order of the questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from samgeo_core.testing.random_weights import weights
from torch import Tensor

FRAMES = 8
WAVES = ((3, 1), (1, 5), (7, 4))


@dataclass(frozen=True)
class VideoCase:
    """A model with random weights and a short series.

    Args:
        name: Of the model's shapes (``NAME.npz``) and of the answers (``NAME.video.npz``).
        size: Side of the encoder's square and of the frames.
        presence, scale: Bias and factor of the logit of being there. With random weights it is
            nearly the same in all frames: it is scaled and shifted, so that objects are there in
            some and not in others.
        objects: How many of those in :func:`shown`.
        tolerance: Of logits. Memories are kept in bfloat16 on both sides, and one number in them
            that is rounded otherwise moves the logits that come after it.
    """

    name: str
    size: int = 256
    presence: float = 0.0
    scale: float = -20.0
    objects: int = 2
    tolerance: float = 1e-4


VIDEO_CASES = (
    VideoCase("sam2.1_hiera_tiny", presence=-12.4, objects=3),
    VideoCase("sam2_hiera_small", presence=13.9),
    VideoCase("sam2.1_hq_hiera_tiny", presence=-6.15, objects=1, tolerance=5e-4),
    VideoCase("edgetam", 512, -7.5, 20.0),
)


def video_weights(shapes: Mapping[str, Sequence[int]], case: VideoCase) -> dict[str, Tensor]:
    """The weights of the image tests, with objects that come and go."""
    state = weights(shapes)
    head = "sam_mask_decoder.pred_obj_score_head.layers.2."
    state[f"{head}weight"] *= case.scale
    state[f"{head}bias"] = state[f"{head}bias"] * case.scale + case.presence
    return state


def frames(case: VideoCase) -> list[np.ndarray]:
    """Colours that move: (H, W, 3) uint8 each."""
    random = np.random.RandomState(5)
    noise = random.uniform(-40, 40, (case.size, case.size, 3))
    rows, cols = np.mgrid[: case.size, : case.size] / case.size
    out = []
    for number in range(FRAMES):
        at = 0.06 * number
        waves = [np.sin(2 * np.pi * (a * (rows - at) + b * (cols + at))) for a, b in WAVES]
        shifted = np.roll(noise, 3 * number, axis=1)
        out.append(np.clip(128 + 80 * np.stack(waves, axis=-1) + shifted, 0, 255).astype(np.uint8))
    return out


def outline(case: VideoCase) -> np.ndarray:
    """The second object in the first frame: (H, W) bool."""
    rows, cols = np.mgrid[: case.size, : case.size] / case.size
    return np.asarray((rows - 0.6) ** 2 + ((cols - 0.3) / 1.4) ** 2 < 0.18**2)


def shown(case: VideoCase) -> list[tuple[int, int, dict[str, np.ndarray]]]:
    """(frame, object, prompt): points (row, column) with labels, a box, or an outline."""
    side = float(case.size)
    all_shown = [
        (0, 0, {"points": np.array([[0.3, 0.4]]) * side, "labels": np.array([1])}),
        (0, 1, {"outline": outline(case)}),
        (
            4,
            0,
            {"points": np.array([[0.35, 0.45], [0.8, 0.8]]) * side, "labels": np.array([1, 0])},
        ),
        (0, 2, {"boxes": np.array([0.5, 0.2, 0.8, 0.6]) * side}),
    ]
    return [one for one in all_shown if one[1] < case.objects]


PASSES = ((0, False), (4, True))
"""(first frame, backwards) of the two passes; the last ends at frame 0."""
