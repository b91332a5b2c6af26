# SPDX-License-Identifier: GPL-2.0-or-later
"""FastSAM from an ONNX file: networks made here, whose instances are known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import samgeo_core
from samgeo_core.errors import CheckpointError, ModelError, PromptError
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs.make_segmenter import make_segmenter
from samgeo_core.models.base import PromptableModel, Prompts
from samgeo_core.models.families.fastsam import (
    GREY,
    Instances,
    candidates,
    letterbox,
    suppressed,
)
from samgeo_core.models.load import details, has_memory, load_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIDE, K = 64, 2
RED = np.array([220, 30, 30], np.uint8)


def save(graph_nodes, initializers, outputs, path: Path, side=SIDE) -> Path:
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        graph_nodes,
        "fastsam",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def network(path: Path, rows: list[tuple[float, ...]], side: int = SIDE) -> Path:
    """Instances (x, y, w, h, score, c0, c1) of whatever image; prototypes follow its redness.

    Prototype 0 is 20 * (red - green) - 8 of each 4 x 4 pixels (> 0 where it is red), prototype 1 is
    1 everywhere, so that an instance's mask is the red part of its box, or all of it.
    """
    from onnx import helper, numpy_helper

    found = np.array(rows, np.float32).reshape(-1, 7).T[None]
    found = np.concatenate([found, np.zeros((1, 7, 3), np.float32)], axis=2)
    weights = np.zeros((K, 3, 1, 1), np.float32)
    weights[0, :2, 0, 0] = 20, -20
    constants = {
        "found": found,
        "weights": weights,
        "bias": np.array([-8, 1], np.float32),
    }
    nodes = [
        helper.make_node("AveragePool", ["images"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["small", "weights", "bias"], ["prototypes"]),
        helper.make_node("Identity", ["found"], ["instances"]),
    ]
    return save(
        nodes,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
        {"instances": list(found.shape), "prototypes": [1, K, side // 4, side // 4]},
        path,
        side,
    )


WHOLE, LEFT, SMALL = (32, 32, 64, 64, 0.5), (16, 32, 32, 64, 0.9), (8, 8, 8, 8, 0.8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The whole square, its left half, and a small square in the corner; all filled."""
    path = tmp_path_factory.mktemp("fastsam") / "fastsam-s.onnx"
    weak = (40, 40, 10, 10, 0.3)
    return load_model(network(path, [(*b, 0, 5) for b in (WHOLE, LEFT, SMALL, weak)]), "cpu")


@pytest.fixture(scope="module")
def embedding(model):
    return model.encode([np.zeros((SIDE, SIDE, 3), np.uint8)])[0]


def mask(rows: slice, cols: slice) -> np.ndarray:
    out = np.zeros((16, 16), bool)
    out[rows, cols] = True
    return out


ALL = np.ones((16, 16), bool)
HALF, CORNER = mask(slice(0, 16), slice(0, 8)), mask(slice(1, 3), slice(1, 3))


def test_it_says_what_it_is(model):
    assert isinstance(model, PromptableModel)
    info = model.info
    assert (info.name, info.family, info.input_size, info.mask_size) == (
        "fastsam-s", "fastsam", SIDE, 16,
    )  # fmt: skip
    assert info.accepts == {"point", "box"}


def test_everything_is_all_instances_above_the_least_score_best_first(model, embedding):
    found = model.everything(embedding)
    assert found.logits.shape == (3, 1, 16, 16)
    np.testing.assert_allclose(found.scores[:, 0], [0.9, 0.8, 0.5])
    for logits, expected in zip(
        found.logits[:, 0], (HALF, CORNER, ~mask(slice(0), slice(0))), strict=True
    ):
        np.testing.assert_array_equal(logits > 0, expected)
        np.testing.assert_allclose(logits[expected], 5)


def points(*places, labels=None):
    where = np.array([places], np.float32)
    return Prompts(where, np.array([labels or [1] * len(places)], np.int8))


