# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes to features of a polygon layer, each one step of the layer's undo history.

Everything goes through the layer's edit buffer. The project's settings are followed: overlaps are
avoided where it says so, and neighbours get the vertices of a shared border.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Optional

from qgis.core import (
    Qgis,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeature,
    QgsFeatureRequest,
    QgsFields,
    QgsGeometry,
    QgsLineString,
    QgsPoint,
    QgsPointXY,
    QgsProject,
    QgsVectorLayer,
    QgsVectorLayerUtils,
    QgsWkbTypes,
)
from qgis.PyQt.QtGui import QTransform

from ..i18n import tr
from . import field_mapping
from .tidy import iou, largest_part, metres_per_unit

_POLYGON = QgsWkbTypes.GeometryType.PolygonGeometry
_OUR_ID = re.compile("[0-9a-f]{16}")
"""An object's id as the engine writes it; no two objects have the same."""

LEAST_RIGHT_ANGLED_IOU = 0.85
"""An outline with right angles that agrees less with its original is refused."""


class EditError(Exception):
    """The layer refuses the change; the text says why and what to do."""


def buffered_together() -> bool:
    """The project keeps the edits of all layers in one buffer (buffered transaction groups)."""
    project = QgsProject.instance()
    if not hasattr(project, "transactionMode"):  # before QGIS 3.26
        return False
    return project.transactionMode() == Qgis.TransactionMode.BufferedGroups


def begin(layer: QgsVectorLayer) -> None:
    """Begin to edit a layer, unless it is edited already.

    Raises:
        EditError: It cannot be edited.
    """
    if layer.isEditable() or (layer.startEditing() and layer.isEditable()):
        return
    layers = QgsProject.instance().mapLayers().values()
    if buffered_together() and any(each.isEditable() for each in layers):
        raise EditError(
            tr(
                "The layer {name} cannot be edited while others are, as the project saves the "
                "edits of all layers together: save them, end their editing, and try again."
            ).format(name=layer.name())
        )
    raise EditError(
        tr("The layer {name} cannot be edited; choose another one.").format(name=layer.name())
    )


def add(layer: QgsVectorLayer, feature: QgsFeature) -> bool:
    """Within a command: a new feature, which gets its id; whether the layer takes it.

    QGIS before 3.42 saves of a new feature only the fields that it has when it is added (its issue
    59783), and would lose values of later ones; without fields, all are saved in their order. A
    join that adds rows to its table looks its values up by their fields, which stay for it.
    """
    fields = feature.fields()
    if not any(each.isEditable() and each.hasUpsertOnEdit() for each in layer.vectorJoins()):
        feature.setFields(QgsFields(), False)
    added = layer.addFeature(feature)
    feature.setFields(fields, False)
    return bool(added)


@contextmanager
def command(layer: QgsVectorLayer, text: str) -> Iterator[None]:
    """One step of the layer's undo history; nothing of it stays where it fails.

    Raises:
        EditError: The layer cannot be edited.
    """
    begin(layer)
    layer.beginEditCommand(text)
    try:
        yield
    except BaseException:
        layer.destroyEditCommand()
        raise
    layer.endEditCommand()
    layer.triggerRepaint()


def words_of_database(layer: QgsVectorLayer) -> str:
    """Why a database has just refused something; empty where it is asked at the save only, as
    without a transaction."""
    provider = layer.dataProvider()
    said = provider.errors() if provider.transaction() is not None else []
    if not said:
        return ""
    provider.clearErrors()
    return " ".join(said[-1].split())


def _raise_words_of_database(layer: QgsVectorLayer) -> None:
    """After a change was refused.

    Raises:
        EditError: A database has said why.
    """
    why = words_of_database(layer)
    if why:
        text = tr("The layer {name} refused the change ({why}).")
        raise EditError(text.format(name=layer.name(), why=why))


def feature_of(layer: QgsVectorLayer, feature_id: int) -> Optional[QgsFeature]:
    buffer = layer.editBuffer()
    if feature_id < 0 and (buffer is None or not buffer.isFeatureAdded(feature_id)):
        return None  # of a file, it would be an error to ask for it
    feature = layer.getFeature(feature_id)
    return feature if feature.isValid() and feature.hasGeometry() else None


