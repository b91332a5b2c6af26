# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open
from samgeo_core.errors import SamGeoWarning
from samgeo_core.models.base import Embedding
from samgeo_core.models.embedding_cache import EmbeddingCache, default_folder, embedding_key


def embedding(seed=0, size=64):
    rng = np.random.default_rng(seed)
    return Embedding(
        arrays={
            "features": rng.normal(size=(4, size, size)).astype(np.float32),
            "labels": np.arange(6, dtype=np.int32),
        },
        shape=(1024, 1000),
        cell_size=(4.0, 3.5),
        mask_shape=(256, 256),
        fingerprint="f",
    )


def same(a, b):
    return (
        a.arrays.keys() == b.arrays.keys()
        and all(np.array_equal(a.arrays[k], b.arrays[k]) for k in a.arrays)
        and all(a.arrays[k].dtype == b.arrays[k].dtype for k in a.arrays)
        and (a.shape, a.cell_size, a.mask_shape, a.fingerprint)
        == (b.shape, b.cell_size, b.mask_shape, b.fingerprint)
    )


def test_an_embedding_comes_back_tomorrow_as_it_was_given_today(tmp_path):
    today, tomorrow = EmbeddingCache(tmp_path), EmbeddingCache(tmp_path)
    given = today.put("ab12", embedding())
    assert same(tomorrow.get("ab12"), given)
    assert np.abs(given.arrays["features"] - embedding().arrays["features"]).max() < 2e-3
    assert tomorrow.counts.disk == 1
    assert tomorrow.get("ab12") is tomorrow.get("ab12")
    assert tomorrow.counts.memory == 2
    size = (tmp_path / "ab" / "ab12.safetensors").stat().st_size
    assert size < 4 * 64 * 64 * 2 + 2000  # half precision


def test_values_beyond_half_precision_stay_as_they_are(tmp_path):
    large = Embedding({"x": np.array([1e6, 1.1], np.float32)}, (8, 8), (1, 1), (8, 8), "f")
    EmbeddingCache(tmp_path).put("aa", large)
    assert same(EmbeddingCache(tmp_path).get("aa"), large)


def test_the_key_tells_pixels_shape_and_model_apart():
    pixels = np.zeros((8, 16, 3), np.uint8)
    other = pixels.copy()
    other[7, 15, 2] = 1
    keys = {
        embedding_key(pixels, "a"),
        embedding_key(pixels, "b"),
        embedding_key(other, "a"),
        embedding_key(pixels.reshape(16, 8, 3), "a"),
    }
    assert len(keys) == 4
    assert embedding_key(pixels[:, ::-1][:, ::-1], "a") in keys  # any memory layout


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "other format"])
def test_damaged_entries_are_made_again(tmp_path, damage):
    cache = EmbeddingCache(tmp_path)
    cache.put("ab12", embedding())
    path = tmp_path / "ab" / "ab12.safetensors"
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flipped":
        data[-100] ^= 1
    elif damage == "empty":
        data = b""
    elif damage == "text":
        data = b"not an embedding"
    else:
        data = data.replace(b'\\"format\\": \\"2\\"', b'\\"format\\": \\"0\\"')
    path.write_bytes(data)
    fresh = EmbeddingCache(tmp_path)
    made = []
    found, was_made = fresh.get_or_make("ab12", lambda: made.append(1) or embedding())
    assert was_made
    assert fresh.counts.damaged == 1
    assert same(EmbeddingCache(tmp_path).get("ab12"), found)


def test_the_folder_stays_within_its_limit_and_the_least_recently_used_go_first(tmp_path):
    one = EmbeddingCache(tmp_path / "one")
    one.put("aa", embedding())
    entry = one.size()
    cache = EmbeddingCache(tmp_path / "many", max_bytes=10 * entry, in_memory=0)
    yesterday = time.time() - 86_400
    for k in range(30):
        name = f"{k:02x}{k:02x}"
        cache.put(name, embedding(k))
        path = tmp_path / "many" / name[:2] / f"{name}.safetensors"
        os.utime(path, (yesterday + k, yesterday + k))
        if k >= 4:
            assert cache.get("0404") is not None  # used again and again
        assert cache.size() <= 10 * entry
    assert cache.counts.thrown_out >= 19
    assert "1d1d" in cache
    assert "0505" not in cache


