# SPDX-License-Identifier: GPL-2.0-or-later
"""Weights, images and prompts of the parity tests: the same numbers on every machine.

All come from ``numpy.random.RandomState``, whose streams numpy has frozen for good, so that only
the official code's answers need to be kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

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
    """

    name: str
    family: str
    variant: str
    encoder_size: int = SIZE
    image: tuple[int, int] = (768, SIZE)
    kinds: tuple[str, ...] = ("points", "boxes", "both", "points_mask", "mask")


SQUARE = (SIZE, SIZE)
CASES = (
    Case("sam_vit_b", "sam", "vit_b"),
    Case("sam_vit_l_2_blocks", "sam", "custom", 512, (384, 512)),
    Case("sam_vit_h_2_blocks", "sam", "custom", 512, (512, 384)),
    Case("mobile_sam", "mobile_sam", "vit_t"),
    Case("sam2.1_hiera_tiny", "sam2", "hiera_tiny", image=SQUARE),
    Case("sam2_hiera_small", "sam2", "hiera_small", 256, (256, 256)),
    Case("sam2.1_hiera_base_plus", "sam2", "hiera_base_plus", 256, (256, 256)),
    Case("edgetam", "edgetam", "repvit_m1", image=SQUARE),
    Case("sam_hq_vit_b_2_blocks", "sam_hq", "custom", 512, (384, 512)),
    Case("sam_hq_vit_tiny", "sam_hq", "vit_t", kinds=("both", "mask")),
    Case(
        "efficient_sam_vitt", "efficient_sam", "vit_ti", SIZE, SQUARE, ("points", "boxes", "both")
    ),
)


def weights(shapes: Mapping[str, Sequence[int]], seed: int = 0) -> dict[str, Tensor]:
    """Random weights with which every layer's output is about 1 and no layer is idle."""
    random = np.random.RandomState(seed)
    out = {}
    for key in sorted(shapes):
        shape = tuple(shapes[key])
        if key.endswith("num_batches_tracked"):
            out[key] = torch.tensor(0)
            continue
        value = random.standard_normal(shape).astype(np.float32)
        if key.endswith("running_var"):
            value = 1 + 0.2 * np.abs(value)
        elif key.endswith(("bias", "running_mean")):
            value = 0.1 * value
        elif len(shape) == 1:
            value = 1 + 0.1 * value
            if ".trunk.body.stages" in key and key.endswith(_BRANCHES):
                value = 0.6 * value  # or they grow from block to block
        elif any(part in key for part in ("pos_embed", "rel_pos", "attention_biases")):
            value = 0.2 * value
        elif not (_is_row(key) or key.endswith("gaussian_matrix")):
            value = value / math.sqrt(np.prod(shape[1:]))
        out[key] = torch.from_numpy(np.asarray(value, np.float32))
    return out


_BRANCHES = (
    ".token_mixer.conv.bn.weight",
    ".token_mixer.conv1.bn.weight",
    ".channel_mixer.conv2.bn.weight",
    ".ffn.conv2.bn.weight",
)
"""Of EdgeTAM's blocks, what is added to what they are given."""


def _is_row(key: str) -> bool:
    ends = ("token.weight", "tokens.weight", "embed.weight", "embeddings.weight")
    return key.endswith(ends) or ".point_embeddings." in key or "invalid_points" in key


def image(shape: tuple[int, int], seed: int = 1) -> np.ndarray:
    """Smooth colours with noise: (H, W, 3) uint8."""
    random = np.random.RandomState(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]] / max(shape)
    waves = [np.sin(2 * np.pi * (a * rows + b * cols)) for a, b in ((3, 1), (1, 5), (7, 4))]
    noise = random.uniform(-40, 40, (*shape, 3))
    return np.clip(128 + 80 * np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)


def prompts(kind: str, case: Case, seed: int = 2) -> dict[str, np.ndarray]:
    """Arguments of :class:`Prompts`: two points a prompt, a box, a mask of logits, or several."""
    random = np.random.RandomState(seed)
    limit = np.array(case.image)
    points = (random.uniform(0, 1, (PROMPTS, 2, 2)) * limit).astype(np.float32)
    labels = np.tile(np.array([1, 0], np.int8), (PROMPTS, 1))
    if case.family == "efficient_sam":
        labels[:] = 1
    corners = random.uniform(0, 0.4, (PROMPTS, 1, 2)) + np.array([[[0.0]], [[0.6]]]).reshape(
        1, 2, 1
    )
    boxes = (corners * limit).astype(np.float32).reshape(PROMPTS, 4)
    cells = case.encoder_size // 4
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
