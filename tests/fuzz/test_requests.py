# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong requests to the worker: each is answered, by a result or by one of the project's errors.

A long run by hand: ``SAMGEO_FUZZ=3700 .venv/bin/python -m pytest tests/fuzz/test_requests.py``.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import rasterio
from affine import Affine
from samgeo_core import job
from samgeo_core.models.embedding_cache import EmbeddingCache
from samgeo_core.testing.promptable_oracle import OracleModel
from samgeo_core.worker import serve
from samgeo_core.worker.serve import Worker
from samgeo_core.worker.session_methods import Engine

from ..core.worker_client import environment
from .mutate import memory_from_now, rounds

ODD = [
    None, True, False, 0, -1, 2**31, 2**63, -(2**70), 10**300, 1e308, 0.5, "", " ", "\x00", "a\x00",
    "\ud800", "\U0001f600", "EPSG:4326", "EPSG:99999999", "x" * 70_000, [], [[]], [None], ["a"], {},
    {"a": 1}, [[0, 0]], [[1e300, -1e300]], [[2**70, 1]], "/", "..", "/proc/self/mem", "/dev/zero",
    "http://127.0.0.1:9/x.tif", "-1", "nan", {"type": "Polygon", "coordinates": []},
    {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}, {"type": "Point"},
    {"type": "Polygon", "coordinates": [[[0, 0], [1e300, 1], [1, 1], [0, 0]]]},
]  # fmt: skip


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    path = tmp_path_factory.mktemp("town") / "town.tif"
    pixels = np.zeros((3, 300, 300), np.uint8)
    pixels[0, 100:150, 100:180] = 1
    with rasterio.open(
        path, "w", driver="GTiff", width=300, height=300, count=3, dtype="uint8",
        crs="EPSG:32633", transform=Affine(0.5, 0, 4e5, 0, -0.5, 5e6), photometric="RGB",
    ) as file:  # fmt: skip
        file.write(pixels)
    return path


def good(town, folder):
    """One request of each method that works; each is then made wrong."""
    raster = [str(town)]
    prompt = {"type": "point", "coordinates": [[400_070.0, 4_999_940.0]], "positive": True}
    square = [[[4e5, 5e6], [4e5 + 9, 5e6], [4e5 + 9, 5e6 - 9], [4e5, 5e6 - 9], [4e5, 5e6]]]
    return [
        ("open", {"rasters": raster, "model": "oracle", "device": "cpu", "precision": "auto",
                  "threads": 1, "bands": [1, 2, 3], "stretch": [[0, 255]] * 3}),
        ("prompt", {"session": "s1", "prompts": [prompt], "crs": "EPSG:32633", "pixel_size": 0.5,
                    "multimask": True, "hover": False, "simplify": 0.5, "candidate": 0}),
        ("refine", {"session": "s1", "geometry": {"type": "Polygon", "coordinates": square},
                    "crs": None, "simplify": 0.1, "min_area": 1.0, "min_hole": 1.0,
                    "outlines": "rectangles"}),
        ("look", {"session": "s1", "x": 400_070.0, "y": 4_999_940.0, "crs": None,
                  "pixel_size": 0.5, "dx": 1.0, "dy": 0.0}),
        ("accept", {"session": "s1", "candidate": 0}),
        ("reset", {"session": "s1"}),
        ("encode", {"rasters": raster, "model": "oracle", "extent": [4e5, 4999900, 4e5 + 9, 5e6],
                    "extent_crs": "EPSG:32633"}),
        ("statistics", {"rasters": raster, "bands": [1], "percentiles": [2, 98]}),
        ("regularize", {"input": str(town), "output": str(folder / "out.gpkg"), "layer": None,
                        "method": "rectangles", "simplify": 1.0, "min_iou": 0.5,
                        "min_width": 0.0, "overwrite": True}),
        ("models", {"action": "info", "name": "embedded"}),
    ]  # fmt: skip


