# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of rasters: paths, URLs, folders, archives and GDAL's own, as GDAL understands them."""

from __future__ import annotations

import glob
import os
import re
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ..addresses import without_secrets
from ..errors import ParameterError, RasterError
from ..job import option
from ..notes import warn
from .gdal import GDAL_ERRORS, gdal_env, open_dataset
from .references import archive_of, files_named, is_remote, path_of, references_of, server_of
from .stac import is_catalogue, stac_rasters

SUFFIXES = (
    *(".tif", ".tiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg", ".webp"),
    *(".img", ".ecw", ".sid", ".ntf", ".bil", ".bip", ".bsq", ".asc"),
)
"""Files of a folder that are taken for rasters."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""Those of them that are often mere previews."""

_SCHEMES = {
    "http": "/vsicurl/http://",
    "https": "/vsicurl/https://",
    "ftp": "/vsicurl/ftp://",
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "gcs": "/vsigs/",
    "az": "/vsiaz/",
    "oss": "/vsioss/",
}
_ARCHIVES = {"zip": "/vsizip/", "tar": "/vsitar/", "gzip": "/vsigzip/"}
_PACKED = (".zip", ".tar", ".tgz", ".tar.gz")


def gdal_name(name: str) -> str:
    """A name as GDAL takes it everywhere, also within a virtual raster.

    ``file://`` becomes a path, ``zip://archive.zip!inner.tif`` ``/vsizip/archive.zip/inner.tif``,
    ``https://`` ``/vsicurl/https://`` and so on; everything else stays.
    """
    match = re.match(r"(?i)([a-z0-9+.-]{2,})://", name)
    if match is None:
        return name
    scheme, rest = match[1].lower(), name[match.end() :]
    if scheme == "file":
        return path_of(name)
    packing, *carriers = scheme.split("+")
    if packing in _ARCHIVES:
        archive, _, inner = rest.partition("!")
        outer = gdal_name(f"{carriers[0]}://{archive}") if carriers else archive
        return _ARCHIVES[packing] + outer + ("/" + inner.lstrip("/") if inner else "")
    return _SCHEMES[scheme] + rest if scheme in _SCHEMES else name


def absolute_name(name: str) -> str:
    """A raster's name that means the same from every folder, as a cluster's workers need it."""
    if name.startswith(("/vsi", "<")) or "://" in name:
        return name
    if _is_plain_path(name):
        return str(Path(name).absolute())
    for file in files_named(name):  # DRIVER:file:part
        full = str(Path(file).absolute()).replace("\\", r"\\")
        name = re.sub(rf'(?<=[:"]){re.escape(file)}(?=[:"]|$)', full, name, count=1)
    return name


def given_names(sources: Any) -> list[str | Path]:
    """The names of one raster or of several.

    Raises:
        ParameterError: One is neither text nor a path.
    """
    alone = isinstance(sources, str | Path) or not isinstance(sources, Iterable)
    given = [sources] if alone else list(sources)
    for source in given:
        if not isinstance(source, str | Path):
            raise ParameterError(
                f"A raster is named by its path or address here, not by {type(source).__name__}."
            )
    return given


def expand_sources(
    sources: str | Path | Sequence[str | Path], *, asset: str | None = None, remote: bool = False
) -> tuple[str, ...]:
    """Names to open: a folder or an archive stands for the rasters in it, in the order of names.

    So do a pattern (``tiles/*.tif``, ``**`` for all folders below), a list (a ``.txt`` file with a
    raster in each line, relative to its folder), and a STAC document. Of a folder, hidden files,
    virtual rasters over its other files, and previews (pictures without georeferencing beside
    rasters that have one) are left out; the last two are named in a warning.

    Args:
        sources: What was given.
        asset: Of the items of a STAC document (:func:`~.stac.stac_rasters`).
        remote: A list or a STAC document of this machine may lead to servers.

    Raises:
        RasterError: A file is missing, a folder has no rasters, or nothing is given.
        ParameterError: No asset of a STAC item can be chosen, or what is given is no name.
    """
    given = given_names(sources)
    if not given:
        raise RasterError("No raster was given.")
    names: list[str] = []
    for source in given:
        if is_catalogue(str(source)):
            found = stac_rasters(str(source), asset=asset, remote=remote)
            names += [gdal_name(one.address) for one in found]
            continue
        name = gdal_name(str(source))
        _check_text(name)
        path = Path(name)
        if path.is_dir() and path.suffix.lower() not in (".zarr", ".safe"):
            names += _of_folder(path)
        elif isinstance(source, Path) or _is_plain_path(name):
            if not path.exists():
                names += _of_pattern(name)
                continue
            if path.suffix.lower() == ".txt":
                names += expand_sources(_of_list(path, remote), asset=asset, remote=remote)
                continue
            packed = path.is_file() and path.name.lower().endswith(_PACKED)
            names += _of_archive(path) if packed else [str(path)]
        else:
            names.append(name)
    return tuple(names)


