# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo export-labels``: a raster and a layer as training data for other programs."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import OutputError, ParameterError
from ..in_memory import ArrayRaster, raster_paths
from ..job import ExportLabelsParameters, Progress
from ..layers.reader import LayerLike
from ..layers.record import ShortRun, seen, stamps
from ..notes import warn
from ..parallel.atomic_write import names_in
from ..parameters import plain
from ..raster.raster import Raster, RasterOptions, open_raster
from .chips import DRIVERS, Chip, ChipOptions, cut_chips, write_image
from .formats import FORMATS, LabelFormat, coco, mask_file, sa1b, written, yolo

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

INDEX = "chips.json"
"""File that says where each chip lies; import needs it where images carry no georeference."""

VERSION = 1


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: All of it.
        chips, objects: Numbers by split, of what the labels hold. An object on two chips counts
            twice.
        classes: Names, in the order of their numbers.
    """

    folder: str
    chips: dict[str, int]
    objects: dict[str, int]
    classes: list[str]


def export_labels(
    raster: str | Path | DatasetReader | ArrayRaster | Sequence[str | Path | DatasetReader],
    labels: LayerLike,
    folder: str | Path,
    *,
    form: LabelFormat = "coco",
    layer: str | None = None,
    options: ChipOptions | None = None,
    image_format: str = "tif",
    as_runs: bool = False,
    allow_remote: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Write chips and labels into a new folder, whole or not at all.

    Args:
        raster: As for :func:`~samgeo_core.segment`.
        labels: Layer of polygons in any CRS.
        folder: Must not exist, or be empty.
        form: "coco", "sa1b", "yolo" or "masks".
        layer: Within ``labels``.
        options: How the raster is cut.
        image_format: "tif", "png" or "jpg"; the georeference of the latter two lies beside them.
        as_runs: COCO: run-length codes for all objects, not only for those with holes.
        allow_remote: As of :class:`~samgeo_core.RasterOptions`.
        progress: Called with the number of chips written.

    Raises:
        ParameterError: The layer has no polygons on the raster, an option is unknown, or no place
            can be held back for validation.
        OutputError: The folder is not empty or cannot be written.
    """
    if form not in FORMATS:
        raise ParameterError(f"Labels as {form!r} are unknown: use {', '.join(FORMATS)}.")
    if image_format not in DRIVERS:
        raise ParameterError(f"Images as {image_format!r} are unknown: use {', '.join(DRIVERS)}.")
    target = Path(folder)
    options = ChipOptions(
        **{name: plain(value) for name, value in vars(options or ChipOptions()).items()}
    )
    asked = (form, layer, options, image_format, as_runs)
    with (
        tempfile.TemporaryDirectory(prefix="samgeo-", ignore_cleanup_errors=True) as memory,
        open_raster(
            names := raster_paths(raster, Path(memory)), RasterOptions(allow_remote=allow_remote)
        ) as opened,
    ):
        run = ShortRun(target, None, "labels", (seen(labels, options.area), stamps(*names), asked))
        free = not target.exists() or (target.is_dir() and not names_in(target))
        if not free and not run.owns_output:
            raise OutputError(f"{target} exists and is not empty: choose a new folder.")
        chips = list(cut_chips(opened, labels, layer, options))
        classes = sorted({item.label for chip in chips for item in chip.objects})
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{target.parent} cannot be made: {error.strerror}.") from error
        with run.begun():
            part = run.folder.folder / ".chips.part"
            try:
                part.mkdir()
                left_out = _write(
                    part, opened, chips, classes, form, image_format, as_runs, progress
                )
                run.put_folder(part, target)
            except OSError as error:
                raise OutputError(
                    f"{target} cannot be written: {error.strerror or error}."
                ) from error
            finally:
                shutil.rmtree(part, ignore_errors=True)
    objects = Counter(chip.split for chip in chips for _ in chip.objects)
    count = sum(left_out.values())
    if count:
        beginning = (
            f"{count} of {sum(objects.values())} objects on chips {'are' if count > 1 else 'is'} "
            f"not in the {'texts' if form == 'yolo' else 'masks'} of {target}: "
        )
        if form == "yolo":
            why = (
                f"{'they stand' if count > 1 else 'it stands'} for several objects, which YOLO-seg "
                "cannot mark. Export as coco, sa1b or masks to keep all."
            )
        else:
            why = (
                f"others cover {'them' if count > 1 else 'it'}, and a mask holds one object per "
                "pixel. Export as coco, sa1b or yolo to keep all."
            )
        warn(beginning + why)
    return Exported(
        str(target),
        dict(Counter(chip.split for chip in chips)),
        dict(objects - left_out),
        classes,
    )


