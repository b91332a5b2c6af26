# SPDX-License-Identifier: GPL-2.0-or-later
"""All objects of an area while they are being found: tile by tile, whole, with their features.

A collection is what "find all like these" asks. Each step segments one tile with low thresholds,
joins its masks with those of the tiles before, and pools the model's features under every object
that is new or has grown; an object that crosses tiles is replaced by the larger one as soon as both
of its tiles are there. When all tiles are done, the objects are those that a job would find without
its second look. Examples change nothing of this: asking what the objects are runs no model, but for
an example that was drawn where nothing has been looked at yet.

Masks wait on disk; in memory are, for each object, its outline and some kilobytes of features.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from ..classes.assign import unlike_all
from ..classes.examples import Example
from ..classes.features.object_features import PooledSums, pool
from ..classes.features.object_table import object_table
from ..classes.features.window_features import WindowFeatures, window_features
from ..classes.objects import LEAST_SCORE, ClassedObjects, ObjectClasses, ObjectLayer
from ..earth.geometry import half_pixel
from ..errors import PromptError
from ..masks.store import JobStore
from ..merge import MergeOptions, NodeRef, cached, fuse, merge
from ..merge.fuse import tile_weights
from ..models.base import PromptableModel
from ..models.embedding_cache import EmbeddingCache
from ..parallel.executors import SerialExecutor
from ..raster.areas import AreaOfInterest
from ..raster.raster import Raster
from ..segmenters.automatic import judges_again, single_of
from ..segmenters.segmenter import Segmenter, TileImage
from ..tiles.grid import Grid, Tile
from ..types import BoolArray, TileIndex
from ..vectors.contours import polygonize, simplify, to_ground
from ..vectors.geodesic import measure

Sums = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Of one object in one tile: inside, around, mass (``classes/features/object_features.py``)."""

KEPT_FEATURES = 6
"""Tiles whose feature maps stay in memory; of others they come from the cache of encodings."""

MERGE_AGAIN = 0.15
"""Share by which the tiles must have grown before they are merged again: all merges of a large
raster together cost a few times as much as the last one, and each of the first tiles shows."""


