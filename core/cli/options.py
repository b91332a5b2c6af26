# SPDX-License-Identifier: GPL-2.0-or-later
"""Command-line options made from the parameters of ``job.py``, the one definition of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

import click

from ..job import SegmentParameters
from .values import numbers, pairs

F = TypeVar("F", bound=Callable[..., Any])

ARGUMENTS = ("rasters", "output")
"""Parameters that the command takes by their place."""


def flag_of(name: str) -> str:
    """What the command calls a parameter: ``--tile-size`` for ``tile_size``."""
    for known in fields(SegmentParameters):
        if known.name == name:
            return "--" + (known.metadata.get("flag") or name.replace("_", "-"))
    return "--" + name.replace("_", "-")


def job_options(function: F) -> F:
    """Give a command one option for each field of ``SegmentParameters``, in their order."""
    for known in reversed([f for f in fields(SegmentParameters) if f.name not in ARGUMENTS]):
        function = _option(known)(function)
    return function


def option_of(name: str) -> Callable[[F], F]:
    """The option of one field of ``SegmentParameters``, for other commands that have it too."""
    return _option(next(known for known in fields(SegmentParameters) if known.name == name))


def _option(known: Field[Any]) -> Callable[[F], F]:
    about = known.metadata
    text, flag = str(about["about"]), flag_of(known.name)
    kind = _kind(known)
    default = None if known.default is MISSING else known.default
    if kind == "bool":
        names = flag if default is False else f"{flag}/--no-{flag[2:]}"
        return click.option(names, known.name, default=default, is_flag=True, help=text)
    if about["unset"]:
        text += f" [default: {about['unset']}]"
    shown = default is not None and default != 0.0
    if kind == "list[str]":
        return click.option(flag, known.name, multiple=True, help=text)
    if kind.startswith("list["):
        return click.option(flag, known.name, help=text, metavar="NUMBERS")
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


def parsed(options: dict[str, Any]) -> dict[str, Any]:
    """Options as ``SegmentParameters`` wants them: lists of numbers out of their texts.

    Raises:
        ParameterError: A text holds something else, or not as many numbers as it should.
    """
    values = dict(options)
    for known in fields(SegmentParameters):
        if known.name not in values or known.name in ARGUMENTS:
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
