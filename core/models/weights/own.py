# SPDX-License-Identifier: GPL-2.0-or-later
"""Models that a user trained: stored beside downloaded ones, each with a model card.

::

    <models folder>/own/
        my-roofs/
            my-roofs.safetensors   the trained tensors; what they go with stands in its notes
            my-roofs.json          the card: data, places, dates, figures, licence
            my-roofs.samgeo-classes  perhaps: which candidates its automatic mode keeps

A file says itself what it is (:class:`OwnNotes`), so that it can be shared without its card.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...errors import CheckpointError, ModelError, OutputError
from ...job import option
from ...parallel.atomic_write import is_device, move, new_folder
from ..catalogue import CATALOGUE
from .files import check_file, delete_folder

Kind = Literal["adapter", "decoder", "whole", "classifier"]

VERSION = "1"
FOLDER = "own"
DOWN, UP = ".down", ".up"
"""Endings of the two factors of a low-rank change."""

CLASSIFIER = ".samgeo-classes"
"""Ending of the file beside a model that says which candidates its automatic mode keeps."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True)
class OwnNotes:
    """What a file of trained tensors says of itself; all text, as safetensors wants.

    Args:
        family: As in :class:`~..base.ModelInfo`.
        own_kind: "adapter" (low-rank changes), "decoder" (its tensors), "whole" (all tensors; it
            stands alone) or "classifier" (none: only what is kept of the base's candidates).
        base: Name or path of the model that was trained.
        base_checksum: SHA-256 of that model's file.
        score_threshold, stability_threshold: Of the automatic mode.
        own_version: Of this format.
        proposal_depth: Depth from which the embedded model proposes; empty: the base model's.
        classifier: "yes" where a classifier lies beside the file (:data:`CLASSIFIER`).
    """

    family: str
    own_kind: str
    base: str
    base_checksum: str
    score_threshold: str
    stability_threshold: str
    own_version: str = VERSION
    proposal_depth: str = ""
    classifier: str = ""


@dataclass(frozen=True)
class OwnModel:
    """A trained model on this computer."""

    name: str
    path: Path
    notes: OwnNotes
    card: dict[str, Any]


def own_folder(models: Path) -> Path:
    return models / FOLDER


def check_name(name: str) -> str:
    """A name that a folder can have and that no published model has.

    Raises:
        ModelError: It is neither.
    """
    unfit = name.endswith((".pt", ".pth", ".safetensors", ".")) or is_device(name)
    if unfit or not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot be the name of a model: use small letters, digits, '-' and '_', and "
            "begin with a letter or digit; Windows has no files named con, nul and the like."
        )
    if name in CATALOGUE:
        raise ModelError(f"{name} is the name of a published model: choose another.")
    return name


def read_notes(path: Path) -> OwnNotes | None:
    """What a file says of itself; None where it holds no trained model of ours."""
    try:
        with safe_open(str(path), framework="pt") as file:
            notes = dict(file.metadata() or {})
    except (OSError, SafetensorError):
        return None
    if "own_kind" not in notes:
        return None
    try:
        known = OwnNotes(**{k: v for k, v in notes.items() if k in OwnNotes.__annotations__})
    except TypeError as error:
        raise CheckpointError(f"{path.name} lacks notes of a trained model: {error}.") from error
    if known.own_version != VERSION:
        raise CheckpointError(
            f"{path.name} was written by another version of SamGeo Seamless: train it again, or "
            "update."
        )
    return known


def find_own(models: Path, name: str) -> OwnModel | None:
    """A trained model of the models folder, or None."""
    path = own_folder(models) / name / f"{name}.safetensors"
    try:
        if not path.is_file():
            return None
    except (OSError, ValueError):  # no file can have that name
        return None
    notes = read_notes(path)
    if notes is None:
        raise CheckpointError(
            f"{path} is damaged: remove it with 'samgeo models remove {name}' and train it again."
        )
    return OwnModel(name, path, notes, read_card(path))


def has_own(models: Path, name: str) -> bool:
    """Whether a trained model of this name lies here, even a damaged one, or a link to it."""
    folder = own_folder(models) / name
    return bool(_NAME.fullmatch(name)) and (folder.is_dir() or folder.is_symlink())


def read_card(path: Path) -> dict[str, Any]:
    """The card beside a file of trained tensors; empty where there is none."""
    try:
        facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def classifier_of(path: Path) -> Path | None:
    """What says which candidates a trained model's automatic mode keeps; None where nothing does.

    Args:
        path: Of the model's file.

    Raises:
        CheckpointError: It belongs to the model, and is missing.
    """
    notes = read_notes(path) if path.suffix == ".safetensors" else None
    if notes is None or not notes.classifier:
        return None
    beside = path.with_suffix(CLASSIFIER)
    if not beside.is_file():
        raise CheckpointError(
            f"{path.stem} goes with the file {beside.name}, which says what it keeps and is not "
            f"beside it: copy it to {beside.parent}, or use the model {notes.base}."
        )
    return beside


