# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo track``: objects followed through dated rasters."""

from __future__ import annotations

from typing import Any

import click

from ..errors import ParameterError
from ..job import Progress
from .console import Console, reporting


@click.command()
@click.argument("layer", type=click.Path(), metavar="LAYER")
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.option("--output", "-o", type=click.Path(), required=True, help="Layer to write.")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("--at", help="Date of LAYER, e.g. 2009-08-18. [default: the earliest]")
@click.option(
    "--dates", type=click.Path(), help="CSV with the columns raster and date. [default: by name]"
)
@click.option("--layer", "layer_name", help="Layer within LAYER.")
@click.option("--id", "id_field", help="Field with the objects' names. [default: 1, 2, 3 ...]")
@click.option("--label", "label_field", help="Field that becomes label.")
@click.option("--model", default="embedded", show_default=True, help="A model's name or a file.")
@click.option(
    "--memory/--no-memory",
    default=None,
    help="Use the memory of SAM 2, 2.1 and EdgeTAM. [default: where there is one]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Number type of the model.",
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@click.option("--bands", help="Bands for red, green, blue, e.g. 4,3,2. [default: by colour]")
@click.option(
    "--resolution", type=float, help="Working pixel, in units of the CRS of the raster of LAYER."
)
@click.option(
    "--reach",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    help="How far objects may move between dates, in their own sides.",
)
@click.option("--clouds/--no-clouds", default=True, help="Objects under clouds are hidden.")
@click.option("--crs", help="CRS of the output. [default: LAYER's]")
@click.option("--quiet", "-q", is_flag=True, help="Only errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def track(
    layer: str,
    rasters: tuple[str, ...],
    bands: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Follow the polygons of LAYER through RASTERs of several dates.

    Dates come from the rasters' names, tags or STAC items beside them. Writes the objects of all
    dates as polygons, and beside them two tables: one row an object and date (NAME_dates.csv:
    status present, gone or hidden, area, change), and one row an object (NAME_areas.csv).
    """
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console):
        numbers = None
        if bands is not None:
            try:
                numbers = [int(part) for part in bands.split(",")]
            except ValueError:
                raise ParameterError(
                    f"--bands takes numbers with commas between them, not {bands!r}."
                ) from None
        from ..tracking.run import track as run

        with console.progress() as show:
            found = run(
                layer,
                rasters,
                bands=numbers,
                progress=lambda done, total: show(Progress(None, "dates", done, total)),
                **options,
            )
        dates = len(found.areas.columns)
        if as_json:
            console.print_json(
                {
                    "output": str(found.output),
                    "tables": [str(path) for path in found.tables],
                    "objects": len(found.areas),
                    "dates": list(found.areas.columns),
                    "present": found.count("present"),
                    "gone": found.count("gone"),
                    "hidden": found.count("hidden"),
                    "model": found.model,
                    "memory": found.memory,
                    "left_out": [list(pair) for pair in found.left_out],
                }
            )
        else:
            console.say(
                f"{len(found.areas)} objects at {dates} dates: {found.count('present')} times "
                f"present, {found.count('gone')} gone, {found.count('hidden')} hidden: "
                f"{found.output}"
            )
