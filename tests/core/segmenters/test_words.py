# SPDX-License-Identifier: GPL-2.0-or-later
"""Words: tiny random models end to end on a real raster, without torchvision."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samgeo_core.errors import CheckpointError, ModelError, ParameterError, PromptError
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs.make_segmenter import make_segmenter
from samgeo_core.masks.masks import PromptRef
from samgeo_core.models.base import Concept, ConceptModel, ModelInfo
from samgeo_core.models.words import GroundingDino, load_concepts
from samgeo_core.segmenters.segmenter import PromptableSegmenter, Segmenter
from samgeo_core.segmenters.words import ConceptOptions, concept_segmenter
from samgeo_core.testing.painted import PaintedModel, paint, tile_image

from ..tiny_words import MAKERS, make_sam3, make_sam3_lite, torch

SHARED = Path(
    os.environ.get("SAMGEO_SHARED_DATA", Path(__file__).parents[3].parent / "shared" / "data")
)


# The segmenter, with a finder whose answers are known --------------------------------------------


class Painted:
    """Finds the painted boxes whose name (the red channel) is the word; as masks or as boxes."""

    def __init__(self, masks: bool, boxes):
        self.info = ModelInfo(
            "finder", "test", "f", 256, 64 if masks else 0, frozenset({"text"}), score_threshold=0.5
        )
        self.boxes = boxes
        self.asked = []

    def find(self, image, word, *, min_score):
        self.asked.append((image.shape, word))
        found = [
            (box, s) for box, (name, s) in self.boxes.items() if name == word and s > min_score
        ]
        boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
        scores = np.array([score for _, score in found], np.float32)
        if not self.info.mask_size:
            return Concept(None, boxes, scores)
        logits = np.full((len(found), 64, 64), -5, np.float32)
        for plane, box in zip(logits, boxes.astype(int) // 4, strict=True):
            plane[box[0] : box[2], box[1] : box[3]] = 5
        return Concept(logits, boxes, scores)


SCENE = {
    (16, 16, 64, 80): ("roof", 0.9),
    (18, 18, 66, 82): ("roof", 0.8),  # the same thing again
    (80, 100, 160, 140): ("pond", 0.7),
    (180, 20, 240, 200): ("roof", 0.4),
}
PIXELS = paint({(16, 16, 64, 80): 10, (80, 100, 160, 140): 20, (180, 20, 240, 200): 30})


@pytest.mark.parametrize("masks", [True, False])
def test_words_become_labelled_masks_each_once(masks):
    finder = Painted(masks, SCENE)
    assert isinstance(finder, ConceptModel)
    segmenter = concept_segmenter(finder, ["roof", " pond ", "roof"], PaintedModel())
    assert isinstance(segmenter, Segmenter)
    assert isinstance(segmenter, PromptableSegmenter) == (not masks)
    assert segmenter.cell_size(256) == 4
    tile = segmenter.segment(tile_image(PIXELS, at=(512, 1024)))
    assert [mask.prompt for mask in tile.masks] == [
        PromptRef("roof", "text", "roof"),
        PromptRef("pond", "text", "pond"),
    ]
    assert [round(mask.score, 2) for mask in tile.masks] == [0.9, 0.7]
    first = tile.masks[0]
    rows, cols = np.nonzero(first.logits > 0)
    assert (first.box.row0 + rows.min(), first.box.col0 + cols.min()) == (128 + 4, 256 + 4)
    assert len(rows) == 12 * 16
    assert finder.asked == [((256, 256, 3), "roof"), ((256, 256, 3), "pond")]


def test_the_image_is_encoded_once_for_all_words():
    masker = PaintedModel()
    concept_segmenter(Painted(False, SCENE), ["roof", "pond"], masker).segment(tile_image(PIXELS))
    assert len(masker.encoded) == 1


def test_a_lower_threshold_finds_more_and_changes_the_fingerprint():
    options = ConceptOptions(min_score=0.3)
    low = concept_segmenter(Painted(True, SCENE), ["roof"], options=options)
    default = concept_segmenter(Painted(True, SCENE), ["roof"])
    assert len(low.segment(tile_image(PIXELS)).masks) == 2
    assert len(default.segment(tile_image(PIXELS)).masks) == 1
    assert low.fingerprint != default.fingerprint
    other = concept_segmenter(Painted(True, SCENE), ["pond"])
    assert other.fingerprint != default.fingerprint


def test_no_data_no_masks():
    finder = Painted(True, SCENE)
    segmenter = concept_segmenter(finder, ["roof"])
    valid = np.zeros((256, 256), bool)
    assert segmenter.segment(tile_image(PIXELS, valid=valid)).masks == []
    assert finder.asked == []
    valid[:, 100:] = True
    assert segmenter.segment(tile_image(PIXELS, valid=valid)).masks == []


def test_boxes_without_area_are_asked_as_a_pixel():
    finder = Painted(False, {(256, 256, 256, 256): ("roof", 0.9)})
    masker = PaintedModel()
    concept_segmenter(finder, ["roof"], masker).segment(tile_image(PIXELS))
    assert masker.asked[0].boxes.tolist() == [[255, 255, 256, 256]]


@pytest.mark.parametrize("detector", [None, "boxes"])
def test_a_job_asks_again_for_what_tiles_cut_where_boxes_become_masks(monkeypatch, detector):
    finder = Painted(detector is None, SCENE)
    monkeypatch.setattr("samgeo_core.models.words.load_concepts", lambda *_: finder)
    monkeypatch.setattr("samgeo_core.models.load.load_model", lambda *_, **__: PaintedModel())
    params = SegmentParameters(["a.tif"], "b.gpkg", words=["roof"], detector=detector)
    assert isinstance(make_segmenter(params), PromptableSegmenter) == (detector is not None)


def test_a_number_type_goes_with_the_model_of_masks(monkeypatch):
    asked = []

    def load(*given):
        asked.append(given)
        return PaintedModel()

    monkeypatch.setattr("samgeo_core.models.load.load_model", load)
    monkeypatch.setattr("samgeo_core.models.words.load_concepts", lambda *_: Painted(True, SCENE))
    params = SegmentParameters(
        ["a.tif"], "b.gpkg", model="sam-vit-b", words=["roof"], precision="bfloat16"
    )
    with pytest.raises(ParameterError, match="leave the precision bfloat16 out"):
        make_segmenter(params)
    monkeypatch.setattr("samgeo_core.models.words.load_concepts", lambda *_: Painted(False, SCENE))
    make_segmenter(replace(params, detector="boxes"))
    assert asked == [("sam-vit-b", "auto", None, "bfloat16")]


def test_empty_words_and_boxes_without_a_masker_are_refused():
    for words in ([], [" "], ["roof", ""]):
        with pytest.raises(PromptError, match="empty"):
            concept_segmenter(Painted(True, SCENE), words)
    with pytest.raises(ModelError, match="boxes only"):
        concept_segmenter(Painted(False, SCENE), ["roof"])
    with pytest.raises(ModelError, match="boxes only"):
        concept_segmenter(Painted(False, SCENE), ["roof"], PaintedModel(accepts="point"))
    with pytest.raises(ParameterError, match="min_score"):
        ConceptOptions(min_score=2)


# The models --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    monkeypatch.setattr(GroundingDino, "shortest", 128)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Random models in the hub's layout."""
    made = {}
    for family, make in MAKERS.items():
        torch.manual_seed(1)
        made[family] = tmp_path_factory.mktemp(family)
        make(made[family])
    return made


