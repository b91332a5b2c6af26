# SPDX-License-Identifier: GPL-2.0-or-later
"""Parsers for option values: lists of numbers, pairs, paths."""

from __future__ import annotations

import re
from typing import Any

from ..errors import ParameterError


def counted(number: int, what: str) -> str:
    """A number with its noun: 1 polygon, 2 polygons; 1 class, 2 classes."""
    many = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number:,} {what if number == 1 else many}"


def numbers(text: str | None, kind: type, name: str, length: int | None = None) -> list[Any] | None:
    """Numbers with commas between them; None where there is no text."""
    if text is None:
        return None
    try:
        values = [kind(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(
            f"{name} takes numbers with commas between them, not {text!r}."
        ) from None
    if length is not None and len(values) != length:
        raise ParameterError(
            f"{name} takes {length} numbers with commas between them, not {len(values)}: {text!r}."
        )
    return values


def pairs(text: str | None, name: str = "--stretch") -> list[list[float]] | None:
    """Numbers with commas between them as pairs of low and high, for one band or three."""
    # As Python and the documentation write them: [0, 255].
    values = numbers(None if text is None else re.sub(r"[][]", "", text), float, name)
    if values is None:
        return None
    if len(values) not in (2, 6):
        raise ParameterError(f"{name} takes low,high for all bands or for each of three: {text!r}.")
    return [values[i : i + 2] for i in range(0, len(values), 2)]
