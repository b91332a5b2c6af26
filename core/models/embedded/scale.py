# SPDX-License-Identifier: GPL-2.0-or-later
"""How much images are magnified before the embedded network sees them.

The scale belongs to a job: it is chosen once, from the size of a pixel on the ground and from how
large the raster's objects are, is part of the model's fingerprint, and is the same for every tile,
every window and every click.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

from ...errors import ParameterError
from ..base import ModelInfo

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Network pixels per image pixel."""

DOUBLED_FROM = 0.4
"""Metres per pixel from which images are magnified twice: a small house has 20 pixels there, and
the network's masks have cells of 2 pixels. On held-back training places objects of less than 18
pixels have an IoU of .02 to .05 more so, those of 18 to 64 about the same, larger ones less."""

NOMINAL = 0.01
"""Share by which a pixel may be smaller on the ground than it is called: a national survey's 0.4 m
are 0.3998 m at the edge of a UTM zone, and its sheets have one scale."""

SMALL_OBJECT = 45.0
"""Network pixels: where the longer sides of half of the boxes that are proposed are shorter than
this, twice the scale finds more. On roofs of Catanduanes and Nairobi and fields of the Midwest at
7 cm to 12 m (training places), by that median: with 38 to 41 the share of objects that is found
rose from .24, .34, .35 to .66, .55, .61, and one click from .45, .43, .52 to .62, .65, .61; with 52
to 55 recall rose by .03 to .05 and clicks by .01, but most of the many masks more were of nothing
that is known. (Those medians are of proposals that lay at least 12 px apart; small ones may lie
nearer now, which makes the medians up to a tenth shorter: hence 45 and not 50.)"""


_SCALED = re.compile(r"-x([0-9.]+)$")
"""In a fingerprint: what :func:`at_scale` puts there."""


def check_scale(scale: float) -> None:
    """Refuse other numbers.

    Raises:
        ParameterError: It is none of :data:`SCALES`.
    """
    if scale not in SCALES:
        known = ", ".join(f"{value:g}" for value in SCALES)
        raise ParameterError(f"The scale is {scale:g}, but must be one of {known}.")


def choose_scale(pixel: float | None) -> float:
    """The scale for a ground resolution.

    Args:
        pixel: Side of a working pixel, metres; None where nobody knows.

    Returns:
        1 for aerial images, 2 for coarser ones.
    """
    if pixel is None or not math.isfinite(pixel) or pixel < (1 - NOMINAL) * DOUBLED_FROM:
        return 1.0
    return 2.0


def scale_in(fingerprint: str) -> float:
    """The scale of a model that has this fingerprint."""
    found = _SCALED.search(fingerprint)
    return float(found[1]) if found else 1.0


def at_scale(info: ModelInfo, scale: float) -> ModelInfo:
    """What the model says of itself at a scale: windows of ``input_size`` image pixels have as many
    network pixels as usual."""
    if scale == 1.0:
        return info
    return replace(
        info,
        fingerprint=f"{info.fingerprint}-x{scale:g}",
        input_size=round(info.input_size / scale),
        cell=None if info.cell is None else info.cell / scale,
        context=round(info.context / scale),
        step=round(info.step / scale),
    )
