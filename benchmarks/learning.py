# SPDX-License-Identifier: GPL-2.0-or-later
"""How much do 30 and 100 corrected objects gain? A simulated person on two places.

    python benchmarks/learning.py [--site banepa|denmark] [--objects 30 100] [--steps 120]
        [--permuted] [--confident] [--model embedded] [--work FOLDER]

The person works through a part of the raster that holds so many objects: what the automatic mode
found there and is an object becomes its true outline (corrected), what is none is rejected, what is
missing is drawn. So all of that part is labelled, and the rest is unknown. ``samgeo train`` learns
from that. Both models are then asked about another part, on which nothing was trained or chosen:

* Banepa: buildings; the person works in the north-west, the test is the eastern half. The shipped
  model has seen the west in its own training.
* Denmark: parcels on a Sentinel-2 image; the person works in the west, the test is what lies east
  of the first 100 parcels. The shipped model has never seen a Sentinel-2 image.

``--permuted`` moves all labels to random places first: no gain may be claimed. ``--work`` keeps
what was measured and trained, so that a run goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from samgeo_core.jobs.scale import scale_for, scaled
from samgeo_core.labels.places import Cut
from samgeo_core.models.load import load_model
from samgeo_core.raster.raster import open_raster
from samgeo_core.training.datasets.crops import BANEPA_SPLIT
from samgeo_core.training.finetuning.accepted import found_by
from samgeo_core.training.finetuning.examples import (
    ExampleOptions,
    Examples,
    Window,
    Windows,
    read_examples,
)
from samgeo_core.training.finetuning.finetune import LoopOptions
from samgeo_core.training.finetuning.gain import NAMES, judge
from samgeo_core.training.finetuning.measure import (
    everything,
    measure,
    measure_found,
    one_to_one,
    overlaps,
)
from samgeo_core.training.finetuning.training_job import TrainOptions, prepare

SHARED = Path(
    os.environ.get("SAMGEO_SHARED_DATA", Path(__file__).parents[1].parent / "shared" / "data")
)
WINDOW = 1024


@dataclass(frozen=True)
class Site:
    """A raster with its truth, where the person works, and where both models are asked.

    Args:
        raster, truth: Paths below ``eval/``.
        limit: Columns below which the person works; None: all.
        along: Axis along which the person works, 0 columns, 1 rows.
        test: Column from which both models are asked; None: beyond the first 100 objects.
    """

    raster: str
    truth: str
    limit: int | None
    along: int
    test: int | None

    @property
    def path(self) -> str:
        return str(SHARED / "eval" / self.raster)


BANEPA, DENMARK = "buildings_banepa", "fields_denmark_west"
SITES = {
    "banepa": Site(f"{BANEPA}/mosaic_train_4326.tif", f"{BANEPA}/footprints_4326.gpkg", 1024, 1,
                   BANEPA_SPLIT),
    "denmark": Site(f"{DENMARK}/s2_rgb_uint16.tif", f"{DENMARK}/parcels.gpkg", None, 0, None),
}  # fmt: skip


def outlines(site: Site, crs: Any) -> gpd.GeoDataFrame:
    """True outlines without the few that overlap others: the truth has some twice."""
    frame = gpd.read_file(SHARED / "eval" / site.truth).to_crs(crs)
    shapes = np.array(frame.geometry.array, object)
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    keep = first < second
    first, second = first[keep], second[keep]
    common = shapely.area(shapely.intersection(shapes[first], shapes[second]))
    least = np.minimum(shapely.area(shapes[first]), shapely.area(shapes[second]))
    return frame.drop(index=np.unique(second[common > 0.15 * least]))


def worked(site: Site, raster: Any, frame: gpd.GeoDataFrame, count: int) -> tuple[Any, float]:
    """Rows of the first objects that the person comes to, and the place where they stop, pixels."""
    inverse = ~raster.transform
    middle = np.array([inverse @ (g.centroid.x, g.centroid.y) for g in frame.geometry])
    inside = (middle >= 0).all(axis=1) & (middle < (raster.width, raster.height)).all(axis=1)
    if site.limit is not None:
        inside &= middle[:, 0] < site.limit
    rows = np.flatnonzero(inside)
    rows = rows[np.argsort(middle[rows, site.along], kind="stable")]
    if len(rows) == count:
        return rows, float(middle[rows, site.along].max()) + 1
    chosen = middle[rows[: count + 1], site.along]
    return rows[:count], float(chosen[-2:].mean())


def corrected(
    site: Site, raster: Any, count: int, model: Any, points: int, permuted: bool
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """The person's layer with a status, and the part that is complete."""
    frame = outlines(site, raster.crs)
    place, inverse = raster.transform, ~raster.transform
    rows, end = worked(site, raster, frame, count)
    right, bottom = float(site.limit or raster.width), float(raster.height)
    right, bottom = (end, bottom) if site.along == 0 else (right, end)
    objects = frame.iloc[rows][["geometry"]].assign(status="corrected")
    if permuted:
        rng = np.random.default_rng(1)
        kept: list[Any] = []
        for shape in objects.geometry:
            at = inverse @ (shape.centroid.x, shape.centroid.y)
            to = rng.uniform((0.04 * right, 0.04 * bottom), (0.96 * right, 0.96 * bottom))
            step = (to - np.array(at)) * (place.a, place.e)
            moved = shapely.transform(shape, lambda xy, d=step: xy + d)
            if not any(moved.intersects(other) for other in kept):  # labels may not overlap
                kept.append(moved)
        objects = gpd.GeoDataFrame({"status": "corrected"}, geometry=kept, crs=raster.crs,
                                   index=range(len(kept)))  # fmt: skip
    rejected = []
    examples = read_examples(raster, objects, ExampleOptions(complete_everywhere=True))
    for window in Windows(raster, WINDOW).around(examples, nowhere(raster), "train"):
        found, _ = everything(model, window, points)
        table = overlaps(found, [window.mask(o) for o in window.objects])
        paired = {i for i, _ in one_to_one(table)}
        for i, (box, part) in enumerate(found):
            r, c = (int(v.mean()) for v in np.nonzero(part))
            row, col = r + box.row0, c + box.col0
            there = row + window.box.row0 < bottom and col + window.box.col0 < right
            if i in paired or not there or not window.part[row, col]:
                continue
            if table[i].max(initial=0) < 0.3:
                at = rasterio.transform.Affine.translation(
                    box.col0 + window.box.col0, box.row0 + window.box.row0
                )
                shapes = rasterio.features.shapes(
                    part.astype(np.uint8), mask=part, transform=place @ at
                )
                rejected.append(
                    max((shapely.geometry.shape(s) for s, _ in shapes), key=lambda s: s.area)
                )
    layer = gpd.GeoDataFrame(
        {"status": [*objects["status"], *["rejected"] * len(rejected)]},
        geometry=[*objects.geometry, *rejected],
        crs=raster.crs,
    )
    area = shapely.transform(
        shapely.box(0, 0, right, bottom), lambda xy: np.column_stack(place @ (xy[:, 0], xy[:, 1]))
    )
    return layer, gpd.GeoDataFrame(geometry=[area], crs=raster.crs)


