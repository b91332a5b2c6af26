# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that refer to other files: virtual rasters, service descriptions, sidecar files.

They are looked at as text before GDAL sees them, because GDAL follows what they say while it opens
them: a VRT of a few lines can fetch from any server, read any file of this machine as if its bytes
were pixels, or run Python. What a local file says is not what a user has asked for.
"""

from __future__ import annotations

import html
import io
import os
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element, ParseError, fromstring

from ..errors import RasterError
from ..job import option

LOOK = 8192
"""Bytes at the beginning of a file in which a description of other files shows itself."""

LONGEST = 128 * 1024 * 1024
"""Bytes of XML that are read at most: a VRT of about 200,000 sources."""

DEEPEST = 16
"""Virtual rasters within virtual rasters."""

_REMOTE = re.compile(
    r"(?i)(?<![a-z0-9])(?:https?|ftps?|s3|gs|gcs|az|azure|adl|abfss?|oss|swift|webhdfs|hdfs|dods)://"
    r"|/vsi(?:curl|s3|gs|az|adls|oss|swift|webhdfs|hdfs)(?:_streaming)?[/?]"
    r"|^\s*(?:WMS|WCS|WMTS|DAAS|EEDAI?|PLMosaic|STACIT|STACTA|OGCAPI|NGW|PG|PostgreSQL|MySQL|ODBC"
    r"|MSSQL|OCI|GeoRaster|WFS3?|OAPIF|CSW|CARTO|Elastic|ES|AMIGOCLOUD|MongoDBv3|GFT)\s*:"
)

_TAGS = (
    *("<VRTDataset", "<OGRVRTDataSource", "<GDAL_WMS", "<GDAL_WMTS", "<WCS_GDAL", "<MRF_META"),
    *("<GDALTileIndexDataset", "<WMT_MS_Capabilities", "<WMS_Capabilities", "<Capabilities"),
    *("<TiledPatterns", "<WMS_Tile_Service", "<Dimap_Document", "<kml", "<Folder"),
    "<OGRWFSDataSource",
)

_LEADING = frozenset(
    (
        *("VRTDataset", "OGRVRTDataSource", "GDAL_WMS", "GDAL_WMTS", "WCS_GDAL", "MRF_META"),
        *("GDALTileIndexDataset", "WMT_MS_Capabilities", "WMS_Capabilities", "Capabilities"),
        *("TiledPatterns", "WMS_Tile_Service", "kml", "OGRWFSDataSource"),
    )
)
"""Documents that are nothing but references: each address in them is followed. In others, such as
the metadata of a satellite's product, an address is a producer's home page."""

_NAMING = frozenset(
    ("SourceFilename", "SourceDataset", "SrcDataSource", "DataFile", "IndexFile", "IndexDataset")
)
"""Elements that hold the name of another file."""

_NAMING_ITEMS = frozenset(("X_DATASET", "Y_DATASET", "OVERVIEW_FILE"))
"""Items of metadata that do."""

_PROSE = frozenset(("SRS", "Description", "PixelFunctionCode", "Histograms", "CategoryNames"))
"""Elements in which an address is nothing that anybody follows."""


@dataclass(frozen=True)
class Reference:
    """A name that stands in a file.

    Args:
        name: As GDAL takes it; relative ones are made absolute.
        raster: It should open as a raster of its own.
        raw: Its bytes are taken for pixels as they are.
    """

    name: str
    raster: bool = True
    raw: bool = False


def is_remote(name: str) -> bool:
    """Whether a name, or a name within it, lies on a server."""
    return _REMOTE.search(name) is not None


def server_of(text: str) -> str:
    """Where a remote name leads, without what may be secret: scheme and host only."""
    match = re.search(r"(?i)([a-z0-9]+)://(?:[^/@\s]*@)?([^/?#\s:\"'<>|,]+)", text)
    if match is not None:
        return f"{match[1].lower()}://{match[2]}"
    match = _REMOTE.search(text)
    return "a server" if match is None else match[0].strip().rstrip(":/?")


def path_of(url: str) -> str:
    """The path of a ``file://`` URL, escaped or not."""
    plain = re.sub(r"(?i)^file://(localhost(?=/))?", "", url)
    for path in (plain, unquote(urlsplit(url).path)):
        path = path[1:] if re.match(r"/[A-Za-z]:", path) else path
        if os.path.exists(path):
            return path
    return plain


def archive_of(name: str) -> tuple[str, str] | None:
    """The file of an archive and the name within it, for ``/vsizip/`` and its like."""
    match = re.match(r"/vsi(?:zip|tar|7z|rar|gzip)/(.*)", name, re.DOTALL)
    if match is None:
        return None
    rest = match[1]
    if name.startswith("/vsigzip/"):
        return rest, ""
    if rest.startswith("{") and "}" in rest:
        outer, _, inner = rest[1:].partition("}")
        return outer, inner.lstrip("/")
    at = 0
    while (at := rest.find("/", at + 1)) != -1:
        if os.path.isfile(rest[:at]):
            return rest[:at], rest[at + 1 :]
    packed = re.match(r"(?i)(.*?\.(?:zip|tar\.gz|tar|tgz|kmz|7z|rar|xlsx|ods))(?:/(.*))?$", rest)
    return (packed[1], packed[2] or "") if packed else (rest, "")


