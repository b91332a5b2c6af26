# SPDX-License-Identifier: GPL-2.0-or-later
"""What a vector file must not do: reach a server unasked, or end a job in a library's words."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyogrio
import shapely

from ...errors import ParameterError, RasterError
from ..gdal import OFFLINE
from ..references import is_remote, refuse_remote, server_of

_UNREADABLE = (
    ImportError,  # what an address needs that is not installed
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    pyogrio.errors.FeatureError,
    pyogrio.errors.FieldError,
    pyogrio.errors.GeometryError,
    pyogrio.errors.CRSError,
    shapely.errors.ShapelyError,
    pa.ArrowException,
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
)
"""What libraries raise for files that are damaged or of another kind than they seem."""


_HEIGHTS = -(1 << 31), 1 << 31, 2000, 3000
"""GDAL's numbers of "any type" with heights (as a number with and without a sign), with measures
and with both."""

_SURFACES = tuple(kind + extra for extra in (0, 1000, 2000, 3000) for kind in (15, 16, 17))
"""Of polyhedral surfaces, TINs and triangles, with and without heights and measures."""


def know_all_types() -> None:
    """Let pyogrio open layers of any geometry type of GDAL's; its table lacks some, as of 0.13.

    "Any type with heights" is what a GML with heights has, and a GeoPackage that was written from
    PostGIS's ``geometry(GeometryZ)``. Their features are read as those of other layers are. A
    version of pyogrio without such a table refuses them in a sentence.
    """
    try:
        known = importlib.import_module("pyogrio._geometry").GEOMETRY_TYPES
    except (ImportError, AttributeError):
        return
    for number in (*_HEIGHTS, *_SURFACES):
        known.setdefault(number, "Unknown")


know_all_types()


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Errors of reading as one sentence; no server is reached, unless it is asked for by name."""
    before: dict[str, Any] = {}
    if not is_remote(name):
        before = {setting: pyogrio.get_gdal_config_option(setting) for setting in OFFLINE}
        pyogrio.set_gdal_config_options(OFFLINE)
    try:
        yield
    except ParameterError:
        raise
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else "damaged"
        reason = reason.partition("; It might help to specify the correct driver")[0]
        raise ParameterError(
            f"{name} cannot be read as a vector layer ({reason}): choose another layer or file."
        ) from error
    finally:
        pyogrio.set_gdal_config_options(before)


def check_offline(path: str) -> None:
    """Refuse a vector file that leads to a server, as an OGR VRT can.

    Raises:
        ParameterError: It does.
    """
    if is_remote(path):
        return  # asked for by name
    try:
        refuse_remote(path)
    except RasterError as error:
        reason = str(error).partition(", unless you allow it")[0].partition(": this is not done")[0]
        raise ParameterError(
            f"{reason}. Save the layer that you mean as a file of this machine first."
        ) from error
    address = _address_of_crs(path)
    if address is not None:
        raise ParameterError(
            f"{path} says that its coordinate system is described at {server_of(address)}: nothing "
            "is fetched from the network because a file says so. Save the layer with a known "
            "coordinate system first."
        )


def _address_of_crs(path: str) -> str | None:
    """Where a GeoJSON of the version of 2008 says that its CRS can be read; GDAL would ask there.

    The member stands before the features or after them.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_LOOK)
            if not text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return None
            size = os.fstat(file.fileno()).st_size
            if size > _LOOK:
                file.seek(max(_LOOK, size - _LOOK))
                text += file.read()
    except OSError:
        return None  # opening it says what is the matter
    for found in _CRS_MEMBER.finditer(text):
        address = found[1].decode("utf-8", "replace").replace("\\/", "/")
        if is_remote(address) and "//www.opengis.net/" not in address:
            return address
    return None


_LOOK = 1 << 16
"""Bytes at either end of a GeoJSON in which its CRS is looked for."""

_CRS_MEMBER = re.compile(
    rb'"crs"\s*:\s*\{[^{}]*\{[^{}]*"(?:href|url|name)"\s*:\s*"([^"]*)"', re.IGNORECASE
)
