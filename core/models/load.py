# SPDX-License-Identifier: GPL-2.0-or-later
"""Load a model by name or path; the only module that imports the families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from ..errors import CheckpointError, ModelError
from .base import PromptableModel
from .catalogue import CATALOGUE, EMBEDDED, ModelEntry
from .families.memory.video import TorchVideoModel
from .families.recognise import FAMILIES, Recognised, build, recognise
from .promptable import TorchModel
from .weights import checkpoints
from .weights.download import sha256_of
from .weights.own import OwnNotes, changed, read_card, read_notes
from .weights.sam3_names import has_points, is_sam3
from .weights.tensors import family_note, read_state

VIDEO_FAMILIES = frozenset(family.name for family in FAMILIES if family.make_video is not None)
"""Families whose models have a memory."""


@dataclass(frozen=True)
class Details:
    """What is known of a model, for ``samgeo models info``.

    Args:
        name: In the registry, or of the file.
        path: The checkpoint or folder; None where it is not here.
        entry: Of the registry; None for a path.
        recognised: What its tensors say; None where it is not here or understands words only.
        parameters: As of :func:`count_parameters`, 0 where it is not here.
        sha256: Of the weights: of what is here, else the published one; "" where unknown.
        size: Bytes of what is here, else about what there is to download.
        card: Of a model that was trained with ``samgeo train``; else empty.
    """

    name: str
    path: Path | None
    entry: ModelEntry | None
    recognised: Recognised | None
    parameters: int
    sha256: str
    size: int
    card: Mapping[str, Any] = field(default_factory=dict)


def load_model(
    name_or_path: str | Path,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
) -> PromptableModel:
    """Load a promptable model. Nothing is downloaded.

    Args:
        name_or_path: A name of :data:`CATALOGUE`, or the path of a checkpoint (.pth, .pt,
            .safetensors) or of a folder in the hub's layout; its family is told by its keys.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        threads: CPU threads, or None to leave torch's choice.
        precision: Number type of the heavy products; see :func:`~.runtime.pick_dtype`.

    Raises:
        ModelError: There is no such model, device or precision, or it understands words only.
        CheckpointError: The file is missing, damaged, or of no known family.
    """

    if name_or_path == EMBEDDED:
        return _embedded(device, threads, precision, None)
    found = checkpoints.locate(name_or_path)
    if found.path.suffix == ".onnx":
        from .families.fastsam import load_fastsam

        _check_float32("FastSAM", precision)
        return load_fastsam(found.path, found.name, sha256_of(found.path), device, threads)
    if found.path.suffix == ".safetensors":
        notes = read_notes(found.path)
        if notes is not None and notes.own_kind != "whole":
            return _trained(found, notes, device, threads, precision)
    if found.path.is_dir() and (found.path / "config.json").exists():
        from .families.sam3.hub import MODEL_TYPES, load_sam3
        from .weights.pretrained import model_type

        if model_type(found.path) in MODEL_TYPES:
            return load_sam3(found, device, threads, precision)
    if found.entry is not None and found.entry.kind == "concept":
        raise ModelError(
            f"{found.entry.name} finds things by words: use it with text prompts, or choose "
            "another model for points, boxes and automatic masks."
        )
    if found.path.suffix == ".safetensors" and family_note(found.path) == EMBEDDED:
        return _embedded(device, threads, precision, found.path)  # fine-tuned by the user
    return _built(found, device, threads, precision, video=False)


def abilities(name_or_path: str | Path) -> frozenset[Literal["prompts", "words"]]:
    """Whether a model takes points and boxes, words, or both.

    Raises:
        ModelError, CheckpointError: As :func:`load_model`, where the file has to be found.
    """
    if name_or_path == EMBEDDED:
        return frozenset({"prompts"})
    found = checkpoints.locate(name_or_path)
    if not (found.path.is_dir() and (found.path / "config.json").exists()):
        from .words import is_official_sam3, tokenizer_folder

        if not is_official_sam3(found):
            return frozenset({"prompts"})
        both: set[Literal["prompts", "words"]] = set()
        if tokenizer_folder(found) is not None:
            both.add("words")
        # Of SAM 3's own files, which are large, it is known.
        if (found.entry is not None and found.entry.gated) or has_points(read_state(found.path)):
            both.add("prompts")
        return frozenset(both)
    from .families.sam3.hub import MODEL_TYPES
    from .weights.pretrained import model_type
    from .words import KINDS

    kind = model_type(found.path)
    can: set[Literal["prompts", "words"]] = set()
    if kind in KINDS:
        can.add("words")
    if kind in MODEL_TYPES or kind not in KINDS:
        can.add("prompts")
    return frozenset(can)


def has_memory(name_or_path: str | Path) -> bool:
    """Whether a model of this name or path may follow objects with a memory of its own.

    Raises:
        ModelError, CheckpointError: As :func:`load_model`, where the file has to be found.
    """
    if name_or_path == EMBEDDED:
        return False
    found = checkpoints.locate(name_or_path)
    if found.entry is not None:
        return found.entry.family in VIDEO_FAMILIES
    if found.path.is_dir() or found.path.suffix == ".onnx" or family_note(found.path) == EMBEDDED:
        return False
    shapes = {key: tuple(value.shape) for key, value in read_state(found.path).items()}
    recognised = recognise(shapes)
    return recognised.layout == "official" and recognised.family in VIDEO_FAMILIES


def load_video_model(
    name_or_path: str | Path,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
) -> TorchVideoModel:
    """Load a model with its memory: SAM 2, 2.1 or EdgeTAM. Nothing is downloaded.

    Args:
        name_or_path, device, threads, precision: As in :func:`load_model`; official checkpoints
            only.

    Raises:
        ModelError: There is no such model, device or precision, or it has no memory.
        CheckpointError: The file is missing or damaged, or lacks the memory's tensors.
    """
    if name_or_path != EMBEDDED:
        found = checkpoints.locate(name_or_path)
        if found.path.is_file() and (found.entry is None or found.entry.family in VIDEO_FAMILIES):
            model = _built(found, device, threads, precision, video=True)
            if isinstance(model, TorchVideoModel):
                return model
    raise ModelError(
        f"{name_or_path} has no memory to follow objects with: choose SAM 2, SAM 2.1 or EdgeTAM "
        "(an official checkpoint), or track without memory."
    )


def _built(
    found: checkpoints.Located,
    device: str,
    threads: int | None,
    precision: str,
    *,
    video: bool,
) -> TorchModel:
    state = read_state(found.path)
    if is_sam3(state):
        if video:
            raise ModelError(
                f"The memory of {found.name} (SAM 3) is not run: choose SAM 2, SAM 2.1 or EdgeTAM, "
                "or track without memory."
            )
        from .families.sam3.official import load_official

        return load_official(state, found, device, threads, precision)
    return build(
        state,
        name=found.name,
        device=device,
        precision=precision,
        threads=threads,
        fingerprint=found.sha256,
        video=video,
    )


def base_of(notes: OwnNotes, name: str) -> checkpoints.Located:
    """The model that a trained one goes with.

    Raises:
        CheckpointError: It is not here, or another one than was trained.
        ModelError: Its name is unknown.
    """
    try:
        base = checkpoints.locate(notes.base)
    except (ModelError, CheckpointError) as error:
        raise CheckpointError(
            f"{name} was trained from the model {notes.base}, which is missing: {error}"
        ) from error
    if checkpoints.checksum_of(base) != notes.base_checksum:
        raise CheckpointError(
            f"{name} was trained from another version of {notes.base} than the one here: get that "
            "version, or train again."
        )
    return base


def _trained(
    found: checkpoints.Located,
    notes: OwnNotes,
    device: str,
    threads: int | None,
    precision: str,
) -> PromptableModel:
    """A base model with a user's changes in it."""
    base = base_of(notes, found.name)
    own, checksum = _own_tensors(found.path, notes), sha256_of(found.path)
    if notes.family == EMBEDDED:
        from .embedded.load import load_changed

        return load_changed(own, notes, found.name, checksum, base.path, device, threads, precision)
    model = build(
        read_state(base.path),
        name=found.name,
        device=device,
        precision=precision,
        threads=threads,
        fingerprint=f"{notes.base_checksum}+{checksum}",
    )
    return with_changes(model, own, float(notes.score_threshold), float(notes.stability_threshold))


