# SPDX-License-Identifier: GPL-2.0-or-later
"""Classes: saved with the project, chosen by number keys, written into the target layer."""

from __future__ import annotations

import pytest
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor

from samgeo_plugin import styles
from samgeo_plugin.gui.class_panel import ClassPanel
from samgeo_plugin.gui.map_tool import PromptTool
from samgeo_plugin.interactive import field_mapping, target
from samgeo_plugin.interactive.classes import ClassList
from samgeo_plugin.interactive.decisions import ACCEPTED
from samgeo_plugin.interactive.review import Review
from samgeo_plugin.job import Prompt

CRS = QgsCoordinateReferenceSystem("EPSG:32645")


@pytest.fixture
def classes(qgis_app):
    QgsProject.instance().clear()
    made = ClassList()
    made.add("roof")
    made.add("tree")
    yield made
    made.release()
    QgsProject.instance().clear()


def square(x: float = 300000, y: float = 3000000, side: float = 10) -> QgsGeometry:
    return QgsGeometry.fromRect(
        QgsGeometry.fromPointXY(QgsPointXY(x, y)).buffer(side / 2, 2).boundingBox()
    )


def layer_with(fields: str) -> QgsVectorLayer:
    layer = QgsVectorLayer(f"Polygon?crs=EPSG:32645{fields}", "target", "memory")
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_classes_are_saved_with_the_project_and_read_with_it(classes, tmp_path):
    classes.set_colour("tree", QColor("#123456"))
    path = str(tmp_path / "town.qgz")
    assert QgsProject.instance().write(path)
    QgsProject.instance().clear()
    assert classes.names == []
    assert QgsProject.instance().read(path)
    assert classes.names == ["roof", "tree"]
    assert classes.colour("tree") == QColor("#123456")
    assert classes.current == "tree"


def test_names_are_there_once_and_the_current_class_follows_a_new_name(classes):
    assert not classes.add(" roof ")
    assert not classes.add("  ")
    assert not classes.rename("tree", "roof")
    assert classes.rename("tree", "wood")
    assert (classes.names, classes.current) == (["roof", "wood"], "wood")
    classes.remove("wood")
    assert (classes.names, classes.current) == (["roof"], "")


def test_a_damaged_entry_of_the_project_is_no_classes(classes):
    for text in ("nonsense", "[1, 2]", '{"name": "a"}', '[{"name": ""}]'):
        QgsProject.instance().writeEntry("samgeo_seamless", "classes", text)
        classes._read()
        assert classes.names == []


def test_number_keys_are_taken_only_while_an_object_is_in_work(classes, client, wait, tmp_path):
    from qgis.core import QgsRectangle
    from qgis.gui import QgsMapCanvas
    from test_map_tool import Hand

    from samgeo_plugin.interactive.opening import READY
    from samgeo_plugin.interactive.session import InteractiveSession
    from samgeo_plugin.job import OpenParameters

    raster = tmp_path / "town.tif"
    raster.touch()
    canvas = QgsMapCanvas()
    canvas.setDestinationCrs(CRS)
    canvas.setExtent(QgsRectangle(0, 0, 400, 400))
    session = InteractiveSession(client())
    classes.current_changed.connect(session.say_class)
    session.open(OpenParameters([str(raster)]))
    wait(lambda: session.state == READY)
    tool = PromptTool(canvas, session, None, classes)
    canvas.setMapTool(tool)
    hand, accepted = Hand(canvas), []
    session.accepted.connect(accepted.append)
    assert not hand.key(Qt.Key.Key_1)
    session.add(Prompt("point", [[100, 100]]))
    assert hand.key(Qt.Key.Key_1)
    assert not hand.key(Qt.Key.Key_9), "there is no ninth class"
    assert not hand.key(Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert classes.current == "roof"
    assert tool._overlay._object.strokeColor() == classes.colour("roof")
    session.accept()
    session.add(Prompt("point", [[200, 100]]))
    hand.key(Qt.Key.Key_2)
    session.accept()
    wait(lambda: len(accepted) == 2)
    assert [one.attributes["class"] for one in accepted] == ["roof", "tree"]
    assert not hand.key(Qt.Key.Key_1)
    canvas.unsetMapTool(tool)
    tool.dispose()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [("&field=label:string", "label"), ("&field=Class:string(20)", "Class"), ("", "class"),
     ("&field=kind:string&field=class:string&field=label:string", "class")],
)  # fmt: skip
def test_the_class_goes_into_the_layers_own_field_or_a_new_one(classes, fields, expected):
    layer = layer_with(fields)
    target.add_object(layer, square(), CRS, {"id": "a", "class": "roof"})
    assert [f[expected] for f in layer.getFeatures()] == ["roof"]
    assert layer.isEditable()


def test_a_mapping_of_the_users_own_decides(classes):
    layer = layer_with("&field=class:string&field=kind:string")
    field_mapping.set_mapping(layer, {"class": "kind"})
    target.add_object(layer, square(), CRS, {"class": "roof"})
    assert [f["kind"] for f in layer.getFeatures()] == ["roof"]


def test_without_a_class_no_field_is_added(classes):
    layer = layer_with("&field=name:string")
    target.add_object(layer, square(), CRS, {"id": "a", "class": ""})
    assert layer.fields().names() == ["name"]


def test_new_layers_have_a_field_for_the_class_and_its_colours(classes, tmp_path):
    layer = target.new_geopackage_layer(str(tmp_path / "o.gpkg"), "o", CRS)
    assert target.class_field(layer) >= 0
    styles.show_classes(layer, "class")
    renderer = layer.renderer()
    assert isinstance(renderer, QgsCategorizedSymbolRenderer)
    shown = {c.value(): c.symbol().symbolLayer(0).strokeColor() for c in renderer.categories()}
    assert shown["roof"] == classes.colour("roof")
    assert styles.current(layer) == styles.CLASS
    assert styles.has_class_colours(layer)
    renderer.setClassAttribute("id")
    assert not styles.has_class_colours(layer), "a style of the user's own stays"


def test_the_panel_shows_classes_with_their_keys_and_chooses_adds_and_renames(classes):
    panel = ClassPanel(classes)
    assert [panel.list.item(k).text() for k in range(3)] == ["No class", "roof", "tree"]
    assert panel.list.currentRow() == 2
    panel.list.setCurrentRow(1)
    assert classes.current == "roof"
    panel.name.setText("road")
    panel.add.click()
    assert classes.names == ["roof", "tree", "road"]
    assert panel.list.item(3).toolTip() == "Key 3"
    panel.list.item(1).setText("house")
    assert classes.names[0] == "house"
    panel.list.setCurrentRow(0)
    assert classes.current == ""
    assert not panel.remove.isEnabled()


def test_number_keys_of_the_review_are_the_projects_classes(classes, wait):
    layer = layer_with("&field=name:string")
    feature = QgsFeature(layer.fields())
    feature.setGeometry(square())
    layer.dataProvider().addFeatures([feature])
    review = Review()
    review.known_classes = lambda: classes.names
    assert review.start(layer)
    wait(lambda: review.ready)
    review.set_class(2)
    (done,) = layer.getFeatures()
    assert (done["class"], done["status"]) == ("tree", ACCEPTED)
    review.stop()
