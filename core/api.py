# SPDX-License-Identifier: GPL-2.0-or-later
"""``segment``: the engine as one Python function, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd

from .errors import ParameterError
from .in_memory import (
    ArrayRaster,
    frame_of,
    layer_path,
    raster_paths,
    set_times,
    temporary_folder,
    with_index_field,
)
from .job import Progress, SegmentParameters, option
from .jobs.run import run
from .jobs.stages.tile_stage import SegmenterFactory
from .parameters import parameters_of
from .segmenters.segmenter import Segmenter
from .types import MergeMode, Shapes

if TYPE_CHECKING:
    from rasterio.io import DatasetReader


def segment(
    raster: str | Path | DatasetReader | ArrayRaster | Sequence[str | Path | DatasetReader],
    output: str | Path | None = None,
    *,
    segmenter: Segmenter | SegmenterFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    layer: str | None = None,
    overwrite: bool = False,
    stac_item: bool = False,
    part_size: int | None = None,
    fresh: bool = False,
    job_folder: str | Path | None = None,
    model: str | Path = "embedded",
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    workers: int = 1,
    cluster: str | None = None,
    bands: Sequence[int] | None = None,
    stretch: Sequence[Sequence[float]] | None = None,
    resolution: float | None = None,
    extent: Sequence[float] | None = None,
    extent_crs: str | None = None,
    area: str | Path | gpd.GeoDataFrame | None = None,
    area_layer: str | None = None,
    raster_crs: str | None = None,
    overlap: str = "auto",
    allow_remote: bool = False,
    scenes: str = "mosaic",
    duplicates: str = "date",
    asset: str | None = None,
    sign: str | None = None,
    scale: float | None = None,
    tile_size: int | None = None,
    margin: int | None = None,
    mode: MergeMode = "hierarchy",
    shapes: Shapes = "objects",
    outlines: str = "contour",
    repair: bool = True,
    overview: bool = True,
    proposals: str = "auto",
    classes: Sequence[str] = (),
    points_per_side: int = 32,
    min_score: float | None = None,
    min_stability: float | None = None,
    min_area: float = 0.0,
    min_hole: float = 0.0,
    simplify: float | None = None,
    crs: str | None = None,
    prompts: str | Path | gpd.GeoDataFrame | None = None,
    prompts_layer: str | None = None,
    prompt_as: str = "auto",
    prompt_id: str | None = None,
    prompt_label: str | None = None,
    words: Sequence[str] = (),
    detector: str | None = None,
    exemplars: str | Path | gpd.GeoDataFrame | None = None,
    examples: str | Path | gpd.GeoDataFrame | None = None,
    class_field: str | None = None,
    like: Sequence[str | Path] = (),
    unlike: Sequence[str | Path] = (),
    classifier: str | Path | None = None,
    save_classifier: str | Path | None = None,
    min_class_prob: float = 0.5,
    rules: Sequence[str] = (),
) -> Path | gpd.GeoDataFrame:
    """Segment a raster into polygons.

    Args:
        raster: Path, URL, folder, pattern, list, STAC document or pystac object, open rasterio
            dataset or :class:`ArrayRaster`, or several, which make one mosaic.
        output: Layer to write; its extension chooses the format. None returns the polygons.
        segmenter: Instead of ``model=``: an object with the members of
            :class:`~samgeo_core.Segmenter`, or a picklable function that makes one.
        progress: Called with each step.
        layer: Name of the layer in the output. None: the output's name.
        overwrite: Replace an existing output.
        stac_item: Write a STAC item with the model's fields beside the output (NAME.stac.json).
        part_size: GeoParquet only: write a folder of files with this many objects each. None: one
            file.
        fresh: Forget what an earlier, unfinished run of the same job has done.
        job_folder: Folder in which finished tiles are kept, and stay. None: a folder beside the
            output, removed at the end.
        model: A name of 'samgeo models list', or the path of a file of weights.
        device: Where the model runs: auto, cpu, cuda, cuda:1, mps.
        precision: Number type of the model's matrix products; auto chooses by device.
            bfloat16 halves the time on CPUs that have it (AMX); fastest measures once which is
            fastest here.
        threads: CPU threads per process. None: one per core.
        workers: Processes.
        cluster: Address of a Dask scheduler, instead of worker processes.
        bands: Three band numbers from 1 (or one), shown as red, green, blue. None: by colour.
        stretch: [low, high] for all bands, or for each: what is black and what is white. None:
            computed once for the whole raster.
        resolution: Size of a working pixel, units of the raster's CRS. None: the raster's own.
        extent: Area of interest: xmin, ymin, xmax, ymax. None: the whole raster.
        extent_crs: CRS of the extent. None: the raster's.
        area: Polygon layer that is the area of interest. A path or a GeoDataFrame.
        area_layer: Layer within the area's file.
        raster_crs: CRS of the raster, for a file that names none or a wrong one. None: what the
            file says.
        overlap: Which of several rasters is on top where they overlap. auto: the last one; rasters
            of one place on different dates are refused. error: no overlap is allowed.
        allow_remote: Fetch what a local file refers to on a server, and take the raw bytes of
            another file for pixels where it says so.
        scenes: Several rasters: mosaic takes them as one; each writes one layer per raster, OUTPUT
            being like maps/{scene}.gpkg; layer writes one layer with the source and date of each
            object.
        duplicates: Objects that overlapping scenes show twice, in one layer: date leaves out those
            of one date and keeps the others; place keeps the newest of a place; keep leaves all.
        asset: Asset of STAC items. None: the only raster, or the one for looking at.
        sign: Function that signs addresses, module:function, e.g. planetary_computer:sign_url.
        scale: Pixels of the embedded model per working pixel, in every window: 0.25, 0.5, 1, 2
            or 4. None: 1, or 2 where a pixel has 0.4 m or more; doubled where objects are small.
        tile_size: Side of a window, pixels. None: the model's.
        margin: Pixels by which a window exceeds the core that its tile owns. None: an eighth of
            the window.
        mode: hierarchy keeps objects within objects; flat joins parts into one.
        shapes: One polygon per object, or a coverage without gaps and overlaps.
        outlines: As seen, with right angles (buildings), or as centre lines (roads).
        repair: Ask the model again for objects that tiles have cut.
        overview: Look for objects larger than half a window at a quarter of the resolution.
        proposals: What automatic mode prompts: what the embedded model expects to be objects, or a
            grid of points. auto: embedded for that model, grid for others.
        classes: Keep only objects of this class of the embedded model: building, road, water,
            trees, field, bare ground, vehicle, other. May be repeated. Of buildings that share
            ground the likeliest is kept, from a score of 0.45 or min_score.
        points_per_side: Automatic mode: points per side of the grid on a window.
        min_score: Smallest predicted IoU of a mask that is kept. None: the model's; with prompts,
            all are kept.
        min_stability: Smallest stability of a mask that is kept. None: the model's; with prompts,
            all are kept.
        min_area: Smallest object, square metres.
        min_hole: Smallest hole, square metres.
        simplify: Tolerance of simplification, units of the raster's CRS. None: half a working
            pixel; coverages: one and a half.
        crs: CRS of the output, e.g. EPSG:4326. None: the raster's.
        prompts: Layer of prompts: one polygon per feature, instead of automatic mode. A path or a
            GeoDataFrame.
        prompts_layer: Layer within the prompts' file.
        prompt_as: How features become prompts; auto: points as they are, lines as strokes
            along the object, polygons as boxes. The parts of a feature ask for one object
            together.
        prompt_id: Field whose value becomes prompt_id. None: the feature's id; of a GeoDataFrame,
            its index as text.
        prompt_label: Field whose value becomes label.
        words: A word to look for, with a model that understands words; may be repeated.
        detector: Model that finds words or exemplars, where the model itself cannot.
        exemplars: Layer of boxes or polygons around objects, for SAM 3: what looks like them is
            found. The class field, or the file's name, is the label; empty values are what not to
            find. A path or a GeoDataFrame.
        examples: Layer of examples: only objects of its classes are written; goes with the class
            field. A path or a GeoDataFrame.
        class_field: Field of the examples or exemplars that holds the class; empty values mean
            none of the classes.
        like: Layer of examples of one class, named as the file; may be repeated.
        unlike: Layer of examples of none of the classes; may be repeated.
        classifier: A saved classifier (.samgeo-classes), instead of examples.
        save_classifier: File in which the trained classifier is saved.
        min_class_prob: Smallest probability of an object's class.
        rules: Post-processing, by class or for all, e.g. 'building: square, min-area=10' or
            'largest-part'; may be repeated. Also smooth=, max-area=, min-elongation=,
            max-elongation=, min-rectangularity=, max-rectangularity=.

    Returns:
        The path of the output, or a GeoDataFrame in the raster's CRS (or ``crs=``).

    Raises:
        SamGeoError: See ``errors.py``. IncompleteError where some tiles failed: the output, if one
            was named, is written, and the same call retries them.
    """
    given = {
        name: value
        for name, value in locals().items()
        if name not in ("raster", "output", "segmenter", "progress")
    }
    if output is None and scenes == "each":
        raise ParameterError(
            f"{option('scenes')} each writes one layer per scene: name the output, like "
            "maps/{scene}.gpkg."
        )
    if output is None and stac_item:
        raise ParameterError(f"{option('stac_item')} is written beside the output: name one.")
    job = job_folder if job_folder is not None or output is None else f"{output}.job"
    with temporary_folder(job) as folder:
        elsewhere = workers != 1 or cluster is not None
        paths = raster_paths(raster, folder, for_processes=elsewhere)
        target = folder / "polygons.gpkg" if output is None else Path(output)
        if given["prompt_id"] is None:
            given["prompts"], given["prompt_id"] = with_index_field(given["prompts"])
        for layer_of in ("prompts", "area", "exemplars", "examples"):
            given[layer_of] = layer_path(given[layer_of], folder, layer_of)
        set_times(folder)
        values = {"rasters": paths, "output": target, **given}
        params = parameters_of(SegmentParameters, values)
        run(params, segmenter=segmenter, progress=progress).raise_if_incomplete()
        if output is not None:
            return target
        return frame_of(target, params.layer or target.stem)
