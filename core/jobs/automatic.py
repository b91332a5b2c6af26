# SPDX-License-Identifier: GPL-2.0-or-later
"""The automatic job: raster, tiles, model, masks, merge, vectors, layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, cast

from ..errors import ModelError, ParameterError
from ..job import SegmentParameters, option
from ..layers.inputs import layer_input
from ..layers.provenance import ModelUsed
from ..layers.writer import LayerWriter
from ..merge import MaskSource, Merged, MergeOptions
from ..models.base import ModelInfo
from ..notes import warn
from ..parallel.executors import Executor
from ..raster.areas import AreaOfInterest
from ..raster.raster import Raster
from ..segmenters.automatic import AutomaticSegmenter, single_of
from ..segmenters.segmenter import PromptableSegmenter, Segmenter, context_of
from ..tiles.grid import Grid, Tile, choose_grid
from ..types import MergeMode
from ..vectors.features import FeatureMaker, VectorStage
from ..vectors.schema import CLASS, CLASS_PROBABILITY, WIDTH, Field
from .folder import Output, executor_for
from .make_segmenter import exemplar_segmenter_of, make_segmenter
from .options import area_of_interest, check_tolerance, is_given, tolerance_of
from .result import NO_POLYGONS, JobResult, Report, all_left_out
from .scale import Scalable, magnifies, no_choice, scale_for
from .stages.exemplars import read_exemplars
from .stages.opened import keep_model
from .stages.reprompt import SecondLook
from .stages.tile_stage import SegmenterFactory, TileStage, segment_tiles
from .stages.write_features import write_coverage, write_objects


def segment_tiles_of(
    params: SegmentParameters,
    raster: Raster,
    segmenter: Segmenter | SegmenterFactory | None,
    report: Report,
) -> JobResult:
    """Everything in a raster, tile by tile.

    Args:
        params: What to do; no prompts.
        raster: Open, with the job's bands and resolution.
        segmenter: As in :func:`~.run.run`.
        report: Told of progress.
    """
    check_tolerance(params, raster)
    lines = params.outlines == "centerlines"
    area = area_of_interest(params, raster)
    report("stretch", 0, 1)
    spec = raster.worker_spec
    report("stretch", 1, 1)
    content = segmenter is None and magnifies(params)
    chosen = replace(params, scale=scale_for(params.scale, raster, content=content))
    factory = _factory(chosen, segmenter, raster)
    here = factory()
    _check_segmenter(here)
    proposed = isinstance(here, AutomaticSegmenter) and here.options.proposals == "embedded"
    if proposed and is_given(params, "points_per_side"):
        warn(
            f"{option('points_per_side')} {params.points_per_side} was passed over: it is about a "
            f"grid of points, and the embedded model proposes objects without one. Leave it out, "
            f"or choose {option('proposals')} grid."
        )
    scalable = isinstance(getattr(here, "model", None), Scalable)
    if params.scale is not None and not scalable:
        raise no_choice(here.name)
    scale = chosen.scale if scalable else None
    fields: tuple[Field, ...] = (CLASS, CLASS_PROBABILITY) if _gives_classes(here) else ()
    fields += (WIDTH,) if lines else ()
    inputs = layer_input("the exemplars", params.exemplars)
    output = Output.of(params, raster, fields, "line" if lines else "polygon", inputs)
    asked = params.tile_size, params.margin
    grid = choose_grid(raster.height, raster.width, here.cell_size, *asked, context_of(here))
    description = _describe(raster, grid, here)
    output.says(_model_of(here))
    with output.begun(grid.cell, description) as store:
        stage = TileStage(spec, factory, grid, store)
        keep_model(stage.run, here)
        job = _Job(params, report, raster, area, stage, here, output.writer, scale)
        return output.once(store, description, job.write)


@dataclass(frozen=True)
class _Job:
    """A job that has begun: its folder is locked, its output may be written."""

    params: SegmentParameters
    report: Report
    raster: Raster
    area: AreaOfInterest | None
    stage: TileStage
    segmenter: Segmenter
    writer: LayerWriter
    scale: float | None

    def write(self, announce: Callable[[Callable[[], JobResult]], None]) -> JobResult:
        """Segment, merge and write; see :meth:`~.folder.Output.once`."""
        params, stage, writer = self.params, self.stage, self.writer
        with executor_for(params, stage.store) as executor:
            wants = partial(_wants, self.area)
            tiles, failed = segment_tiles(stage, wants, executor, self.report)
            if failed and not tiles:
                raise ModelError(
                    f"None of the {len(failed)} tiles could be segmented; the first failed with: "
                    f"{failed[0]}"
                )

            notes: list[str] = []

            def result() -> JobResult:
                path, layer = str(writer.path), writer.layer_name
                notes[:] = [] if writer.count else [self._why_none(objects, tiles)]
                return JobResult(
                    path, layer, writer.count, tiles, failed, warnings=notes, scale=self.scale
                )

            objects, masks, missed = self._merged(executor, tiles)
            failed += missed
            announce(result)
            maker = _feature_maker(params, self.raster, self.segmenter, self.area)
            with writer:
                given = (maker, writer, executor, self.report)
                if params.shapes == "coverage":
                    write_coverage(objects, masks, stage.grid, *given)
                else:
                    vectors = VectorStage(stage.store, stage.grid, maker, params.outlines)
                    write_objects(objects, masks, vectors, *given[1:])
        return result()

    def _merged(self, executor: Executor, tiles: int) -> tuple[Merged, MaskSource, list[str]]:
        """Objects from the tiles' masks, what they are made of after a second look, and the
        windows of that look that failed, with the reason."""
        params, store = self.params, self.stage.store
        store.clear_patched()  # of a run that was stopped, perhaps with other options
        mode = cast(MergeMode, params.mode)
        merging = MergeOptions(mode=mode, single=single_of(self.segmenter))
        look = SecondLook(self.stage, self.area, merging, executor, self.report)
        objects, masks = look.merged(), cast(MaskSource, store)
        if isinstance(self.segmenter, PromptableSegmenter):
            if params.overview and tiles > 1:  # else nothing is larger than a tile
                objects, masks = look.from_afar(objects, masks)
            if params.repair:
                objects, masks = look.at_what_was_cut(objects, masks)
        return objects, masks, look.failed

    def _why_none(self, objects: Merged, tiles: int) -> str:
        if tiles:
            return _why_none(self.params, self.segmenter, objects)
        part = self.params.extent is not None or self.params.area is not None
        return f"{NO_POLYGONS}the raster has no data{' where objects are wanted' if part else ''}."


def _why_none(params: SegmentParameters, segmenter: Segmenter, objects: Merged) -> str:
    """What to change where no polygon was written."""
    if len(objects):
        filters = [f"{option('min_area')} {params.min_area:g} m2"] if params.min_area > 0 else []
        filters += ["the extent"] if params.extent is not None else []
        filters += ["the area of interest"] if params.area is not None else []
        return all_left_out(len(objects), filters)
    if params.words or params.exemplars is not None:
        what = "other exemplars" if params.exemplars is not None else "other words"
        return (
            f"{NO_POLYGONS}nothing was found for {', '.join(params.words) or 'the exemplars'}. "
            f"Lower {option('min_score')}, or try {what}."
        )
    if not isinstance(segmenter, AutomaticSegmenter):
        return f"{NO_POLYGONS}{segmenter.name} found nothing. Try another {option('resolution')}."
    limits = {"score": least_score(segmenter), "stability": segmenter.options.stability_threshold}
    reached = [f"a {name} of {least:g}" for name, least in limits.items() if least]
    given = {"min_score": params.min_score, "min_stability": params.min_stability}
    lower = [option(name) for name, least in given.items() if least is None or least > 0]
    kinds = f" of the class {' or '.join(params.classes)}" if params.classes else ""
    others = f" Other classes may be there: leave {option('classes')} out." if kinds else ""
    return (
        f"{NO_POLYGONS}no mask{kinds} "
        f"{'reached ' + ' and '.join(reached) if reached else 'was found'}. "
        f"{'Lower ' + ' or '.join(lower) + ', or try' if lower else 'Try'} "
        f"another {option('resolution')}.{others}"
    )


def least_score(segmenter: AutomaticSegmenter) -> float:
    """Score that an object of automatic mode has at least."""
    least = segmenter.options
    if not segmenter.judges_again:
        return least.score_threshold or 0.0
    only_buildings = set(least.classes) == {"building"}
    return max(least.judged_score or 0.0, least.building_score if only_buildings else 0.0)


def _gives_classes(segmenter: Segmenter) -> bool:
    """Whether every object says what the embedded model takes it for."""
    return bool(getattr(segmenter, "gives_classes", False))


def _wants(area: AreaOfInterest | None, tile: Tile) -> bool:
    return area is None or area.touches(tile.core)


def _factory(
    params: SegmentParameters, segmenter: Segmenter | SegmenterFactory | None, raster: Raster
) -> SegmenterFactory:
    if segmenter is None and params.exemplars is not None:
        boxes = read_exemplars(params, raster)
        return partial(exemplar_segmenter_of, params, boxes, raster.worker_spec)
    if segmenter is None:
        return partial(make_segmenter, params)
    if isinstance(segmenter, Segmenter) and not isinstance(segmenter, type):
        return partial(_itself, segmenter)
    if not callable(segmenter):
        _check_segmenter(segmenter)
    return cast(SegmenterFactory, segmenter)


def _check_segmenter(made: Any) -> None:
    """Refuse what is no segmenter.

    Raises:
        ParameterError: It lacks members.
    """
    members = ("name", "fingerprint", "cell_size", "segment")
    missing = [member for member in members if not hasattr(made, member)]
    if missing:
        raise ParameterError(
            f"{type(made).__name__} is no segmenter, for it has no {' and no '.join(missing)}: see "
            "samgeo_core.Segmenter. A model goes by its name instead, as model=."
        )


def _itself(segmenter: Segmenter) -> Segmenter:
    return segmenter


def _feature_maker(
    params: SegmentParameters, raster: Raster, segmenter: Segmenter, area: AreaOfInterest | None
) -> FeatureMaker:
    t = raster.transform
    return FeatureMaker(
        transform=(t.a, t.b, t.c, t.d, t.e, t.f),
        crs=None if raster.crs is None else raster.crs.to_wkt(),
        model=segmenter.name,
        source=raster.polygon_sources,
        tolerance=tolerance_of(params, raster),
        min_area=params.min_area,
        min_hole=params.min_hole,
        area=area,
        classes=_gives_classes(segmenter),
    )


def _model_of(segmenter: Segmenter) -> ModelUsed:
    """The model within a segmenter, or the segmenter where it is of the caller's own."""
    info = getattr(getattr(segmenter, "model", None), "info", None)
    if isinstance(info, ModelInfo):
        return ModelUsed.of(info)
    return ModelUsed(segmenter.name, fingerprint=segmenter.fingerprint)


def _describe(raster: Raster, grid: Grid, segmenter: Segmenter) -> dict[str, Any]:
    """What the masks depend on, and with it the right to go on with a job's tiles."""
    return {
        "raster": raster.description,
        "grid": asdict(grid),
        "model": segmenter.name,
        "segmenter": segmenter.fingerprint,
    }