def _own_tensors(path: Path, notes: OwnNotes) -> dict[str, Tensor]:
    """What was trained; nothing where only a classifier was."""
    return {} if notes.own_kind == "classifier" else read_state(path)


def with_changes(
    model: TorchModel, own: Mapping[str, Tensor], score: float, stability: float
) -> TorchModel:
    """A model with trained tensors in it (in place), and with thresholds of its own.

    The tensors take the place of the base's, which a caller may still hold and which stay as they
    were.
    """
    network = model.network
    network.load_state_dict(changed(network.state_dict(), own), strict=False, assign=True)
    network.prepare()
    info = replace(model.info, score_threshold=score, stability_threshold=stability)
    return TorchModel(network, info, model.device, model.dtype)


def _check_float32(what: str, precision: str) -> None:
    if precision not in ("auto", "float32", "fastest"):
        raise ModelError(
            f"{what} runs in float32: leave the precision {precision} out, or choose another model."
        )


def _embedded(
    device: str, threads: int | None, precision: str, path: Path | None
) -> PromptableModel:
    from .embedded.load import load_embedded

    return load_embedded(device, threads, path, precision=precision)


def count_parameters(state: Mapping[str, Tensor]) -> int:
    """The numbers of a checkpoint that are learned by its gradients.

    Running statistics of batch norms and tables of indices are no parameters.
    """
    return sum(
        tensor.numel()
        for name, tensor in state.items()
        if tensor.is_floating_point() and not name.endswith(_BUFFERS)
    )