@dataclass(eq=False)
class Collected:
    """One object.

    Args:
        id: Of the merge.
        polygon: Working pixels, valid.
        ground: The same in the raster's CRS, simplified.
        score: Predicted IoU.
        stability: Likewise.
        area_m2: On the ellipsoid.
        label: The word that it was found for; empty where there was none.
        sums: Of its features, by the tiles that have been looked at.
    """

    id: str
    polygon: Any
    ground: Any
    score: float
    stability: float
    area_m2: float
    label: str = ""
    sums: dict[TileIndex, Sums] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """What a tile has changed.

    Args:
        found: New objects, or larger ones in place of those that are gone.
        gone: Ids of objects that are part of another one now.
    """

    found: tuple[Collected, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Sorted:
    """What the objects are.

    Args:
        objects: In the order of ``classed``; examples that were drawn and are like none of them
            come after them.
        classed: Their classes.
        ask: Numbers of the objects that are most worth an answer.
    """

    objects: Sequence[Collected]
    classed: ClassedObjects
    ask: NDArray[np.int64]


class Collection:
    """The objects of an area of a raster.

    Args:
        raster: Open; owned by the caller.
        segmenter: Finds candidates.
        grid: Tiles for the segmenter.
        features: Tiles for the features; None where no examples will sort the objects.
        model: Whose features are pooled.
        cache: Keeps encodings.
        area: Where to look; None for the whole raster.
        folder: For masks; empty, and removed by the caller.
    """

    def __init__(
        self,
        raster: Raster,
        segmenter: Segmenter,
        grid: Grid,
        features: Grid | None,
        model: PromptableModel,
        cache: EmbeddingCache,
        area: AreaOfInterest | None,
        folder: Path,
    ) -> None:
        self._raster = raster
        self._segmenter = segmenter
        self._grid = grid
        self._feature_grid = features
        self._model = model
        self._cache = cache
        self._area = area
        self._store = JobStore(folder, grid.cell)
        wanted = [tile for tile in grid if area is None or area.touches(tile.core)]
        self._waiting = _from_the_middle(wanted)
        self.tiles = len(wanted)
        self.done = 0
        self._merged_at = 0
        self._objects: dict[tuple[NodeRef, ...], Collected] = {}
        self._outside: set[tuple[NodeRef, ...]] = set()
        self._told: dict[tuple[NodeRef, ...], str] = {}
        self._looked_at: set[TileIndex] = set()
        self._maps: OrderedDict[TileIndex, WindowFeatures | None] = OrderedDict()
        self._channels: list[str] = []
        self._drawn: dict[bytes, Collected] = {}
        self._asked: tuple[list[Collected], ObjectClasses] | None = None

    @property
    def objects(self) -> list[Collected]:
        """All objects by now, in an order that depends on their places alone."""
        return sorted(self._objects.values(), key=lambda each: (each.polygon.bounds, each.id))

    # -- finding ---------------------------------------------------------------------------------

    def step(self) -> Step:
        """Look at the next tile; nothing is found once all are done.

        A tile whose look is cancelled is the next one again.
        """
        if not self._waiting:
            return Step((), ())
        index = self._waiting[0]
        self._segment(self._grid[index])
        self._waiting.pop(0)
        self.done += 1
        core = self._grid[index].core
        if self._feature_grid is not None:
            over = _tiles_over(core.grown(-1), self._feature_grid)
            self._looked_at |= {tile.index for tile in over}
        due = self.done - self._merged_at >= MERGE_AGAIN * self._merged_at
        return self.rest() if due or not self._waiting else Step((), ())

    def rest(self) -> Step:
        """What is known and not told yet, without looking at another tile."""
        if self._merged_at != self.done:
            self._merge()
            self._merged_at = self.done
        if self._pool(list(self._objects.values())):
            self._asked = None
        found = [each for refs, each in self._objects.items() if refs not in self._told]
        gone = [name for refs, name in self._told.items() if refs not in self._objects]
        self._told = {refs: each.id for refs, each in self._objects.items()}
        if found or gone:
            self._asked = None
        return Step(tuple(found), tuple(gone))

    def _segment(self, tile: Tile) -> None:
        if not self._raster.has_data(tile.core):
            return
        window = self._raster.read(tile.window)
        if not window.valid.any():
            return
        image = TileImage(
            tile,
            window.pixels,
            window.valid,
            self._grid.read_size,
            self._grid.cell,
            self._wanted(tile),
        )
        self._store.save(self._segmenter.segment(image))

    def _wanted(self, tile: Tile) -> BoolArray | None:
        """(height, width) bool of a tile's window: the area, and half a margin around it."""
        if self._area is None:
            return None
        around = shapely.buffer(self._area.pixels, self._grid.margin / 2, join_style="mitre")
        height, width = tile.window.shape
        place = Affine.translation(tile.window.col0, tile.window.row0)
        burnt = rasterize([around], out_shape=(height, width), transform=place, dtype=np.uint8)
        return np.asarray(burnt, np.bool_)

    def _merge(self) -> None:
        """Objects of all tiles that are done; those that stayed the same keep what is known."""
        source = cached(self._store)
        options = MergeOptions(single=single_of(self._segmenter))
        merged = merge(source, self._grid, options, SerialExecutor())
        kept: dict[tuple[NodeRef, ...], Collected] = {}
        new: list[tuple[tuple[NodeRef, ...], Any, Any]] = []
        a, b, c, d, e, f = self._raster.transform[:6]
        tolerance = half_pixel(self._raster.transform)
        for number in merged.by_place().tolist():
            refs = merged.refs(number)
            if refs in self._objects:
                kept[refs] = self._objects[refs]
            if refs in self._objects or refs in self._outside:
                continue
            obj = merged[number]
            shape = to_ground(
                polygonize(fuse(obj, source, self._grid), self._grid), (a, b, c, d, e, f)
            )
            ground = simplify(shape, tolerance)
            if ground.is_empty or not (self._area is None or self._area.keeps(ground)):
                self._outside.add(refs)
            else:
                new.append((refs, obj, ground))
        sizes = measure([ground for _, _, ground in new], self._raster.crs)
        for (refs, obj, ground), area in zip(new, sizes.area.tolist(), strict=True):
            polygon = shapely.make_valid(_moved(ground, ~self._raster.transform))
            kept[refs] = Collected(
                obj.id, polygon, ground, obj.score, obj.stability, area, obj.prompt.label
            )
        self._objects = kept

    # -- features --------------------------------------------------------------------------------

    def _pool(self, objects: Sequence[Collected], everywhere: bool = False) -> bool:
        """Pool what is missing; whether anything was.

        Args:
            objects: Any of the collection's.
            everywhere: Also in tiles that have not been looked at.
        """
        missing: dict[TileIndex, list[Collected]] = {}
        grid = self._feature_grid
        if not objects or grid is None:
            return False
        reach = 4 * grid.cell
        for each in objects:
            x0, y0, x1, y1 = each.polygon.bounds
            for index in _tiles_trusting((y0 - reach, x0 - reach, y1 + reach, x1 + reach), grid):
                if index not in each.sums and (everywhere or index in self._looked_at):
                    missing.setdefault(index, []).append(each)
        pooled = False
        for index in sorted(missing):
            features = self._features(index, grid)
            if features is None:
                continue
            pooled = True
            self._channels = features.names
            weights = tile_weights(grid[index], grid, features.box)
            some = missing[index]
            sums = pool(features, weights, range(len(some)), [each.polygon for each in some])
            for row, each in enumerate(some):
                each.sums[index] = sums.inside[row], sums.around[row], sums.mass[row]
        return pooled

    def _features(self, index: TileIndex, grid: Grid) -> WindowFeatures | None:
        if index in self._maps:
            self._maps.move_to_end(index)
            return self._maps[index]
        tile = grid[index]
        found = None
        if self._raster.has_data(tile.core):
            window = self._raster.read(tile.window)
            if window.valid.any():
                found = window_features(tile, window, grid, self._model, self._cache)
        self._maps[index] = found
        while len(self._maps) > KEPT_FEATURES:
            self._maps.popitem(last=False)
        return found

    # -- classes ---------------------------------------------------------------------------------

    def sort(
        self, examples: Sequence[Example], least: float, ask: int = 0, presume: bool = True
    ) -> Sorted:
        """What the objects are, by examples.

        Args:
            examples: In working pixels.
            least: Probability from which an object is of its class.
            ask: How many objects to name that are most worth an answer.
            presume: Where few examples say what belongs to none of the classes, that is presumed of
                the objects that are least like the others.

        Raises:
            PromptError: There are no objects yet, no example lies on one, an object is marked as
                two classes, or the objects were found without features.
        """
        if self._feature_grid is None:
            raise PromptError(
                "These objects were found without examples in mind: find all again, by examples."
            )
        if not self._objects or not self._channels:
            raise PromptError("No objects have been found yet: wait, or choose a larger area.")
        if self._waiting:
            examples = self._at_hand(examples)
        objects, asked = self._classes(examples)
        marked = asked.mark(examples)
        classed = asked.classify(asked.train(marked, presume=presume), marked, least)
        nothing = np.empty(0, np.int64)
        return Sorted(objects, classed, asked.ask(classed, ask) if ask else nothing)

    def _at_hand(self, examples: Sequence[Example]) -> Sequence[Example]:
        """The examples on tiles that are done, where some of a class are among them: others would
        have to be encoded first, and are to come."""
        near: list[Example] = []
        grid = self._feature_grid
        if grid is None:
            return examples
        for example in examples:
            x, y = shapely.get_coordinates(shapely.centroid(example.geometry))[0]
            if 0 <= y < grid.height and 0 <= x < grid.width:
                index = grid.at(y, x)
                if index in self._looked_at:
                    near.append(example)
        return near if any(example.class_name for example in near) else examples

    def _classes(self, examples: Sequence[Example]) -> tuple[list[Collected], ObjectClasses]:
        found = self.objects
        drawn = [self._example(shape) for shape in unlike_all(examples, _polygons(found))]
        objects = [*found, *drawn]
        if self._asked is None or self._asked[0] != objects:
            self._pool(drawn, everywhere=True)
            self._asked = objects, ObjectClasses(self._layer(objects))
        return self._asked

    def _example(self, polygon: Any) -> Collected:
        """A drawn example that is like no object; the same one for the same shape."""
        key = shapely.to_wkb(polygon)
        if key not in self._drawn:
            ground = _moved(polygon, self._raster.transform)
            area = float(measure([ground], self._raster.crs).area[0])
            self._drawn[key] = Collected("", polygon, ground, np.nan, np.nan, area)
        return self._drawn[key]

    def _layer(self, objects: Sequence[Collected]) -> ObjectLayer:
        count, channels = len(objects), len(self._channels)
        inside, around = np.zeros((count, channels)), np.zeros((count, channels))
        mass = np.zeros((count, 2))
        for row, each in enumerate(objects):
            for index in sorted(each.sums):
                part = each.sums[index]
                inside[row] += part[0]
                around[row] += part[1]
                mass[row] += part[2]
        sums = PooledSums(np.arange(count), inside, around, mass)
        polygons = _polygons(objects)
        score = np.array([each.score for each in objects], np.float64)
        stability = np.array([each.stability for each in objects], np.float64)
        area = np.array([each.area_m2 for each in objects], np.float64)
        fingerprint = self._model.info.fingerprint
        table = object_table(sums, self._channels, fingerprint, polygons, area, score, stability)
        judged = judges_again(self._segmenter)
        least = LEAST_SCORE if judged else 0.0
        return ObjectLayer(polygons, table, score, stability, judged, least)


def _polygons(objects: Sequence[Collected]) -> NDArray[Any]:
    return np.array([*(each.polygon for each in objects), None], dtype=object)[:-1]


def _moved(geometry: Any, transform: Affine) -> Any:
    a, b, c, d, e, f = transform[:6]
    return shapely.transform(geometry, lambda xy: xy @ np.array([[a, d], [b, e]]) + [c, f])


def _from_the_middle(tiles: Sequence[Tile]) -> list[TileIndex]:
    """The tiles, those in the middle of them all first: that is where somebody looks."""
    if not tiles:
        return []
    row = np.mean([(tile.core.row0 + tile.core.row1) / 2 for tile in tiles])
    col = np.mean([(tile.core.col0 + tile.core.col1) / 2 for tile in tiles])

    def away(tile: Tile) -> tuple[float, TileIndex]:
        down = (tile.core.row0 + tile.core.row1) / 2 - row
        right = (tile.core.col0 + tile.core.col1) / 2 - col
        return round(float(down**2 + right**2), 3), tile.index

    return [tile.index for tile in sorted(tiles, key=away)]


def _tiles_over(box: Any, grid: Grid) -> list[Tile]:
    """Tiles whose cores share pixels with a box."""
    inside = box.intersection(grid.bounds)
    if inside.empty:
        return []
    return [
        grid[TileIndex(row, col)]
        for row in range(inside.row0 // grid.core, (inside.row1 - 1) // grid.core + 1)
        for col in range(inside.col0 // grid.core, (inside.col1 - 1) // grid.core + 1)
    ]


def _tiles_trusting(extent: tuple[float, float, float, float], grid: Grid) -> list[TileIndex]:
    """Tiles whose trusted windows meet (row0, col0, row1, col1), pixels."""
    reach = grid.margin - grid.trust
    row0, row1 = (extent[0] - reach) // grid.core, (extent[2] + reach) // grid.core
    col0, col1 = (extent[1] - reach) // grid.core, (extent[3] + reach) // grid.core
    return [
        TileIndex(row, col)
        for row in range(max(int(row0), 0), min(int(row1), grid.rows - 1) + 1)
        for col in range(max(int(col0), 0), min(int(col1), grid.cols - 1) + 1)
    ]