def test_memory_holds_the_last_few_only():
    cache = EmbeddingCache(None, in_memory=2)
    for k in range(3):
        cache.put(f"k{k}", embedding(k, 4))
    assert "k0" not in cache
    assert "k2" in cache
    assert cache.get("k0") is None
    cache.forget_recent()
    assert "k2" not in cache


def test_another_process_that_throws_out_is_not_waited_for(tmp_path):
    cache = EmbeddingCache(tmp_path, max_bytes=1)
    with filelock.FileLock(str(tmp_path / "cache.lock")):
        began = time.monotonic()
        cache.put("ab", embedding())
        assert time.monotonic() - began < 2
    assert cache.get("ab") is not None


def _use(folder, seed):
    cache = EmbeddingCache(folder, max_bytes=400_000, in_memory=0)
    rng = np.random.default_rng(seed)
    for _ in range(40):
        k = int(rng.integers(0, 12))
        found, _ = cache.get_or_make(f"{k:02d}", lambda k=k: embedding(k))
        if not np.allclose(found.arrays["features"], embedding(k).arrays["features"], atol=2e-3):
            return 1
    return cache.counts.damaged


def test_several_processes_share_a_folder(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap(_use, [(tmp_path, 1), (tmp_path, 2)]) == [0, 0]
    assert not list(tmp_path.glob("*/.*.part"))


def test_an_entry_that_is_thrown_out_meanwhile_is_not_damaged(tmp_path, monkeypatch):
    cache = EmbeddingCache(tmp_path, in_memory=0)
    monkeypatch.setattr(EmbeddingCache, "_on_disk", lambda *_: True)
    assert cache.get("ab") is None
    assert cache.counts.damaged == 0


def test_a_folder_that_cannot_be_written_is_said_once_and_the_work_goes_on(tmp_path):
    (tmp_path / "file").write_text("x")
    cache = EmbeddingCache(tmp_path / "file")
    with pytest.warns(SamGeoWarning, match="SAMGEO_CACHE_DIR") as said:  # noqa: PT031
        for key in ("ab", "cd", "ef"):
            assert cache.get_or_make(key, embedding) == (cache.get(key), True)
    assert len(said) == 1
    assert cache.get("ef") is not None


def test_a_full_disk_is_said_once_and_what_was_kept_is_still_read(tmp_path, monkeypatch):
    EmbeddingCache(tmp_path).put("ab", embedding())
    cache = EmbeddingCache(tmp_path, in_memory=0)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(SamGeoWarning, match="No space left") as said:  # noqa: PT031
        cache.put("cd", embedding(1))
        cache.put("ef", embedding(2))
    assert len(said) == 1
    assert cache.get("ab") is not None
    assert cache.get("cd") is None


@pytest.mark.parametrize("name", ["shape", "cell_size", "mask_shape", "fingerprint", "dtypes"])
def test_an_entry_whose_metadata_were_changed_is_made_again(tmp_path, name):
    EmbeddingCache(tmp_path).put("ab12", embedding())
    path = tmp_path / "ab" / "ab12.safetensors"
    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()["samgeo"])
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    about[name] = {
        "shape": [1024, 512],
        "cell_size": [2.0, 3.5],
        "mask_shape": [128, 256],
        "fingerprint": "another",
        "dtypes": {"features": "float64", "labels": "int32"},
    }[name]
    path.write_bytes(safetensors.numpy.save(arrays, metadata={"samgeo": json.dumps(about)}))
    cache = EmbeddingCache(tmp_path)
    assert cache.get("ab12") is None
    assert cache.counts.damaged == 1


def test_another_models_entry_is_not_taken(tmp_path):
    EmbeddingCache(tmp_path).put("ab12", embedding())
    shutil.copy(tmp_path / "ab" / "ab12.safetensors", tmp_path / "ab" / "ab34.safetensors")
    cache = EmbeddingCache(tmp_path)
    assert cache.get("ab34") is None  # under another key
    assert cache.get("ab12", "another model") is None
    assert cache.get("ab12", "f") is not None
    made, anew = cache.get_or_make("ab12", lambda: replace(embedding(1), fingerprint="g"), "g")
    assert anew
    assert made.fingerprint == "g"


def test_the_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path))
    assert default_folder() == tmp_path / "embeddings"
