# SPDX-License-Identifier: GPL-2.0-or-later
"""Label formats: what each writes for a set of chips, and how each is read.

* COCO: one JSON a split; polygons, run-length codes for objects with holes and for crowds (Lin et
  al. 2014).
* SA-1B: one JSON beside each image (Kirillov et al. 2023).
* YOLO-seg: one text per chip, one line per object: a class number and a ring in
  shares of the sides.
* masks: one GeoTIFF per chip, two bands of uint16: numbers of objects, numbers of classes; of
  uint32 where a chip has more than 65,535 objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
import shapely
from rasterio.errors import RasterioIOError
from scipy.ndimage import find_objects

from ..errors import ParameterError
from ..job import option
from ..notes import warn
from .chips import NO_CLASS, Chip, Labelled, instance_masks, write_masks
from .rle import burnt, from_runs, from_text, outlined, to_runs, to_text

LabelFormat = Literal["coco", "sa1b", "yolo", "masks"]
FORMATS: tuple[LabelFormat, ...] = ("coco", "sa1b", "yolo", "masks")

DECIMALS = 3
"""Of pixel coordinates."""


@dataclass(frozen=True, eq=False)
class ReadImage:
    """Objects of one image that was read.

    Args:
        file: The image's file name, as the labels give it; or the label file's own.
        where: Where the format has the image, without suffix: one path or several. A path without
            folders stands for any folder.
        size: (height, width), pixels; (0, 0) where the labels do not say it.
        objects: In the file's order.
        split: Name of the split, or "".
    """

    file: str
    where: tuple[Path, ...]
    size: tuple[int, int]
    objects: tuple[Labelled, ...]
    split: str = ""


def written(chip: Chip, form: LabelFormat) -> list[Labelled]:
    """The objects of a chip that a format takes: YOLO-seg has no crowds."""
    return [item for item in chip.objects if form != "yolo" or not item.crowd]


def parts(shape: Any) -> list[Any]:
    """All polygons of a shape."""
    return [p for p in shapely.get_parts(shape) if p.geom_type == "Polygon" and not p.is_empty]


def _no_suffix(path: Path) -> Path:
    return path.parent / path.stem


# --- COCO and SA-1B ------------------------------------------------------------------------------


def _ring(ring: Any) -> list[float]:
    xy = shapely.get_coordinates(ring)[:-1]
    return [round(float(v), DECIMALS) for v in xy.ravel()]


def _segmentation(item: Labelled, size: tuple[int, int], *, as_runs: bool) -> Any:
    holes = any(len(p.interiors) for p in parts(item.shape))
    if item.crowd:  # COCO's own crowds are not compressed
        return {"size": list(size), "counts": to_runs(burnt(item.shape, size))}
    if holes or as_runs:
        return {"size": list(size), "counts": to_text(to_runs(burnt(item.shape, size)))}
    return [_ring(p.exterior) for p in parts(item.shape)]


def _bbox(shape: Any) -> list[float]:
    x0, y0, x1, y1 = shape.bounds
    return [round(float(v), DECIMALS) for v in (x0, y0, x1 - x0, y1 - y0)]


def coco(chips: Sequence[Chip], classes: Sequence[str], files: Mapping[str, str],
         places: Mapping[str, Any], *, as_runs: bool) -> dict[str, Any]:  # fmt: skip
    """The JSON of one split.

    Args:
        chips: Of the split.
        classes: Names; numbers begin with 1.
        files: Image file of each chip.
        places: What is said of where each chip lies.
        as_runs: Run-length codes for all objects.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, chip in enumerate(chips, 1):
        height, width = chip.box.shape
        images.append(
            {"id": number, "file_name": files[chip.name], "width": width, "height": height,
             "georeference": places[chip.name]}
        )  # fmt: skip
        for item in chip.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": classes.index(item.label) + 1,
                    "segmentation": _segmentation(item, (height, width), as_runs=as_runs),
                    "area": round(float(item.shape.area), DECIMALS),
                    "bbox": _bbox(item.shape),
                    "iscrowd": int(item.crowd),
                    "source_id": item.id,
                }
            )
    return {
        "info": {"description": "exported by SamGeo Seamless"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": k, "name": name, "supercategory": ""} for k, name in enumerate(classes, 1)
        ],
    }


