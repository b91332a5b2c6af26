# SPDX-License-Identifier: GPL-2.0-or-later
"""As much of QGIS's window as the plugin needs, without a display."""

from __future__ import annotations

from unittest.mock import MagicMock

from qgis.gui import QgsMapCanvas, QgsMessageBar
from qgis.PyQt.QtWidgets import QMainWindow, QPushButton


class Iface:
    """As much of QGIS's interface as the plugin uses, with a real canvas and message bar."""

    def __init__(self) -> None:
        self.window = QMainWindow()
        self.canvas = QgsMapCanvas(self.window)
        self.bar = QgsMessageBar(self.window)
        self.active = None
        self.docks: list = []
        self.icons: list = []
        self.factories: list = []
        self.initializationCompleted = MagicMock()
        self.actionPan = MagicMock()

    def mainWindow(self):  # noqa: N802
        return self.window

    def mapCanvas(self):  # noqa: N802
        return self.canvas

    def messageBar(self):  # noqa: N802
        return self.bar

    def activeLayer(self):  # noqa: N802
        return self.active

    def addDockWidget(self, area, dock):  # noqa: N802
        self.docks.append(dock)
        self.window.addDockWidget(area, dock)

    def removeDockWidget(self, dock):  # noqa: N802
        self.docks.remove(dock)
        self.window.removeDockWidget(dock)

    def addRasterToolBarIcon(self, action):  # noqa: N802
        self.icons.append(action)

    def removeRasterToolBarIcon(self, action):  # noqa: N802
        self.icons.remove(action)

    def addPluginToRasterMenu(self, name, action):  # noqa: N802
        self.icons.append(action)

    def removePluginRasterMenu(self, name, action):  # noqa: N802
        self.icons.remove(action)

    def registerOptionsWidgetFactory(self, factory):  # noqa: N802
        self.factories.append(factory)

    def unregisterOptionsWidgetFactory(self, factory):  # noqa: N802
        self.factories.remove(factory)

    def buttons(self) -> list:
        """Of the sentence that is shown: its ways out."""
        item = self.bar.currentItem()
        return [] if item is None else item.findChildren(QPushButton)

    def text(self) -> str:
        item = self.bar.currentItem()
        return item.text() if item is not None else ""
