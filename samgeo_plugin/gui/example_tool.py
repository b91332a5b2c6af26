# SPDX-License-Identifier: GPL-2.0-or-later
"""The tool that says which of the found objects are right: a click each, or an answer by key."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import (
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsProject,
    QgsRectangle,
    QgsWkbTypes,
)
from qgis.gui import QgsMapCanvas, QgsMapMouseEvent, QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import QEvent, QObject, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor

from ..interactive.classes import ClassList
from ..interactive.find_like import FindLike
from ..interactive.found_objects import Found
from .number_keys import number_of

ASKED = QColor(255, 0, 200)
_AROUND = 4.0
"""The view's width in widths of the object that is asked about, at least."""

_NARROWEST = 30.0
"""Screen pixels: a smaller object is zoomed to."""


class ExampleTool(QgsMapTool):
    """Left click: an example of the class; right click or Shift+click: of none of them.

    While an object is asked about, Y or Enter says that it is what it is shown as, X that it is
    none of the classes, 1 to 9 its class, N goes on without an answer, Esc ends the asking.

    Args:
        canvas: The map.
        find: Whose objects.
        classes: The project's classes.
    """

    asked_changed = pyqtSignal(object)
    class_wanted = pyqtSignal()
    """An object is right, and no class is known that it could be of."""

    def __init__(self, canvas: QgsMapCanvas, find: FindLike, classes: ClassList) -> None:
        super().__init__(canvas)
        self._find = find
        self._classes = classes
        self._asked: Optional[Found] = None
        self._passed: set[str] = set()
        self._wants_next = False
        self._band: Optional[QgsRubberBand] = None
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        find.sorted.connect(self._sorted)
        find.changed.connect(self._search_changed)
        canvas.destinationCrsChanged.connect(self._outline)

    def activate(self) -> None:
        super().activate()
        canvas = self.canvas()
        canvas.installEventFilter(self)
        canvas.viewport().installEventFilter(self)
        canvas.setFocus()

    def deactivate(self) -> None:
        canvas = self.canvas()
        canvas.removeEventFilter(self)
        canvas.viewport().removeEventFilter(self)
        self.ask(None)
        super().deactivate()

    def dispose(self) -> None:
        """Take the drawing away; the plugin is being unloaded."""
        self.canvas().destinationCrsChanged.disconnect(self._outline)
        if self._band is not None:
            self.canvas().scene().removeItem(self._band)
            self._band = None

    def flags(self) -> Any:
        return QgsMapTool.Flag(0)  # a right click is an answer here

    # --- clicks ---------------------------------------------------------------------------------

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        if event.button() not in (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton):
            return
        canvas_crs = self.canvas().mapSettings().destinationCrs()
        move = QgsCoordinateTransform(canvas_crs, self._find.crs, QgsProject.instance())
        try:
            point = move.transform(event.mapPoint())
        except QgsCsException:
            return
        one = self._find.at(point)
        if one is None:
            return
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        wrong = shift or event.button() == Qt.MouseButton.RightButton
        if wrong:
            self._answer(one, "")
        else:
            self._right(one, self._classes.current)

    def _right(self, one: Found, name: str = "") -> None:
        """An object is of a class; without a name, of the one that it is shown as, else of the
        first one in the list, else of the one with the most examples."""
        kept = self._find.kept.get(one.id)
        names = [name, kept[0] if kept else "", *self._classes.names, *self._find.example_classes]
        known = next((each for each in names if each), None)
        if known is None:
            self.class_wanted.emit()
        else:
            self._answer(one, known)

    def _answer(self, one: Found, name: str) -> None:
        self._find.answer(one, name)
        if self._asked is not None and self._asked.id == one.id:
            self._wants_next = True
            self.ask(None)

    # --- asking ---------------------------------------------------------------------------------

    @property
    def asked(self) -> Optional[Found]:
        """The object that is asked about."""
        return self._asked

    def ask_next(self) -> bool:
        """Go to the object that is most worth an answer; False where there is none."""
        waiting = [
            key
            for key in self._find.ask
            if key not in self._find.marked and key not in self._passed and key in self._find.found
        ]
        self._wants_next = False
        self.ask(self._find.found[waiting[0]] if waiting else None)
        return bool(waiting)

    def _sorted(self) -> None:
        """The answer has been learnt: to the next one."""
        if self._wants_next:
            self.ask_next()

    def _search_changed(self) -> None:
        """A question ends with its object and with its search: the next one, of another project
        perhaps, has its own objects by the same ids."""
        find = self._find
        self._passed.intersection_update(find.found)
        self._wants_next = self._wants_next and find.there
        asked = self._asked
        if asked is not None and not (find.there and asked.id in find.found):
            self.ask(None)

    def ask(self, one: Optional[Found]) -> None:
        """Show an object that is asked about; None for none."""
        self._asked = one
        box = self._outline()
        if box is not None:
            self._follow(box)
        self.asked_changed.emit(one)

    def _outline(self) -> Optional[QgsRectangle]:
        """Outline what is asked about; its box, None where nothing is shown."""
        if self._band is not None:
            self._band.reset(QgsWkbTypes.GeometryType.PolygonGeometry)
        if self._asked is None:
            return None
        if self._band is None:
            self._band = QgsRubberBand(self.canvas(), QgsWkbTypes.GeometryType.PolygonGeometry)
            self._band.setStrokeColor(ASKED)
            self._band.setSecondaryStrokeColor(QColor(255, 255, 255, 210))
            self._band.setFillColor(QColor(0, 0, 0, 0))
            self._band.setWidth(3)
        shape = QgsGeometry(self._asked.geometry)
        target = self.canvas().mapSettings().destinationCrs()
        try:
            shape.transform(QgsCoordinateTransform(self._find.crs, target, QgsProject.instance()))
        except QgsCsException:
            return None
        self._band.setToGeometry(shape, None)
        return shape.boundingBox()

    def _follow(self, box: QgsRectangle) -> None:
        """Bring it into view."""
        canvas = self.canvas()
        view = canvas.extent()
        large = max(box.width(), box.height(), 1e-9)
        small = large / max(canvas.mapUnitsPerPixel(), 1e-12) < _NARROWEST
        if small or _AROUND * large > min(view.width(), view.height()):
            view = type(view)(box.center(), box.center())
            view.grow(_AROUND * large)
            canvas.setExtent(view)
        elif not view.contains(box):
            canvas.setCenter(box.center())
        else:
            return
        canvas.refresh()

    # --- keys -----------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        kind = event.type()
        if kind not in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress):
            return False
        action = self._action(event)
        if action is None:
            return False
        event.accept()
        if kind == QEvent.Type.KeyPress:
            action()
        return True

    def _action(self, event: Any) -> Optional[Any]:
        """What a key does now; None leaves it to QGIS."""
        one = self._asked
        if one is None:
            return None
        number, key = number_of(event), event.key()
        if number:
            name = self._classes.numbered(number)
            return (lambda: self._answer(one, name)) if name else None
        modifiers = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
        if event.modifiers() & modifiers:
            return None
        if key in (Qt.Key.Key_Y, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            return lambda: self._right(one)
        if key == Qt.Key.Key_X:
            return lambda: self._answer(one, "")
        if key == Qt.Key.Key_N:
            return self._pass
        if key == Qt.Key.Key_Escape:
            return lambda: self.ask(None)
        return None

    def _pass(self) -> None:
        if self._asked is not None:
            self._passed.add(self._asked.id)
        self.ask_next()
