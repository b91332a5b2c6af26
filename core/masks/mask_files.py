# SPDX-License-Identifier: GPL-2.0-or-later
"""A tile's masks as a file: one compressed .npz, as numpy writes it."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import JobError
from ..job import option
from ..types import TileIndex
from .mask_table import MaskTable, starts
from .masks import PromptRef, TileMasks

_HEADER = re.compile(
    rb"\{'descr': '([<>|=][a-zA-Z]\d+)', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n"
)
"""What numpy writes before an array of numbers or texts (numpy.lib.format, version 1.0)."""


def save_masks(path: Path, tile: TileMasks) -> None:
    """Write a tile's masks as one compressed .npz (the caller makes it atomic)."""
    table = MaskTable.of(tile.masks)
    prompts = [_texts(prompt) for prompt in table.prompts]
    texts = np.array([prompts[number] for number in table.prompt.tolist()], np.str_)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            tile=np.array([*tile.index, tile.cell], np.int64),
            boxes=table.box,
            values=table.values,
            prompts=texts.reshape(-1, 5),
            logits=table.logits,
        )


def _texts(prompt: PromptRef) -> tuple[str, str, str, str, str]:
    return prompt.id, prompt.type, prompt.label, prompt.class_name, repr(prompt.class_prob)


def load_masks(path: Path) -> TileMasks:
    """Read what :func:`save_masks` wrote.

    Raises:
        JobError: The file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as file:
            arrays = {name: _array(file.read(f"{name}.npy")) for name in _NAMES}
        row, col, cell = arrays["tile"].tolist()
        boxes, values, texts, logits = (arrays[name] for name in _NAMES[1:])
        start = starts(boxes)
        if not len(boxes) == len(values) == len(texts) or start[-1] != len(logits):
            raise ValueError("its arrays do not fit together")
        prompt, prompts = _prompts(texts)
        table = MaskTable(boxes, logits, values, prompt, prompts, start)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise JobError(
            f"The finished tile {path} is damaged ({error}): start over with {option('fresh')}."
        ) from error
    return TileMasks(TileIndex(row, col), cell, table)


_NAMES = ("tile", "boxes", "values", "prompts", "logits")


def _array(content: bytes) -> NDArray[Any]:
    """An array from the bytes of an .npy file, read-only.

    numpy's own reader takes ten times as long for small arrays, of which a country has millions.
    """
    found = _HEADER.match(content, 10)
    if not content.startswith(b"\x93NUMPY\x01\x00") or found is None:
        raise ValueError("it holds an array of another kind")
    shape = [int(size) for size in found[2].replace(b",", b" ").split()]
    return np.frombuffer(content, np.dtype(found[1].decode()), offset=found.end()).reshape(shape)


def _prompts(texts: NDArray[np.str_]) -> tuple[NDArray[np.int64], tuple[PromptRef, ...]]:
    """(n, 5) texts -> which prompt each mask has; most masks of a tile share theirs."""
    raw, size = texts.tobytes(), texts.itemsize * 5
    known: dict[bytes, int] = {}
    number = [
        known.setdefault(raw[at : at + size], len(known)) for at in range(0, len(raw), size or 1)
    ]
    first = dict(zip(reversed(number), range(len(number) - 1, -1, -1), strict=True))
    refs = []
    for which in range(len(known)):
        name, kind, label, class_name, likely = texts[first[which]].tolist()
        refs.append(PromptRef(name, kind, label, class_name, float(likely)))
    return np.array(number, np.int64), tuple(refs)