def wrong(town, folder, rng, number):
    """Requests with one or two values replaced, at any depth."""
    whole = good(town, folder)

    def spoil(value, depth=0):
        if isinstance(value, dict) and value and (depth == 0 or rng.random() < 0.7):
            key = list(value)[int(rng.integers(len(value)))]
            return {**value, key: spoil(value[key], depth + 1)}
        if isinstance(value, list) and value and rng.random() < 0.5:
            at = int(rng.integers(len(value)))
            return [*value[:at], spoil(value[at], depth + 1), *value[at + 1 :]]
        return ODD[int(rng.integers(len(ODD)))]

    for k in range(number):
        method, params = whole[int(rng.integers(len(whole)))]
        for _ in range(1 + int(rng.random() < 0.3)):
            params = spoil(params)
        if not isinstance(params, dict) or rng.random() < 0.02:
            params = {"unknown": 1}
        yield {"id": k + 10, "method": method, "params": params}


def answers(lines, tmp_path):
    """What the worker says to lines on its standard input."""

    def load(name, device, threads, precision):
        return OracleModel(128, 32)

    out = io.BytesIO()
    engine = Engine(load, EmbeddingCache(tmp_path / "cache"))
    text = b"".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    read, write = os.pipe()
    worker = Worker(lambda: engine, os.fdopen(read, "rb"), out)
    ending = threading.Thread(target=feed, args=(write, text, worker), daemon=True)
    ending.start()
    worker.run()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def feed(pipe, text, worker):
    """Write the lines a few at a time, and close when all are answered."""
    with os.fdopen(pipe, "wb") as file:
        for line in text.splitlines(keepends=True):
            file.write(line)
            file.flush()
            while len(worker._waiting) > 50:
                time.sleep(0.005)
        while worker._waiting or worker._current is not None:
            time.sleep(0.01)
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def _no_exit(monkeypatch):
    """The worker ends its process some seconds after its input closed; here it is this process."""
    monkeypatch.setattr(serve, "GRACE_SECONDS", 3600.0)
    monkeypatch.setattr(serve, "_begin_watch", lambda: None, raising=False)


@pytest.mark.filterwarnings("ignore")
def test_every_wrong_request_is_answered_by_an_error_of_ours(town, tmp_path):
    rng = np.random.default_rng(11)
    opening = {"id": 1, "method": "open", "params": good(town, tmp_path)[0][1]}
    asked = [opening, *wrong(town, tmp_path, rng, rounds(150))]
    grown = memory_from_now()
    said = answers([json.dumps(request) + "\n" for request in asked], tmp_path)
    ends = [m for m in said if m["event"] in ("result", "failure")]
    assert sorted(m["id"] for m in ends) == sorted(request["id"] for request in asked)
    by_id = {request["id"]: request for request in asked}
    bad = [(m["message"][:300], by_id[m["id"]]["method"], str(by_id[m["id"]]["params"])[:300])
           for m in ends if m["event"] == "failure" and m["kind"] == "InternalError"]  # fmt: skip
    assert not bad, "\n".join(map(str, bad[:40]))
    assert all(len(m.get("message", "")) < 2100 for m in ends)
    assert grown() < 1500


def test_half_a_character_is_answered(town, tmp_path):
    line = '{"id": 5, "method": "models", "params": {"action": "info", "name": "\\ud800"}}\n'
    (answer,) = [m for m in answers([line], tmp_path) if m["event"] == "failure"]
    assert answer["id"] == 5
    assert answer["kind"] == "ModelError"


def test_a_flood_of_requests_is_refused_and_answered(tmp_path):
    channel = io.BytesIO()
    worker = Worker(lambda: None, io.BytesIO(), channel)
    request = job.Request(1, "open", {"rasters": ["x" * 1_000_000]})
    grown = memory_from_now()
    for number in range(300):
        worker._enqueue(job.Request(number, "open", request.params), 1_000_000)
    assert len(worker._waiting) <= 67
    worker._channel.close(10)
    refused = [json.loads(line) for line in channel.getvalue().splitlines()]
    assert len(refused) == 300 - len(worker._waiting)
    assert all("wait already" in m["message"] for m in refused)
    assert grown() < 300


def test_a_client_that_reads_nothing_and_closes_its_input_ends_the_engine(town, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "samgeo_core.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path),
    )
    assert process.stdin is not None
    try:
        for number in range(3000):  # more answers than a pipe holds
            line = json.dumps({"id": number, "method": "nothing " + "x" * 60, "params": {}})
            process.stdin.write(line.encode() + b"\n")
        process.stdin.close()
        assert process.wait(60) is not None
    finally:
        process.kill()
