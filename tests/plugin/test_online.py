# SPDX-License-Identifier: GPL-2.0-or-later
"""Online layers: a server on this machine, used without a dialog, and deleted at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsDateTimeRange,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.core import QgsRectangle as Box
from qgis.PyQt.QtCore import QBuffer, QByteArray, QDateTime, QIODevice
from qgis.PyQt.QtGui import QColor, QImage

from samgeo_plugin import settings
from samgeo_plugin.gui.render_dialog import RenderDialog
from samgeo_plugin.interactive import online, runs
from samgeo_plugin.interactive.automatic import AREA, RASTER, VIEW
from samgeo_plugin.interactive.engine_session import View
from samgeo_plugin.interactive.find_like import FINDING, IDLE
from samgeo_plugin.interactive.online import Needed, OnlineView
from samgeo_plugin.interactive.opening import OPENING, READY
from samgeo_plugin.interactive.search_kinds import EVERYTHING
from samgeo_plugin.job import Prompt

EDGE = 20037508.342789244 * (2 * 24163 / 2**15 - 1)
"""Metres: between two columns of tiles."""

MERCATOR = QgsCoordinateReferenceSystem("EPSG:3857")


class Tiles:
    """An XYZ server with one colour, whatever stands before the tile's numbers.

    Attributes:
        layer: Of the project.
        asked: Paths that it was asked for.
        refuse: Says the status of a refusal for a path; 0 for none.
    """

    def __init__(self) -> None:
        image = QImage(256, 256, QImage.Format.Format_RGB32)
        image.fill(QColor(90, 140, 60))
        data = QByteArray()
        buffer = QBuffer(data)
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        image.save(buffer, "PNG")
        self.asked: list[str] = []
        self.refuse: Callable[[str], int] = lambda path: 0
        tiles = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                tiles.asked.append(self.path)
                self.send_response(tiles.refuse(self.path) or 200)
                self.send_header("Content-Type", "image/png")
                self.end_headers()
                if not tiles.refuse(self.path):
                    self.wfile.write(bytes(data))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.layer = QgsRasterLayer(self.source(), "online", "wms")
        assert self.layer.isValid()
        QgsProject.instance().addMapLayer(self.layer)

    def source(self, before: str = "") -> str:
        tile = "%7Bz%7D/%7Bx%7D/%7By%7D.png"
        url = f"http://127.0.0.1:{self.server.server_port}/{before}{tile}"
        return f"type=xyz&zmin=0&zmax=19&url={url}"


@pytest.fixture
def tiles(qgis_app):
    tiles = Tiles()
    yield tiles
    tiles.server.shutdown()
    tiles.server.server_close()
    QgsProject.instance().removeAllMapLayers()


def look_at(plugin, x: float, side: float = 150, y: float = 3200000) -> None:
    """The map shows this place, in Web Mercator; each test has its own, which no cache knows."""
    canvas = plugin.iface.canvas
    canvas.resize(300, 300)
    canvas.setDestinationCrs(MERCATOR)
    canvas.setExtent(Box(x, y, x + side, y + side))


def opened(plugin, tiles, wait) -> str:
    """The path of the view's rendering, opened with the tool in hand."""
    plugin.iface.active = tiles.layer
    plugin.tool_action.trigger()
    wait(lambda: plugin.controller.session.state == READY, 30)
    return plugin.controller.parameters().rasters[0]


def test_clicks_on_an_online_layer_need_no_dialog_and_nothing_is_left(loaded, tiles, wait):
    layer, asked = tiles.layer, tiles.asked
    canvas, controller = loaded.iface.canvas, loaded.controller
    session = controller.session
    look_at(loaded, 9500000)
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
    loaded._tool_wanted()
    session.add(Prompt("point", [[9501075, 3200075]]))
    assert session.accept()
    wait(lambda: len(accepted) == 2, 30)
    assert accepted[1].geometry.contains(QgsPointXY(9501075, 3200075))
    second = controller.parameters().rasters[0]
    assert second != first
    assert "MB are kept" in loaded.dock.source._rendered.text()

    settings.RENDER_CACHE.set(0)
    controller.online.renderings.remove_old(second, first)
    assert Path(first).exists(), "an accepted object is still to be made of it"
    controller.online.renderings.remove_old(second)
    assert not Path(first).exists()
    assert Path(second).exists(), "the one in use stays"
    loaded.unload()
    assert not Path(second).parent.exists()


