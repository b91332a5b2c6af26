# SPDX-License-Identifier: GPL-2.0-or-later
"""What does a country cost? Time and memory per million objects, and what workers gain.

    python -m benchmarks.scale [--tiles 24] [--workers 1 2 4] [--profile] [--scenes 0]

Whole jobs (raster to GeoParquet) on a simulated raster of ``--tiles`` x ``--tiles`` tiles (1,000
for the full size: 64 million objects), with a segmenter that stamps blobs and costs next to
nothing: what is measured is all but the model. Each job runs in a process of its own. CPU seconds
are those of the job's processes together, so that other programs of the machine count little; the
efficiency is CPU seconds of one worker over those of all, and wall time beside it.

``--scenes N`` runs N small rasters, one per cent of them broken, and prints how the memory of the
process that leads the run grows.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio
from samgeo_core.job import Progress, SegmentParameters
from samgeo_core.jobs.run import run
from samgeo_core.masks.masks import Mask, TileMasks
from samgeo_core.parallel.executors import make_executor
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.testing.bright import Bright
from samgeo_core.types import CellBox

ROOT = Path(__file__).resolve().parents[1]
CORE = 768
"""Pixels of a tile's core, with the usual window of 1,024 and margin of 128."""
PITCH = 24
"""Cells of 4 pixels between the middles of two blobs: 64 objects per tile."""
BUILDINGS_PER_KM2 = 100
"""Of a densely settled country, e.g. Nepal's five to six million buildings on 147,000 km2: 40; a
town has 2,000."""


@dataclass(frozen=True)
class Stamps:
    """Blobs of a few sizes at jittered places: as cheap as a segmenter can be. Picklable."""

    name: str = "stamps"
    fingerprint: str = "stamps 1"

    def cell_size(self, window_size: int) -> int:
        return 4

    def segment(self, image: TileImage) -> TileMasks:
        window = image.tile.window.cells(image.cell)
        masks = []
        for i in range(window.row0 // PITCH - 1, window.row1 // PITCH + 2):
            for j in range(window.col0 // PITCH - 1, window.col1 // PITCH + 2):
                chance = (i * 73856093 ^ j * 19349663) & 0xFFFF
                stamp = _stamp(chance % 16)
                row, col = i * PITCH + chance % 7, j * PITCH + chance // 7 % 7
                box = CellBox(row, col, row + stamp.shape[0], col + stamp.shape[1])
                common = box.intersection(window)
                if common.empty:
                    continue
                logits = np.ascontiguousarray(stamp[common.slices(box)])
                if (logits > 0).any():
                    masks.append(Mask(common, logits, 0.9, 0.9))
        return TileMasks(image.tile.index, image.cell, masks)


@lru_cache(maxsize=16)
def _stamp(number: int) -> np.ndarray:
    tall, wide = 3 + number % 4, 3 + number // 4
    rows, cols = np.ogrid[-tall - 1 : tall + 2, -wide - 1 : wide + 2]
    return np.clip(np.rint((1 - np.hypot(rows / tall, cols / wide)) * 64), -127, 127).astype(
        np.int8
    )


def make_raster(path: Path, tiles: int) -> Path:
    """A virtual raster of zeros without a file behind it, 0.3 m, UTM 45 N: any size, no disk."""
    side = tiles * CORE
    band = '<VRTRasterBand dataType="Byte" band="{}"><ColorInterp>{}</ColorInterp></VRTRasterBand>'
    bands = "".join(band.format(n, c) for n, c in enumerate(("Red", "Green", "Blue"), 1))
    path.write_text(
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>EPSG:32645</SRS>'
        f"<GeoTransform>400000, 0.3, 0, 3000000, 0, -0.3</GeoTransform>{bands}</VRTDataset>",
        encoding="utf-8",
    )
    return path


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    mine, theirs = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


class Stages:
    """CPU and wall seconds between the first steps of a job's stages."""

    def __init__(self) -> None:
        self.marks: list[tuple[str, float, float]] = []

    def __call__(self, step: Progress) -> None:
        if not self.marks or self.marks[-1][0] != step.stage:
            self.marks.append((step.stage, cpu_seconds(), time.monotonic()))
        elif step.stage == "tiles" and step.done == step.total:
            # The merge says nothing of itself: it begins when the last tile is done.
            self.marks.append(("merge", cpu_seconds(), time.monotonic()))

    def seconds(self) -> dict[str, dict[str, float]]:
        marks = [*self.marks, ("end", cpu_seconds(), time.monotonic())]
        found: dict[str, dict[str, float]] = {}
        for (name, cpu, wall), (_, cpu2, wall2) in pairwise(marks):
            kept = found.setdefault(name, {"cpu": 0.0, "wall": 0.0})
            kept["cpu"] += cpu2 - cpu
            kept["wall"] += wall2 - wall
        return found


def job(raster: str, output: str, workers: int, profile: bool) -> None:
    """One whole job; prints its figures as JSON."""
    stages = Stages()
    params = SegmentParameters(
        [raster],
        output,
        overwrite=True,
        workers=workers,
        tile_size=1024,
        stretch=[[0, 255]],
        overview=False,
        repair=False,
    )
    started, cpu = time.monotonic(), cpu_seconds()
    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    result = run(params, segmenter=Stamps(), progress=stages)
    if profile:
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(35)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "features": result.features,
                "tiles": result.tiles,
                "seconds": time.monotonic() - started,
                "cpu": cpu_seconds() - cpu,
                "peak": peak,
                "worker_peak": children,
                "stages": stages.seconds(),
            }
        )
    )


