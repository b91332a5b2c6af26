# SPDX-License-Identifier: GPL-2.0-or-later
"""Source rectangles of a virtual raster, from its XML."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..sources.references import document_of, parsed

_SOURCES = ("SimpleSource", "ComplexSource", "AveragedSource", "NoDataFromMaskSource")


def destinations_of(name: str, band: int) -> NDArray[np.int64] | None:
    """Where the sources of a band of a virtual raster lie.

    Returns:
        (n, 4) of row0, col0, row1, col1 in pixels of the virtual raster; None where it is of a kind
        (warped, computed, filtered) or has a source that may have data anywhere.

    Raises:
        RasterError: The XML is damaged.
    """
    text = document_of(name)
    if text is None:
        return None
    tree = parsed(text, name)
    if tree.tag != "VRTDataset" or tree.get("subClass"):
        return None
    bands = tree.findall("VRTRasterBand")
    if not 1 <= band <= len(bands) or bands[band - 1].get("subClass"):
        return None
    boxes = []
    for node in bands[band - 1]:
        if not node.tag.endswith("Source"):
            continue
        place = node.find("DstRect")
        if node.tag not in _SOURCES or place is None:
            return None
        try:
            x, y, w, h = (float(place.get(k, "nan")) for k in ("xOff", "yOff", "xSize", "ySize"))
            boxes.append((math.floor(y), math.floor(x), math.ceil(y + h), math.ceil(x + w)))
        except (ValueError, OverflowError):
            return None
    return np.array(boxes, np.int64).reshape(-1, 4)
