# SPDX-License-Identifier: GPL-2.0-or-later
"""Training images and labels: read from the public sources, packed into files, cropped for a step.

A *pack* is one ``.npz`` of JPEG images, deflated label layers and class planes, small enough to be
carried to a machine with a GPU. A :class:`Crops` draws augmented 256 x 256 crops from one or more
packs.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage.measure import label as connected

from ...models.embedded.classes import bits
from ...types import AnyArray, BoolArray, ByteArray
from .canvas import Labels, smooth_noise
from .opencv import cv2

BANEPA_SPLIT = 2048
"""Column of the Banepa mosaic: west of it is trained on, east of it is only ever tested."""

BANEPA_HELD_OUT = 3584
"""Row of the western half below which nothing is trained on: thresholds are chosen there."""

DUBAI_COLOURS = {
    "building": (0x3C, 0x10, 0x98),
    "land": (0x84, 0x29, 0xF6),
    "road": (0x6E, 0xC1, 0xE4),
    "vegetation": (0xFE, 0xDD, 0x3A),
    "water": (0xE2, 0xA9, 0x29),
}
"""RGB of the masks as they are; the colours in the data set's ``classes.json`` are others."""

DUBAI_CLASSES = {
    "building": bits("building"),
    "land": bits("bare ground", "field", "other"),
    "road": bits("road"),
    "vegetation": bits("trees", "field"),
    "water": bits("water"),
}
"""What the classes of Dubai can be: its vegetation is trees and lawns, its land sand and yards."""

DUBAI_HELD_OUT = "tile6"
"""Area of Dubai that is not trained on."""

HELD_OUT_PLACES = 6
"""One in so many places of the instances is not trained on: thresholds are chosen there."""

VALID_DATASETS = ("banepa_south",)
"""Instances that are not trained on: they lie next to the tested town."""

BESIDE = 0.7
"""Share of crops larger than their picture that show several pictures side by side; the others are
mirrored or grey beyond it."""

INSTANCE_CLASSES = {"building": "building", "field": "field", "crop plot": "field"}


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its objects.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (layers, H, W) uint16; 0 is unknown or background.
        classes: (H, W) uint8, the set of classes that a pixel may have, a bit each
            (:data:`~samgeo_core.models.embedded.classes.CLASSES`); 0 is unknown. None: all unknown.
        whole: Every object is labelled, so that 0 means background.
    """

    image: ByteArray
    labels: Labels
    classes: ByteArray | None = None
    whole: bool = False


def read_image(path: Path) -> ByteArray:
    """A JPEG or PNG as (H, W, 3) uint8 RGB."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(f"{path} cannot be read as an image.")
    return np.ascontiguousarray(image[..., ::-1])


def read_raster(path: Path) -> ByteArray:
    """A raster's first three bands as (H, W, 3) uint8."""
    import rasterio

    with rasterio.open(path) as source:
        return np.ascontiguousarray(source.read([1, 2, 3]).transpose(1, 2, 0))


