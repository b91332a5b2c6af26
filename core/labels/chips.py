# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster and a layer cut into chips: images of one size with the objects on them.

Pixel coordinates are continuous (column, row) from a chip's outer corner, as COCO has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
import shapely
from affine import Affine

from ..errors import OutputError, ParameterError
from ..job import option
from ..layers.reader import POLYGONS, LayerLike, VectorLayer, read_vector, say_left_out
from ..layers.write_format import why_not_written
from ..prompts.prompts import PromptTransform, crs_on_raster
from ..raster.raster import Raster
from ..sources.gdal import GDAL_ERRORS
from ..types import BoolArray, ByteArray, PixelBox
from .places import Cut, cut_by_place
from .rle import burnt

NO_CLASS = "object"
"""Class of everything where the layer has no class field."""

SMALLEST_PART = 0.05
"""Share of an object below which its piece on a chip is left out, if it has less than 16 pixels."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """An object, or the part of it that lies on a chip.

    Args:
        id: Of the feature in its layer; or what labels of other programs have.
        label: Its class.
        shape: Polygon or multi-polygon, (column, row).
        crowd: It stands for several objects that were not told apart.
        whole: It is not cut by the edge of the chip or of the raster.
        of_layer: The id is the feature's, so that all its parts have it, whatever chip they are on.
            Other programs number the objects of each image, or of each file, from 1.
    """

    id: str
    label: str
    shape: Any
    crowd: bool = False
    whole: bool = True
    of_layer: bool = True


@dataclass(frozen=True, eq=False)
class Chip:
    """One image to be, with its objects.

    Args:
        name: File name without extension.
        split: "train" or "val".
        box: Its pixels on the raster; it may reach beyond.
        transform: (column, row) of the chip to the ground.
        objects: In the layer's order.
    """

    name: str
    split: str
    box: PixelBox
    transform: Affine
    objects: tuple[Labelled, ...]


@dataclass(frozen=True)
class ChipOptions:
    """How a raster is cut.

    Args:
        size: Side of a chip, pixels.
        class_field: Field with the class; None: all are of one class.
        crowd_field: Field that is true for features that stand for several objects.
        val_share: Share of the objects that goes to the split "val"; 0 for none.
        keep_empty: Keep chips without objects: only right where everything is labelled.
        area: Polygons; chips whose middle lies outside are left out.
    """

    size: int = 512
    class_field: str | None = None
    crowd_field: str | None = None
    val_share: float = 0.2
    keep_empty: bool = False
    area: str | Path | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.size, (int, np.integer)) and 32 <= self.size <= 8192):
            raise ParameterError(f"A chip's side is 32 to 8192 whole pixels, not {self.size!r}.")
        if not 0 <= self.val_share < 1:
            raise ParameterError(f"The share of val must be 0 or more, below 1: {self.val_share}.")


def on_raster(layer: VectorLayer, raster: Raster) -> Any:
    """Shapes of a layer as (column, row) of a raster's pixels.

    Raises:
        PromptError: There is no way from the layer's CRS to the raster's.
    """
    layer_crs = crs_on_raster(layer.crs, raster.crs, f"the polygons of {layer.name}")
    place = PromptTransform(raster.transform, raster.crs, layer_crs, raster.shape, whole=True)
    out = np.empty(len(layer), object)
    for number, shape in enumerate(layer.shapes):
        moved = place.geometry(shape)
        if not moved.is_valid:
            moved = shapely.make_valid(moved, method="structure", keep_collapsed=False)
        out[number] = moved
    return out


def polygons_on(raster: Raster, found: VectorLayer) -> tuple[VectorLayer, Any]:
    """Polygons of a layer that lie on a raster, and their shapes in its pixels.

    Raises:
        ParameterError: There are none.
    """
    polygons = np.isin(shapely.get_type_id(found.shapes), list(POLYGONS))
    if not polygons.any():
        raise ParameterError(f"{found.name} has no polygons: labels are polygons.")
    say_left_out(int((~polygons).sum()), found.name, "polygon")
    found = found.rows(polygons)
    shapes = on_raster(found, raster)
    frame = shapely.box(0, 0, raster.width, raster.height)
    inside = shapely.area(shapely.intersection(shapes, frame)) > 0
    if not inside.any():
        raise ParameterError(
            f"None of the {len(found)} polygons of {found.name} lies on {raster.name}: check the "
            "layer's coordinate system."
        )
    return found.rows(inside), shapes[inside]


def cut_chips(
    raster: Raster, source: LayerLike, layer: str | None, options: ChipOptions
) -> Iterator[Chip]:
    """Chips row by row, without overlap.

    Raises:
        ParameterError: The layer has no polygons on the raster, no place can be held back, or the
            field of crowds has other values than numbers and truth values.
    """
    found, shapes = polygons_on(raster, read_vector(source, layer, parameter="layer"))
    labels = [NO_CLASS] * len(found)
    if options.class_field is not None:
        labels = [text or NO_CLASS for text in found.texts(options.class_field)]
    crowds = np.zeros(len(found), bool)
    if options.crowd_field is not None:
        crowds = _crowds(found, options.crowd_field)
    ids = [str(name) for name in found.attributes.index]
    area = None
    if options.area is not None:
        polygons = read_vector(options.area, what="The area of interest")
        area = shapely.union_all(on_raster(polygons, raster))
    ground = shapely.box(0, 0, raster.width, raster.height)
    cut = _cut(shapely.intersection(shapes, ground), options)
    tree = shapely.STRtree(shapes)
    sizes = shapely.area(shapes)
    step = options.size
    for row in range(0, raster.height, step):
        for col in range(0, raster.width, step):
            box = PixelBox(row, col, row + step, col + step)
            # Beyond the raster the image is black.
            frame = shapely.intersection(shapely.box(col, row, col + step, row + step), ground)
            middle = np.array([[col + step / 2, row + step / 2]])
            if area is not None and not shapely.intersects_xy(area, *middle[0]):
                continue
            objects = []
            for number in np.sort(tree.query(frame, predicate="intersects")).tolist():
                piece = _piece(shapes[number], frame, sizes[number], (col, row))
                if piece is not None:
                    shape, whole = piece
                    objects.append(
                        Labelled(ids[number], labels[number], shape, bool(crowds[number]), whole)
                    )
            if objects or options.keep_empty:
                beyond = cut is not None and bool(cut.beyond(middle)[0])
                yield Chip(
                    f"chip_r{row:06d}_c{col:06d}",
                    "val" if beyond else "train",
                    box,
                    raster.transform @ Affine.translation(col, row),
                    tuple(objects),
                )


def _crowds(found: VectorLayer, field: str) -> BoolArray:
    """Which features stand for several objects.

    Raises:
        ParameterError: The field has other values than numbers and truth values.
    """
    try:
        values = found.column(field).to_numpy(object)
        out: BoolArray = np.where(pd.isna(values), 0, values).astype(float) > 0
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"The field {field} of {found.name} says which features stand for several objects by "
            f"true and false or 1 and 0, and has other values ({error}): choose another "
            f"{option('crowd_field')} or change its values."
        ) from error
    return out


def _cut(shapes: Any, options: ChipOptions) -> Cut | None:
    """Between chips, so that no chip has objects of both splits in it.

    Raises:
        ParameterError: All objects are on one chip.
    """
    if options.val_share == 0:
        return None
    middles = shapely.get_coordinates(shapely.centroid(shapes))
    chips = np.floor(middles / options.size) + 0.5
    if (chips == chips[0]).all():
        raise ParameterError(
            f"All objects are on one chip of {options.size} pixels, so that none can be held back "
            f"on another: choose a smaller {option('chip_size')}, or {option('val_share')} 0."
        )
    cut = cut_by_place(chips, options.val_share)
    return replace(cut, at=cut.at * options.size)


def _piece(shape: Any, frame: Any, size: float, corner: tuple[int, int]) -> tuple[Any, bool] | None:
    """What of an object lies on a chip, in the chip's pixels, and whether that is all of it."""
    whole = bool(shapely.contains_properly(frame, shape) or shapely.covers(frame, shape))
    part = shape if whole else shapely.intersection(shape, frame)
    parts = [p for p in shapely.get_parts(part) if p.geom_type == "Polygon" and p.area > 0]
    area = sum(p.area for p in parts)
    if not parts or (not whole and area < SMALLEST_PART * size and area < 16):
        return None
    joined = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return shapely.transform(joined, lambda xy: xy - np.array(corner)), whole


