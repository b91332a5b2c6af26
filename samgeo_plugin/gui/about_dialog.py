# SPDX-License-Identifier: GPL-2.0-or-later
"""Help and about: the keys, what the plugin is, its licence."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from ..i18n import tr
from ..setup import diagnose
from .icons import icon


def keys() -> list[tuple[str, str]]:
    """What the map tool answers to."""
    return [
        (tr("Left click"), tr("a point on the object; or take an existing polygon up")),
        (tr("Alt and left click"), tr("begin a new object on an existing polygon")),
        (tr("Right click, or Shift and left click"), tr("a point that does not belong to it")),
        (tr("Drag"), tr("a box around it (or a stroke, as chosen in the panel)")),
        (tr("Ctrl and drag"), tr("a stroke along it (or a box)")),
        (tr("Right drag, or Shift and drag"), tr("a stroke over what does not belong to it")),
        (tr("Tab, Shift+Tab"), tr("the next or the previous candidate")),
        (tr("Enter, double click"), tr("accept: write the polygon into the target layer")),
        (tr("Backspace, Ctrl+Z"), tr("take the last prompt back")),
        (tr("Esc"), tr("give up the last prompt, then the object")),
        (tr("Ctrl and click, then M"), tr("select polygons of the target layer and merge them")),
        (tr("S, then drag a line"), tr("split polygons of the target layer")),
        (tr("Delete"), tr("delete the selected polygons")),
        (tr("Space, middle button"), tr("move the map")),
    ]


class AboutDialog(QDialog):
    """One page, no tabs."""

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("SamGeo Seamless"))
        self.resize(560, 520)
        head = QHBoxLayout()
        picture = QLabel()
        picture.setPixmap(icon("samgeo").pixmap(48, 48))
        head.addWidget(picture)
        title = QLabel(
            "<b>SamGeo Seamless</b> {version}<br>{text}".format(
                version=diagnose.plugin_version(),
                text=tr("Seam-free polygons from rasters with the Segment Anything family"),
            )
        )
        head.addWidget(title, 1)
        rows = "".join(
            f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{does}</td></tr>" for key, does in keys()
        )
        text = QTextBrowser()
        text.setOpenExternalLinks(True)
        text.setHtml(
            "<h4>{keys_title}</h4><table cellspacing='3'>{rows}</table>"
            "<h4>{how_title}</h4><p>{how}</p><h4>{licence_title}</h4><p>{licence}</p>".format(
                keys_title=tr("On the map"),
                rows=rows,
                how_title=tr("How it works"),
                how=tr(
                    "The model runs in a process and a Python environment of its own. It looks at "
                    "windows of the raster; an object that reaches a window's edge is followed "
                    "into the next one, so no polygon is ever cut off. Whole rasters are segmented "
                    "with the algorithms in the Processing toolbox."
                ),
                licence_title=tr("Licence"),
                licence=tr(
                    "GNU General Public License, version 2 or later. Models come with licences of "
                    "their own, which are shown before a download."
                ),
            )
        )
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(head)
        layout.addWidget(text, 1)
        layout.addWidget(buttons)
