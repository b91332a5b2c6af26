# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage that pools features under objects, tile by tile; runs in any number of workers.

A job's folder holds, for every tile, the objects that reach into it and, when the tile is done,
their sums; so a stage carries paths and a job that was killed goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from ...classes.features.object_features import PooledSums, add_up, pool
from ...classes.features.window_features import (
    WindowFeatures,
    feature_cell,
    map_cell,
    window_features,
)
from ...errors import JobError
from ...masks.masks import Mask
from ...merge.fuse import tile_weights
from ...models.base import ModelInfo, PromptableModel
from ...models.embedded.model import EmbeddedModel
from ...models.embedding_cache import EmbeddingCache
from ...parallel.atomic_write import write_atomically
from ...parallel.executors import ONE_AT_A_TIME, Executor, new_run
from ...raster.raster import Raster
from ...segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from ...segmenters.segmenter import TileImage
from ...tiles.grid import Grid, Tile, choose_grid
from ...types import TileIndex
from ..scale import scaled
from ..stages.opened import model_of, opened
from ..stages.prompt_stage import ModelFactory

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FeatureSource:
    """Gives the features of a tile: raster, model and encodings. Picklable.

    Args:
        spec: The raster with the job's stretch (``Raster.spec``).
        factory: Makes the model; called once per process.
        grid: The tiles, of :func:`feature_grid` or :func:`map_grid`.
        cached: Whether encodings are kept on disk for later jobs and sessions.
        run: Names this run of the job among all others.
    """

    spec: Mapping[str, Any]
    factory: ModelFactory
    grid: Grid
    cached: bool = True
    run: str = field(default_factory=new_run)

    def features(self, tile: Tile) -> WindowFeatures | None:
        """Of a tile; None where it has no data."""
        model = model_of(self.run, self.factory)
        here = opened(self.run, "features", self._open)
        raster, cache = here.raster, here.cache
        if not raster.has_data(tile.core):
            return None
        window = raster.read(tile.window)
        if not window.valid.any():
            return None
        return window_features(tile, window, self.grid, model, cache)

    def objects(self, tile: Tile) -> tuple[list[Mask], int]:
        """What the embedded model takes for objects in a tile's window.

        Returns:
            Their masks on the raster's lattice, and the side of its cells, pixels.
        """
        model = cast(EmbeddedModel, model_of(self.run, self.factory))
        here = opened(self.run, "features", self._open)
        window = here.raster.read(tile.window)
        segmenter = AutomaticSegmenter(
            model, AutomaticOptions(proposals="embedded", pairs=False), model
        )
        size = self.grid.window_size
        cell = segmenter.cell_size(size)
        image = TileImage(tile, window.pixels, window.valid, size, cell)
        return list(segmenter.segment(image).masks), cell

    def _open(self) -> _Opened:
        cache = EmbeddingCache() if self.cached else EmbeddingCache(None)
        return _Opened(Raster.from_spec(self.spec), cache)


@dataclass(frozen=True)
class _Opened:
    """What a process has open for a run's features."""

    raster: Raster
    cache: EmbeddingCache

    def close(self) -> None:
        self.raster.close()


@dataclass(frozen=True)
class ScaledModel:
    """Makes the model at a job's scale: what finds the objects also says what they are. Picklable.

    Args:
        make: Makes the model.
        scale: See :func:`~..scale.scale_for`; models that have no choice pass it over.
    """

    make: ModelFactory
    scale: float

    def __call__(self) -> PromptableModel:
        """The model of this process."""
        return scaled(self.make(), self.scale, None)


def feature_grid(raster: Raster, tile_size: int | None, margin: int | None) -> Grid:
    """The tiles in which the features of a raster's objects are computed."""
    return choose_grid(raster.height, raster.width, feature_cell, tile_size, margin)


def map_grid(
    raster: Raster, model: ModelInfo, tile_size: int | None, margin: int | None, *, lines: bool
) -> Grid:
    """The tiles in which a raster's map of classes is computed, for surfaces or for ``lines``."""
    cell = partial(map_cell, own=model.cell, lines=lines)
    return choose_grid(raster.height, raster.width, cell, tile_size, margin)


