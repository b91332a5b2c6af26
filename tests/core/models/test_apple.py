# SPDX-License-Identifier: GPL-2.0-or-later
"""Apple's GPU (mps), simulated: it has no float64, which only tensors on the CPU may have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from samgeo_core.models.base import Prompts
from samgeo_core.models.embedded.decoding import Levels
from samgeo_core.models.embedded.load import load_embedded
from torch.overrides import TorchFunctionMode

from .test_embedded import tiny_network, write


class Apple(TorchFunctionMode):
    """Takes tensors for ones on the GPU but those that ``cpu()`` gave, and what comes of them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not isinstance(out, torch.Tensor):
            return out
        if getattr(func, "__name__", "") == "cpu":
            out = out.clone()
            out.on_cpu = True
        elif any(getattr(one, "on_cpu", False) for one in args if isinstance(one, torch.Tensor)):
            out.on_cpu = True
        elif out.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return out


def test_the_simulation_knows_the_cpu() -> None:
    with Apple():
        assert torch.ones(2).cpu().double().dtype == torch.float64
        with pytest.raises(TypeError, match="MPS"):
            torch.ones(2).double()


@pytest.mark.parametrize("multimask", [False, True])
def test_the_embedded_model_answers_prompts_without_float64(
    tmp_path: Path, multimask: bool
) -> None:
    model = load_embedded("cpu", path=write(tmp_path / "tiny.safetensors", tiny_network()))
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    points = Prompts(points=np.array([[[40.0, 50.0]]]), labels=np.array([[1]], np.int8))
    boxes = Prompts(boxes=np.array([[10.0, 10.0, 60.0, 70.0]]))
    with Apple():
        (embedding,) = model.encode([image])
        for prompts in (points, boxes):
            decoded = model.decode(embedding, prompts, multimask=multimask)
            assert len(decoded.logits) == 1


def test_levels_of_masks_are_set_without_float64() -> None:
    levels = Levels((1.0, 2.0, 4.0), (0.1, 0.2, 0.3), (0.3, 0.2, 0.1))
    with Apple():
        changed = levels.apply(torch.ones(2, 4, 4), torch.tensor([True, False]))
    assert changed.shape == (2, 4, 4)
