# SPDX-License-Identifier: GPL-2.0-or-later
"""Checkpoints on this computer: where they are stored, downloading, and reading them safely.

::

    <models folder>/               SAMGEO_MODELS_DIR, or the user's cache folder
        sam-vit-b.lock             one process at a time
        sam-vit-b/
            sam_vit_b_01ec64.pth
            manifest.json          written last: without it, nothing here counts as installed
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock
import platformdirs

from ...errors import CheckpointError, ModelError
from ...parallel.atomic_write import replace_atomically
from ..catalogue import CATALOGUE, EMBEDDED, EMBEDDED_CARD, EMBEDDED_WEIGHTS, ModelEntry, find
from .download import Fetched, Listener, NotThere, fetch, sha256_of
from .files import check_file, delete_folder, unpacked, weights_file
from .own import OwnModel, add_own, find_own, has_own, list_own, remove_own

MANIFEST = "manifest.json"
_SUFFIXES = (".pt", ".pth", ".safetensors", ".onnx")
FOLDER_VARIABLE, OFFLINE_VARIABLE = "SAMGEO_MODELS_DIR", "SAMGEO_OFFLINE"


@dataclass(frozen=True)
class Located:
    """What a name or path stands for on this computer.

    Args:
        name: For messages and attributes.
        path: A file, or a folder in the hub's layout.
        entry: Of the registry; None for a path.
        sha256: Of the weights where it is known without reading them.
    """

    name: str
    path: Path
    entry: ModelEntry | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Status:
    """A known model and whether it is here. ``bytes_here`` counts what lies on the disk."""

    entry: ModelEntry
    installed: bool
    path: Path | None
    bytes_here: int


@dataclass(frozen=True)
class Verification:
    """Whether a file is what it was when it came. ``problem`` is "" where all is well.

    ``published`` tells whether the checksum is the publisher's (or hub's) or only the one noted
    at the first download.
    """

    path: Path
    sha256: str
    expected: str
    published: bool
    problem: str


# Where they are ---------------------------------------------------------------------------------


def models_folder() -> Path:
    """The folder of downloaded models; ``SAMGEO_MODELS_DIR`` overrides the user's cache."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path("samgeo-seamless") / "models"


def locate(name_or_path: str | Path) -> Located:
    """Find a model on this computer.

    Raises:
        ModelError: The name is unknown and there is no such file.
        CheckpointError: The model is known, but not here.
    """
    path = Path(name_or_path)
    with contextlib.suppress(RuntimeError):  # "~someone" without a home
        path = path.expanduser()
    there = _exists(path)
    if str(name_or_path) not in CATALOGUE and (there or _is_path(str(name_or_path))):
        if not there:
            raise CheckpointError(f"There is no file {path}: check the path of the checkpoint.")
        return Located(path.stem if path.is_file() else path.name, path)
    if str(name_or_path) not in CATALOGUE:
        own = find_own(models_folder(), str(name_or_path))
        if own is not None:
            return Located(own.name, own.path, entry_of(own))
    entry = find(str(name_or_path))
    if entry.name == EMBEDDED:
        checksum = (
            json.loads(EMBEDDED_CARD.read_text("utf-8"))["sha256"]
            if EMBEDDED_CARD.exists()
            else None
        )
        return Located(EMBEDDED, EMBEDDED_WEIGHTS, entry, checksum)
    manifest = manifest_of(entry)
    if manifest is None:
        raise CheckpointError(
            f"{entry.title} is not on this computer: get it with 'samgeo models download "
            f"{entry.name}' (about {entry.size / 1e6:.0f} MB, licence {entry.licence}), or give "
            "the path of a file that you have."
        )
    folder = _folder(entry)
    if entry.kind == "concept":
        return Located(entry.name, folder, entry, manifest.get("model.safetensors"))
    (file,) = manifest
    return Located(entry.name, folder / file, entry, manifest[file])