def sa1b(chip: Chip, number: int, file: str, place: Any) -> dict[str, Any]:
    """The JSON of one image; a label is no prediction, so its predicted IoU and stability are 1."""
    height, width = chip.box.shape
    annotations = []
    for k, item in enumerate(chip.objects, 1):
        inner = item.shape.representative_point()
        annotations.append(
            {
                "id": number * 100_000 + k,
                "segmentation": {
                    "size": [height, width],
                    "counts": to_text(to_runs(burnt(item.shape, (height, width)))),
                },
                "bbox": _bbox(item.shape),
                "area": round(float(item.shape.area)),
                "predicted_iou": 1.0,
                "stability_score": 1.0,
                "crop_box": [0, 0, width, height],
                "point_coords": [[round(inner.x, DECIMALS), round(inner.y, DECIMALS)]],
                "class": item.label,
                "iscrowd": int(item.crowd),
                "source_id": item.id,
            }
        )
    return {
        "image": {"image_id": number, "width": width, "height": height, "file_name": file,
                  "georeference": place},
        "annotations": annotations,
    }  # fmt: skip


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path} cannot be read as JSON: {error}") from error


def _shape_of(segmentation: Any, size: tuple[int, int], where: str) -> Any:
    """A polygon of an annotation.

    Raises:
        ParameterError: It is neither rings nor a run-length code.
    """
    try:
        if isinstance(segmentation, Mapping):
            counts, shape = segmentation["counts"], tuple(segmentation["size"])
            runs = from_text(counts) if isinstance(counts, str) else counts
            return outlined(from_runs(runs, (int(shape[0]), int(shape[1]))))
        rings = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in segmentation]
        shapes = [shapely.Polygon(ring) for ring in rings if len(ring) >= 3]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ParameterError(
            f"{where} has a segmentation that is neither polygons nor a run-length code ({error})."
        ) from error
    valid = [shapely.make_valid(s, method="structure", keep_collapsed=False) for s in shapes]
    return shapely.union_all(valid)


def _box(item: Mapping[str, Any], where: str) -> Any:
    """The rectangle of an annotation.

    Raises:
        ParameterError: It is none.
    """
    try:
        x, y, width, height = map(float, item["bbox"])
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"{where} has a bbox that is not x, y, width and height ({error})."
        ) from error
    return shapely.box(x, y, x + width, y + height)


def _id(item: Mapping[str, Any]) -> tuple[str, bool]:
    """The id of an annotation, and whether it is that of a feature that our export noted."""
    source = item.get("source_id")
    return (str(item.get("id", "")), False) if source in (None, "") else (str(source), True)


def read_coco(path: Path) -> Iterator[ReadImage]:
    """Images of a COCO file; warns of annotations of which only the bbox is known.

    Raises:
        ParameterError: It is none.
    """
    data = _read_json(path)
    try:
        names = {c["id"]: str(c["name"]) for c in data.get("categories", [])}
        images = {i["id"]: i for i in data["images"]}
        objects: dict[Any, list[Labelled]] = {number: [] for number in images}
        boxes = 0
        for item in data["annotations"]:
            image = images[item["image_id"]]
            size = int(image["height"]), int(image["width"])
            label = names.get(item.get("category_id"), NO_CLASS)
            where = f"Annotation {item.get('id')} of {path}"
            if not item.get("segmentation") and item.get("bbox"):
                boxes += 1
                shape = _box(item, where)
            else:
                shape = _shape_of(item["segmentation"], size, where)
            name, ours = _id(item)
            objects[item["image_id"]].append(
                Labelled(name, label, shape, bool(item.get("iscrowd")), of_layer=ours)
            )
        if boxes:
            warn(
                f"{boxes} annotation{'s' if boxes > 1 else ''} of {path} "
                f"{'have' if boxes > 1 else 'has'} no segmentation: "
                f"{'their boxes are' if boxes > 1 else 'its box is'} taken as outline."
            )
        for number, image in images.items():
            size = int(image["height"]), int(image["width"])
            file = str(image["file_name"])
            stem = _no_suffix(Path(file))
            # Images of a split lie beside its JSON, or in a folder of the JSON's name.
            paths = stem, path.parent / stem, path.with_suffix("") / stem
            split = path.stem.removeprefix("annotations_")
            yield ReadImage(file, paths, size, tuple(objects[number]), split)
    except (KeyError, TypeError) as error:
        raise ParameterError(
            f"{path} is no COCO file: images, annotations and what they need are missing ({error})."
        ) from error


