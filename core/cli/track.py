# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo track``: objects followed through dated rasters."""

from __future__ import annotations

from typing import Any

import click

from ..job import Progress, TrackParameters
from .console import Console, reporting
from .options import options_of, parsed
from .values import counted


@click.command()
@click.argument("layer", type=click.Path(), metavar="LAYER")
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.option("--output", "-o", type=click.Path(), required=True, help="Layer to write.")
@options_of(TrackParameters)
@click.option("--quiet", "-q", is_flag=True, help="Only errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def track(
    layer: str,
    rasters: tuple[str, ...],
    output: str,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Follow the polygons of LAYER through RASTERs of several dates.

    Dates come from the rasters' names, tags or STAC items beside them. Writes the objects of all
    dates as polygons, and beside them two tables: one row per object and date (NAME_dates.csv:
    status present, gone or hidden, area, change), and one row per object (NAME_areas.csv).
    """
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console):
        params = TrackParameters.from_dict(
            {
                "layer": layer,
                "rasters": list(rasters),
                "output": output,
                **parsed(TrackParameters, options),
            }
        )
        from ..tracking.run import track as run

        with console.progress() as show:
            found = run(
                **vars(params),
                progress=lambda done, total: show(Progress(None, "dates", done, total)),
            )
        objects = counted(len(found.areas), "object")
        dates = counted(len(found.areas.columns), "date")
        if as_json:
            console.give_json(found.to_json())
        else:
            console.say(
                f"{objects} at {dates}: {counted(found.count('present'), 'time')} present, "
                f"{found.count('gone')} gone, {found.count('hidden')} hidden: {found.output}"
            )
