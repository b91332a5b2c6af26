# SPDX-License-Identifier: GPL-2.0-or-later
"""The objects of a layer get classes: from examples, or from a saved classifier.

``classify_layer`` takes any layer of polygons on a raster; ``segment_classes`` makes one first,
with lower thresholds than otherwise, because the classifier says what is worth keeping.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray

from ..classes.assign import unlike_all
from ..classes.examples import NONE, Example, read_examples
from ..classes.object_table import object_table
from ..classes.objects import ClassedObjects, ObjectClasses, ObjectLayer
from ..classes.rules import Rule, apply_rules, parse_rule
from ..classes.saved import SavedClassifier, save_classifier
from ..errors import ParameterError
from ..job import ClassifyParameters, Progress, RegularizeParameters, SegmentParameters, option
from ..layers.inputs import same_file
from ..layers.writer import LayerWriter, check_output
from ..masks.store import JobStore
from ..models.base import PromptableModel
from ..parallel.executors import check_main_module, make_executor
from ..prompts.prompts import PromptTransform
from ..raster.crs import declared_crs
from ..raster.raster import Raster, open_raster
from ..segmenters.segmenter import Segmenter
from ..tiles.grid import Grid
from ..vectors.geodesic import measure
from ..vectors.schema import CLASS, CLASS_PROBABILITY, FIELDS, GEOMETRY, Field, carried_fields
from .class_options import (
    about,
    check_options,
    check_output_of_classes,
    example_layers,
    has_classes,
    model_factory,
    saved_classifier,
)
from .feature_stage import FeatureSource, ModelFactory, close_all, feature_grid, pool_objects
from .make_segmenter import make_candidates
from .options import raster_options
from .regularize import regularize_layer
from .result import JobResult, Report
from .run import run
from .tile_stage import SegmenterFactory

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class PlacedLayer:
    """A layer of polygons and where it lies on a raster.

    Args:
        frame: The features with polygons, in their own CRS.
        polygons: (n,) the same in working pixels, valid.
        digest: Of the shapes: another one, other features.
    """

    frame: gpd.GeoDataFrame
    polygons: NDArray[Any]
    digest: str


def classify_layer(
    params: ClassifyParameters,
    *,
    factory: ModelFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Give the objects of a layer classes, without segmenting again.

    Args:
        params: What to do.
        factory: Makes the model, instead of ``params.model``; picklable where there are workers.
        progress: Called with each step.
        cancelled: Asked between tiles; True stops the job with ``Cancelled``.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays.
    """
    check_main_module()
    check_options(params)
    if not has_classes(params):
        raise ParameterError(
            f"Say what the classes are: {option('examples')} with {option('class_field')}, "
            f"{option('like')} and {option('unlike')}, or "
            f"{option('classifier')}."
        )
    rules = [parse_rule(text) for text in params.rules]
    if same_file(params.input, params.output):
        raise ParameterError("The output must be another file than the input.")
    started = time.monotonic()
    report = Report(progress, cancelled)
    with open_raster(params.rasters, raster_options(params)) as raster:
        placed = place_layer(params.input, params.input_layer, raster)
        examples = []
        if params.classifier is None:
            examples = read_examples(
                example_layers(params), raster.transform, raster.crs, raster.shape
            )
        check_output_of_classes(params, params.output, params.layer, raster, [])
        writer, names = _writer(params, placed.frame, raster, (CLASS, CLASS_PROBABILITY))
        report("stretch", 0, 1)
        spec = raster.spec
        report("stretch", 1, 1)
        factory = factory or model_factory(params)
        model = factory()
        saved = saved_classifier(params, "objects", model)
        grid = feature_grid(raster, params.tile_size, params.margin)
        source = FeatureSource(spec, factory, grid)
        store = JobStore(Path(params.job_folder or f"{params.output}.job"), grid.cell)
        store.begin(_describe(raster, model, placed, grid), fresh=params.fresh)
        try:
            with make_executor(params.workers, params.cluster) as executor:
                objects = object_layer(
                    raster,
                    placed,
                    examples,
                    source,
                    store.folder / "features",
                    executor,
                    report,
                    model,
                )
            asked = ObjectClasses(objects)
            if saved is None:
                marked = asked.mark(examples)
                classifier = asked.train(marked)
            else:
                marked, classifier = None, saved.classifier
            if params.save_classifier is not None:
                notes = about(raster, model, example_layers(params))
                save_classifier(
                    params.save_classifier, SavedClassifier(classifier, "objects", notes)
                )
            classed = asked.classify(classifier, marked, params.min_class_prob)
            frame = _with_drawn(placed.frame, objects, raster, model)
            frame = _classed(frame, classed, all_of_them=params.keep == "all")
            count = _write(_ruled(frame, rules, raster), writer, names)
            tiles = len(list(store.folder.glob("features/*/sums/*.npz")))
        finally:
            store.release()
            close_all()
    if params.job_folder is None:
        store.remove()
    return JobResult(
        str(writer.path),
        writer.layer_name,
        count,
        tiles,
        seconds=time.monotonic() - started,
    )


