# SPDX-License-Identifier: GPL-2.0-or-later
import json

import numpy as np
import pytest
import torch
from samgeo_core.errors import ModelError
from samgeo_core.models.base import Prompts
from samgeo_core.models.export import export_onnx
from samgeo_core.models.families import recognise as families
from samgeo_core.models.families.sam import Sam
from samgeo_core.models.image import Preprocessing
from samgeo_core.models.nn.vit import ViT
from samgeo_core.testing.painted import PaintedModel

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = Sam(ViT(32, 2, 2, [1], 4), Preprocessing(size=64))
    state = {
        key: value if value.abs().sum() else 0.1 * torch.randn_like(value)
        for key, value in network.state_dict().items()
    }
    return families.build(state, device="cpu")


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="the extra 'export' is not installed")
    return export_onnx(model, tmp_path_factory.mktemp("onnx"))


def run(exported, name, **inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(exported.folder / name), providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def test_the_exported_graphs_answer_as_the_model_does(model, exported):
    assert exported.difference < 1e-4
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (64, 64, 3), np.uint8)
    (embedding,) = model.encode([image])
    prepared = model.network.preprocessing.tensor(image)[None].numpy()
    (features,) = run(exported, "encoder.onnx", pixels=prepared)
    np.testing.assert_allclose(features[0], embedding.arrays["image"], atol=1e-4)

    points = rng.uniform(0, 64, (5, 3, 2)).astype(np.float32)
    labels = np.array([[1, 0, 1]] * 5, np.int8)
    want = model.decode(embedding, Prompts(points, labels))
    logits, scores = run(
        exported,
        "decoder_points.onnx",
        image=features,
        points=np.ascontiguousarray(points[..., ::-1] / 64),
        labels=labels.astype(np.int64),
    )
    assert want.logits.std() > 1e-3
    np.testing.assert_allclose(logits, want.logits, atol=1e-4)
    np.testing.assert_allclose(scores, want.scores, atol=1e-4)

    boxes = np.array([[4, 8, 40, 50]], np.float32)
    want = model.decode(embedding, Prompts(boxes=boxes))
    corners = np.array([[[8, 4], [50, 40]]], np.float32) / 64
    logits, scores = run(exported, "decoder_boxes.onnx", image=features, corners=corners)
    np.testing.assert_allclose(logits, want.logits, atol=1e-4)


def test_what_the_files_are_is_written_beside_them(model, exported):
    about = json.loads((exported.folder / "model.json").read_text())
    assert about["fingerprint"] == model.info.fingerprint
    assert about["preprocessing"]["size"] == 64
    assert set(exported.files) == {path.name for path in exported.folder.iterdir()}


def test_other_models_are_refused_with_the_families_that_can_be_exported(tmp_path):
    with pytest.raises(ModelError, match="mobile_sam"):
        export_onnx(PaintedModel(), tmp_path)
    assert list(tmp_path.iterdir()) == []
