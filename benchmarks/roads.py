# SPDX-License-Identifier: GPL-2.0-or-later
"""How good is a road network from a few strokes, or without any?

    python -m benchmarks.roads [--draws 10] [--pictures DIR]

Vegas (SpaceNet, 1300 x 1300 pixels of 30 cm): n strokes of 30 m along roads and n on other ground,
drawn at random from the truth ``draws`` times; with 0, what the model itself takes for roads.
Nothing was chosen on this raster: the classifier's settings are from road masks of Dubai
(``train/landcover_dubai``). Figures: area under the ROC curve for cells nearer than 4 m to a centre
line against those further than 10 m; correctness (share of the found length near a true line) and
completeness (share of the true length near a found line, Wiedemann et al. 1998) within 8 and 4 m;
APLS (Van Etten et al. 2018, "SpaceNet: a remote sensing dataset and challenge series") in both
directions over all pairs of 60 places on the lines.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
import shapely.ops
from samgeo_core.classes.classifier import class_probabilities
from samgeo_core.job import MapParameters
from samgeo_core.jobs.classes.class_map import ClassMap
from samgeo_core.jobs.classes.feature_stage import map_grid
from samgeo_core.jobs.classes.map_classes import map_classes
from samgeo_core.models.embedded.classes import CLASSES
from samgeo_core.models.load import load_model
from samgeo_core.raster.raster import open_raster
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from sklearn.metrics import roc_auc_score

SHARED = Path(
    os.environ.get("SAMGEO_SHARED_DATA", Path(__file__).parents[1].parent / "shared" / "data")
)
VEGAS = SHARED / "eval" / "roads_vegas"
RASTER = VEGAS / "RGB-PanSharpen_AOI_2_Vegas_img0.tif"
STROKE = 30.0
NEAR, FAR = 4.0, 10.0


def lines_of(frame: gpd.GeoDataFrame, crs: object) -> np.ndarray:
    parts = shapely.get_parts(frame.to_crs(crs).geometry.values)
    return np.array([p for p in parts if p.geom_type == "LineString" and p.length > 0], object)


def draw(truth: np.ndarray, frame: object, n: int, rng: np.random.Generator) -> tuple[list, list]:
    """n strokes along true lines and n elsewhere, metres."""
    everything = shapely.union_all(truth)
    total = np.cumsum(shapely.length(truth))
    on, off = [], []
    while len(on) < n:
        at = rng.uniform(0, total[-1])
        k = int(np.searchsorted(total, at))
        start = at - (total[k] - truth[k].length)
        piece = shapely.ops.substring(truth[k], start, min(start + STROKE, truth[k].length))
        if piece.length > STROKE / 3:
            on.append(piece)
    x0, y0, x1, y1 = frame.bounds
    while len(off) < n:
        x, y, a = rng.uniform(x0, x1), rng.uniform(y0, y1), rng.uniform(0, np.pi)
        half = np.array([np.cos(a), np.sin(a)]) * STROKE / 2
        line = shapely.LineString([(x - half[0], y - half[1]), (x + half[0], y + half[1])])
        if frame.contains(line) and line.distance(everything) > FAR:
            off.append(line)
    return on, off


def relaxed(found: np.ndarray, truth: np.ndarray, metres: float) -> tuple[float, float]:
    """Correctness and completeness."""
    if not len(found):
        return 0.0, 0.0
    one, two = shapely.union_all(found), shapely.union_all(truth)
    good = shapely.length(shapely.intersection(one, two.buffer(metres)))
    seen = shapely.length(shapely.intersection(two, one.buffer(metres)))
    return float(good / one.length), float(seen / two.length)


class Graph:
    """Lines as a graph of vertices; lines that meet share a vertex to the centimetre."""

    def __init__(self, lines: np.ndarray) -> None:
        # Nodes at crossings, so that truth and result are noded alike; a vertex every 5 m.
        noded = shapely.get_parts(shapely.node(shapely.multilinestrings(list(lines))))
        self.lines = shapely.segmentize(noded, 5.0)
        index: dict[tuple[int, int], int] = {}
        rows, cols, data = [], [], []
        for line in self.lines:
            xy = shapely.get_coordinates(line)
            ids = [index.setdefault((round(x * 100), round(y * 100)), len(index)) for x, y in xy]
            steps = np.hypot(*np.diff(xy, axis=0).T)
            for a, b, length in zip(ids[:-1], ids[1:], steps, strict=True):
                rows += [a, b]
                cols += [b, a]
                data += [length, length]
        self.xy = np.array(list(index), float).reshape(-1, 2) / 100
        self.matrix = csr_matrix((data, (rows, cols)), (len(index), len(index)))


def apls_one_way(
    one: Graph, two: Graph, places: int, snap: float, rng: np.random.Generator
) -> float:
    """1 - mean of min(1, |difference of path lengths| / length) over pairs of places."""
    chosen = rng.choice(len(one.xy), min(places, len(one.xy)), replace=False)
    if not len(two.xy):
        return 0.0
    gaps = np.hypot(*(one.xy[chosen][:, None] - two.xy[None]).transpose(2, 0, 1))
    partner, gap = gaps.argmin(axis=1), gaps.min(axis=1)
    first = dijkstra(one.matrix, indices=chosen)[:, chosen]
    second = dijkstra(two.matrix, indices=partner)[:, partner]
    cost = []
    for i in range(len(chosen)):
        for j in range(len(chosen)):
            length = first[i, j]
            if i == j or not np.isfinite(length) or length < snap:
                continue
            lost = gap[i] > snap or gap[j] > snap or not np.isfinite(second[i, j])
            cost.append(1.0 if lost else min(1.0, abs(length - second[i, j]) / length))
    return 1 - float(np.mean(cost)) if cost else 0.0


def apls(found: np.ndarray, truth: np.ndarray) -> float:
    if not len(found):
        return 0.0
    one, two = Graph(truth), Graph(found)
    ways = [
        apls_one_way(one, two, 60, 8.0, np.random.default_rng(0)),
        apls_one_way(two, one, 60, 8.0, np.random.default_rng(0)),
    ]
    return 0.0 if min(ways) <= 0 else float(2 / (1 / ways[0] + 1 / ways[1]))


def cell_auc(
    folder: Path, truth: np.ndarray, crs: object, model: str, classes: int = 2, number: int = 0
) -> float:
    """Of a class map that a job has left, of so many classes, of which ``number`` is road."""
    with open_raster(RASTER) as raster:
        grid = map_grid(raster, load_model(model).info, None, None, lines=True)
        maps = next(folder.glob("features/map-*"))
        found = ClassMap(maps, grid, classes)
        from samgeo_core.merge.nodes import lattice

        logits, known = found.logits(lattice(grid))
        rows, cols = np.mgrid[0 : known.shape[0], 0 : known.shape[1]]
        t = raster.transform
        x = t.c + t.a * (cols + 0.5) * grid.cell
        y = t.f + t.e * (rows + 0.5) * grid.cell
        spots = gpd.GeoSeries(shapely.points(x.ravel(), y.ravel()), crs=raster.crs).to_crs(crs)
    line = shapely.union_all(truth)
    shapely.prepare(line)
    near = shapely.dwithin(spots.values, line, NEAR)
    far = ~shapely.dwithin(spots.values, line, FAR)
    use = (near | far) & known.ravel()
    score = class_probabilities(logits)[..., number].ravel()
    return float(roc_auc_score(near[use], score[use]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--strokes", type=int, nargs="+", default=[0, 5, 10])
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--min-class-prob", type=float, default=0.65)
    args = parser.parse_args()
    with open_raster(RASTER) as raster:
        crs, bounds = raster.crs, raster.info.bounds
    truth_frame = gpd.read_file(VEGAS / "AOI_2_Vegas_img0_roads.geojson").set_crs(
        4326, allow_override=True
    )
    metric = truth_frame.estimate_utm_crs()
    frame = gpd.GeoSeries([shapely.box(*bounds)], crs=crs).to_crs(metric).iloc[0]
    truth = lines_of(truth_frame, metric)
    truth = np.array(
        [p for p in shapely.get_parts(shapely.intersection(truth, frame)) if p.length > 0], object
    )
    print("strokes  AUC   corr8 comp8  corr4 comp4  APLS   lines  s")
    for n in args.strokes:
        rows = []
        for seed in range(args.draws if n else 1):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                on, off = draw(truth, frame, n, np.random.default_rng(seed))
                for path, lines in (("roads", on), ("other", off)):
                    strokes = gpd.GeoDataFrame(geometry=lines, crs=metric)
                    strokes.to_file(folder / f"{path}.gpkg")
                started = time.monotonic()
                out = folder / "network.gpkg"
                map_classes(
                    MapParameters(
                        [str(RASTER)],
                        str(out),
                        shapes="network",
                        like=[str(folder / "roads.gpkg")] if n else [],
                        unlike=[str(folder / "other.gpkg")] if n else [],
                        job_folder=str(folder / "job"),
                        model=args.model,
                        min_class_prob=args.min_class_prob if n else None,
                        threads=int(os.environ.get("SAMGEO_THREADS", "2")),
                    )
                )
                seconds = time.monotonic() - started
                result = gpd.read_file(out, layer="network")
                found = lines_of(result, metric)
                known = (2, 0) if n else (len(CLASSES), CLASSES.index("road"))
                auc = cell_auc(folder / "job", truth, metric, args.model, *known)
                eight, four = relaxed(found, truth, 8), relaxed(found, truth, 4)
                row = (auc, *eight, *four, apls(found, truth), len(found), seconds)
                rows.append(row)
                print(f"  {n:3d}/{seed}  " + " ".join(f"{v:6.3f}" for v in row), flush=True)
                if args.pictures and seed == 0:
                    picture(args.pictures / f"roads_{n}.png", result, truth_frame, on, off, metric)
        print(f"{n:5d}    " + " ".join(f"{v:6.3f}" for v in np.mean(rows, axis=0)), flush=True)


def picture(path: Path, found: gpd.GeoDataFrame, truth: gpd.GeoDataFrame, on: list, off: list,
            metric: object) -> None:  # fmt: skip
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    with open_raster(RASTER) as raster:
        image, t = raster.read(raster.bounds).pixels, raster.transform
        crs = raster.crs
    figure = plt.figure(figsize=(13, 13))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(image)

    def lines(shapes: gpd.GeoSeries, colour: str, width: float) -> None:
        for part in shapely.get_parts(shapes.to_crs(crs).values):
            x, y = shapely.get_coordinates(part).T
            axes.plot((x - t.c) / t.a, (y - t.f) / t.e, colour, linewidth=width)

    lines(truth.geometry, "cyan", 0.8)
    lines(found.geometry, "red", 2.0)
    lines(gpd.GeoSeries(on, crs=metric), "yellow", 4.0)
    lines(gpd.GeoSeries(off, crs=metric), "magenta", 4.0)
    for part in shapely.get_parts(found.to_crs(crs).geometry.values):
        xy = shapely.get_coordinates(part)[[0, -1]]
        axes.plot((xy[:, 0] - t.c) / t.a, (xy[:, 1] - t.f) / t.e, "w.", markersize=5)
    axes.set_axis_off()
    figure.savefig(path, dpi=75)
    plt.close(figure)


if __name__ == "__main__":
    main()