def photographs(train: Path, limit: int, rng: np.random.Generator) -> list[ByteArray]:
    """Unlabelled photographs for textures: all of the training folder's sources, mixed."""
    paths = sorted((train / "naip_rgb").glob("*.jpg"))
    drones = sorted((train / "drone_crops").glob("*/*.jpg"))
    rasters = sorted((train / "banepa_unlabelled").glob("*.tif"))
    chosen = [paths[i] for i in rng.permutation(len(paths))[: limit // 2]]
    chosen += [drones[i] for i in rng.permutation(len(drones))[: limit // 2]]
    return [read_image(path) for path in chosen] + [read_raster(path) for path in rasters]


def banepa(folder: Path) -> Sample:
    """The western half of the Banepa mosaic with its footprints, filled one by one.

    Buildings that cross the dividing column are cut there; nothing east of it is read.
    """
    import geopandas
    import rasterio
    from rasterio.features import rasterize
    from rasterio.windows import Window

    with rasterio.open(folder / "mosaic_train_4326.tif") as source:
        window = Window(0, 0, BANEPA_SPLIT, source.height)
        image = source.read([1, 2, 3], window=window).transpose(1, 2, 0)
        transform, crs = source.transform, source.crs
    shapes = geopandas.read_file(folder / "footprints_4326.gpkg").to_crs(crs).geometry
    # Large ones first, so that a small one within a large one stays whole.
    ordered = sorted((s for s in shapes if not s.is_empty), key=lambda s: -s.area)
    labels = rasterize(
        ((shape, number + 1) for number, shape in enumerate(ordered)),
        out_shape=image.shape[:2],
        transform=transform,
        dtype="uint16",
    )
    return Sample(
        np.ascontiguousarray(image), labels[None], one_class(labels, "building", complete=True)
    )


def one_class(labels: AnyArray, name: str, *, complete: bool) -> ByteArray:
    """The class plane of objects of one class.

    Args:
        labels: (H, W), 0 where there is no object.
        name: Their class.
        complete: All of the class is labelled, so that other pixels are something else; beside the
            objects, where outlines are off by some pixels, nothing is said.

    Returns:
        (H, W) uint8 sets of classes.
    """
    inside = labels > 0
    out = np.where(inside, bits(name), 0).astype(np.uint8)
    if complete:
        near = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        out[~near] = 255 & ~bits(name)
    return out


def place_of(name: str) -> str:
    """The place of a picture of the instances: the same ground at any zoom has the same place."""
    parts = name.split("_")
    for number, part in enumerate(parts):
        if re.fullmatch(r"z\d\d", part):
            shift = int(part[1:]) - 19
            col, row = (int(value) >> shift for value in parts[number + 1 : number + 3])
            return f"{'_'.join(parts[:number])}_{col}_{row}"
    if parts[0] == "plots":
        return "_".join(parts[:2])
    return "_".join(parts[:4])


def is_held_out(name: str) -> bool:
    """Whether a picture of the instances is kept back: whole places are."""
    if name.startswith(VALID_DATASETS):
        return True
    return zlib.crc32(place_of(name).encode()) % HELD_OUT_PLACES == 0


def instances(folder: Path, *, held_out: bool) -> Iterator[tuple[str, str, Sample]]:
    """Data set, name and sample of pictures with instance masks, those of held-out places or all
    others."""
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if is_held_out(Path(row["image"]).stem) != held_out:
            continue
        labels = cv2.imread(str(folder / row["mask"]), cv2.IMREAD_UNCHANGED)
        if labels is None:
            raise FileNotFoundError(f"{folder / row['mask']} cannot be read as an image.")
        name = INSTANCE_CLASSES[row["cls"]]
        # Fields lie beside fields that nobody drew.
        classes = one_class(labels, name, complete=name == "building")
        sample = Sample(read_image(folder / row["image"]), labels[None].astype(np.uint16), classes)
        yield row["dataset"], Path(row["image"]).stem, sample


def dubai(folder: Path, *, held_out: bool = False) -> Iterator[Sample]:
    """Dubai's class masks as connected instances: 8-connected pieces of one class."""
    for path in sorted(folder.glob("tile*/images/*.jpg")):
        if (path.parent.parent.name == DUBAI_HELD_OUT) != held_out:
            continue
        image = read_image(path)
        mask = read_image(path.parent.parent / "masks" / (path.stem + ".png"))
        if mask.shape != image.shape:
            continue
        labels = np.zeros(image.shape[:2], np.int32)
        classes = np.zeros(image.shape[:2], np.uint8)
        for name, colour in DUBAI_COLOURS.items():
            here = np.abs(mask.astype(int) - colour).max(-1) < 8
            classes[here] = DUBAI_CLASSES[name]
            pieces: AnyArray = connected(here, connectivity=1)  # type: ignore[no-untyped-call]
            areas = np.bincount(pieces.ravel())
            keep = (areas >= 60) & (areas < 0.3 * pieces.size)
            keep[0] = False
            chosen = keep[pieces]
            labels[chosen] = pieces[chosen] + labels.max()
        numbers = np.unique(labels, return_inverse=True)[1].reshape(1, *labels.shape)
        yield Sample(image, numbers.astype(np.uint16), classes)


def write_pack(path: Path, samples: Sequence[Sample], quality: int = 92) -> None:
    """Write samples as one file, whole or not at all."""
    arrays: dict[str, AnyArray] = {}
    for number, sample in enumerate(samples):
        bgr = np.ascontiguousarray(sample.image[..., ::-1])
        done, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise ValueError(f"image {number} of {path} cannot be written as JPEG")
        arrays[f"image{number}"] = code
        arrays[f"labels{number}"] = sample.labels
        arrays[f"whole{number}"] = np.array(sample.whole)
        if sample.classes is not None:
            arrays[f"classes{number}"] = sample.classes
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    part.replace(path)


def read_pack(path: Path) -> list[Sample]:
    """All samples of a pack, decoded."""
    samples = []
    with np.load(path) as file:
        for number in range(sum(name.startswith("image") for name in file.files)):
            image = cv2.imdecode(file[f"image{number}"], cv2.IMREAD_COLOR)
            classes = file[f"classes{number}"] if f"classes{number}" in file.files else None
            samples.append(
                Sample(
                    np.ascontiguousarray(image[..., ::-1]),
                    file[f"labels{number}"],
                    classes,
                    bool(file[f"whole{number}"]),
                )
            )
    return samples


# --- augmentation --------------------------------------------------------------------------------


def side_by_side(samples: Sequence[Sample]) -> Sample:
    """Four pictures of one size as one of twice the size.

    Args:
        samples: Four, with as many layers of labels each.
    """

    def joined(planes: Sequence[AnyArray]) -> AnyArray:
        rows = [np.concatenate(planes[k : k + 2], axis=1) for k in (0, 2)]
        return np.concatenate(rows, axis=0)

    numbered, most = [], 0
    for sample in samples:
        labels = sample.labels.astype(np.int32)
        numbered.append(np.where(labels > 0, labels + most, 0).transpose(1, 2, 0))
        most += int(labels.max())
    planes = [s.labels[0] * 0 if s.classes is None else s.classes for s in samples]
    return Sample(
        joined([s.image for s in samples]),
        joined(numbered).transpose(2, 0, 1).astype(np.uint16),
        joined(planes).astype(np.uint8),
        all(s.whole for s in samples),
    )


def crop(sample: Sample, size: int, zoom: float, rng: np.random.Generator) -> Sample:
    """A turned, mirrored crop magnified by ``zoom``; labels and classes are 0 beyond the image.

    Beyond the image the crop is mirrored or grey, as what is beyond a raster may be.
    """
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.6 else rng.integers(4) * np.pi / 2
    aspect = float(np.exp(rng.normal(0, 0.08)))
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror * aspect, 1 / aspect]) / zoom
    height, width = sample.image.shape[:2]
    # The centre stays where the crop is mostly inside the image.
    reach = 0.35 * size / zoom
    centre = [
        rng.uniform(min(reach, side / 2), max(side - reach, side / 2)) for side in (width, height)
    ]
    matrix = np.zeros((2, 3))
    matrix[:, :2] = linear
    matrix[:, 2] = centre - linear @ (size / 2, size / 2)
    # Crop first: blurring the whole mosaic for every crop would cost more than the network.
    corners = (linear @ (np.array([(0, 0), (size, 0), (0, size), (size, size)]).T - size / 2)).T
    low = np.maximum(np.floor(corners.min(0) + centre).astype(int) - 8, 0)
    high = np.minimum(np.ceil(corners.max(0) + centre).astype(int) + 8, (width, height))
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    matrix[:, 2] -= low
    image = sample.image[part]
    planes = [*sample.labels[:, part[0], part[1]]]
    if sample.classes is not None:
        planes.append(sample.classes[part])
    if zoom < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), 0.45 / zoom)
    interpolation = cv2.INTER_LINEAR if zoom < 1.5 or rng.random() < 0.5 else cv2.INTER_CUBIC
    image = cv2.warpAffine(
        image,
        matrix,
        (size, size),
        flags=interpolation | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101 if rng.random() < 0.5 else cv2.BORDER_CONSTANT,
        borderValue=(128, 128, 128),
    )
    moved = [
        cv2.warpAffine(
            np.ascontiguousarray(plane),
            matrix,
            (size, size),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        )
        for plane in planes
    ]
    layers = np.stack(moved[: len(sample.labels)])
    classes = moved[-1] if sample.classes is not None else None
    return Sample(image, layers, classes, sample.whole)


