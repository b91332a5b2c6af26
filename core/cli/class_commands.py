# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands about classes: ``classify``, ``roads``, ``surfaces``, and options they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..job import ClassifyParameters, MapParameters
from .console import Console, reporting
from .values import counted, plain_values

if TYPE_CHECKING:
    from ..jobs.run import JobResult

F = TypeVar("F", bound=Callable[..., Any])


def _all_of(*options: Callable[[F], F]) -> Callable[[F], F]:
    """One decorator of several options, in the order given."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class_options = _all_of(
    click.option("--examples", type=click.Path(), help="Layer of examples, with --class-field."),
    click.option("--class-field", help="Field of --examples with the class; empty: none of them."),
    click.option(
        "--like",
        multiple=True,
        type=click.Path(),
        help="Layer of examples of one class, named as the file; may be repeated.",
    ),
    click.option(
        "--unlike",
        multiple=True,
        type=click.Path(),
        help="Layer of examples of none of the classes; may be repeated.",
    ),
    click.option("--classifier", type=click.Path(), help="A saved classifier, not examples."),
    click.option("--save-classifier", type=click.Path(), help="Where to keep the classifier."),
    click.option(
        "--min-class-prob",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help="Least probability of a class.",
    ),
)

rule_option = click.option(
    "--rule",
    "rules",
    multiple=True,
    help="Post-processing, by class or for all, e.g. 'building: square, min-area=10' or "
    "'largest-part'. Also smooth=, max-area=, min-elongation=, max-elongation=, "
    "min-rectangularity=, max-rectangularity=. May be repeated.",
)

_model_options = _all_of(
    click.option("--layer", help="Name of the layer in OUTPUT. [default: OUTPUT's name]"),
    click.option("--overwrite", is_flag=True, help="Replace an existing OUTPUT."),
    click.option("--fresh", is_flag=True, help="Forget what an unfinished earlier run has done."),
    click.option("--job-folder", type=click.Path(), help="Where what is finished is kept."),
    click.option(
        "--model", default="embedded", show_default=True, help="A model's name or a file."
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps."),
    click.option(
        "--precision",
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        default="auto",
        show_default=True,
    ),
    click.option("--threads", type=click.IntRange(1), help="CPU threads per process."),
    click.option(
        "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes."
    ),
    click.option("--cluster", help="Address of a Dask scheduler, instead of --workers."),
    click.option("--bands", help="Bands for red, green, blue, e.g. 4,3,2."),
    click.option("--stretch", help="low,high for all bands or for each."),
    click.option("--resolution", type=float, help="Working pixel, in units of the raster's CRS."),
    click.option("--tile-size", type=click.IntRange(64), help="Side of a window, pixels."),
    click.option("--margin", type=click.IntRange(9), help="Overlap of windows, pixels."),
)

_output_options = _all_of(
    click.option("--quiet", "-q", is_flag=True, help="Only errors."),
    click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output."),
)


@click.command()
@click.argument("layer_to_classify", type=click.Path(), metavar="RESULT")
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("output", type=click.Path(), metavar="OUTPUT")
@click.option("--input-layer", help="Layer within RESULT.")
@class_options
@click.option(
    "--keep",
    type=click.Choice(["classes", "all"]),
    default="classes",
    show_default=True,
    help="Write the objects of the classes, or all objects.",
)
@rule_option
@click.option("--crs", help="CRS of OUTPUT. [default: that of RESULT]")
@_model_options
@_output_options
def classify(
    layer_to_classify: str,
    rasters: tuple[str, ...],
    output: str,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Give the polygons of the layer RESULT classes, from examples on RASTER.

    Nothing is segmented again. Examples are points or strokes on polygons, boxes around them, or
    polygons; OUTPUT gets the fields class and class_prob.
    """
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console):
        plain_values(options)
        params = ClassifyParameters.from_dict(
            {"input": layer_to_classify, "rasters": list(rasters), "output": output, **options}
        )
        from ..jobs.classes.classify import classify_layer

        with console.progress() as progress:
            result = classify_layer(params, progress=progress)
        _tell(console, result, "polygon")


@click.command()
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("output", type=click.Path(), metavar="OUTPUT")
@click.option(
    "--strokes",
    multiple=True,
    type=click.Path(),
    help="Layer of strokes along roads; with --class-field, of any class.",
)
@click.option("--class-field", help="Field of --strokes with the class; empty: other ground.")
@click.option(
    "--unlike", multiple=True, type=click.Path(), help="Layer of strokes on other ground."
)
@click.option("--road-class", help="Which class is drawn, where there are several.")
@click.option("--classifier", type=click.Path(), help="A saved classifier, instead of strokes.")
@click.option("--save-classifier", type=click.Path(), help="Where to keep the classifier.")
@click.option(
    "--min-class-prob",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Probability from which ground is road.",
)
@click.option(
    "--min-length",
    type=click.FloatRange(0),
    default=20.0,
    show_default=True,
    help="Shortest dead end and shortest loose piece, m.",
)
@click.option(
    "--max-gap", type=click.FloatRange(0), help="Widest gap to bridge, m. [default: 4 widths]"
)
@click.option("--simplify", type=click.FloatRange(0), help="Tolerance, units of the raster's CRS.")
@click.option("--crs", help="CRS of OUTPUT. [default: the raster's]")
@_model_options
@_output_options
def roads(
    rasters: tuple[str, ...],
    output: str,
    strokes: tuple[str, ...],
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Draw the centre lines of roads (or streams) on RASTER from a few strokes along some.

    Lines end at junctions and meet there exactly; OUTPUT gets width_m, length_m and class_prob.
    """
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console):
        plain_values(options)
        by_field = options["class_field"] is not None and len(strokes) == 1
        params = MapParameters.from_dict(
            {
                "rasters": list(rasters),
                "output": output,
                "shapes": "network",
                "examples": strokes[0] if by_field else None,
                "like": [] if by_field else list(strokes),
                **options,
            }
        )
        _map(console, params, "line")


@click.command()
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("output", type=click.Path(), metavar="OUTPUT")
@class_options
@click.option(
    "--min-area",
    type=click.FloatRange(0),
    default=0.0,
    help="Smallest polygon, m2; smaller ones go to their neighbours.",
)
@click.option("--simplify", type=click.FloatRange(0), help="Tolerance, units of the raster's CRS.")
@click.option("--crs", help="CRS of OUTPUT. [default: the raster's]")
@_model_options
@_output_options
def surfaces(
    rasters: tuple[str, ...], output: str, quiet: bool, as_json: bool, **options: Any
) -> None:
    """Divide all of RASTER into the classes of examples: polygons that share their borders."""
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console):
        plain_values(options)
        params = MapParameters.from_dict(
            {"rasters": list(rasters), "output": output, "shapes": "coverage", **options}
        )
        _map(console, params, "polygon")


def _map(console: Console, params: MapParameters, what: str) -> None:
    from ..jobs.classes.map_classes import map_classes

    with console.progress() as progress:
        result = map_classes(params, progress=progress)
    _tell(console, result, what)


def _tell(console: Console, result: JobResult, what: str) -> None:
    if console.as_json:
        console.print_json(asdict(result))
    else:
        console.say(f"{counted(result.features, what)} in {result.seconds:.1f} s: {result.output}")
    result.raise_if_incomplete()
