# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaged TIFFs give a picture or a sentence: never a traceback, never gigabytes, never minutes.

A short run is part of the suite; ``SAMGEO_FUZZ=500 pytest tests/fuzz/test_tiffs.py`` is a long one.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from samgeo_core import CellBox, Mask, TileMasks, segment
from samgeo_core.errors import SamGeoError
from samgeo_core.raster.raster import open_raster
from samgeo_core.segmenters.segmenter import TileImage

from tests.fuzz.mutate import at_most, damaged, memory_from_now, rounds

PLACE = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
SECONDS = 20
MEGABYTES = 900

LAYOUTS = {
    "strips": {"count": 3},
    "tiles": {"count": 3, "tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"},
    "lzw": {"count": 3, "compress": "lzw", "predictor": 2},
    "jpeg": {"count": 3, "compress": "jpeg", "photometric": "YCBCR", "tiled": True},
    "planes": {"count": 4, "interleave": "band", "compress": "packbits"},
    "bigtiff": {"count": 1, "bigtiff": "YES", "tiled": True, "dtype": "uint16"},
    "float": {"count": 1, "dtype": "float32", "nodata": float("nan"), "compress": "zstd"},
    "alpha": {"count": 4, "photometric": "RGB", "alpha": "YES"},
    "sparse": {"count": 1, "sparse_ok": True, "tiled": True, "nodata": 0},
    "palette": {"count": 1, "photometric": "PALETTE"},
    "points": {"count": 1},
    "overviews": {"count": 1, "tiled": True, "blockxsize": 32, "blockysize": 32},
    "complex": {"count": 1, "dtype": "complex64"},
    "white": {"count": 1, "photometric": "MINISWHITE"},
}


@dataclass(frozen=True)
class Bright:
    """One object in a window: all that is brighter than the middle."""

    name: str = "bright"
    fingerprint: str = "bright 1"

    def cell_size(self, window_size: int) -> int:
        return 1

    def segment(self, image: TileImage) -> TileMasks:
        bright = (image.pixels[..., 0] > 128) & image.valid
        if not bright.any():
            return TileMasks(image.tile.index, 1, ())
        window = image.tile.window
        height, width = bright.shape
        box = CellBox(window.row0, window.col0, window.row0 + height, window.col0 + width)
        logits = np.where(bright, 32, -32).astype(np.int8)
        return TileMasks(image.tile.index, 1, (Mask(box, logits, 0.9, 0.9),))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One sound TIFF of each layout, as bytes."""
    folder = tmp_path_factory.mktemp("seeds")
    rng = np.random.default_rng(3)
    found = {}
    for name, layout in LAYOUTS.items():
        profile = {"dtype": "uint8", "height": 150, "width": 200, **layout}
        if name != "points":
            profile |= {"crs": "EPSG:32633", "transform": PLACE}
        path = folder / f"{name}.tif"
        shape = profile["count"], profile["height"], profile["width"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with rasterio.open(path, "w", driver="GTiff", **profile) as file:
                file.write(rng.integers(1, 255, shape).astype(profile["dtype"]))
                if name == "palette":
                    file.write_colormap(1, {k: (k, 255 - k, 9, 255) for k in range(256)})
                if name == "points":
                    corners = ((0, 0), (0, 200), (150, 0), (150, 200))
                    file.gcps = (
                        [GroundControlPoint(r, c, 85 + c / 1e5, 27 - r / 1e5) for r, c in corners],
                        "EPSG:4326",
                    )
                if name == "overviews":
                    file.build_overviews((2, 4), rasterio.enums.Resampling.average)
        found[name] = path.read_bytes()
    return found


def cases(seeds: dict[str, bytes], seed: int, number: int) -> Iterator[tuple[str, bytes]]:
    """Damaged TIFFs, each with the layout that it was."""
    rng = np.random.default_rng(seed)
    names = sorted(seeds)
    for k in range(number):
        name = names[k % len(names)]
        content = seeds[name]
        yield name, changed_field(content, rng) if rng.random() < 0.5 else damaged(content, rng)


def changed_field(content: bytes, rng: np.random.Generator) -> bytes:
    """A value of a TIFF's first directory, changed to one that some program did not expect."""
    data = bytearray(content)
    big = data[2] == 43
    at = int.from_bytes(data[8:16] if big else data[4:8], "little")
    count = int.from_bytes(data[at : at + (8 if big else 2)], "little")
    size, head, inline = (20, 8, 8) if big else (12, 2, 4)
    for _ in range(int(rng.integers(1, 3))):
        entry = at + head + size * int(rng.integers(max(1, min(count, 40))))
        odd = [0, 1, 2, 7, 255, 65535, 2**31 - 1, 2**32 - 1, int(rng.integers(2**31))]
        value = odd[int(rng.integers(len(odd)))]
        part = int(rng.integers(4))
        if part == 0:  # type of the value
            data[entry + 2 : entry + 4] = int(rng.integers(20)).to_bytes(2, "little")
        elif part == 1:  # number of values
            data[entry + 4 : entry + 8] = value.to_bytes(4, "little")
        else:
            data[entry + size - inline : entry + size] = value.to_bytes(inline, "little")
    return bytes(data)


def look(path: Path) -> None:
    """What ``samgeo info`` and a job do with a raster before they segment."""
    with open_raster(path) as raster:
        json.dumps(raster.info.to_json(), allow_nan=True)
        box = raster.bounds
        window = type(box)(0, 0, min(300, box.height), min(300, box.width))
        raster.has_data(window)
        assert raster.read(window).pixels.shape == (*window.shape, 3)
        assert raster.identity


@pytest.mark.filterwarnings("ignore")
def test_damaged_tiffs_give_a_picture_or_a_sentence(
    seeds: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "damaged.tif"
    sound, grown = 0, memory_from_now()
    for number, (name, content) in enumerate(cases(seeds, 13, rounds(100))):
        path.write_bytes(content)
        (tmp_path / "last.tif").write_bytes(content)
        started = time.monotonic()
        try:
            with at_most(SECONDS):
                look(path)
            sound += 1
        except SamGeoError:
            pass
        except Exception as error:
            pytest.fail(f"case {number} ({name}): {type(error).__name__}: {error}")
        took = time.monotonic() - started
        assert took < SECONDS, (number, name, took)
        assert grown() < MEGABYTES, (number, name, grown())
    assert sound > 0


@pytest.mark.filterwarnings("ignore")
def test_damaged_tiffs_go_through_a_job_or_end_with_a_sentence(
    seeds: dict[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "damaged.tif"
    made, grown = 0, memory_from_now()
    for number, (name, content) in enumerate(cases(seeds, 17, rounds(100) // 5)):
        path.write_bytes(content)
        started = time.monotonic()
        try:
            with open_raster(path) as raster:
                if max(raster.shape) > 4000:
                    continue  # a job of thousands of tiles, however sound, takes its time
            with at_most(SECONDS):
                segment(path, tmp_path / f"{number}.gpkg", segmenter=Bright())
            made += 1
        except SamGeoError:
            pass
        except Exception as error:
            pytest.fail(f"case {number} ({name}): {type(error).__name__}: {error}")
        took = time.monotonic() - started
        assert took < SECONDS, (number, name, took)
        assert grown() < MEGABYTES, (number, name)
    assert made > 0