# --- images --------------------------------------------------------------------------------------

DRIVERS = {"tif": "GTiff", "png": "PNG", "jpg": "JPEG"}


def write_image(path: Path, pixels: ByteArray, transform: Affine, crs: Any) -> None:
    """(h, w, 3) uint8 as an image with its georeference: in the file, or beside it (.aux.xml).

    Raises:
        OutputError: It cannot be written.
    """
    driver = DRIVERS[path.suffix.lstrip(".")]
    extra: dict[str, Any] = {}
    if driver == "GTiff":
        extra = {"compress": "deflate", "photometric": "RGB"}
    elif driver == "JPEG":
        extra = {"quality": 95}
    _write(path, pixels.transpose(2, 0, 1), transform, crs, driver, extra)


def write_masks(path: Path, layers: Any, names: tuple[str, ...], chip: Chip, crs: Any) -> None:
    """(b, h, w) uint16 or uint32 as a GeoTIFF with named bands.

    Raises:
        OutputError: It cannot be written.
    """
    _write(path, layers, chip.transform, crs, "GTiff", {"compress": "deflate", "nodata": 0}, names)


def _write(
    path: Path,
    bands: Any,
    transform: Affine,
    crs: Any,
    driver: str,
    extra: dict[str, Any],
    names: tuple[str, ...] = (),
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with rasterio.open(
            path,
            "w",
            driver=driver,
            width=bands.shape[2],
            height=bands.shape[1],
            count=bands.shape[0],
            dtype=bands.dtype,
            transform=transform,
            crs=crs,
            **extra,
        ) as file:
            file.write(bands)
            for number, name in enumerate(names, 1):
                file.set_band_description(number, name)
    except (*GDAL_ERRORS, OSError) as error:
        raise OutputError(f"{path} cannot be written: {why_not_written(error, path)}.") from error


def instance_masks(chip: Chip, classes: dict[str, int]) -> tuple[Any, BoolArray]:
    """Numbers 1..n of a chip's objects and numbers of their classes, (2, h, w) uint16.

    uint32 where a number is larger than 65,535.

    Large objects first, so that a small one within a large one is seen. One without a pixel's
    centre takes what it touches of the pixels that no other has.

    Returns:
        The masks, and which objects are visible in them.
    """
    size = chip.box.shape
    largest = max(len(chip.objects), *classes.values(), 0)
    dtype = np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32
    out = np.zeros((2, *size), dtype)
    order = sorted(range(len(chip.objects)), key=lambda k: (-chip.objects[k].shape.area, k))
    shapes = [(chip.objects[k].shape, k + 1) for k in order]
    if shapes:
        out[0] = rasterio.features.rasterize(shapes, out_shape=size, dtype=dtype)
        found = np.isin([number for _, number in shapes], out[0])
        for (shape, number), there in zip(shapes, found, strict=True):
            if not there:
                out[0][burnt(shape, size) & (out[0] == 0)] = number
        numbers = np.array([0, *(classes[o.label] for o in chip.objects)], dtype)
        out[1] = numbers[out[0]]
    seen = np.isin(np.arange(1, len(chip.objects) + 1), out[0])
    return out, seen
