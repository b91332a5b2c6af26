# SPDX-License-Identifier: GPL-2.0-or-later
"""Styles of results: outlines for review, a colour per object, by score, by label, and lines.

Those of objects and lines are the ones that the engine stores in a GeoPackage (``make sync``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from qgis.core import (
    NULL,
    QgsCategorizedSymbolRenderer,
    QgsFeatureRenderer,
    QgsGraduatedSymbolRenderer,
    QgsLimitedRandomColorRamp,
    QgsReadWriteContext,
    QgsRendererCategory,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtXml import QDomDocument

from .i18n import tr
from .interactive.classes import COLOURS, stored

FOLDER = Path(__file__).parent / "resources" / "styles"

REVIEW = "review"
OBJECTS = "objects"
SCORE = "score"
LABEL = "label"
LINES = "lines"
STATUS = "status"
CLASS = "class"

_OURS = {REVIEW, OBJECTS, SCORE, LABEL, LINES, STATUS, CLASS, "SamGeo objects"}
"""Names of styles in a database that are the plugin's, or the engine's (the last one)."""

_FIELDS = {SCORE: "score", LABEL: "label", STATUS: "status", CLASS: "class"}
"""The field that a style shows."""

_MOST_LABELS = 200
"""Values beyond this many share one symbol: more colours cannot be told apart."""


def title(name: str) -> str:
    """A style's name for a person."""
    return {
        REVIEW: tr("Outline for review"),
        OBJECTS: tr("A colour for each object"),
        SCORE: tr("By score"),
        LABEL: tr("By label"),
        LINES: tr("Lines"),
        STATUS: tr("By status of the review"),
        CLASS: tr("By the project's classes"),
    }[name]


def offered(layer: Optional[QgsVectorLayer]) -> list[str]:
    """The styles that this layer can have."""
    if layer is None or not layer.isValid():
        return []
    if QgsWkbTypes.geometryType(layer.wkbType()) != QgsWkbTypes.GeometryType.PolygonGeometry:
        return []
    shown = [name for name in (SCORE, LABEL, CLASS, STATUS) if _field(layer, name)]
    return [REVIEW, OBJECTS, *shown]


def current(layer: QgsVectorLayer) -> Optional[str]:
    """Which of the offered styles the layer has now; None where it has one of its own."""
    renderer = layer.renderer()
    if isinstance(renderer, QgsGraduatedSymbolRenderer):
        return SCORE if _shows(renderer, layer, SCORE) else None
    if isinstance(renderer, QgsCategorizedSymbolRenderer):
        shown = (name for name in (LABEL, CLASS, STATUS) if _shows(renderer, layer, name))
        return next(shown, None)
    drawn = _drawn(layer)
    plain = (REVIEW, OBJECTS)
    return next((name for name in plain if drawn == layer.customProperty(_PROPERTY[name])), None)


_PROPERTY = {REVIEW: "samgeo_seamless/review", OBJECTS: "samgeo_seamless/objects"}
"""Custom properties of a layer: how it is drawn where it has one of these styles."""


def _drawn(layer: QgsVectorLayer) -> str:
    return "" if layer.renderer() is None else str(layer.renderer().dump())


def _load(layer: QgsVectorLayer, name: str) -> None:
    """Draw a layer as a style file says, and leave all else of it.

    ``loadNamedStyle`` also takes away what the file does not mention: custom properties (that a
    layer is saved by itself, where values go), labels, map tips and visible scales.
    """
    document = QDomDocument()
    document.setContent((FOLDER / f"{name}.qml").read_text(encoding="utf-8"))
    element = document.documentElement().firstChildElement("renderer-v2")
    layer.setRenderer(QgsFeatureRenderer.load(element, QgsReadWriteContext()))


def apply(layer: QgsVectorLayer, name: str) -> None:
    """Give a layer one of the plugin's styles."""
    if name == STATUS:
        show_status(layer, _field(layer, STATUS) or STATUS)
        return
    if name == CLASS:
        field = _field(layer, CLASS)
        show_classes(layer, field or "class", _values(layer, field))
        return
    _load(layer, name)
    field = _field(layer, name)
    renderer = layer.renderer()
    if field and isinstance(renderer, (QgsGraduatedSymbolRenderer, QgsCategorizedSymbolRenderer)):
        renderer.setClassAttribute(field)
        if name == LABEL:
            _add_labels(layer, field, renderer)
    if name in _PROPERTY:
        layer.setCustomProperty(_PROPERTY[name], _drawn(layer))
    layer.rendererChanged.emit()
    layer.triggerRepaint()


_COLOURS = (("accepted", "#2b9348"), ("rejected", "#c9184a"), ("", "#ff7014"))
"""Outlines by the status of the review; the last one is for what is open."""