def avoid_overlaps(
    layer: QgsVectorLayer,
    geometry: QgsGeometry,
    own: Sequence[int] = (),
    coming: Sequence[QgsGeometry] = (),
) -> QgsGeometry:
    """Leave out what other features cover, where the project avoids overlaps.

    Where that cuts a single polygon into several, the largest one stays.

    Args:
        layer: The one that the polygon goes into.
        geometry: In the layer's CRS.
        own: Features of the layer that do not count.
        coming: Polygons that are about to be added to it, and count.

    Raises:
        EditError: Nothing would be left.
    """
    project = QgsProject.instance()
    modes = QgsProject.AvoidIntersectionsMode
    mode = project.avoidIntersectionsMode()
    if mode == modes.AvoidIntersectionsCurrentLayer:
        layers = [layer]
    elif mode == modes.AvoidIntersectionsLayers:
        layers = list(project.avoidIntersectionsLayers())
    else:
        return geometry
    multi = QgsWkbTypes.isMultiType(layer.wkbType())
    keeps_parts = geometry.isMultipart() and (multi or geometry.constGet().partCount() > 1)
    left = QgsGeometry(geometry)
    for other in layers:
        is_own = other.id() == layer.id()
        near = _near(other, layer, geometry, own if is_own else ())
        for shape in [*near, *(coming if is_own else ())]:
            covered = _valid(shape)
            if covered.isEmpty() or not left.intersects(covered):
                continue
            cut = _valid(left).difference(covered)
            if cut.isNull():
                raise EditError(
                    tr(
                        "What other objects cover of this one cannot be computed ({why}); repair "
                        "their outlines."
                    ).format(why=cut.lastError() or tr("unknown reason"))
                )
            left = _polygons(cut)
    if left.isEmpty():
        raise EditError(
            tr("Existing objects cover this one wholly, and the project avoids overlaps.")
        )
    return left if keeps_parts else largest_part(left)


def _near(
    other: QgsVectorLayer, layer: QgsVectorLayer, geometry: QgsGeometry, own: Sequence[int]
) -> list[QgsGeometry]:
    """The other layer's polygons beside a polygon, in this one's CRS."""
    move = QgsCoordinateTransform(other.crs(), layer.crs(), QgsProject.instance())
    box = geometry.boundingBox()
    try:
        box = move.transformBoundingBox(box, Qgis.TransformDirection.Reverse) if (
            other.crs() != layer.crs()
        ) else box  # fmt: skip
    except (QgsCsException, AttributeError):
        return []
    shapes = []
    request = QgsFeatureRequest().setFilterRect(box).setNoAttributes()
    for feature in other.getFeatures(request):
        if feature.id() in own or not feature.hasGeometry():
            continue
        shape = QgsGeometry(feature.geometry())
        if shape.type() != _POLYGON:
            continue
        if other.crs() != layer.crs() and shape.transform(move) != (
            Qgis.GeometryOperationResult.Success
        ):
            continue
        shape.get().dropZValue()  # else what is cut gets the neighbour's heights
        shapes.append(shape)
    return shapes


def _polygons(geometry: QgsGeometry) -> QgsGeometry:
    """Only the polygons of what a difference has left."""
    if geometry.isEmpty() or geometry.type() == _POLYGON:
        return geometry
    parts = [part for part in geometry.asGeometryCollection() if part.type() == _POLYGON]
    return QgsGeometry.unaryUnion(parts) if parts else QgsGeometry()


def _valid(geometry: QgsGeometry) -> QgsGeometry:
    """A polygon that geometry can be computed with: what crosses itself becomes several."""
    return geometry if geometry.isGeosValid() else _polygons(geometry.makeValid())


def share_vertices(layer: QgsVectorLayer, geometry: QgsGeometry) -> None:
    """Neighbours get the vertices of a shared border, where the project edits topologically."""
    if QgsProject.instance().topologicalEditing():
        layer.addTopologicalPoints(geometry)


def fitted(
    layer: QgsVectorLayer, geometry: QgsGeometry, before: Optional[QgsGeometry] = None
) -> QgsGeometry:
    """As the layer's geometry type wants it.

    Args:
        layer: The one that the polygon goes into.
        geometry: In the layer's CRS.
        before: The outline that it replaces: heights (and M) come from it, where the layer has
            some and the new outline has none.

    Raises:
        EditError: It does not fit into one feature.
    """
    made = geometry.coerceToType(layer.wkbType())
    if not made:
        raise EditError(
            tr("The layer {name} cannot hold this polygon; choose another one.").format(
                name=layer.name()
            )
        )
    if len(made) > 1:
        raise EditError(
            tr("{layer} holds single polygons, and this change has several parts.").format(
                layer=layer.name()
            )
        )
    with_z, with_m = geometry.constGet().is3D(), geometry.constGet().isMeasure()
    if before is not None:
        _carry_over(before, made[0], not with_z, not with_m)
    return made[0]