_BUFFERS = ("running_mean", "running_var")


def details(name_or_path: str | Path) -> Details:
    """What is known of a model; reads the checkpoint where it is here.

    Raises:
        ModelError: The name is unknown.
        CheckpointError: The file cannot be read.
    """
    entry = CATALOGUE.get(str(name_or_path))
    if entry is not None and entry.name != EMBEDDED and checkpoints.manifest_of(entry) is None:
        published = entry.files[0].sha256 if len(entry.files) == 1 else ""
        return Details(entry.name, None, entry, None, 0, published, entry.size)
    located = checkpoints.locate(name_or_path)
    if located.path.suffix == ".onnx":
        found = Recognised("fastsam", "", "ONNX")
        checksum, size = sha256_of(located.path), checkpoints.size_of(located.path)
        return Details(located.name, located.path, None, found, 0, checksum, size)
    recognised = None
    notes = read_notes(located.path) if located.path.suffix == ".safetensors" else None
    state = read_state(located.path) if notes is None else _own_tensors(located.path, notes)
    if notes is not None:
        recognised = Recognised(notes.family, f"{notes.own_kind} of {notes.base}", "own")
    elif located.path.suffix == ".safetensors" and family_note(located.path) == EMBEDDED:
        recognised = Recognised(EMBEDDED, "", EMBEDDED)
    elif entry is None or entry.kind == "promptable":
        recognised = recognise({key: tuple(value.shape) for key, value in state.items()})
    return Details(
        located.name,
        located.path,
        entry or located.entry,
        recognised,
        parameters=count_parameters(state),
        sha256=checkpoints.checksum_of(located),
        size=checkpoints.size_of(located.path),
        card={} if notes is None else read_card(located.path),
    )
