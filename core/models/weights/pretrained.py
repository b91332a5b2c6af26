# SPDX-License-Identifier: GPL-2.0-or-later
"""Loading ``transformers`` models from a folder in the hub's layout (an optional extra)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from ...errors import CheckpointError, ModelError
from .checkpoints import Located
from .files import check_file, weights_file

VERSION = "5.23.0" if sys.version_info >= (3, 11) else "5.20.2"
"""Of transformers, that this package was tried with: the newest one for this Python."""


def require_transformers(what: str) -> Any:
    """The package, quiet.

    Args:
        what: Needs it: the subject of the message.

    Raises:
        ModelError: It is not installed, or too old to have SAM 3.
    """
    try:
        import transformers
        from transformers.models.sam3 import modeling_sam3  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"{what} needs the package transformers {VERSION}: install it with "
            "pip install 'samgeo-seamless[concepts]'."
        ) from error
    noise: Any = transformers.utils.logging  # has no types
    noise.disable_progress_bar()
    return transformers


def model_type(folder: Path) -> str:
    """``model_type`` of a folder's config.json.

    Raises:
        CheckpointError: There is none.
    """
    try:
        return str(json.loads((folder / "config.json").read_text("utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder} holds no readable config.json: give the folder of a model from the hub."
        ) from error


def load_pretrained(made: Any, located: Located) -> Any:
    """A model of transformers with the weights of a folder, float32 on the CPU.

    Args:
        made: Its class.
        located: The folder; nothing is downloaded.

    Raises:
        CheckpointError: Files are missing or damaged, or tensors are missing.
    """
    weights = weights_file(located.path)
    check_file(weights)
    try:
        model, report = made.from_pretrained(
            str(located.path),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise not_loaded(located, error) from error
    if report["missing_keys"] or report["mismatched_keys"]:
        some = sorted(map(str, report["missing_keys"] or report["mismatched_keys"]))[0]
        raise CheckpointError(
            f"{weights.name} lacks tensors of {located.name} (the first is {some}): download it "
            "again."
        )
    return model


def not_loaded(located: Located, error: Exception) -> CheckpointError:
    """What to say where transformers could not read a folder."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return CheckpointError(
        f"{located.path} cannot be loaded as {located.name} ({first}): download it again."
    )
