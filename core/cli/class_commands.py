# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands for classes: ``classify``, ``roads`` and ``surfaces``, with the options they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import ParameterError
from ..job import ClassifyParameters, MapParameters, option
from .console import Console, reporting
from .options import flag_of, options_of, parsed
from .values import counted

if TYPE_CHECKING:
    from ..jobs.run import JobResult

F = TypeVar("F", bound=Callable[..., Any])


def _output_options(function: F) -> F:
    """What a command says of its end."""
    function = click.option(
        "--json", "as_json", is_flag=True, help="One JSON object on standard output."
    )(function)
    return click.option("--quiet", "-q", is_flag=True, help="Only errors.")(function)


@click.command()
@click.argument("layer_to_classify", type=click.Path(), metavar="RESULT")
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("output", type=click.Path(), metavar="OUTPUT")
@options_of(ClassifyParameters)
@_output_options
def classify(
    layer_to_classify: str,
    rasters: tuple[str, ...],
    output: str,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Classify the polygons of the layer RESULT from examples on RASTER.

    Nothing is segmented again. Examples are points or strokes on polygons, boxes around them, or
    polygons; OUTPUT gets the fields class and class_prob.
    """
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console):
        asked = parsed(ClassifyParameters, options)
        params = ClassifyParameters.from_dict(
            {"input": layer_to_classify, "rasters": list(rasters), "output": output, **asked}
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
@options_of(MapParameters, leave_out=("shapes", "examples", "like", "min_area", "classes"))
@_output_options
def roads(
    rasters: tuple[str, ...],
    output: str,
    strokes: tuple[str, ...],
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Draw the centre lines of roads (or streams) on RASTER.

    Roads are what a few strokes along some of them say (and --unlike, on other ground); without
    strokes, what the embedded model takes for roads. Lines end at junctions and meet there
    exactly; OUTPUT gets width_m, length_m and class_prob.
    """
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console, _flag_of_roads):
        asked = parsed(MapParameters, options)
        by_field = options["class_field"] is not None and bool(strokes)
        if by_field and len(strokes) > 1:
            raise ParameterError(
                f"With {option('class_field')} the strokes of all classes are in one layer: give "
                f"{option('examples')} once."
            )
        params = MapParameters.from_dict(
            {
                "rasters": list(rasters),
                "output": output,
                "shapes": "network",
                "examples": strokes[0] if by_field else None,
                "like": [] if by_field else list(strokes),
                **asked,
            }
        )
        _map(console, params, "line")


@click.command()
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("output", type=click.Path(), metavar="OUTPUT")
@options_of(
    MapParameters,
    leave_out=("shapes", "road_class", "min_class_prob", "min_length", "max_gap"),
)
@_output_options
def surfaces(
    rasters: tuple[str, ...], output: str, quiet: bool, as_json: bool, **options: Any
) -> None:
    """Divide all of RASTER into classes: polygons that share their borders.

    The classes are those of examples; without any, those that the embedded model knows.
    """
    console = Console(quiet=quiet, as_json=as_json)
    with reporting(console):
        asked = parsed(MapParameters, options)
        params = MapParameters.from_dict(
            {"rasters": list(rasters), "output": output, "shapes": "coverage", **asked}
        )
        _map(console, params, "polygon")


def _flag_of_roads(name: str) -> str:
    """Examples of roads are strokes, whether a field says their class or not."""
    return "--strokes" if name in ("examples", "like") else flag_of(name)


def _map(console: Console, params: MapParameters, what: str) -> None:
    from ..jobs.classes.map_classes import map_classes

    with console.progress() as progress:
        result = map_classes(params, progress=progress)
    _tell(console, result, what)


def _tell(console: Console, result: JobResult, what: str) -> None:
    if console.as_json:
        console.give_json(asdict(result))
    else:
        console.say(f"{counted(result.features, what)} in {result.seconds:.1f} s: {result.output}")
    result.raise_if_incomplete()
