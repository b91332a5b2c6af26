# SPDX-License-Identifier: GPL-2.0-or-later
"""Post-processing by class: which objects are kept, and how their outlines are drawn.

A rule is a text, ``building: square, min-area=10`` or, for all classes, ``largest-part``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..job import option
from ..notes import warn
from ..types import BoolArray
from ..vectors.contours import polygon_parts
from ..vectors.geodesic import measure
from ..vectors.local_plane import LocalPlane, squared
from .features.shape_features import shape_measures

ALL = "*"
"""Class of a rule for all classes."""

ARC = 6
"""Edges of a quarter of a circle that rounding draws."""

ROUND = 0.03
"""Tolerance, in radii, of the simplification after it: 6 cm for a radius of 2 m."""


@dataclass(frozen=True)
class Rule:
    """What is done to the objects of a class; shapes change first, then filters look at them.

    Args:
        class_name: The class, or :data:`ALL`.
        largest_part: Keep only the largest part of a multipolygon.
        smooth: Radius in metres of rounding: what is narrower than twice of it goes or closes.
        square: Right angles, where they suit the shape.
        min_area: Least area, m2.
        max_area: Largest area, m2.
        min_elongation: Least of 1 - short side / long side, 0 for a square.
        max_elongation: Largest likewise.
        min_rectangularity: Least share of the smallest rotated rectangle that the shape fills.
        max_rectangularity: Largest likewise.
    """

    class_name: str = ALL
    largest_part: bool = False
    smooth: float = 0.0
    square: bool = False
    min_area: float = 0.0
    max_area: float = np.inf
    min_elongation: float = 0.0
    max_elongation: float = 1.0
    min_rectangularity: float = 0.0
    max_rectangularity: float = 1.0


_FLAGS = ("largest-part", "square")
_SHARES = ("min-elongation", "max-elongation", "min-rectangularity", "max-rectangularity")
_NUMBERS = ("smooth", "min-area", "max-area", *_SHARES)


def parse_rule(text: str) -> Rule:
    """A rule from its text.

    Raises:
        ParameterError: A word is unknown, or a number is missing, negative, or above 1 where it
            is a share.
    """
    name, colon, body = text.rpartition(":")
    name, words = (name.strip() if colon else ALL), body if colon else text
    changed: dict[str, Any] = {}
    for word in (part.strip() for part in words.split(",")):
        key, equals, value = (part.strip() for part in word.partition("="))
        if key in _FLAGS and not equals:
            changed[key.replace("-", "_")] = True
        elif key in _NUMBERS and equals:
            changed[key.replace("-", "_")] = _number(value, word, 1.0 if key in _SHARES else np.inf)
        else:
            raise ParameterError(
                f"The rule {text!r:.80} has the unknown part {word!r:.40}: use "
                f"{', '.join(_FLAGS)}, or {'=..., '.join(_NUMBERS)}=..."
            )
    return replace(Rule(name or ALL), **changed)


def _number(value: str, word: str, most: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not (np.isfinite(number) and 0 <= number <= most):
        wanted = "from 0" if np.isinf(most) else f"from 0 to {most:g}"
        raise ParameterError(f"The rule {word!r:.80} needs a number {wanted}, not {value!r:.20}.")
    return number


def apply_rules(
    polygons: NDArray[Any],
    names: Sequence[str],
    rules: Sequence[Rule],
    crs: Any,
    pixel: float,
    frame: Any = None,
) -> tuple[NDArray[Any], BoolArray]:
    """Shapes as the rules want them, and which of them stay.

    Args:
        polygons: (n,) shapes on the ground.
        names: Their classes.
        rules: Applied in their order, each to its class.
        crs: Of the ground, or None for a plane.
        pixel: Side of a pixel in the units of ``crs``: right angles ignore shorter sides.
        frame: The raster's outline in ``crs``: right angles do not lead beyond it. None for no
            bounds.
    """
    _say_unknown(rules, names)
    shapes = polygons.copy()
    keep = np.ones(len(shapes), bool)
    for rule in rules:
        rows = [k for k, name in enumerate(names) if rule.class_name in (ALL, name) and keep[k]]
        for row in rows:
            shapes[row] = _shaped(shapes[row], rule, crs, pixel, frame)
        rows = [row for row in rows if not shapes[row].is_empty]
        chosen = shapes[rows]
        empty = np.array([shape.is_empty for shape in shapes], bool).reshape(-1)
        keep &= ~empty
        if not rows:
            continue
        planes = np.array([LocalPlane(s, crs).there(s) for s in chosen], dtype=object)
        measures = shape_measures(planes)
        area = measure(chosen, crs).area
        keep[rows] &= (
            (area >= rule.min_area)
            & (area <= rule.max_area)
            & (measures.elongation >= rule.min_elongation)
            & (measures.elongation <= rule.max_elongation)
            & (measures.rectangularity >= rule.min_rectangularity)
            & (measures.rectangularity <= rule.max_rectangularity)
        )
    return shapes, keep


def _say_unknown(rules: Sequence[Rule], names: Sequence[str]) -> None:
    """Warn of rules for classes that no object is of: a slip of the pen, perhaps."""
    known = sorted({name for name in names if name})
    unknown = sorted({rule.class_name for rule in rules} - {ALL, *known})
    if names and unknown:
        warn(
            f"No object is of the class {' or '.join(repr(name) for name in unknown)} that a rule "
            f"({option('rules')}) names: the classes found are {', '.join(known) or 'none'}."
        )


def _shaped(shape: Any, rule: Rule, crs: Any, pixel: float, frame: Any) -> Any:
    if rule.largest_part:
        parts = list(polygon_parts(shape))
        shape = max(parts, key=lambda part: (float(part.area), part.wkb)) if parts else shape
    if rule.smooth > 0:
        plane = LocalPlane(shape, crs)
        flat = plane.there(shape)
        radius = rule.smooth / plane.metres(shape)
        # Closing, then opening: notches are filled before spikes are cut.
        for step in (radius, -2 * radius, radius):
            flat = flat.buffer(step, quad_segs=ARC)
        shape = plane.back(flat.simplify(ROUND * radius))
    if rule.square and not shape.is_empty:
        shape = squared(shape, crs, 1.5 * pixel, frame)
    return shape
