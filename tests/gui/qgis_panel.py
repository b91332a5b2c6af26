# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): pictures of the panel with all of its boxes open.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_panel.py --out FOLDER \\
        --locale de_DE --scale 2 --dark

Texts that are cut off are listed: labels and buttons that are narrower than their text.
"""

from __future__ import annotations

from qgis.core import QgsProject
from qgis.gui import QgsCollapsibleGroupBox
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import QCheckBox, QLabel, QPushButton, QScrollArea
from qgis.utils import iface
from qgis_session import Session
from qgis_window import Failed


class PanelSession(Session):
    """The panel from top to bottom."""

    def run(self) -> None:
        self.load()
        plugin, dock = self.plugin, self.plugin.dock
        for name in ("Gebäude", "shed", "water tank"):
            plugin.controller.classes.add(name)
        QgsProject.instance().addMapLayer(self.truth)
        self.canvas.setExtent(self.canvas.fullExtent())
        dock.find.what.setCurrentIndex(dock.find.what.findData("building"))
        dock.review.layer.setLayer(self.truth)
        # Boxes that are opened scroll to themselves: all of them first, then from the top.
        for box in dock.findChildren(QgsCollapsibleGroupBox):
            box.setCollapsed(False)
        iface.mainWindow().resizeDocks([dock], [330], Qt.Orientation.Horizontal)
        self.wait(1)
        (area,) = dock.findChildren(QScrollArea)
        bar = area.verticalScrollBar()
        at, number = 0, 1
        while True:
            bar.setValue(at)
            self.wait(0.3)
            self.picture(f"panel_{number}")
            if at >= bar.maximum():
                break
            at, number = min(at + bar.pageStep() - 40, bar.maximum()), number + 1
        cut = []
        for kind in (QLabel, QPushButton, QCheckBox):
            for widget in dock.findChildren(kind):
                wraps = kind is QLabel and widget.wordWrap()
                if widget.isVisible() and not wraps and widget.text():
                    lacks = widget.sizeHint().width() - widget.width()
                    if lacks > 1:
                        cut.append(f"{widget.text()} ({lacks} px)")
        wider = area.widget().minimumSizeHint().width() - area.viewport().width()
        self.step("texts that are cut off", cut=cut, panel_is_wider_by=max(wider, 0))
        if cut:
            raise Failed(f"cut off: {cut}")


if __name__ == "__main__":
    QTimer.singleShot(1500, lambda: PanelSession().tell())
