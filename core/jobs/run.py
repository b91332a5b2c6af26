# SPDX-License-Identifier: GPL-2.0-or-later
"""One job, from its parameters to a layer: raster, tiles, model, masks, merge, vectors."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from ..errors import Cancelled, IncompleteError, ParameterError, SamGeoWarning
from ..job import ClassifyParameters, MapParameters, Progress, SegmentParameters
from ..layers.writer import LayerWriter, discard_leftovers
from ..masks.store import JobStore, has_failures
from ..merge import MaskSource, MergeOptions
from ..parallel.cancellation import stopped_by
from ..parallel.executors import check_main_module, make_executor
from ..raster.areas import AreaOfInterest
from ..raster.raster import Raster, RasterOptions, open_raster
from ..raster.stretch import Stretch
from ..segmenters.segmenter import PromptableSegmenter, Segmenter
from ..tiles.grid import Grid, Tile, choose_grid
from ..types import GroundBox, MergeMode
from ..vectors.features import FeatureMaker, VectorStage
from ..vectors.schema import WIDTH
from .class_options import has_classes
from .make_segmenter import make_segmenter
from .reprompt import SecondLook
from .tile_stage import SegmenterFactory, TileStage, close_all, segment_tiles
from .write_features import write_coverage, write_objects


@dataclass(frozen=True)
class JobResult:
    """What a job has made.

    Args:
        output: Path of the layer.
        layer: Its name in the file.
        features: Polygons in it.
        tiles: Tiles that were segmented (those without data are not counted).
        failed: Names of tiles that failed, each with its reason.
        seconds: Wall time.
        warnings: What was changed or left out on the way.
    """

    output: str
    layer: str
    features: int
    tiles: int
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def raise_if_incomplete(self) -> None:
        """Raise IncompleteError where tiles failed."""
        if self.failed:
            raise IncompleteError(
                f"{self.output} is incomplete: {len(self.failed)} tiles failed "
                f"({'; '.join(self.failed[:3])}{' ...' if len(self.failed) > 3 else ''}). "
                "Run the same command again to retry them."
            )


class Report:
    """Progress to whoever asked for it, and a cancel in return.

    Args:
        progress: Called with each step.
        cancelled: Asked at each step; True stops the job.
    """

    def __init__(
        self,
        progress: Callable[[Progress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._progress = progress
        self._cancelled = cancelled

    def check(self) -> None:
        """Raise Cancelled where the job is to stop."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("Stopped. What is finished is kept: the same job goes on from there.")

    def __call__(self, stage: str, done: int, total: int, message: str = "") -> None:
        self.check()
        if self._progress is not None:
            self._progress(Progress(None, stage, done, total, message))


