# SPDX-License-Identifier: GPL-2.0-or-later
"""The command ``samgeo``: parses arguments, calls the engine, reports results.

Exit codes are those of ``errors.py``: 0 done, 2 wrong options, 3 raster, 4 prompts, 5 model,
6 output, 7 job, 8 done but incomplete, 130 stopped with Ctrl-C (what is finished is kept).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from affine import Affine

from .. import __version__
from ..errors import ParameterError
from ..job import SegmentParameters
from .bundle import bundle
from .class_commands import classify, roads, surfaces
from .console import Console, human_size, reporting
from .evaluate import evaluate
from .labels import export_labels, import_labels
from .models import models
from .options import options_of, parsed
from .track import track
from .train import train
from .update import update
from .values import counted

if TYPE_CHECKING:
    from ..raster.info import RasterInfo
    from ..raster.stretch import Stretch


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="samgeo")
def main() -> None:
    """Turn georeferenced rasters into seam-free polygon layers with the Segment Anything family."""


@main.command()
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("output", type=click.Path(), metavar="OUTPUT")
@options_of(SegmentParameters)
@click.option(
    "--dry-run", is_flag=True, help="Say what would be done: scenes, tiles, bytes, time. Then stop."
)
@click.option("--quiet", "-q", is_flag=True, help="Only errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def segment(
    rasters: tuple[str, ...],
    output: str,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Segment RASTER (several are taken as one mosaic) into the layer OUTPUT.

    RASTER is a file, a folder, a pattern, a list (.txt), an address, or a STAC document. With
    --scenes, rasters are worked on one by one.

    The extension of OUTPUT chooses the format: GeoPackage, Shapefile, GeoJSON, FlatGeobuf,
    GeoParquet. Run the same command again after an interruption and it goes on where it was.
    """
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console):
        if Path(output).suffix.lower() in (".tif", ".tiff", ".vrt"):  # an output was left out
            from ..layers.formats import FORMATS

            raise ParameterError(
                f"The last argument is the layer to write ({', '.join(FORMATS)}), but it is "
                f"{output}."
            )
        params = SegmentParameters.from_dict(
            {"rasters": list(rasters), "output": output, **parsed(SegmentParameters, options)}
        )
        if dry_run:
            _say_plan(console, params, as_json)
            return
        from ..jobs.run import run

        with console.progress() as progress:
            result = run(params, progress=progress)
        if as_json:
            console.give_json(asdict(result))
        elif result.scenes:
            good = result.scenes - len(result.failed)
            console.say(
                f"{counted(result.features, 'polygon')} from {good:,} of "
                f"{counted(result.scenes, 'scene')} in {result.seconds:.1f} s: {result.output}"
            )
            for name in result.failed:
                console.warn(name)
        else:
            console.say(
                f"{counted(result.features, 'polygon')} from {counted(result.tiles, 'tile')} "
                f"in {result.seconds:.1f} s: {result.output}"
            )
        result.raise_if_incomplete()


def _say_plan(console: Console, params: SegmentParameters, as_json: bool) -> None:
    """Print what a job would do."""
    from ..jobs.scenes.plan import plan
    from ..jobs.scenes.run_scenes import duration

    with console.progress() as progress:
        found = plan(params, progress=progress)
    if as_json:
        console.give_json(found.to_json())
        return
    one = found.seconds_per_tile
    console.table(
        {
            "rasters": f"{found.rasters:,}"
            + (f", {found.outside:,} outside the area of interest" if found.outside else ""),
            "worked on as": "one mosaic"
            if params.scenes == "mosaic"
            else counted(found.scenes, "scene"),
            "tiles": f"{found.tiles:,}",
            "pixels": f"{found.pixels / 1e6:,.1f} million, in windows that overlap",
            "files": human_size(found.file_bytes) if found.file_bytes else "on a server",
            "decoded": human_size(found.pixel_bytes),
            "one tile": "not measured" if one is None else f"{one:.2f} s on this machine",
            "in all": "unknown"
            if found.seconds is None
            else f"about {duration(found.seconds)} with {counted(found.workers, 'worker')}",
            "output": params.output,
        }
    )
    for note in (*found.bad, *found.notes):
        console.warn(note)


@main.command()
@click.argument("raster", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@options_of(SegmentParameters, "overlap", "allow_remote")
def info(raster: tuple[str, ...], as_json: bool, overlap: str, allow_remote: bool) -> None:
    """Show how the engine reads RASTER: size, CRS, bands, nodata, stretch."""
    console = Console(as_json=as_json)
    with reporting(console):
        from ..raster.raster import RasterOptions, open_raster

        options = RasterOptions(overlap=overlap, allow_remote=allow_remote)
        with open_raster(list(raster), options) as opened:
            known, stretch = opened.info, opened.stretch
        if as_json:
            console.give_json({**known.to_json(), "stretch": stretch.to_json()})
        else:
            console.table(_readable(known, stretch))


def _readable(known: RasterInfo, stretch: Stretch) -> dict[str, str]:
    """A raster's description in words and few digits."""
    from ..earth.geometry import pixel_sides

    _, b, _, d, _, _ = known.transform
    across, down = pixel_sides(Affine(*known.transform))
    bands = [
        f"{band.number} {band.dtype} {band.description or band.colour}"
        + ("" if band.nodata is None else f", no data {band.nodata:g}")
        for band in known.bands
    ]
    limits = [f"{low:g} to {high:g}" for low, high in zip(stretch.low, stretch.high, strict=True)]
    return {
        "raster": ", ".join(known.sources),
        "format": known.driver,
        "size": f"{known.size[0]} x {known.size[1]} pixels",
        "crs": known.crs or "none: works in pixels",
        "pixel": f"{across:.6g} x {down:.6g} {known.unit}" + (", rotated" if b or d else ""),
        "extent": ", ".join(f"{value:.10g}" for value in known.bounds),
        "bands": "; ".join(bands),
        "shown as": _colours(known),
        "no data": known.mask,
        "stretch": "; ".join(limits),
        "overviews": ", ".join(map(str, known.overviews)) or "none",
        "notes": "; ".join(known.notes),
    }


def _colours(known: RasterInfo) -> str:
    if known.palette:
        return "the colours of its palette"
    if len(known.used_bands) == 3:
        return "red, green, blue = " + ", ".join(map(str, known.used_bands))
    return f"grey = {known.used_bands[0]}"


main.add_command(bundle)
main.add_command(classify)
main.add_command(models)
main.add_command(roads)
main.add_command(surfaces)
main.add_command(evaluate)
main.add_command(export_labels)
main.add_command(import_labels)
main.add_command(train)
main.add_command(track)
main.add_command(update)


if __name__ == "__main__":
    main()
