# SPDX-License-Identifier: GPL-2.0-or-later
"""What the parity tests ask: cases, images and prompts, the same numbers on every machine.

All come from ``numpy.random.RandomState``, whose streams numpy has frozen for good, so that only
the official code's answers need to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from samgeo_core.models.network import Network

HERE = Path(__file__).parent
SIZE = 1024
PROMPTS = 2


@dataclass(frozen=True)
class Case:
    """A model with random weights.

    Args:
        name: Of its file in this folder.
        family, variant: What :func:`recognise` must say.
        encoder_size: Side of the encoder's square.
        image: (H, W) of the image, so that nothing is resized (the families' resizing is tested
            apart).
        kinds: Prompts asked, see :func:`prompts`.
        background_points: Whether the family understands points of label 0.
        mask_stride: Pixels of the encoder's square along a side of a cell of the masks.
    """

    name: str
    family: str
    variant: str
    encoder_size: int = SIZE
    image: tuple[int, int] = (768, SIZE)
    kinds: tuple[str, ...] = ("points", "boxes", "both", "points_mask", "mask")
    background_points: bool = True
    mask_stride: int = 4


SQUARE = (SIZE, SIZE)


@dataclass(frozen=True)
class TestedFamily:
    """What the tests must know of a family: ``FAMILY`` in ``tests/core/models/families``.

    Args:
        name: As in the family's :class:`Family`.
        tiny: A small network without weights, for an image of 128 x 128 pixels, on whatever device
            is torch's default.
        official_names: Pairs of a pattern and its replacement, applied one after the other: our
            attributes to the keys of official checkpoints, where they differ.
        cases: Comparisons with the official code.
        official: The model of the official code for a case and how to ask it (see
            ``official.py``), from the folder with the official repositories; only ``make.py`` calls
            it.
    """

    __test__ = False  # not a class of tests, for pytest

    name: str
    tiny: Callable[[], Network]
    official_names: tuple[tuple[str, str], ...]
    cases: tuple[Case, ...]
    official: Callable[[Path, Case], tuple[Any, Any]]


def image(shape: tuple[int, int], seed: int = 1) -> np.ndarray:
    """Smooth colours with noise: (H, W, 3) uint8."""
    random = np.random.RandomState(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]] / max(shape)
    waves = [np.sin(2 * np.pi * (a * rows + b * cols)) for a, b in ((3, 1), (1, 5), (7, 4))]
    noise = random.uniform(-40, 40, (*shape, 3))
    return np.clip(128 + 80 * np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)


def prompts(kind: str, case: Case, seed: int = 2) -> dict[str, np.ndarray]:
    """Arguments of :class:`Prompts`: two points per prompt, a box, a mask of logits, or several."""
    random = np.random.RandomState(seed)
    limit = np.array(case.image)
    points = (random.uniform(0, 1, (PROMPTS, 2, 2)) * limit).astype(np.float32)
    labels = np.tile(np.array([1, 0], np.int8), (PROMPTS, 1))
    if not case.background_points:
        labels[:] = 1
    corners = random.uniform(0, 0.4, (PROMPTS, 1, 2)) + np.array([[[0.0]], [[0.6]]]).reshape(
        1, 2, 1
    )
    boxes = (corners * limit).astype(np.float32).reshape(PROMPTS, 4)
    cells = case.encoder_size // case.mask_stride
    coarse = random.standard_normal((PROMPTS, cells // 8, cells // 8)) * 4
    masks = np.kron(coarse, np.ones((8, 8))).astype(np.float32)
    out: dict[str, np.ndarray] = {}
    if kind in ("points", "both", "points_mask"):
        out |= {"points": points, "labels": labels}
    if kind in ("boxes", "both"):
        out["boxes"] = boxes
    if kind in ("points_mask", "mask"):
        out["masks"] = masks
    return out


def sample(array: np.ndarray, most: int = 400) -> np.ndarray:
    """Values of an array that stand for all of it: spread evenly, not on any of its periods."""
    flat = np.asarray(array).reshape(-1)
    step = max(1, len(flat) // most)
    step += 1 - step % 2
    while len(flat) % step == 0 and step > 1:
        step += 2
    return flat[::step][:most].copy()


def answers() -> Iterator[tuple[str, bool]]:
    for kind in ("points", "boxes", "both", "points_mask", "mask"):
        yield kind, True
        yield kind, False