def _carry_over(before: QgsGeometry, geometry: QgsGeometry, z: bool, m: bool) -> None:
    """Vertices get the Z or M that the outline before has there: a vertex that stays keeps its own,
    another one takes it from between the ends of the nearest edge."""
    old, new = before.constGet(), geometry.get()
    z = z and old.is3D() and new.is3D()
    m = m and old.isMeasure() and new.isMeasure()
    if not (z or m) or before.isEmpty():
        return
    for number in range(new.nCoordinates()):
        found, place = geometry.vertexIdFromVertexNr(number)
        if not found:
            continue
        vertex = new.vertexAt(place)
        _, near, end, _ = before.closestSegmentWithContext(QgsPointXY(vertex))
        first, last = before.vertexAt(end - 1), before.vertexAt(end)
        length = first.distance(last)
        share = first.distance(QgsPoint(near)) / length if length > 0 else 0.0
        if z:
            vertex.setZ(first.z() + share * (last.z() - first.z()))
        if m:
            vertex.setM(first.m() + share * (last.m() - first.m()))
        new.moveVertex(place, vertex)


def set_shape(layer: QgsVectorLayer, feature_id: int, geometry: QgsGeometry) -> None:
    """Within a command: another shape for a feature.

    Raises:
        EditError: The layer refuses it.
    """
    before = layer.getFeature(feature_id).geometry()
    geometry = fitted(layer, avoid_overlaps(layer, geometry, [feature_id]), before)
    if not layer.changeGeometry(feature_id, geometry):
        _raise_words_of_database(layer)
        raise EditError(
            tr("The layer {name} refused the change; see its form's constraints.").format(
                name=layer.name()
            )
        )
    _measure_anew(layer, feature_id, geometry)
    share_vertices(layer, geometry)


def measure(layer: QgsVectorLayer, features: Sequence[QgsFeature]) -> None:
    """Features that are about to be added get their own area and perimeter."""
    for feature in features:
        for index, value in field_mapping.measures(layer, feature.geometry()).items():
            feature.setAttribute(index, value)


def _measure_anew(layer: QgsVectorLayer, feature_id: int, geometry: QgsGeometry) -> None:
    """Within a command: a feature's area and perimeter become those of its new shape; they stay
    where the layer lets no values be changed.

    Raises:
        EditError: A database refuses them.
    """
    for index, value in field_mapping.measures(layer, geometry).items():
        if not layer.changeAttributeValue(feature_id, index, value):
            _raise_words_of_database(layer)


def set_shapes(layer: QgsVectorLayer, shapes: dict[int, QgsGeometry], text: str) -> None:
    """Other shapes for features, as one step of the undo history; what the layer does not let be
    changed stays as it is.

    Raises:
        EditError: It refuses all of them.
    """
    changed, refused = 0, None
    with command(layer, text):
        for feature_id, geometry in shapes.items():
            try:
                set_shape(layer, feature_id, geometry)
                changed += 1
            except EditError as error:
                refused = error
        if refused is not None and not changed:
            raise refused


def delete(layer: QgsVectorLayer, feature_ids: Sequence[int]) -> None:
    """Delete features."""
    with command(layer, tr("Delete objects")):
        if not layer.deleteFeatures(list(feature_ids)):
            raise EditError(
                tr("The layer {name} does not let features be deleted.").format(name=layer.name())
            )


def merge(layer: QgsVectorLayer, feature_ids: Sequence[int]) -> int:
    """Several polygons become one feature: the first one, which keeps its attributes.

    Raises:
        EditError: There are fewer than two.
    """
    features = [feature_of(layer, each) for each in feature_ids]
    shapes = [feature.geometry() for feature in features if feature is not None]
    if len(shapes) < 2:
        raise EditError(tr("Ctrl+click two polygons or more, then merge them."))
    whole = QgsGeometry.unaryUnion([_valid(shape) for shape in shapes])
    if whole.isMultipart() and QgsWkbTypes.isSingleType(layer.wkbType()):
        raise EditError(tr("These polygons do not touch; the layer holds single parts only."))
    with command(layer, tr("Merge objects")):
        layer.deleteFeatures(list(feature_ids[1:]))
        set_shape(layer, feature_ids[0], whole)
    return int(feature_ids[0])


