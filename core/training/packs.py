# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the packs that training reads: ``python -m samgeo_core.training pack``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .data import BANEPA_HELD_OUT, Sample, banepa, dubai, photographs, read_image, write_pack
from .regions import region_sample
from .scenes import Textures, compose


def pack_real(shared: Path, out: Path) -> None:
    """Banepa's western half, its southern end kept back for validation, and Dubai."""
    out.mkdir(parents=True, exist_ok=True)
    west, row = banepa(shared / "eval" / "buildings_banepa"), BANEPA_HELD_OUT
    write_pack(out / "banepa.npz", [Sample(west.image[:row], west.labels[:, :row])])
    write_pack(out / "valid_banepa.npz", [Sample(west.image[row:], west.labels[:, row:])])
    write_pack(out / "dubai.npz", list(dubai(shared / "train" / "landcover_dubai")))


def pack_scenes(shared: Path, out: Path, *, seed: int, count: int, size: int = 384) -> Path:
    """One pack of composed scenes; the seed decides everything in it."""
    out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    textures = Textures(photographs(shared / "train", 400, rng), rng)
    path = out / f"scenes_{seed:04d}.npz"
    write_pack(path, [Sample(*compose(textures, size)) for _ in range(count)])
    return path


def pack_regions(shared: Path, out: Path, *, seed: int, count: int) -> Path:
    """One pack of clear regions in photographs of 60 cm pixels (regions.py)."""
    out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    paths = sorted((shared / "train" / "naip_rgb").glob("*.jpg"))
    order = np.random.default_rng(seed).permutation(len(paths))
    found = (region_sample(read_image(paths[i])) for i in order[:count])
    path = out / f"regions_{seed:04d}.npz"
    write_pack(path, [sample for sample in found if sample is not None])
    return path
