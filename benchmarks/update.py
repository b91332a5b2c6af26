# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo update`` against changes that were made: how many are told, and false alarms.

    python -m benchmarks.update report      # sample scene with seeds 301 and 302, Banepa east
    python -m benchmarks.update fit         # seeds 201 and 202, Banepa west: new weights

*Sample scene*: 10 houses removed, 10 added and 10 enlarged (1.35 times as long and as wide) after
the layer was drawn. *Banepa east*: all footprints 2 m off to the north-east, otherwise as they are.
*Banepa west*, for fitting: 2 m off too, and a sixteenth each missing in the layer, moved by .35 to
.5 sides, drawn at 1 / 1.35 of their size, and laid where nothing stands.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
import shapely
from rasterio.transform import Affine
from rasterio.windows import Window
from samgeo_core.changes.compare import LEARNT, compare
from samgeo_core.changes.evidence import Evidence, overlapping
from samgeo_core.changes.measures import NAMES, measure_all
from samgeo_core.job import UpdateParameters
from samgeo_core.jobs.classes.class_options import model_factory
from samgeo_core.jobs.classes.feature_stage import FeatureSource, feature_grid
from samgeo_core.jobs.classes.segment_classes import LoadedOnce
from samgeo_core.jobs.update.changed_layer import old_ids
from samgeo_core.jobs.update.gather_evidence import Gathering, gather
from samgeo_core.layers.reader import read_vector
from samgeo_core.parallel.executors import make_executor
from samgeo_core.raster.raster import open_raster
from samgeo_core.vectors.equal_area_plane import EqualAreaPlane
from shapely.affinity import affine_transform, scale, translate
from shapely.ops import unary_union

from .classes import SHARED, SPLIT

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_data"))

EACH = 10
GROWTH = 1.35
SHIFT = 2.0


@dataclass
class Case:
    """An old layer, a new raster, and what is true of the layer's polygons."""

    name: str
    old: gpd.GeoDataFrame
    expected: np.ndarray
    missing: gpd.GeoSeries
    raster: Path


def scene(seed: int, folder: Path) -> Case:
    """The sample scene of a seed, with 10 houses removed, added and enlarged."""
    from make import CRS, NORTH, PIXEL, SIDE, WEST, picture, write
    from objects import paint_scene
    from paint import Canvas
    from scene import lay_out, rectangle

    rng = np.random.default_rng(seed)
    town = lay_out(rng)
    order = np.random.default_rng(seed + 1000).permutation(len(town.buildings) - 1).tolist()
    removed, added = order[:EACH], order[EACH : 2 * EACH]
    roads = unary_union([road.area for road in town.roads])
    large: dict[int, Any] = {}
    for k in order[2 * EACH :]:
        house = town.buildings[k]
        if not 0.9 < house.footprint.area / (house.length * house.depth) < 1.1:
            continue  # with a wing
        sides = GROWTH * house.length, GROWTH * house.depth
        shape = rectangle(*house.centre, *sides, house.angle)
        others = [b.footprint for i, b in enumerate(town.buildings) if i != k and i not in large]
        others += [b.footprint for b in large.values()]
        if shape.buffer(1).intersects(unary_union(others)) or shape.intersects(roads):
            continue
        large[k] = replace(house, footprint=shape, length=sides[0], depth=sides[1])
        if len(large) == EACH:
            break
    kind = dict.fromkeys(removed, "gone") | dict.fromkeys(large, "reshaped")
    kept = [k for k in range(len(town.buildings)) if k not in added]

    def ground(numbers: list[int]) -> gpd.GeoSeries:
        shapes = [town.buildings[k].footprint for k in numbers]
        return gpd.GeoSeries(
            [affine_transform(s, [1, 0, 0, -1, WEST, NORTH]) for s in shapes], crs=CRS
        )

    old, missing = gpd.GeoDataFrame(geometry=ground(kept)), ground(added)
    town.buildings = [large.get(k, b) for k, b in enumerate(town.buildings) if k not in removed]
    covered = unary_union([b.footprint.buffer(1) for b in large.values()])
    town.trees = [tree for tree in town.trees if not tree.crown.intersects(covered)]
    canvas = Canvas(rng, SIDE, PIXEL)
    paint_scene(canvas, town)
    path = folder / f"town_{seed}.tif"
    write(path, picture(canvas.finish()), Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH),
          compress="jpeg", photometric="ycbcr", jpeg_quality=85)  # fmt: skip
    expected = np.array([kind.get(k, "confirmed") for k in kept])
    return Case(f"sample scene, seed {seed}", old, expected, missing, path)


def banepa(half: str, folder: Path, *, changed: bool) -> Case:
    """A half of Banepa, its footprints 2 m off; with changes besides, or without."""
    home = SHARED / "eval/buildings_banepa"
    path = folder / f"banepa_{half}.tif"
    with rasterio.open(home / "mosaic_train_4326.tif") as file:
        cols = (0, SPLIT) if half == "west" else (SPLIT, file.width)
        window = Window(cols[0], 0, cols[1] - cols[0], file.height)
        profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": file.crs,
                   "height": window.height, "width": window.width,
                   "transform": file.window_transform(window)}  # fmt: skip
        with rasterio.open(path, "w", **profile) as out:
            out.write(file.read([1, 2, 3], window=window))
        bounds = gpd.GeoSeries([shapely.box(*file.window_bounds(window))], crs=file.crs)
    true = gpd.read_file(home / "footprints_utm45n.gpkg")[["geometry"]]
    true = true[true.within(bounds.to_crs(true.crs).iloc[0])].reset_index(drop=True)
    rows = [("confirmed", shape) for shape in true.geometry]
    missing = true.geometry.iloc[:0]
    if changed:
        rows, missing = _changed(true[true.area > 15].reset_index(drop=True))
    old = gpd.GeoDataFrame(geometry=[shape for _, shape in rows], crs=true.crs)
    old["geometry"] = old.translate(SHIFT / 2**0.5, SHIFT / 2**0.5)
    return Case(f"Banepa {half}", old, np.array([kind for kind, _ in rows]), missing, path)


