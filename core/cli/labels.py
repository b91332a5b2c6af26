# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo export-labels`` and ``samgeo import-labels``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from ..job import ExportLabelsParameters, ImportLabelsParameters
from .console import Console, reporting
from .options import options_of, parsed
from .values import counted

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")


@click.command("export-labels")
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("labels", type=click.Path(), metavar="LABELS")
@click.argument("folder", type=click.Path(), metavar="FOLDER")
@options_of(ExportLabelsParameters)
@_JSON
def export_labels(
    rasters: tuple[str, ...], labels: str, folder: str, as_json: bool, **options: Any
) -> None:
    """Write RASTER and the polygons of LABELS as training data into the new folder FOLDER.

    The raster is cut into chips that keep their georeference; training and validation chips lie at
    different places.
    """
    console = Console(as_json=as_json)
    with reporting(console):
        given = {"rasters": list(rasters), "labels": labels, "folder": folder}
        params = ExportLabelsParameters.from_dict(given | parsed(ExportLabelsParameters, options))
        from ..labels.exporting import export_as_asked

        with console.progress() as progress:
            done = export_as_asked(params, progress=progress)
        if as_json:
            console.give_json(asdict(done))
        else:
            for split, number in done.chips.items():
                objects = counted(done.objects.get(split, 0), "object")
                console.say(f"{split}: {counted(number, 'chip')}, {objects}")
            classes = counted(len(done.classes), "class")
            console.say(f"{classes} ({', '.join(done.classes)}): {done.folder}")


@click.command("import-labels")
@click.argument("source", type=click.Path())
@click.argument("output", type=click.Path())
@options_of(ImportLabelsParameters)
@_JSON
def import_labels(source: str, output: str, as_json: bool, **options: Any) -> None:
    """Read labels of images (COCO, SA-1B, YOLO-seg, masks) and write them as the layer OUTPUT.

    SOURCE is a JSON file or a folder. Images must be georeferenced, or come from export-labels.
    """
    console = Console(as_json=as_json)
    with reporting(console):
        given = {"source": source, "output": output}
        params = ImportLabelsParameters.from_dict(given | parsed(ImportLabelsParameters, options))
        from ..labels.importing import import_as_asked

        done = import_as_asked(params)
        if as_json:
            console.give_json(asdict(done))
        else:
            console.say(
                f"{counted(done.objects, 'object')} of {counted(len(done.classes), 'class')} from "
                f"{counted(done.images, 'image')}: {done.output}"
            )
