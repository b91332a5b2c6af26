# SPDX-License-Identifier: GPL-2.0-or-later
"""GDAL's settings, allowed drivers and exceptions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import numpy as np
import rasterio
from rasterio import DatasetReader
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from ..errors import RasterError
from ..notes import silenced

T = TypeVar("T")

GDAL_ERRORS = (RasterioError, CPLE_BaseError)
"""What rasterio raises where GDAL fails; its low-level class is no RasterioError."""

CACHE_BYTES = 48 * 1024 * 1024, 256 * 1024 * 1024
"""GDAL's block cache, at least and at most. Its own default is a share of the machine's memory,
which would make a job's memory depend on the machine and grow with the raster until it is full."""

CACHE_ROWS = 1536
"""Rows that the cache should hold of a raster stored in strips: else a tile's neighbour to the
right would decode all of its strips again."""

MOST_BLOCK_BYTES = 1024**3
"""A block that is decoded may take so much memory."""

ELSEWHERE = frozenset(
    (
        *("DAAS", "EEDA", "EEDAI", "GTI", "HTTP", "NGW", "OGCAPI", "PLMOSAIC", "STACIT", "STACTA"),
        *("WCS", "WMS", "WMTS"),
    )
)
"""Drivers of files without pixels, which say on what server or in what other files these are."""

_ALWAYS = {
    "GDAL_ERROR_ON_LIBJPEG_WARNING": True,
    # A pixel function in Python is a program inside of a picture.
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    # A name like MEM:::DATAPOINTER=... reads this process' memory.
    "GDAL_MEM_ENABLE_OPEN": "NO",
    "VRT_ALLOW_MEM_DRIVER": "NO",
}

_ONLINE = {
    # What passes (429, 502, 503, 504, a connection that breaks) is asked for again.
    "GDAL_HTTP_MAX_RETRY": "5",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    # Blocks beside each other are one request; what was read of a file is kept, as neighbouring
    # windows share blocks.
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "CPL_VSIL_CURL_CACHE_SIZE": str(128 * 1024 * 1024),
}
"""For rasters on servers; a variable of the environment of the same name goes before."""

OFFLINE = {
    # /vsicurl/, /vsis3/ and their like open no other name than this one, which does not exist.
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "/vsicurl/none",
    # All else that speaks HTTP (WMS, WCS, ...) meets a closed door on this machine.
    "GDAL_HTTP_PROXY": "http://127.0.0.1:1",
    "GDAL_HTTPS_PROXY": "http://127.0.0.1:1",
    "GDAL_HTTP_MAX_RETRY": "0",
}
"""Settings under which GDAL reaches no server."""


def gdal_env(cache: int | None = None, *, remote: bool = False) -> rasterio.Env:
    """Settings under which rasters are opened and read.

    Args:
        cache: Bytes of the block cache, from :func:`cache_bytes`; None for the least.
        remote: The network may be used. False is a second lock behind ``references.py``.
    """
    settings = {"GDAL_CACHEMAX": CACHE_BYTES[0] if cache is None else cache, **_ALWAYS}
    if not remote:
        return rasterio.Env(**settings, **OFFLINE)
    online = {name: value for name, value in _ONLINE.items() if name not in os.environ}
    return rasterio.Env(**settings, **online)


def cache_bytes(dataset: rasterio.DatasetReader) -> int:
    """The block cache that suits a dataset."""
    least, most = CACHE_BYTES
    if dataset.block_shapes[0][1] != dataset.width:
        return least
    names = ["complex64" if name == "complex_int16" else name for name in dataset.dtypes]
    pixel = sum(int(np.dtype(name).itemsize) for name in names)
    return min(most, max(least, CACHE_ROWS * int(dataset.width) * pixel))


def block_bytes(dataset: rasterio.DatasetReader) -> int:
    """Memory that one block takes while it is decoded: in a TIFF, with all bands side by side."""
    high, wide = dataset.block_shapes[0]
    name = dataset.dtypes[0]
    pixel = int(np.dtype("complex64" if name == "complex_int16" else name).itemsize)
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    together = dataset.driver == "GTiff" and structure.get("INTERLEAVE") == "PIXEL"
    return int(high) * int(wide) * pixel * (int(dataset.count) if together else 1)


@lru_cache(maxsize=1)
def _local_drivers() -> list[str]:
    with rasterio.Env() as env:
        return sorted(set(env.drivers()) - ELSEWHERE)


def open_dataset(name: str, *, remote: bool = False, **options: object) -> rasterio.DatasetReader:
    """Open a dataset; only with drivers whose pixels are on this machine, unless ``remote``.

    Raises:
        rasterio.errors.RasterioError, CPLE_BaseError: It cannot be opened (:data:`GDAL_ERRORS`).
    """
    if not remote:
        options["driver"] = _local_drivers()
    with silenced(NotGeoreferencedWarning):
        return DatasetReader(name, sharing=False, **options)


@contextmanager
def damage_of(name: str) -> Iterator[None]:
    """Whatever GDAL raises about a raster as one sentence.

    Raises:
        RasterError: GDAL failed.
    """
    try:
        yield
    except GDAL_ERRORS as error:
        raise RasterError(f"{name} is damaged: {deepest(error)}") from error


def tried_twice(function: Callable[[], T]) -> T:
    """What a function returns; at the second call where the first one fails in GDAL.

    GDAL keeps its last error, and rasterio takes one that is long past for a property's own.
    """
    try:
        return function()
    except GDAL_ERRORS:
        return function()


def deepest(error: BaseException) -> str:
    """The innermost cause: GDAL says there what is wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)
