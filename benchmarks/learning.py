# SPDX-License-Identifier: GPL-2.0-or-later
"""How much do 30 and 100 corrected objects gain? A simulated user on Banepa.

    python benchmarks/learning.py [--objects 30 100] [--steps 300] [--permuted] [--model embedded]

The person works through a rectangle in the west of the Banepa mosaic that holds so many buildings:
what the automatic mode found there and is a building becomes its footprint (corrected), what is
none is rejected, what is missing is drawn. So all of the rectangle is labelled, and the rest is
unknown. ``samgeo train`` learns from that. Both models are then asked about the mosaic's eastern
part, which nothing was trained or chosen on; the shipped model has seen the west in its own
training. ``--permuted`` moves all labels to random places first: no gain may be claimed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from samgeo_core.labels.places import Cut
from samgeo_core.models.load import load_model
from samgeo_core.raster.raster import open_raster
from samgeo_core.training.datasets.crops import BANEPA_SPLIT
from samgeo_core.training.finetuning.examples import ExampleOptions, Windows, read_examples
from samgeo_core.training.finetuning.finetune import LoopOptions
from samgeo_core.training.finetuning.gain import NAMES, judge
from samgeo_core.training.finetuning.improve import TrainOptions, prepare
from samgeo_core.training.finetuning.measure import everything, measure, one_to_one, overlaps

SHARED = Path(
    os.environ.get("SAMGEO_SHARED_DATA", Path(__file__).parents[1].parent / "shared" / "data")
)
FOLDER = SHARED / "eval" / "buildings_banepa"
MOSAIC, TRUTH = FOLDER / "mosaic_train_4326.tif", FOLDER / "footprints_4326.gpkg"
WEST = 1024
"""Columns of the rectangle in which the person works."""


def footprints() -> gpd.GeoDataFrame:
    """Footprints without the few that overlap others: the truth has some twice."""
    frame = gpd.read_file(TRUTH)
    shapes = np.array(frame.geometry.array, object)
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    keep = first < second
    first, second = first[keep], second[keep]
    common = shapely.area(shapely.intersection(shapes[first], shapes[second]))
    least = np.minimum(shapely.area(shapes[first]), shapely.area(shapes[second]))
    return frame.drop(index=np.unique(second[common > 0.15 * least]))


def corrected(
    count: int, model: object, points: int, permuted: bool
) -> tuple[gpd.GeoDataFrame, ...]:
    """The person's layer with a status, and the rectangle that is complete."""
    frame = footprints()
    with open_raster(str(MOSAIC)) as raster:
        frame = frame.to_crs(raster.crs)
        inverse = ~raster.transform
        middle = np.array([inverse @ (g.centroid.x, g.centroid.y) for g in frame.geometry])
        west = np.flatnonzero((middle[:, 0] >= 0) & (middle[:, 0] < WEST) & (middle[:, 1] >= 0))
        west = west[np.argsort(middle[west, 1], kind="stable")][:count]
        bottom = float(middle[west, 1].max()) + 1
        place = raster.transform
        area = shapely.transform(
            shapely.box(0, 0, WEST, bottom),
            lambda xy: np.column_stack(place @ (xy[:, 0], xy[:, 1])),
        )
        objects = frame.iloc[west][["geometry"]].assign(status="corrected")
        if permuted:
            rng = np.random.default_rng(1)
            moved = []
            for shape, (col, row) in zip(objects.geometry, middle[west], strict=True):
                to = rng.uniform((40, 40), (WEST - 40, bottom - 40))
                dx, dy = (to - (col, row)) * (place.a, place.e)
                moved.append(shapely.transform(shape, lambda xy, d=(dx, dy): xy + np.array(d)))
            kept: list = []
            for shape in moved:  # labels may not overlap
                if not any(shape.intersects(other) for other in kept):
                    kept.append(shape)
            objects = gpd.GeoDataFrame(
                {"status": ["corrected"] * len(kept)}, geometry=kept, crs=frame.crs
            )
        rejected = []
        examples = read_examples(raster, objects, ExampleOptions(complete_everywhere=True))
        nowhere = Cut(0, float(raster.width))
        for window in Windows(raster, 1024).around(examples, nowhere, "train"):
            found, _ = everything(model, window, points)  # type: ignore[arg-type]
            table = overlaps(found, [window.mask(o) for o in window.objects])
            paired = {i for i, _ in one_to_one(table)}
            for i, (box, part) in enumerate(found):
                rows, cols = np.nonzero(part)
                row, col = rows.mean() + box.row0, cols.mean() + box.col0
                inside = window.part[int(row), int(col)] and row + window.box.row0 < bottom
                if i not in paired and inside and table[i].max(initial=0) < 0.3:
                    mask = part.astype(np.uint8)
                    shapes = rasterio.features.shapes(mask, mask=part, transform=place)
                    largest = max(
                        (shapely.geometry.shape(s) for s, _ in shapes), key=lambda s: s.area
                    )
                    # The shapes' transform is the raster's: move them to the window's place.
                    dx = (box.col0 + window.box.col0) * place.a
                    dy = (box.row0 + window.box.row0) * place.e
                    rejected.append(
                        shapely.transform(largest, lambda xy, d=(dx, dy): xy + np.array(d))
                    )
    layer = gpd.GeoDataFrame(
        {"status": [*objects["status"], *["rejected"] * len(rejected)]},
        geometry=[*objects.geometry, *rejected],
        crs=frame.crs,
    )
    return layer, gpd.GeoDataFrame(geometry=[area], crs=frame.crs)


