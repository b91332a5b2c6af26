# SPDX-License-Identifier: GPL-2.0-or-later
"""``Family``: how checkpoints of a family are recognised, renamed and built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..network import Network

State = Mapping[str, Tensor]
"""Tensors of a checkpoint by key."""

Shapes = Mapping[str, Sequence[int]]
"""Shapes of a checkpoint's tensors by key."""


@dataclass(frozen=True)
class Family:
    """How to tell a family by its official keys, and how to build its network from their shapes.

    Args:
        name: As in :class:`~samgeo_core.models.base.ModelInfo`.
        marks: Beginnings of keys that all must be there.
        variant: Name of the size within the family, "custom" where none fits.
        make: Network for the shapes, and for the side of the encoder's square image (None for the
            family's own).
        ignored: Beginnings of keys that single images do not need.
        rename: Official key to our attribute.
        make_video: As ``make``, with the memory that follows objects through frames; then no key
            is ignored. None for families without memory.
    """

    name: str
    marks: tuple[str, ...]
    variant: Callable[[Shapes], str]
    make: Callable[[Shapes, int | None], Network]
    ignored: tuple[str, ...] = ()
    rename: Callable[[str], str] = str
    make_video: Callable[[Shapes, int | None], Network] | None = None


def count(shapes: Mapping[str, object], prefix: str) -> int:
    """Number of entries of a module list whose keys begin with ``prefix`` and an index."""
    return len({key[len(prefix) :].split(".", 1)[0] for key in shapes if key.startswith(prefix)})