def test_a_view_that_moves_with_the_tool_in_hand_is_rendered_before_the_click(loaded, tiles, wait):
    layer = tiles.layer
    canvas, controller = loaded.iface.canvas, loaded.controller
    look_at(loaded, 9500000)
    loaded.iface.active = layer
    loaded.tool_action.trigger()
    wait(lambda: controller.session.state == READY, 30)
    canvas.setExtent(Box(9500020, 3200000, 9500170, 3200150))
    controller.online.extent = canvas.extent()
    controller.online.look()
    assert not controller.online.renderings.is_running, "a small move stays within what is rendered"
    canvas.setExtent(Box(9502000, 3200000, 9502150, 3200150))
    loaded._map_rests()
    assert controller.online.renderings.is_running
    wait(lambda: len(controller.online.renderings.kept) == 2, 30)
    QgsProject.instance().clear()
    assert controller.online.renderings.kept == []


def test_a_layer_that_goes_while_it_is_rendered_leaves_the_next_one_free(town, tiles, wait):
    layer = tiles.layer
    view, failures, made = View(town.crs(), 0.5), [], []
    online = OnlineView()
    online.failed.connect(failures.append)
    online.ready.connect(made.append)
    online.request(town, Needed(town.extent(), view))
    wanted = Box(town.extent())
    wanted.grow(500)
    QgsProject.instance().removeMapLayer(town.id())
    wait(lambda: not online.is_running)
    assert failures == ["The rendering was cancelled."]
    online.request(layer, Needed(wanted, view))
    gone = layer.clone()
    QgsProject.instance().addMapLayer(gone)
    online.request(gone, Needed(Box(wanted.xMaximum(), 0, wanted.xMaximum() + 10, 10), view))
    QgsProject.instance().removeMapLayer(gone.id())
    wait(lambda: not online.is_running)
    assert made == []
    online.request(layer, Needed(Box(300000, 3000000, 300020, 3000020), view))
    wait(lambda: made, 30)
    assert made[0].layer_id == layer.id()
    online.remove_all()


def test_a_layer_that_looks_different_now_is_rendered_again(loaded, tiles, wait):
    look_at(loaded, 9510000)
    controller, layer = loaded.controller, tiles.layer
    paths = {opened(loaded, tiles, wait)}
    layer.setDataSource(tiles.source("b/"), "online", "wms")
    loaded._tool_wanted()
    wait(lambda: controller.session.state == READY, 30)
    paths.add(controller.parameters().rasters[0])
    assert any(path.startswith("/b/") for path in tiles.asked)
    assert not loaded.dock.source.render.isHidden()
    layer.brightnessFilter().setBrightness(80)
    loaded._tool_wanted()
    wait(lambda: controller.session.state == READY, 30)
    paths.add(controller.parameters().rasters[0])
    assert len(paths) == 3
    loaded._tool_wanted()
    assert controller.session.state == READY, "it looks as it did"


def year(number: int) -> QgsDateTimeRange:
    first, last = (QDateTime.fromString(f"{y}-01-01", "yyyy-MM-dd") for y in (number, number + 1))
    return QgsDateTimeRange(first, last, True, False)


def test_a_layer_with_times_is_seen_at_the_time_of_the_map(loaded, tiles, wait):
    look_at(loaded, 9516000)
    canvas, controller = loaded.iface.canvas, loaded.controller
    times = tiles.layer.temporalProperties()
    times.setMode(Qgis.RasterTemporalMode.FixedTemporalRange)
    times.setFixedTemporalRange(year(2019))
    times.setIsActive(True)
    canvas.setTemporalRange(year(2019))
    shown = [opened(loaded, tiles, wait)]
    for number in (2020, 2019):
        canvas.setTemporalRange(year(number))
        assert loaded._moved.isActive(), "with the tool in hand it is rendered before the click"
        loaded._map_rests()
        wait(lambda: not controller.online.renderings.is_running, 30)
        shown.append(controller.parameters().rasters[0])
    assert shown[2] == shown[0]
    alpha = [gdal.Open(path).ReadAsArray()[3].max() for path in shown[:2]]
    assert alpha == [255, 0], "nothing of it is on the map of 2020"