def _changed(true: gpd.GeoDataFrame) -> tuple[list[tuple[str, Any]], gpd.GeoSeries]:
    rng = np.random.default_rng(1)
    order = rng.permutation(len(true))
    count = max(EACH, len(true) // 16)
    kinds = ("new", "moved", "reshaped", "gone")
    kind = {int(i): kinds[k // count] for k, i in enumerate(order[: 4 * count])}
    tree, hull = shapely.STRtree(true.geometry.to_numpy()), true.union_all().convex_hull
    rows: list[tuple[str, Any]] = []
    for number, shape in enumerate(true.geometry):
        what = kind.get(number, "confirmed")
        if what == "moved":
            turn, way = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.5) * np.sqrt(shape.area)
            rows.append((what, translate(shape, way * np.cos(turn), way * np.sin(turn))))
        elif what == "reshaped":
            rows.append((what, scale(shape, 1 / GROWTH, 1 / GROWTH)))
        elif what != "new":
            rows.append(("confirmed", shape))
        if what == "gone":  # a copy where nothing stands
            for _ in range(200):
                spot = translate(shape, *rng.uniform(-60, 60, 2))
                near = tree.query(spot.buffer(1), predicate="intersects")
                if hull.contains(spot) and not len(near):
                    rows.append((what, spot))
                    break
    return rows, true.geometry[[n for n, what in kind.items() if what == "new"]]


def evidence_of(case: Case, folder: Path) -> tuple[Evidence, Any, EqualAreaPlane]:
    """What the job gathers; the common shift; the plane."""
    own = folder / case.raster.stem
    own.mkdir()
    path = own / "layer.gpkg"
    pyogrio.write_dataframe(case.old, path, layer="layer")
    params = UpdateParameters(str(path), [str(case.raster)], str(own / "out.gpkg"))
    with open_raster([str(case.raster)]) as raster:
        layer = read_vector(path)
        plane = EqualAreaPlane(layer.shapes, layer.crs)
        make = LoadedOnce(model_factory(params))
        source = FeatureSource(raster.spec, make, feature_grid(raster, None, None))
        called = old_ids(params, layer)
        given = Gathering(params, raster, layer, called, plane, own, make, None, None)
        with make_executor(1, None) as executor:
            found = gather(given, source, executor, lambda *_: None, make())
    return found.evidence, found.shift, plane


def report(case: Case, folder: Path) -> None:
    """Print what was told of each kind of change."""
    evidence, shift, plane = evidence_of(case, folder)
    changes = compare(evidence)
    print(f"{case.name}: shift {shift.east:+.2f} m east, {shift.north:+.2f} m north")
    for kind in np.unique(case.expected):
        own = changes.status[case.expected == kind]
        names, counts = np.unique(own.astype(str), return_counts=True)
        print(f"  {kind}: {len(own)}, told as", dict(zip(names, counts.tolist(), strict=True)))
    if len(case.missing):
        crs = read_vector(gpd.GeoDataFrame(geometry=case.missing)).crs
        wanted = np.asarray(case.missing.array, dtype=object)
        placed = plane.place(wanted, crs, "The missing")
        new = evidence.candidates.shapes[changes.new]
        best = overlapping(placed, new).best(len(placed))[1]
        print(f"  new: {len(placed)}, told {int((best > 0.5).sum())}, said {len(new)}")
    else:
        print(f"  said to be new: {len(changes.new)}")


def fit(cases: list[Case], folder: Path) -> None:
    """Print the weights of ``core/changes/weights.py``."""
    from sklearn.linear_model import LogisticRegression

    columns, kinds = [], []
    for case in cases:
        evidence, _, _ = evidence_of(case, folder)
        columns.append(measure_all(evidence).columns[evidence.visible])
        kinds.append(case.expected[evidence.visible])
    values, target = np.concatenate(columns), np.concatenate(kinds)
    middle, spread = values.mean(axis=0), values.std(axis=0)
    model = LogisticRegression(C=1.0, max_iter=2000).fit((values - middle) / spread, target)
    order = [list(model.classes_).index(name) for name in LEARNT]
    weights = (model.coef_ / spread)[order]
    for name, row in zip(NAMES, weights.T, strict=True):
        print(f"({', '.join(f'{v:.3f}' for v in row)}),  # {name}")
    print("BIAS", np.round(model.intercept_[order] - weights @ middle, 3).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["report", "fit"])
    what = parser.parse_args().what
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if what == "report":
            for case in (scene(301, folder), scene(302, folder)):
                report(case, folder)
            report(banepa("east", folder, changed=False), folder)
        else:
            fit([scene(201, folder), scene(202, folder), banepa("west", folder, changed=True)],
                folder)  # fmt: skip


if __name__ == "__main__":
    main()
