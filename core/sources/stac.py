# SPDX-License-Identifier: GPL-2.0-or-later
"""Rasters out of STAC: an item, a collection, a catalogue, or the result of a search.

The extra ``stac`` (pystac) reads them. A document on this machine leads to servers only where that
is allowed, as any other file; a document on a server was asked for by its address, and leads to
servers, but never to files of this machine.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import Request, urlopen

from ..addresses import without_secrets
from ..errors import ParameterError, RasterError
from ..job import option
from .dates import read_moment
from .references import is_remote, path_of, server_of

SUFFIXES = (".json", ".geojson")
"""Of documents; a server's address may also end in ``/search`` or ``/items``."""

LONGEST = 512 * 1024 * 1024
"""Bytes of a document that are read at most."""

MOST_PAGES = 100_000
"""Pages of a search's result that are followed."""

ATTEMPTS = 4
"""Times that a document is asked for before a server counts as not answering."""

_USUAL = ("visual", "image", "data", "ortho", "rgb", "analytic")
"""Assets that are taken without being named, the best one first."""

_NOT_PIXELS = frozenset(("thumbnail", "overview", "metadata", "date", "cloud-optimized-preview"))
_PIXELS = re.compile(r"(?i)image/(?:tiff|jp2|vnd\.stac\.geotiff|png|jpeg)|application/x-geotiff")
_FILES = re.compile(r"(?i)\.(?:tiff?|jp2|vrt|png|jpe?g)$")


@dataclass(frozen=True)
class StacRaster:
    """One raster of a STAC document.

    Args:
        id: Of its item.
        address: Of its asset: a path or a URL, not signed.
        date: In ISO 8601, as precise as the item says; "" where it does not.
    """

    id: str
    address: str
    date: str


def is_catalogue(name: str) -> bool:
    """Whether a name is that of a STAC document. Files of this machine are looked into.

    ``stac+https://`` says so of any address.
    """
    if name.startswith("stac+"):
        return True
    if re.match(r"(?i)https?://", name):
        path = PurePosixPath(urlsplit(name).path)
        return path.suffix.lower() in SUFFIXES or path.name in ("search", "items")
    if not name.lower().endswith(SUFFIXES) or not os.path.isfile(name):
        return False
    try:
        return _kind(json.loads(_local_text(name))) != ""
    except (OSError, ValueError, RasterError):
        return False


def stac_rasters(
    name: str, *, asset: str | None = None, remote: bool = False
) -> Iterator[StacRaster]:
    """The rasters of a STAC document, in its order.

    Args:
        name: Path or address.
        asset: Key of the asset; None takes the only raster, or the one for looking at.
        remote: A document of this machine may lead to servers.

    Raises:
        ParameterError: The extra is not installed, or no asset can be chosen.
        RasterError: A document cannot be read, or leads where it may not.
    """
    try:
        import pystac  # noqa: F401
    except ImportError as error:
        raise ParameterError(
            "Reading STAC needs the extra 'stac': pip install 'samgeo-seamless[stac]'."
        ) from error
    name = name.removeprefix("stac+")
    reader = _Reader(name, from_server=is_remote(name), remote=remote)
    found = False
    for item, base in _items(reader.document(name), name, reader):
        found = True
        address = _absolute(_chosen(item, asset), base)
        reader.check(address)
        yield StacRaster(item.id, address, _date(item.properties))
    if not found:
        raise RasterError(f"{without_secrets(name)} has no items in it.")


@dataclass(frozen=True)
class _Reader:
    """Reads documents, and says which addresses may be followed from the first one."""

    name: str
    from_server: bool
    remote: bool

    def check(self, address: str) -> None:
        """Raise where a document may not lead to an address."""
        if is_remote(address):
            if not (self.from_server or self.remote):
                raise RasterError(
                    f"{self.name} leads to {server_of(address)}: nothing is fetched from the "
                    f"network because a file says so, unless you allow it "
                    f"({option('allow_remote')})."
                )
        elif self.from_server:
            raise RasterError(
                f"{without_secrets(self.name)} leads to {address}, a file of this machine: a "
                "server's document may name servers only."
            )

    def document(self, address: str) -> dict[str, Any]:
        """The JSON object at an address."""
        if address != self.name:
            self.check(address)
        try:
            text = _fetched(address) if is_remote(address) else _local_text(address)
            values = json.loads(text)
        except (OSError, ValueError) as error:
            raise RasterError(
                f"{without_secrets(address)} cannot be read as STAC: {error}"
            ) from error
        if not isinstance(values, dict) or not _kind(values):
            raise RasterError(
                f"{without_secrets(address)} is no STAC item, collection, catalogue or search "
                "result."
            )
        return values


def _kind(values: Any) -> str:
    """ "Feature", "FeatureCollection", "Collection" or "Catalog"; "" for anything else."""
    if not isinstance(values, dict):
        return ""
    kind = str(values.get("type", ""))
    if kind == "FeatureCollection":
        features = values.get("features")
        if not isinstance(features, list):
            return ""
        return kind if all(_kind(f) == "Feature" for f in features[:1]) else ""
    if kind == "Feature":
        return kind if "stac_version" in values and isinstance(values.get("assets"), dict) else ""
    return kind if kind in ("Collection", "Catalog") and "stac_version" in values else ""


