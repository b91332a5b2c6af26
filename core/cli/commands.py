# SPDX-License-Identifier: GPL-2.0-or-later
"""The command ``samgeo``: parses, calls, reports. All work is done elsewhere.

Exit codes are those of ``errors.py``: 0 done, 2 wrong options, 3 raster, 4 prompts, 5 model,
6 output, 7 job, 8 done but incomplete, 130 stopped with Ctrl-C (what is finished is kept).
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from ..errors import ParameterError
from ..job import SegmentParameters
from .class_commands import class_options, classify, roads, rule_option, surfaces
from .console import Console, reporting
from .models import models
from .values import counted, numbers, plain_values

if TYPE_CHECKING:
    from ..raster.info import RasterInfo
    from ..raster.stretch import Stretch

_FORMATS = ".gpkg, .shp, .geojson, .fgb or .parquet"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="samgeo")
def main() -> None:
    """Turn georeferenced rasters into seam-free polygon layers with the Segment Anything family."""


@main.command()
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("output", type=click.Path(), metavar="OUTPUT")
@click.option("--layer", help="Name of the layer in OUTPUT. [default: OUTPUT's name]")
@click.option("--overwrite", is_flag=True, help="Replace an existing OUTPUT.")
@click.option("--fresh", is_flag=True, help="Forget what an unfinished earlier run has done.")
@click.option("--job-folder", type=click.Path(), help="Where finished tiles are kept, and stay.")
@click.option("--model", default="embedded", show_default=True, help="A model's name or a file.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Number type of the model. bfloat16 halves the time on CPUs that have it (AMX).",
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads a process.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--cluster", help="Address of a Dask scheduler, instead of --workers.")
@click.option("--bands", help="Bands for red, green, blue, e.g. 4,3,2. [default: by colour]")
@click.option("--stretch", help="low,high for all bands or for each. [default: computed once]")
@click.option("--resolution", type=float, help="Working pixel, in units of the raster's CRS.")
@click.option("--extent", help="Area of interest: xmin,ymin,xmax,ymax.")
@click.option("--extent-crs", help="CRS of --extent. [default: the raster's]")
@click.option("--area", type=click.Path(), help="Polygon layer that is the area of interest.")
@click.option("--tile-size", type=click.IntRange(64), help="Side of a window, pixels.")
@click.option("--margin", type=click.IntRange(9), help="Overlap of windows beyond cores, pixels.")
@click.option(
    "--mode",
    type=click.Choice(["hierarchy", "flat"]),
    default="hierarchy",
    show_default=True,
    help="Keep objects within objects, or join parts into one.",
)
@click.option(
    "--shapes",
    type=click.Choice(["objects", "coverage"]),
    default="objects",
    show_default=True,
    help="One polygon an object, or a coverage without gaps and overlaps.",
)
@click.option(
    "--outlines",
    type=click.Choice(["contour", "rectangles", "centerlines"]),
    default="contour",
    show_default=True,
    help="As seen, with right angles (buildings), or as centre lines (roads).",
)
@click.option("--repair/--no-repair", default=True, help="Ask again for objects that tiles cut.")
@click.option(
    "--overview/--no-overview", default=True, help="Look for large objects from further away."
)
@click.option("--points-per-side", type=click.IntRange(1), default=32, show_default=True)
@click.option(
    "--min-score", type=click.FloatRange(0, 1), help="Predicted IoU. [default: the model's]"
)
@click.option("--min-stability", type=click.FloatRange(0, 1), help="[default: the model's]")
@click.option("--min-area", type=click.FloatRange(0), default=0.0, help="Smallest object, m2.")
@click.option("--min-hole", type=click.FloatRange(0), default=0.0, help="Smallest hole, m2.")
@click.option(
    "--simplify",
    type=click.FloatRange(0),
    help="Tolerance in units of the raster's CRS. [default: half a pixel]",
)
@click.option("--crs", help="CRS of OUTPUT, e.g. EPSG:4326. [default: the raster's]")
@click.option("--prompts", type=click.Path(), help="Layer of prompts: one polygon a feature.")
@click.option("--prompts-layer", help="Layer within --prompts.")
@click.option(
    "--prompt-as",
    type=click.Choice(["auto", "point", "box", "mask", "box+mask"]),
    default="auto",
    show_default=True,
)
@click.option("--prompt-id", help="Field that becomes prompt_id. [default: the feature's id]")
@click.option("--prompt-label", help="Field that becomes label.")
@click.option("--word", "words", multiple=True, help="A word to look for; may be repeated.")
@click.option("--detector", help="Model that finds words, where --model cannot.")
@class_options
@rule_option
@click.option("--quiet", "-q", is_flag=True, help="Only errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def segment(
    rasters: tuple[str, ...], output: str, quiet: bool, as_json: bool, **options: Any
) -> None:
    """Segment RASTER (several are taken as one mosaic) into the layer OUTPUT.

    The extension of OUTPUT chooses the format: GeoPackage, Shapefile, GeoJSON, FlatGeobuf,
    GeoParquet. Run the same command again after an interruption and it goes on where it was.
    """
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console):
        if Path(output).suffix.lower() in (".tif", ".tiff", ".vrt"):
            raise ParameterError(
                f"The last argument is the layer to write ({_FORMATS}), but it is {output}."
            )
        plain_values(options)
        options["extent"] = numbers(options["extent"], float, "--extent", 4)
        params = SegmentParameters.from_dict(
            {"rasters": list(rasters), "output": output, **options}
        )
        from ..jobs.run import run

        with console.progress() as progress:
            result = run(params, progress=progress)
        if as_json:
            console.print_json(asdict(result))
        else:
            console.say(
                f"{counted(result.features, 'polygon')} from {counted(result.tiles, 'tile')} "
                f"in {result.seconds:.1f} s: {result.output}"
            )
        result.raise_if_incomplete()


@main.command()
@click.argument("raster", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def info(raster: tuple[str, ...], as_json: bool) -> None:
    """What the engine sees in RASTER: size, CRS, bands, no-data, stretch."""
    console = Console(as_json=as_json)
    with reporting(console):
        from ..raster.raster import open_raster

        with open_raster(list(raster)) as opened:
            known, stretch = opened.info, opened.stretch
        if as_json:
            console.print_json({**known.to_json(), "stretch": stretch.to_json()})
        else:
            console.table(_readable(known, stretch))


def _readable(known: RasterInfo, stretch: Stretch) -> dict[str, str]:
    """A raster's description in words and few digits."""
    a, b, _, d, e, _ = known.transform
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
        "pixel": f"{math.hypot(a, d):.6g} x {math.hypot(b, e):.6g} {known.unit}"
        + (", rotated" if b or d else ""),
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


main.add_command(models)
main.add_command(classify)
main.add_command(roads)
main.add_command(surfaces)


if __name__ == "__main__":
    main()
