# SPDX-License-Identifier: GPL-2.0-or-later
"""Command-line options, generated from the parameters in ``job``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

import click

from ..job import (
    ClassifyParameters,
    EvaluateParameters,
    ExportLabelsParameters,
    ImportLabelsParameters,
    MapParameters,
    SegmentParameters,
    TrackParameters,
    TrainParameters,
    UpdateParameters,
)
from .values import numbers, pairs

F = TypeVar("F", bound=Callable[..., Any])

PARAMETERS: tuple[type, ...] = (
    SegmentParameters,
    ClassifyParameters,
    UpdateParameters,
    MapParameters,
    TrackParameters,
    TrainParameters,
    EvaluateParameters,
    ExportLabelsParameters,
    ImportLabelsParameters,
)
"""Of commands whose options are made from their parameters; one name has one flag in all."""

_FLAGS = {
    known.name: known.metadata["flag"]
    for parameters in PARAMETERS
    for known in fields(parameters)
    if known.metadata.get("flag")
}


def flag_of(name: str) -> str:
    """What the command calls a parameter: ``--tile-size`` for ``tile_size``."""
    return "--" + (_FLAGS.get(name) or name.replace("_", "-"))


def options_of(parameters: type, *names: str, leave_out: Sequence[str] = ()) -> Callable[[F], F]:
    """Give a command one option for each field of its parameters that has a default.

    Args:
        parameters: A class of ``job``.
        names: The fields, in this order; all of them where none is named.
        leave_out: Fields that are no options of this command.
    """
    known = {f.name: f for f in fields(parameters) if f.metadata}
    chosen = [known[name] for name in names or known if name not in leave_out]

    def decorate(function: F) -> F:
        for each in reversed(chosen):
            function = _option(each)(function)
        return function

    return decorate


def _option(known: Field[Any]) -> Callable[[F], F]:
    about = known.metadata
    text, flag = str(about["about"]), flag_of(known.name)
    kind = _kind(known)
    default = None if known.default is MISSING else known.default
    if kind == "bool" and default is None:
        text += f" [default: {about['unset']}]"
        return click.option(f"{flag}/--no-{flag[2:]}", known.name, default=None, help=text)
    if kind == "bool":
        names = flag if default is False else f"{flag}/--no-{flag[2:]}"
        return click.option(names, known.name, default=default, is_flag=True, help=text)
    if about["unset"]:
        text += f" [default: {about['unset']}]"
    shown = default is not None and default not in (0.0, "")
    if kind == "list[str]":
        return click.option(flag, known.name, multiple=True, help=text)
    if kind.startswith("list["):
        usual = None
        if known.default_factory is not MISSING:
            usual = ",".join(f"{value:g}" for value in known.default_factory())
        return click.option(
            flag, known.name, help=text, metavar="NUMBERS", default=usual, show_default=bool(usual)
        )
    return click.option(
        flag, known.name, type=_type(known, kind), default=default, show_default=shown, help=text
    )


def _kind(known: Field[Any]) -> str:
    """The annotation of a field, without its Optional."""
    declared = str(known.type)
    return declared[len("Optional[") : -1] if declared.startswith("Optional[") else declared


def _type(known: Field[Any], kind: str) -> click.ParamType[Any]:
    about = known.metadata
    if about.get("choices"):
        return click.Choice(about["choices"])
    least, most = about["least"], about["most"]
    if kind == "int":
        return click.IntRange(least, most) if (least, most) != (None, None) else click.INT
    if kind == "float":
        return click.FloatRange(least, most) if (least, most) != (None, None) else click.FLOAT
    return click.STRING


def parsed(parameters: type, options: dict[str, Any]) -> dict[str, Any]:
    """Options as a class of parameters wants them: lists of numbers out of their texts.

    Raises:
        ParameterError: A text holds something else, or not as many numbers as it should.
    """
    values = dict(options)
    for known in fields(parameters):
        if known.name not in values or not known.metadata:
            continue
        kind = _kind(known)
        given, flag = values[known.name], flag_of(known.name)
        if known.name == "stretch":
            values[known.name] = pairs(given, flag)
        elif kind == "list[str]":
            values[known.name] = list(given)
        elif kind.startswith("list["):
            number = int if kind == "list[int]" else float
            values[known.name] = numbers(given, number, flag, known.metadata["length"])
    return values
