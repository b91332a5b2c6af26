# SPDX-License-Identifier: GPL-2.0-or-later
"""``evaluate``: compare polygons or lines with ground truth, in any CRS, within an area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ..errors import ParameterError
from ..job import EvaluateParameters, option
from ..layers.inputs import check_not_input, layer_input
from ..layers.provenance import provenance
from ..layers.reader import LINES, POLYGONS, LayerLike, VectorLayer, read_vector
from ..layers.record import ShortRun, newest, seen
from ..layers.writer import check_output
from ..parameters import plain
from ..sources.vector_input.paths import parts_of
from ..vectors.equal_area_plane import EqualAreaPlane, Shapes
from .error_layer import Compared, write_errors
from .figures import Figures, average_precision, figures
from .lines import Apls, Relaxed, apls, relaxed
from .objects import Bools, Floats, Matching, Objects, boundary_iou, match

SIZES = ("small", "medium", "large")
BUFFERS = (4.0, 8.0)
SCORE_FIELD = "score"
INSIDE = 0.5
"""Share of an object inside the area of interest from which it counts."""


@dataclass(frozen=True)
class SizeClass:
    """Figures of objects of a range of areas, m2; ``above`` None means without limit."""

    name: str
    least: float
    above: float | None
    figures: Figures


@dataclass(frozen=True)
class Evaluation:
    """How a result compares with a truth. Areas are m2, lengths m (CRS units without a CRS).

    Args:
        geometry: "polygon" or "line".
        unit: "m", or "units" where there is no CRS.
        overall: All polygons, whatever their class.
        classes: By class of the truth and the result; empty without a class field. Objects match
            within their class.
        mean_pq: Mean PQ over the classes of the truth.
        confusion: Pairs by "true class -> found class", matched whatever their class.
        sizes: By thirds of the true areas.
        boundary: Distance of the boundary IoU.
        relaxed: Of lines, at each buffer.
        apls: Of lines.
    """

    geometry: str
    unit: str
    overall: Figures | None = None
    classes: dict[str, Figures] = field(default_factory=dict)
    mean_pq: float | None = None
    confusion: dict[str, int] = field(default_factory=dict)
    sizes: tuple[SizeClass, ...] = ()
    boundary: float | None = None
    relaxed: tuple[Relaxed, ...] = ()
    apls: Apls | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON, without what does not apply."""
        return {k: v for k, v in asdict(self).items() if v not in (None, {}, (), [])}


def evaluate(
    result: LayerLike,
    truth: LayerLike,
    *,
    result_layer: str | None = None,
    truth_layer: str | None = None,
    class_field: str | None = None,
    truth_class_field: str | None = None,
    score_field: str | None = SCORE_FIELD,
    area: LayerLike | None = None,
    buffers: Sequence[float] = BUFFERS,
    boundary: float | None = None,
    errors: str | Path | None = None,
    overwrite: bool = False,
) -> Evaluation:
    """Compare a result with a truth.

    Args:
        result, truth: Paths or GeoDataFrames, both of polygons or both of lines, in any CRS.
        result_layer, truth_layer: Layers within the files.
        class_field: Field with the class, in both layers.
        truth_class_field: Its name in the truth where it has another there.
        score_field: Field of the result with scores, for AP; there is none for None, and in a layer
            without the usual one.
        area: Polygons inside which everything is known: objects count where at least half of them
            lies inside; lines are cut there.
        buffers: Distances for lines, m. The first is also the reach of APLS's control points.
        boundary: Distance for the boundary IoU, m; None: a tenth of the side of a square of the
            true objects' median area.
        errors: Layer to write with what went wrong, to look at (``error_layer.py``).
        overwrite: Replace that layer.

    Raises:
        ParameterError: A layer cannot be read or the two do not go together.
        OutputError: The layer of errors cannot be written.
    """
    if truth_class_field is not None and class_field is None:
        raise ParameterError(
            f"{option('truth_class_field')} {truth_class_field} says nothing without "
            f"{option('class_field')}: give both."
        )
    run = None
    buffers, boundary = plain(buffers), plain(boundary)
    if errors is not None:
        names = (result_layer, truth_layer, class_field, truth_class_field, score_field)
        asked = (*names, tuple(buffers), boundary)
        run = ShortRun(errors, None, "errors", (seen(result, truth, area), asked))
        check_output(errors, overwrite=overwrite or run.owns_output)
        compared_with = (("the result", result, result_layer), ("the truth", truth, truth_layer))
        inputs = [
            one
            for what, given, layer in (*compared_with, ("the area of interest", area, None))
            if isinstance(given, (str, Path))
            for one in layer_input(what, str(given), layer)
        ]
        check_not_input(errors, None, inputs)
    ours = read_vector(result, result_layer, parameter="result_layer", what="The result")
    if score_field not in (None, SCORE_FIELD):
        _check_scores(ours, score_field)
    theirs = read_vector(truth, truth_layer, parameter="truth_layer", what="The truth")
    kind = _common_kind(ours, theirs)
    around = theirs if len(theirs) else ours
    plane = EqualAreaPlane(around.shapes, around.crs)
    inside = None
    if area is not None:
        inside = _area(read_vector(area, what="The area of interest"), plane)
    if kind == "line":
        done, compared = _lines(ours, theirs, plane, inside, _checked(buffers))
    else:
        fields = class_field, truth_class_field or class_field
        done, compared = _polygons(ours, theirs, plane, inside, fields, score_field, boundary)
    if errors is not None and run is not None:
        files = [one for one in (result, truth) if isinstance(one, (str, Path))]
        layers = [
            (one, layer)
            for one, layer in ((result, result_layer), (truth, truth_layer))
            if isinstance(one, (str, Path))
        ]
        told = {
            "result_layer": result_layer,
            "truth_layer": truth_layer,
            "class_field": class_field,
            "truth_class_field": truth_class_field,
            "score_field": score_field,
            "area": area if isinstance(area, (str, Path)) else None,
            "buffers": list(buffers),
            "boundary": boundary,
        }
        with run.begun():
            write_errors(
                errors,
                compared,
                overwrite=overwrite or run.owns_output,
                modified=newest(*(parts_of(str(file), None)[0] for file in files)),
                before=run.before_output,
                provenance=provenance(EvaluateParameters, told, layers=layers),
            )
    return done