def place_layer(path: str, layer: str | None, raster: Raster) -> PlacedLayer:
    """Read a layer of polygons and bring it to a raster's pixels.

    Raises:
        ParameterError: It cannot be read, or holds no polygon.
    """
    try:
        info = pyogrio.list_layers(path)
        frame = pyogrio.read_dataframe(path, layer=layer or str(info[0][0]))
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise ParameterError(f"The layer {path} cannot be read ({error}).") from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise ParameterError(f"The layer {path} has no geometries.")
    good = frame.geometry.notna() & frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"])
    frame = _named(frame[good & ~frame.geometry.is_empty].reset_index(drop=True))
    if frame.empty:
        raise ParameterError(f"The layer {path} holds no polygons: only those can be classified.")
    crs = declared_crs(frame.crs)
    place = PromptTransform(raster.transform, raster.crs, None if raster.crs is None else crs)
    shapes = [
        shapely.make_valid(place.geometry(shapely.force_2d(geometry)))
        for geometry in frame.geometry
    ]
    polygons = np.array([*shapes, None], dtype=object)[:-1]
    digest = hashlib.sha256(b"".join(shapely.to_wkb(polygons).tolist())).hexdigest()[:32]
    return PlacedLayer(frame.set_crs(crs, allow_override=True), polygons, digest)


