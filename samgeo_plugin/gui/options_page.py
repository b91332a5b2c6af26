# SPDX-License-Identifier: GPL-2.0-or-later
"""The plugin's page in QGIS's options."""

from __future__ import annotations

from typing import Optional

from qgis.gui import QgsOptionsPageWidget, QgsOptionsWidgetFactory, QgsSpinBox
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QCheckBox, QFormLayout, QGroupBox, QVBoxLayout, QWidget

from .. import settings
from ..engine.client import EngineClient
from ..i18n import tr
from ..setup.environment_job import Setup
from .environment_widget import EnvironmentWidget
from .icons import icon

PAGE = "SamGeoSeamless"


class OptionsPage(QgsOptionsPageWidget):
    """Environment above, the few other settings below."""

    def __init__(self, environment: EnvironmentWidget, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setObjectName(PAGE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        first = QGroupBox(tr("Engine"))
        inner = QVBoxLayout(first)
        inner.addWidget(environment)
        layout.addWidget(first, 1)

        second = QGroupBox(tr("Work"))
        form = QFormLayout(second)
        self.threads = QgsSpinBox()
        self.threads.setRange(0, 256)
        self.threads.setSpecialValueText(tr("automatic"))
        self.threads.setClearValue(0)
        self.threads.setValue(settings.THREADS.get())
        self.threads.setToolTip(tr("Fewer threads leave more of the computer to QGIS"))
        form.addRow(tr("CPU threads of the engine"), self.threads)
        self.limit = QgsSpinBox()
        self.limit.setRange(512, 65536)
        self.limit.setSingleStep(1024)
        self.limit.setSuffix(tr(" pixels"))
        self.limit.setValue(settings.RENDER_LIMIT.get())
        form.addRow(tr("Largest side of a temporary rendering"), self.limit)
        self.hover = QCheckBox(tr("Show the polygon that a click would make"))
        self.hover.setChecked(settings.HOVER.get())
        form.addRow(self.hover)
        self.remote = QCheckBox(tr("Fetch what a raster's file refers to on servers"))
        self.remote.setChecked(settings.ALLOW_REMOTE.get())
        self.remote.setToolTip(
            tr("Files such as virtual rasters can name servers; without this they are refused")
        )
        form.addRow(self.remote)
        layout.addWidget(second)

    def apply(self) -> None:
        """OK or Apply was pressed."""
        settings.THREADS.set(self.threads.value())
        settings.RENDER_LIMIT.set(self.limit.value())
        settings.HOVER.set(self.hover.isChecked())
        settings.ALLOW_REMOTE.set(self.remote.isChecked())


class OptionsFactory(QgsOptionsWidgetFactory):
    """Makes the page each time the options are opened.

    Args:
        client: The engine.
        setup: What makes its environment.
    """

    def __init__(self, client: EngineClient, setup: Setup) -> None:
        super().__init__()
        self.setTitle(tr("SamGeo Seamless"))
        self._client = client
        self._setup = setup

    def icon(self) -> QIcon:
        return icon("samgeo")

    def createWidget(self, parent: Optional[QWidget] = None) -> QgsOptionsPageWidget:  # noqa: N802
        return OptionsPage(EnvironmentWidget(self._client, self._setup), parent)
