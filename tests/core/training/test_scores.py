# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="training needs the extra 'training' (OpenCV)")

from samgeo_core.models.embedded.load import model_around
from samgeo_core.models.embedded.network import EmbeddedNet, NetConfig
from samgeo_core.training.datasets.crops import Part, Sample
from samgeo_core.training.scores import fit_line, moved, score_pairs, straighten


def made(slope: float, shift: float, seed: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 1.5, 400)
    real = 1 / (1 + np.exp(-(slope * logits + shift)))
    return np.stack([logits, real], 1).astype(np.float32)


def test_a_line_is_found_and_an_empty_source_says_nothing():
    none = np.zeros((0, 2), np.float32)
    slope, shift = fit_line([made(0.8, 0.4, 0), none, made(0.8, 0.4, 1)])
    assert slope == pytest.approx(0.8, abs=0.01)
    assert shift == pytest.approx(0.4, abs=0.01)


def test_a_threshold_moves_with_the_scores():
    line = (0.8, 0.4)
    for score in (0.3, 0.5, 0.9):
        logit = np.log(score / (1 - score))
        after = 1 / (1 + np.exp(-(0.8 * logit + 0.4)))
        assert moved(score, line) == pytest.approx(after, abs=1e-3)
    assert moved(0, line) == 0


def test_scores_are_right_on_average_after_it_and_masks_are_what_they_were():
    torch.manual_seed(0)
    widths = {"widths": (8, 16, 16, 16), "neck": (8, 16, 16), "decoder": (8, 8, 16, 16)}
    net = EmbeddedNet(NetConfig(stem=8, depths=(1, 1, 1, 1), **widths)).eval()
    labels = np.zeros((1, 96, 96), np.uint16)
    labels[0, 10:40, 10:40], labels[0, 50:90, 20:80] = 1, 2
    image = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    part = Part("made", [Sample(image, labels)], 1.0, (1, 1))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    straighten(net, [part])
    changed = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"decoder.judge.2.weight", "decoder.judge.2.bias"}
    all_of_them = {"score_threshold": "0", "stability_threshold": "0"}
    model = model_around(net, all_of_them, "made", "", torch.device("cpu"))
    pairs = score_pairs(model, part)
    assert len(pairs) >= 8
    given = 1 / (1 + np.exp(-pairs[:, 0]))
    assert np.mean(given - pairs[:, 1]) == pytest.approx(0, abs=0.03)