def files_named(name: str) -> list[str]:
    """The files of this machine that a name mentions: itself, its archive, its container."""
    if name.lstrip().startswith("<") or is_remote(name):
        return []
    archive = archive_of(name)
    if archive is not None:
        return files_named(archive[0])
    name = re.sub(r"^/vsi(?:subfile/[0-9_]+,|sparse/|crypt/|cached\?file=)", "", name)
    if os.path.isfile(name):
        return [name]
    if name.startswith("/vsi"):
        return []
    # DRIVER:"path":part, GTIFF_DIR:1:path, DRIVER:path:part, with or without quotes
    quoted = [part for part in re.findall(r'"([^"]+)"', name) if os.path.isfile(part)]
    if quoted:
        return quoted
    parts = name.split(":")
    for length in range(len(parts) - 1, 0, -1):
        for start in range(1, len(parts) - length + 1):
            path = ":".join(parts[start : start + length])
            if os.path.isfile(path):
                return [path]
    return []


def _opened(name: str) -> Any | None:
    """A file, or a member of an archive, for reading bytes; None where it is not to be had."""
    try:
        archive = archive_of(name)
        if archive is None:
            if name.startswith("/vsi") or not os.path.isfile(name):
                return None
            return open(name, "rb")
        outer = _opened(archive[0])
        if outer is None:
            return None
        with outer:
            return _member(outer, name, archive[1])
    except (OSError, EOFError, ValueError, KeyError, RuntimeError):
        return None
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError):
        return None


def _member(outer: Any, name: str, inner: str) -> Any | None:
    """The beginning (:data:`LONGEST` bytes) of a member of an open archive."""
    if name.startswith("/vsigzip/"):
        import gzip

        with gzip.open(outer) as unpacked:
            return io.BytesIO(unpacked.read(LONGEST))
    if name.startswith("/vsizip/"):
        with zipfile.ZipFile(outer) as packed:
            members = [n for n in packed.namelist() if not n.endswith("/")]
            chosen = inner or (members[0] if len(members) == 1 else "")
            if chosen not in members:
                return None
            with packed.open(chosen) as file:
                return io.BytesIO(file.read(LONGEST))
    if name.startswith("/vsitar/"):
        with tarfile.open(fileobj=outer) as packed_tar:
            found = packed_tar.extractfile(inner) if inner else None
            return None if found is None else io.BytesIO(found.read(LONGEST))
    return None


def document_of(name: str) -> str | None:
    """The text of a file that describes other files; None where it is none.

    Raises:
        RasterError: It is too long to be read.
    """
    if name.lstrip().startswith("<"):
        return name
    file = _opened(name)
    if file is None:
        return None
    with file:
        try:
            head = file.read(LOOK)
        except OSError:  # a device, or a damaged disk: opening it as a raster says so
            return None
        wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")
        # GDAL as well looks no further than the first zero byte: what follows is no text.
        text = head.decode("utf-16", "replace") if wide else _text_before_zero(head)
        plain = text.lstrip("\ufeff \t\r\n")
        if re.match(r"(?i)<(!doctype\s+)?html", plain):
            return None  # a page of a website under the name of a raster
        if not plain.startswith("<") and not any(tag in text for tag in _TAGS):
            return None
        body = head + file.read(LONGEST)
        if len(body) > LONGEST:
            raise RasterError(f"{name} is longer than any description of other rasters should be.")
    return str(body.decode("utf-16" if wide else "utf-8", "replace")).lstrip("\ufeff")


def _text_before_zero(head: bytes) -> str:
    return head.partition(b"\0")[0].decode("utf-8", "replace")


def references_of(name: str) -> list[Reference]:
    """What a file refers to, in its own order; empty for a file that holds its pixels itself.

    Raises:
        RasterError: It is a description of other files, but a damaged one.
    """
    text = document_of(name)
    if text is None:
        return []
    base = "" if name.lstrip().startswith("<") else _folder_of(name)
    return list(_references(parsed(text, name), base))


def _folder_of(name: str) -> str:
    if name.startswith("/vsi"):
        return name.rsplit("/", 1)[0]
    return os.path.dirname(os.path.abspath(name))


def parsed(text: str, name: str) -> Element:
    """The XML of a document.

    Raises:
        RasterError: It is damaged.
    """
    start = min((at for tag in _TAGS if (at := text.find(tag)) >= 0), default=text.find("<"))
    try:
        return fromstring(text[start:].rstrip("\0 \t\r\n"))
    except (ParseError, ValueError) as error:
        raise RasterError(
            f"{shown(name)} describes other files, but its XML is damaged: {error}"
        ) from error