def nowhere(raster: Any) -> Cut:
    return Cut(0, float(raster.width))


def tested(site: Site, raster: Any) -> list[Window]:
    """Windows of the tested part with all of its objects; everything is labelled there."""
    frame = outlines(site, raster.crs)
    at = float(site.test) if site.test is not None else worked(site, raster, frame, 100)[1]
    examples: Examples = read_examples(raster, frame, ExampleOptions(complete_everywhere=True))
    return Windows(raster, WINDOW).around(examples, Cut(0, at), "held back")


def kept(folder: Path | None, name: str, make: Callable[[], Any]) -> Any:
    """What was made before, or now."""
    if folder is None:
        return make()
    path = folder / f"{name}.pickle"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = make()
        path.with_suffix(".part").write_bytes(pickle.dumps(made))
        path.with_suffix(".part").replace(path)
    return pickle.loads(path.read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", choices=tuple(SITES), default="banepa")
    parser.add_argument("--objects", type=int, nargs="+", default=[30, 100])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--what", choices=("adapter", "decoder", "whole"))
    parser.add_argument("--steps", type=int, default=LoopOptions.steps)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=LoopOptions.rate)
    parser.add_argument("--points", type=int, default=32)
    parser.add_argument("--windows", type=int, default=4, help="of the tested part")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--permuted", action="store_true")
    parser.add_argument("--confident", action="store_true", help="learn from confident masks, too")
    parser.add_argument("--work", type=Path, help="keep what was measured and trained")
    options = parser.parse_args()
    site = SITES[options.site]
    with open_raster(site.path) as raster:
        base = load_model(options.model, "cpu", options.threads)
        base = scaled(base, scale_for(None, raster), None)
        windows = tested(site, raster)[: options.windows]
        print(f"{options.site}, tested part: {len(windows)} windows, "
              f"{sum(len(w.objects) for w in windows)} objects", flush=True)  # fmt: skip

        def asked(model: Any, classifier: Any = None) -> Any:
            seen = measure(model, windows, automatic=len(windows), points=options.points)
            if classifier is None:
                return seen
            found = found_by(classifier, raster, model, windows, options.points)
            return measure_found(seen, found, windows)

        before = kept(options.work, "before", lambda: asked(base))
        print("base:", {k: round(v, 4) for k, v in before.figures().items()}, flush=True)
        for count in options.objects:
            name = f"{count}{'-permuted' if options.permuted else ''}"
            layer, area = kept(
                options.work,
                f"labels-{name}",
                lambda count=count: corrected(
                    site, raster, count, base, options.points, options.permuted
                ),
            )
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch) if options.work is None else options.work / name
                folder.mkdir(parents=True, exist_ok=True)
                area.to_file(folder / "area.gpkg")
                trained(options, name, raster, layer, folder, before, asked)


