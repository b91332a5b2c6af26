# SPDX-License-Identifier: GPL-2.0-or-later
"""A model's own masks are trained on only where they stay however the photograph is turned."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2", reason="training needs the extra 'training' (OpenCV)")

from samgeo_core.models.base import Decoded, Embedding, ModelInfo
from samgeo_core.training.datasets import confident

HOUSES = ((20, 30, 60, 90), (90, 100, 130, 170))


class Brightness:
    """Finds what is bright, where it was prompted; ``blind`` to what lies in a view's right half
    when the photograph comes mirrored (its first column is dark)."""

    info = ModelInfo(
        name="brightness",
        family="test",
        fingerprint="test",
        input_size=200,
        mask_size=100,
        accepts=frozenset({"point", "box"}),
        device="cpu",
        score_threshold=0.5,
        stability_threshold=0.5,
    )

    def __init__(self, blind: bool = False) -> None:
        self.blind = blind

    def encode(self, images):
        return [
            Embedding(
                {"image": image.astype(np.float32)},
                shape=image.shape[:2],
                cell_size=(2.0, 2.0),
                mask_shape=(image.shape[0] // 2, image.shape[1] // 2),
                fingerprint="test",
            )
            for image in images
        ]

    def decode(self, embedding, prompts, *, multimask=True, min_score=None):
        image = embedding.arrays["image"]
        height, width = (side // 2 * 2 for side in embedding.shape)
        bright = image[:height, :width, 0].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
        logits = []
        for row in range(len(prompts)):
            if prompts.boxes is not None:
                r0, c0, r1, c1 = prompts.boxes[row] / 2
            else:
                place = prompts.points[row, 0]
                r0, c0, r1, c1 = next(
                    (np.array(h) / 2 for h in HOUSES if _inside(place, h)), (0, 0, 0, 0)
                )
            mask = np.full(bright.shape, -8.0, np.float32)
            part = slice(max(0, round(r0) - 2), round(r1) + 2), slice(round(c0), round(c1))
            mask[part] = (bright[part] - 128) / 10
            if self.blind and image[0, 0, 0] > 10:
                mask[:] = -8
            logits.append(mask)
        m = 3 if multimask else 1
        return Decoded(
            np.arange(len(prompts)),
            np.repeat(np.stack(logits)[:, None], m, 1),
            np.full((len(prompts), m), 0.9, np.float32),
        )


def _inside(place, house) -> bool:
    return house[0] <= place[0] < house[2] and house[1] <= place[1] < house[3]


def photograph() -> np.ndarray:
    """Two bright houses; the last column is grey, so that a mirrored view begins with it."""
    image = np.full((160, 200, 3), 5, np.uint8)
    for r0, c0, r1, c1 in HOUSES:
        image[r0:r1, c0:c1] = 250
    image[:, -1] = 60
    return image


@pytest.mark.parametrize("view", confident.VIEWS)
def test_a_box_holds_the_same_thing_from_every_view(view):
    image = photograph()
    boxes = np.array(HOUSES, np.float32)
    shown = view.shown(image)
    for box in view.boxes(boxes, image.shape[:2]):
        r0, c0, r1, c1 = np.round(box).astype(int)
        assert shown[r0 + 1 : r1 - 1, c0 + 1 : c1 - 1].min() > 200
        assert shown[r0 - 3 : r0 - 1, c0:c1].max() < 100
        assert shown[r0:r1, c1 + 1 : c1 + 3].max() < 100


@pytest.mark.parametrize("view", confident.VIEWS)
def test_answers_come_back_to_the_photographs_pixels(view):
    image = photograph()
    found = confident.answers(Brightness(), image, np.array(HOUSES, np.float32), view)
    assert found.shape == (2, 160, 200)
    for mask, (r0, c0, r1, c1) in zip(found, HOUSES, strict=True):
        truth = np.zeros_like(mask)
        truth[r0:r1, c0:c1] = True
        assert confident.iou(mask[None], truth[None])[0] > 0.9


def test_masks_that_stay_become_labels():
    image = photograph()
    sample = confident.confident_sample(Brightness(), image)
    assert sample is not None
    assert sample.image is image
    assert sorted(np.unique(sample.labels)) == [0, 1, 2]
    for r0, c0, r1, c1 in HOUSES:
        inside = sample.labels[0, r0 + 2 : r1 - 2, c0 + 2 : c1 - 2]
        assert len(np.unique(inside)) == 1
        assert inside[0, 0] > 0


def test_masks_that_are_not_found_in_the_mirror_are_left_out():
    assert confident.confident_sample(Brightness(blind=True), photograph()) is None


def test_a_photograph_of_nothing_has_no_labels():
    assert confident.confident_sample(Brightness(), np.full((160, 200, 3), 5, np.uint8)) is None
