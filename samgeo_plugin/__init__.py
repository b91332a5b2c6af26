# SPDX-License-Identifier: GPL-2.0-or-later
"""SamGeo Seamless, the QGIS plugin; the engine runs in its own process and environment."""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:  # noqa: N802 - the name that QGIS calls
    """QGIS calls this once to get the plugin."""
    from .plugin import SamGeoPlugin

    return SamGeoPlugin(iface)
