# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters as Python gives them: NumPy's numbers, paths, CRS objects as plain values, checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .earth.crs import known_crs
from .errors import ParameterError
from .job import MessageError, RegularizeParameters, SegmentParameters, UpdateParameters
from .sources.names import given_names

P = TypeVar("P", SegmentParameters, RegularizeParameters, UpdateParameters)

_CRS = ("crs", "extent_crs", "raster_crs")
"""Parameters that are coordinate systems."""


def parameters_of(kind: type[P], given: Mapping[str, Any]) -> P:
    """Parameters of a job with plain values, checked.

    Raises:
        ParameterError: A name is unknown, or a value is of a wrong type or not allowed.
    """
    values = {k: crs_text(v) if k in _CRS else plain(v) for k, v in given.items()}
    if isinstance(values.get("rasters"), list):
        given_names(values["rasters"])  # says of an open dataset what it is
    try:
        return kind.from_dict(values)
    except MessageError as error:
        raise ParameterError(error.template) from error


def checked(params: P) -> P:
    """The same parameters with plain values, checked: their constructor checks nothing."""
    return parameters_of(type(params), vars(params))


def plain(value: Any) -> Any:
    """A value as JSON has it: paths as text, tuples and arrays as lists, NumPy's numbers."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value


def crs_text(crs: Any) -> str | None:
    """A coordinate system as text: code of an authority where it has one, else WKT."""
    known = None if crs is None or isinstance(crs, str) else known_crs(crs)
    if known is None:
        return None if crs is None else str(crs)
    authority = known.to_authority()
    return known.to_wkt() if authority is None else ":".join(authority)