def test_a_layer_without_times_is_rendered_once_whatever_time_the_map_shows(loaded, tiles, wait):
    look_at(loaded, 9517000)
    opened(loaded, tiles, wait)
    loaded.iface.canvas.setTemporalRange(year(2019))
    loaded._map_rests()
    assert not loaded.controller.online.renderings.is_running


def test_the_dialog_renders_what_the_map_shows_at_its_time(loaded):
    loaded.iface.canvas.setTemporalRange(year(2019))
    assert RenderDialog("online", loaded.iface.canvas).plan.times == year(2019)


def test_a_rendering_that_the_server_refused_is_not_kept(loaded, tiles, wait):
    look_at(loaded, 9511000)
    controller, session = loaded.controller, loaded.controller.session
    tiles.refuse = lambda path: 503
    loaded.iface.active = tiles.layer
    loaded.tool_action.trigger()
    wait(lambda: tiles.asked and not controller.online.renderings.is_running, 30)
    assert "online could not be loaded (503" in loaded.iface.text()
    assert controller.online.renderings.kept == []
    assert session.state != READY
    tiles.refuse = lambda path: 0
    loaded._tool_wanted()
    wait(lambda: session.state == READY, 30)
    assert len(controller.online.renderings.kept) == 1


def test_two_clicks_while_the_view_is_rendered_are_both_of_the_object(loaded, tiles, wait):
    look_at(loaded, 9512000)
    session = loaded.controller.session
    loaded.iface.active = tiles.layer
    loaded.tool_action.trigger()
    for x in (9512070, 9512080):
        loaded.tool._add(Prompt("point", [[x, 3200075]]))
    assert loaded.controller.online.renderings.is_running
    wait(lambda: session.state == READY and session.candidates, 30)
    assert len(session.prompts) == 2


def test_clicks_while_the_raster_is_opened_stay_where_the_next_one_needs_more_of_it(
    loaded, tiles, wait
):
    look_at(loaded, 9516000)
    online, session = loaded.controller.online, loaded.controller.session
    loaded.iface.active = tiles.layer
    loaded.tool_action.trigger()
    wait(lambda: online.renderings.kept, 30)
    assert session.state == OPENING
    for x in (9516075, 9517075):
        look_at(loaded, x - 75)
        loaded.tool._add(Prompt("point", [[x, 3200075]]))
    assert online.renderings.is_running, "the second one lies outside what is rendered"
    wait(lambda: session.state == READY and session.candidates, 30)
    assert [prompt.coordinates[0][0] for prompt in session.prompts] == [9516075, 9517075]


def test_a_click_elsewhere_is_answered_while_accepted_objects_are_still_to_come(
    loaded, tiles, wait
):
    look_at(loaded, 9518000)
    online, session = loaded.controller.online, loaded.controller.session
    opened(loaded, tiles, wait)
    loaded.words["text"] = "slow=0.5"
    loaded.controller.client.stop_and_wait()
    loaded._tool_wanted()
    wait(lambda: session.state == READY, 30)
    for x in (9518070, 9518080, 9518090):
        loaded.tool._add(Prompt("point", [[x, 3200075]]))
        assert session.accept()
    look_at(loaded, 9519000)
    loaded.tool._add(Prompt("point", [[9519075, 3200075]]))
    wait(lambda: len(online.renderings.kept) == 2, 30)
    assert session.pending
    wait(lambda: session.candidates, 30)
    assert session.candidates[0].geometry.contains(QgsPointXY(9519075, 3200075))