def trained(
    options: argparse.Namespace,
    name: str,
    raster: Any,
    layer: gpd.GeoDataFrame,
    folder: Path,
    before: Any,
    asked: Callable[..., Any],
) -> None:
    """Train on a person's layer, and show what both models do on the tested part."""
    settings = TrainOptions(
        model=options.model,
        what=options.what,
        points=options.points,
        confident=options.confident,
        device="cpu",
        threads=options.threads,
        examples=ExampleOptions(complete=folder / "area.gpkg"),
        loop=LoopOptions(steps=options.steps, minutes=options.minutes, rate=options.rate),
    )
    clock, cpu = time.monotonic(), time.process_time()
    job = prepare(raster, layer, settings, folder)

    def told(stage: str, done: int, total: int) -> None:
        if stage != "train" or done % 20 == 0:
            print(f"  {stage} {done}/{total} {time.process_time() - cpu:.0f} s of CPU", flush=True)

    done = job.run(f"{options.site}-{name}", told)
    print(f"\n{name} objects {layer['status'].value_counts().to_dict()}: "
          f"{time.monotonic() - clock:.0f} s, {time.process_time() - cpu:.0f} s of CPU, "
          f"{done.card['steps']} steps, loss {done.card['loss']}, threshold "
          f"{job.notes.score_threshold}")  # fmt: skip
    print("  kept:", done.card["kept"])
    print("  held back by samgeo train:", done.verdict.offered, done.verdict.reason)
    for key, change in done.verdict.changes.items():
        print(f"    {NAMES[key]:28s} {change.before:.4f} {change.after:.4f}")
    print("  sample scene:", done.card["sample_scene"], flush=True)
    verdict = judge(before, asked(job.after, job.classifier))
    for key, change in verdict.changes.items():
        print(f"  tested part, {NAMES[key]:28s} {change.before:.4f} {change.after:.4f} "
              f"{change.difference:+.4f} ({change.low:+.4f} to {change.high:+.4f})",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
