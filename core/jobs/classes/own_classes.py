# SPDX-License-Identifier: GPL-2.0-or-later
"""Maps without an example: the classes that the model itself knows.

What the embedded model says of every cell (``models/embedded/heads.py``) is two of its maps, the
image and the image at half its size; their weighted sum is linear, so that it is a classifier of
cells like one that was fitted to strokes, and a map is made, fused and drawn in the same way.

An object is of one class. So a cell's logits are averaged with those of the objects that the model
finds there (:func:`settled`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...classes.classifier import Classifier
from ...classes.features.window_features import channel_names
from ...errors import ParameterError
from ...job import MapParameters, option
from ...masks.masks import Mask
from ...models.base import PromptableModel
from ...models.embedded.classes import CLASSES, HALF_SIZE_WEIGHT
from ...models.embedded.model import EmbeddedModel
from ...models.feature_levels import feature_levels
from ...types import CellBox, FloatArray

BLANK = 64
"""Side of an image that is encoded to see what the model's maps are called, pixels."""

NEAR, FAR = "classes", "classes_by2"
"""The maps with the logits of classes, of the image and of it at half its size."""

OBJECT_SHARE = 0.5
"""Weight of what a cell's objects are in its logits. Mean area under the curve of buildings on what
was held back with 0, 0.5 and 1: Banepa's south-west .870, .885, .890, Nairobi's roofs .952, .957,
.955, Claremont .893, .906, .907, Dubai .971, .978, .980; of roads of Claremont .914, .918, .908, of
Dubai .950, .956, .951; of trees of Claremont .960, .960, .946. Basins of the head's depth in place
of masks gain half of that or nothing."""


def own_classifier(model: PromptableModel, *, lines: bool) -> Classifier:
    """The classifier of cells that says what the model says.

    Args:
        model: The job's.
        lines: For the error: whether roads are drawn.

    Raises:
        ParameterError: It knows no classes.
    """
    if not isinstance(model, EmbeddedModel) or not model.proposes:
        say = (
            f"Say what roads are: strokes along some ({option('like')}) and on what is none "
            f"({option('unlike')})"
            if lines
            else f"Say what the classes are: examples ({option('examples')}, {option('like')} and "
            f"{option('unlike')})"
        )
        raise ParameterError(
            f"{model.info.name} knows no classes of its own. {say}, or {option('classifier')}; or "
            "choose the embedded model."
        )
    blank = np.zeros((BLANK, BLANK, 3), np.uint8)
    names = channel_names(feature_levels(model.encode([blank])[0]))
    weights = np.zeros((len(names), len(CLASSES)), np.float32)
    for number in range(len(CLASSES)):
        for level, share in ((NEAR, 1 - HALF_SIZE_WEIGHT), (FAR, HALF_SIZE_WEIGHT)):
            weights[names.index(f"{level}:{number}"), number] = share / model.class_temperature
    columns = len(names)
    return Classifier(
        classes=CLASSES,
        names=tuple(names),
        mean=np.zeros(columns, np.float32),
        scale=np.ones(columns, np.float32),
        clip=0.0,
        weights=weights,
        bias=np.zeros(len(CLASSES), np.float32),
        model=model.info.fingerprint,
    )


def check_own_classes(params: MapParameters, *, given: bool) -> None:
    """Refuse names that the model does not know, and names that would be passed over in silence.

    Args:
        params: Of the job.
        given: Examples or a saved classifier are.

    Raises:
        ParameterError: Naming what can be chosen.
    """
    lines = params.shapes == "network"
    if lines and params.classes:
        raise ParameterError(
            f"{option('classes')} chooses among polygons; the class whose lines are drawn is "
            f"{option('road_class')}."
        )
    if not lines and params.road_class is not None:
        raise ParameterError(
            f"{option('road_class')} is the class whose lines are drawn, and polygons are asked "
            f"for: leave it out, or take {option('shapes')} network."
        )
    if given and params.classes:
        raise ParameterError(
            f"{option('classes')} chooses among the classes that the model knows, but the examples "
            "or the classifier say what the classes are: leave one of them out."
        )
    asked = [("classes", name) for name in params.classes]
    if not given and params.road_class is not None:
        asked.append(("road_class", params.road_class))
    for key, name in asked:
        if name not in CLASSES:
            raise ParameterError(
                f"The embedded model knows no class {name!r} ({option(key)}): choose from "
                f"{', '.join(CLASSES)}, or give examples."
            )


def settled(
    logits: FloatArray, box: CellBox, cell: int, masks: Sequence[Mask], mask_cell: int
) -> FloatArray:
    """Logits of cells, averaged with those of the objects that the cells lie in.

    Args:
        logits: (k, h, w) on ``box``.
        box: Cells of the raster's lattice.
        cell: Side of these, pixels.
        masks: Of the objects, on the lattice of mask cells; of several over a cell each counts
            with its score.
        mask_cell: Side of these, pixels.

    Returns:
        (k, h, w) float32.
    """
    total = np.zeros(logits.shape, np.float64)
    weight = np.zeros(box.shape, np.float64)
    # The cells of the masks in which the centres of the map's cells lie.
    rows = (2 * np.arange(box.row0, box.row1) + 1) * cell // (2 * mask_cell)
    cols = (2 * np.arange(box.col0, box.col1) + 1) * cell // (2 * mask_cell)
    for mask in masks:
        top, bottom = np.searchsorted(rows, (mask.box.row0, mask.box.row1)).tolist()
        left, right = np.searchsorted(cols, (mask.box.col0, mask.box.col1)).tolist()
        down, across = rows[top:bottom] - mask.box.row0, cols[left:right] - mask.box.col0
        inside = mask.logits[down[:, None], across[None]] > 0
        if not inside.any():
            continue
        part = (slice(None), slice(top, bottom), slice(left, right))
        mean = logits[part][:, inside].mean(axis=1, dtype=np.float64)
        share = inside * max(mask.score, 1e-3)
        total[part] += mean[:, None, None] * share
        weight[part[1:]] += share
    found = weight > 0
    of_objects = np.where(found, total / np.where(found, weight, 1.0), logits)
    return np.asarray((1 - OBJECT_SHARE) * logits + OBJECT_SHARE * of_objects, np.float32)
