# SPDX-License-Identifier: GPL-2.0-or-later
"""A classifier as a file, ``.samgeo-classes``: arrays and JSON in a safetensors file.

Reading one runs nothing that is in it, so a file from anyone can be opened. It says which model's
features it reads and on which raster and how many examples it was fitted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from ..errors import ModelError, PromptError
from ..job import option
from ..layers.publish import exists_already
from ..models.base import number_type_in
from ..models.embedded.classes import CLASSES
from ..parallel.atomic_write import write_atomically
from .classifier import Classifier
from .features.known_classes import can_ask
from .resolve import WHOLE

SUFFIX = ".samgeo-classes"
VERSION = 5
"""Of the layout. 1 had no smallest areas, at first: such a file is read as one without limits. 3
has another power of the area than :data:`~.resolve.WHOLE`, 4 lets objects stay beside each other,
5 asks the model for classes that it knows by name; a file without is written as 2, 3 or 4, which
earlier programs read."""

Subject = Literal["objects", "cells"]
"""What a classifier tells apart: whole objects, or the cells of a raster's surface."""

_ARRAYS = ("mean", "scale", "weights", "bias")


@dataclass(frozen=True, eq=False)
class SavedClassifier:
    """A classifier and where it is from.

    Args:
        classifier: The classifier.
        subject: What it tells apart.
        about: Notes that change no result: raster, model's name, examples and when they were used.
    """

    classifier: Classifier
    subject: Subject
    about: Mapping[str, Any]


def save_classifier(
    path: str | Path,
    saved: SavedClassifier,
    folder: Path | None = None,
    *,
    overwrite: bool = True,
) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: Where to.
        saved: What is written.
        folder: Of the job, which is cleared when it goes on: holds the file until it is whole.
        overwrite: Another file of this name may be replaced. One with the same content, as a run
            that was killed has left it, stays in any case.

    Raises:
        OutputError: It cannot be written.
    """
    one = saved.classifier
    notes = {
        "version": _version(one),
        "subject": saved.subject,
        "classes": list(one.classes),
        "names": list(one.names),
        "clip": one.clip,
        "model": one.model,
        "examples": list(one.examples),
        "smallest": list(one.smallest),
        "whole": one.whole,
        "beside": one.beside,
        "known": list(one.known),
        "about": dict(saved.about),
    }
    arrays = {name: np.ascontiguousarray(getattr(one, name), np.float32) for name in _ARRAYS}
    data = safetensors.numpy.save(arrays, metadata={"samgeo-classes": json.dumps(notes)})
    put_classifier(path, data, folder, overwrite=overwrite)


def _version(one: Classifier) -> int:
    if one.known:
        return VERSION
    return 4 if one.beside != 1 else 3 if one.whole != WHOLE else 2


def put_classifier(path: str | Path, data: bytes, folder: Path | None, *, overwrite: bool) -> None:
    """Write the bytes of a classifier's file; arguments and errors as :func:`save_classifier`."""
    place = Path(path)
    if place.exists() and not overwrite:
        if place.read_bytes() == data:
            return
        raise exists_already(place)
    write_atomically(place, lambda partial: _write(partial, data), folder=folder)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def load_classifier(path: str | Path, subject: Subject) -> SavedClassifier:
    """Read a file that :func:`save_classifier` wrote.

    Raises:
        ModelError: It is missing, damaged, of a later version, or tells something else apart.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            notes = json.loads((file.metadata() or {})["samgeo-classes"])
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
        if notes["version"] > VERSION:
            raise ModelError(
                f"The classifier {path} is of a later version ({notes['version']}) than this "
                "program understands: update the program."
            )
        classifier = Classifier(
            classes=tuple(str(name) for name in notes["classes"]),
            names=tuple(str(name) for name in notes["names"]),
            clip=float(notes["clip"]),
            model=str(notes["model"]),
            examples=tuple(int(number) for number in notes["examples"]),
            smallest=tuple(float(number) for number in notes.get("smallest", ())),
            whole=float(notes.get("whole", WHOLE)),
            beside=float(notes.get("beside", 1)),
            known=tuple(int(number) for number in notes.get("known", ())),
            **arrays,
        )
        _check_arrays(classifier)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"The classifier {path} cannot be read ({error}): choose a file that was saved with "
            f"{option('save_classifier')} ({SUFFIX})."
        ) from error
    if notes["subject"] != subject:
        raise ModelError(
            f"The classifier {path} tells {notes['subject']} apart, not {subject}: choose another."
        )
    return SavedClassifier(classifier, subject, dict(notes["about"]))


def _check_arrays(one: Classifier) -> None:
    d, k = len(one.names) + len(one.known), len(one.classes)
    shapes = {"mean": (d,), "scale": (d,), "weights": (d, k), "bias": (k,)}
    for name, shape in shapes.items():
        array = getattr(one, name)
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"{name} is {array.shape} instead of {shape}, or not finite")
    if one.known and not can_ask(one.names):
        raise ValueError("it asks for the model's own classes, which its columns do not tell")
    if not all(0 <= number < len(CLASSES) for number in one.known):
        raise ValueError(f"the model has no classes {one.known}")
    if not 0 < one.beside <= 1:
        raise ValueError(f"objects stay beside each other from a share of {one.beside}, not 0 to 1")
    if len(one.smallest) not in (0, k):
        raise ValueError(f"it has {k} classes, but {len(one.smallest)} smallest areas")


def check_model(saved: SavedClassifier, fingerprint: str, name: str) -> None:
    """Refuse a classifier of another model.

    Raises:
        PromptError: Names both models, or the number types in which one model computes.
    """
    if saved.classifier.model != fingerprint:
        trained = saved.about.get("model", "another model")
        (before, wanted), (now, other) = map(number_type_in, (saved.classifier.model, fingerprint))
        if before == now:
            raise PromptError(
                f"The classifier was trained with the model {trained} computing in {wanted}, and "
                f"it computes in {other} now: choose {option('precision')} {wanted}, or train it "
                "again from the examples."
            )
        raise PromptError(
            f"The classifier was trained with the model {trained} in other weights, of another "
            f"version or for pixels of another size than {name} now: choose that model and a like "
            f"raster, leave {option('scale')} out, or train it again."
            if trained == name
            else f"The classifier was trained with the model {trained}, not with {name}: choose "
            f"{option('model')} {trained}, or train it again from the examples."
        )