def _check_text(name: str) -> None:
    if "\0" in name:
        raise RasterError(f"{name!r} is no name of a file: it has a zero byte in it.")
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("latin-1")
        raise RasterError(
            f"The name {shown} is not written in UTF-8 on this disk, as GDAL needs it: rename the "
            "file or folder (convmv -f latin1 -t utf8)."
        ) from None


def _is_plain_path(name: str) -> bool:
    """Neither a URL, nor GDAL's /vsi..., DRIVER:... or inline XML."""
    if name.startswith(("/vsi", "<")) or is_remote(name):
        return False
    return ":" not in name[2:] or os.path.exists(name)


def _of_pattern(pattern: str) -> list[str]:
    """The files that a pattern stands for."""
    if not glob.has_magic(pattern):
        raise RasterError(f"There is no file {pattern}: check the path.")
    found = sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
    if not found:
        raise RasterError(f"No file is called {pattern}: check the pattern.")
    return found


def _of_list(path: Path, remote: bool) -> list[str]:
    """The lines of a list; paths are relative to its folder."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RasterError(f"The list {path} cannot be read: {error}.") from error
    found = []
    for line in (line.strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        if line.lower().endswith(".txt"):
            raise RasterError(f"The list {path} names another list, {line}: name rasters in it.")
        if is_remote(line) and not remote:
            raise RasterError(
                f"{path} refers to {server_of(line)}: nothing is fetched from the network because "
                f"a file says so, unless you allow it ({option('allow_remote')})."
            )
        found.append(line if not _is_plain_path(gdal_name(line)) else str(path.parent / line))
    if not found:
        raise RasterError(f"The list {path} has no rasters in it.")
    return found


def _of_folder(folder: Path) -> list[str]:
    files = sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    )
    if not files:
        raise RasterError(f"The folder {folder} has no rasters in it.")
    for file in files:
        _check_text(str(file))
    left_out = _over_others(files)
    if any(p.suffix.lower() not in PICTURES for p in files):
        left_out |= {p for p in files if p.suffix.lower() in PICTURES and not _is_placed(p)}
    kept = [p for p in files if p not in left_out]
    if left_out:
        named = sorted(p.name for p in left_out)
        shown = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
        warn(
            f"Of the folder {folder}, {shown} {'is' if len(named) == 1 else 'are'} left out: "
            "previews without georeferencing, or virtual rasters over its other files."
        )
    return [str(p) for p in kept]


def _over_others(files: Sequence[Path]) -> set[Path]:
    """Virtual rasters of which a source is another file of the list."""
    real = {os.path.realpath(p): p for p in files}
    found = set()
    for path in files:
        if path.suffix.lower() != ".vrt":
            continue
        try:
            named = {f for one in references_of(str(path)) for f in files_named(one.name)}
        except RasterError:
            continue  # opening it raises the error
        if any(os.path.realpath(f) in real for f in named) and len(files) > 1:
            found.add(path)
    return found if len(found) < len(files) else set()


def _is_placed(path: Path) -> bool:
    try:
        with gdal_env(), open_dataset(str(path)) as dataset:
            return not dataset.transform.is_identity or bool(dataset.gcps[0])
    except GDAL_ERRORS:
        return True  # it is no preview that could be left out without a word


def _of_archive(path: Path) -> list[str]:
    """Names of the rasters in a zip or tar archive."""
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                inner, prefix = packed.namelist(), "/vsizip/"
        else:
            with tarfile.open(path) as tar:
                inner, prefix = [m.name for m in tar if m.isfile()], "/vsitar/"
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise RasterError(
            f"The archive {path} cannot be read ({error}): make or download it again, or unpack it "
            "and give the GeoTIFF in it."
        ) from error
    found = sorted(
        name
        for name in inner
        if PurePosixPath(name).suffix.lower() in SUFFIXES
        and not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
    )
    if not found:
        raise RasterError(f"The archive {path} has no rasters in it.")
    return [f"{prefix}{path.absolute()}/{name}" for name in found]


def short_name(name: str) -> str:
    """Display name of a raster: the last part of its name, without what belongs to an address."""
    if name.lstrip().startswith("<"):
        return "a virtual raster given as text"
    archive = archive_of(name)
    text = name if archive is None else archive[1] or archive[0]
    text = without_secrets(text)
    return Path(text).name or text


def common_name(names: Sequence[str]) -> str:
    """A short name for a mosaic: its first source and how many there are."""
    if len(names) == 1:
        return short_name(names[0])
    return f"{short_name(names[0])} and {len(names) - 1} more"
