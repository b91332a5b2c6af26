# SPDX-License-Identifier: GPL-2.0-or-later
"""OpenCV without its type stubs, which know neither dtypes nor shapes and refuse valid calls."""

from __future__ import annotations

from typing import Any

from ...errors import ModelError

try:
    import cv2 as _cv2
except ImportError as error:
    raise ModelError(
        "Training needs OpenCV: install it with pip install 'samgeo-seamless[training]'."
    ) from error

cv2: Any = _cv2
