# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters as Python gives them: NumPy's numbers, paths and CRS objects as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .earth.crs import known_crs


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
