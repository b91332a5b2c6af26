# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading the tensors of a checkpoint, safely.

Never runs what a file brings: ``.safetensors``, or ``torch.load(..., weights_only=True)``.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ...errors import CheckpointError
from .files import check_file, damaged, weights_file


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, on the CPU. Never runs what the file brings.

    Args:
        path: A .pth, .pt, .bin or .safetensors file, or a folder in the hub's layout.

    Raises:
        CheckpointError: It is damaged, holds code instead of weights, or cannot be read.
    """
    if path.is_dir():
        return {key: value for file in _shards(path) for key, value in read_state(file).items()}
    try:
        check_file(path)
        if path.suffix == ".safetensors":
            return _bounded(unwrap(load_file(path)), path)
        return _bounded(unwrap(torch.load(path, map_location="cpu", weights_only=True)), path)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        if not any(word in str(error) for word in ("GLOBAL", "global", "reduce", "class")):
            raise damaged(path.name, "it is no checkpoint of torch") from error
        raise CheckpointError(
            f"{path.name} holds more than weights, and opening it would run code that it brings: "
            "it was not opened. Choose the official file, or one saved as .safetensors."
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # a damaged file can make a reader fail in any way
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise damaged(path.name, first[:200]) from error


def _bounded(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Refuse tensors that stand for more numbers than the file holds (views of a few bytes)."""
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    # Tied weights count twice; no known model has more of them than other weights.
    if total > 4 * path.stat().st_size + 1_000_000:
        raise damaged(path.name, f"its tensors would take {total / 1e9:.1f} GB")
    return state


def unwrap(loaded: object) -> dict[str, Tensor]:
    """The tensors of what ``torch.load(..., weights_only=True)`` gave.

    Raises:
        CheckpointError: There are none.
    """
    for name in ("model", "state_dict", "model_state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if isinstance(loaded, Mapping):
        tensors = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)}
        if tensors:
            return tensors
    raise CheckpointError("The file holds no model weights: choose a checkpoint of a SAM model.")


def _shards(folder: Path) -> Iterator[Path]:
    """The weight files of a folder in the hub's layout."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise damaged(index.name, str(error)) from error
        for name in names:
            if Path(name).name != name or not (folder / name).exists():
                raise CheckpointError(f"{folder} lacks {name}: download the model again.")
            yield folder / name
    else:
        yield weights_file(folder)


def family_note(path: Path) -> str:
    """The family that a safetensors file names in its notes, as those of our training do; or ""."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return str((file.metadata() or {}).get("family", ""))
    except (OSError, SafetensorError):
        return ""  # read_state says what is wrong with it
