# SPDX-License-Identifier: GPL-2.0-or-later
"""The review in the dock: start, keys, counts, filter; the map follows the current polygon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from qgis.core import (
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.gui import QgsDoubleSpinBox, QgsMapCanvas, QgsRubberBand
from qgis.PyQt.QtCore import QObject, QSignalBlocker, Qt, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QColor, QKeySequence
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QAction,
    QApplication,
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..i18n import tr
from ..interactive import autosave
from ..interactive.controller import Controller
from ..interactive.decisions import ACCEPTED, OPEN, REJECTED
from ..interactive.review import Review
from ..interactive.review_correction import ReviewCorrection
from ..interactive.review_queue import ReviewFilter

_TYPED_INTO = (QLineEdit, QTextEdit, QPlainTextEdit, QAbstractSpinBox, QAbstractItemView)
_CURRENT = QColor(255, 0, 200)
_BEFORE = QColor(255, 220, 0)
_AROUND = 3.0
"""The view's width in widths of the polygon, at least."""

_NARROWEST = 40.0
"""Screen pixels: a polygon smaller than this is zoomed to."""


class MapFollower(QObject):
    """Shows the current polygon on the map.

    Args:
        canvas: The map.
        review: Whose polygon.
        parent: Qt's owner.
    """

    def __init__(
        self, canvas: QgsMapCanvas, review: Review, parent: Optional[QObject] = None
    ) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self._review = review
        self._band: Optional[QgsRubberBand] = None
        self._old_band: Optional[QgsRubberBand] = None
        self._is_open = True
        review.current_changed.connect(self.show)
        canvas.destinationCrsChanged.connect(self._outline)

    def release(self) -> None:
        """The plugin is being unloaded."""
        self._canvas.destinationCrsChanged.disconnect(self._outline)
        self.clear()

    def set_open(self, is_open: bool) -> None:
        """Whether the panel is open: without it nothing is outlined."""
        self._is_open = is_open
        self._outline()

    def show(self, *_: object) -> None:
        """Bring the current polygon into view and outline it."""
        box = self._outline()
        if box is not None:
            self._follow(box)

    def _outline(self) -> Optional[QgsRectangle]:
        """Outline the current polygon; what there is to see of it, None where nothing is shown."""
        shape, layer = self._review.geometry(), self._review.layer
        if shape is None or layer is None or not self._is_open:
            self.clear()
            return None
        if self._band is None:
            self._band = QgsRubberBand(self._canvas, QgsWkbTypes.GeometryType.PolygonGeometry)
            self._band.setStrokeColor(_CURRENT)
            self._band.setSecondaryStrokeColor(QColor(255, 255, 255, 210))
            self._band.setFillColor(QColor(0, 0, 0, 0))
            self._band.setWidth(3)
        move = QgsCoordinateTransform(
            layer.crs(), self._canvas.mapSettings().destinationCrs(), QgsProject.instance()
        )
        moved, before = QgsGeometry(shape), self._review.before()
        try:
            moved.transform(move)
            if before is not None:
                before.transform(move)
        except QgsCsException:
            self.clear()
            return None
        self._band.setToGeometry(moved, None)
        self._show_before(before)
        box = moved.boundingBox()
        if before is not None:
            box.combineExtentWith(before.boundingBox())
        return box

    def _show_before(self, shape: Optional[QgsGeometry]) -> None:
        """The old outline of an update, dashed."""
        if shape is None:
            if self._old_band is not None:
                self._old_band.reset(QgsWkbTypes.GeometryType.PolygonGeometry)
            return
        if self._old_band is None:
            self._old_band = QgsRubberBand(self._canvas, QgsWkbTypes.GeometryType.PolygonGeometry)
            self._old_band.setStrokeColor(_BEFORE)
            self._old_band.setFillColor(QColor(0, 0, 0, 0))
            self._old_band.setLineStyle(Qt.PenStyle.DashLine)
            self._old_band.setWidth(2)
        self._old_band.setToGeometry(shape, None)

    def _follow(self, box: QgsRectangle) -> None:
        view = self._canvas.extent()
        large = max(box.width(), box.height(), 1e-9)
        wanted = _AROUND * large
        pixels = large / max(self._canvas.mapUnitsPerPixel(), 1e-12)
        middle = QgsRectangle(view)
        middle.scale(0.8)
        fits = wanted <= min(view.width(), view.height()) and pixels >= _NARROWEST
        if fits and middle.contains(box):
            return
        if fits:
            self._canvas.setCenter(box.center())
        else:
            around = QgsRectangle(box.center(), box.center())
            around.grow(wanted * 0.8)
            self._canvas.setExtent(around)
        self._canvas.refresh()

    def clear(self) -> None:
        """Take the outline off the map."""
        for band in (self._band, self._old_band):
            if band is not None:
                self._canvas.scene().removeItem(band)
        self._band = self._old_band = None


