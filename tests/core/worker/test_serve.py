# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core import job
from samgeo_core.errors import Cancelled
from samgeo_core.models.embedding_cache import EmbeddingCache
from samgeo_core.parallel.cancellation import check
from samgeo_core.parallel.priority import NICENESS, WHILE_TRAINING
from samgeo_core.raster.raster import open_raster
from samgeo_core.testing.promptable_oracle import labels_to_pixels
from samgeo_core.worker import serve as worker
from samgeo_core.worker import session_methods
from samgeo_core.worker.job_methods import Context
from samgeo_core.worker.serve import lines
from shapely import affinity
from shapely.geometry import box, mapping, shape

from ..worker_client import Client


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A raster of labels: a disc, a long bar that crosses windows, a corner without data."""
    path = tmp_path_factory.mktemp("town") / "town.tif"
    labels = np.zeros((400, 600), np.int32)
    rows, cols = np.mgrid[:400, :600]
    labels[(rows - 100) ** 2 + (cols - 100) ** 2 < 30**2] = 1
    labels[300:330, 20:580] = 2
    pixels = labels_to_pixels(labels)
    pixels[:50, 550:] = 255
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=600,
        height=400,
        count=3,
        dtype="uint8",
        crs="EPSG:32633",
        transform=Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000),
        nodata=255,
        photometric="RGB",
    ) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    return path


@pytest.fixture
def start(tmp_path):
    clients = []

    def begin(words="", command=None):
        client = Client(tmp_path, words, command)
        clients.append(client)
        assert client.receive()["event"] == "hello"
        return client

    yield begin
    for client in clients:
        client.kill()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    client = Client(tmp_path_factory.mktemp("shared"))
    hello = client.receive()
    assert hello["protocol"] == job.PROTOCOL_VERSION
    yield client
    client.kill()


def point(x, y, positive=True):
    return {"type": "point", "coordinates": [[x, y]], "positive": positive}


def at(row, col):
    return 400_000 + col * 0.5, 5_000_000 - row * 0.5


def test_a_day_with_the_worker(shared, town):
    opened = shared.ask("open", rasters=[str(town)], model="oracle")
    assert (opened["width"], opened["height"]) == (600, 400)
    assert opened["extent"] == [400_000, 4_999_800, 400_300, 5_000_000]
    assert opened["model"]["name"] == "oracle"
    session = opened["session"]
    assert shared.ask("look", session=session, x=at(100, 100)[0], y=at(100, 100)[1]) == {
        "encoded": False
    }
    found = shared.ask("prompt", session=session, prompts=[point(*at(100, 100))])
    best = found["candidates"][0]
    assert found["limit"] is None
    assert found["resolution"] == 0.5
    disc = np.pi * 15**2
    assert shape(best["geometry"]).area == pytest.approx(disc, rel=0.02)
    assert best["area_m2"] == pytest.approx(disc, rel=0.02)
    assert best["perimeter_m"] == pytest.approx(2 * np.pi * 15, rel=0.05)
    accepted = shared.ask("accept", session=session, candidate=0)
    assert accepted["geometry"] == best["geometry"]
    assert accepted["attributes"]["model"] == "oracle"
    assert accepted["attributes"]["prompt_type"] == "point"
    assert "candidate 0" in shared.fails("accept", session=session, candidate=0)["message"]
    # The same place again: nothing is encoded, and the polygon is the same.
    again = shared.ask("prompt", session=session, prompts=[point(*at(100, 100))])
    assert again["encoded"] == 0
    assert again["candidates"][0]["geometry"] == best["geometry"]
    shared.ask("reset", session=session)
    bar = shared.ask("prompt", session=session, prompts=[point(*at(315, 300))])["candidates"][0]
    assert bar["area_m2"] == pytest.approx(30 * 560 / 4, rel=0.02)
    assert bar["tiles"] > 3
    tidy = shared.ask("refine", session=session, geometry=bar["geometry"], simplify=2.0)
    assert len(tidy["geometry"]["coordinates"][0]) < len(bar["geometry"]["coordinates"][0])
    x, y = at(200, 0)
    roof = affinity.rotate(box(x - 3, y, x + 30, y + 15), 20)
    roof = roof.intersection(box(x, y - 99, x + 99, y + 99))
    squared = shared.ask("refine", session=session, geometry=mapping(roof), outlines="rectangles")
    assert shape(squared["geometry"]).bounds[0] == x
    shared.ask("close", session=session)
    assert "session" in shared.fails("reset", session=session)["message"]


def test_prompts_and_answers_in_another_crs(shared, town):
    session = shared.ask("open", rasters=[str(town)], model="oracle")["session"]
    from pyproj import Transformer

    there = Transformer.from_crs(32633, 4326, always_xy=True).transform
    found = shared.ask(
        "prompt", session=session, prompts=[point(*there(*at(100.5, 100.5)))], crs="EPSG:4326"
    )
    outline = shape(found["candidates"][0]["geometry"])
    x, y = there(*at(100.5, 100.5))
    assert outline.centroid.x == pytest.approx(x, abs=1e-6)
    assert outline.centroid.y == pytest.approx(y, abs=1e-6)
    assert found["candidates"][0]["area_m2"] == pytest.approx(np.pi * 15**2, rel=0.02)


def test_wrong_requests_are_answered_by_kind(shared, town, tmp_path):
    session = shared.ask("open", rasters=[str(town)], model="oracle")["session"]
    cases = [
        ("prompt", {"session": session, "prompts": [point(0, 0)]}, "PromptError"),
        ("prompt", {"session": session, "prompts": [point(*at(10, 590))]}, "PromptError"),
        ("prompt", {"session": session, "prompts": []}, "PromptError"),
        ("prompt", {"session": session, "prompts": [point(*at(9, 9), False)]}, "PromptError"),
        ("prompt", {"session": session, "prompts": [{"type": "x"}]}, "ParameterError"),
        ("prompt", {"session": session, "prompts": [point(1, 2)], "crs": "no"}, "PromptError"),
        ("prompt", {"session": [], "prompts": []}, "ParameterError"),
        ("prompt", {"prompts": 3}, "ParameterError"),
        ("open", {"rasters": [str(tmp_path / "none.tif")], "model": "oracle"}, "RasterError"),
        ("open", {"rasters": [str(town)], "model": "nothing"}, "ModelError"),
        ("open", {"rasters": [str(town)], "model": "faulty"}, "InternalError"),
        ("open", {"rasters": [str(town)], "bands": [7]}, None),
        ("segment", {"rasters": [str(town)]}, "ParameterError"),
        ("models", {"action": "eat"}, "ParameterError"),
        ("models", {"action": "info", "name": "nothing"}, "ModelError"),
        ("statistics", {"rasters": [str(town)], "percentiles": [1]}, "ParameterError"),
        ("refine", {"session": session, "geometry": {"type": "Point"}}, "PromptError"),
        ("fly", {}, "MessageError"),
    ]
    for method, params, kind in cases:
        failure = shared.fails(method, **params)
        assert kind is None or failure["kind"] == kind, (method, params, failure)
        assert failure["message"]
    shared.ask("close", session=session)


def test_statistics_and_models(shared, town):
    told = shared.ask("statistics", rasters=[str(town)])
    assert len(told["stretch"]) == 3
    assert told["info"]["size"] == [600, 400]
    models = shared.ask("models", action="list")["models"]
    states = {model["name"]: model["state"] for model in models}
    assert states["embedded"] == "embedded"
    assert states["sam-vit-b"] == "to download"


def test_encode_fills_the_cache_for_later(shared, town):
    extent = [*at(220, 330), *at(120, 460)]
    first = shared.ask("encode", rasters=[str(town)], model="oracle", extent=extent)
    assert first["windows"] >= 4
    second = shared.ask("encode", rasters=[str(town)], model="oracle", extent=extent)
    assert second == {"windows": first["windows"], "encoded": 0}


def test_a_job_says_its_warnings_before_it_answers(shared, town, tmp_path):
    """With the options still to be named: a client needs no others."""
    asked = {"rasters": [str(town)], "output": str(tmp_path / "out.gpkg"), "min_class_prob": 1.0}
    number = shared.send("map", shapes="network", **asked)
    said = []
    while (message := shared.receive())["event"] != "result":
        if message["event"] == "log" and message["level"] == "warning":
            said.append(message["message"])
    assert message["id"] == number
    assert len(said) == 1
    assert job.option("min_class_prob") in said[0]
    assert message["result"]["warnings"] == [job.with_knobs(text) for text in said]


FAILS = """
from samgeo_core.errors import ModelError
from samgeo_core.notes import warn
from samgeo_core.worker.serve import main