def shown(name: str) -> str:
    """A name for messages."""
    return "The virtual raster given as text" if name.lstrip().startswith("<") else name


def _references(tree: Element, base: str) -> Iterator[Reference]:
    raw = {
        id(node)
        for band in tree.iter("VRTRasterBand")
        if band.get("subClass") == "VRTRawRasterBand"
        for node in band.iter("SourceFilename")
    }
    for node in tree.iter():
        text = (node.text or "").strip()
        item = node.tag == "MDI" and node.get("key", "").upper() in _NAMING_ITEMS
        if not text or not (item or node.tag in _NAMING):
            continue
        relative = node.get("relativeToVRT", node.get("relativetoVRT", "0")) == "1"
        raster = item or node.tag in ("SourceFilename", "SourceDataset")
        is_raw = id(node) in raw
        yield Reference(_resolved(text, base, relative), raster and not is_raw, is_raw)


def _resolved(text: str, base: str, relative: bool) -> str:
    """A name within a document as one that can be opened from anywhere."""
    if not relative or not base or text.startswith(("<", "/vsi")) or is_remote(text):
        return text
    if PurePath(text).is_absolute():
        return text
    if base.startswith("/vsi"):
        return f"{base}/{text}"
    plain = os.path.join(base, text)
    if os.path.exists(plain) or ":" not in text:
        return plain
    match = re.match(r'^([A-Za-z0-9_]+:(?:[0-9]+:)?"?)(.+)$', text)
    return match[1] + os.path.join(base, match[2]) if match else plain


def refuse_remote(name: str) -> None:
    """Refuse a local file that leads away from itself to a server, or whose pixels are a program.

    Looks into virtual rasters within virtual rasters, into archives, and into side files.

    Raises:
        RasterError: It does; says where to and how to allow it.
    """
    _refuse(name, name, set(), 0)


def _refuse(name: str, top: str, seen: set[str], depth: int) -> None:
    if name in seen:
        return
    seen.add(name)
    if depth > DEEPEST:
        raise RasterError(f"{top} refers to files that refer to files, more than {DEEPEST} deep.")
    for side in (name, f"{name}.aux.xml"):
        if side != name and side.lstrip().startswith("<"):
            continue
        text = document_of(side)
        if text is not None:
            _refuse_document(text, side, top, seen, depth)
    for file in files_named(name):
        if file != name and archive_of(name) is None:
            _refuse(file, top, seen, depth + 1)


def _refuse_document(text: str, name: str, top: str, seen: set[str], depth: int) -> None:
    via = "" if name == top else f" (by way of {shown(name)})"
    try:
        tree = parsed(text, name)
    except RasterError:
        if is_remote(html.unescape(text)) and not name.endswith(".aux.xml"):
            raise _remote_error(top, via, html.unescape(text)) from None
        if name.endswith(".aux.xml"):
            return
        raise
    refuse_pixel_programs(tree, name)
    followed = list(_references(tree, ""))
    if tree.tag.rpartition("}")[2] in _LEADING:
        values = list(_values(tree))
    else:
        values = [reference.name for reference in followed]
    for value in values:
        if is_remote(value):
            raise _remote_error(top, via, value)
    for reference in _references(tree, "" if name.startswith("<") else _folder_of(name)):
        if reference.raw:
            raise RasterError(
                f"{shown(top)}{via} takes the bytes of another file ({reference.name}) for pixels: "
                f"this is not done unless you allow it ({option('allow_remote')})."
            )
        if not reference.name.startswith("MEM:"):
            _refuse(reference.name, top, seen, depth + 1)


def refuse_pixel_programs(tree: Element, name: str) -> None:
    """Refuse pixel functions in Python; they are never run."""
    for node in tree.iter("PixelFunctionLanguage"):
        if (node.text or "").strip().lower() == "python":
            raise RasterError(
                f"{shown(name)} computes its pixels with a program in Python, which is never run: "
                "write its result to a file first, e.g. with gdal_translate."
            )
    for node in tree.iter():
        if (node.text or "").strip().upper().startswith("MEM:::"):
            raise RasterError(f"{shown(name)} refers to this computer's memory, which is not read.")


def _remote_error(top: str, via: str, value: str) -> RasterError:
    return RasterError(
        f"{shown(top)}{via} refers to {server_of(value)}: nothing is fetched from the network "
        f"because a file says so, unless you allow it ({option('allow_remote')})."
    )


def _values(node: Element) -> Iterator[str]:
    """Texts and attributes of a document that somebody could follow."""
    if node.tag in _PROSE:
        return
    if node.tag == "MDI" and node.get("key", "").upper() not in _NAMING_ITEMS:
        return
    if node.text and node.text.strip():
        yield node.text
    for name, value in node.attrib.items():
        if not name.endswith("schemaLocation"):
            yield value
    for child in node:
        yield from _values(child)
