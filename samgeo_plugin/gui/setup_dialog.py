# SPDX-License-Identifier: GPL-2.0-or-later
"""The offer at first start: the environment's widget in a window that may stay open."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from ..engine.client import EngineClient
from ..i18n import tr
from ..setup.environment_job import Setup
from .environment_widget import EnvironmentWidget
from .icons import icon


class SetupDialog(QDialog):
    """Not modal: QGIS stays usable while the environment is made."""

    def __init__(
        self, client: EngineClient, setup: Setup, parent: Optional[QWidget] = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Set up SamGeo Seamless"))
        self.setWindowIcon(icon("samgeo"))
        self.resize(680, 460)
        layout = QVBoxLayout(self)
        text = QLabel(
            tr(
                "The engine runs in its own process and its own Python environment, so that it can "
                "never disturb QGIS. It is set up once; nothing is downloaded before you click."
            )
        )
        text.setWordWrap(True)
        layout.addWidget(text)
        self.environment = EnvironmentWidget(client, setup)
        layout.addWidget(self.environment, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        layout.addWidget(buttons)
