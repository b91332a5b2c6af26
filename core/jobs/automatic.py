# SPDX-License-Identifier: GPL-2.0-or-later
"""The automatic job: raster, tiles, model, masks, merge, vectors, layer."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any, cast

from ..job import SegmentParameters
from ..merge import MaskSource, MergeOptions
from ..raster.areas import AreaOfInterest
from ..raster.raster import Raster
from ..segmenters.segmenter import PromptableSegmenter, Segmenter
from ..tiles.grid import Grid, Tile, choose_grid
from ..types import MergeMode
from ..vectors.features import FeatureMaker, VectorStage
from ..vectors.schema import WIDTH
from .folder import begun, executor_for, finish, writer_for
from .make_segmenter import make_segmenter
from .opened import keep_model
from .options import area_of_interest, tolerance_of
from .reprompt import SecondLook
from .result import JobResult, Report
from .tile_stage import SegmenterFactory, TileStage, segment_tiles
from .write_features import write_coverage, write_objects


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
    lines = params.outlines == "centerlines"
    writer = writer_for(params, raster, (WIDTH,) if lines else (), "line" if lines else "polygon")
    area = area_of_interest(params, raster)
    report("stretch", 0, 1)
    spec = raster.spec
    report("stretch", 1, 1)
    factory = _factory(params, segmenter)
    here = factory()
    grid = choose_grid(raster.height, raster.width, here.cell_size, params.tile_size, params.margin)
    with begun(params, grid.cell, _describe(raster, grid, here)) as store:
        stage = TileStage(spec, factory, grid, store)
        keep_model(stage.run, here)
        with executor_for(params, store) as executor:
            tiles, failed = segment_tiles(stage, partial(_wants, area), executor, report)
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
                    count = write_coverage(objects, masks, grid, maker, writer, executor, report)
                else:
                    vectors = VectorStage(store, grid, maker, params.outlines)
                    count = write_objects(objects, masks, vectors, writer, executor, report)
        finish(params, store, failed)
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


def _feature_maker(
    params: SegmentParameters, raster: Raster, model: str, area: AreaOfInterest | None
) -> FeatureMaker:
    t = raster.transform
    return FeatureMaker(
        transform=(t.a, t.b, t.c, t.d, t.e, t.f),
        crs=None if raster.crs is None else raster.crs.to_wkt(),
        model=model,
        source=raster.polygon_sources,
        tolerance=tolerance_of(params, raster),
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
