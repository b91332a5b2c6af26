# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the packs that training reads: ``python -m samgeo_core.training pack``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ...models.base import PromptableModel
from ...models.embedded.classes import bits
from .canvas import Textures
from .confident import confident_sample
from .crops import (
    BANEPA_HELD_OUT,
    Sample,
    banepa,
    dubai,
    instances,
    photographs,
    read_image,
    write_pack,
)
from .opencv import cv2
from .regions import region_sample
from .scenes import compose

INSTANCE_PARTS = {
    "catanduanes": "roofs",
    "nairobi": "roofs",
    "banepa_south": "roofs",
    "fields_midwest": "fields",
    "breeding_plots": "plots",
}
"""Pack of each data set of instances."""


def pack_real(shared: Path, out: Path) -> None:
    """Banepa's western half and Dubai; of each a part is kept back (valid_*)."""
    out.mkdir(parents=True, exist_ok=True)
    west, row = banepa(shared / "eval" / "buildings_banepa"), BANEPA_HELD_OUT
    for name, rows in (("banepa", slice(None, row)), ("valid_banepa", slice(row, None))):
        assert west.classes is not None
        part = Sample(west.image[rows], west.labels[:, rows], west.classes[rows])
        write_pack(out / f"{name}.npz", [part])
    for prefix, held_out in (("", False), ("valid_", True)):
        folder = shared / "train" / "landcover_dubai"
        write_pack(out / f"{prefix}dubai.npz", list(dubai(folder, held_out=held_out)))


def pack_instances(shared: Path, out: Path) -> None:
    """The instances by kind; whole places are kept back (valid_*)."""
    out.mkdir(parents=True, exist_ok=True)
    for prefix, held_out in (("", False), ("valid_", True)):
        found: dict[str, list[Sample]] = {}
        for name, sample in instances(shared / "train" / "instances", held_out=held_out):
            found.setdefault(INSTANCE_PARTS[name], []).append(sample)
        for name, samples in found.items():
            write_pack(out / f"{prefix}{name}.npz", samples)


def pack_scenes(
    shared: Path, out: Path, *, seed: int, count: int, size: int = 384, prefix: str = ""
) -> Path:
    """One pack of composed scenes; the seed decides everything in it."""
    out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    textures = Textures(photographs(shared / "train", 400, rng), rng)
    path = out / f"{prefix}scenes_{seed:04d}.npz"
    write_pack(path, [compose(textures, size) for _ in range(count)])
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


def pack_confident(
    shared: Path, out: Path, model: PromptableModel, *, seed: int, count: int
) -> Path:
    """One pack of a model's own confident masks in photographs of all sources (confident.py)."""
    out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    images = photographs(shared / "train", count, np.random.default_rng(seed))
    found = (confident_sample(model, image) for image in images)
    path = out / f"confident_{seed:04d}.npz"
    write_pack(path, [sample for sample in found if sample is not None])
    return path


def read_town(folder: Path) -> Sample:
    """What ``sample_data/make.py`` wrote: fields, ponds, houses and crowns; roads unknown."""
    import geopandas
    import rasterio
    from rasterio.features import rasterize

    with rasterio.open(folder / "town.tif") as source:
        image = np.ascontiguousarray(source.read([1, 2, 3]).transpose(1, 2, 0))
        transform = source.transform
    shapes: list[tuple[object, int]] = []
    names = {"fields": "field", "water": "water", "roads": "road"}
    names |= {"buildings": "building", "trees": "trees"}
    kinds: list[tuple[object, int]] = []
    for layer, name in names.items():
        frame = geopandas.read_file(folder / "town_truth.gpkg", layer=layer)
        for number, shape in enumerate(frame.geometry):
            if layer == "roads":
                road = shape.buffer(frame["width_m"][number] / 2, cap_style="flat")
                shapes.append((road, 0))
                kinds.append((road, bits(name)))
            elif not shape.is_empty:
                shapes.append((shape, len(shapes) + 1))
                kinds.append((shape, bits(name)))
    # Later ones lie above earlier ones.
    size = image.shape[:2]
    labels = rasterize(shapes, out_shape=size, transform=transform, dtype="uint16")
    rest = bits("bare ground", "other", "vehicle", "field")
    classes = rasterize(kinds, out_shape=size, fill=rest, transform=transform, dtype="uint8")
    return Sample(image, labels[None], classes)


def pack_towns(maker: Path, path: Path, seeds: range) -> None:
    """Sample scenes (``sample_data/make.py``) of other seeds than the shipped one."""
    samples = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(maker), "--seed", str(seed), "--out", folder]
            subprocess.run(command, check=True)
            samples.append(read_town(Path(folder)))
    write_pack(path, samples)
