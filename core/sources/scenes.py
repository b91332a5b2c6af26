# SPDX-License-Identifier: GPL-2.0-or-later
"""Many rasters as scenes: what each is called, where it is, and when it was taken."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from ..errors import ParameterError, RasterError
from ..job import option
from ..parallel.atomic_write import is_device
from .dates import moment_in_name, moment_in_sidecar
from .names import expand_sources, gdal_name, short_name
from .references import document_of, files_named, parsed, references_of
from .stac import is_catalogue, stac_rasters


@dataclass(frozen=True)
class Scene:
    """A raster that is worked on by itself.

    Args:
        id: What it is called: part of its output's name, unlike that of every other.
        source: As GDAL takes it, not signed.
        date: When it was taken, ISO 8601, as far as is known before it is opened; else "".
    """

    id: str
    source: str
    date: str = ""


def find_scenes(
    rasters: Sequence[str], *, asset: str | None = None, remote: bool = False
) -> list[Scene]:
    """All rasters that names stand for, each on its own.

    Args:
        rasters: Rasters, folders, archives, patterns, lists, STAC documents; a virtual raster that
            is a mosaic stands for its sources.
        asset: Of the items of STAC documents.
        remote: Files may lead to servers.

    Raises:
        RasterError: One cannot be found or may not be read, or one is given twice.
        ParameterError: See :func:`~.stac.stac_rasters`.
    """
    found: list[tuple[str, str, str]] = []
    for given in rasters:
        if is_catalogue(given):
            found += [
                (one.id, gdal_name(one.address), one.date)
                for one in stac_rasters(given, asset=asset, remote=remote)
            ]
            continue
        for name in expand_sources(given, remote=remote):
            for source in _sources_of_mosaic(name):
                found.append((_stem(source), source, _date_of(source)))
    seen: set[str] = set()
    for _, source, _ in found:
        if source in seen:
            raise RasterError(f"The raster {short_name(source)} was given twice: leave one out.")
        seen.add(source)
    ids = _unlike([_as_file_name(name) for name, _, _ in found])
    return [Scene(name, source, date) for name, (_, source, date) in zip(ids, found, strict=True)]


def _sources_of_mosaic(name: str) -> list[str]:
    """The rasters beside each other that a virtual raster is made of; else the name itself."""
    if not name.lower().endswith(".vrt") or not files_named(name):
        return [name]
    text = document_of(name)
    if text is None:
        return [name]
    tree = parsed(text, name)
    bands = [
        {node.text or "" for node in band.iter("SourceFilename")}
        for band in tree.iter("VRTRasterBand")
    ]
    beside = bool(bands) and len(bands[0]) > 1 and all(band == bands[0] for band in bands)
    if not beside or tree.get("subClass"):
        return [name]
    return list(dict.fromkeys(one.name for one in references_of(name) if one.raster))


def _stem(source: str) -> str:
    name = short_name(source)
    return name[: -len(Path(name).suffix)] if Path(name).suffix else name


def _as_file_name(text: str) -> str:
    name = re.sub(r"[^\w.-]+", "_", text).strip("._")[:120].rstrip(".") or "scene"
    return f"{name}_" if is_device(name) else name


def _unlike(names: Sequence[str]) -> list[str]:
    """Names with a number where two would be the same, on drives that know no case either."""
    taken: set[str] = set()
    result = []
    for name in names:
        number, candidate = 1, name
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate.lower())
        result.append(candidate)
    return result


def _date_of(source: str) -> str:
    try:
        moment = moment_in_sidecar(source) or moment_in_name(short_name(source))
    except RasterError:
        return ""  # several dates, none that could be relied on: a layer of scenes warns of it
    return "" if moment is None else moment.text


def signed(source: str, hook: str | None) -> str:
    """An address with the signature that a function of the user's own gives it.

    Args:
        source: As GDAL takes it.
        hook: ``module:function``, called with the address and returning it signed; None for none.
            It is not asked about files of this machine.

    Raises:
        ParameterError: There is no such function, or it failed.
    """
    if hook is None:
        return source
    sign = _hook(hook)
    match = re.match(r"/vsicurl/(?=https?://)", source)
    plain = source[match.end() :] if match else source
    if files_named(plain) or not re.match(r"(?i)[a-z][a-z0-9]+://|/vsi", plain):
        return source
    try:
        made = sign(plain)
    except Exception as error:  # it is the user's own function
        raise ParameterError(
            f"{option('sign')} {hook} failed for {plain}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, str):
        raise ParameterError(f"{option('sign')} {hook} must return an address, not {made!r:.80}.")
    return gdal_name(made)


def _hook(hook: str) -> Callable[[str], object]:
    module, _, name = hook.partition(":")
    try:
        return cast(Callable[[str], object], getattr(import_module(module), name))
    except (ImportError, AttributeError, ValueError) as error:
        raise ParameterError(
            f"{option('sign')} names a function as module:function, and {hook!r} is none: {error}"
        ) from error
