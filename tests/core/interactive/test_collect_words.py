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
from shapely.geometry import mapping, shape

from ..classes.world import mobile_sam, polygon, squares, write_world
from ..tiny_words import MAKERS, make_sam3_file, torch

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
        for plane, at in zip(logits, (np.array(boxes) / cell).astype(int), strict=True):
            plane[at[0] : at[2] + 1, at[1] : at[3] + 1] = 8
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


def marks(name, numbers, kind="roof"):
    """Examples around squares of the world, in its CRS."""
    chosen = [polygon(col, row, side) for each, col, row, side in squares() if each == kind]
    return [{"geometry": mapping(chosen[number]), "class": name} for number in numbers]


def test_exemplars_are_looked_for_with_sam3_and_say_their_class(engine, folders):
    asked = {"session": engine.session, "by_examples": False, "detector": str(folders["sam3"])}
    some = [*marks("roof", [0, 1]), *marks("field", [0], "field"), *marks("none", [2])]
    begun = engine("collect", exemplars=some, **asked)
    assert begun["min_score"] == 0.01
    found, answers = all_of(engine, begun["collection"])
    assert found
    assert {each["class"] for each in found.values()} <= {"roof", "field"}
    assert answers[-1]["done"] == begun["tiles"]
    again = engine("collect", exemplars=some[::-1], **asked)["collection"]
    assert all_of(engine, again)[0] == found, "the order of exemplars changes nothing"


class Alike(Squares):
    """Finds all squares, the large ones with a low score, whatever the exemplars show."""

    def find_like(self, image, boxes, *, min_score, unlike=None):
        found = super().find(image[: image.shape[0] * 4 // 5], "", min_score=min_score)
        cells = 128 * 4 // 5
        logits = np.full((len(found.scores), 128, 128), -8, np.float32)
        logits[:, :cells, :cells] = found.logits[:, np.arange(cells) * 5 // 4][
            :, :, np.arange(cells) * 5 // 4
        ]
        sizes = found.boxes[:, 2] - found.boxes[:, 0]
        return Concept(logits, found.boxes, np.where(sizes > 30, 0.6, 0.9).astype(np.float32))


def test_what_exemplars_find_stays_as_found_until_something_is_said_to_be_wrong(
    engine, monkeypatch
):
    monkeypatch.setattr(words, "load_concepts", lambda *_: Alike())
    one = marks("roof", [0])
    begun = engine("collect", session=engine.session, exemplars=one, detector="squares")
    found, _ = all_of(engine, begun["collection"])
    said = engine(
        "collect_classes", collection=begun["collection"], examples=one, min_class_prob=0.5, ask=3
    )
    assert said["classes"] == ["roof"]
    assert {key for key, *_ in said["kept"]} == set(found), "nothing is presumed to be wrong"
    ((marked, _),) = said["marked"]
    assert {key: p for key, _, p in said["kept"]}[marked] == 1.0
    assert all(found[key]["score"] == pytest.approx(0.6) for key in said["ask"])
    said = engine(
        "collect_classes", collection=begun["collection"], examples=one, min_class_prob=0.8
    )
    assert 0 < len(said["kept"]) < len(found)
    wrong = [*marks("none", [0, 1, 2], "field"), *marks("roof", [0, 1, 2])]
    said = engine("collect_classes", collection=begun["collection"], examples=wrong)
    kept = {key for key, *_ in said["kept"]}
    assert 0 < len(kept) < len(found)
    assert max(found[key]["area_m2"] for key in kept) < max(
        each["area_m2"] for each in found.values()
    )


def test_exemplars_that_cannot_be_used_are_one_sentence(engine, folders):
    def why(error, exemplars, **asked):
        asked = {"detector": str(folders["sam3"]), **asked}
        with pytest.raises(error) as caught:
            engine("collect", session=engine.session, exemplars=exemplars, **asked)
        return str(caught.value)

    some = marks("roof", [0])
    spot = [{"geometry": {"type": "Point", "coordinates": [0, 0]}, "class": "a"}]
    assert "lies on the raster" in why(PromptError, spot)
    assert "GeoJSON geometry" in why(PromptError, [{"class": "a"}])
    assert "one object to find" in why(PromptError, marks("none", [0]))
    assert "not by exemplars: choose sam3" in why(ModelError, some, detector=str(folders["owlv2"]))
    assert "does not understand words" in why(ModelError, some, detector=None)
    assert "not both" in why(ParameterError, some, words=["pond"])


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


def test_sam3_from_its_own_file_finds_words_and_exemplars_by_itself(engine, raster, tmp_path):
    """One file for clicks, words and exemplars, as it is published; random weights."""
    file = make_sam3_file(tmp_path)
    vocabulary = (tmp_path / "vocab.json").read_text()
    (tmp_path / "vocab.json").unlink()
    alone = Engine(cache=EmbeddingCache(tmp_path / "cache"))

    def ask(method, **params):
        return alone.methods[method](params, NEVER)

    given = {"rasters": [raster], "model": str(file), "device": "cpu"}
    assert ask("open", **given)["model"]["words"] is False
    with pytest.raises(ModelError, match="tokenizer"):
        ask("collect", session="s1", words=["pond"], by_examples=False)
    alone._words.clear()
    (tmp_path / "vocab.json").write_text(vocabulary)
    opened = ask("open", **given)
    assert opened["model"]["words"] is True
    session = opened["session"]
    begun = ask("collect", session=session, words=["pond"], by_examples=False)
    assert begun["model"] == "sam3"
    assert all_of(ask, begun["collection"])[0]
    some = marks("roof", [0, 1])
    begun = ask("collect", session=session, exemplars=some)
    found, _ = all_of(ask, begun["collection"])
    assert found
    said = ask("collect_classes", collection=begun["collection"], examples=some, min_class_prob=0.0)
    assert {key for key, *_ in said["kept"]} == set(found)
    alone.close()
    assert engine("open", rasters=[raster], model="mobile-sam")["model"]["words"] is False
