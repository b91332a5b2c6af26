# SPDX-License-Identifier: GPL-2.0-or-later
"""The dock: what to work on above, the object in work below, the engine's state at the foot."""

from __future__ import annotations

from typing import Any, Optional

from qgis.gui import QgsCollapsibleGroupBox, QgsDockWidget, QgsScrollArea
from qgis.PyQt.QtCore import QSize, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QAction,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..engine import client as engine_client
from ..engine.process import describe_engine
from ..i18n import tr
from ..interactive.controller import Controller
from ..interactive.review import Review
from .class_panel import ClassPanel
from .find_panel import FindPanel
from .icons import icon, theme_icon
from .map_tool import DOCK
from .object_panel import ObjectPanel
from .refinement_panel import RefinementPanel
from .review_panel import ReviewPanel
from .source_panel import SourcePanel


class Dock(QgsDockWidget):
    """Dense and resizable; everything in it can be reached by keyboard.

    Args:
        controller: The plugin's state.
        review: The review of a layer.
        tool_action: The action that chooses the map tool.
        find: The panel for all objects like the examples.
        parent: QGIS's main window.
    """

    automatic_wanted = pyqtSignal()
    settings_wanted = pyqtSignal()
    about_wanted = pyqtSignal()
    cancel_wanted = pyqtSignal()

    def __init__(
        self,
        controller: Controller,
        review: Review,
        tool_action: QAction,
        find: FindPanel,
        parent: Optional[QWidget] = None,
    ) -> None:
        super().__init__(tr("SamGeo Seamless"), parent)
        self.setObjectName(DOCK)
        self._controller = controller
        self.source = SourcePanel(controller)
        self.object = ObjectPanel(controller.session)
        self.classes = ClassPanel(controller.classes)
        self.classes.said.connect(controller.session.say_class)
        self.find = find
        self.find.setCollapsed(True)
        self.refinement = RefinementPanel(controller)
        self.refinement.setCollapsed(True)
        self.review = ReviewPanel(controller, review, parent)
        self.review.setCollapsed(True)

        bar = QToolBar()
        bar.setIconSize(QSize(18, 18))
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        bar.addAction(tool_action)
        automatic = bar.addAction(icon("automatic"), tr("Automatic…"), self.automatic_wanted.emit)
        automatic.setToolTip(tr("Segment the whole raster, or a part of it, with Processing"))
        spacer = QWidget()
        spacer.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        bar.addWidget(spacer)
        for name, text, signal in (
            ("/mActionOptions.svg", tr("Settings"), self.settings_wanted),
            ("/mActionHelpContents.svg", tr("Help and about"), self.about_wanted),
        ):
            button = QToolButton()
            button.setIcon(theme_icon(name))
            button.setToolTip(text)
            button.setAutoRaise(True)
            button.clicked.connect(signal)
            bar.addWidget(button)

        work = QgsCollapsibleGroupBox(tr("Object in work"))
        work.setFlat(True)
        inner = QVBoxLayout(work)
        inner.setContentsMargins(6, 4, 6, 4)
        inner.addWidget(self.object)

        classes = QgsCollapsibleGroupBox(tr("Classes"))
        classes.setFlat(True)
        inside = QVBoxLayout(classes)
        inside.setContentsMargins(6, 4, 6, 4)
        inside.addWidget(self.classes)

        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(6)
        for widget in (
            self.source,
            work,
            classes,
            self.find,
            self.refinement,
            self.review,
        ):
            column.addWidget(widget)
        column.addStretch(1)
        scroll = QgsScrollArea()
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(content)

        self.state = QLabel()
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.progress = QProgressBar()
        self.progress.setMaximumHeight(14)
        self.progress.setTextVisible(False)
        self.cancel = QToolButton()
        self.cancel.setIcon(theme_icon("/mTaskCancel.svg"))
        self.cancel.setToolTip(tr("Stop what the engine is doing"))
        self.cancel.setAutoRaise(True)
        self.cancel.clicked.connect(self.cancel_wanted)
        foot = QHBoxLayout()
        foot.setContentsMargins(6, 0, 6, 4)
        foot.addWidget(self.state, 2)
        foot.addWidget(self.progress, 1)
        foot.addWidget(self.cancel)

        whole = QWidget()
        layout = QVBoxLayout(whole)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(scroll, 1)
        layout.addLayout(foot)
        whole.setMinimumWidth(250)
        self.setWidget(whole)

        client = controller.client
        client.state_changed.connect(self._show_engine)
        client.greeted.connect(self._show_engine)
        controller.session.status.connect(self.show_progress)
        controller.session.changed.connect(self._show_engine)
        self.show_progress("", 0, 0)

    def show_progress(self, text: str, done: int, total: int) -> None:
        """A stage with its bar; an empty text ends it."""
        busy = bool(text)
        self.progress.setVisible(busy)
        self.cancel.setVisible(busy)
        if busy:
            self.progress.setRange(0, max(total, 0))
            self.progress.setValue(done)
            self.state.setText(text)
            if total > 0 and done >= total:
                self.show_progress("", 0, 0)
        else:
            self._show_engine()

    def _show_engine(self, *_: Any) -> None:
        if self.progress.isVisible() and self._controller.session.is_waiting:
            return
        client = self._controller.client
        hello = client.hello
        if client.state == engine_client.READY and hello is not None:
            text = describe_engine(hello)
        elif client.state == engine_client.STARTING:
            text = tr("The engine is starting…")
        else:
            text = tr("The engine starts with the first click")
        self.state.setText(text)
