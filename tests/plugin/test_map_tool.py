# SPDX-License-Identifier: GPL-2.0-or-later
"""The tool on a real canvas: mouse and keys as Qt events become prompts; keys are given back."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsRectangle
from qgis.gui import QgsMapCanvas, QgsMapToolPan
from qgis.PyQt.QtCore import QEvent, QPoint, Qt
from qgis.PyQt.QtGui import QKeyEvent, QMouseEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication, QDockWidget, QLineEdit, QMainWindow, QSpinBox

from samgeo_plugin import settings
from samgeo_plugin.gui.map_tool import PromptTool
from samgeo_plugin.interactive.opening import READY
from samgeo_plugin.interactive.session import InteractiveSession
from samgeo_plugin.job import OpenParameters

LEFT, RIGHT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.NoButton
PLAIN = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier
KINDS = QEvent.Type


class Hand:
    """A hand on mouse and keyboard over a canvas of 400 x 400 pixels, one map unit each."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        self.canvas = canvas

    def mouse(self, kind, x: int, y: int, button=NONE, held=NONE, keys=PLAIN) -> None:
        view = self.canvas.viewport()
        at = QPoint(x, y)
        QApplication.sendEvent(
            view, QMouseEvent(kind, at, view.mapToGlobal(at), button, held, keys)
        )

    def click(self, x: int, y: int, button=LEFT, keys=PLAIN) -> None:
        self.mouse(KINDS.MouseButtonPress, x, y, button, button, keys)
        self.mouse(KINDS.MouseButtonRelease, x, y, button, NONE, keys)

    def drag(self, points: list, button=LEFT, keys=PLAIN) -> None:
        self.mouse(KINDS.MouseButtonPress, *points[0], button, button, keys)
        for point in points[1:]:
            self.mouse(KINDS.MouseMove, *point, NONE, button, keys)
        self.mouse(KINDS.MouseButtonRelease, *points[-1], button, NONE, keys)

    def double_click(self, x: int, y: int, keys=PLAIN) -> None:
        self.click(x, y, keys=keys)
        self.mouse(KINDS.MouseButtonDblClick, x, y, LEFT, LEFT, keys)
        self.mouse(KINDS.MouseButtonRelease, x, y, LEFT, NONE, keys)

    def key(self, key, keys=PLAIN) -> bool:
        """True where the tool took it before QGIS's shortcuts could."""
        override = QKeyEvent(KINDS.ShortcutOverride, key, keys)
        override.ignore()
        QApplication.sendEvent(self.canvas, override)
        taken = override.isAccepted()
        QApplication.sendEvent(self.canvas, QKeyEvent(KINDS.KeyPress, key, keys))
        return taken


@pytest.fixture
def bench(client, wait, tmp_path, qgis_app):
    """A canvas with the tool in hand and an open session."""
    raster = tmp_path / "town.tif"
    raster.touch()
    canvas = QgsMapCanvas()
    canvas.resize(400, 400)
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
    canvas.setExtent(QgsRectangle(0, 0, 400, 400))
    canvas.show()
    session = InteractiveSession(client())
    session.open(OpenParameters([str(raster)]))
    wait(lambda: session.state == READY)
    tool = PromptTool(canvas, session)
    canvas.setMapTool(tool)
    yield Hand(canvas), session, tool
    canvas.unsetMapTool(tool)
    tool.dispose()
    canvas.deleteLater()


def test_clicks_and_modifiers_become_prompts(bench):
    hand, session, _ = bench
    hand.click(100, 100)
    hand.click(110, 100, RIGHT)
    hand.click(120, 100, LEFT, SHIFT)
    assert [(p.type, p.positive) for p in session.prompts] == [
        ("point", True), ("point", False), ("point", False),
    ]  # fmt: skip
    scale = hand.canvas.getCoordinateTransform().toMapCoordinates(100, 100)
    assert session.prompts[0].coordinates == [[scale.x(), scale.y()]]


def test_a_drag_is_a_box_and_with_ctrl_a_stroke(bench, monkeypatch):
    hand, session, _ = bench
    path = [(50, 50), (80, 90), (120, 160)]
    hand.drag(path)
    assert session.prompts[0].type == "box"
    (x0, y0), (x1, y1) = session.prompts[0].coordinates
    assert x0 < x1
    assert y0 > y1, "down on the screen is south on the map"
    hand.drag(path, keys=CONTROL)
    assert session.prompts[1].type == "stroke"
    assert len(session.prompts[1].coordinates) == 3
    hand.drag(path, RIGHT)
    assert (session.prompts[2].type, session.prompts[2].positive) == ("stroke", False)
    monkeypatch.setattr(settings.DRAG.__class__, "get", lambda self: "stroke")
    hand.drag(path)
    assert session.prompts[3].type == "stroke"