@dataclass(frozen=True)
class PoolStage:
    """A tile -> the sums of its channels under the objects that reach into it. Picklable.

    Args:
        source: Gives the tile's features.
        folder: Where the objects of the tiles lie, and where the sums go.
    """

    source: FeatureSource
    folder: Path

    def __call__(self, index: TileIndex) -> TileIndex:
        """Pool one tile, where it is not done yet."""
        path = sums_path(self.folder, index)
        if not path.exists():
            with ONE_AT_A_TIME:
                self._pool(index, path)
        return index

    def _pool(self, index: TileIndex, path: Path) -> None:
        grid = self.source.grid
        tile = grid[index]
        objects = gpd.read_parquet(objects_path(self.folder, index))
        features = self.source.features(tile)
        if features is None:
            none = np.empty((0, 0))
            sums, names = PooledSums(np.empty(0, np.int64), none, none, np.empty((0, 2))), []
        else:
            rows = [int(number) for number in objects["number"]]
            weights = tile_weights(tile, grid, features.box)
            sums, names = pool(features, weights, rows, list(objects.geometry)), features.names
        write_atomically(path, lambda partial: _save(partial, sums, names))


def sums_path(folder: Path, index: TileIndex) -> Path:
    return folder / "sums" / f"{index.name}.npz"


def objects_path(folder: Path, index: TileIndex) -> Path:
    return folder / "objects" / f"{index.name}.parquet"


def _save(path: Path, sums: PooledSums, names: Sequence[str]) -> None:
    with path.open("wb") as file:
        np.savez(
            file,
            rows=sums.rows,
            inside=sums.inside,
            around=sums.around,
            mass=sums.mass,
            names=np.array(names, np.str_),
        )


def pool_objects(
    source: FeatureSource,
    folder: Path,
    polygons: NDArray[Any],
    executor: Executor,
    report: Report,
) -> tuple[PooledSums, list[str]]:
    """Sums of the channels under all objects, over all tiles.

    Args:
        source: Gives the tiles' features.
        folder: For what the tiles leave; of this raster, model and layer alone.
        polygons: Of the objects, working pixels.
        executor: Runs the stage.
        report: Told of progress.

    Returns:
        The sums, and the names of the channels.

    Raises:
        JobError: No object lies on the raster's data.
    """
    grid = source.grid
    folder.mkdir(parents=True, exist_ok=True)
    tiles = [tile.index for tile in _tiles_with(polygons, grid, folder)]
    report("features", 0, len(tiles))
    for done, _ in enumerate(executor.map(PoolStage(source, folder), tiles), 1):
        report("features", done, len(tiles))
    parts: list[PooledSums] = []
    channels: list[str] = []
    for index in sorted(tiles):
        with np.load(sums_path(folder, index), allow_pickle=False) as file:
            if not len(file["names"]):
                continue
            channels = [str(name) for name in file["names"]]
            sums = (file[name] for name in ("rows", "inside", "around", "mass"))
            parts.append(PooledSums(*sums))
    if not parts:
        raise JobError("None of the objects lies on the raster's data: check the layer's CRS.")
    return add_up(parts, len(polygons), len(channels)), channels


def _tiles_with(polygons: NDArray[Any], grid: Grid, folder: Path) -> Iterator[Tile]:
    """Tiles whose trusted window some object or its ring reaches; their objects are put down."""
    tree = shapely.STRtree(polygons)
    for tile in grid:
        box = tile.trusted.grown(4 * grid.cell)
        near = np.sort(tree.query(shapely.box(box.col0, box.row0, box.col1, box.row1)))
        if not len(near):
            continue
        path = objects_path(folder, tile.index)
        if not path.exists():
            frame = gpd.GeoDataFrame({"number": near}, geometry=gpd.GeoSeries(polygons[near]))
            write_atomically(path, frame.to_parquet)
        yield tile