def _common_kind(result: VectorLayer, truth: VectorLayer) -> str:
    kinds = []
    for layer in (result, truth):
        types = shapely.get_type_id(layer.shapes)
        for name, numbers in (("polygon", POLYGONS), ("line", LINES)):
            if len(types) and np.isin(types, list(numbers)).all():
                kinds.append(name)
                break
        else:
            if len(types):
                raise ParameterError(
                    f"{layer.name} must hold polygons only, or lines only: split it by kind first."
                )
    if not kinds:
        raise ParameterError(f"{result.name} and {truth.name} are both empty: nothing to compare.")
    if len(set(kinds)) > 1:
        raise ParameterError(
            f"{result.name} holds {kinds[0]}s and {truth.name} {kinds[1]}s: give two layers of "
            "one kind."
        )
    return kinds[0]


def _checked(buffers: Sequence[float]) -> tuple[float, ...]:
    if not buffers or not all(np.isfinite(b) and b > 0 for b in buffers):
        raise ParameterError(f"Buffers are distances above 0, not {list(buffers)}.")
    return tuple(float(b) for b in buffers)


def _area(layer: VectorLayer, plane: EqualAreaPlane) -> Any:
    polygons = layer.shapes[np.isin(shapely.get_type_id(layer.shapes), list(POLYGONS))]
    if len(polygons) == 0:
        raise ParameterError(f"{layer.name} has no polygons: an area of interest needs one.")
    placed = shapely.make_valid(plane.place(polygons, layer.crs, layer.name))
    inside = shapely.union_all(placed)
    shapely.prepare(inside)
    return inside


# --- polygons ------------------------------------------------------------------------------------


def by_place(shapes: Shapes) -> NDArray[np.int64]:
    """An order of shapes that depends on nothing but where they lie."""
    if len(shapes) == 0:
        return np.empty(0, np.int64)
    order: NDArray[np.int64] = np.lexsort(
        (shapely.area(shapes), *np.round(shapely.bounds(shapes), 6).T[::-1])
    )
    return order


def _objects(
    layer: VectorLayer,
    plane: EqualAreaPlane,
    area: Any | None,
    class_field: str | None,
    score_field: str | None,
) -> Objects:
    placed = plane.place(layer.shapes, layer.crs, layer.name)
    wrong = np.flatnonzero(~shapely.is_valid(placed))
    for number in wrong.tolist():
        placed[number] = shapely.make_valid(
            placed[number], method="structure", keep_collapsed=False
        )
    size = shapely.area(placed)
    order = by_place(placed)
    order = order[size[order] > 0]
    shapes = placed[order]
    counted = np.ones(len(shapes), bool)
    if area is not None and len(shapes):
        inner = shapely.area(shapely.intersection(shapes, area))
        counted = inner >= INSIDE * size[order]
    labels = None if class_field is None else np.array(layer.texts(class_field), dtype=str)[order]
    scores = None
    if score_field is not None and score_field in layer.attributes.columns:
        numbers = _scores(layer, score_field)
        if np.isfinite(numbers).all():
            scores = numbers[order]
    return Objects(shapes, order, counted, labels, scores)


