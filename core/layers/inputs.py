# SPDX-License-Identifier: GPL-2.0-or-later
"""Refuse an output that is one of the job's inputs, by any name, link or layer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError, ParameterError, RasterError
from ..notes import collected, silenced
from ..sources.contents import Contents
from ..sources.references import references_of
from ..sources.vector_input.opening import open_vector
from ..sources.vector_input.paths import parts_of
from .formats import FORMATS, format_of
from .publish import real_path

_READ_PRJ = (".asc", ".bil", ".bip", ".bsq", ".dem", ".flt", ".grd", ".hdr", ".img")
"""Rasters to which GDAL or QGIS takes a ``.prj`` of the same name, as a Shapefile has one."""


@dataclass(frozen=True)
class Input:
    """What a job reads.

    Args:
        what: For people, e.g. "the prompts".
        files: Its files, side files too; those that are not on this machine do not count.
        layer: The layer that is read from a vector file.
        raster: It is a raster: in a GeoPackage, layers beside it are free.
    """

    what: str
    files: tuple[str, ...]
    layer: str | None = None
    raster: bool = False


def raster_input(files: Iterable[str]) -> Input:
    """The raster, from all the files that it consists of."""
    return Input("the raster", tuple(files), raster=True)


def layer_input(what: str, path: str | None, layer: str | None = None) -> list[Input]:
    """A vector layer, if one is given, and what it refers to; the layer that is read is named.

    Args:
        what: For people.
        path: As it was given, with QGIS's ``|layername=...`` if need be.
        layer: Its name, where it was given.
    """
    if path is None:
        return []
    try:
        with collected(), silenced():  # whoever reads it says this
            path, layer, _ = parts_of(path, layer)
            layer = open_vector(path, layer, parameter=None).layer or layer
            behind = Contents((path,)).files if references_of(path) else ()
    except (ParameterError, RasterError):
        behind = ()  # whoever reads it says what is the matter
    file = Path(path)
    form = FORMATS.get(file.suffix.lower())
    files = tuple(str(p) for p in form.files(file.with_suffix(form.suffix))) if form else ()
    # Which layers a virtual layer is made of is not looked at: none of their files is replaced.
    others = [Input(what, behind)] if behind else []
    return [Input(what, (path, *files), layer), *others]


def check_not_input(output: str | Path, layer: str | None, inputs: Sequence[Input]) -> None:
    """Refuse an output that would change what it is made from.

    Args:
        output: Path of the output.
        layer: Name of its layer; None for the file's.
        inputs: What the job reads.

    Raises:
        OutputError: It is one of them, or one of their side files.
    """
    path = Path(output)
    form = format_of(path)
    final = real_path(path)
    mine = form.files(final)
    name = (layer or path.stem).lower()
    for given in inputs:
        for text in given.files:
            file = Path(text)
            if form.parts and given.raster and _takes_prj(file, final):
                raise OutputError(
                    f"{path} would bring a {final.stem}.prj, which {file.name} would take for its "
                    "own: choose another name for the output."
                )
            if not any(same_file(one, file) or _within(file, one) for one in mine):
                continue
            if form.many_layers and (given.raster or (given.layer or name).lower() != name):
                continue
            raise OutputError(
                f"The output {path} is also {given.what}, or a part of it: choose another name."
                if not form.many_layers
                else f"The layer {layer or path.stem} of {path} is also {given.what}: choose "
                "another name."
            )


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two names lead to one file, by links of either kind or by their spelling."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False  # an address, or not there


def _within(file: Path, folder: Path) -> bool:
    """Whether a file lies in a folder that is an output in parts."""
    try:
        return folder.is_dir() and folder in file.resolve().parents
    except (OSError, RuntimeError, ValueError):
        return False


def _takes_prj(raster: Path, final: Path) -> bool:
    try:
        beside = raster.resolve().parent == final.parent
    except (OSError, RuntimeError, ValueError):
        return False
    return (
        beside and raster.suffix.lower() in _READ_PRJ and raster.stem.lower() == final.stem.lower()
    )
