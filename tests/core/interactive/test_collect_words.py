# SPDX-License-Identifier: GPL-2.0-or-later
"""Words in a session: the finds of small random models, window by window, as a collection."""

from __future__ import annotations

import numpy as np
import pytest
from samgeo_core.errors import Cancelled, CheckpointError, ModelError, ParameterError, PromptError
from samgeo_core.models import words
from samgeo_core.models.base import Concept, ModelInfo
from samgeo_core.models.embedding_cache import EmbeddingCache
from samgeo_core.worker.job_methods import Context
from samgeo_core.worker.session_methods import Engine
from shapely.geometry import shape

from ..classes.world import mobile_sam, squares, write_world
from ..tiny_words import MAKERS, torch

NEVER = Context(lambda: None, lambda *_, **__: None, lambda *_: None)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for family, make in MAKERS.items():
        torch.manual_seed(1)
        made[family] = tmp_path_factory.mktemp(family)
        make(made[family])
    return made


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    return str(write_world(tmp_path_factory.mktemp("world"))[0])


@pytest.fixture(autouse=True)
def low_thresholds(monkeypatch):
    """What random weights find, they are not sure of."""
    for kind in (words.Sam3, words.GroundingDino, words.Owlv2):
        monkeypatch.setattr(kind, "score_threshold", 0.01)
    monkeypatch.setattr(words.GroundingDino, "shortest", 128)


@pytest.fixture
def engine(raster, tmp_path, monkeypatch):
    """Ask an engine whose model is small and takes boxes; its session."""
    monkeypatch.setenv("SAMGEO_MODELS_DIR", str(tmp_path / "models"))
    made = Engine(lambda *_: mobile_sam(), EmbeddingCache(tmp_path / "cache"))

    def ask(method, context=NEVER, **params):
        return made.methods[method](params, context)

    ask.session = ask("open", rasters=[raster], model="mobile-sam")["session"]
    ask.engine = made
    yield ask
    made.close()


def all_of(ask, collection):
    """The objects of a collection at its end, and the answers."""
    known, answers = {}, []
    while not answers or not answers[-1]["ready"]:
        answers.append(ask("collect_next", collection=collection))
        for gone in answers[-1]["gone"]:
            del known[gone]
        known |= {each["id"]: each for each in answers[-1]["objects"]}
    return known, answers


@pytest.mark.parametrize("family", MAKERS)
def test_what_words_find_is_told_window_by_window_with_its_word(engine, folders, family):
    asked = {"session": engine.session, "by_examples": False, "words": ["pond", " tree  road "]}
    begun = engine("collect", detector=str(folders[family]), **asked)
    assert begun["min_score"] == 0.01
    found, answers = all_of(engine, begun["collection"])
    assert found
    assert {each["class"] for each in found.values()} <= {"pond", "tree road"}
    assert all(each["score"] > 0.01 for each in found.values())
    assert all(shape(each["geometry"]).is_valid for each in found.values())
    assert answers[-1]["done"] == begun["tiles"]
    again, _ = all_of(
        engine, engine("collect", detector=str(folders[family]), **asked)["collection"]
    )
    assert again == found


def test_without_words_objects_say_none_and_no_least_score_is_told(engine):
    begun = engine("collect", session=engine.session, by_examples=False)
    assert begun["min_score"] is None


def test_the_model_of_the_words_is_loaded_once(engine, folders, monkeypatch):
    loads = []
    real = words.load_concepts
    monkeypatch.setattr(words, "load_concepts", lambda *a: loads.append(a) or real(*a))
    for word in ("pond", "tree"):
        engine(
            "collect", session=engine.session, words=[word], detector=str(folders["owlv2"]),
            by_examples=False,
        )  # fmt: skip
    assert len(loads) == 1


def test_a_cancel_is_heard_within_a_window_and_the_window_is_looked_at_again(engine, folders):
    begun = engine(
        "collect", session=engine.session, words=["pond"], detector=str(folders["sam3"]),
        by_examples=False,
    )  # fmt: skip
    checks = []

    def stop():
        checks.append(1)
        if len(checks) > 3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        engine(
            "collect_next",
            Context(stop, lambda *_, **__: None, lambda *_: None),
            collection=begun["collection"],
        )
    assert len(checks) == 4, "within the layers of the model"
    found, answers = all_of(engine, begun["collection"])
    assert found
    assert answers[-1]["done"] == begun["tiles"]


class Squares:
    """Finds the large squares of the world, on one window, for any word."""

    info = ModelInfo("squares", "test", "f", 256, 128, frozenset({"text"}), score_threshold=0.5)

    def find(self, image, word, *, min_score):
        cell = image.shape[0] / 128
        boxes = [(row, col, row + side, col + side) for _, col, row, side in squares()]
        logits = np.full((len(boxes), 128, 128), -8, np.float32)
        for plane, box in zip(logits, (np.array(boxes) / cell).astype(int), strict=True):
            plane[box[0] : box[2] + 1, box[1] : box[3] + 1] = 8
        return Concept(logits, np.array(boxes, np.float32), np.full(len(boxes), 0.9, np.float32))


def test_what_words_find_is_sorted_by_examples(engine, monkeypatch):
    monkeypatch.setattr(words, "load_concepts", lambda *_: Squares())
    begun = engine("collect", session=engine.session, words=["square"], detector="squares")
    found, _ = all_of(engine, begun["collection"])
    assert begun["tiles"] == 1
    assert len(found) > 10
    by_size = sorted(found, key=lambda key: found[key]["area_m2"])
    small, large = by_size[:3], by_size[-3:]
    examples = [{"geometry": found[key]["geometry"], "class": "roof"} for key in small]
    examples += [{"geometry": found[key]["geometry"], "class": "none"} for key in large]
    said = engine("collect_classes", collection=begun["collection"], examples=examples)
    assert said["classes"] == ["roof"]
    kept = {key for key, *_ in said["kept"]}
    assert set(small) <= kept
    assert not set(large) & kept
    assert len(kept) < len(found)


def test_words_that_cannot_be_looked_for_are_one_sentence(engine, folders):
    def why(error, **asked):
        with pytest.raises(error) as caught:
            engine("collect", session=engine.session, by_examples=False, **asked)
        assert engine.engine._collections is None or not engine.engine._collections._known
        return str(caught.value)

    assert "mobile-sam does not understand words: choose sam3" in why(ModelError, words=["pond"])
    text = why(CheckpointError, words=["pond"], detector="owlv2-base")
    assert "owlv2-base" in text
    assert "download" in text
    assert "empty" in why(PromptError, words=["pond", " "], detector=str(folders["owlv2"]))
    assert "words" in why(ParameterError, detector="owlv2-base")
    assert "classes" in why(
        ParameterError, words=["pond"], classes=["building"], detector=str(folders["owlv2"])
    )


def test_only_sam3_with_its_tokenizer_says_that_it_understands_words(
    engine, raster, folders, tmp_path, monkeypatch
):
    assert words.understands_words(folders["sam3"])
    assert not words.understands_words(tmp_path)
    assert not words.understands_words("sam3"), "it is not here"
    file = tmp_path / "sam3.pt"
    torch.save({"detector.x": torch.zeros(1)}, file)
    assert not words.understands_words(file)
    (tmp_path / "vocab.json").write_text("{}")
    assert words.understands_words(file)
    opened = engine("open", rasters=[raster], model="mobile-sam")
    assert opened["model"]["words"] is False