class ReviewMode(QWidget):
    """Buttons for what the keys do too; every button names its key.

    Args:
        review: What is shown and driven.
        layer: Names the layer that was chosen above.
        controller: Writes corrections; a key that goes on accepts a correction first.
        window: QGIS's main window, whose keys are taken while the review runs.
        parent: Qt's owner.
    """

    correct_wanted = pyqtSignal()
    start_wanted = pyqtSignal(object)

    def __init__(
        self,
        review: Review,
        layer: Callable[[], Optional[QgsVectorLayer]],
        controller: Controller,
        window: Optional[QWidget],
        parent: Optional[QWidget] = None,
    ) -> None:
        super().__init__(parent)
        self._review = review
        self._layer = layer
        self._correction = ReviewCorrection(review, controller, self)
        self._correction.message.connect(review.message)
        self._window = window
        self._is_open = True
        self.actions_: list[QAction] = []

        self.start = QPushButton(tr("Start the review"))
        self.start.setCheckable(True)
        self.start.setToolTip(
            tr("Go through the layer's polygons, the most doubtful first; nothing is saved unasked")
        )
        self.start.clicked.connect(self._start)
        self.save = QPushButton(tr("Save"))
        self.save.setToolTip(tr("Save the layer's edits and go on"))
        self.save.clicked.connect(self._save)
        top = QHBoxLayout()
        for button in (self.start, self.save):
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        top.addWidget(self.start, 2)
        top.addWidget(self.save, 1)

        self.place = QLabel()
        self.place.setWordWrap(True)
        self.reasons = QLabel()
        self.reasons.setWordWrap(True)
        self.progress = QProgressBar()
        self.progress.setMaximumHeight(8)
        self.progress.setTextVisible(False)
        self.progress.hide()

        grid = QGridLayout()
        grid.setSpacing(2)
        for number, (text, keys, slot) in enumerate(
            (
                (tr("Previous"), "P", lambda: self._go(-1)),
                (tr("Next"), "N", lambda: self._go(1)),
                (tr("Accept"), "A", lambda: self._decide(ACCEPTED)),
                (tr("Reject"), "X", lambda: self._decide(REJECTED)),
                (tr("Largest part"), "L", review.largest_part),
                (tr("Right angles"), "O", review.right_angles),
                (tr("Correct"), "R", self._correct),
                (tr("Open again"), "U", lambda: self._decide(OPEN)),
                (tr("Delete"), "Del", review.delete),
            )
        ):
            action = self._action(f"{text} ({keys})", keys, slot)
            button = QToolButton()
            button.setDefaultAction(action)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
            # Narrow rather than wide: the dock must not grow by a long word.
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.setToolTip(action.text())
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            grid.addWidget(button, number // 2, number % 2)
        for number in range(1, 10):
            self._action(
                tr("Class {number}").format(number=number),
                str(number),
                lambda _=False, n=number: self._set_class(n),
            )
        self.classes = QLabel()
        self.classes.setWordWrap(True)

        form = QFormLayout()
        form.setVerticalSpacing(4)
        self.status_filter = QComboBox()
        for text, value in (
            (tr("All"), None),
            (tr("Open"), OPEN),
            (tr("Accepted"), ACCEPTED),
            (tr("Rejected"), REJECTED),
        ):
            self.status_filter.addItem(text, value)
        self.class_filter = QComboBox()
        for box in (self.status_filter, self.class_filter):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        form.addRow(tr("Show status"), self.status_filter)
        form.addRow(tr("Show class"), self.class_filter)
        self.least, self.most = QgsDoubleSpinBox(), QgsDoubleSpinBox()
        for spin in (self.least, self.most):
            spin.setRange(0.0, 1e12)
            spin.setDecimals(1)
            spin.setSuffix(" m²")
            spin.setSpecialValueText(tr("off"))
            spin.setKeyboardTracking(False)
        form.addRow(tr("Least area"), self.least)
        form.addRow(tr("Largest area"), self.most)
        self.remove = QPushButton(tr("Remove what is hidden"))
        self.remove.setToolTip(tr("Delete what the filter leaves out; Ctrl+Z takes it back"))
        self.remove.clicked.connect(lambda: review.remove_hidden())

        self.inside = QWidget()
        column = QVBoxLayout(self.inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.place)
        column.addWidget(self.reasons)
        column.addLayout(grid)
        column.addWidget(self.classes)
        column.addLayout(form)
        column.addWidget(self.remove)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.progress)
        layout.addWidget(self.inside)

        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(30)
        self._soon.timeout.connect(self._show_counts)
        self.status_filter.activated.connect(self._filter)
        self.class_filter.activated.connect(self._filter)
        self.least.valueChanged.connect(self._filter)
        self.most.valueChanged.connect(self._filter)
        review.started.connect(self.show_state)
        review.stopped.connect(self.show_state)
        review.queue_changed.connect(self._soon.start)
        review.current_changed.connect(self._soon.start)
        review.progress.connect(self._show_progress)
        QApplication.instance().focusChanged.connect(self._focus_changed)
        self.show_state()

    def release(self) -> None:
        """The panel is about to be deleted."""
        QApplication.instance().focusChanged.disconnect(self._focus_changed)
        self._review.stop()
        for action in self.actions_:
            if self._window is not None:
                self._window.removeAction(action)

    def _action(self, text: str, keys: str, slot: Callable[..., Any]) -> QAction:
        action = QAction(text, self)
        action.setShortcut(QKeySequence(keys))
        action.triggered.connect(slot)
        action.setEnabled(False)
        if self._window is not None:
            self._window.addAction(action)
        self.actions_.append(action)
        return action

    # --- what is shown --------------------------------------------------------------------------

    def show_state(self) -> None:
        """Running or not."""
        running = self._review.running
        self.start.setChecked(running)
        self.start.setText(tr("End the review") if running else tr("Start the review"))
        self.save.setVisible(running)
        self.inside.setVisible(running)
        self._focus_changed()
        self._show_counts()

    def set_open(self, is_open: bool) -> None:
        """Whether the panel is open: without it the review takes no keys."""
        self._is_open = is_open
        self._focus_changed()

    def _focus_changed(self, *_: object) -> None:
        """The keys are taken while the review runs in an open panel and nobody types."""
        typed = isinstance(QApplication.focusWidget(), _TYPED_INTO)
        wanted = self._review.running and self._is_open and not typed
        for action in self.actions_:
            if action.isEnabled() != wanted:
                action.setEnabled(wanted)

    def _show_progress(self, done: int, total: int) -> None:
        self.progress.setVisible(total > 0)
        self.progress.setRange(0, total)
        self.progress.setValue(done)

    def _show_counts(self) -> None:
        review = self._review
        if not review.running:
            return
        counts = review.counts
        self.place.setText(
            tr("{at} of {total} · accepted {accepted} · rejected {rejected} · open {open}").format(
                at=review.position + 1 if review.queue else 0,
                total=len(review.queue),
                accepted=counts[ACCEPTED],
                rejected=counts[REJECTED],
                open=counts[OPEN],
            )
        )
        facts = review.facts.get(review.current) if review.current is not None else None
        self.reasons.setText("" if facts is None else self._why(facts.reasons, facts.doubt))
        if facts is not None and review.update is not None and review.layer is not None:
            change = review.layer.getFeature(review.current)
            self.reasons.setText(
                tr("{status}, probability {probability}").format(
                    status=change["status"], probability=f"{1 - facts.reasons['probability']:.2f}"
                )
            )
        names = review.classes
        numbered = (f"{number} {name}" for number, name in enumerate(names[:9], start=1))
        self.classes.setText(tr("Classes: {names}").format(names=", ".join(numbered)))
        self.classes.setVisible(bool(names))
        if review.ready:  # before, not all classes are known
            self._offer_classes(review.classes_to_show)
        self.remove.setEnabled(bool(review.hidden))

    def _offer_classes(self, names: list[str]) -> None:
        """The filter's classes; where the chosen one is not among them, all are shown."""
        if names == [self.class_filter.itemData(k) for k in range(1, self.class_filter.count())]:
            return
        blocker = QSignalBlocker(self.class_filter)
        chosen = self.class_filter.currentData()
        self.class_filter.clear()
        self.class_filter.addItem(tr("All"), None)
        for name in names:
            self.class_filter.addItem(name, name)
        self.class_filter.setCurrentIndex(max(self.class_filter.findData(chosen), 0))
        del blocker
        if self.class_filter.currentData() != chosen:
            self._filter()

    def _why(self, reasons: dict[str, float], doubt: float) -> str:
        names = {
            "score": tr("score"),
            "stability": tr("stability"),
            "probability": tr("class probability"),
            "edge": tr("edge of the raster"),
            "overlap": tr("overlap"),
            "shape": tr("shape"),
            "change": tr("change"),
        }
        strong = sorted(((value, name) for name, value in reasons.items()), reverse=True)[:3]
        words = [f"{names.get(name, name)} {value:.2f}" for value, name in strong if value >= 0.05]
        return tr("Doubt {doubt}: {reasons}").format(
            doubt=f"{doubt:.2f}", reasons=", ".join(words) or "–"
        )

    # --- what is done ---------------------------------------------------------------------------

    def _start(self, checked: bool) -> None:
        layer = self._layer()
        if not checked:
            self._review.stop()
        elif layer is not None:
            self.start_wanted.emit(layer)
        self.show_state()

    def _go(self, step: int) -> None:
        if self._correction.is_decided:
            self._review.go(step)
        else:
            self._correction.accept(lambda feature_id: self._go_from(feature_id, step))

    def _go_from(self, feature_id: int, step: int) -> None:
        if feature_id == self._review.current:
            self._review.go(step)

    def _decide(self, status: str) -> None:
        if status == REJECTED:
            self._correction.give_up()
            self._review.decide(status)
        else:
            self._correction.accept(lambda feature_id: self._review.decide(status, feature_id))

    def _set_class(self, number: int) -> None:
        label = self._review.class_of_key(number)
        if label is not None:
            self._correction.accept(lambda feature_id: self._review.give_class(label, feature_id))

    def _correct(self) -> None:
        self._correction.after(self._take_up)

    def _take_up(self) -> None:
        if self._correction.make_room():
            self.correct_wanted.emit()

    def _save(self) -> None:
        for layer in self._review.layers:
            if not autosave.save_edits(layer):
                why = "; ".join(layer.commitErrors())
                self._review.message.emit("error", f"{layer.name()}: {why}")
                return

    def _filter(self, *_: object) -> None:
        self._review.set_filter(
            ReviewFilter(
                self.class_filter.currentData(),
                self.status_filter.currentData(),
                self.least.value(),
                self.most.value(),
            )
        )
