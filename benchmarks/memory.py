# SPDX-License-Identifier: GPL-2.0-or-later
"""Do memory or time per megapixel grow with the raster? Does a killed job end the same?

    python benchmarks/memory.py [--sizes 5000 20000] [--kills 10] [--workers 1]

Whole jobs (raster to GeoPackage) on grey rasters, with an oracle that computes each tile's masks
from its position: blobs on a jittered lattice, some across tile borders, and roads through the
whole raster. Each job runs in a process of its own; its peak memory is the operating system's
figure for that process. The reference is the first size of the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs.run import run
from samgeo_core.masks.masks import Mask, TileMasks
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.types import CellBox

ROOT = Path(__file__).resolve().parents[1]
PITCH = 24
"""Cells between the middles of two blobs."""
ROAD = 512
"""Cells between two roads."""


@dataclass(frozen=True)
class LatticeOracle:
    """Blobs and roads whose place and size follow from their number alone."""

    name: str = "lattice"
    fingerprint: str = "lattice 1"

    def cell_size(self, window_size: int) -> int:
        return 4

    def segment(self, image: TileImage) -> TileMasks:
        window = image.tile.window.cells(image.cell)
        masks = []
        for i in range(window.row0 // PITCH - 1, window.row1 // PITCH + 2):
            for j in range(window.col0 // PITCH - 1, window.col1 // PITCH + 2):
                mask = _blob(i, j, window)
                if mask is not None:
                    masks.append(mask)
        for k in range(window.row0 // ROAD, window.row1 // ROAD + 1):
            road = CellBox(k * ROAD + 100, window.col0, k * ROAD + 104, window.col1)
            common = road.intersection(window)
            if not common.empty:
                masks.append(Mask(common, np.full(common.shape, 100, np.int8), 0.9, 0.9))
        return TileMasks(image.tile.index, image.cell, masks)


def _blob(i: int, j: int, window: CellBox) -> Mask | None:
    chance = np.random.default_rng(((i + 2) << 24) + j + 2).random(4)
    row, col = (i + 0.3 + 0.4 * chance[0]) * PITCH, (j + 0.3 + 0.4 * chance[1]) * PITCH
    if 94 <= row % ROAD <= 110:
        return None
    tall, wide = 3 + 4 * chance[2], 3 + 4 * chance[3]
    box = CellBox(
        int(row - tall) - 1, int(col - wide) - 1, int(row + tall) + 3, int(col + wide) + 3
    )
    common = box.intersection(window)
    if common.empty:
        return None
    rows = (np.arange(common.row0, common.row1) + 0.5 - row) / tall
    cols = (np.arange(common.col0, common.col1) + 0.5 - col) / wide
    field = 1 - np.hypot(rows[:, None], cols[None, :])
    logits = np.clip(np.rint(field * 64), -127, 127).astype(np.int8)
    return Mask(common, logits, 0.9, 0.9) if (logits > 0).any() else None


def make_raster(path: Path, size: int) -> None:
    """A grey GeoTIFF, square, 0.3 m, UTM 45 N, written strip by strip; a few MB on the disk."""
    profile = {
        "driver": "GTiff",
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:32645",
        "transform": rasterio.Affine(0.3, 0, 400_000, 0, -0.3, 3_000_000),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "zstd",
    }
    with rasterio.open(path, "w", width=size, height=size, **profile) as file:
        for row in range(0, size, 512):
            window = Window(0, row, size, min(512, size - row))
            file.write(np.full((3, window.height, size), 90, np.uint8), window=window)


def job(raster: str, output: str, workers: int) -> None:
    """One whole job; prints its figures as JSON."""
    started = time.monotonic()
    params = SegmentParameters([raster], output, layer="objects", overwrite=True, workers=workers)
    result = run(params, segmenter=LatticeOracle())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    figures = {"peak": max(peak, children), "seconds": time.monotonic() - started}
    print(json.dumps({**figures, "features": result.features, "tiles": result.tiles}))


def _command(raster: Path, output: Path, workers: int) -> list[str]:
    job_arguments = ["--job", str(raster), str(output), "--workers", str(workers)]
    return [sys.executable, str(Path(__file__).resolve()), *job_arguments]


def measure(folder: Path, size: int, workers: int) -> dict[str, float]:
    """Figures of a job on a raster of a size."""
    raster = folder / f"{size}.tif"
    make_raster(raster, size)
    command = _command(raster, folder / f"{size}.gpkg", workers)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=_environment())
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def kill_and_go_on(folder: Path, size: int, kills: int, workers: int) -> bool:
    """Whether a job that was killed at random moments ends in the undisturbed one's bytes."""
    raster, output = folder / f"{size}.tif", folder / "killed.gpkg"
    undisturbed = folder / f"{size}.gpkg"
    started = time.monotonic()
    command = _command(raster, output, workers)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_environment())
    whole = time.monotonic() - started
    output.unlink()
    chance = random.Random(1)
    for number in range(kills):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, env=_environment(), start_new_session=True
        )
        # Some of them early (imports, tiles), some late (merge, polygons, the layer itself).
        time.sleep(chance.uniform(0.1, 1.0) * whole)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        state = "layer written" if output.exists() else "no layer"
        print(f"  kill {number + 1}: {state}", flush=True)
        output.unlink(missing_ok=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_environment())
    return output.read_bytes() == undisturbed.read_bytes()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5000, 20000])
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        job(*args.job, args.workers)
        return
    with tempfile.TemporaryDirectory(prefix="samgeo-memory-") as name:
        folder = Path(name)
        first: dict[str, float] = {}
        print("   size   tiles  features  peak MB  ratio   s/Mpx  ratio")
        for size in args.sizes:
            found = measure(folder, size, args.workers)
            found["rate"] = found["seconds"] / (size * size / 1e6)
            first = first or found
            print(
                f"{size:7d} {found['tiles']:7.0f} {found['features']:9.0f} {found['peak']:8.0f} "
                f"{found['peak'] / first['peak']:6.2f} {found['rate']:7.3f} "
                f"{found['rate'] / first['rate']:6.2f}",
                flush=True,
            )
        if args.kills:
            same = kill_and_go_on(folder, args.sizes[0], args.kills, args.workers)
            print(f"killed {args.kills} times: {'the same bytes' if same else 'OTHER BYTES'}")


if __name__ == "__main__":
    main()
