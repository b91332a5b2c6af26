# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the packs that training reads: ``python -m samgeo_core.training pack``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...models.base import PromptableModel
from ...models.embedded.classes import bits
from ...models.embedded.network import EmbeddedNet
from ...types import ByteArray
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
from .outlines import (
    FLIGHTS,
    SURROUNDINGS,
    drawn_drone_pictures,
    outlined_photographs,
    read_outlines,
    surroundings_of,
    with_squares,
    with_surroundings,
)
from .regions import region_sample
from .scenes import compose
from .small_objects import near_pictures_of_small_objects, photographs_of_small_objects
from .streets import compose_street
from .strokes import (
    HELD_OUT_TOWN,
    KINDS,
    KindsOfCells,
    by_town,
    kinds_alone,
    read_strokes,
    squares,
    stroke_plane,
)

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
    west = with_squares(west, read_outlines(SURROUNDINGS))
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
    drawn = read_outlines(SURROUNDINGS)
    for prefix, held_out in (("", False), ("valid_", True)):
        found: dict[str, list[Sample]] = {}
        pictures = instances(shared / "train" / "instances", held_out=held_out)
        for dataset, name, sample in pictures:
            around = surroundings_of(name, sample.labels.shape[1:], drawn)
            if around is not None:
                sample = with_surroundings(sample, around)
            found.setdefault(INSTANCE_PARTS[dataset], []).append(sample)
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


def class_squares(shared: Path, *, held_out: bool = False) -> dict[str, list[ByteArray]]:
    """Class -> squares of photographs in which there is nothing else, at about 30 cm a pixel."""
    train = shared / "train"
    found: dict[str, list[ByteArray]] = {}

    def gather(image: ByteArray, plane: ByteArray, names: Mapping[str, int], smallest: int) -> None:
        for name, kind in names.items():
            found.setdefault(name, []).extend(squares(image, plane == kind, smallest=smallest))

    for name, lines in by_town(read_strokes(), held_out=held_out).items():
        image = read_image(train / "naip_rgb" / f"{name}.jpg")
        plane = stroke_plane(lines, (image.shape[0], image.shape[1]))
        names = {"bare ground" if k == "bare" else k: v for k, v in KINDS.items() if k != "grass"}
        # Two pixels for one: these photographs have 60 cm, and strokes on roads are narrow.
        double = [cv2.resize(part, None, fx=2, fy=2) for part in (image, plane)]
        double[1] = np.repeat(np.repeat(plane, 2, 0), 2, 1)
        gather(double[0], double[1], names, 9)
        gather(double[0], double[1], {"field": KINDS["grass"]}, 9)
    alone = {k: bits(k) for k in ("building", "road", "water")}
    for sample in dubai(train / "landcover_dubai", held_out=held_out):
        assert sample.classes is not None
        gather(sample.image, sample.classes, alone, 12)
    for _, _, sample in instances(train / "instances", held_out=held_out):
        if sample.classes is not None:
            gather(sample.image, sample.classes, {k: bits(k) for k in ("building", "field")}, 12)
    return found


def pack_streets(
    shared: Path, out: Path, *, seed: int, count: int, size: int = 384, prefix: str = ""
) -> Path:
    """One pack of composed street scenes (streets.py); the seed decides everything in it."""
    out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    held_out = prefix == "valid_"
    textures = Textures(
        photographs(shared / "train", 100, rng), rng, class_squares(shared, held_out=held_out)
    )
    path = out / f"{prefix}streets_{seed:04d}.npz"
    write_pack(path, [compose_street(textures, size) for _ in range(count)])
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


def pack_outlined(shared: Path, out: Path, prefix: str = "") -> Path:
    """One pack of photographs that were drawn completely (outlines.py).

    With the prefix "valid_": those of the town that is kept back.
    """
    out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    folder = shared / "train" / "naip_rgb"
    path = out / f"{prefix}outlines.npz"
    found = outlined_photographs(folder, held_out=prefix == "valid_")
    write_pack(path, [sample for _, sample in found])
    return path


def with_regions(sample: Sample) -> Sample:
    """A picture of few objects, with its clear regions as more of them."""
    regions = region_sample(sample.image)
    if regions is None:
        return sample
    drawn = sample.labels[0].astype(np.uint16)
    clear = regions.labels[0].astype(np.uint16)
    numbered = np.where(drawn > 0, drawn + clear.max(), clear)
    return replace(sample, labels=numbered[None])


def pack_drone_pictures(shared: Path, out: Path) -> None:
    """One pack of Banepa's tiles and one of crops of drone photographs, drawn completely."""
    out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    found: dict[str, list[Sample]] = {"tiles": [], "drone": []}
    for name, sample in drawn_drone_pictures(shared / "train"):
        if name.partition("_")[0] in FLIGHTS:
            found["drone"].append(with_regions(sample))
        else:
            found["tiles"].append(sample)
    for name, samples in found.items():
        write_pack(out / f"{name}.npz", samples)


def pack_small_objects(shared: Path, out: Path, prefix: str = "") -> None:
    """One pack of photographs of 60 cm pixels and one of nearer pictures, with every tree crown and
    vehicle.

    With the prefix "valid_": those of the town and the places that are kept back.
    """
    out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    held_out = prefix == "valid_"
    folder = shared / "train" / "naip_rgb"
    for name, found in (
        ("small_far", photographs_of_small_objects(folder, held_out=held_out)),
        ("small_near", near_pictures_of_small_objects(shared, held_out=held_out)),
    ):
        write_pack(out / f"{prefix}{name}.npz", [sample for _, sample in found])


def pack_photographs(
    shared: Path, out: Path, net: EmbeddedNet, *, seed: int, count: int, prefix: str = ""
) -> Path:
    """One pack of photographs of 60 cm pixels with what is where (strokes.py).

    Those with strokes come first, then ``count`` others, with what a small network that learned the
    strokes and outlines says of them. With the prefix "valid_": the strokes of the town that is
    kept back.
    """
    out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    folder = shared / "train" / "naip_rgb"
    strokes = by_town(read_strokes(), held_out=prefix == "valid_")
    drawn = {}
    for name, lines in strokes.items():
        image = read_image(folder / f"{name}.jpg")
        drawn[name] = image, stroke_plane(lines, (image.shape[0], image.shape[1]))
    outlined = {} if prefix else dict(outlined_photographs(folder, held_out=False))
    kinds = None
    if not prefix:
        # Other years' photographs show the same things again.
        once = [outlined[name] for name in read_outlines() if name in outlined]
        planes = [(sample.image, kinds_alone(sample.classes)) for sample in once]
        kinds = KindsOfCells(net, [*drawn.values(), *planes])
    others = [
        path
        for path in sorted(folder.glob("*.jpg"))
        if not path.stem.startswith(HELD_OUT_TOWN) and path.stem not in drawn.keys() | outlined
    ]
    order = np.random.default_rng(seed).permutation(len(others))[: count if kinds else 0]
    samples = []
    for image, plane in [*drawn.values(), *((read_image(others[i]), None) for i in order)]:
        known = plane
        if kinds is not None:
            known = kinds.plane(image)
            if plane is not None:
                known = np.where(plane > 0, plane, known)
        regions = region_sample(image)
        if regions is not None:
            samples.append(Sample(image, regions.labels, known))
    path = out / f"{prefix}naip_{seed:04d}.npz"
    write_pack(path, samples)
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