def _named(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The frame with its geometries in the column that the writer wants."""
    return frame if frame.geometry.name == GEOMETRY else frame.rename_geometry(GEOMETRY)


def object_layer(
    raster: Raster,
    placed: PlacedLayer,
    examples: Sequence[Example],
    source: FeatureSource,
    folder: Path,
    executor: Any,
    report: Tell,
    model: PromptableModel,
) -> ObjectLayer:
    """The objects of a layer with their features; polygons drawn as examples join them.

    A drawn polygon that is like an object of the layer means that object; one that is like none is
    an object of its own, at the end.
    """
    score, stability = (_numbers(placed.frame, name) for name in ("score", "stability"))
    drawn = _drawn(examples, placed.polygons)
    polygons = np.concatenate([placed.polygons, drawn])
    # Drawn polygons change what is pooled, and with it which sums are still good.
    digest = hashlib.sha256(b"".join(shapely.to_wkb(drawn).tolist())).hexdigest()[:16]
    sums, channels = pool_objects(source, folder / digest, polygons, executor, report)
    unknown = np.full(len(drawn), np.nan)
    score, stability = np.concatenate([score, unknown]), np.concatenate([stability, unknown])
    ground = [_ground(p, raster) for p in drawn]
    crs = None if raster.crs is None else raster.crs.to_wkt()
    area = np.concatenate(
        [measure(list(placed.frame.geometry), placed.frame.crs).area, measure(ground, crs).area]
    )
    table = object_table(sums, channels, model.info.fingerprint, polygons, area, score, stability)
    return ObjectLayer(polygons, table, score, stability)


def _drawn(examples: Sequence[Example], polygons: NDArray[Any]) -> NDArray[Any]:
    return np.array([*unlike_all(examples, polygons), None], dtype=object)[:-1]


def _ground(polygon: Any, raster: Raster) -> Any:
    a, b, c, d, e, f = raster.transform[:6]
    return shapely.transform(polygon, lambda xy: xy @ np.array([[a, d], [b, e]]) + [c, f])


def _numbers(frame: gpd.GeoDataFrame, name: str) -> NDArray[np.float64]:
    if name not in frame.columns or not pd.api.types.is_numeric_dtype(frame[name].dtype):
        return np.full(len(frame), np.nan)
    return np.asarray(frame[name], np.float64)


def _with_drawn(
    frame: gpd.GeoDataFrame, objects: ObjectLayer, raster: Raster, model: PromptableModel
) -> gpd.GeoDataFrame:
    """The layer's features, and one for each polygon that was drawn as an example."""
    drawn = objects.polygons[len(frame) :]
    if not len(drawn):
        return frame
    place = PromptTransform(raster.transform, raster.crs, None if raster.crs is None else frame.crs)
    shapes = [shapely.transform(shape, lambda xy: place.to_ground(xy[:, ::-1])) for shape in drawn]
    new = gpd.GeoDataFrame(
        {
            "id": [hashlib.blake2b(s.wkb, digest_size=8).hexdigest() for s in shapes],
            "prompt_type": "polygon",
            "model": model.info.name,
            "source": raster.name,
        },
        geometry=gpd.GeoSeries(shapes, crs=frame.crs),
        crs=frame.crs,
    )
    return gpd.GeoDataFrame(pd.concat([frame, new], ignore_index=True), crs=frame.crs)


def _classed(
    frame: gpd.GeoDataFrame, classed: ClassedObjects, *, all_of_them: bool
) -> gpd.GeoDataFrame:
    """Features with their classes; only those of a class, or all of them."""
    names = [name if kept else NONE for name, kept in zip(classed.names, classed.kept, strict=True)]
    frame = frame.assign(
        **{CLASS.name: names, CLASS_PROBABILITY.name: classed.probability.round(3)}
    )
    return frame if all_of_them else frame[classed.kept].reset_index(drop=True)


def _ruled(frame: gpd.GeoDataFrame, rules: Sequence[Rule], raster: Raster) -> gpd.GeoDataFrame:
    """Features after post-processing, measured anew."""
    shapes = np.array([*frame.geometry, None], dtype=object)[:-1]
    if rules:
        names = list(frame[CLASS.name]) if CLASS.name in frame else [NONE] * len(frame)
        pixel = _pixel_in(frame.crs, raster)
        shapes, keep = apply_rules(shapes, names, rules, frame.crs, pixel)
        frame, shapes = frame[keep].reset_index(drop=True), shapes[keep]
        frame = frame.set_geometry(gpd.GeoSeries(shapes, crs=frame.crs, index=frame.index))
    sizes = measure(list(shapes), frame.crs)
    return frame.assign(area_m2=sizes.area.round(3), perimeter_m=sizes.perimeter.round(3))


def _pixel_in(crs: Any, raster: Raster) -> float:
    """Side of a working pixel in the middle of the raster, in the units of a CRS."""
    place = PromptTransform(raster.transform, raster.crs, None if raster.crs is None else crs)
    row, col = raster.height / 2, raster.width / 2
    spots = place.to_ground([(row, col), (row, col + 1), (row + 1, col)])
    right, down = spots[1] - spots[0], spots[2] - spots[0]
    return math.sqrt(abs(float(right[0] * down[1] - right[1] * down[0])))


def _writer(
    params: ClassifyParameters | SegmentParameters,
    frame: gpd.GeoDataFrame,
    raster: Raster,
    said: Sequence[Field] = (),
) -> tuple[LayerWriter, dict[str, str]]:
    """The output: the layer's own fields, and the class. Names of fields that give way."""
    same = [f.name for f in FIELDS if f.name in frame and f.holds(frame[f.name])]
    anew = {"area_m2", "perimeter_m", *(field.name for field in said)}
    fields, names = carried_fields(frame.drop(columns=[*same, *(anew & {*frame} - {*same})]))
    writer = LayerWriter(
        params.output,
        params.crs or frame.crs,
        source_crs=frame.crs,
        layer_name=params.layer,
        overwrite=params.overwrite,
        fields=(*fields, *said),
        modified=raster.modified,
    )
    return writer, names


def _write(frame: gpd.GeoDataFrame, writer: LayerWriter, names: dict[str, str]) -> int:
    frame = frame.rename(columns=names)
    known = {field.name for field in writer.fields} | {GEOMETRY}
    with writer:
        if len(frame):
            writer.write(frame[[column for column in frame.columns if column in known]])
    return writer.count


def _describe(
    raster: Raster, model: PromptableModel, placed: PlacedLayer, grid: Grid
) -> dict[str, Any]:
    """What the pooled sums depend on."""
    return {
        "raster": {**raster.spec, "identity": raster.identity},
        "grid": asdict(grid),
        "model": model.info.fingerprint,
        "objects": placed.digest,
    }


def segment_classes(
    params: SegmentParameters,
    *,
    segmenter: Segmenter | SegmenterFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Segment a raster, then keep and process the objects of the classes.

    Candidates are looked for with lower thresholds than usual (``make_segmenter.py``): what is no
    object of a class goes by its class. Without classes the rules alone are applied.

    Args:
        params: What to do.
        segmenter: Instead of ``params.model`` for the candidates.
        progress: Called with each step.
        cancelled: Asked at each step.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays.
    """
    check_options(params)
    rules = [parse_rule(text) for text in params.rules]
    classes = has_classes(params)
    lines = params.outlines == "centerlines"
    if classes and params.prompts is not None:
        raise ParameterError(
            f"{option('prompts')} names the objects itself: classify its result with 'samgeo "
            f"classify'."
        )
    if params.save_classifier is not None and not classes:
        raise ParameterError(f"{option('save_classifier')} needs examples.")
    check_output(params.output, overwrite=params.overwrite, layer_name=params.layer)
    started = time.monotonic()
    folder = Path(params.job_folder or f"{params.output}.job")
    folder.mkdir(parents=True, exist_ok=True)
    target = str(folder / "classes.gpkg") if lines else params.output
    plain = replace(
        SegmentParameters([], ""),
        **{name: value for name, value in vars(params).items() if name not in _CLASS_OPTIONS},
        output=str(folder / "candidates.gpkg"),
        layer=None,
        overwrite=True,
        job_folder=str(folder / "candidates.job"),
        outlines="contour" if lines else params.outlines,
        min_area=0.0 if classes else params.min_area,
        crs=None,
    )
    if segmenter is None and classes and not params.words:
        segmenter = partial(make_candidates, plain)
    made = run(plain, segmenter=segmenter, progress=progress, cancelled=cancelled)
    if classes:
        least = [f"min-area={params.min_area!r}"] if params.min_area > 0 else []
        asked = ClassifyParameters(
            input=plain.output,
            output=target,
            overwrite=params.overwrite or lines,
            job_folder=str(folder / "features.job"),
            layer=None if lines else params.layer,
            rules=[*least, *params.rules],
            crs=None if lines else params.crs,
            **{name: getattr(params, name) for name in _SHARED_OPTIONS},
        )
        result = classify_layer(asked, progress=progress, cancelled=cancelled)
    else:
        result = _rules_alone(replace(params, output=target), plain.output, rules)
    if lines:
        straight = RegularizeParameters(
            target, params.output, method="centerlines", overwrite=params.overwrite
        )
        drawn = regularize_layer(straight, Report(progress, cancelled))
        result = replace(result, output=str(drawn["output"]), features=int(drawn["features"]))
    if params.job_folder is None and not made.failed:
        shutil.rmtree(folder, ignore_errors=True)
    return replace(
        result,
        tiles=made.tiles,
        failed=made.failed,
        seconds=time.monotonic() - started,
        warnings=[*made.warnings, *result.warnings],
    )


_CLASS_OPTIONS = frozenset(
    {
        *("examples", "class_field", "like", "unlike", "classifier", "save_classifier"),
        *("min_class_prob", "rules", "output", "layer", "overwrite", "job_folder", "outlines"),
        *("min_area", "crs"),
    }
)
_SHARED_OPTIONS = (
    *("rasters", "fresh", "model", "device", "precision", "threads", "workers", "cluster"),
    *("bands", "stretch", "resolution", "raster_crs", "overlap", "allow_remote", "tile_size"),
    *("margin", "examples", "class_field"),
    *("like", "unlike", "classifier", "save_classifier", "min_class_prob"),
)


def _rules_alone(params: SegmentParameters, found: str, rules: Sequence[Rule]) -> JobResult:
    """A layer after post-processing, without classes of examples."""
    with open_raster(params.rasters, raster_options(params)) as raster:
        check_output_of_classes(params, params.output, params.layer, raster, [])
        frame = _named(pyogrio.read_dataframe(found, layer=Path(found).stem))
        writer, names = _writer(params, frame, raster)
        count = _write(_ruled(frame, rules, raster), writer, names)
    return JobResult(str(writer.path), writer.layer_name, count, 0)
