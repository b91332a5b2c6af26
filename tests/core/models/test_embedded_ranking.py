# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the masks for one click comes first."""

import numpy as np
import pytest
import torch
from samgeo_core.models.base import Prompts
from samgeo_core.models.embedded import decoding
from samgeo_core.models.embedded.decoding import by_worth, expected_iou
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.embedded.model import EmbeddedModel

from .test_embedded import tiny_network, write


def nested() -> torch.Tensor:
    """(1, 3, 32, 32) logits of the half of a roof, the roof, and the roof with its yard."""
    masks = torch.full((1, 3, 32, 32), -12.0)
    for number, (high, wide) in enumerate(((10, 8), (10, 16), (20, 24))):
        masks[0, number, :high, :wide] = 12.0
    return masks


def test_of_masks_that_are_as_likely_the_one_between_the_others_is_worth_most():
    worth = expected_iou(torch.full((1, 3), 0.5), nested())
    ious = torch.tensor([[1, 1 / 2, 1 / 6], [1 / 2, 1, 1 / 3], [1 / 6, 1 / 3, 1]])
    np.testing.assert_allclose(worth[0], ious.mean(1), atol=1e-3)
    assert int(worth.argmax()) == 1


def test_a_mask_that_is_clearly_the_best_stays_the_first():
    worth = expected_iou(torch.tensor([[0.97, 0.2, 0.2]]), nested())
    assert int(worth.argmax()) == 0
    assert torch.isfinite(expected_iou(torch.tensor([[1.0, 0.0, 0.0]]), nested())).all()
    empty = torch.full((1, 3, 8, 8), -500.0)
    assert torch.isfinite(expected_iou(torch.tensor([[0.5, 0.5, 0.5]]), empty)).all()


def test_scores_are_handed_out_by_worth():
    scores = torch.tensor([[0.6, 0.5, 0.4], [0.1, 0.2, 0.3]])
    worth = torch.tensor([[0.1, 0.9, 0.5], [0.2, 0.2, 0.8]])
    expected = torch.tensor([[0.4, 0.6, 0.5], [0.2, 0.1, 0.3]])
    torch.testing.assert_close(by_worth(scores, worth), expected)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedModel:
    return load_embedded("cpu", path=write(tmp_path_factory.mktemp("w") / "t.st", tiny_network()))


def click(*places: tuple[float, float]) -> Prompts:
    return Prompts(points=np.array([places], np.float32), labels=np.ones((1, len(places)), np.int8))


def test_only_a_single_click_is_ranked_anew(model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch):
    image = np.random.default_rng(5).integers(0, 255, (128, 128, 3), np.uint8)
    embedding = model.encode([image])[0]
    one, two = click((40, 40)), click((40, 40), (44, 44))

    def scores(prompts: Prompts, **options: float) -> list[float]:
        return model.decode(embedding, prompts, **options).scores[0].tolist()

    as_they_are = scores(one, min_score=0.0)
    with_two = scores(two)
    monkeypatch.setattr(decoding, "expected_iou", lambda scores, masks: -scores)
    assert scores(one) == pytest.approx(
        np.sort(as_they_are)[np.argsort(-np.array(as_they_are)).argsort()]
    )
    assert sorted(scores(one)) == pytest.approx(sorted(as_they_are))
    assert scores(one) != pytest.approx(as_they_are)
    assert scores(one, min_score=0.0) == pytest.approx(as_they_are), "a search's masks"
    assert scores(two) == pytest.approx(with_two), "more clicks say which is meant"


def test_one_mask_for_a_click_is_the_one_that_comes_first(
    model: EmbeddedModel, monkeypatch: pytest.MonkeyPatch
):
    image = np.random.default_rng(6).integers(0, 255, (128, 128, 3), np.uint8)
    embedding = model.encode([image])[0]
    for number in range(4):
        wanted = torch.zeros(1, 4)
        wanted[0, number] = 1
        monkeypatch.setattr(
            decoding, "expected_iou", lambda scores, masks, w=wanted: w[:, 4 - scores.shape[1] :]
        )
        alone = model.decode(embedding, click((60, 60)), multimask=False)
        if number:
            three = model.decode(embedding, click((60, 60)))
            assert int(three.scores[0].argmax()) == number - 1
            np.testing.assert_array_equal(alone.logits[0, 0] > 0, three.logits[0, number - 1] > 0)