def _scores(layer: VectorLayer, field: str) -> Floats:
    """Values of a field; NaN for all where it has others than numbers."""
    values = np.asarray(layer.column(field), dtype=object)
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return np.full(len(values), np.nan)


def _check_scores(layer: VectorLayer, field: str) -> None:
    """Refuse a field of scores that was named and is none.

    Raises:
        ParameterError: It is missing, or not all of its values are numbers.
    """
    if not np.isfinite(_scores(layer, field)).all():
        raise ParameterError(
            f"The field {field} of {layer.name} has values that are no numbers: choose another "
            f"{option('score_field')}."
        )


def _polygons(
    result: VectorLayer,
    truth: VectorLayer,
    plane: EqualAreaPlane,
    area: Any | None,
    class_fields: tuple[str | None, str | None],
    score_field: str | None,
    boundary: float | None,
) -> tuple[Evaluation, Compared]:
    found = _objects(result, plane, area, class_fields[0], score_field)
    wanted = _objects(truth, plane, area, class_fields[1], None)
    if boundary is None:
        counted = wanted.area[wanted.counted]
        boundary = 0.1 * float(np.sqrt(np.median(counted))) if len(counted) else 1.0
    elif not (np.isfinite(boundary) and boundary > 0):
        raise ParameterError(f"The boundary distance must be above 0, not {boundary}.")
    matching = match(found, wanted)
    edges = _edges(found, wanted, matching, boundary)
    overall = figures(found, wanted, matching, edges, precisions=average_precision(found, wanted))
    classes, confusion = {}, {}
    if found.labels is not None and wanted.labels is not None:
        classes = _classes(found, wanted, boundary)
        pairs = zip(
            wanted.labels[matching.truth].tolist(),
            found.labels[matching.found].tolist(),
            wanted.counted[matching.truth].tolist(),
            strict=True,
        )
        names = [f"{true} -> {given}" for true, given, counts in pairs if counts]
        confusion = {name: names.count(name) for name in sorted(set(names))}
    of_truth = [f.pq for f in classes.values() if f.truth and f.pq is not None]
    done = Evaluation(
        "polygon",
        plane.unit,
        overall,
        classes,
        float(np.mean(of_truth)) if of_truth else None,
        confusion,
        _sizes(found, wanted, matching, edges),
        boundary,
    )
    return done, Compared(result, truth, found, wanted, matching, 0.0, plane, area)


def _edges(found: Objects, wanted: Objects, matching: Matching, boundary: float) -> Floats:
    return boundary_iou(found.shapes[matching.found], wanted.shapes[matching.truth], boundary)


def _classes(found: Objects, wanted: Objects, boundary: float) -> dict[str, Figures]:
    """Figures of each class, matched within it."""
    assert found.labels is not None
    assert wanted.labels is not None
    out = {}
    for name in sorted({*found.labels.tolist(), *wanted.labels.tolist()}):
        ours, theirs = found.of(found.labels == name), wanted.of(wanted.labels == name)
        matching = match(ours, theirs)
        out[name] = figures(
            ours,
            theirs,
            matching,
            _edges(ours, theirs, matching, boundary),
            precisions=average_precision(ours, theirs),
        )
    return out


def _sizes(
    found: Objects, wanted: Objects, matching: Matching, edges: Floats
) -> tuple[SizeClass, ...]:
    """Figures by thirds of the true areas."""
    areas = wanted.area
    if np.count_nonzero(wanted.counted) < len(SIZES):
        return ()
    limits = [0.0, *np.quantile(areas[wanted.counted], [1 / 3, 2 / 3]).tolist(), np.inf]
    out = []
    for name, low, high in zip(SIZES, limits, limits[1:], strict=False):
        in_found: Bools = (found.area >= low) & (found.area < high)
        in_truth: Bools = (areas >= low) & (areas < high)
        part = figures(found, wanted, matching, edges, of_found=in_found, of_truth=in_truth)
        out.append(SizeClass(name, low, None if np.isinf(high) else high, part))
    return tuple(out)


# --- lines ---------------------------------------------------------------------------------------


def _lines(
    result: VectorLayer,
    truth: VectorLayer,
    plane: EqualAreaPlane,
    area: Any | None,
    buffers: tuple[float, ...],
) -> tuple[Evaluation, Compared]:
    ours, theirs = (
        _cut(plane.place(layer.shapes, layer.crs, layer.name), area) for layer in (result, truth)
    )
    done = Evaluation(
        "line",
        plane.unit,
        relaxed=tuple(relaxed(ours, theirs, buffers)),
        apls=apls(ours, theirs),
    )
    return done, Compared(result, truth, None, None, None, buffers[0], plane, area)


def _cut(lines: Shapes, area: Any | None) -> Shapes:
    if area is None or len(lines) == 0:
        return lines
    cut: Shapes = shapely.intersection(lines, area)
    return cut
