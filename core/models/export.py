# SPDX-License-Identifier: GPL-2.0-or-later
"""Export of models to ONNX: an encoder, and one decoder per kind of prompt.

::

    encoder.onnx          pixels (1, 3, S, S) float32, prepared --> features
    decoder_points.onnx   features, points (n, k, 2), labels (n, k) --> logits, scores
    decoder_boxes.onnx    features, corners (n, 2, 2) --> logits, scores
    model.json            sizes, preprocessing, fingerprint

Positions are (x, y) as fractions of the encoder's square, where (0, 0) is its corner and the
centre of its first pixel is half a pixel further; labels are 1 and 0. ``n`` and ``k`` are free.
Needs the packages ``onnx`` and ``onnxscript`` (extra "export"), and ``onnxruntime`` for the check.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import ModelError, OutputError
from ..notes import silenced
from .base import PromptableModel
from .network import Network
from .promptable import TorchModel

OPSET = 18

FAMILIES = ("sam", "mobile_sam", "sam2", "edgetam")
"""Families whose graphs have no part that depends on the number of prompts."""

TOLERANCE = 1e-3
"""Difference from torch, in logits and scores, above which an export counts as failed."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: Where it lies.
        files: Their names.
        difference: Largest difference from torch over all outputs; NaN where it was not checked.
    """

    folder: Path
    files: tuple[str, ...]
    difference: float


class _Encoder(nn.Module):
    def __init__(self, network: Network, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.network.encode(image)
        return tuple(features[name] for name in self.names)


class _PointDecoder(nn.Module):
    def __init__(self, network: Network, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def answer(
        self, features: Sequence[Tensor], count: int, prompts: Mapping[str, Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        network = self.network
        arrays = {name: part[0] for name, part in zip(self.names, features, strict=True)}
        side = network.image_side(arrays)
        tokens = network.tokens(
            count, prompts.get("points"), prompts.get("labels"), prompts.get("boxes")
        )
        attended = network.mask_decoder.attend(side, tokens)
        return network.masks(side, attended, True)

    def forward(
        self, features: list[Tensor], points: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.answer(features, points.shape[0], {"points": points, "labels": labels})


class _BoxDecoder(_PointDecoder):
    def forward(  # type: ignore[override]
        self, features: list[Tensor], corners: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.answer(features, corners.shape[0], {"boxes": corners})


def export_onnx(model: PromptableModel, folder: Path, *, check: bool = True) -> Exported:
    """Write a model as ONNX files.

    Args:
        model: Loaded on the CPU in float32 (``load_model(name, "cpu")``).
        folder: Is made; files of the same names are replaced.
        check: Run both in ONNX Runtime on random input and compare with torch.

    Raises:
        ModelError: The model's family cannot be exported, a package is missing, or the exported
            graphs do not give what torch gives.
        OutputError: The folder cannot be written to.
    """
    if not isinstance(model, TorchModel) or model.info.family not in FAMILIES:
        raise ModelError(
            f"{model.info.name} ({model.info.family}) cannot be exported: choose a model of "
            f"{', '.join(FAMILIES)}."
        )
    if model.device.type != "cpu":
        raise ModelError("Export runs on the CPU: load the model with device 'cpu'.")
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"Export needs the package {error.name}: pip install 'samgeo-seamless[export]'."
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _export(model, folder, check)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {error.strerror or error}.") from error


def _export(model: TorchModel, folder: Path, check: bool) -> Exported:
    network = model.network
    size = network.preprocessing.size
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, size, size, generator=generator)
    with torch.no_grad():
        features = network.encode(image)
    names = list(features)
    arrays = list(features.values())
    points = torch.rand(3, 2, 2, generator=generator)
    labels = torch.tensor([[1, 0], [1, 1], [0, 1]])
    corners = torch.tensor([[[0.1, 0.2], [0.5, 0.6]], [[0.3, 0.3], [0.9, 0.8]]])
    n, k = torch.export.Dim("n", min=1, max=1024), torch.export.Dim("k", min=1, max=64)
    fixed: list[None] = [None] * len(arrays)
    parts: dict[str, tuple[nn.Module, tuple[Any, ...], list[str], list[str], Any]] = {
        "encoder.onnx": (_Encoder(network, names), (image,), ["pixels"], names, None),
        "decoder_points.onnx": (
            _PointDecoder(network, names),
            (arrays, points, labels),
            [*names, "points", "labels"],
            ["logits", "scores"],
            (fixed, {0: n, 1: k}, {0: n, 1: k}),
        ),
        "decoder_boxes.onnx": (
            _BoxDecoder(network, names),
            (arrays, corners),
            [*names, "corners"],
            ["logits", "scores"],
            (fixed, {0: n}),
        ),
    }
    difference = 0.0 if check else float("nan")
    for name, (module, inputs, input_names, output_names, shapes) in parts.items():
        _write(module.eval(), inputs, folder / name, input_names, output_names, shapes)
        if check:
            difference = max(difference, _difference(module, inputs, folder / name, input_names))
    if check and difference > TOLERANCE:
        raise ModelError(
            f"The exported {model.info.name} differs from the model by {difference:.2g}: do not "
            "use it; tell us which versions of onnx and torch are installed."
        )
    about = {
        **{key: value for key, value in asdict(model.info).items() if key != "accepts"},
        "preprocessing": asdict(network.preprocessing),
        "opset": OPSET,
        "difference": difference if check else None,
    }
    (folder / "model.json").write_text(json.dumps(about, indent=1), "utf-8")
    return Exported(folder, (*parts, "model.json"), difference)


def _write(
    module: nn.Module,
    inputs: tuple[Any, ...],
    path: Path,
    input_names: Sequence[str],
    output_names: Sequence[str],
    shapes: Any,
) -> None:
    # What the exporter prints must not get into a caller's standard output.
    with silenced(), torch.no_grad(), redirect_stdout(sys.stderr):
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            external_data=False,
            optimize=False,  # ONNX Runtime optimises when it loads; here it takes minutes
            verbose=False,
        )


def _difference(
    module: nn.Module, inputs: tuple[Any, ...], path: Path, names: Sequence[str]
) -> float:
    """Largest absolute difference between torch and ONNX Runtime, with another batch size too."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            "Checking an export needs the package onnxruntime: install it, or export without "
            "the check."
        ) from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    trials = [inputs]
    if len(inputs) > 1:  # a decoder: as many prompts again, and only the first
        features, *prompts = inputs
        trials.append((features, *(torch.cat([part, part]) for part in prompts)))
        trials.append((features, *(part[:1] for part in prompts)))
    for trial in trials:
        with torch.no_grad():
            wanted = module(*trial)
        flat = [t for part in trial for t in (part if isinstance(part, list) else [part])]
        fed = {name: tensor.numpy() for name, tensor in zip(names, flat, strict=True)}
        for got, want in zip(session.run(None, fed), wanted, strict=True):
            worst = max(worst, float(np.abs(got - want.numpy()).max()))
    return worst