def measured(raster: Path, output: Path, workers: int, profile: bool = False) -> dict:
    """Figures of a job in a process of its own."""
    words = ["--job", str(raster), str(output), "--workers", str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", *words, *(["--profile"] if profile else [])],
        check=True,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=ROOT,
    )
    return json.loads(done.stdout)


def nothing(item: int) -> int:
    return item


def overhead(workers: int, count: int = 3000) -> float:
    """Milliseconds that handing out one item costs, results in order."""
    with make_executor(workers) as executor:
        list(executor.map(nothing, range(workers * 4)))  # all processes have begun
        started = time.monotonic()
        list(executor.map(nothing, range(count)))
        return (time.monotonic() - started) / count * 1000


def report(found: dict, workers: int, first: dict) -> None:
    """Print one job's row and its stages."""
    million = found["features"] / 1e6
    after = [v for k, v in found["stages"].items() if k in ("merge", "polygons", "layer")]
    cpu, wall = sum(v["cpu"] for v in after), sum(v["wall"] for v in after)
    if workers > 1:  # the processes' own CPU time is known only when they have ended
        cpu = found["cpu"] * wall / found["seconds"]
    print(
        f"{workers:7d} {found['tiles']:7d} {found['features']:9d} {found['seconds']:8.1f} "
        f"{found['cpu']:8.1f} {first['seconds'] / found['seconds'] / workers:6.2f} "
        f"{first['cpu'] / found['cpu']:6.2f} {cpu / found['features'] * 1000:9.3f} "
        f"{wall / found['seconds']:6.2f} {found['peak']:7.0f} {found['worker_peak']:7.0f}   "
        f"{found['seconds'] / million / 60:.1f} min per million",
        flush=True,
    )
    parts = [f"{k} {v['wall']:.1f} s" for k, v in found["stages"].items()]
    print(f"          {', '.join(parts)}", flush=True)


def on_paper(found: dict) -> None:
    """What a country of 150,000 km2 at 0.3 m costs, from the measured rates."""
    km2 = 150_000
    tiles = km2 * 1e6 / 0.09 / CORE**2
    objects = km2 * BUILDINGS_PER_KM2
    per_tile = found["stages"]["tiles"]["cpu"] / found["tiles"]
    after = sum(v["cpu"] for k, v in found["stages"].items() if k in ("merge", "polygons", "layer"))
    per_object = after / found["features"]
    hours = (tiles * per_tile + objects * per_object) / 3600
    print(
        f"On paper: {km2:,} km2 at 0.3 m are {tiles / 1e6:.1f} million tiles; with "
        f"{objects / 1e6:.0f} million objects, all but the model takes {hours:,.0f} core hours. "
        f"The model adds {tiles / 3600:,.0f} hours per second and tile: on one core, or on one GPU."
    )


def many_scenes(folder: Path, count: int) -> None:
    """Many small rasters one by one: does the leading process' memory stay flat?"""
    pixels = np.full((3, 64, 64), 20, np.uint8)
    pixels[:, 20:30, 20:30] = 200
    rasters = folder / "scenes"
    rasters.mkdir()
    for number in range(count):
        path = rasters / f"scene_{number:06d}.tif"
        if number % 100 == 37:
            path.write_bytes(b"no raster")
            continue
        place = rasterio.Affine(0.5, 0, 400_000 + 32 * (number % 100), 0, -0.5, 3e6 - number // 100)
        with rasterio.open(
            path, "w", driver="GTiff", width=64, height=64, count=3, dtype="uint8",
            crs="EPSG:32645", transform=place,
        ) as file:  # fmt: skip
            file.write(pixels)
    marks: list[tuple[int, float]] = []

    def memory(step: Progress) -> None:
        if step.stage == "scenes" and step.done % max(1, count // 10) == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            marks.append((step.done, pages * resource.getpagesize() / 2**20))

    params = SegmentParameters(
        [str(rasters)], str(folder / "maps" / "{scene}.parquet"), scenes="each", workers=2
    )
    started = time.monotonic()
    result = run(params, segmenter=Bright(), progress=memory)
    seconds = time.monotonic() - started
    print(
        f"{count} scenes, {len(result.failed)} failed, {result.features} objects, "
        f"{seconds / count * 1000:.0f} ms per scene with two workers"
    )
    print("memory of the leading process, MB: " + ", ".join(f"{d}: {m:.0f}" for d, m in marks))


def main() -> None:
    """Run and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=24, help="Along each side.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--profile", action="store_true", help="Of one worker, after the table.")
    parser.add_argument("--scenes", type=int, default=0, help="Run many small rasters instead.")
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        job(*args.job, args.workers[0], args.profile)
        return
    with tempfile.TemporaryDirectory(prefix="samgeo-scale-") as name:
        folder = Path(name)
        if args.scenes:
            many_scenes(folder, args.scenes)
            return
        raster = make_raster(folder / "country.vrt", args.tiles)
        print(
            "workers   tiles   objects  wall s    CPU s   eff.  CPU eff. ms/object  share  peak MB "
            "(one worker)"
        )
        first: dict = {}
        bytes_before = None
        for workers in args.workers:
            output = folder / f"{workers}.parquet"
            found = measured(raster, output, workers)
            first = first or found
            report(found, workers, first)
            content = output.read_bytes()
            assert bytes_before in (None, content), "other bytes"
            bytes_before = content
        for workers in args.workers:
            print(f"one item handed out with {workers} worker(s): {overhead(workers):.3f} ms")
        on_paper(first)
        if args.profile:
            measured(raster, folder / "profile.parquet", 1, profile=True)


if __name__ == "__main__":
    main()