def test_a_point_takes_all_masks_that_hold_it(model, embedding):
    answer = model.decode(embedding, points((40, 50)))
    np.testing.assert_array_equal(answer.logits[0, 0] > 0, np.ones((16, 16), bool))
    assert answer.scores[0, 0] == pytest.approx(0.5)


def test_a_background_point_takes_its_mask_away_and_smaller_ones_have_the_last_word(
    model, embedding
):
    answer = model.decode(embedding, points((40, 50), (40, 5), labels=[1, 0]))
    # The left point lies in the whole square, too, and comes last in it.
    assert not (answer.logits > 0).any()
    answer = model.decode(embedding, points((40, 5), (40, 50), labels=[0, 1]))
    np.testing.assert_array_equal(answer.logits[0, 0] > 0, ~HALF)
    answer = model.decode(embedding, points((40, 5), (8, 8), labels=[0, 1]))
    inside = answer.logits[0, 0] > 0
    assert inside[CORNER].all()


def test_a_box_takes_the_mask_that_fits_it_best(model, embedding):
    boxes = np.array([[2, 1, 63, 30], [3, 3, 14, 13], [0, 0, 64, 64]], np.float32)
    answer = model.decode(embedding, Prompts(boxes=boxes))
    for logits, expected in zip(
        answer.logits[:, 0], (HALF, CORNER, np.ones((16, 16), bool)), strict=True
    ):
        np.testing.assert_array_equal(logits > 0, expected)
    np.testing.assert_allclose(answer.scores[:, 0], [0.9, 0.8, 0.5])


def test_prompts_below_the_least_score_are_left_out_and_wrong_ones_refused(model, embedding):
    boxes = np.array([[2, 1, 63, 30], [0, 0, 64, 64]], np.float32)
    answer = model.decode(embedding, Prompts(boxes=boxes), min_score=0.6)
    assert answer.index.tolist() == [0]
    with pytest.raises(PromptError, match="outside the image"):
        model.decode(embedding, points((70, 5)))
    with pytest.raises(PromptError, match="empty"):
        model.decode(embedding, Prompts(boxes=np.array([[5, 5, 5, 9]], np.float32)))
    with pytest.raises(ModelError, match="mask prompts"):
        model.decode(embedding, Prompts(masks=np.zeros((1, 16, 16), np.float32)))


def test_the_letterbox_puts_the_image_at_the_corner_and_grey_beside_it():
    image = np.full((20, 80, 3), 200, np.uint8)
    square, scale = letterbox(image, 64)
    assert square.shape == (1, 3, 64, 64)
    assert scale == (16 / 20, 0.8)
    np.testing.assert_allclose(square[0, :, :16], 200 / 255)
    np.testing.assert_allclose(square[0, :, 16:], np.float32(GREY / 255))


def test_an_image_of_another_shape_keeps_its_scale(model):
    (embedding,) = model.encode([np.zeros((40, 160, 3), np.uint8)])
    assert embedding.shape == (40, 160)
    np.testing.assert_allclose(embedding.cell_size, (10.0, 10.0))


def test_nearly_the_same_boxes_are_one_and_the_number_is_limited():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10.5], [0, 0, 10, 12], [5, 5, 9, 9]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    given = Instances(boxes, scores, np.zeros((4, 2), np.float32))
    np.testing.assert_allclose(suppressed(given).scores, [0.9, 0.7, 0.6])
    np.testing.assert_allclose(suppressed(given, most=2).scores, [0.9, 0.7])
    none = Instances(boxes[:0], scores[:0], np.zeros((0, 2), np.float32))
    assert len(suppressed(none).boxes) == 0


def test_a_place_has_the_score_of_its_best_class():
    found = np.zeros((4 + 3 + 2, 2), np.float32)
    found[:4] = [[10, 20], [10, 20], [4, 4], [4, 4]]
    found[4:7] = [[0.1, 0.5], [0.7, 0.2], [0.2, 0.6]]
    found[7:] = [[1, 2], [3, 4]]
    chosen = candidates(found, 2)
    np.testing.assert_allclose(chosen.scores, [0.7, 0.6])
    np.testing.assert_allclose(chosen.coefficients, [[1, 3], [2, 4]])
    np.testing.assert_allclose(chosen.boxes[1], [18, 18, 22, 22])


