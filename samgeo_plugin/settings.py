# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's settings: keys, types and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

from qgis.core import QgsSettings

_PREFIX = "samgeo_seamless/"

Value = Union[str, int, float, bool]


@dataclass(frozen=True)
class Setting:
    """A key below ``samgeo_seamless/``; the default fixes the type."""

    key: str
    default: Value

    def get(self) -> Any:
        value = QgsSettings().value(_PREFIX + self.key, self.default)
        kind = type(self.default)
        if kind is bool:
            return value if isinstance(value, bool) else str(value).lower() in ("true", "1")
        try:
            return kind(value)
        except (TypeError, ValueError):
            return self.default

    def set(self, value: Value) -> None:
        QgsSettings().setValue(_PREFIX + self.key, value)

    def clear(self) -> None:
        QgsSettings().remove(_PREFIX + self.key)


PYTHON = Setting("environment/python", "")
"""A Python that the user chose, with the engine in it; empty for the managed environment."""

FOLDER = Setting("environment/folder", "")
"""Where the managed environment lives; empty for the standard place."""

BUILD = Setting("environment/build", "cpu")
"""Build of torch: "cpu" or "cuda"."""

CUDA_12 = Setting("environment/cuda_12", False)
"""Whether only PyTorch's build for CUDA 12 runs on the GPU, as nvidia-smi said last."""

BUNDLE = Setting("environment/bundle", "")
"""Folder that ``samgeo bundle`` made, to install from without a network; empty for the network."""

DEVICE = Setting("engine/device", "auto")
THREADS = Setting("engine/threads", 0)
MODEL = Setting("engine/model", "embedded")
ALLOW_REMOTE = Setting("engine/allow_remote", False)
"""Whether the engine fetches what a raster's file refers to on a server."""

MODELS = Setting("engine/models", "")
"""Names of the models that the engine listed last, one per line."""

WORD_MODELS = Setting("engine/word_models", "")
"""Of those on disk, the ones that understand words: one per line, name and title."""

RENDER_LIMIT = Setting("render/limit", 8192)
"""Largest side, in pixels, of a temporary rendering of a layer that is not a file."""

RENDER_CACHE = Setting("render/cache", 500)
"""Megabytes of renderings of online layers that are kept until the project is closed."""

SIMPLIFY = Setting("refine/simplify", 0.0)
MIN_AREA = Setting("refine/min_area", 0.0)
MIN_HOLE = Setting("refine/min_hole", 0.0)
OUTLINES = Setting("refine/outlines", "contour")
LARGEST_PART = Setting("refine/largest_part", True)
MAX_VERTICES = Setting("refine/max_vertices", 16)
"""0 for no limit."""

RUN_INTO = Setting("runs/into_target", True)
"""Whether an automatic run of the panel ends in the target layer."""

RUN_LIKE_INTO = Setting("runs/like_into_target", False)
"""The same of a run by examples: there, answers come before the result is good."""

DRAG = Setting("tool/drag", "box")
HOVER = Setting("tool/hover", True)
LAST_ERROR = Setting("diagnose/last_error", "")


def qgis_value(key: str, default: Value) -> Any:
    """A setting of QGIS itself."""
    return QgsSettings().value(key, default)


def qgis_flag(key: str) -> bool:
    """A yes-or-no setting of QGIS itself."""
    return str(QgsSettings().value(key, False)).lower() in ("true", "1")