def _items(values: dict[str, Any], base: str, reader: _Reader) -> Iterator[tuple[Any, str]]:
    """Items below a document, each with the address that it was read from."""
    import pystac

    waiting: list[tuple[dict[str, Any] | None, str]] = [(values, base)]
    seen = {base}
    pages = 0
    while waiting:
        known, at = waiting.pop()
        found = reader.document(at) if known is None else known
        kind = _kind(found)
        if kind in ("Feature", "FeatureCollection"):
            features = [found] if kind == "Feature" else found["features"]
            for feature in features:
                try:
                    yield pystac.Item.from_dict(feature, preserve_dict=False), at
                except Exception as error:  # pystac raises whatever its parts raise
                    raise RasterError(
                        f"An item of {without_secrets(at)} is not valid STAC: "
                        f"{type(error).__name__}: {error}"
                    ) from error
        rels = ("next",) if kind == "FeatureCollection" else ("child", "item", "items")
        links = [] if kind == "Feature" else found.get("links") or []
        following = [
            _absolute(str(link.get("href")), at)
            for link in links
            if isinstance(link, dict)
            and link.get("rel") in rels
            and str(link.get("method", "GET")).upper() == "GET"
        ]
        for address in reversed(following):  # the first one is on top of the pile
            if address not in seen:
                seen.add(address)
                waiting.append((None, address))
        pages += 1
        if pages > MOST_PAGES:
            raise RasterError(f"{without_secrets(base)} leads to more than {MOST_PAGES} documents.")


def _absolute(href: str, base: str) -> str:
    """An address as seen from the document that names it."""
    if re.match(r"(?i)file://", href):
        return path_of(href)
    if is_remote(href) or re.match(r"(?i)[a-z][a-z0-9+.-]+://", href):
        return href
    if is_remote(base):
        return urljoin(base, href)
    path, unescaped = (
        os.path.normpath(os.path.join(os.path.dirname(base), name))
        for name in (href, unquote(href))
    )
    return unescaped if os.path.exists(unescaped) and not os.path.exists(path) else path


def _chosen(item: Any, asset: str | None) -> str:
    """The address of an item's raster, as the item has it."""
    if asset is not None:
        if asset not in item.assets:
            raise ParameterError(
                f"The item {item.id} has no asset {asset!r}: {option('asset')} is one of "
                f"{', '.join(sorted(item.assets)) or 'none'}."
            )
        return str(item.assets[asset].href)
    rasters = {
        key: one
        for key, one in item.assets.items()
        if not _NOT_PIXELS & set(one.roles or ()) and _is_raster(one)
    }
    if len(rasters) == 1:
        return str(next(iter(rasters.values())).href)
    for key in _USUAL:
        if key in rasters:
            return str(rasters[key].href)
    for role in ("visual", "data"):
        of_role = [one for one in rasters.values() if role in (one.roles or ())]
        if len(of_role) == 1:
            return str(of_role[0].href)
    if not rasters:
        raise RasterError(f"The item {item.id} has no raster among its assets.")
    raise ParameterError(
        f"The item {item.id} has several rasters ({', '.join(sorted(rasters))}): say which one "
        f"with {option('asset')}."
    )


def _is_raster(asset: Any) -> bool:
    if asset.media_type:
        return _PIXELS.match(asset.media_type) is not None
    return _FILES.search(urlsplit(asset.href).path) is not None


def _date(properties: dict[str, Any]) -> str:
    for key in ("datetime", "start_datetime"):
        moment = read_moment(str(properties.get(key) or ""))
        if moment is not None:
            return moment.text.removesuffix("T00:00:00Z")
    return ""


def _local_text(path: str) -> str:
    if os.path.getsize(path) > LONGEST:
        raise RasterError(f"{path} is larger than {LONGEST} bytes.")
    with open(path, encoding="utf-8") as file:
        return file.read()


def _fetched(address: str) -> str:
    """A document from a server; what may pass is tried again, with growing pauses."""
    address = address.removeprefix("/vsicurl/")
    if not re.match(r"(?i)https?://", address):
        raise RasterError(
            f"A STAC document is read by http:// or https://, not {server_of(address)}."
        )

    def ask() -> str:
        request = Request(address, headers={"Accept": "application/geo+json, application/json"})
        with urlopen(request, timeout=60) as answer:
            return str(answer.read(LONGEST).decode("utf-8"))

    return _patiently(ask)


def _patiently(ask: Callable[[], str]) -> str:
    for attempt in range(ATTEMPTS):
        try:
            return ask()
        except OSError as error:
            code = getattr(error, "code", None)
            passing = code is None or code in (408, 429) or code >= 500
            if not passing or attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.25 * 4**attempt)
    raise AssertionError("unreachable")