def test_parts_that_the_server_refused_are_said_and_asked_for_again(
    loaded, tiles, wait, monkeypatch
):
    look_at(loaded, EDGE - 75)
    controller, session = loaded.controller, loaded.controller.session
    tiles.refuse = lambda path: 503 if int(path.split("/")[-2]) % 2 else 0
    first = opened(loaded, tiles, wait)
    assert "Parts of online could not be loaded (503" in loaded.iface.text()
    loaded._tool_wanted()
    assert session.state == READY, "what is there can be clicked"
    tiles.refuse = lambda path: 0
    now = online.time.monotonic() + online._AGAIN
    monkeypatch.setattr(online.time, "monotonic", lambda: now)
    loaded._tool_wanted()
    wait(lambda: session.state == READY, 30)
    assert controller.parameters().rasters[0] != first


def test_a_place_without_tiles_is_no_failure(loaded, tiles, wait):
    look_at(loaded, 9514000)
    tiles.refuse = lambda path: 404
    opened(loaded, tiles, wait)
    assert "could not be loaded" not in loaded.iface.text()
    assert len(loaded.controller.online.renderings.kept) == 1


@pytest.fixture
def search(loaded, tiles):
    """The panel, told to find everything; what is found stays among the candidates."""
    QgsProject.instance().removeEntry("samgeo_seamless", "runs")
    loaded.automatic.runs._read()
    loaded.controller.choose(raster=tiles.layer.id())
    panel = loaded.dock.find
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    panel.into.setChecked(False)

    def start(where: str) -> None:
        panel.where.setCurrentIndex(panel.where.findData(where))
        panel.start.click()

    yield start
    settings.RENDER_LIMIT.clear()


def add_area(plugin, box: Box) -> None:
    area = QgsVectorLayer("Polygon?crs=EPSG:3857", "area", "memory")
    feature = QgsFeature(area.fields())
    feature.setGeometry(QgsGeometry.fromRect(box))
    area.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(area)
    plugin.dock.find.area.setLayer(area)


def ended(plugin) -> bool:
    items = plugin.automatic.runs.items
    return bool(items) and items[-1].state != runs.RUNNING


def test_a_search_goes_on_while_the_map_moves(loaded, tiles, search, wait):
    look_at(loaded, 9520000)
    first = opened(loaded, tiles, wait)
    loaded.words["text"] = "tile=0.3"
    loaded.controller.client.stop_and_wait()
    controller = loaded.controller
    loaded._tool_wanted()
    wait(lambda: controller.session.state == READY, 30)
    search(VIEW)
    wait(lambda: loaded.find.state == FINDING, 30)
    look_at(loaded, 9522000)
    loaded._map_rests()
    wait(lambda: len(controller.online.renderings.kept) == 2, 30)
    wait(lambda: ended(loaded), 30)
    (run,) = loaded.automatic.runs.items
    assert (run.state, run.done) == (runs.DONE, run.tiles)
    assert loaded.find.there, "what it has found can be sorted"
    loaded._map_rests()
    assert loaded.find.there
    loaded._tool_wanted()
    wait(lambda: controller.session.state == READY, 30)
    assert controller.parameters().rasters[0] != first


def test_a_click_elsewhere_ends_a_search_with_a_sentence(loaded, tiles, search, wait):
    look_at(loaded, 9524000)
    loaded.words["text"] = "tile=0.5"
    search(VIEW)
    wait(lambda: loaded.find.state == FINDING, 30)
    look_at(loaded, 9526000)
    loaded.iface.active = tiles.layer
    loaded.tool_action.trigger()
    assert loaded.find.running, "the tool in hand is no click"
    loaded._tool_wanted()
    assert not loaded.find.running
    assert "The search has ended" in loaded.iface.text()


def test_a_search_has_its_area_whatever_is_in_view(loaded, tiles, search, wait):
    look_at(loaded, 9530000)
    opened(loaded, tiles, wait)
    area = Box(9530000, 3200000, 9535000, 3202000)
    add_area(loaded, area)
    search(AREA)
    look_at(loaded, 9550000)
    loaded.tool._add(Prompt("point", [[9530100, 3200100]]))  # it waits as the search does
    wait(lambda: ended(loaded), 30)
    rendered = QgsRasterLayer(loaded.controller.online.in_use, "rendered").extent()
    assert rendered.buffered(1).contains(area)
    assert rendered.width() < 5010, "and nothing around it"
    assert loaded.automatic.runs.items[-1].state == runs.DONE