def split(layer: QgsVectorLayer, feature_ids: Sequence[int], line: Sequence[QgsPointXY]) -> int:
    """Cut polygons along a line; the larger part keeps the feature, others get its attributes.

    Args:
        layer: The layer.
        feature_ids: The features that are cut.
        line: In the layer's CRS.

    Returns:
        How many features were added.

    Raises:
        EditError: The line cuts none of them.
    """
    added = 0
    curve = QgsLineString([QgsPoint(point) for point in line])
    with command(layer, tr("Split objects")):
        for feature_id in feature_ids:
            feature = feature_of(layer, feature_id)
            if feature is None:
                continue
            rest = QgsGeometry(feature.geometry())
            # By name: by place, older versions take the curve for a list of points.
            result, others, _ = rest.splitGeometry(
                curve=curve, preserveCircular=False, topological=False
            )
            if result != Qgis.GeometryOperationResult.Success or not others:
                continue
            parts = sorted([rest, *others], key=lambda part: -part.area())
            shape = fitted(layer, parts[0])
            layer.changeGeometry(feature_id, shape)
            _measure_anew(layer, feature_id, shape)
            known = layer.fields().lookupField(field_mapping.mapping(layer).get("id", ""))
            for part in parts[1:]:
                values = dict(enumerate(feature.attributes()))
                for key in layer.primaryKeyAttributes():
                    values.pop(key, None)
                if _OUR_ID.fullmatch(str(values.get(known))):
                    values[known] = secrets.token_hex(8)
                new = QgsVectorLayerUtils.createFeature(layer, fitted(layer, part), values)
                measure(layer, [new])
                if not add(layer, new):
                    _raise_words_of_database(layer)
                    raise EditError(
                        tr("The layer {name} refused the object; see its form's constraints.")
                        .format(name=layer.name())
                    )  # fmt: skip
                added += 1
        if not added:
            raise EditError(tr("Draw the line across the polygon, from outside to outside."))
    return added


def keep_largest_part(layer: QgsVectorLayer, feature_id: int) -> bool:
    """True where there was more than one part."""
    feature = feature_of(layer, feature_id)
    if feature is None:
        return False
    shape = largest_part(feature.geometry())
    if shape.area() == feature.geometry().area():
        return False
    with command(layer, tr("Keep the largest part")):
        set_shape(layer, feature_id, shape)
    return True


def right_angles(layer: QgsVectorLayer, feature_id: int) -> bool:
    """Straighten an outline, with angles as they are on the ground; True where it changed.

    Raises:
        EditError: Right angles do not suit it.
    """
    feature = feature_of(layer, feature_id)
    if feature is None:
        return False
    before = feature.geometry()
    x, y = metres_per_unit(before, layer.crs())
    before.transform(QTransform.fromScale(x, y))
    made = before.simplify(0.02 * before.area() ** 0.5).orthogonalize(1e-8, 1000, 45)
    if made.isEmpty() or not made.isGeosValid() or iou(made, before) < LEAST_RIGHT_ANGLED_IOU:
        raise EditError(tr("Right angles do not suit this outline; it stays as it is."))
    made.transform(QTransform.fromScale(1 / x, 1 / y))
    with command(layer, tr("Right angles")):
        set_shape(layer, feature_id, made)
    return True


def value_for(layer: QgsVectorLayer, field: int, value: Any) -> Any:
    """A value as a field of the layer holds it.

    Raises:
        EditError: The field cannot hold it.
    """
    kind = layer.fields().at(field)
    try:
        return kind.convertCompatible(value)
    except ValueError as error:
        raise EditError(
            tr(
                "The field “{field}” of {layer} cannot hold “{value}”: choose or add a text field "
                "that is long enough."
            ).format(field=kind.name(), layer=layer.name(), value=value)
        ) from error


def set_value(layer: QgsVectorLayer, feature_id: int, field: int, value: Any) -> None:
    """Within a command: another value for a field.

    Raises:
        EditError: The layer refuses it.
    """
    if _would_be_lost(layer, feature_id, field):
        raise EditError(
            tr(
                "Save {layer} first: this object is not saved yet, and QGIS would lose its value "
                "of “{field}”, which is a new field."
            ).format(layer=layer.name(), field=layer.fields().at(field).name())
        )
    if not layer.changeAttributeValue(feature_id, field, value_for(layer, field, value)):
        _raise_words_of_database(layer)
        raise EditError(
            tr("{field} of {layer} cannot be changed.").format(
                field=layer.fields().at(field).name(), layer=layer.name()
            )
        )


def _would_be_lost(layer: QgsVectorLayer, feature_id: int, field: int) -> bool:
    """Whether a save leaves a value out: of a field that is newer than the feature, which was added
    with its fields (see :func:`add`)."""
    fields, buffer = layer.fields(), layer.editBuffer()
    if feature_id >= 0 or buffer is None or fields.fieldOrigin(field) != QgsFields.OriginEdit:
        return False
    feature = buffer.addedFeatures().get(feature_id)
    known = [] if feature is None else feature.fields().names()
    return bool(known) and fields.at(field).name() not in known