@pytest.fixture(scope="module")
def aerial():
    """A real tile: 256 x 256 px of the ponds, or what is drawn where the data are missing."""
    import rasterio

    place = SHARED / "eval" / "ponds_naip_2009_2020"
    files = sorted(place.rglob("*.tif"))
    if not files:
        pytest.skip(f"no evaluation data in {place}")
    with rasterio.open(files[0]) as raster:
        window = rasterio.windows.Window(300, 200, 256, 256)
        return np.ascontiguousarray(np.moveaxis(raster.read([1, 2, 3], window=window), 0, 2))


@pytest.fixture(scope="module")
def picture():
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    return np.ascontiguousarray(np.kron(noise, np.ones((16, 16, 1), np.uint8)))


@pytest.mark.parametrize("family", MAKERS)
def test_every_family_runs_end_to_end_on_a_real_raster_without_torchvision(folders, aerial, family):
    assert aerial.dtype == np.uint8
    finder = load_concepts(folders[family], "cpu")
    assert isinstance(finder, ConceptModel)
    assert finder.info.family == family
    assert (finder.info.mask_size > 0) == (family == "sam3")
    concept = finder.find(aerial, "pond", min_score=0.0)
    assert len(concept.boxes) == len(concept.scores) > 0
    assert ((concept.scores >= 0) & (concept.scores <= 1)).all()
    if concept.logits is not None:
        side = finder.info.mask_size
        assert concept.logits.shape == (len(concept.scores), side, side)
    assert (concept.boxes >= 0).all()
    assert (concept.boxes <= 256).all()
    assert (concept.boxes[:, :2] <= concept.boxes[:, 2:]).all()
    options = ConceptOptions(min_score=0.0, max_iou=0.9)
    segmenter = concept_segmenter(finder, ["pond", "building"], PaintedModel(), options)
    tile = segmenter.segment(tile_image(aerial, cell=segmenter.cell_size(256)))
    assert tile.masks
    assert {mask.prompt.label for mask in tile.masks} <= {"pond", "building"}
    for mask in tile.masks:
        assert (mask.logits > 0).any()
    again = concept_segmenter(finder, ["pond", "building"], PaintedModel(), options)
    assert again.fingerprint == segmenter.fingerprint
    assert "torchvision" not in sys.modules