def test_a_search_elsewhere_waits_for_accepted_objects_that_are_still_to_come(
    loaded, tiles, search, wait
):
    look_at(loaded, 9546000)
    session = loaded.controller.session
    opened(loaded, tiles, wait)
    loaded.words["text"] = "slow=0.3"
    loaded.controller.client.stop_and_wait()
    loaded._tool_wanted()
    wait(lambda: session.state == READY, 30)
    for x in (9546070, 9546080):
        loaded.tool._add(Prompt("point", [[x, 3200075]]))
        assert session.accept()
    area = Box(9547000, 3200000, 9547150, 3200150)
    add_area(loaded, area)
    search(AREA)
    wait(lambda: ended(loaded), 30)
    assert loaded.automatic.runs.items[-1].state == runs.DONE
    rendered = QgsRasterLayer(loaded.controller.online.in_use, "rendered").extent()
    assert rendered.buffered(1).contains(area)
    assert loaded.find.found


def test_a_run_is_repeated_where_it_was(loaded, tiles, search, wait):
    look_at(loaded, 9534000)
    search(VIEW)
    wait(lambda: ended(loaded), 30)
    step = loaded.automatic.runs.items[-1].pixel_size
    assert step == loaded.iface.canvas.mapUnitsPerPixel()
    look_at(loaded, 9536000, 900)
    loaded.controller.online.renderings.remove_all()
    loaded.automatic.repeat(1)
    wait(lambda: len(loaded.automatic.runs.items) == 2 and ended(loaded), 30)
    assert loaded.automatic.runs.items[-1].state == runs.DONE
    made = QgsRasterLayer(loaded.controller.online.in_use, "rendered")
    assert made.extent().contains(Box(9534000, 3200000, 9534150, 3200150))
    assert made.rasterUnitsPerPixelX() == pytest.approx(step)


def test_a_search_that_cannot_be_rendered_does_not_begin(loaded, tiles, search, wait):
    look_at(loaded, 9538000)
    search(RASTER)
    assert "is not a file" in loaded.iface.text()
    add_area(loaded, Box(9538000, 3200000, 9541000, 3200150))
    settings.RENDER_LIMIT.set(512)
    search(AREA)
    assert "the limit is 512" in loaded.iface.text()
    assert loaded.automatic.runs.items == ()
    settings.RENDER_LIMIT.clear()
    tiles.refuse = lambda path: 503
    search(AREA)
    wait(lambda: ended(loaded), 30)
    assert "could not be loaded" in loaded.iface.text()
    assert loaded.find.state == IDLE


def test_a_search_elsewhere_does_not_begin_while_an_object_is_in_work(loaded, tiles, search, wait):
    look_at(loaded, 9542000)
    session, items = loaded.controller.session, loaded.automatic.runs.items
    opened(loaded, tiles, wait)
    for x in (9542070, 9542080):
        loaded.tool._add(Prompt("point", [[x, 3200075]]))
    wait(lambda: session.candidates and not session.is_waiting)
    add_area(loaded, Box(9543000, 3200000, 9543150, 3200150))
    search(AREA)
    assert "another part of online than the object in work" in loaded.iface.text()
    assert (len(session.prompts), session.state) == (2, READY)
    assert not loaded.controller.online.renderings.is_running
    assert loaded.automatic.runs.items == items == ()
    search(VIEW)
    assert len(loaded.automatic.runs.items) == 1, "what is rendered can be searched"
    assert len(session.prompts) == 2
    loaded.find.stop()
    wait(lambda: ended(loaded))
    session.clear()
    search(AREA)
    wait(lambda: len(loaded.automatic.runs.items) == 2 and ended(loaded), 30)
    assert loaded.automatic.runs.items[-1].state == runs.DONE


def test_a_search_that_is_stopped_before_it_begins_renders_no_further(loaded, tiles, search, wait):
    look_at(loaded, 9545000)
    search(VIEW)
    assert loaded.controller.online.renderings.is_running
    loaded.dock.find.start.click()
    wait(lambda: not loaded.controller.online.renderings.is_running)
    assert loaded.controller.online.renderings.kept == []
    assert loaded.find.state == IDLE
