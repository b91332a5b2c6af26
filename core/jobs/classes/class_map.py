# SPDX-License-Identifier: GPL-2.0-or-later
"""Class maps: logits of every tile in the job folder, fused where windows overlap.

A map is never held as a whole. Every tile stores the logits of its trusted cells; a box of the map
is fused from the tiles around it, each weighted by its tent (``merge/fuse.py``), so that no line
shows where two windows meet.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...classes.cell_examples import CellExamples
from ...classes.classifier import Classifier, ClassifierOptions, fit
from ...classes.features.object_table import FeatureTable, block_of
from ...errors import PromptError
from ...merge.fuse import tile_weights
from ...merge.nodes import lattice
from ...parallel.atomic_write import write_atomically
from ...parallel.executors import ONE_AT_A_TIME, Executor
from ...raster.areas import AreaOfInterest
from ...tiles.grid import Grid, Tile
from ...types import BoolArray, CellBox, FloatArray, TileIndex
from .feature_stage import FeatureSource, Report
from .own_classes import settled

SPACING = 16
"""Cells between those from which the statistics of the whole raster are taken."""

STEPS = 256.0
"""Stored steps per logit."""

RANGE = 127.0
"""Largest stored logit."""

CELL_OPTIONS = ClassifierOptions(
    components=48,
    weights=(("encoder", 1.0), ("classes", 1.0), ("colour", 1.0)),
    whitening=0.7,
    strength=0.03,
    clip=None,
    temperature_doubt=0.1,
    frequency=0.0,
    known=0.0,
)
"""Linear, because each of the model's maps is then projected at its own resolution. Values
were chosen on five and ten strokes on roads of Dubai (areas 5 and 6) and of two generated towns."""


@dataclass(frozen=True)
class SampleStage:
    """A tile -> features of its examples' cells and of evenly spread ones. Picklable.

    Args:
        source: Gives the tile's features.
        folder: Where the samples go.
        area: Where the evenly spread ones lie; None for the whole raster.
    """

    source: FeatureSource
    folder: Path
    area: AreaOfInterest | None = None

    def __call__(self, item: tuple[TileIndex, list[int], list[int], list[int]]) -> TileIndex:
        """Sample one tile: its index, and the number, row and column of each example's cell."""
        index, numbers, rows, cols = item
        path = sample_path(self.folder, index)
        if not path.exists():
            with ONE_AT_A_TIME:
                self._sample(index, numbers, rows, cols, path)
        return index

    def _sample(
        self, index: TileIndex, numbers: list[int], rows: list[int], cols: list[int], path: Path
    ) -> None:
        tile = self.source.grid[index]
        features = self.source.features(tile)
        names: list[str] = []
        values = np.empty((0, 0), np.float32)
        kept = np.empty(0, np.int64)
        if features is not None:
            names = features.names
            core = tile.core.cells(self.source.grid.cell)
            even_rows = np.arange(-(-core.row0 // SPACING) * SPACING, core.row1, SPACING)
            even_cols = np.arange(-(-core.col0 // SPACING) * SPACING, core.col1, SPACING)
            grid_rows, grid_cols = (g.ravel() for g in np.meshgrid(even_rows, even_cols,
                                                                   indexing="ij"))  # fmt: skip
            if self.area is not None:
                wanted = self.area.holds(core, self.source.grid.cell)
                here = wanted[grid_rows - core.row0, grid_cols - core.col0]
                grid_rows, grid_cols = grid_rows[here], grid_cols[here]
            all_rows = np.concatenate([np.array(rows, np.int64), grid_rows])
            all_cols = np.concatenate([np.array(cols, np.int64), grid_cols])
            number = np.concatenate(
                [np.array(numbers, np.int64), np.full(len(grid_rows), -1, np.int64)]
            )
            box = features.box
            good = features.valid[all_rows - box.row0, all_cols - box.col0]
            kept = number[good]
            values = features.at(all_rows[good], all_cols[good])
        write_atomically(path, lambda partial: _save(partial, names, kept, values))


def _save(path: Path, names: list[str], number: NDArray[np.int64], values: FloatArray) -> None:
    with path.open("wb") as file:
        np.savez(file, names=np.array(names, np.str_), number=number, values=values)


def sample_path(folder: Path, index: TileIndex) -> Path:
    return folder / "samples" / f"{index.name}.npz"


def map_path(folder: Path, index: TileIndex) -> Path:
    return folder / "maps" / f"{index.name}.npz"


def train_cells(
    source: FeatureSource,
    folder: Path,
    marked: CellExamples,
    model: str,
    executor: Executor,
    report: Report,
    options: ClassifierOptions = CELL_OPTIONS,
    area: AreaOfInterest | None = None,
) -> Classifier:
    """A classifier of cells from examples.

    Args:
        source: Gives the tiles' features.
        folder: For the samples; of this raster, model, area and examples alone.
        marked: The examples' cells.
        model: Fingerprint of the model.
        executor: Runs the stage.
        report: Told of progress.
        options: Of the classifier.
        area: That is to be mapped; examples may lie elsewhere. None for the whole raster.

    Raises:
        PromptError: Some class has no example on the raster's data.
    """
    grid = source.grid
    side = grid.core // grid.cell
    own_of: defaultdict[TileIndex, list[int]] = defaultdict(list)
    tile_of = [TileIndex(int(r) // side, int(c) // side)
               for r, c in zip(marked.rows, marked.cols, strict=True)]  # fmt: skip
    for k, index in enumerate(tile_of):
        own_of[index].append(k)
    items = []
    for tile in grid:
        own = own_of[tile.index]
        if not own and area is not None and not area.touches(tile.core):
            continue
        places = (marked.rows[own].tolist(), marked.cols[own].tolist())
        items.append((tile.index, own, *places))
    folder.mkdir(parents=True, exist_ok=True)
    report("samples", 0, len(items))
    parts, numbers = [], []
    names: tuple[str, ...] = ()
    stage = SampleStage(source, folder, area)
    for done, index in enumerate(executor.map(stage, items), 1):
        with np.load(sample_path(folder, index), allow_pickle=False) as file:
            if len(file["names"]):
                names = tuple(str(name) for name in file["names"])
                parts.append(file["values"])
                numbers.append(file["number"])
        report("samples", done, len(items))
    if not parts:
        raise PromptError("The raster has no data, so that no class can be learnt from it.")
    values, number = np.concatenate(parts), np.concatenate(numbers)
    rows = np.flatnonzero(number >= 0)
    rows = rows[np.argsort(number[rows], kind="stable")]
    cells = number[rows]
    named = [marked.names[k] for k in cells.tolist()]
    missing = set(marked.classes) - set(named)
    if missing:
        raise PromptError(
            f"No example of {sorted(missing)[0] or 'none of these'!r} lies on the raster's data."
        )
    table = FeatureTable(
        values, names, tuple(block_of(name) for name in names), np.ones(len(values), bool), model
    )
    return fit(
        table, rows, named, marked.classes, options, marked.weights[cells], marked.group[cells]
    )


@dataclass(frozen=True)
class MapStage:
    """A tile -> the logits of its trusted cells. Picklable.

    Args:
        source: Gives the tile's features.
        folder: Where the maps go.
        classifier: Linear.
        by_objects: The cells of what the embedded model takes for an object are of one class.
    """

    source: FeatureSource
    folder: Path
    classifier: Classifier
    by_objects: bool = False

    def __call__(self, index: TileIndex) -> TileIndex:
        """Map one tile, where it is not done yet."""
        path = map_path(self.folder, index)
        if not path.exists():
            with ONE_AT_A_TIME:
                self._map(index, path)
        return index

    def _map(self, index: TileIndex, path: Path) -> None:
        tile = self.source.grid[index]
        features = self.source.features(tile)
        logits = np.empty((0, 0, 0), np.int16)
        valid = np.empty((0, 0), bool)
        if features is not None:
            self.classifier.check(self.classifier.model, features.names)
            weights, bias = self.classifier.linear()
            found = features.projected(weights) + bias[:, None, None]
            if self.by_objects:
                masks, cell = self.source.objects(tile)
                found = settled(found, features.box, features.cell, masks, cell)
            found -= found.mean(axis=0)  # only differences count
            logits = np.clip(np.rint(found * STEPS), -RANGE * STEPS, RANGE * STEPS)
            logits, valid = logits.astype(np.int16), features.valid
        write_atomically(path, lambda partial: _save_map(partial, logits, valid))


def _save_map(path: Path, logits: NDArray[np.int16], valid: BoolArray) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, logits=logits, valid=valid)


def map_tiles(
    stage: MapStage, executor: Executor, report: Report, area: AreaOfInterest | None = None
) -> ClassMap:
    """Map all tiles of an area (None: of the raster) that have no map yet."""
    found = ClassMap(stage.folder, stage.source.grid, len(stage.classifier.classes), area)
    indices = found.tiles()
    stage.folder.mkdir(parents=True, exist_ok=True)
    report("class map", 0, len(indices))
    for done, _ in enumerate(executor.map(stage, indices), 1):
        report("class map", done, len(indices))
    return found


@dataclass
class ClassMap:
    """The map of a raster, box by box. Picklable.

    Args:
        folder: Where the tiles' maps are.
        grid: The tiles.
        classes: Number of classes.
        area: Beyond which nothing is known, as beyond the raster; None for the whole raster.
    """

    folder: Path
    grid: Grid
    classes: int
    area: AreaOfInterest | None = None
    _kept: OrderedDict[TileIndex, tuple[FloatArray, BoolArray]] = field(
        default_factory=OrderedDict, repr=False, compare=False
    )

    def __reduce__(self) -> tuple[type[ClassMap], tuple[Path, Grid, int, AreaOfInterest | None]]:
        return ClassMap, (self.folder, self.grid, self.classes, self.area)

    @cached_property
    def bounds(self) -> CellBox:
        """The cells around all that is mapped; beyond them the map ends as the raster does."""
        whole = lattice(self.grid)
        return whole if self.area is None else self.area.cells(self.grid.cell).intersection(whole)

    def tiles(self) -> list[TileIndex]:
        """The tiles that cells of the map are fused from."""
        return [tile.index for tile in self.grid if self._wants(tile)]

    def logits(self, box: CellBox) -> tuple[FloatArray, BoolArray]:
        """Fused logits of a box of cells, which may reach beyond the raster.

        Returns:
            (k, h, w) float32, 0 where nothing is known, and (h, w) bool, where something is.
        """
        total = np.zeros((self.classes, *box.shape), np.float32)
        weight = np.zeros(box.shape, np.float32)
        for tile in self._tiles(box):
            trusted = self.grid[tile].trusted.cells(self.grid.cell)
            region = trusted.intersection(box)
            if region.empty:
                continue
            logits, valid = self._load(tile)
            if not logits.size:
                continue
            inner, place = region.slices(trusted), region.slices(box)
            share = tile_weights(self.grid[tile], self.grid, region) * valid[inner]
            part = logits[:, inner[0], inner[1]] * share
            total[:, place[0], place[1]] += part
            weight[place] += share
        known = weight > 0
        if self.area is not None:
            known &= self.area.holds(box, self.grid.cell)
            total *= known
        return np.asarray(total / np.where(known, weight, 1), np.float32), known

    def has_data(self) -> bool:
        """Whether anything is known of any cell."""
        for index in self.tiles():
            _, valid = self._load(index)
            if valid.any() and self.area is not None:
                trusted = self.grid[index].trusted.cells(self.grid.cell)
                valid = valid & self.area.holds(trusted, self.grid.cell)
            if valid.any():
                return True
        return False

    def _wants(self, tile: Tile) -> bool:
        return self.area is None or self.area.touches(tile.trusted)

    def _tiles(self, box: CellBox) -> list[TileIndex]:
        """Tiles of the map whose trusted windows may reach a box, row by row."""
        inside = box.intersection(lattice(self.grid))
        if inside.empty:
            return []
        cell, side = self.grid.cell, self.grid.core
        reach = -(-self.grid.margin // side)
        rows = range(inside.row0 * cell // side - reach, inside.row1 * cell // side + reach + 1)
        cols = range(inside.col0 * cell // side - reach, inside.col1 * cell // side + reach + 1)
        around = (TileIndex(row, col) for row in rows for col in cols)
        return [index for index in around if index in self.grid and self._wants(self.grid[index])]

    def _load(self, index: TileIndex) -> tuple[FloatArray, BoolArray]:
        found = self._kept.pop(index, None)
        if found is None:
            with np.load(map_path(self.folder, index), allow_pickle=False) as file:
                found = file["logits"].astype(np.float32) / STEPS, file["valid"]
        self._kept[index] = found
        if len(self._kept) > 12:
            self._kept.popitem(last=False)
        return found