def test_no_instance_is_a_result_too(folders, picture):
    for family in MAKERS:
        concept = load_concepts(folders[family], "cpu").find(picture, "pond", min_score=1.0)
        assert len(concept.scores) == 0
        assert concept.boxes.shape == (0, 4)


def test_sam3_always_sees_the_geometry_token(folders, picture):
    """With a padding box the answer is that of the official code, which appends CLS always."""
    finder = load_concepts(folders["sam3"], "cpu")
    calls = []
    original = finder.model.geometry_encoder.forward

    def watched(**inputs):
        calls.append(inputs["box_mask"].tolist())
        return original(**inputs)

    finder.model.geometry_encoder.forward = watched
    finder.find(picture, "pond", min_score=0.0)
    finder.find_like(picture, np.array([[10, 20, 60, 90]], np.float32), min_score=0.0)
    assert calls == [[[False]], [[True, False]]]


def test_sam3_finds_by_exemplar_and_the_box_matters(folders, picture):
    finder = load_concepts(folders["sam3"], "cpu")
    first = finder.find_like(picture, np.array([[10, 20, 60, 90]], np.float32), min_score=0.0)
    other = finder.find_like(picture, np.array([[150, 20, 250, 90]], np.float32), min_score=0.0)
    word = finder.find(picture, "visual", min_score=0.0)
    assert np.abs(first.logits - other.logits).max() > 1e-6
    assert np.abs(first.logits - word.logits).max() > 1e-6
    with pytest.raises(PromptError, match="exemplar"):
        finder.find_like(picture, np.zeros((0, 4), np.float32), min_score=0.0)


def test_sam3_with_the_light_text_encoder_finds_words_and_exemplars(picture, tmp_path):
    make_sam3(tmp_path)
    torch.manual_seed(2)
    make_sam3_lite(tmp_path)
    finder = load_concepts(tmp_path, "cpu")
    assert type(finder.model).__name__ == "Sam3LiteTextModel"
    assert finder.info.family == "sam3"
    word = finder.find(picture, "pond", min_score=0.0)
    other = finder.find(picture, "road tree", min_score=0.0)
    assert len(word.scores) == 10
    assert np.abs(word.logits - other.logits).max() > 1e-6
    like = finder.find_like(picture, np.array([[10, 20, 60, 90]], np.float32), min_score=0.0)
    assert np.abs(like.logits - word.logits).max() > 1e-6
    assert "torchvision" not in sys.modules


def test_a_detectors_boxes_do_not_depend_on_the_shape_of_the_image(folders, picture):
    """A tile and the same tile with padding below: OWLv2 pads itself, to the same square."""
    finder = load_concepts(folders["owlv2"], "cpu")
    square = picture.copy()
    square[200:] = 0
    first = finder.find(square, "pond", min_score=0.0)
    second = finder.find(np.ascontiguousarray(square[:200]), "pond", min_score=0.0)
    np.testing.assert_allclose(second.boxes[:, [1, 3]], first.boxes[:, [1, 3]], atol=1e-3)


def test_an_empty_word_is_refused_before_anything_runs(folders, picture):
    finder = load_concepts(folders["owlv2"], "cpu")
    with pytest.raises(PromptError, match="empty"):
        finder.find(picture, "  ", min_score=0.1)


def test_folders_that_are_none_are_named(folders, tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_concepts(tmp_path, "cpu")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="does not understand words"):
        load_concepts(tmp_path, "cpu")


def test_weights_that_lack_tensors_are_refused(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    for path in folders["owlv2"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    gone = sorted(key for key in state if "class_head" in key)[0]
    del state[gone]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks tensors"):
        load_concepts(tmp_path, "cpu")
    whole = (folders["owlv2"] / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(CheckpointError, match="its end is missing"):
        load_concepts(tmp_path, "cpu")


def test_without_transformers_the_extra_is_named(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"samgeo-seamless\[concepts\]"):
        load_concepts(folders["owlv2"], "cpu")