def read_sa1b(path: Path) -> Iterator[ReadImage]:
    """The one image of an SA-1B file.

    Raises:
        ParameterError: It is none.
    """
    data = _read_json(path)
    try:
        image = data["image"]
        size = int(image["height"]), int(image["width"])
        objects = []
        for item in data["annotations"]:
            name, ours = _id(item)
            label = str(item.get("class", NO_CLASS))
            where = f"Annotation {item.get('id')} of {path}"
            shape = _shape_of(item["segmentation"], size, where)
            crowd = bool(item.get("iscrowd"))
            objects.append(Labelled(name, label, shape, crowd, of_layer=ours))
        file = str(image["file_name"])
        paths = (path.parent / _no_suffix(Path(file)),)
        yield ReadImage(file, paths, size, tuple(objects), path.parent.name)
    except (KeyError, TypeError) as error:
        raise ParameterError(
            f"{path} is no SA-1B file: its image or annotations are incomplete ({error})."
        ) from error


# --- YOLO ----------------------------------------------------------------------------------------


def keyhole(shape: Any) -> Any:
    """One ring, (n, 2), around all of a shape: holes and parts are reached by lines without width.

    The format has one ring an object; filled, this one gives the same pixels. Holes run against
    their outline, as some programs fill by the direction.
    """
    polygons = parts(shapely.normalize(shape))
    outlines = [shapely.get_coordinates(p.exterior) for p in polygons]
    holes = [shapely.get_coordinates(r) for p in polygons for r in p.interiors]
    ring = outlines[0]
    for other in [*holes, *outlines[1:]]:
        away = np.linalg.norm(ring[:, None] - other[None], axis=2)
        here, there = np.unravel_index(int(away.argmin()), away.shape)
        turned = np.roll(other[:-1], -int(there), axis=0)
        ring = np.concatenate([ring[: here + 1], turned, turned[:1], ring[here:]])
    return ring[:-1]


def _filled(ring: Any) -> Any:
    """The ground that a ring encloses an odd number of times, whatever way its holes run.

    YOLO's own programs fill it so (``fillPoly`` of OpenCV).
    """
    pieces = shapely.get_parts(shapely.make_valid(shapely.Polygon(ring), method="linework"))
    return shapely.union_all(pieces[shapely.get_dimensions(pieces) == 2])  # lines without width go


def yolo(chip: Chip, classes: Sequence[str]) -> str:
    """The text of one chip, one line for each of its :func:`written` objects."""
    height, width = chip.box.shape
    lines = []
    for item in written(chip, "yolo"):
        ring = np.clip(keyhole(item.shape) / (width, height), 0, 1)
        numbers = " ".join(f"{v:.6f}" for v in ring.ravel())
        lines.append(f"{classes.index(item.label)} {numbers}")
    return "".join(f"{line}\n" for line in lines)


