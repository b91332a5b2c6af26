# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects followed with a model that has a memory."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from samgeo_core.errors import ParameterError
from samgeo_core.models.families.memory.object_memory import ObjectMemory
from samgeo_core.models.families.memory.video import TorchVideoModel, Tracked
from samgeo_core.models.families.recognise import build
from samgeo_core.tracking import state
from samgeo_core.tracking.remembering import MemoryAnswerer
from samgeo_core.tracking.run import track

from ..parity.cases import HERE
from ..parity.video import VideoCase, video_weights
from .scenery import ColourOracle, layer_of, on_ground, painted, save, things

DATES = ["2009-08-18", "2010-08-29", "2011-07-31", "2012-08-20"]


class ColourVideo(TorchVideoModel):
    """A perfect model with memory: knows the object's colour and where it was in the window."""

    def __init__(self, input_size=256, mask_size=128):
        self.oracle = ColourOracle(input_size, mask_size)
        self._info = self.oracle.info
        self.shown = []
        self.followed = 0

    encode = property(lambda self: self.oracle.encode)
    decode = property(lambda self: self.oracle.decode)

    def show(self, embedding, frame, memories, *, prompts=None, outlines=None):
        for memory, outline in zip(memories, outlines, strict=True):
            memory.given[frame] = outline
            self.shown.append(frame)

    def follow(self, embedding, frame, memories, *, reverse=False, remember=True):
        parts = embedding.arrays["parts"].astype(np.int32)
        size = self.info.mask_size
        cell = parts.shape[0] // size
        logits, presence = [], []
        for memory in memories:
            self.followed += 1
            known = {**memory.given, **memory.seen}
            last = known[min(known, key=lambda number: abs(number - frame))]
            number = self._nearest(parts, last)
            mask = parts == number if number else np.zeros(parts.shape, bool)
            if number:
                memory.seen[frame] = mask
            share = mask.reshape(size, cell, size, cell).mean(axis=(1, 3))
            logits.append(np.where(number > 0, (2 * share - 1) * 8, -1024))
            presence.append(float(number > 0))
        return Tracked(
            np.array(logits, np.float32), np.full(len(memories), 0.9), np.array(presence)
        )

    @staticmethod
    def _nearest(parts, last):
        votes = np.bincount(parts[last], minlength=1)
        if votes[1:].any():
            return int(np.argmax(votes[1:])) + 1
        if not last.any():
            return 0
        row, col = (float(v.mean()) for v in np.nonzero(last))
        best, least = 0, 1.5 * last.sum() ** 0.5
        for number in np.unique(parts)[1:]:
            rows, cols = np.nonzero(parts == number)
            away = np.hypot(rows.mean() - row, cols.mean() - col)
            alike = 0.6 < len(rows) / last.sum() < 1.6
            if alike and away < least:
                best, least = int(number), away
        return best


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    shown = things(len(DATES))
    return shown, [
        save(folder / f"land_{text}.tif", painted(shown, date)) for date, text in enumerate(DATES)
    ]


@pytest.mark.parametrize("size", [256, 64])
def test_names_are_right_with_memory_in_one_window_and_in_several(series, size):
    shown, paths = series
    model = ColourVideo(size, size // 2)
    names = ["still", "growing", "moving", "vanishing", "returning"]
    layer = layer_of(shown, 0)
    found = track(layer[layer["name"].isin(names)], paths, id_field="name", model=model)
    assert found.memory
    assert model.followed > 0
    for thing in (t for t in shown if t.name in names):
        rows = found.table[found.table["id"] == thing.name]
        for date, truth in enumerate(thing.shapes):
            seen = rows.iloc[date]
            if truth is None:
                assert seen["status"] == "gone", (thing.name, date)
                continue
            assert seen["status"] == "present", (thing.name, date)
            ground = on_ground(truth)
            overlap = seen.geometry.intersection(ground).area / seen.geometry.union(ground).area
            assert overlap > 0.75, (thing.name, date, overlap)


def test_an_object_that_leaves_its_window_is_shown_to_the_next(series):
    shown, paths = series
    model = ColourVideo(64, 32)
    layer = layer_of(shown, 0)
    track(layer[layer["name"] == "moving"], paths, id_field="name", model=model)
    assert {0} < set(model.shown)  # at the first date, and where it was seen last


def test_memory_is_not_used_where_it_is_not_wanted_or_not_there(series):
    shown, paths = series
    layer = layer_of(shown, 0)
    model = ColourVideo()
    found = track(layer[:1], paths[:2], id_field="name", model=model, memory=False)
    assert not found.memory
    assert model.followed == 0
    with pytest.raises(ParameterError, match="without memory"):
        track(layer[:1], paths[:2], id_field="name", model=ColourOracle(), memory=True)


def small_edgetam() -> TorchVideoModel:
    case = VideoCase("edgetam", 256, -7.0, 20.0)
    with np.load(HERE / f"{case.name}.npz") as file:
        weights = video_weights(json.loads(str(file["shapes"])), case)
    model = build(weights, device="cpu", threads=1, image_size=case.size, video=True)
    assert isinstance(model, TorchVideoModel)
    return model


def test_fifty_dates_with_random_weights_need_bounded_memory(tmp_path, monkeypatch):
    first = tmp_path / "p_1970-01-01.tif"
    with rasterio.open(
        first, "w", driver="GTiff", height=240, width=240, count=3, dtype="uint8",
        crs="EPSG:32632", transform=Affine(1, 0, 500000, 0, -1, 5000000),
    ) as file:  # fmt: skip
        file.write(np.random.default_rng(0).integers(1, 255, (3, 240, 240), np.uint8))
    paths = [first]
    for year in range(1971, 2020):
        paths.append(tmp_path / f"p_{year}-01-01.tif")
        shutil.copy(first, paths[-1])
    shape = shapely.box(500040, 4999920, 500080, 4999960)
    layer = gpd.GeoDataFrame({"name": ["one"]}, geometry=[shape], crs="EPSG:32632")
    most = SimpleNamespace(open=0, tokens=0, frames=0)
    offers = MemoryAnswerer.offers

    def watched(self, date, objects, expected, *, reverse):
        found = offers(self, date, objects, expected, reverse=reverse)
        most.open = max(most.open, len(self._dates._open))
        memories: list[ObjectMemory] = [m for o in objects for m in o.memories.values()]
        for memory in memories:
            kept = [*memory.given.values(), *memory.seen.values()]
            most.tokens = max(most.tokens, sum(one.tokens is not None for one in kept))
            most.frames = max(most.frames, len(kept))
        return found

    monkeypatch.setattr(MemoryAnswerer, "offers", watched)
    found = track(layer, paths, id_field="name", model=small_edgetam(), at="1995-01-01")
    assert found.memory
    assert len(found.table) == 50
    assert set(found.table["status"]) <= {"present", "gone"}
    assert 0 < most.open <= state.OPEN_DATES
    assert 2 <= most.tokens <= 3 * 6 + 2
    assert most.frames <= 3 * 15 + 2