def east(size: int) -> list:
    """Windows of the eastern part with all of its buildings; everything is labelled there."""
    with open_raster(str(MOSAIC)) as raster:
        examples = read_examples(raster, footprints(), ExampleOptions(complete_everywhere=True))
        return Windows(raster, size).around(examples, Cut(0, float(BANEPA_SPLIT)), "held back")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, nargs="+", default=[30, 100])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--what", choices=("adapter", "decoder", "whole"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--points", type=int, default=32)
    parser.add_argument("--windows", type=int, default=4, help="of the east")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--permuted", action="store_true")
    options = parser.parse_args()
    base = load_model(options.model, "cpu", options.threads)
    windows = east(1024)[: options.windows]
    print(
        f"east: {len(windows)} windows, {sum(len(w.objects) for w in windows)} buildings",
        flush=True,
    )
    begun = time.monotonic()
    before = measure(base, windows, automatic=len(windows), points=options.points)
    print("base:", {k: round(v, 4) for k, v in before.figures().items()},
          f"{time.monotonic() - begun:.0f} s", flush=True)  # fmt: skip
    for count in options.objects:
        layer, area = corrected(count, base, options.points, options.permuted)
        states = layer["status"].value_counts().to_dict()
        with tempfile.TemporaryDirectory() as folder, open_raster(str(MOSAIC)) as raster:
            area.to_file(Path(folder) / "area.gpkg")
            settings = TrainOptions(
                model=options.model,
                what=options.what,
                points=options.points,
                device="cpu",
                threads=options.threads,
                examples=ExampleOptions(complete=Path(folder) / "area.gpkg"),
                loop=LoopOptions(steps=options.steps, minutes=options.minutes, rate=options.rate),
            )
            begun = time.monotonic()
            cpu = time.process_time()
            job = prepare(raster, layer, settings, Path(folder))
            done = job.run("banepa", lambda *_: None)
            print(f"\n{count} objects {states}: {time.monotonic() - begun:.0f} s, "
                  f"{time.process_time() - cpu:.0f} s of CPU, {done.card['steps']} steps, "
                  f"loss {done.card['loss']}, threshold {job.notes.score_threshold}")  # fmt: skip
            print("  held back in the west:", done.verdict.offered, done.verdict.reason)
            print("  sample scene:", done.card["sample_scene"], flush=True)
            if job.after is not None:
                verdict = judge(
                    before,
                    measure(job.after, windows, automatic=len(windows), points=options.points),
                )
                for name, change in verdict.changes.items():
                    print(f"  east, {NAMES[name]:28s} {change.before:.4f} {change.after:.4f} "
                          f"{change.difference:+.4f} ({change.low:+.4f} to {change.high:+.4f})",
                          flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