def test_a_trembling_click_is_a_click(bench):
    hand, session, _ = bench
    hand.drag([(50, 50), (51, 51)])
    assert session.prompts[0].type == "point"


def test_in_a_rotated_map_a_box_stays_what_was_seen(bench):
    hand, session, _ = bench
    hand.canvas.setRotation(30)
    hand.drag([(50, 50), (120, 160)])
    assert session.prompts[0].type == "polygon"
    assert len(session.prompts[0].coordinates) == 5


def test_keys_work_and_only_while_an_object_is_in_work(bench, wait):
    hand, session, _ = bench
    shared = ((Qt.Key.Key_Tab, PLAIN), (Qt.Key.Key_Backspace, PLAIN), (Qt.Key.Key_Z, CONTROL))
    for key, keys in shared:
        assert not hand.key(key, keys), "nothing is in work: QGIS keeps its shortcuts"
    hand.click(100, 100)
    wait(lambda: session.candidates)
    assert hand.key(Qt.Key.Key_Tab)
    assert session.index == 1
    assert hand.key(Qt.Key.Key_Backtab, SHIFT)
    assert session.index == 0
    assert not hand.key(Qt.Key.Key_S, CONTROL), "saving is QGIS's"
    assert not hand.key(Qt.Key.Key_Space), "panning is QGIS's"
    assert hand.key(Qt.Key.Key_Z, CONTROL)
    assert session.prompts == ()
    hand.click(100, 100)
    hand.canvas.setMapTool(QgsMapToolPan(hand.canvas))
    assert len(session.prompts) == 1, "another tool only interrupts the object"
    assert not hand.key(Qt.Key.Key_Tab)
    assert not hand.key(Qt.Key.Key_Escape)


def test_escape_gives_up_prompt_by_prompt_and_never_the_tool(bench):
    hand, session, tool = bench
    for x in (10, 20, 30):
        hand.click(x, 10)
    counts = []
    for _ in range(2):
        hand.key(Qt.Key.Key_Escape)
        counts.append(len(session.prompts))
    assert counts == [2, 0]
    assert not hand.key(Qt.Key.Key_Escape), "nothing is left: the key is QGIS's"
    assert hand.canvas.mapTool() is tool


def test_the_object_is_still_in_work_after_pan_zoom_and_another_tool(bench, wait):
    hand, session, tool = bench
    hand.click(100, 100)
    wait(lambda: session.candidates)
    shown = session.geometry.asWkt()
    hand.canvas.setMapTool(QgsMapToolPan(hand.canvas))
    hand.canvas.zoomByFactor(0.5)
    hand.canvas.setExtent(QgsRectangle(50, 50, 250, 250))
    hand.canvas.setMapTool(tool)
    assert session.geometry.asWkt() == shown
    hand.click(110, 100)
    assert len(session.prompts) == 2, "the next click corrects the same object"


