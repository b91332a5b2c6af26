# SPDX-License-Identifier: GPL-2.0-or-later
"""How layers are named: QGIS's ``path|layername=...``, and paths as pyogrio takes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyogrio
from pyogrio.util import vsi_path

from .guards import readable


def parts_of(source: str, layer: str | None) -> tuple[str, str | None, dict[str, Any]]:
    """Path, layer and GDAL's options of QGIS's ``path|layername=...|subset=...``."""
    options: dict[str, Any] = {}
    if "|" not in source or Path(source).exists():
        return source, layer, options
    path, *facts = source.split("|")
    for position, fact in enumerate(facts):
        name, _, value = fact.partition("=")
        if name.lower() == "layername":
            layer = layer or value
        elif name.lower() == "layerid" and layer is None and value.isdigit():
            with readable(path):
                names = [str(known) for known, _ in pyogrio.list_layers(for_pyogrio(path))]
            layer = names[int(value)] if int(value) < len(names) else value
        elif name.lower() == "subset":
            options["where"] = "|".join([value, *facts[position + 1 :]])
            break
    return path, layer, options


class _WholePath(str):
    """A path that pyogrio hands to GDAL as it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def startswith(self, prefix: Any, *span: Any) -> bool:
        return prefix == "/vsi" or super().startswith(prefix, *span)


def _misread(path: str | Path) -> bool:
    """Whether pyogrio takes a path of this machine for another one.

    It reads names as addresses: "!" ends an archive's name, and ";" the whole name.
    """
    text = str(path)
    if "://" in text or text.startswith("/vsi"):
        return False
    return vsi_path(text) not in (text, f"/vsizip/{text}")


def for_pyogrio(path: str | Path) -> str:
    """A name for pyogrio's functions that read; what is in a path of this machine stays as it is.

    For those that write, see :func:`as_is`.
    """
    text = str(path)
    return _WholePath(text) if _misread(text) else text


@contextlib.contextmanager
def as_is(path: Path) -> Iterator[None]:
    """Let pyogrio write to a path that it would take for another one.

    Its writers want an exact ``str``, so that :func:`for_pyogrio` cannot help: their parser of
    names is left out for the time of the call.
    """
    if not _misread(path):
        yield
        return
    parser = pyogrio.raw.vsi_path
    pyogrio.raw.vsi_path = str
    try:
        yield
    finally:
        pyogrio.raw.vsi_path = parser
