# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's exemplars: boxes around the features of a layer, with their classes."""

from __future__ import annotations

from collections.abc import Iterable

import shapely

from ...classes.examples import Example, ExampleLayer, read_examples
from ...errors import PromptError
from ...job import SegmentParameters
from ...raster.raster import Raster
from ...segmenters.exemplars import ExemplarBox


def read_exemplars(params: SegmentParameters, raster: Raster) -> tuple[ExemplarBox, ...]:
    """The boxes of the layer ``params.exemplars``, in working pixels.

    Raises:
        PromptError: The layer cannot be read, none lies on the raster, or it has points only.
        ParameterError: It lacks the class field.
    """
    if params.exemplars is None:
        return ()
    layer = ExampleLayer.named_as_file(params.exemplars)
    if params.class_field is not None:
        layer = ExampleLayer(params.exemplars, params.class_field)
    return exemplar_boxes(read_examples([layer], raster.transform, raster.crs, raster.shape))


def exemplar_boxes(examples: Iterable[Example]) -> tuple[ExemplarBox, ...]:
    """Boxes around examples that are outlines.

    Raises:
        PromptError: None of them is of a class, or all are points and lines.
    """
    found = []
    for example in examples:
        if example.kind in ("box", "polygon"):
            col0, row0, col1, row1 = shapely.bounds(example.geometry).tolist()
            found.append(ExemplarBox((row0, col0, row1, col1), example.class_name))
    if not found:
        raise PromptError(
            "Exemplars must be boxes or polygons around objects, not points or lines: draw some."
        )
    if not any(box.name for box in found):
        raise PromptError(
            "All exemplars are of none of the classes: draw a box around one object to find."
        )
    return tuple(found)
