# SPDX-License-Identifier: GPL-2.0-or-later
"""Attention over the whole map of SAM's encoder, some heads and rows at a time."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from samgeo_core.models.nn import vit
from samgeo_core.models.nn.vit import RelativeAttention


@pytest.mark.parametrize("budget", [1, 700, 5000])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_steps_take_every_head_and_row_once(budget: int, device: str) -> None:
    seen = torch.zeros(3, 6, dtype=torch.int64)
    for heads, rows in vit._steps(2, 3, 6, 5, device, budget):
        seen[heads, rows] += 1
        taken = seen[heads, rows].numel() * 2 * 5 * 6 * 5
        assert taken <= budget or rows.stop - rows.start == 1
    assert (seen == 1).all()


@pytest.mark.parametrize("budget", [1, 700])
def test_attention_in_steps_is_attention_at_once(
    monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    torch.manual_seed(0)
    layer = RelativeAttention(24, 3, 6).double().requires_grad_(False)
    torch.nn.init.normal_(layer.rel_pos_h)
    torch.nn.init.normal_(layer.rel_pos_w)
    x = torch.randn(2, 6, 6, 24, dtype=torch.float64)
    whole = layer(x)
    assert len(list(vit._steps(2, 3, 6, 6, "cpu"))) == 1
    monkeypatch.setattr(vit, "_steps", partial(vit._steps, budget=budget))
    assert len(list(vit._steps(2, 3, 6, 6, "cpu"))) > 1
    torch.testing.assert_close(layer(x), whole)