def read_yolo(path: Path, classes: Sequence[str], ids: Sequence[str]) -> ReadImage:
    """Objects of one text, in shares of the image's sides: sizes are not in it.

    Raises:
        ParameterError: The file is no text, or a line is no polygon.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} cannot be read as text of YOLO-seg: {error}") from error
    objects: list[Labelled] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, *rest = line.split()
            ring = np.array(rest, np.float64).reshape(-1, 2)
            if len(ring) < 3:
                raise ValueError("fewer than three points")
            if not np.isfinite(ring).all():
                raise ValueError("a coordinate that is no number")
            if int(kind) < 0:
                raise ValueError(f"the class {kind}")
            label = classes[int(kind)] if int(kind) < len(classes) else kind
        except ValueError as error:
            raise ParameterError(
                f"Line {number} of {path} is no polygon of YOLO-seg ({error}): a line is a class "
                "number and x y pairs."
            ) from error
        ours = len(objects) < len(ids)
        name = ids[len(objects)] if ours else ""
        objects.append(Labelled(name, label, _filled(ring), of_layer=ours))
    beside = path.with_suffix("")
    where = _image_of_text(beside), beside
    return ReadImage(path.stem, where, (0, 0), tuple(objects), path.parent.name)


def _image_of_text(path: Path) -> Path:
    """Where YOLO's programs look for a text's image: in ``images`` instead of ``labels``."""
    folders = list(path.parts[:-1])
    if "labels" in folders:
        last = len(folders) - 1 - folders[::-1].index("labels")
        folders[last] = "images"
    return Path(*folders, path.name)


# --- masks ---------------------------------------------------------------------------------------


def mask_file(path: Path, chip: Chip, classes: Sequence[str], crs: Any) -> int:
    """Write the two bands of a chip; how many of its objects others hide."""
    numbers = {name: k for k, name in enumerate(classes, 1)}
    layers, visible = instance_masks(chip, numbers)
    write_masks(path, layers, ("object", "class"), chip, crs)
    return int((~visible).sum())


def read_mask(
    path: Path, classes: Sequence[str], ids: Sequence[str], crowds: Sequence[str]
) -> ReadImage:
    """Objects of a mask: each number above 0 of the first band is one, no data is none.

    The class of an object is the most frequent number of the second band in it.

    Args:
        path: Of the mask.
        classes: Names of the numbers from 1.
        ids: Of the objects, in the order of their numbers.
        crowds: Those of the ids that stand for several objects.

    Raises:
        ParameterError: It cannot be read, is a picture, or has no whole numbers.
    """
    try:
        with rasterio.open(path) as file:
            if file.count > 2:
                raise ParameterError(
                    f"{path} has {file.count} bands: it is a picture, not a mask, which has one "
                    "band, or two (objects and their classes). Name the folder of the labels, and "
                    f"that of the pictures with {option('images')}."
                )
            bands = file.read()
            valid = file.read_masks() > 0
    except RasterioIOError as error:
        raise ParameterError(f"{path} cannot be read as a raster: {error}") from error
    if not np.issubdtype(bands.dtype, np.integer):
        raise ParameterError(
            f"{path} holds {bands.dtype} values: a mask has whole numbers, 0 for no object."
        )
    valid &= bands >= 0
    objects = []
    size = bands.shape[1:]
    there = valid[0] & (bands[0] > 0)
    values = np.unique(bands[0][there])
    ranks = np.zeros(size, np.int32)  # find_objects needs numbers without gaps
    ranks[there] = np.searchsorted(values, bands[0][there]) + 1
    for rank, (value, (rows, cols)) in enumerate(
        zip(values.tolist(), find_objects(ranks), strict=True), 1
    ):
        corner = max(0, rows.start - 1), max(0, cols.start - 1)
        window = slice(corner[0], rows.stop + 1), slice(corner[1], cols.stop + 1)
        mask = ranks[window] == rank
        shape = outlined(mask, corner, size)
        label = NO_CLASS
        if len(bands) > 1:
            inside = mask & valid[1][window]
            kinds, counts = np.unique(bands[1][window][inside], return_counts=True)
            if len(kinds):
                kind = int(kinds[counts.argmax()])
                label = classes[kind - 1] if 0 < kind <= len(classes) else str(kind)
        ours = value <= len(ids)
        name = ids[value - 1] if ours else str(value)
        objects.append(Labelled(name, label, shape, ours and name in crowds, of_layer=ours))
    name = path.with_suffix("")
    where = name, Path(name.name)  # several masks of an image may lie in folders of their own
    return ReadImage(path.name, where, size, tuple(objects), path.parent.name)
