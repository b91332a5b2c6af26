# SPDX-License-Identifier: GPL-2.0-or-later
"""The tool on the map: clicks, boxes, strokes and keys become prompts of the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from qgis.core import QgsGeometry, QgsPointXY
from qgis.gui import QgsMapCanvas, QgsMapMouseEvent, QgsMapTool
from qgis.PyQt.QtCore import QEvent, QObject, QPoint, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QApplication

from .. import settings
from ..interactive.classes import ClassList
from ..interactive.editor import LayerEditor
from ..interactive.engine_session import View
from ..interactive.place import Place, largest_part_number, parts_of
from ..interactive.session import InteractiveSession
from ..job import Prompt
from .accept_shortcut import AcceptShortcut
from .number_keys import number_of
from .overlay import Overlay

DOCK = "SamGeoSeamlessDock"
BOX = "box"
STROKE = "stroke"

_ACCEPT = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_NEXT = (Qt.Key.Key_Tab, Qt.Key.Key_Backtab)


class PromptTool(QgsMapTool):
    """Left click adds, right click or Shift removes, a drag is a box or (with Ctrl) a stroke.

    With nothing in work, a click on an existing polygon of the target layer takes that up; Alt
    begins a new object there. Ctrl+click selects several; M merges, Delete deletes, and after S a
    drawn line splits. While an object is in work, 1 to 9 are classes of the project.

    Its keys are taken by an event filter that exists only while the tool is active: QGIS's own
    shortcuts (Ctrl+Z, Backspace, Esc) get them back as soon as another tool is chosen, and while
    there is no object in work. Space and the middle button pan, as everywhere in QGIS. Another
    tool (pan, zoom, identify) only interrupts: the object in work is shown and stays.

    Args:
        canvas: The map.
        session: What prompts go to.
        editor: What existing polygons are changed with; None for none.
        classes: The project's, for the number keys; None for none.
        open_raster: Opens the raster where a prompt is about to be given; False, with a sentence,
            where it cannot be.
    """

    taken = pyqtSignal()
    """The tool is in hand."""

    def __init__(
        self,
        canvas: QgsMapCanvas,
        session: InteractiveSession,
        editor: Optional[LayerEditor] = None,
        classes: Optional[ClassList] = None,
        open_raster: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(canvas)
        self._editor = editor
        self._classes = classes
        self._open_raster = open_raster
        self._splits = False
        self._alone = False
        self._session = session
        self._overlay: Optional[Overlay] = None
        self._pressed: Optional[QPoint] = None
        self._positive = True
        self._drawing: Optional[str] = None
        self._stroke: list[QgsPointXY] = []
        self._swallow_release = False
        self._was_prompt = False
        self._listening = False
        self._enter = AcceptShortcut(canvas.window(), session, DOCK)
        self.setCursor(Qt.CursorShape.CrossCursor)
        session.changed.connect(self._show)
        if classes is not None:
            classes.changed.connect(self._show)
        session.hover_changed.connect(self._show_hover)

    # --- activation -----------------------------------------------------------------------------

    def activate(self) -> None:
        super().activate()
        canvas = self.canvas()
        if self._overlay is None:
            self._overlay = Overlay(canvas)
        self._listening = True
        self._enter.set_in_hand(True)
        canvas.installEventFilter(self)
        canvas.viewport().installEventFilter(self)
        canvas.destinationCrsChanged.connect(self._map_changed)
        canvas.extentsChanged.connect(self._map_changed)
        canvas.temporalRangeChanged.connect(self._map_changed)
        self._map_changed()
        canvas.setFocus()
        self.taken.emit()
        self._show()

    def deactivate(self) -> None:
        canvas = self.canvas()
        canvas.removeEventFilter(self)
        canvas.viewport().removeEventFilter(self)
        if self._listening:
            self._listening = False
            canvas.destinationCrsChanged.disconnect(self._map_changed)
            canvas.extentsChanged.disconnect(self._map_changed)
            canvas.temporalRangeChanged.disconnect(self._map_changed)
        self._enter.set_in_hand(False)
        self._end_split()
        self._stop_drawing()
        self._session.leave()
        super().deactivate()

    def dispose(self) -> None:
        """Take the drawings and the shortcut away; the plugin is being unloaded."""
        self._enter.dispose()
        if self._overlay is not None:
            self._overlay.remove()
            self._overlay = None

    def flags(self) -> Any:
        # A right click is a prompt here, so no context menu.
        return QgsMapTool.Flag(0)

    def _map_changed(self) -> None:
        self._session.use_map(View.of(self.canvas().mapSettings()))

    # --- mouse ----------------------------------------------------------------------------------

    def canvasPressEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        if event.button() not in (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton):
            return
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self._swallow_release = False
        self._pressed = QPoint(event.pixelPoint())
        self._positive = event.button() == Qt.MouseButton.LeftButton and not shift
        self._alone = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        self._drawing = None

    def canvasMoveEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        point = event.mapPoint()
        if self._pressed is None:
            self._session.move(point)
            return
        if self._drawing is None:
            distance = (event.pixelPoint() - self._pressed).manhattanLength()
            if distance < QApplication.startDragDistance():
                return
            self._begin_drawing(event)
        if self._overlay is None:
            return
        if self._drawing == BOX:
            self._overlay.show_box(self.toMapCoordinates(self._pressed), point)
        elif self._drawing == STROKE and point != self._stroke[-1]:
            self._stroke.append(point)
            self._overlay.extend_stroke(point)

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        if self._swallow_release:
            self._swallow_release = False
            return
        if self._pressed is None:
            return
        before = self._session.prompts
        start, drawing, stroke = self._pressed, self._drawing, list(self._stroke)
        positive = self._positive
        self._stop_drawing()
        point = event.mapPoint()
        if drawing == BOX:
            corner = self.toMapCoordinates(start)
            corners = [[corner.x(), corner.y()], [point.x(), point.y()]]
            if self.canvas().rotation():
                self._add(Prompt("polygon", self._screen_box(start, event.pixelPoint())))
            else:
                self._add(Prompt("box", corners))
        elif drawing == STROKE and self._splits and self._editor is not None:
            self._splits = False
            self._editor.split(stroke)
        elif drawing == STROKE:
            self._add(Prompt("stroke", [[p.x(), p.y()] for p in stroke], positive))
        elif event.modifiers() & Qt.KeyboardModifier.ControlModifier and self._editor is not None:
            self._editor.toggle(point)
        elif not self._take_up(point, positive):
            self._add(Prompt("point", [[point.x(), point.y()]], positive))
        self._was_prompt = self._session.prompts != before

    def _take_up(self, point: QgsPointXY, positive: bool) -> bool:
        """An existing polygon is corrected, unless Alt says that another one is begun in it.

        While accepted objects are still being made, somebody works ahead and means new ones.
        """
        session = self._session
        if self._editor is None or self._alone or not positive:
            return False
        if session.prompts or session.pending:
            return False
        place = self._editor.take_up(point)
        return place is not None and self.correct(place)

    def correct(self, place: Place) -> bool:
        """Take an existing polygon up; False where it has no outline."""
        ring = place.ring
        if ring is None:
            return False
        self._open_raster()
        begin = self._session.take_up if self._editor is None else self._editor.correct
        begin(Prompt("polygon", ring), place)
        return True

    def canvasDoubleClickEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if not self._was_prompt:
            self.canvasPressEvent(event)  # two clicks, as each of them is with Ctrl
            return
        self._swallow_release = True
        self._pressed = None
        self._session.accept_before_last()

    def _begin_drawing(self, event: QgsMapMouseEvent) -> None:
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        as_stroke = self._splits or control != (settings.DRAG.get() == STROKE)
        # Only a stroke can say what does not belong; a box never does.
        self._drawing = STROKE if as_stroke or not self._positive else BOX
        self._session.leave()
        if self._drawing == STROKE and self._overlay is not None and self._pressed is not None:
            first = self.toMapCoordinates(self._pressed)
            self._stroke = [first]
            self._overlay.start_stroke(self._positive)
            self._overlay.extend_stroke(first)

    def _screen_box(self, start: QPoint, end: QPoint) -> list[list[float]]:
        corners = [start, QPoint(end.x(), start.y()), end, QPoint(start.x(), end.y()), start]
        points = [self.toMapCoordinates(corner) for corner in corners]
        return [[p.x(), p.y()] for p in points]

    def _stop_drawing(self) -> None:
        self._pressed = None
        self._drawing = None
        self._stroke = []
        if self._overlay is not None:
            self._overlay.show_box(None, None)
            self._overlay.end_stroke()

    def _add(self, prompt: Prompt) -> None:
        if self._open_raster():
            self._session.add(prompt)

    def add_polygon(self, geometry: QgsGeometry) -> None:
        """A polygon (in the map's CRS) as a mask prompt: its largest part's outer ring."""
        number = largest_part_number(geometry)
        if number is not None:
            ring = [[p.x(), p.y()] for p in parts_of(geometry)[number][0]]
            self._add(Prompt("polygon", ring))

    # --- keys -----------------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        kind = event.type()
        if kind == QEvent.Type.Leave and watched is self.canvas().viewport():
            self._session.leave()
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
        session, key = self._session, event.key()
        plain = not event.modifiers() & (
            Qt.KeyboardModifier.ControlModifier
            | Qt.KeyboardModifier.AltModifier
            | Qt.KeyboardModifier.MetaModifier
        )
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        undo = (plain and key == Qt.Key.Key_Backspace) or (control and key == Qt.Key.Key_Z)
        if undo and (session.prompts or session.pending):
            return session.undo
        if plain and key == Qt.Key.Key_Escape:
            if session.prompts or self._drawing is not None:
                return self._escape
            if self._splits:
                return self._end_split
        editor = self._editor
        if control and key == Qt.Key.Key_Z and editor is not None and editor.can_undo:
            return editor.undo
        if plain and editor is not None and editor.chosen:
            if key == Qt.Key.Key_Delete:
                return editor.delete
            if key == Qt.Key.Key_M:
                return editor.merge
        if plain and key == Qt.Key.Key_S and editor is not None and editor.layer is not None:
            return self._begin_split
        if not session.prompts:
            return None
        name = self._classes.numbered(number_of(event)) if self._classes is not None else ""
        if name:
            return lambda: self._say_class(name)
        if plain and key in _ACCEPT:
            return session.accept
        if plain and key in _NEXT:
            return lambda: session.next_candidate(-1 if key == Qt.Key.Key_Backtab else 1)
        return None

    def _say_class(self, name: str) -> None:
        """The object in work, and those after it, are of a class."""
        if self._classes is not None:
            self._classes.choose(name)
        self._session.say_class(name)

    def _begin_split(self) -> None:
        """The next drag is a line that splits."""
        self._splits = True

    def _end_split(self) -> None:
        """The next drag is what it always is."""
        self._splits = False

    def _escape(self) -> None:
        self._splits = False
        if self._drawing is not None:
            self._stop_drawing()
        else:
            self._session.escape()

    # --- drawing --------------------------------------------------------------------------------

    def _show(self) -> None:
        session = self._session
        if self._overlay is not None:
            self._overlay.show_object(session.geometry, self._colour())
            self._overlay.show_prompts((*session.pending_prompts, *session.prompts))

    def _colour(self) -> Optional[QColor]:
        """Of the class that the object in work gets."""
        if self._classes is None:
            return None
        return self._classes.colour(self._session.class_in_work)

    def _show_hover(self, geometry: Optional[QgsGeometry]) -> None:
        if self._overlay is not None:
            shown = geometry if self._listening and settings.HOVER.get() else None
            self._overlay.show_hover(shown)
