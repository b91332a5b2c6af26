# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of weight files without reading tensors: completeness and location."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Collection
from pathlib import Path

from ...errors import CheckpointError
from ...parallel.atomic_write import move
from .download import Fetched, disk_error, looks_like_text, sha256_of

MOST_HEADER = 100_000_000
"""Bytes that the header of a safetensors file may have, by its specification."""


def check_file(path: Path) -> None:
    """See, without reading it all, whether a file can be a complete checkpoint.

    Raises:
        CheckpointError: It is a web page, a pointer, empty or cut off.
    """
    with path.open("rb") as file:
        start = file.read(512)
    name = path.name.removesuffix(".part")
    if what := looks_like_text(start):
        raise CheckpointError(f"{name} is {what}: download the weights again.")
    if not start or (start[:2] == b"PK" and not zipfile.is_zipfile(path)):
        raise damaged(name, "it is empty" if not start else "its end is missing")
    if start[:2] == b"PK":
        _check_zip(path, name)
    if name.endswith(".safetensors"):
        _check_safetensors(path, name)


def weights_file(path: Path) -> Path:
    """The file of weights: the path itself, or the one in a folder in the hub's layout.

    Raises:
        CheckpointError: The folder holds none.
    """
    if path.is_file():
        return path
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (path / name).exists():
            return path / name
    raise CheckpointError(f"{path} holds no model.safetensors or pytorch_model.bin.")


def unpacked(file: Fetched, member: str) -> Fetched:
    """The checkpoint inside a zip archive, put in the archive's place.

    Raises:
        CheckpointError: The archive is damaged, or there is no space; nothing half-unpacked stays.
    """
    target = file.path.with_name(member)
    fresh = target.with_name(f"{member}.new")
    try:
        with (
            zipfile.ZipFile(file.path) as archive,
            archive.open(member) as inside,
            fresh.open("wb") as out,
        ):
            shutil.copyfileobj(inside, out, 1 << 20)
        check_file(fresh)
        move(fresh, target)
    except (zipfile.BadZipFile, KeyError) as error:
        file.path.unlink()
        raise damaged(file.path.name, str(error)) from error
    except OSError as error:
        raise disk_error(error, target) from error
    finally:
        fresh.unlink(missing_ok=True)
    file.path.unlink()
    return Fetched(target, sha256_of(target), target.stat().st_size)


def _check_zip(path: Path, name: str) -> None:
    """Refuse an archive that would grow when it is read: torch stores without compression."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError) as error:
        raise damaged(name, str(error)) from error
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise damaged(name, "it is compressed, and checkpoints of torch are not")
    # Entries that point at the same bytes would make much of little.
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise damaged(name, "its entries are larger than the file")


def _check_safetensors(path: Path, name: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            raise damaged(name, "its header is missing")
        if length > MOST_HEADER:
            raise damaged(name, f"its header has {length} bytes, more than {MOST_HEADER}")
        try:
            header = json.loads(file.read(length))
            ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
            last = max(ends, default=0)
            whole = size == 8 + length + last
        except (
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as error:
            raise damaged(name, "its header cannot be read") from error
    if not whole:
        raise damaged(name, "its end is missing")


def damaged(name: str, why: str) -> CheckpointError:
    """The error for a file that is no complete checkpoint, and why."""
    return CheckpointError(
        f"{name} is damaged, or no file of weights ({why}): get it again, or choose another."
    )


def delete_folder(folder: Path, names: Collection[str]) -> int:
    """Delete a model's folder; of one that is a link, the model's files behind it, and the link.

    Args:
        folder: Of the model.
        names: Of the model's files; with more after a point (``NAME.part``) they are its, too.
            Other files of a folder behind a link are somebody's own, and stay.

    Returns:
        Bytes freed.

    Raises:
        CheckpointError: It cannot be deleted.
    """
    linked = folder.is_symlink()
    inside = folder.resolve().rglob("*")
    if linked:
        inside = folder.resolve().glob("*")
    files = [path for path in inside if path.is_file()]
    if linked:
        files = [p for p in files if any(f"{p.name}.".startswith(f"{n}.") for n in names)]
    freed = sum(path.stat().st_size for path in files)
    try:
        for path in files:
            path.unlink()
        if linked:
            folder.unlink()
        else:
            shutil.rmtree(folder)
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be deleted ({error.strerror or error}): close what uses it."
        ) from error
    return freed