def recolour(image: ByteArray, rng: np.random.Generator) -> ByteArray:
    """Other light, other sensors: gains, gamma, saturation, haze, false colour, blur, noise."""
    x: AnyArray = image.astype(np.float32) / 255
    if rng.random() < 0.12:
        x = x[..., rng.permutation(3)]
    if rng.random() < 0.06:
        x = np.repeat(x.mean(-1, keepdims=True), 3, -1)
    if rng.random() < 0.5:
        grey = x.mean(-1, keepdims=True)
        x = grey + rng.uniform(0.3, 1.7) * (x - grey)
    if rng.random() < 0.25:
        # As a percentile stretch of a 16-bit band does.
        # Each band by itself, as viewers do, or all of them alike.
        axes = (0, 1) if rng.random() < 0.5 else (0, 1, 2)
        limits = [rng.uniform(0, 4), rng.uniform(94, 100)]
        low, high = np.percentile(x, limits, axis=axes, keepdims=True)
        x = (x - low) / np.maximum(high - low, 0.05)
    x = x * rng.uniform(0.7, 1.3) * (1 + rng.normal(0, 0.07, 3)) + rng.normal(0, 0.05)
    # Some sensors' pictures are half black or half white: a dark road is no water.
    x = np.clip(x, 0, 1) ** float(np.exp(rng.normal(0, 0.25 if rng.random() < 0.65 else 0.65)))
    if rng.random() < 0.15:
        haze = rng.uniform(0.1, 0.5) * (1 + 0.5 * smooth_noise(rng, x.shape[:2], 200))[..., None]
        x = x * (1 - haze) + 0.8 * haze
    if rng.random() < 0.2:
        x = cv2.GaussianBlur(x.astype(np.float32), (0, 0), float(rng.uniform(0.4, 1.6)))
    if rng.random() < 0.3:
        x = x + rng.normal(0, rng.uniform(0.005, 0.04), x.shape)
    return np.clip(x * 255, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Part:
    """One source's share in training.

    Args:
        name: Of the source.
        samples: Its images.
        weight: Relative number of crops from it.
        zoom: (smallest, largest) magnification, drawn uniformly in the logarithm.
    """

    name: str
    samples: Sequence[Sample]
    weight: float
    zoom: tuple[float, float]


@dataclass
class Crops:
    """Draws augmented crops and objects in them."""

    parts: Sequence[Part]
    rng: np.random.Generator
    size: int = 256
    smallest: int = 40
    preference: float = 0.25
    """How much more often large objects are asked for: the exponent of their area."""

    def draw(self, objects: int) -> tuple[Sample, BoolArray]:
        """A crop and the masks of some of its objects (repeated where it has fewer).

        Returns:
            The crop, with two layers of labels and a class plane, and (objects, size, size) bool.
        """
        weights = np.array([part.weight for part in self.parts])
        while True:
            part = self.parts[int(self.rng.choice(len(weights), p=weights / weights.sum()))]
            sample = part.samples[int(self.rng.integers(len(part.samples)))]
            zoom = self._zoom(part)
            if min(sample.image.shape[:2]) * zoom < self.size and self.rng.random() < BESIDE:
                sample = self._with_others(sample, part)
            cut = crop(sample, self.size, zoom, self.rng)
            masks = self._choose(cut.labels, objects)
            if masks is not None:
                labels = cut.labels
                both = labels if len(labels) == 2 else np.stack([labels[0], labels[0] * 0])
                classes = cut.classes
                if classes is None:
                    classes = np.zeros(labels.shape[1:], np.uint8)
                return Sample(recolour(cut.image, self.rng), both, classes, cut.whole), masks

    def _zoom(self, part: Part) -> float:
        return float(np.exp(self.rng.uniform(*np.log(part.zoom))))

    def _with_others(self, sample: Sample, part: Part) -> Sample:
        """A picture with three others of the same size around it."""
        shape = sample.labels.shape
        alike = [k for k, other in enumerate(part.samples) if other.labels.shape == shape]
        others = [part.samples[alike[int(self.rng.integers(len(alike)))]] for _ in range(3)]
        order = self.rng.permutation(4)
        return side_by_side([[sample, *others][int(k)] for k in order])

    def _choose(self, labels: Labels, objects: int) -> BoolArray | None:
        layers, ids, weights = [], [], []
        for number, layer in enumerate(labels):
            areas = np.bincount(layer.ravel())
            areas[0] = 0
            good = np.flatnonzero((areas >= self.smallest) & (areas < 0.75 * layer.size))
            layers += [number] * len(good)
            ids += list(good)
            weights += list((0.5 if number else 1.0) * areas[good] ** self.preference)
        if not ids:
            return None
        p = np.array(weights) / np.sum(weights)
        count = min(objects, len(ids))
        chosen = self.rng.choice(len(ids), count, replace=False, p=p)
        chosen = np.resize(chosen, objects)
        return np.stack([labels[layers[i]] == ids[i] for i in chosen])


@dataclass
class LargeObjects(Crops):
    """Crops that are magnified more than others, in which large objects are mostly asked for."""

    preference: float = 0.75

    def _zoom(self, part: Part) -> float:
        least, most = np.log(part.zoom)
        return float(np.exp(self.rng.uniform((least + most) / 2, most)))
