# SPDX-License-Identifier: GPL-2.0-or-later
"""Online layers: a server on this machine, used without a dialog, and deleted at the end."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsPointXY, QgsProject, QgsRasterLayer
from qgis.core import QgsRectangle as Box
from qgis.PyQt.QtCore import QBuffer, QByteArray, QIODevice
from qgis.PyQt.QtGui import QColor, QImage

from samgeo_plugin import settings
from samgeo_plugin.interactive.engine_session import View
from samgeo_plugin.interactive.online import OnlineView
from samgeo_plugin.interactive.opening import READY
from samgeo_plugin.job import Prompt


@pytest.fixture
def tiles(qgis_app):
    """An XYZ server with one colour; it counts what it was asked for."""
    image = QImage(256, 256, QImage.Format.Format_RGB32)
    image.fill(QColor(90, 140, 60))
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(bytes(data))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/%7Bz%7D/%7Bx%7D/%7By%7D.png"
    layer = QgsRasterLayer(f"type=xyz&zmin=0&zmax=19&url={url}", "online", "wms")
    assert layer.isValid()
    QgsProject.instance().addMapLayer(layer)
    yield layer, asked
    server.shutdown()
    server.server_close()
    QgsProject.instance().removeAllMapLayers()


def test_clicks_on_an_online_layer_need_no_dialog_and_nothing_is_left(loaded, tiles, wait):
    layer, asked = tiles
    canvas, controller = loaded.iface.canvas, loaded.controller
    session = controller.session
    canvas.resize(300, 300)
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    canvas.setExtent(Box(9500000, 3200000, 9500150, 3200150))
    loaded.iface.active = layer
    accepted: list = []
    session.accepted.connect(accepted.append)
    loaded.tool_action.trigger()
    session.add(Prompt("point", [[9500075, 3200075]]))
    assert session.accept(), "accepted while the view is still being rendered"
    wait(lambda: len(accepted) == 1, 30)
    assert session.state == READY
    assert asked
    assert accepted[0].geometry.contains(QgsPointXY(9500075, 3200075))
    first = controller.parameters().rasters[0]
    assert Path(first).is_file()

    canvas.setExtent(Box(9501000, 3200000, 9501150, 3200150))
    loaded.tool.wanted.emit()
    session.add(Prompt("point", [[9501075, 3200075]]))
    assert session.accept()
    wait(lambda: len(accepted) == 2, 30)
    assert accepted[1].geometry.contains(QgsPointXY(9501075, 3200075))
    second = controller.parameters().rasters[0]
    assert second != first
    assert "MB are kept" in loaded.dock.source._rendered.text()

    settings.RENDER_CACHE.set(0)
    controller.online.remove_old(second)
    assert not Path(first).exists()
    assert Path(second).exists(), "the one in use stays"
    loaded.unload()
    assert not Path(second).parent.exists()


def test_a_view_that_moves_with_the_tool_in_hand_is_rendered_before_the_click(loaded, tiles, wait):
    layer, _ = tiles
    canvas, controller = loaded.iface.canvas, loaded.controller
    canvas.resize(300, 300)
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    canvas.setExtent(Box(9500000, 3200000, 9500150, 3200150))
    loaded.iface.active = layer
    loaded.tool_action.trigger()
    wait(lambda: controller.session.state == READY, 30)
    canvas.setExtent(Box(9500020, 3200000, 9500170, 3200150))
    controller.set_extent(canvas.extent())
    controller.look_online()
    assert not controller.online.is_running, "a small move stays within what is rendered"
    canvas.setExtent(Box(9502000, 3200000, 9502150, 3200150))
    loaded._map_rests()
    assert controller.online.is_running
    wait(lambda: len(controller.online.kept) == 2, 30)
    QgsProject.instance().clear()
    assert controller.online.kept == []


def test_a_layer_that_goes_while_it_is_rendered_leaves_the_next_one_free(town, tiles, wait):
    layer, _ = tiles
    view, failures, made = View(town.crs(), 0.5), [], []
    online = OnlineView()
    online.failed.connect(failures.append)
    online.ready.connect(made.append)
    online.request(town, town.extent(), view)
    wanted = Box(town.extent())
    wanted.grow(500)
    QgsProject.instance().removeMapLayer(town.id())
    wait(lambda: not online.is_running)
    assert failures == ["The rendering was cancelled."]
    online.request(layer, wanted, view)
    gone = layer.clone()
    QgsProject.instance().addMapLayer(gone)
    online.request(gone, Box(wanted.xMaximum(), 0, wanted.xMaximum() + 10, 10), view)
    QgsProject.instance().removeMapLayer(gone.id())
    wait(lambda: not online.is_running)
    assert made == []
    online.request(layer, Box(300000, 3000000, 300020, 3000020), view)
    wait(lambda: made, 30)
    assert made[0].layer_id == layer.id()
    online.remove_all()