def test_forty_clicks_with_enter_on_a_slow_engine_give_forty_objects_in_order(
    client, wait, tmp_path, qgis_app
):
    raster = tmp_path / "town.tif"
    raster.touch()
    canvas = QgsMapCanvas()
    canvas.resize(400, 400)
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
    canvas.setExtent(QgsRectangle(0, 0, 400, 400))
    canvas.show()
    session = InteractiveSession(client("slow=0.03"))
    session.open(OpenParameters([str(raster)]))
    tool = PromptTool(canvas, session)
    canvas.setMapTool(tool)
    hand, accepted = Hand(canvas), []
    session.accepted.connect(accepted.append)
    places = [(20 + 40 * (k % 9), 20 + 60 * (k // 9)) for k in range(40)]
    for x, y in places:
        hand.click(x, y)
        assert hand.key(Qt.Key.Key_Return)
        assert session.prompts == ()
        QTest.qWait(10)
    assert session.pending > 20, "the engine is behind"
    wait(lambda: len(accepted) == 40, 30)
    to_map = canvas.getCoordinateTransform()
    for one, (x, y) in zip(accepted, places):  # noqa: B905 - Python 3.9
        assert one.geometry.boundingBox().center().distance(to_map.toMapCoordinates(x, y)) < 2
    assert session.pending == 0
    canvas.unsetMapTool(tool)
    tool.dispose()


def test_enter_accepts_from_the_panel_and_leaves_other_editors_alone(
    client, wait, tmp_path, qgis_app
):
    raster = tmp_path / "town.tif"
    raster.touch()
    window = QMainWindow()
    canvas = QgsMapCanvas(window)
    window.setCentralWidget(canvas)
    dock = QDockWidget(window)
    dock.setObjectName("SamGeoSeamlessDock")
    ours, theirs = QSpinBox(), QLineEdit(window)
    dock.setWidget(ours)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
    canvas.setExtent(QgsRectangle(0, 0, 400, 400))
    window.resize(600, 400)
    window.show()
    session = InteractiveSession(client())
    session.open(OpenParameters([str(raster)]))
    wait(lambda: session.state == READY)
    tool = PromptTool(canvas, session)
    canvas.setMapTool(tool)
    hand, accepted = Hand(canvas), []
    session.accepted.connect(accepted.append)
    window.activateWindow()
    hand.click(100, 100)
    wait(lambda: session.candidates)
    ours.setFocus()
    QTest.keyClick(ours, Qt.Key.Key_Return)
    wait(lambda: len(accepted) == 1)
    hand.click(100, 100)
    wait(lambda: session.candidates)
    theirs.setFocus()
    QTest.keyClick(theirs, Qt.Key.Key_Return)
    assert len(session.prompts) == 1, "somebody types there"
    canvas.unsetMapTool(tool)
    ours.setFocus()
    QTest.keyClick(ours, Qt.Key.Key_Return)
    assert len(session.prompts) == 1, "another tool is in hand"
    tool.dispose()
    window.deleteLater()


def test_enter_and_double_click_accept(bench, wait):
    hand, session, _ = bench
    accepted = []
    session.accepted.connect(accepted.append)
    hand.click(100, 100)
    wait(lambda: session.candidates)
    hand.key(Qt.Key.Key_Return)
    wait(lambda: len(accepted) == 1)
    hand.double_click(200, 200)
    wait(lambda: len(accepted) == 2)
    assert session.prompts == (), "the double click leaves no prompt behind"


def test_a_double_click_that_chooses_polygons_accepts_nothing(bench, wait):
    hand, session, tool = bench
    accepted = []
    session.accepted.connect(accepted.append)
    tool._editor = MagicMock(layer=None, chosen=[], can_undo=False)
    tool._editor.take_up.return_value = None
    hand.click(100, 100)
    hand.click(110, 100)
    wait(lambda: session.candidates and not session.is_waiting)
    hand.double_click(300, 300, CONTROL)
    assert tool._editor.toggle.call_count == 2
    assert len(session.prompts) == 2
    assert not session.pending
    assert not accepted


def test_hover_follows_the_mouse_and_ends_with_the_map(bench, wait):
    hand, session, _ = bench
    shown = []
    session.hover_changed.connect(shown.append)
    hand.mouse(KINDS.MouseMove, 100, 100)
    wait(lambda: any(shown))
    QApplication.sendEvent(hand.canvas.viewport(), QEvent(KINDS.Leave))
    assert shown[-1] is None


def test_a_selected_polygon_is_a_prompt(bench):
    _, session, tool = bench
    tool.add_polygon(
        QgsGeometry.fromWkt("MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((10 10,30 10,30 30,10 10)))")
    )
    assert session.prompts[0].type == "polygon"
    assert [10.0, 10.0] in session.prompts[0].coordinates, "the largest part counts"


def test_nothing_stays_on_the_canvas(bench, wait):
    hand, session, tool = bench
    before = len(hand.canvas.scene().items())
    hand.click(100, 100)
    hand.click(110, 100, RIGHT)
    hand.drag([(50, 50), (120, 160)])
    wait(lambda: session.candidates)
    assert len(hand.canvas.scene().items()) > before
    session.clear()
    assert len(hand.canvas.scene().items()) == before
    hand.canvas.unsetMapTool(tool)
    tool.dispose()
    assert len(hand.canvas.scene().items()) < before


def test_escape_or_another_tool_ends_splitting_and_the_next_box_cuts_nothing(bench):
    hand, session, tool = bench
    tool._editor = MagicMock(layer=object(), chosen=[], can_undo=False)
    for end in ("escape", "tool"):
        assert hand.key(Qt.Key.Key_S)
        if end == "escape":
            assert hand.key(Qt.Key.Key_Escape)
            assert not hand.key(Qt.Key.Key_Escape), "the next one is QGIS's"
        else:
            hand.canvas.unsetMapTool(tool)
            hand.canvas.setMapTool(tool)
        hand.drag([(100, 100), (150, 150), (200, 180)])
        assert session.prompts[-1].type == "box", end
        session.clear()
    tool._editor.split.assert_not_called()
