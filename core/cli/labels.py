# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo export-labels`` and ``samgeo import-labels``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ..job import Progress, SegmentParameters
from .console import Console, reporting
from .options import options_of

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")


@click.command("export-labels")
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("labels", type=click.Path(), metavar="LABELS")
@click.argument("folder", type=click.Path(), metavar="FOLDER")
@click.option(
    "--format",
    "form",
    type=click.Choice(["coco", "sa1b", "yolo", "masks"]),
    default="coco",
    show_default=True,
    help="COCO, SA-1B, YOLO-seg, or GeoTIFF masks.",
)
@click.option("--layer", help="Layer within LABELS.")
@click.option("--class-field", help="Field with the class. [default: all of one class]")
@click.option("--crowd-field", help="Field that is true for several objects in one.")
@click.option("--chip-size", type=click.IntRange(32, 8192), default=512, show_default=True)
@click.option(
    "--val-share",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of the objects held back for validation, at another place.",
)
@click.option("--keep-empty", is_flag=True, help="Keep chips without objects.")
@click.option("--area", type=click.Path(), help="Polygons inside which chips are cut.")
@click.option(
    "--images",
    "image_format",
    type=click.Choice(["tif", "png", "jpg"]),
    default="tif",
    show_default=True,
    help="Format of the images.",
)
@click.option("--rle", "as_runs", is_flag=True, help="COCO: run-length codes for all objects.")
@options_of(SegmentParameters, "allow_remote")
@_JSON
def export_labels(
    rasters: tuple[str, ...],
    labels: str,
    folder: str,
    as_json: bool,
    form: Any,
    layer: str | None,
    image_format: str,
    as_runs: bool,
    allow_remote: bool,
    chip_size: int,
    **options: Any,
) -> None:
    """Write RASTER and the polygons of LABELS as training data into the new folder FOLDER.

    The raster is cut into chips that keep their georeference; training and validation chips lie at
    different places.
    """
    console = Console(as_json=as_json)
    with reporting(console):
        from ..labels.chips import ChipOptions
        from ..labels.exporting import export_labels as export

        with console.progress() as show:
            done = export(
                list(rasters),
                labels,
                folder,
                form=form,
                layer=layer,
                options=ChipOptions(size=chip_size, **options),
                image_format=image_format,
                as_runs=as_runs,
                allow_remote=allow_remote,
                progress=lambda number: show(Progress(None, "chips", number, 0)),
            )
        if as_json:
            console.print_json(asdict(done))
        else:
            for split, number in done.chips.items():
                console.say(f"{split}: {number} chips, {done.objects.get(split, 0)} objects")
            console.say(f"{len(done.classes)} classes ({', '.join(done.classes)}): {done.folder}")


@click.command("import-labels")
@click.argument("source", type=click.Path())
@click.argument("output", type=click.Path())
@click.option("--images", type=click.Path(), help="Folder of the georeferenced images.")
@click.option("--classes", help="Names of the classes 0, 1, ..., with commas between them.")
@click.option("--overwrite", is_flag=True, help="Replace an existing OUTPUT.")
@_JSON
def import_labels(
    source: str,
    output: str,
    images: str | None,
    classes: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Read labels of images (COCO, SA-1B, YOLO-seg, masks) and write them as the layer OUTPUT.

    SOURCE is a JSON file or a folder. Images must be georeferenced, or come from export-labels.
    """
    console = Console(as_json=as_json)
    with reporting(console):
        from ..labels.importing import import_labels as read

        names = None if classes is None else [name.strip() for name in classes.split(",")]
        done = read(source, output, images=images, names=names, overwrite=overwrite)
        if as_json:
            console.print_json(asdict(done))
        else:
            console.say(
                f"{done.objects} objects of {len(done.classes)} classes from {done.images} images: "
                f"{done.output}"
            )
