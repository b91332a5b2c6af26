# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine as one Python function."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import geopandas as gpd

from .errors import ParameterError
from .job import MessageError, Progress, SegmentParameters
from .jobs.run import run
from .jobs.tile_stage import SegmenterFactory
from .segmenters.segmenter import Segmenter
from .types import MergeMode, Shapes

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SegmentOptions(TypedDict, total=False):
    """Keywords of :func:`segment`: the fields of ``SegmentParameters``, described there."""

    layer: str | None
    overwrite: bool
    fresh: bool
    job_folder: str | Path | None
    model: str | Path
    device: str
    precision: str
    threads: int | None
    workers: int
    cluster: str | None
    bands: Sequence[int] | None
    stretch: Sequence[Sequence[float]] | None
    resolution: float | None
    extent: Sequence[float] | None
    extent_crs: str | None
    area: str | Path | None
    tile_size: int | None
    margin: int | None
    mode: MergeMode
    shapes: Shapes
    outlines: str
    repair: bool
    overview: bool
    points_per_side: int
    min_score: float | None
    min_stability: float | None
    min_area: float
    min_hole: float
    simplify: float | None
    crs: str | None
    prompts: str | Path | None
    prompts_layer: str | None
    prompt_as: str
    prompt_id: str | None
    prompt_label: str | None
    words: Sequence[str]
    detector: str | None


def _plain(value: object) -> object:
    """A value as JSON has it: paths as text, tuples (a rasterio dataset's bounds) as lists."""
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def segment(
    raster: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    segmenter: Segmenter | SegmenterFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    **options: Unpack[SegmentOptions],
) -> Path | gpd.GeoDataFrame:
    """Segment a raster into polygons.

    Args:
        raster: Path, URL or folder, or several that make one mosaic.
        output: Layer to write; its extension chooses the format. None returns the polygons.
        segmenter: Instead of ``model=``: an object with the members of
            :class:`~samgeo_core.Segmenter`, or a picklable function that makes one.
        progress: Called with each step.
        **options: The fields of :class:`~samgeo_core.job.SegmentParameters`, which are the
            command's options. Paths may be ``Path``, and lists tuples.

    Returns:
        The path of the output, or a GeoDataFrame in the raster's CRS (or ``crs=``).

    Raises:
        SamGeoError: See ``errors.py``. IncompleteError where some tiles failed: the output, if one
            was named, is written, and the same call retries them.
    """
    rasters = [raster] if isinstance(raster, (str, Path)) else list(raster)
    with tempfile.TemporaryDirectory(prefix="samgeo-") as folder:
        target = Path(folder) / "polygons.gpkg" if output is None else Path(output)
        values = {"rasters": [str(r) for r in rasters], "output": str(target), **options}
        try:
            params = SegmentParameters.from_dict({k: _plain(v) for k, v in values.items()})
        except MessageError as error:
            raise ParameterError(str(error)) from error
        run(params, segmenter=segmenter, progress=progress).raise_if_incomplete()
        return (
            target
            if output is not None
            else gpd.read_file(target, layer=params.layer or target.stem)
        )