def run(
    params: SegmentParameters,
    *,
    segmenter: Segmenter | SegmenterFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Run a job, or go on with one that was interrupted.

    Args:
        params: What to do.
        segmenter: Instead of ``params.model``: a segmenter, or a picklable function that makes
            one in each worker.
        progress: Called with each step.
        cancelled: Asked between tiles and within them; True stops the job with ``Cancelled``.

    Raises:
        SamGeoError: See ``errors.py``; no partial output stays. Where only some tiles failed, the
            output is written and ``JobResult.failed`` names them.
    """
    check_main_module()
    _check_together(params, segmenter)
    if params.rules or has_classes(params):
        # Candidates first, which this module makes, then their classes.
        from .classify import segment_classes

        return segment_classes(params, segmenter=segmenter, progress=progress, cancelled=cancelled)
    if params.prompts is not None and segmenter is None:
        # Prompts choose windows of their own: prompt_jobs.py is a pipeline beside this one.
        from .prompts import run_prompts

        return run_prompts(params, progress=progress, cancelled=cancelled)
    started = time.monotonic()
    report = Report(progress, cancelled)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SamGeoWarning)
        try:
            with stopped_by(report.check):
                result = _run(params, segmenter, report)
        finally:
            close_all()
    for other in caught:
        if not issubclass(other.category, SamGeoWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    # The raster is opened once a worker, and says the same each time.
    notes = [str(w.message) for w in caught if issubclass(w.category, SamGeoWarning)]
    notes = list(dict.fromkeys(notes))
    for note in notes:
        warnings.warn(note, SamGeoWarning, stacklevel=2)
    return JobResult(**{**vars(result), "seconds": time.monotonic() - started, "warnings": notes})


def _check_together(
    params: SegmentParameters, segmenter: Segmenter | SegmenterFactory | None
) -> None:
    """Refuse options that would be passed over in silence."""
    if params.prompts is not None and segmenter is not None:
        raise ParameterError(
            "A segmenter of your own finds objects by itself: leave out the prompts, or name a "
            "model instead."
        )
    if params.prompts is not None and params.words:
        raise ParameterError("Give either --prompts or --word, not both.")
    for option, value, usual in (
        ("points-per-side", params.points_per_side, SegmentParameters([], "").points_per_side),
        ("min-stability", params.min_stability, None),
    ):
        if params.words and value != usual:
            raise ParameterError(
                f"--{option} {value} belongs to the automatic mode, not to --word: leave it out."
            )
    for option, given, needed, there in (
        ("detector", params.detector, "word", bool(params.words)),
        ("extent-crs", params.extent_crs, "extent", params.extent is not None),
        ("prompts-layer", params.prompts_layer, "prompts", params.prompts is not None),
        ("prompt-id", params.prompt_id, "prompts", params.prompts is not None),
        ("prompt-label", params.prompt_label, "prompts", params.prompts is not None),
    ):
        if given is not None and not there:
            raise ParameterError(f"--{option} {given} says nothing without --{needed}: give both.")


def _run(
    params: SegmentParameters, segmenter: Segmenter | SegmenterFactory | None, report: Report
) -> JobResult:
    folder = Path(params.job_folder or f"{params.output}.job")
    lines = params.outlines == "centerlines"
    if params.shapes == "coverage" and params.outlines != "contour":
        raise ParameterError(f"A coverage has no outlines of the kind {params.outlines}.")
    if params.min_hole > 0 and (params.shapes == "coverage" or lines):
        raise ParameterError(
            f"A smallest hole ({params.min_hole:g} m2) does not go with "
            f"{'centre lines' if lines else 'a coverage'}: leave it out."
        )
    with open_raster(params.rasters, raster_options(params)) as raster:
        writer = LayerWriter(
            params.output,
            params.crs or raster.crs,
            source_crs=raster.crs,
            layer_name=params.layer,
            overwrite=params.overwrite or has_failures(folder),
            modified=raster.modified,
            geometry="line" if lines else "polygon",
            fields=(WIDTH,) if lines else (),
        )
        area = area_of_interest(params, raster)
        report("stretch", 0, 1)
        spec = raster.spec
        report("stretch", 1, 1)
        factory = _factory(params, segmenter)
        here = factory()
        grid = choose_grid(
            raster.height, raster.width, here.cell_size, params.tile_size, params.margin
        )
        store = JobStore(folder, grid.cell)
        store.begin(_describe(raster, grid, here), fresh=params.fresh)
        discard_leftovers(params.output)
        try:
            wants = partial(_wants, area)
            stage = TileStage(spec, factory, grid, store)
            with make_executor(params.workers, params.cluster) as executor:
                tiles, failed = segment_tiles(stage, wants, executor, report)
                store.clear_patched()  # of a run that was stopped, perhaps with other options
                merging = MergeOptions(mode=cast(MergeMode, params.mode))
                look = SecondLook(stage, area, merging, executor, report)
                objects = look.merged()
                masks: MaskSource = store
                if isinstance(here, PromptableSegmenter):
                    if params.overview and tiles > 1:  # else nothing is larger than a tile
                        objects, masks = look.from_afar(objects, masks)
                    if params.repair:
                        objects, masks = look.at_what_was_cut(objects, masks)
                maker = _feature_maker(params, raster, here.name, area)
                with writer:
                    if params.shapes == "coverage":
                        count = write_coverage(
                            objects, masks, grid, maker, writer, executor, report
                        )
                    else:
                        vectors = VectorStage(store, grid, maker, params.outlines)
                        count = write_objects(objects, masks, vectors, writer, executor, report)
        finally:
            store.release()
    if not failed and params.job_folder is None:
        store.remove()
    return JobResult(str(writer.path), writer.layer_name, count, tiles, failed)


def _wants(area: AreaOfInterest | None, tile: Tile) -> bool:
    return area is None or area.touches(tile.core)


def _factory(
    params: SegmentParameters, segmenter: Segmenter | SegmenterFactory | None
) -> SegmenterFactory:
    if segmenter is None:
        return partial(make_segmenter, params)
    return partial(_itself, segmenter) if isinstance(segmenter, Segmenter) else segmenter


def _itself(segmenter: Segmenter) -> Segmenter:
    return segmenter


def raster_options(
    params: SegmentParameters | ClassifyParameters | MapParameters,
) -> RasterOptions:
    """How a job looks at its raster."""
    return RasterOptions(
        bands=None if params.bands is None else tuple(params.bands),
        stretch=_stretch(params),
        resolution=params.resolution,
    )


def _stretch(
    params: SegmentParameters | ClassifyParameters | MapParameters,
) -> Stretch | None:
    if params.stretch is None:
        return None
    if any(len(pair) != 2 for pair in params.stretch):
        raise ParameterError(f"A stretch takes pairs of low and high, not {params.stretch}.")
    return Stretch(tuple(p[0] for p in params.stretch), tuple(p[1] for p in params.stretch))


def area_of_interest(params: SegmentParameters, raster: Raster) -> AreaOfInterest | None:
    if params.extent is not None and params.area is not None:
        raise ParameterError("Give either --extent or --area, not both.")
    if params.extent is not None:
        return AreaOfInterest.from_extent(GroundBox(*params.extent), params.extent_crs, raster)
    if params.area is not None:
        return AreaOfInterest.from_layer(params.area, raster)
    return None


def _feature_maker(
    params: SegmentParameters, raster: Raster, model: str, area: AreaOfInterest | None
) -> FeatureMaker:
    t = raster.transform
    half_pixel = 0.5 * min(math.hypot(t.a, t.d), math.hypot(t.b, t.e))
    return FeatureMaker(
        transform=(t.a, t.b, t.c, t.d, t.e, t.f),
        crs=None if raster.crs is None else raster.crs.to_wkt(),
        model=model,
        source=raster.name,
        tolerance=half_pixel if params.simplify is None else params.simplify,
        min_area=params.min_area,
        min_hole=params.min_hole,
        area=area,
    )


def _describe(raster: Raster, grid: Grid, segmenter: Segmenter) -> dict[str, Any]:
    """What the masks depend on, and with it the right to go on with a job's tiles."""
    return {
        "raster": {**raster.spec, "identity": raster.identity},
        "grid": asdict(grid),
        "model": segmenter.name,
        "segmenter": segmenter.fingerprint,
    }
