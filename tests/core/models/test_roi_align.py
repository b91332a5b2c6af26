# SPDX-License-Identifier: GPL-2.0-or-later
"""``roi_align`` against a transcription of its definition, bin by bin and sample by sample."""

import math

import pytest
import torch
from samgeo_core.models.nn.roi_align import roi_align


def at(plane, y, x):
    """Bilinear value of an (H, W) list of lists; 0 more than a cell outside."""
    height, width = len(plane), len(plane[0])
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    fy, fx = y - y0, x - x0
    top = plane[y0][x0] * (1 - fx) + plane[y0][x1] * fx
    return top * (1 - fy) + (plane[y1][x0] * (1 - fx) + plane[y1][x1] * fx) * fy


def slowly(plane, box, size):
    x0, y0, x1, y1 = box
    height, width = max(y1 - y0, 1.0), max(x1 - x0, 1.0)
    ny, nx = math.ceil(height / size), math.ceil(width / size)
    return [
        [
            sum(
                at(
                    plane,
                    y0 + (row + (i + 0.5) / ny) * height / size,
                    x0 + (col + (j + 0.5) / nx) * width / size,
                )
                for i in range(ny)
                for j in range(nx)
            )
            / (ny * nx)
            for col in range(size)
        ]
        for row in range(size)
    ]


@pytest.mark.parametrize(
    "box",
    [
        (2.0, 1.0, 9.0, 6.0),
        (0.3, 0.7, 11.9, 8.8),
        (5.0, 5.0, 5.0, 5.0),  # no area: a cell is taken
        (-4.0, -3.0, 4.0, 3.0),  # partly outside
        (8.0, 4.0, 30.0, 20.0),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 7])
def test_pooling_is_the_mean_of_bilinear_samples(box, size):
    torch.manual_seed(0)
    features = torch.randn(1, 2, 9, 12)
    got = roi_align(features, [torch.tensor([box])], size)
    assert got.shape == (1, 2, size, size)
    for channel in range(2):
        want = torch.tensor(slowly(features[0, channel].tolist(), box, size))
        torch.testing.assert_close(got[0, channel], want, atol=1e-5, rtol=1e-5)


def test_boxes_of_several_images_come_one_image_after_the_other():
    features = torch.stack([torch.full((1, 4, 4), 1.0), torch.full((1, 4, 4), 2.0)])
    box = torch.tensor([[0.0, 0.0, 3.0, 3.0]])
    got = roi_align(features, [box, box.repeat(2, 1)], (2, 3))
    assert got.shape == (3, 1, 2, 3)
    assert got[:, 0, 0, 0].tolist() == [1, 2, 2]
    assert roi_align(features, [box[:0], box[:0]], 2).shape == (0, 1, 2, 2)
