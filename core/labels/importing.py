# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo import-labels``: labels in pixels of images as one vector layer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from pyproj import CRS
from rasterio.errors import RasterioIOError
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..earth.crs import known_crs
from ..earth.reproject import Reprojection
from ..errors import ParameterError
from ..job import ImportLabelsParameters, option
from ..layers.inputs import Input, check_not_input
from ..layers.provenance import provenance
from ..layers.record import ShortRun, newest, stamps
from ..layers.writer import LayerWriter, check_output
from ..notes import warn
from ..vectors.schema import Field
from .chips import Labelled
from .data_yaml import class_names
from .exporting import INDEX
from .formats import ReadImage, read_coco, read_mask, read_sa1b, read_yolo

FIELDS = (
    Field("source_id", "text"),
    Field("class", "text"),
    Field("crowd", "boolean"),
    Field("split", "text"),
    Field("image", "text"),
)

MASKS = (".tif", ".tiff")

IMAGES = (*MASKS, ".png", ".jpg", ".jpeg", ".vrt")


@dataclass(frozen=True, eq=False)
class _Place:
    """Where an image lies: (column, row) to the ground, its CRS, and its (height, width)."""

    transform: Affine
    crs: CRS | None
    size: tuple[int, int]


@dataclass(frozen=True)
class Imported:
    """What was written: a layer with some objects, from some images, of some classes."""

    output: str
    objects: int
    images: int
    classes: list[str]


def import_labels(
    source: str | Path,
    output: str | Path,
    *,
    images: str | Path | None = None,
    names: list[str] | None = None,
    overwrite: bool = False,
) -> Imported:
    """Read labels and write them as a layer on the ground.

    Args:
        source: A COCO or SA-1B JSON, a folder of an export, of SA-1B, of YOLO-seg or of masks.
        output: Layer to write; its CRS is that of the images.
        images: Folder of the georeferenced images, where it is not beside the labels.
        names: Classes of YOLO-seg or of masks, where no ``data.yaml`` or ``chips.json`` has them.
        overwrite: Replace an existing output.

    Raises:
        ParameterError: The labels cannot be read, or nothing says where an image lies.
        OutputError: The layer cannot be written.
    """
    if not str(source).strip():  # a shell's variable that is not set; a path would be the folder
        raise ParameterError("There are no labels '': name a file or a folder.")
    path = Path(source)
    read = _label_files(path, Path(output))
    run = ShortRun(output, None, "labels", (stamps(*read), str(images), names))
    check_output(output, overwrite=overwrite or run.owns_output)
    if not path.exists():
        raise ParameterError(f"There are no labels {path}: check the path.")
    check_not_input(output, None, [Input("the labels", (str(path),))])
    finder = _Finder(path, None if images is None else Path(images))
    crs: CRS | None = None
    rows: list[tuple[Labelled, Any, ReadImage]] = []
    count = empty = 0
    for image in _read(path, read, finder, names):
        place = finder.place(image)
        if count == 0:
            crs = place.crs
        count += 1
        for item in image.objects:
            shape = item.shape
            if image.size == (0, 0):  # shares of the sides
                shape = shapely.transform(
                    shape, lambda xy, s=place.size: xy * np.array([s[1], s[0]])
                )
            ground = _to_ground(shape, place.transform)
            if place.crs != crs:
                ground = Reprojection(place.crs, crs)(np.array([ground]), str(output))[0]
            parts = [
                p for p in shapely.get_parts(ground) if p.geom_type == "Polygon" and p.area > 0
            ]
            if parts:
                polygon = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
                rows.append((item, polygon, image))
            else:
                empty += 1
    if not rows:
        without = f", only {empty} without an area" if empty else ""
        raise ParameterError(f"{path} holds no objects{without}: there is nothing to import.")
    if empty:
        warn(
            f"{empty} object{'s' if empty > 1 else ''} of {path} {'are' if empty > 1 else 'is'} "
            "left out: no outline with an area."
        )
    rows = _joined(rows)
    frame = gpd.GeoDataFrame(
        {
            "source_id": [item.id for item, _, _ in rows],
            "class": [item.label for item, _, _ in rows],
            "crowd": [item.crowd for item, _, _ in rows],
            "split": [image.split for _, _, image in rows],
            "image": [image.file for _, _, image in rows],
        },
        geometry=gpd.GeoSeries([ground for _, ground, _ in rows]),
    )
    with run.begun():
        writer = LayerWriter(
            output,
            crs,
            overwrite=overwrite or run.owns_output,
            schema=FIELDS,
            modified=newest(*read),
            provenance=provenance(
                ImportLabelsParameters, {"images": images, "names": names}, layers=[(source, None)]
            ),
        )
        run.before_output(writer)
        with writer:
            writer.write(frame)
    classes = sorted({item.label for item, _, _ in rows})
    return Imported(str(output), len(rows), count, classes)