def test_an_image_without_objects_has_none(model, tmp_path):
    empty = load_model(network(tmp_path / "none.onnx", [(*WHOLE[:4], 0.1, 0, 5)]), "cpu")
    (embedding,) = empty.encode([np.zeros((SIDE, SIDE, 3), np.uint8)])
    assert len(empty.everything(embedding).index) == 0
    answer = empty.decode(embedding, points((5, 5)))
    assert not (answer.logits > 0).any()
    assert answer.scores[0, 0] == 0


def test_a_job_finds_what_lies_across_tiles_once_and_names_the_model(tmp_path):
    """A red bar over the whole raster: half of the red part of each tile's two boxes."""
    path = network(tmp_path / "red.onnx", [(64, 64, 128, 128, 0.9, 1, 0)], side=128)
    pixels = np.full((3, 200, 400), 60, np.uint8)
    pixels[:, 80:112, 20:380] = RED[:, None, None]
    pixels[:, 150:170, 300:320] = RED[:, None, None]
    raster = tmp_path / "bar.tif"
    with rasterio.open(
        raster, "w", driver="GTiff", count=3, height=200, width=400, dtype="uint8",
        crs="EPSG:32633", transform=rasterio.transform.from_origin(500000, 5000000, 1, 1),
    ) as file:  # fmt: skip
        file.write(pixels)
    params = SegmentParameters(rasters=[str(raster)], output="x.gpkg", model=str(path))
    assert make_segmenter(params).name == "red"
    found = samgeo_core.segment(str(raster), model=str(path), tile_size=128, device="cpu")
    bars = found[found.geometry.area > 5000]
    assert len(bars) == 1
    assert bars.geometry.iloc[0].area == pytest.approx(360 * 32, rel=0.05)
    assert bars.geometry.iloc[0].bounds[0] == pytest.approx(500020, abs=3)
    assert bars.geometry.iloc[0].bounds[2] == pytest.approx(500380, abs=3)
    assert set(found["model"]) == {"red"}


def test_files_that_are_none_are_named(tmp_path):
    from onnx import helper, numpy_helper

    (tmp_path / "no.onnx").write_bytes(b"<!doctype html>")
    with pytest.raises(CheckpointError, match="cannot be read as an ONNX file"):
        load_model(tmp_path / "no.onnx", "cpu")
    with pytest.raises(CheckpointError, match="no file"):
        load_model(tmp_path / "missing.onnx", "cpu")
    other = tmp_path / "other.onnx"
    node = helper.make_node("Identity", ["given"], ["out"])
    given = numpy_helper.from_array(np.zeros((1, 10), np.float32), "given")
    save([node], [given], {"out": [1, 10]}, other)
    with pytest.raises(CheckpointError, match="no FastSAM: it answers"):
        load_model(other, "cpu").encode([np.zeros((SIDE, SIDE, 3), np.uint8)])
    oblong = tmp_path / "odd.onnx"
    save([node], [given], {"out": [1, 10]}, oblong, side=50)
    with pytest.raises(CheckpointError, match="multiple of 32"):
        load_model(oblong, "cpu")
    with pytest.raises(ModelError, match="float32"):
        load_model(other, "cpu", precision="bfloat16")
    with pytest.raises(ModelError, match="cannot use the device 'mps'"):
        load_model(other, "mps")
    assert details(other).recognised.family == "fastsam"
    assert not has_memory(other)


def test_without_onnxruntime_the_extra_is_named(model, tmp_path, monkeypatch):
    path = network(tmp_path / "a.onnx", [(*WHOLE, 0, 5)])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"samgeo-seamless\[fastsam\]"):
        load_model(path, "cpu")