def list_own(models: Path) -> list[OwnModel]:
    """All trained models, by name; damaged ones are left out."""
    found = []
    for folder in sorted(own_folder(models).glob("*")):
        try:
            model = find_own(models, folder.name)
        except CheckpointError:
            continue
        if model is not None:
            found.append(model)
    return found


def save_own(
    models: Path,
    name: str,
    tensors: Mapping[str, Tensor],
    notes: OwnNotes,
    card: Mapping[str, Any],
    *,
    extra_notes: Mapping[str, str] | None = None,
    overwrite: bool = False,
    complete: Callable[[Path], None] = lambda file: None,
) -> Path:
    """Write a trained model, whole or not at all.

    Args:
        models: The models folder.
        name: Of the model.
        tensors: What was trained, on the CPU.
        notes: What the file says of itself.
        card: For people.
        extra_notes: More notes in the file, of the family; those of ``notes`` come first.
        overwrite: Replace one of that name.
        complete: Writes more beside the file, of the same name, before any of it appears.

    Raises:
        OutputError: It exists already, or the folder cannot be written.
    """
    check_name(name)
    target = own_folder(models) / name
    if target.exists() and not overwrite:
        raise OutputError(
            f"A model named {name} exists already: choose another name, or allow it to be replaced "
            f"({option('overwrite')})."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = new_folder(target.parent, f".{name}.", ".part")
        try:
            new, old = part / name, part / ".before"
            new.mkdir(mode=0o755)
            file = new / f"{name}.safetensors"
            save_file(
                {key: value.contiguous() for key, value in tensors.items()},
                file,
                metadata={**(extra_notes or {}), **asdict(notes)},
            )
            file.chmod(0o644)
            (new / f"{name}.json").write_text(
                json.dumps(dict(card), indent=1, ensure_ascii=False) + "\n", "utf-8"
            )
            complete(file)
            if target.exists():
                move(target, old)
            try:
                move(new, target)
            except OSError:
                if old.exists():
                    move(old, target)
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except (OSError, SafetensorError) as error:  # the latter where the disk is full
        why = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{target} cannot be written ({why}): free some space, or make the folder writable, "
            "and train again; what is trained is kept."
        ) from error
    return target / f"{name}.safetensors"


def add_own(models: Path, file: Path, name: str | None = None) -> OwnModel:
    """Take in a file that somebody shared, with its card and classifier where they lie beside it.

    Raises:
        CheckpointError: It is no trained model.
        OutputError: There is one of that name.
    """
    if not file.is_file():
        raise CheckpointError(f"There is no file {file}: check the path.")
    check_file(file)
    notes = read_notes(file)
    if notes is None:
        raise CheckpointError(
            f"{file.name} holds no model that 'samgeo train' wrote: give its .safetensors."
        )
    classifier_of(file)  # refused where its classifier is missing
    name = check_name(name or file.stem)
    target = own_folder(models) / name
    if target.exists():
        raise OutputError(
            f"A model named {name} exists already: choose another name ({option('name')})."
        )
    try:
        target.mkdir(parents=True)
        for suffix in (".json", CLASSIFIER):
            beside = file.with_suffix(suffix)
            if beside.is_file():
                shutil.copyfile(beside, target / f"{name}{suffix}")
        shutil.copyfile(file, target / f"{name}.safetensors")
    except OSError as error:
        shutil.rmtree(target, ignore_errors=True)
        raise OutputError(f"{target} cannot be written: {error.strerror or error}.") from error
    found = find_own(models, name)
    if found is None:
        raise CheckpointError(f"{file.name} could not be copied: try again.")
    return found


def remove_own(models: Path, name: str) -> int:
    """Delete a trained model; the bytes freed.

    Raises:
        CheckpointError: It cannot be deleted.
    """
    return delete_folder(own_folder(models) / name, [name])


def changed(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights with what was trained in them.

    Args:
        weights: Of the base, by name.
        own: Of the file: whole tensors, or pairs of low-rank factors whose product is added.

    Returns:
        The tensors that changed, where the base's are (a GPU for example).

    Raises:
        CheckpointError: A tensor is not the base's, or has another shape.
    """
    out: dict[str, Tensor] = {}
    for key, value in own.items():
        if key.endswith(DOWN):
            continue
        name = key.removesuffix(UP)
        if name not in weights:
            raise CheckpointError(f"The trained tensor {name} is not of this base model.")
        base = weights[name]
        if key.endswith(UP):
            up, down = (factor.to(base.device).float() for factor in (value, own[name + DOWN]))
            new = base.float() + (up @ down).reshape(base.shape)
        else:
            new = value.to(base.device).float()
        if new.shape != base.shape:
            raise CheckpointError(
                f"The trained tensor {name} has the shape {tuple(new.shape)}, the base model's "
                f"{tuple(base.shape)}: it belongs to another model."
            )
        out[name] = new.to(base.dtype)
    return out