def import_as_asked(params: ImportLabelsParameters) -> Imported:
    """The same with the parameters of the command and of QGIS; see :func:`import_labels`."""
    names = None
    if params.names is not None:
        names = [name.strip() for name in params.names.split(",")]
    return import_labels(
        params.source, params.output, images=params.images, names=names, overwrite=params.overwrite
    )


def _to_ground(shape: Any, transform: Affine) -> Any:
    t = transform
    return shapely.transform(
        shape,
        lambda xy: np.column_stack(
            [t.a * xy[:, 0] + t.b * xy[:, 1] + t.c, t.d * xy[:, 0] + t.e * xy[:, 1] + t.f]
        ),
    )


def _joined(rows: list[tuple[Labelled, Any, ReadImage]]) -> list[tuple[Labelled, Any, ReadImage]]:
    """Parts of one object that chips had cut as one again.

    Parts belong together where our export named them so: one id of a layer, one class, touching.
    """
    groups: dict[tuple[str, str, bool], list[int]] = {}
    for number, (item, _, _) in enumerate(rows):
        if item.of_layer:
            groups.setdefault((item.id, item.label, item.crowd), []).append(number)
    out = dict(enumerate(rows))
    for numbers in groups.values():
        for first, *others in _touching([out[number] for number in numbers]):
            members = [out[numbers[k]] for k in (first, *others)]
            shapes = np.array([shape for _, shape, _ in members])
            side = float(np.sqrt(shapely.area(shapes).max()))
            # A hair's breadth, so that edges that were rounded apart close.
            whole = shapely.union_all(shapes, grid_size=1e-6 * side)
            out[numbers[first]] = members[0][0], whole, members[0][2]
            for k in others:
                del out[numbers[k]]
    return list(out.values())


def _touching(parts: Sequence[tuple[Labelled, Any, ReadImage]]) -> list[list[int]]:
    """Numbers of parts that hang together over edges of images, two or more each."""
    if len(parts) < 2:
        return []
    shapes = np.array([shape for _, shape, _ in parts])
    away = 1e-3 * np.sqrt(shapely.area(shapes))
    one, other = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=away)
    files = np.array([image.file for _, _, image in parts])
    apart = files[one] != files[other]
    one, other = one[apart], other[apart]
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(len(parts), len(parts)))
    _, member = connected_components(graph, directed=False)
    order = np.argsort(member, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(member[order])) + 1)
    return [group.tolist() for group in groups if len(group) > 1]


# --- finding things ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _NotedChip:
    """What our export noted of a chip: its place, the ids of its objects, those that are crowds."""

    place: _Place
    ids: list[str]
    crowds: list[str]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> _NotedChip:
        """From JSON; KeyError, TypeError, ValueError or ParameterError where it is none."""
        place = _Place(
            Affine(*map(float, values["transform"])),
            known_crs(values["crs"]),
            (int(values["height"]), int(values["width"])),
        )
        return cls(place, *([str(i) for i in values.get(name, [])] for name in ("ids", "crowds")))