def export_as_asked(
    params: ExportLabelsParameters, *, progress: Callable[[Progress], None] | None = None
) -> Exported:
    """The same with the parameters of the command and of QGIS; see :func:`export_labels`."""

    def report(number: int) -> None:
        if progress is not None:
            progress(Progress(None, "chips", number, 0))

    return export_labels(
        params.rasters,
        params.labels,
        params.folder,
        form=cast(LabelFormat, params.form),
        layer=params.layer,
        options=ChipOptions(
            params.chip_size,
            params.class_field,
            params.crowd_field,
            params.val_share,
            params.keep_empty,
            params.area,
        ),
        image_format=params.image_format,
        as_runs=params.as_runs,
        allow_remote=params.allow_remote,
        progress=report,
    )


def _write(
    folder: Path,
    raster: Raster,
    chips: Sequence[Chip],
    classes: Sequence[str],
    form: LabelFormat,
    image_format: str,
    as_runs: bool,
    progress: Callable[[int], None] | None,
) -> Counter[str]:
    """Write all files; how many objects are not in them, by split: hidden in masks, or crowds."""
    crs = raster.crs
    left_out: Counter[str] = Counter()
    files, places, index = {}, {}, []
    for number, chip in enumerate(chips, 1):
        file = f"images/{chip.split}/{chip.name}.{image_format}"
        write_image(folder / file, raster.read(chip.box).pixels, chip.transform, crs)
        files[chip.name] = file
        places[chip.name] = {
            "transform": list(chip.transform)[:6],
            "crs": None if crs is None else crs.to_wkt(),
        }
        label: str | None
        if form == "masks":
            label = f"masks/{chip.split}/{chip.name}.tif"
            left_out[chip.split] += mask_file(folder / label, chip, classes, crs)
        else:
            label = _label_file(folder, chip, number, file, places[chip.name], classes, form)
        taken = written(chip, form)
        left_out[chip.split] += len(chip.objects) - len(taken)
        index.append(
            {
                "image": file,
                "labels": label,
                "split": chip.split,
                "width": chip.box.width,
                "height": chip.box.height,
                **places[chip.name],
                "ids": [item.id for item in taken],
                "crowds": [item.id for item in taken if item.crowd],
            }
        )
        if progress is not None:
            progress(number)
    if form == "coco":
        for split in ("train", "val"):
            some = [chip for chip in chips if chip.split == split]
            if some:
                text = json.dumps(coco(some, classes, files, places, as_runs=as_runs))
                (folder / f"annotations_{split}.json").write_text(text, "utf-8")
    if form == "yolo":
        rows = "".join(
            f"  {k}: {json.dumps(name, ensure_ascii=False)}\n" for k, name in enumerate(classes)
        )
        splits = {chip.split for chip in chips}
        # Its programs want both splits to be named.
        val = "images/val" if "val" in splits else "images/train"
        (folder / "data.yaml").write_text(
            f"path: .\ntrain: images/train\nval: {val}\nnames:\n{rows}", "utf-8"
        )
    facts = {"version": VERSION, "format": form, "source": raster.name, "classes": list(classes),
             "chips": index}  # fmt: skip
    (folder / INDEX).write_text(json.dumps(facts, indent=1), "utf-8")
    return left_out


def _label_file(
    folder: Path,
    chip: Chip,
    number: int,
    file: str,
    place: Any,
    classes: Sequence[str],
    form: LabelFormat,
) -> str | None:
    """Write the text that stands beside one image; its path in the folder."""
    if form == "coco":
        return None
    if form == "yolo":
        label, text = f"labels/{chip.split}/{chip.name}.txt", yolo(chip, classes)
    else:
        label = f"images/{chip.split}/{chip.name}.json"
        text = json.dumps(sa1b(chip, number, Path(file).name, place))
    path = folder / label
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return label
