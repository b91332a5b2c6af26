# SPDX-License-Identifier: GPL-2.0-or-later
"""OpenCV without its type stubs, which know neither dtypes nor shapes and refuse valid calls."""

from __future__ import annotations

from typing import Any

import cv2 as _cv2

cv2: Any = _cv2
