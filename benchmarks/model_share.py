# SPDX-License-Identifier: GPL-2.0-or-later
"""Which share of a job's wall time is the model's, and what takes the rest?

    python -m benchmarks.model_share [--size 4096] [--strong] [--smooth 4] [--second-look]

A whole job, raster to GeoPackage, on a square raster of real aerial pixels where the data are
here (mirrored to its size), else of drawn ones; MobileSAM with random weights and thresholds off,
so that every mask of every prompt goes through everything that follows. The model's time is what
passes inside its ``encode`` and ``decode``; the stages are those that the job reports, with the
model's part in each. Tiles are read while the model runs, so reading costs only what that hides
not. Loading the model is neither's. Second looks (repair and overview) are left out unless asked
for: they are nearly all the model's, and masks of random weights are cut everywhere.

Random weights as they are initialised give hardly more than noise around 0: few masks outlast the
removal of duplicates, each with ten thousand holes. --strong scales them until logits are as large
as a trained model's: a thousand masks of speckle, some hundred parts and ten thousand vertices
each. No trained model gives either; --smooth blurs the logits by that many cells, which looks more
like one, and its time is not attributed.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from samgeo_core.job import Progress, SegmentParameters
from samgeo_core.jobs.run import run
from samgeo_core.models.base import Decoded, Embedding, ModelInfo, PromptableModel, Prompts
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.families import recognise as families
from samgeo_core.segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from samgeo_core.types import ByteArray
from scipy.ndimage import gaussian_filter

from benchmarks.automatic import SHARED, picture, random_state


class Timed:
    """A model that counts the seconds spent in it."""

    def __init__(self, model: PromptableModel, smooth: float = 0.0) -> None:
        self._model = model
        self._smooth = smooth
        self.encoding = self.decoding = self.aside = 0.0

    @property
    def seconds(self) -> float:
        return self.encoding + self.decoding

    @property
    def info(self) -> ModelInfo:
        return self._model.info

    def encode(self, images: Sequence[ByteArray]) -> list[Embedding]:
        start = time.perf_counter()
        embeddings = self._model.encode(images)
        self.encoding += time.perf_counter() - start
        return embeddings

    def decode(self, embedding: Embedding, prompts: Prompts, **options: Any) -> Decoded:
        start = time.perf_counter()
        decoded = self._model.decode(embedding, prompts, **options)
        done = time.perf_counter()
        self.decoding += done - start
        if self._smooth and len(decoded.index):
            blurred = gaussian_filter(decoded.logits, (0, 0, self._smooth, self._smooth))
            spread = blurred.std(axis=(2, 3), keepdims=True)
            blurred *= decoded.logits.std(axis=(2, 3), keepdims=True) / np.maximum(spread, 1e-6)
            decoded = replace(decoded, logits=blurred)
            self.aside += time.perf_counter() - done
        return decoded


class Stages:
    """Wall seconds, and the model's among them, between one report of progress and the next."""

    def __init__(self, model: Timed) -> None:
        self._model = model
        self._now: tuple[str, float, float] | None = None
        self.wall: defaultdict[str, float] = defaultdict(float)
        self.model: defaultdict[str, float] = defaultdict(float)

    def __call__(self, step: Progress | None) -> None:
        now, used = time.perf_counter() - self._model.aside, self._model.seconds
        if self._now is not None:
            stage, since, before = self._now
            # A stage reports a step when it is done: what passed before belongs to it.
            name = stage if step is None else step.stage
            self.wall[name] += now - since
            self.model[name] += used - before
        self._now = ("the rest", now, used)


def make_raster(path: Path, size: int) -> None:
    """A square GeoTIFF, 0.3 m, UTM 45 N."""
    mosaic = SHARED / "eval" / "buildings_banepa" / "mosaic_train_4326.tif"
    if mosaic.exists():
        with rasterio.open(mosaic) as file:
            pixels = file.read([1, 2, 3])
    else:
        pixels = np.moveaxis(picture(), 2, 0)
    growth = [(0, max(0, size - side)) for side in pixels.shape[1:]]
    pixels = np.pad(pixels, [(0, 0), *growth], mode="symmetric")[:, :size, :size]
    profile = {
        "driver": "GTiff",
        "count": 3,
        "dtype": "uint8",
        "width": size,
        "height": size,
        "crs": "EPSG:32645",
        "transform": rasterio.Affine(0.3, 0, 400_000, 0, -0.3, 3_000_000),
        "tiled": True,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--points", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="mobile_sam", choices=["mobile_sam", "embedded"])
    parser.add_argument(
        "--defaults", action="store_true", help="the model's own thresholds instead of none"
    )
    parser.add_argument("--strong", action="store_true", help="logits as a trained model's")
    parser.add_argument("--smooth", type=float, default=0.0, help="cells")
    parser.add_argument("--second-look", action="store_true", help="repair and overview, too")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.model == "embedded":
        model = Timed(load_embedded("cpu"))
    else:
        built = families.build(random_state(given.model, strong=given.strong), device="cpu")
        model = Timed(built, given.smooth)
    off = {} if given.defaults else {"score_threshold": -1.0, "stability_threshold": 0.0}
    segmenter = AutomaticSegmenter(model, AutomaticOptions(points_per_side=given.points, **off))
    with tempfile.TemporaryDirectory(prefix="samgeo-share-") as name:
        raster, output = Path(name) / "raster.tif", Path(name) / "objects.gpkg"
        make_raster(raster, given.size)
        stages = Stages(model)
        stages(None)
        start = time.perf_counter()
        look = given.second_look
        params = SegmentParameters([str(raster)], str(output), repair=look, overview=look)
        result = run(params, segmenter=segmenter, progress=stages)
        wall = time.perf_counter() - start - model.aside
        stages(None)
        size = output.stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    kind = f"{'strong, ' if given.strong else ''}smooth {given.smooth:g}"
    print(
        f"{given.model}, {given.size} x {given.size}, {given.points} points per side, {kind}, "
        f"{given.threads} thread(s): {result.tiles} tiles, "
        f"{result.features} features ({size:.0f} MB), peak {peak:.0f} MB"
    )
    print(f"{'':12}{'wall s':>8}{'model s':>9}{'rest s':>8}")
    for stage, seconds in stages.wall.items():
        inside = stages.model[stage]
        print(f"{stage:12}{seconds:8.1f}{inside:9.1f}{seconds - inside:8.1f}")
    print(f"{'in all':12}{wall:8.1f}{model.seconds:9.1f}{wall - model.seconds:8.1f}")
    print(
        f"the model's share: {model.seconds / wall:.1%} "
        f"(encode {model.encoding:.1f} s, decode {model.decoding:.1f} s)"
    )


if __name__ == "__main__":
    main()
