# SPDX-License-Identifier: GPL-2.0-or-later
"""Vector files within archives: GDAL finds those by itself that lie at the top of a ZIP alone."""

from __future__ import annotations

import tarfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ...errors import ParameterError
from ...notes import warn

_TARS = (".tar", ".tgz", ".tar.gz")
_LAYERS = (".shp", ".gpkg", ".geojson", ".fgb", ".gdb", ".gml", ".kml", ".kmz", ".tab", ".mif")
_PERHAPS = (".json", ".topojson", ".geojsonl", ".ndjson", ".sqlite", ".dxf", ".gpx", ".csv")
"""What may be something else that accompanies layers."""


def in_archive(path: str, layer: str | None) -> str:
    """GDAL's name for the vector file that an archive holds; any other path as it is.

    Shapefiles that lie together are layers of one folder, as GDAL has it. Where there are several
    files, that is said, and the one that is called as the layer is taken, or else the first.

    Args:
        path: As the layer's file was named.
        layer: Name of the layer, where it was given.

    Raises:
        ParameterError: The archive is damaged.
    """
    name = path.lower()
    if not Path(path).is_file():
        return path
    if name.endswith(_TARS):
        prefix = "/vsitar/"
    elif name.endswith(".gz"):
        return f"/vsigzip/{path}"
    elif name.endswith(".zip") and not name.endswith((".gdb.zip", ".shp.zip")):
        prefix = "/vsizip/"
    else:
        return path
    found = _sources(_members(path))
    if not found:
        return path  # opening it says that it is none
    named = [source for source in found if PurePosixPath(source).stem == layer]
    if len(found) > 1 and not named:
        shown = ", ".join(found[:8]) + (" ..." if len(found) > 8 else "")
        warn(
            f"{path} holds several vector files ({shown}): the first one is taken; name another "
            f"as {prefix}{path}/NAME."
        )
    return f"{prefix}{path}/{(named or found)[0]}".rstrip("/")


def _members(path: str) -> list[str]:
    try:
        if path.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                return packed.namelist()
        with tarfile.open(path) as tar:
            return [member.name for member in tar]
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise ParameterError(
            f"The archive {path} cannot be read ({error}): make or download it again, or unpack it "
            "and give the layer in it."
        ) from error


def _sources(members: Sequence[str]) -> list[str]:
    """What GDAL can open of an archive's members: files, File Geodatabases, folders of Shapefiles.

    The folder at the top is "".
    """
    files: dict[str, None] = {}  # in order, each once
    for member in members:
        place = PurePosixPath(member)
        if any(part.startswith((".", "__MACOSX")) for part in place.parts):
            continue
        within = [each for each in (place, *place.parents) if each.suffix.lower() == ".gdb"]
        if within or not member.endswith("/"):
            files[str(within[-1] if within else place).removeprefix("./")] = None
    for suffixes in (_LAYERS, _PERHAPS):
        found = sorted(file for file in files if PurePosixPath(file).suffix.lower() in suffixes)
        if found:
            break
    shapes = Counter(_folder(file) for file in found if file.lower().endswith(".shp"))
    together = {folder for folder, count in shapes.items() if count > 1}
    alone = [
        file for file in found if not (file.lower().endswith(".shp") and _folder(file) in together)
    ]
    return sorted([*alone, *together])


def _folder(file: str) -> str:
    return file.rpartition("/")[0]