class Engine:
    def fails(self, params, context):
        warn("2 features are left out")
        raise ModelError("nothing is left")

    def __init__(self):
        self.methods = {"fails": self.fails}

    def encode_ahead(self):
        return False

    def close(self):
        pass

main(Engine)
"""


def test_a_job_that_fails_has_said_its_warnings(start):
    client = start(command=[sys.executable, "-c", FAILS])
    client.send("fails")
    said = client.receive()
    assert (said["event"], said["message"]) == ("log", "2 features are left out")
    assert client.receive()["event"] == "failure"


def test_opening_stops_while_the_scale_is_sought_and_leaves_no_file_open(town, monkeypatch):
    opened = []

    def open_noted(*args):
        opened.append(open_raster(*args))
        return opened[-1]

    def slow(*args, **options):
        check()
        raise AssertionError("it was not asked to stop")

    def stopped():
        raise Cancelled("Stopped.")

    monkeypatch.setattr(session_methods, "open_raster", open_noted)
    monkeypatch.setattr(session_methods, "scale_for", slow)
    monkeypatch.setattr(session_methods, "_stamp", lambda name: ())
    engine = session_methods.Engine(lambda *asked: None, EmbeddingCache(None))
    context = Context(stopped, lambda *step: None, lambda *line: None)
    with pytest.raises(Cancelled):
        engine.methods["open"]({"rasters": [str(town)]}, context)
    assert not opened[0]._source.closing._exit_callbacks


def test_cancel_is_answered_at_once_and_stops_the_work(start, town):
    client = start("slow=0.4")
    session = client.ask("open", rasters=[str(town)], model="oracle")["session"]
    number = client.send("prompt", session=session, prompts=[point(*at(315, 300))])
    time.sleep(0.6)
    began = time.monotonic()
    stopped = client.ask("cancel", id=number)  # the prompt would take ten encodings
    assert time.monotonic() - began < 0.3
    assert stopped == {"cancelled": True}
    assert client.answer(number)["kind"] == "Cancelled"
    assert time.monotonic() - began < 1.0
    assert client.ask("cancel", id=number) == {"cancelled": False}
    assert client.ask("reset", session=session) == {}


def test_a_newer_prompt_replaces_one_that_waits(start, town):
    client = start("slow=0.3")
    session = client.ask("open", rasters=[str(town)], model="oracle")["session"]
    first = client.send("prompt", session=session, prompts=[point(*at(100, 100))])
    time.sleep(0.1)
    second = client.send("prompt", session=session, prompts=[point(*at(100, 101))])
    third = client.send("prompt", session=session, prompts=[point(*at(100, 102))])
    kinds = {}
    while len(kinds) < 3:
        message = client.receive()
        if message["event"] in ("result", "failure"):
            kinds[message["id"]] = message.get("kind", "answered")
    assert kinds == {first: "answered", second: "Cancelled", third: "answered"}


def test_the_heart_beats_while_it_works(start, town):
    assert worker.HEARTBEAT_SECONDS == 2.0
    client = start("slow=1.0 beat=0.2")
    session = client.ask("open", rasters=[str(town)], model="oracle")["session"]
    prompts = [point(*at(100, 100))]
    number = client.send("prompt", session=session, prompts=prompts, multimask=False)
    client.answer(number)
    busy = [message for _, message in client.heartbeats if message["busy"] == number]
    assert len(busy) >= 2


def test_it_ends_within_five_seconds_after_standard_input_closed(start, town):
    client = start("slow=30")
    session = client.ask("open", rasters=[str(town)], model="oracle")["session"]
    client.send("prompt", session=session, prompts=[point(*at(100, 100))])
    time.sleep(0.5)
    began = time.monotonic()
    client.end()
    assert time.monotonic() - began < 5.0


def test_it_ends_too_when_standard_input_closes_while_it_loads(start):
    client = start()  # greeted, but not loaded yet
    began = time.monotonic()
    client.end()
    assert time.monotonic() - began < 5.0


def test_shutdown_is_answered_and_ends_the_process(start):
    client = start()
    assert client.ask("shutdown") == {}
    assert client.process.wait(timeout=5) == 0


def test_prints_of_libraries_never_reach_the_protocol(start, town):
    client = start("print")
    session = client.ask("open", rasters=[str(town)], model="oracle")["session"]
    client.ask("prompt", session=session, prompts=[point(*at(100, 100))])
    client.ask("close", session=session)
    assert client.bad == []
    client.end()
    time.sleep(0.1)
    assert b"a stray line of a C library" in client.errors


def test_windows_are_encoded_ahead_of_the_mouse(start, town):
    client = start()
    session = client.ask("open", rasters=[str(town)], model="oracle")["session"]
    x, y = at(200, 150)
    client.ask("look", session=session, x=x, y=y, dx=20.0, dy=0.0)
    deadline = time.monotonic() + 10
    while not client.ask("look", session=session, x=x, y=y, dx=20.0, dy=0.0)["encoded"]:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    time.sleep(1.0)
    x, y = at(315, 250)
    hover = client.ask("prompt", session=session, prompts=[point(x, y)], hover=True)
    assert hover["encoded"] == 0
    found = client.ask("prompt", session=session, prompts=[point(*at(200, 214))])
    assert found["encoded"] == 0  # the neighbour to the east, where the mouse was going


JUNK = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["id", "method", "params", "event", "session", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda method, params: json.dumps(
            {"id": 1_000_000, "method": method, "params": params}
        ).encode(),
        st.sampled_from(
            ["open", "prompt", "accept", "look", "refine", "segment", "models", "cancel", "encode"]
        ),
        st.dictionaries(
            st.sampled_from(
                ["session", "prompts", "rasters", "x", "y", "crs", "action", "id", "output"]
            ),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=8)
            | st.lists(st.none() | st.text(max_size=3) | st.integers(), max_size=3),
            max_size=5,
        ),
    ),
)


@settings(max_examples=150, deadline=None)
@given(junk=st.lists(JUNK, min_size=1, max_size=5))
def test_no_line_kills_the_worker(shared, junk):
    for line in junk:
        # A shutdown is the one request that may end it.
        if b"shutdown" not in line:
            shared.send_raw(line.replace(b"\n", b" ") + b"\n")
    assert shared.ask("cancel", id=-1) == {"cancelled": False}
    assert shared.process.poll() is None
    assert shared.bad == []


def test_giant_and_deep_lines_are_refused_without_reading_them(start):
    client = start()
    client.send_raw(b'{"id": 5, "method": "' + b"x" * (job.MAX_LINE + 10) + b'"}\n')
    assert client.receive()["kind"] == "MessageError"
    client.send_raw(b"[" * 200_000 + b"\n")
    assert client.receive()["kind"] == "MessageError"
    client.send_raw(b'{"id": 6, "method": 7}\n')
    refused = client.receive()
    assert (refused["id"], refused["kind"]) == (6, "MessageError")
    assert client.ask("cancel", id=1) == {"cancelled": False}


@given(
    st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=8),
    st.integers(1, 7),
    st.integers(5, 30),
)
def test_lines_are_cut_alike_however_they_arrive(texts, size, limit):
    class Slow(io.RawIOBase):
        def __init__(self):
            self.data = io.BytesIO(b"".join(text + b"\n" for text in texts))

        def read(self, _):
            return self.data.read(size)

    expected = [text if len(text) <= limit else len(text) for text in texts]
    assert list(lines(Slow(), limit)) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_every_thread_of_the_engine_gives_way_to_the_programs_that_are_looked_at(start, town):
    client = start(command=[sys.executable, "-m", "samgeo_core.worker"])
    client.ask("statistics", rasters=[str(town)])  # what it imports has started its threads
    tasks = list(Path(f"/proc/{client.process.pid}/task").iterdir())
    assert len(tasks) > 2
    fields = [(task / "stat").read_text().rpartition(")")[2].split() for task in tasks]
    assert {int(each[16]) for each in fields} == {max(NICENESS, os.nice(0))}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_training_gives_way_still_more(start, town):
    client = start(command=[sys.executable, "-m", "samgeo_core.worker"])
    number = client.send("train", rasters=[str(town)], labels="/no/such/layer.gpkg", name="mine")
    # It imports what trains first, which takes its time on a crowded machine.
    assert client.answer(number, 120)["event"] == "failure"
    fields = Path(f"/proc/{client.process.pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[16]) == max(WHILE_TRAINING, os.nice(0))


def test_a_collection_of_a_model_without_features_and_odd_examples_say_so(shared, tmp_path):
    path = tmp_path / "disc.tif"
    rows, cols = np.mgrid[:100, :100]
    labels = ((rows - 50) ** 2 + (cols - 50) ** 2 < 30**2).astype(np.int32)
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=100, count=3, dtype="uint8",
        crs="EPSG:32633", transform=Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000),
    ) as file:  # fmt: skip
        file.write(np.moveaxis(labels_to_pixels(labels), -1, 0))
    opened = shared.ask("open", rasters=[str(path)], model="oracle")
    ground = box(400_010, 4_999_960, 400_040, 4_999_990)
    asked = {"session": opened["session"], "area": mapping(ground), "crs": "EPSG:32633"}
    # The first one imports scikit-learn, which takes its time on a crowded machine.
    begun = shared.answer(shared.send("collect", **asked), 120)["result"]
    assert begun["tiles"] == 1
    said = shared.fails("collect_next", collection=begun["collection"])
    assert "keeps no feature maps" in said["message"]
    for examples, why in (
        ([], "Mark at least one"),
        ([{"geometry": {"type": "Point", "coordinates": [0, 0]}, "class": "a"}], "lies on the"),
        ([{"geometry": None, "class": "a"}], "needs a GeoJSON geometry"),
    ):
        failure = shared.fails("collect_classes", collection=begun["collection"], examples=examples)
        assert why in failure["message"]
    shared.ask("close", session=opened["session"])
    failure = shared.fails("collect_next", collection=begun["collection"])
    assert failure["kind"] == "ParameterError"
    assert "Find all objects again" in failure["message"]


def test_a_collection_without_examples_needs_no_features_and_tells_the_rest_on_demand(shared, town):
    session = shared.ask("open", rasters=[str(town)], model="oracle")["session"]
    begun = shared.ask("collect", session=session, by_examples=False)
    rest = shared.ask("collect_next", collection=begun["collection"], rest=True)
    assert (rest["objects"], rest["done"], rest["more"]) == ([], 0, False)
    found, answer = {}, rest
    while not answer["ready"]:
        answer = shared.ask("collect_next", collection=begun["collection"])
        for gone in answer["gone"]:
            del found[gone]
        found |= {each["id"]: each for each in answer["objects"]}
    assert found
    assert answer["done"] == begun["tiles"]
    failure = shared.fails("collect", session=session, classes=["building"])
    assert "class" in failure["message"]
    failure = shared.fails("collect", session=session, by_examples=False, classes=["building"])
    assert "knows no classes" in failure["message"]
    shared.ask("close", session=session)


def test_a_collections_area_must_be_a_polygon_on_the_raster(shared, town):
    session = shared.ask("open", rasters=[str(town)], model="oracle")["session"]
    point = {"type": "Point", "coordinates": [400_000, 5_000_000]}
    assert "Polygon" in shared.fails("collect", session=session, area=point)["message"]
    far = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    assert "misses the raster" in shared.fails("collect", session=session, area=far)["message"]
    assert shared.ask("collect_end", collection="c99") == {}
    shared.ask("close", session=session)