CLASSES_PROPERTY = "samgeo_seamless/classes"
"""Custom property of a layer: how it is drawn where it has the colours of the project's classes."""

_NO_CLASS = "#404040"


def show_classes(layer: QgsVectorLayer, field: str, others: Sequence[str] = ()) -> None:
    """Outlines in the colours of the project's classes, and grey ones for what is of none.

    Args:
        layer: A polygon layer.
        field: With the classes.
        others: Classes that are not the project's; they get colours of their own.
    """
    _load(layer, REVIEW)
    outline = layer.renderer().symbol()
    renderer = QgsCategorizedSymbolRenderer(field)
    known = [(each.name, each.colour, each.name) for each in stored()]
    names = {name for name, _, _ in known}
    for name in sorted({*others} - names):
        known.append((name, COLOURS[len(known) % len(COLOURS)], name))
    for value, colour, text in (*known, ("", _NO_CLASS, tr("No class"))):
        renderer.addCategory(QgsRendererCategory(value, _coloured(outline, colour), text))
    layer.setRenderer(renderer)
    layer.setCustomProperty(CLASSES_PROPERTY, _drawn(layer))
    layer.triggerRepaint()


def has_class_colours(layer: QgsVectorLayer) -> bool:
    """Whether a layer is drawn as :func:`show_classes` left it: then it may be done anew."""
    drawn = _drawn(layer)  # empty for what is not drawn: tables, broken layers
    return bool(drawn) and drawn == str(layer.customProperty(CLASSES_PROPERTY, ""))


def _coloured(outline: Any, colour: str) -> Any:
    """A copy of the symbol for review in another colour."""
    symbol = outline.clone()
    paint = symbol.symbolLayer(0)
    paint.setStrokeColor(QColor(colour))
    faint = QColor(colour)
    faint.setAlpha(paint.fillColor().alpha())
    paint.setFillColor(faint)
    return symbol


def show_status(layer: QgsVectorLayer, field: str) -> None:
    """Outlines by the decisions of a review, which are in this field."""
    _load(layer, REVIEW)
    titles = {"accepted": tr("Accepted"), "rejected": tr("Rejected"), "": tr("Open")}
    outline = layer.renderer().symbol()
    renderer = QgsCategorizedSymbolRenderer(field)
    for value, colour in _COLOURS:
        symbol = _coloured(outline, colour)
        renderer.addCategory(QgsRendererCategory(value, symbol, titles[value]))
    layer.setRenderer(renderer)
    layer.triggerRepaint()


def store(layer: QgsVectorLayer, name: str, is_new: bool = False) -> None:
    """Give a layer a style and put it into its database as the default, unless one is there.

    Args:
        layer: In a database.
        name: Of the style.
        is_new: The layer was written just now: our own styles in its database are those of an
            earlier layer of its name, which GDAL leaves behind, and are replaced.
    """
    count, keys, names, *_ = layer.listStylesInDatabase()
    if count > 0 and not (is_new and set(names[:count]) <= _OURS):
        return
    for key in keys[:count]:
        layer.deleteStyleFromDatabase(key)
    apply(layer, name)
    layer.saveStyleToDatabase(name, title(name), True, "")


def _field(layer: QgsVectorLayer, name: str) -> str:
    """The layer's own spelling of the field that a style shows; empty where it has none."""
    wanted = _FIELDS.get(name, "")
    index = layer.fields().lookupField(wanted) if wanted else -1
    return str(layer.fields().at(index).name()) if index >= 0 else ""


def _shows(renderer: Any, layer: QgsVectorLayer, name: str) -> bool:
    field = _field(layer, name)
    return bool(field) and renderer.classAttribute().strip('"') == field


def _values(layer: QgsVectorLayer, field: str) -> list[str]:
    """The texts of a field, but for empty ones."""
    index = layer.fields().lookupField(field) if field else -1
    values = layer.uniqueValues(index, _MOST_LABELS) if index >= 0 else ()
    return [str(value) for value in values if value not in (None, NULL, "") and str(value)]


def _add_labels(layer: QgsVectorLayer, field: str, renderer: QgsCategorizedSymbolRenderer) -> None:
    """A colour for each of the layer's labels that the style does not know."""
    categories = renderer.categories()  # they own their symbols
    known = {str(category.value()).lower() for category in categories}
    new = sorted(value for value in _values(layer, field) if value.lower() not in known)
    ramp = QgsLimitedRandomColorRamp(max(len(new), 1))
    for number, value in enumerate(new):
        symbol = categories[0].symbol().clone()
        colour = ramp.color(number / max(len(new) - 1, 1))
        colour.setAlpha(symbol.color().alpha())
        symbol.setColor(colour)
        renderer.addCategory(QgsRendererCategory(value, symbol, value))
