# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's icons, in the variant that the window's colours call for."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsApplication
from qgis.PyQt.QtGui import QIcon, QPalette
from qgis.PyQt.QtWidgets import QApplication

FOLDER = Path(__file__).resolve().parent.parent / "resources" / "icons"


def is_dark() -> bool:
    """Whether QGIS's windows are dark now."""
    colour = QApplication.palette().color(QPalette.ColorRole.Window)
    return bool(colour.lightness() < 128)


def icon(name: str) -> QIcon:
    """One of the plugin's own icons."""
    dark = FOLDER / f"{name}_dark.svg"
    if is_dark() and dark.is_file():
        return QIcon(str(dark))
    return QIcon(str(FOLDER / f"{name}.svg"))


def theme_icon(name: str) -> QIcon:
    """One of QGIS's icons."""
    return QgsApplication.getThemeIcon(name)