def stamp_of(name_or_path: str | Path) -> tuple[tuple[int, int], ...]:
    """Size and time of change of a model's files: what changes when these are replaced.

    Returns:
        Empty for the embedded model, which changes with the program, and for what is not here.
    """
    if str(name_or_path) == EMBEDDED:
        return ()
    try:
        path = locate(name_or_path).path
        states = [file.stat() for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    except (ModelError, OSError):
        return ()  # loading it says why
    return tuple((state.st_size, state.st_mtime_ns) for state in states)


def entry_of(own: OwnModel) -> ModelEntry:
    """A trained model in the form of the published ones."""
    day = str(own.card.get("date", ""))[:10]
    return ModelEntry(
        own.name,
        own.notes.family,
        f"{own.notes.base} trained on {own.card.get('raster', 'a raster')}"
        + f", {day}" * bool(day),
        str(own.card.get("licence", "")),
        "",
    )


def add(file: Path, name: str | None = None) -> Path:
    """Take in a trained model that somebody shared; where it lies now.

    Raises:
        CheckpointError: It is none.
        OutputError: There is one of that name.
    """
    return add_own(models_folder(), file, name).path


def list_models() -> list[Status]:
    """All known models, in the registry's order; then the trained ones by name."""
    found = []
    for entry in CATALOGUE.values():
        if entry.name == EMBEDDED:
            weights = locate(EMBEDDED).path
            here = size_of(weights)
            found.append(Status(entry, bool(here), weights if here else None, here))
            continue
        folder = _folder(entry)
        here = size_of(folder)
        installed = manifest_of(entry) is not None
        found.append(Status(entry, installed, folder if folder.exists() else None, here))
    for own in list_own(models_folder()):
        found.append(Status(entry_of(own), True, own.path, size_of(own.path)))
    return found


# Getting and removing them ----------------------------------------------------------------------


def offline() -> bool:
    """Whether the user forbade all downloads (``SAMGEO_OFFLINE=1``)."""
    return os.environ.get(OFFLINE_VARIABLE, "").lower() not in ("", "0", "false", "no")


def download(name: str, listener: Listener | None = None) -> Path:
    """Download a model, going on where an earlier call stopped. Show its size and licence first.

    Args:
        name: Of the registry.
        listener: For progress and cancelling.

    Returns:
        The checkpoint, or the folder of a concept model.

    Raises:
        ModelError: The name is unknown.
        CheckpointError: Offline, no space, refused, damaged; see :func:`~.download.fetch`.
        Cancelled: The listener said so.
    """
    entry = find(name)
    if not entry.files:
        raise CheckpointError(f"{entry.title} comes with the package: there is nothing to get.")
    folder = _folder(entry)
    with _locked(entry):
        if manifest_of(entry) is not None:
            return locate(name).path
        if offline():
            raise CheckpointError(
                f"{entry.title} is not on this computer and {OFFLINE_VARIABLE} forbids downloads: "
                "unset it, or give the path of a file that you have."
            )
        token = os.environ.get("HF_TOKEN") if "huggingface.co" in entry.files[0].url else None
        fetched: dict[str, Fetched] = {}
        for source in entry.files:
            try:
                file = fetch(
                    source,
                    folder / source.filename,
                    token=token,
                    listener=listener,
                    check=check_file,
                )
            except NotThere:
                if not source.optional:
                    raise
                continue
            fetched[source.filename] = unpacked(file, entry.member) if entry.member else file
        _write_manifest(entry, list(fetched.values()))
    return locate(name).path


def remove(name: str) -> int:
    """Delete a downloaded or trained model, damaged and half-downloaded files too.

    Returns:
        Bytes freed; 0 where it was not here.

    Raises:
        ModelError: The name is unknown.
        CheckpointError: It cannot be deleted, or comes with the package.
    """
    if name not in CATALOGUE and has_own(models_folder(), name):
        return remove_own(models_folder(), name)
    entry = find(name)
    if not entry.files:
        raise CheckpointError(f"{entry.title} comes with the package: it cannot be removed.")
    folder = _folder(entry)
    if not folder.exists() and not folder.is_symlink():
        return 0
    with _locked(entry):
        size = size_of(folder / MANIFEST)
        names = {source.filename for source in entry.files} | set(manifest_of(entry) or ())
        try:
            # The manifest first: a half-deleted folder must not count as installed.
            (folder / MANIFEST).unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"{folder} cannot be deleted ({error.strerror or error}): close what uses it."
            ) from error
        return size + delete_folder(folder, names)


def verify(name_or_path: str | Path) -> list[Verification]:
    """Compare files with their checksums, and see whether they can be read.

    Returns:
        One a file; for a path the checksum is compared with all published ones.

    Raises:
        ModelError, CheckpointError: As :func:`locate`.
    """
    located = locate(name_or_path)
    entry = located.entry
    manifest = (manifest_of(entry) if entry else None) or {}
    folder = located.path if located.path.is_dir() else located.path.parent
    if entry is not None and entry.name == EMBEDDED:
        manifest = {located.path.name: located.sha256 or ""}
    names = list(manifest) or [weights_file(located.path).name]
    published = {source.sha256 for known in CATALOGUE.values() for source in known.files} - {""}
    found = []
    for name in names:
        path = folder / name
        if not path.exists():
            raise CheckpointError(f"{path} is missing: install or download {located.name} again.")
        checksum = sha256_of(path)
        expected = manifest.get(name, checksum)
        problem = "" if checksum == expected else "the file has changed since its download"
        try:
            check_file(path)
        except CheckpointError as error:
            problem = problem or str(error)
        official = expected in published or (entry is not None and entry.name == EMBEDDED)
        found.append(Verification(path, checksum, expected, official, problem))
    return found


# A model's folder -------------------------------------------------------------------------------


def checksum_of(located: Located) -> str:
    """Of the weights: of the file itself where it is small, else as noted when it came."""
    if located.sha256 and located.name != EMBEDDED:
        return located.sha256
    return sha256_of(weights_file(located.path))


def size_of(path: Path) -> int:
    """Bytes of a file, or of a folder's files; 0 where there is none."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.glob("*") if file.is_file())


def _exists(path: Path) -> bool:
    """Whether there is such a file; no for what cannot be the name of one."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or Path(text).suffix in _SUFFIXES


def _folder(entry: ModelEntry) -> Path:
    return models_folder() / entry.name


@contextmanager
def _locked(entry: ModelEntry) -> Iterator[None]:
    folder = models_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f"{entry.name}.lock")
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise CheckpointError(
            f"{entry.name} is being downloaded or removed by another process: wait for it."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be written to ({error.strerror}): set {FOLDER_VARIABLE} to another."
        ) from error
    try:
        yield
    finally:
        lock.release()


def manifest_of(entry: ModelEntry) -> dict[str, str] | None:
    """File name to sha256 of an installed model; None where it is not (wholly) here."""
    folder = _folder(entry)
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        whole = all((folder / f["name"]).stat().st_size == f["size"] for f in files)
        return {f["name"]: f["sha256"] for f in files} if whole and files else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_manifest(entry: ModelEntry, files: list[Fetched]) -> None:
    folder = _folder(entry)
    content = {
        "model": entry.name,
        "licence": entry.licence,
        "sources": [asdict(source) for source in entry.files],
        "files": [{"name": f.path.name, "sha256": f.sha256, "size": f.size} for f in files],
    }
    text = json.dumps(content, indent=1)
    replace_atomically(folder / MANIFEST, lambda partial: partial.write_text(text, "utf-8"))
