# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo update``: an old layer against a new raster."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..job import UpdateParameters
from .console import Console, reporting
from .options import options_of, parsed

if TYPE_CHECKING:
    from ..jobs.update.run_update import UpdateResult

_ORDER = ("confirmed", "moved", "reshaped", "split", "merged", "gone", "new", "unseen")


@click.command()
@click.argument("old_layer", type=click.Path(), metavar="LAYER")
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.option("--output", "-o", type=click.Path(), required=True, help="GeoPackage to write.")
@options_of(UpdateParameters)
@click.option("--quiet", "-q", is_flag=True, help="Only errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def update(
    old_layer: str,
    rasters: tuple[str, ...],
    output: str,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare the polygons of LAYER with a new RASTER.

    Writes what became of each: confirmed, moved, reshaped, split, merged or gone, and new objects,
    each with a probability; NAME_before holds the old outlines. LAYER stays as it is, unless
    --apply is given.
    """
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console):
        asked = parsed(UpdateParameters, options)
        params = UpdateParameters.from_dict(
            {"input": old_layer, "rasters": list(rasters), "output": output, **asked}
        )
        from ..jobs.update.run_update import update_layer

        with console.progress() as progress:
            result = update_layer(params, progress=progress)
        if as_json:
            console.give_json(asdict(result))
        else:
            _tell(console, result)
        result.raise_if_incomplete()


def _tell(console: Console, result: UpdateResult) -> None:
    counts = result.counts or {}
    console.say(
        ", ".join(f"{counts[name]} {name}" for name in _ORDER if counts.get(name))
        + f" in {result.seconds:.1f} s: {result.output}"
    )
    if result.shift_east_m or result.shift_north_m:
        length = (result.shift_east_m**2 + result.shift_north_m**2) ** 0.5
        console.say(
            f"The whole layer is shifted: the raster shows it {length:.2f} m away "
            f"({result.shift_east_m:+.2f} m east, {result.shift_north_m:+.2f} m north). "
            + (
                "Polygons that moved with it count as moved; own_shift_m says what is left."
                if result.layer_moved
                else "That is less than half a metre: polygons that stand count as confirmed, and "
                "their outlines stay where they are."
            )
        )
    if result.applied:
        console.say(f"{result.applied} features of the old layer were changed.")
