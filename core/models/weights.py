# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading files of weights: safely, and with a clear word where they are none.

Never runs what a file brings: ``.safetensors``, or ``torch.load(..., weights_only=True)``.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ..errors import CheckpointError
from . import families
from .download import Fetched, looks_like_text, sha256_of


def check_file(path: Path) -> None:
    """See, without reading it all, whether a file can be a complete checkpoint.

    Raises:
        CheckpointError: It is a web page, a pointer, empty or cut off.
    """
    with path.open("rb") as file:
        start = file.read(512)
    name = path.name.removesuffix(".part")
    if what := looks_like_text(start):
        raise CheckpointError(f"{name} is {what}: delete it and download the weights again.")
    if not start or (start[:2] == b"PK" and not zipfile.is_zipfile(path)):
        raise _damaged(name, "it is empty" if not start else "its end is missing")
    if name.endswith(".safetensors"):
        _check_safetensors(path, name)


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
            return families.unwrap(load_file(path))
        return families.unwrap(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        if not any(word in str(error) for word in ("GLOBAL", "global", "reduce", "class")):
            raise _damaged(path.name, "it is no checkpoint of torch") from error
        raise CheckpointError(
            f"{path.name} holds more than weights, and opening it would run code that it brings: "
            "it was not opened. Choose the official file, or one saved as .safetensors."
        ) from error
    except (RuntimeError, EOFError, SafetensorError, ValueError, KeyError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _damaged(path.name, first) from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error


def _check_safetensors(path: Path, name: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            raise _damaged(name, "its header is missing")
        try:
            header = json.loads(file.read(length))
            ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(name, "its header cannot be read") from error
    if size != 8 + length + max(ends, default=0):
        raise _damaged(name, "its end is missing")


def _damaged(name: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"{name} is damaged, or no file of weights ({why}): get it again, or choose another."
    )


def _shards(folder: Path) -> Iterator[Path]:
    """The weight files of a folder in the hub's layout."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise _damaged(index.name, str(error)) from error
        for name in names:
            if Path(name).name != name or not (folder / name).exists():
                raise CheckpointError(f"{folder} lacks {name}: download the model again.")
            yield folder / name
    else:
        yield weights_file(folder)


def weights_file(path: Path) -> Path:
    if path.is_file():
        return path
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (path / name).exists():
            return path / name
    raise CheckpointError(f"{path} holds no model.safetensors or pytorch_model.bin.")


def unpacked(file: Fetched, member: str) -> Fetched:
    """The checkpoint inside a zip archive, put in the archive's place."""
    target = file.path.with_name(member)
    fresh = target.with_name(f"{member}.new")
    try:
        with (
            zipfile.ZipFile(file.path) as archive,
            archive.open(member) as inside,
            fresh.open("wb") as out,
        ):
            shutil.copyfileobj(inside, out, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        file.path.unlink()
        raise _damaged(file.path.name, str(error)) from error
    check_file(fresh)
    os.replace(fresh, target)
    file.path.unlink()
    return Fetched(target, sha256_of(target), target.stat().st_size)


def family_note(path: Path) -> str:
    """The family that a safetensors file names in its notes, as those of our training do; or ""."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return str((file.metadata() or {}).get("family", ""))
    except (OSError, SafetensorError):
        return ""  # read_state says what is wrong with it
