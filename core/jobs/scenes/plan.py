# SPDX-License-Identifier: GPL-2.0-or-later
"""What a job would do, before it does it: scenes, tiles, bytes and time (``--dry-run``)."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import RasterError
from ...job import Progress, SegmentParameters
from ...notes import collected
from ...parameters import checked
from ...raster.areas import AreaOfInterest, MissesRaster
from ...raster.raster import Raster, open_raster
from ...segmenters.segmenter import Segmenter, TileImage, context_of
from ...sources.references import files_named
from ...sources.scenes import Scene, find_scenes, signed
from ...tiles.grid import Grid, Tile, choose_grid
from ..make_segmenter import make_segmenter
from ..one_raster import check_min_class_prob
from ..options import area_of_interest, check_options, raster_options
from ..result import Report
from ..scale import magnifies, scale_for
from ..stages.tile_stage import SegmenterFactory

MOST_OPENED = 400
"""Scenes that are opened; of more, so many evenly spread ones stand for all."""

MOST_BAD = 20
"""Scenes that cannot be opened which are named."""


@dataclass(frozen=True)
class Plan:
    """What a job would do.

    Args:
        scenes: Rasters that are worked on one by one; 1 for a mosaic.
        rasters: Rasters in all.
        opened: Scenes that were opened for this; where it is fewer, all figures are estimates.
        outside: Scenes beside the area of interest.
        tiles: Windows that the model would look at.
        pixels: Working pixels in these windows.
        file_bytes: Of the rasters' files on this machine; 0 where they are on servers.
        pixel_bytes: Of the bands that would be read, decoded.
        seconds_per_tile: Measured on one window; None where it could not be.
        seconds: Estimated for all, with this many workers; None where nothing was measured.
        workers: Processes.
        bad: Scenes that cannot be opened, each with the reason.
        notes: What else is worth knowing.
    """

    scenes: int
    rasters: int
    opened: int
    outside: int
    tiles: int
    pixels: int
    file_bytes: int
    pixel_bytes: int
    seconds_per_tile: float | None
    seconds: float | None
    workers: int
    bad: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class _Size:
    """What one raster or mosaic would cost."""

    tiles: int
    pixels: int
    file_bytes: int
    pixel_bytes: int


def plan(
    params: SegmentParameters,
    *,
    segmenter: Segmenter | SegmenterFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Plan:
    """Count what a job would do, and time the model on one window. Nothing is written.

    Args:
        params: Of the job, without prompts.
        segmenter: Instead of ``params.model``, as in :func:`~..run.run`.
        progress: Called with each step.
        cancelled: Asked at each step; True stops with ``Cancelled``.

    Raises:
        SamGeoError: See ``errors.py``.
    """
    params = checked(params)
    check_options(params, own_segmenter=segmenter is not None)
    check_min_class_prob(params, own_segmenter=segmenter is not None)
    report = Report(progress, cancelled)
    with collected():
        scenes = find_scenes(params.rasters, asset=params.asset, remote=params.allow_remote)
        groups = [[scene] for scene in scenes] if params.scenes != "mosaic" else [scenes]
        here = _made(params, segmenter)
        return _planned(params, groups, here, report)


def _made(
    params: SegmentParameters, segmenter: Segmenter | SegmenterFactory | None
) -> Callable[[Raster], Segmenter]:
    if segmenter is None:
        content = magnifies(params)
        return lambda raster: make_segmenter(
            replace(params, scale=scale_for(params.scale, raster, content=content))
        )
    made = segmenter if isinstance(segmenter, Segmenter) else segmenter()
    return lambda raster: made


def _planned(
    params: SegmentParameters,
    groups: Sequence[Sequence[Scene]],
    make: Callable[[Raster], Segmenter],
    report: Report,
) -> Plan:
    chosen = _spread(len(groups))
    sizes: list[_Size] = []
    bad: list[str] = []
    outside = 0
    here: Segmenter | None = None
    seconds_per_tile: float | None = None
    notes: list[str] = []
    report("scenes", 0, len(chosen))
    for done, number in enumerate(chosen, 1):
        group = groups[number]
        names = [signed(scene.source, params.sign) for scene in group]
        try:
            with open_raster(names, raster_options(params)) as raster:
                area = area_of_interest(params, raster)
                if here is None:
                    here = make(raster)
                grid = _grid(params, raster, here)
                tiles = [tile for tile in grid if _wanted(tile, area)]
                sizes.append(_size(raster, names, tiles))
                if seconds_per_tile is None and tiles and done >= len(chosen) // 2:
                    seconds_per_tile = _timed(raster, tiles, grid, here)
        except MissesRaster:
            outside += 1
        except RasterError as error:
            if len(groups) == 1:
                raise
            bad.append(f"{group[0].id}: {error}")
        report("scenes", done, len(chosen))
    share = len(groups) / len(chosen)
    if share > 1:
        notes.append(
            f"{len(chosen)} of {len(groups)} scenes were opened: the figures are estimates."
        )
    tiles_in_all = round(sum(size.tiles for size in sizes) * share)
    at_once = params.workers
    if params.cluster:
        notes.append("The time is for one worker: the cluster's number of workers divides it.")
        at_once = 1
    if params.scenes != "mosaic":
        at_once = min(at_once, max(1, len(groups)))
    if params.workers > (os.cpu_count() or 1):
        notes.append(f"This machine has {os.cpu_count()} processors.")
        at_once = min(at_once, os.cpu_count() or 1)
    return Plan(
        scenes=len(groups),
        rasters=sum(len(group) for group in groups),
        opened=len(chosen),
        outside=round(outside * share),
        tiles=tiles_in_all,
        pixels=round(sum(size.pixels for size in sizes) * share),
        file_bytes=round(sum(size.file_bytes for size in sizes) * share),
        pixel_bytes=round(sum(size.pixel_bytes for size in sizes) * share),
        seconds_per_tile=seconds_per_tile,
        seconds=None if seconds_per_tile is None else tiles_in_all * seconds_per_tile / at_once,
        workers=params.workers,
        bad=bad[:MOST_BAD] + ([f"and {len(bad) - MOST_BAD} more"] if len(bad) > MOST_BAD else []),
        notes=notes,
    )


def _spread(count: int) -> list[int]:
    if count <= MOST_OPENED:
        return list(range(count))
    return sorted({round(x) for x in np.linspace(0, count - 1, MOST_OPENED)})


def _grid(params: SegmentParameters, raster: Raster, segmenter: Segmenter) -> Grid:
    return choose_grid(
        raster.height,
        raster.width,
        segmenter.cell_size,
        params.tile_size,
        params.margin,
        context_of(segmenter),
    )


def _wanted(tile: Tile, area: AreaOfInterest | None) -> bool:
    return area is None or area.touches(tile.core)


def _size(raster: Raster, names: Sequence[str], tiles: Sequence[Tile]) -> _Size:
    windows = [tile.window.intersection(raster.bounds) for tile in tiles]
    pixels = sum(window.area for window in windows)
    info = raster.info
    band_bytes = sum(
        np.dtype(band.dtype).itemsize for band in info.bands if band.number in info.used_bands
    )
    working = raster.height * raster.width
    share = min(1.0, sum(tile.core.intersection(raster.bounds).area for tile in tiles) / working)
    source = info.size[0] * info.size[1]
    files = {file for name in names for file in files_named(name)}
    return _Size(
        len(tiles),
        pixels,
        round(share * sum(os.path.getsize(file) for file in files)),
        round(share * source * band_bytes),
    )


def _timed(raster: Raster, tiles: Sequence[Tile], grid: Grid, segmenter: Segmenter) -> float | None:
    """Seconds that one window takes, reading included: the median of those in the middle."""
    found = []
    middle = len(tiles) // 2
    for tile in tiles[middle : middle + 3]:
        if not raster.has_data(tile.core):
            continue
        started = time.monotonic()
        window = raster.read(tile.window)
        segmenter.segment(TileImage(tile, window.pixels, window.valid, grid.read_size, grid.cell))
        found.append(time.monotonic() - started)
    return statistics.median(found) if found else None