@dataclass(frozen=True, eq=False)
class _Index:
    """What our export noted: its format, names of classes, chips by their images."""

    form: str | None = None
    classes: list[str] = field(default_factory=list)
    chips: dict[str, _NotedChip] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> _Index:
        """Read it from its file.

        Raises:
            ParameterError: The file cannot be read, or is no index of an export.
        """
        try:
            facts = json.loads(path.read_text("utf-8"))
            if not isinstance(facts, dict):
                raise TypeError(f"it holds a {type(facts).__name__}, not an object")
            chips = {str(chip["image"]): _NotedChip.of(chip) for chip in facts.get("chips", [])}
            classes = [str(name) for name in facts.get("classes", [])]
            return cls(facts.get("format"), classes, chips)
        except OSError as error:
            raise ParameterError(f"{path} cannot be read: {error.strerror or error}.") from error
        except KeyError as error:
            why = f"a chip lacks {error.args[0]}"
        except (TypeError, ValueError, ParameterError) as error:
            why = str(error).rstrip(".")
        raise ParameterError(
            f"{path} is damaged ({why}): export the labels again, or remove it where it is not of "
            "an export."
        )


class _Finder:
    """Where images lie, by what our export noted or by the images themselves."""

    def __init__(self, source: Path, images: Path | None) -> None:
        self.folder = source if source.is_dir() else source.parent
        self.images = images
        self.root = self.folder
        index = _Index()
        for folder in (self.folder, *list(self.folder.parents)[:2]):
            if (folder / INDEX).exists():
                self.root = folder
                index = _Index.read(folder / INDEX)
                break
        self.form, self.classes = index.form, index.classes
        self.chips = {self.root / image: chip for image, chip in index.chips.items()}
        self.known = _by_stem(self.chips)
        self.files: dict[str, list[Path]] | None = None
        self.taken: dict[Path, ReadImage] = {}

    def ids(self, labels: Path, noted: str = "ids") -> list[str]:
        """Ids of the objects of a label file, or of its ``crowds``, where our export noted them."""
        chip = _nearest(labels.name, (labels.with_suffix(""),), self.known.get(labels.stem, []))
        if chip is None:
            return []
        return self.chips[chip].crowds if noted == "crowds" else self.chips[chip].ids

    def place(self, image: ReadImage) -> _Place:
        """Where an image lies.

        Raises:
            ParameterError: Nothing says so, or it may be one of several.
        """
        known = _nearest(image.file, image.where, self.known.get(image.where[0].name, []))
        if known is not None:
            return self.chips[known].place
        file = self._file(image)
        if file is None:
            raise ParameterError(
                f"The image {image.file} of the labels is not in {self.images or self.folder}: "
                f"name the folder of the georeferenced images ({option('images')})."
            )
        try:
            with rasterio.open(file) as opened:
                transform, crs, size = opened.transform, opened.crs, opened.shape
        except RasterioIOError as error:
            raise ParameterError(f"The image {file} cannot be read: {error}") from error
        if transform == Affine.identity():
            raise ParameterError(
                f"The image {file} has no georeference, so that its labels lie nowhere on the "
                "ground: give GeoTIFFs, or images with world files."
            )
        return _Place(transform, known_crs(crs), size)

    def _file(self, image: ReadImage) -> Path | None:
        if self.files is None:
            folder = self.images or self.folder
            if not folder.is_dir():
                raise ParameterError(f"There is no folder of images {folder}.")
            if self.images is None and folder.name in ("train", "val", "test"):
                folder = folder.parent.parent  # YOLO's labels/train beside images/train
            found = (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in IMAGES)
            self.files = _by_stem(
                p for p in found if "masks" not in p.relative_to(folder).parts[:-1]
            )
        file = _nearest(image.file, image.where, self.files.get(image.where[0].name, []))
        if file is None:
            return None
        other = self.taken.setdefault(file, image)
        if not any(_may_be_one(a, b) for a in image.where for b in other.where):
            raise ParameterError(
                f"{file} is the only image for {other.where[0]} and {image.where[0]} of the "
                f"labels, which are two: name the folder that has both ({option('images')}), or "
                "import the labels of each by themselves."
            )
        return file


def _by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    out: dict[str, list[Path]] = {}
    for path in paths:
        out.setdefault(path.stem, []).append(path)
    return out


def _alike(one: Path, other: Path) -> int:
    """How many parts two paths share, from the end."""
    pairs = zip(reversed(one.parts), reversed(other.parts), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _may_be_one(one: Path, other: Path) -> bool:
    return _alike(one, other) == min(len(one.parts), len(other.parts))


def _nearest(file: str, where: Sequence[Path], found: Sequence[Path]) -> Path | None:
    """Of images of one name the one whose folders are most like those that the labels say.

    Args:
        file: The image's name in the labels.
        where: Its paths as of :class:`ReadImage`.
        found: Images that have its name, whatever their suffix.

    Raises:
        ParameterError: Several are equally like.
    """
    alike = [max(_alike(path, image.with_suffix("")) for path in where) for image in found]
    most = max(alike, default=0)
    best = [image for image, n in zip(found, alike, strict=True) if n == most]
    best = [image for image in best if image.name == Path(file).name] or best
    if len({image.with_suffix("") for image in best}) > 1:
        raise ParameterError(
            f"The image {file} of the labels may be {best[0]} or {best[1]}: import the labels of "
            f"each folder by themselves, with the folder of their images ({option('images')})."
        )
    return best[0] if best else None


def _label_files(path: Path, output: Path) -> list[Path]:
    """What labels may be read from, but for what an import writes beside them."""
    if not path.is_dir():
        return [path]
    known = (".json", ".txt", ".yaml", *MASKS)
    found = (p for p in sorted(path.rglob("*")) if p.suffix.lower() in known and p != output)
    return [p for p in found if not any(n.startswith(".") for n in p.relative_to(path).parts)]


def _read(
    path: Path, files: list[Path], finder: _Finder, names: list[str] | None
) -> Iterator[ReadImage]:
    """All images of a source, whatever its format; ``files`` are all that it may consist of."""
    if path.is_file():
        yield from _read_json(path)
        return
    form = finder.form
    classes = names or finder.classes
    jsons = [p for p in files if p.suffix.lower() == ".json" and p.name != INDEX]
    no_labels = ("classes.txt", "README.txt")
    texts = [p for p in files if p.suffix.lower() == ".txt" and p.name not in no_labels]
    if form == "masks" or (not jsons and not texts):
        # Masks of others: the folder itself holds them.
        rasters = [p for p in files if p.suffix.lower() in MASKS]
        if form is not None:  # of an export: its images are no masks, whatever its folder is called
            rasters = [p for p in rasters if p.relative_to(finder.root).parts[0] == "masks"]
        if not rasters:
            raise ParameterError(f"{path} holds no labels: no JSON, no texts of YOLO, no masks.")
        for file in rasters:
            yield read_mask(file, classes, finder.ids(file), finder.ids(file, "crowds"))
    elif jsons:
        for file in jsons:
            yield from _read_json(file)
    else:
        known = classes or _yolo_names(path)
        for file in texts:
            yield read_yolo(file, known, finder.ids(file))


def _read_json(path: Path) -> Iterator[ReadImage]:
    try:
        with path.open("rb") as file:
            start = file.read(1 << 20).decode("utf-8", "replace")
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror}.") from error
    single = '"image":' in start and '"images":' not in start
    yield from read_sa1b(path) if single else read_coco(path)


def _yolo_names(folder: Path) -> list[str]:
    for path in (folder / "data.yaml", folder.parent / "data.yaml", folder / "dataset.yaml"):
        if path.exists():
            return class_names(path)
    return []
