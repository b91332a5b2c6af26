# SPDX-License-Identifier: GPL-2.0-or-later
"""The layer that accepted objects go to: checks, field mapping, writing through the edit buffer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from qgis.core import (
    NULL,
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsEditFormConfig,
    QgsFeature,
    QgsFeatureRequest,
    QgsField,
    QgsFieldConstraints,
    QgsFields,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsVectorLayerUtils,
    QgsWkbTypes,
)

from .. import styles
from ..i18n import tr
from . import editing, feature_ids, field_mapping, last_values, reading
from .editing import EditError
from .place import Place, parts_of, put_back
from .tidy import iou

CLASS = "class"
_CLASSES = (CLASS, "label")
"""Usual names of a field with the class; the engine's layers have both."""

SAME = 0.8
"""IoU from which on a new object is one that the layer has: two clicks on the same roof."""


class TargetError(Exception):
    """The object cannot go into this layer; the text says why and what to do."""


class FormWanted(Exception):
    """The layer's form must be filled in before the object can be added.

    Args:
        layer: The layer.
        features: The object with what is known of it; several for an object of several parts in a
            layer of single ones.
        why: What the form is wanted for; empty where the layer asks for it anyway.
    """

    def __init__(self, layer: QgsVectorLayer, features: list[QgsFeature], why: str) -> None:
        super().__init__(why)
        self.layer = layer
        self.features = features
        self.why = why


@dataclass(frozen=True)
class Written:
    """Where an accepted object went."""

    layer_id: str
    feature_ids: tuple[int, ...]


def schema_fields() -> QgsFields:
    fields = QgsFields()
    for name, kind, _ in field_mapping.SCHEMA:
        fields.append(QgsField(name, kind))
    return fields


def new_scratch_layer(name: str, crs: QgsCoordinateReferenceSystem) -> QgsVectorLayer:
    """A temporary layer in memory with the engine's fields."""
    layer = QgsVectorLayer("MultiPolygon", name, "memory")
    layer.setCrs(crs)
    layer.dataProvider().addAttributes(schema_fields().toList())
    layer.updateFields()
    styles.apply(layer, styles.REVIEW)
    return layer


def new_geopackage_layer(path: str, name: str, crs: QgsCoordinateReferenceSystem) -> QgsVectorLayer:
    """A layer in a GeoPackage, which may exist already.

    Raises:
        TargetError: It cannot be written.
    """
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    table = name.replace("|", "_")  # which ends a name in QGIS's sources of layers
    options.layerName = table
    if Path(path).exists():
        existing = QgsVectorLayer(f"{path}|layername={table}", name, "ogr")
        if existing.isValid():
            raise TargetError(
                tr("{file} has a layer {name} already; choose another name.").format(
                    file=Path(path).name, name=name
                )
            )
        options.actionOnExistingFile = (
            QgsVectorFileWriter.ActionOnExistingFile.CreateOrOverwriteLayer
        )
    writer = QgsVectorFileWriter.create(
        path,
        schema_fields(),
        QgsWkbTypes.Type.MultiPolygon,
        crs,
        QgsProject.instance().transformContext(),
        options,
    )
    error, message = writer.hasError(), writer.errorMessage()
    del writer
    layer = QgsVectorLayer(f"{path}|layername={table}", name, "ogr")
    if error != QgsVectorFileWriter.WriterError.NoError or not layer.isValid():
        raise TargetError(
            tr("{file} cannot be written ({why}); choose another folder.").format(
                file=path, why=message or tr("unknown reason")
            )
        )
    styles.store(layer, styles.REVIEW)
    return layer


def problem(layer: Optional[QgsVectorLayer]) -> Optional[str]:
    """Why nothing can be added to this layer, with a way out; None where all is well."""
    if layer is None or not layer.isValid():
        return tr("The target layer is gone; choose another one.")
    name = layer.name()
    if QgsWkbTypes.geometryType(layer.wkbType()) != QgsWkbTypes.GeometryType.PolygonGeometry:
        return tr("The layer {name} holds no polygons; choose a polygon layer.").format(name=name)
    if not layer.crs().isValid():
        return tr("The layer {name} has no CRS; set one in its properties.").format(name=name)
    provider = layer.dataProvider()
    can_add = bool(provider.capabilities() & provider.Capability.AddFeatures)
    if layer.readOnly() or not can_add:
        return tr("The layer {name} is read-only; choose another one or a new layer.").format(
            name=name
        )
    return None


def class_field(layer: QgsVectorLayer) -> int:
    """The field for the class: the one that it was mapped to, else one of the usual names; -1."""
    fields = layer.fields()
    names = [field_mapping.mapping(layer).get(CLASS, ""), *_CLASSES]
    found = (fields.lookupField(name) for name in names if name)
    return next(
        (index for index in found if index >= 0 and field_mapping.is_stored(layer, index)), -1
    )


def with_class_field(layer: QgsVectorLayer) -> int:
    """The field for the class, added through the edit buffer where there is none; -1 where the
    user has left the class out of the layer's mapping.

    Raises:
        EditError: There is none, and the layer lets none be added.
    """
    index, chosen = class_field(layer), field_mapping.chosen_mapping(layer)
    if index >= 0:
        left_out = chosen is not None and CLASS not in chosen
        return -1 if left_out else index
    name = next((name for name in _CLASSES if layer.fields().lookupField(name) < 0), None)
    no_field = EditError(
        tr(
            "The layer {name} has no field “label” or “class” and lets none be added: choose "
            "another layer or no class, or add a text field “class” to it first."
        ).format(name=layer.name())
    )
    if name is None:
        raise no_field
    with editing.command(layer, tr("Add a field for the class")):
        if not layer.addAttribute(field_mapping.text_field(layer, name, 80)):
            raise no_field
    if chosen is not None:
        field_mapping.set_mapping(layer, {**chosen, CLASS: name})
    return class_field(layer)


def to_layer_crs(
    geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem, layer: QgsVectorLayer
) -> QgsGeometry:
    """A copy in the layer's CRS.

    Args:
        geometry: The object.
        crs: The map's; one that is not valid where the map has none (:func:`_crs_of_plane`).
        layer: Where it goes.

    Raises:
        TargetError: It lies where the layer's CRS does not reach, or nobody knows where it lies.
    """
    moved = QgsGeometry(geometry)
    crs = crs if crs.isValid() else _crs_of_plane()
    transform = QgsCoordinateTransform(crs, layer.crs(), QgsProject.instance())
    cause: Optional[Exception] = None
    try:
        outcome = moved.transform(transform)
    except QgsCsException as error:
        outcome, cause = Qgis.GeometryOperationResult.NothingHappened, error
    if outcome != Qgis.GeometryOperationResult.Success:
        raise TargetError(
            tr(
                "The object lies outside the CRS of {name}; choose a layer with another CRS."
            ).format(name=layer.name())
        ) from cause
    return moved


def _crs_of_plane() -> QgsCoordinateReferenceSystem:
    """The CRS of coordinates in a map that has none: QGIS draws each layer by its own, and what is
    clicked has the raster's. Not valid where no raster has one: then all is as it is drawn.

    Raises:
        TargetError: The project's rasters do not have the same one.
    """
    layers = QgsProject.instance().mapLayers().values()
    known = [each.crs() for each in layers if isinstance(each, QgsRasterLayer)]
    if any(each != known[0] for each in known):
        raise TargetError(
            tr(
                "The project has no CRS, and its rasters do not have the same one, so that nobody "
                "knows where the object lies; choose a CRS in the project's properties, then "
                "click it again."
            )
        )
    return known[0] if known else QgsCoordinateReferenceSystem()


def add_object(
    layer: QgsVectorLayer,
    geometry: QgsGeometry,
    crs: QgsCoordinateReferenceSystem,
    attributes: dict[str, Any],
) -> Written:
    """Write one object into the layer's edit buffer, as one step of its undo history.

    A multipart object becomes several features in a layer of single parts; Z and M are added
    where the layer has them. Default values and unique keys are filled in as QGIS's own tools do.

    Raises:
        TargetError: The layer refuses it.
        EditError: The layer cannot be edited, nothing would be left of the object beside existing
            ones, or the field for the class cannot hold its class.
        FormWanted: Its form must be shown, or a hard constraint is not met yet.
    """
    why = problem(layer)
    if why is not None:
        raise TargetError(why)
    moved = editing.avoid_overlaps(layer, to_layer_crs(geometry, crs, layer))
    editing.begin(layer)
    values = field_values(layer, attributes)
    engines = {layer.fields().lookupField(name) for name in field_mapping.mapping(layer).values()}
    values.update(last_values.reused(layer, {*values, *engines}))
    made = features_for(layer, moved, values)
    broken = broken_constraints(layer, made[0])  # all parts have the same values
    if broken or wants_form(layer):
        raise FormWanted(layer, made, broken)
    layer.beginEditCommand(tr("Add segmented object"))
    ids = []
    for one in made:
        if not editing.add(layer, one):
            layer.destroyEditCommand()
            raise refusal(layer)
        editing.share_vertices(layer, one.geometry())
        ids.append(one.id())
    layer.endEditCommand()
    layer.triggerRepaint()
    return Written(layer.id(), tuple(ids))


def features_for(
    layer: QgsVectorLayer, shape: QgsGeometry, values: dict[int, Any]
) -> list[QgsFeature]:
    """One object as features of the layer's kind, which are not in it yet.

    Raises:
        TargetError: The layer cannot hold the shape.
    """
    feature = QgsVectorLayerUtils.createFeature(layer, shape, values)
    made = QgsVectorLayerUtils.makeFeatureCompatible(feature, layer)
    if not made:
        raise TargetError(
            tr("The layer {name} cannot hold this polygon; choose another one.").format(
                name=layer.name()
            )
        )
    editing.measure(layer, made)
    return list(made)


def refusal(layer: QgsVectorLayer) -> TargetError:
    """What is said where a layer does not take a feature; a database says why at once where it is
    written to in a transaction."""
    why = editing.words_of_database(layer)
    if why:
        return TargetError(
            tr("The layer {name} refused the object ({why}).").format(name=layer.name(), why=why)
        )
    return TargetError(
        tr("The layer {name} refused the object; see its form's constraints.").format(
            name=layer.name()
        )
    )


def hidden_by_filter(
    layer: QgsVectorLayer, request: QgsFeatureRequest
) -> Iterator[Optional[QgsFeature]]:
    """Saved features that a layer's filter hides; None for each other one that is looked at.

    Whether one is hidden is told by its shape: ids of some sources depend on the filter.
    """
    whole = feature_ids.unfiltered(layer)
    if whole is layer:
        return
    shown = set()
    saved = feature_ids.as_saved(layer)
    for feature in saved.dataProvider().getFeatures(request):
        shown.add(bytes(feature.geometry().asWkb()))
        yield None
    for feature in whole.getFeatures(request):
        yield None if bytes(feature.geometry().asWkb()) in shown else feature


def same_object(
    layer: QgsVectorLayer, geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem
) -> Optional[int]:
    """The feature of a layer that a polygon agrees with by :data:`SAME` or more; None for none.

    Raises:
        TargetError: The polygon lies outside the layer's CRS.
        ReadError: The layer could not be read as a whole.
    """
    if not layer.isValid() or not layer.crs().isValid():
        return None
    moved = to_layer_crs(geometry, crs, layer)
    return _agreeing(reading.features(layer, _around(moved)), moved)


def hides_object(
    layer: QgsVectorLayer, geometry: QgsGeometry, crs: QgsCoordinateReferenceSystem
) -> bool:
    """Likewise, whether there is one that the layer's filter hides.

    Raises:
        TargetError: The polygon lies outside the layer's CRS.
    """
    if not layer.subsetString():
        return False
    moved = to_layer_crs(geometry, crs, layer)
    return _agreeing(hidden_by_filter(layer, _around(moved)), moved) is not None


def _around(geometry: QgsGeometry) -> QgsFeatureRequest:
    return QgsFeatureRequest().setFilterRect(geometry.boundingBox()).setNoAttributes()


def _agreeing(features: Iterable[Optional[QgsFeature]], geometry: QgsGeometry) -> Optional[int]:
    """The id of the feature that agrees best with a polygon, by :data:`SAME` or more."""
    best = SAME, None
    for feature in features:
        if feature is not None and feature.hasGeometry():
            shape = feature.geometry()
            if shape.type() == QgsWkbTypes.GeometryType.PolygonGeometry:
                best = max(best, (iou(shape, geometry), feature.id()), key=lambda each: each[0])
    return best[1]


def feature_at(
    layer: QgsVectorLayer, place: Place, crs: QgsCoordinateReferenceSystem
) -> Optional[int]:
    """The id of a place's feature as it is now; None where it has been deleted.

    Until it is saved, a new feature has a negative id in the edit buffer; the save gives it
    another one, and then it is known by its outline. So are features of a file that a save numbers
    anew, where the one with the place's id has another outline: of two with the same outline, as
    floors have, the one with the id is it.

    Args:
        layer: The place's.
        place: Where a polygon was taken up.
        crs: The map's.

    Raises:
        TargetError: The place lies outside the layer's CRS.
    """
    crs = crs if crs.isValid() else layer.crs()  # as it was taken up in a map that has none
    feature = editing.feature_of(layer, place.feature_id)
    known = feature is not None if place.feature_id < 0 else not feature_ids.renumbers(layer)
    if known:
        return None if feature is None else place.feature_id
    changed = feature is not None and _is_changed(layer, place.feature_id)
    if feature is not None:
        shape, shapes = to_layer_crs(place.geometry, crs, layer), [feature.geometry()]
        if changed:
            shapes += _saved_outline(layer, place.feature_id)
        if any(feature_ids.alike(each, shape) for each in shapes):
            return place.feature_id
    found = same_object(layer, place.geometry, crs)
    return place.feature_id if found is None and changed else found


def _is_changed(layer: QgsVectorLayer, feature_id: int) -> bool:
    """Whether a feature has another outline in the edit buffer than in its file."""
    buffer = layer.editBuffer()
    return buffer is not None and buffer.isFeatureGeometryChanged(feature_id)


def _saved_outline(layer: QgsVectorLayer, feature_id: int) -> list[QgsGeometry]:
    request = QgsFeatureRequest(feature_id).setNoAttributes()
    saved = layer.dataProvider().getFeatures(request)
    return [each.geometry() for each in saved if each.hasGeometry()]


def field_values(layer: QgsVectorLayer, attributes: dict[str, Any]) -> dict[int, Any]:
    """An object's attributes by the layer's fields; a class gets a field where there is none.

    Raises:
        EditError: The field for the class cannot hold its class, or there is none.
    """
    said = attributes.get(CLASS)
    chosen = with_class_field(layer) if said else -1
    fields = layer.fields()
    values: dict[int, Any] = {}
    for name, target in field_mapping.mapping(layer).items():
        index = fields.lookupField(target)
        value = attributes.get(name)
        if index >= 0 and value not in (None, "") and name != CLASS:
            values[index] = field_mapping.fitting(fields.at(index), value)
    if chosen >= 0:
        values[chosen] = editing.value_for(layer, chosen, said)
    return values


def correct_object(
    place: Place,
    geometry: QgsGeometry,
    crs: QgsCoordinateReferenceSystem,
    attributes: dict[str, Any],
    inside: Sequence[QgsPointXY] = (),
) -> Written:
    """Write a corrected polygon back to its feature, as one step of the layer's undo history.

    Its attributes stay, except for its area and perimeter, and its class where one was said. So do
    the feature's other parts, and holes in which no ``inside`` (in ``crs``) lies.

    Raises:
        TargetError: The layer or the feature is gone, or refuses it.
        EditError: Nothing would be left of it beside existing objects, or the field for the class
            cannot hold its class.
    """
    layer, feature_id = _found(place, crs)
    moved = to_layer_crs(geometry, crs, layer)
    if place.keeps:
        now = layer.getFeature(feature_id).geometry()
        if len(parts_of(now)) != len(parts_of(place.geometry)):
            raise TargetError(tr("The object that was corrected has been changed meanwhile."))
        spots = [to_layer_crs(QgsGeometry.fromPointXY(p), crs, layer).asPoint() for p in inside]
        moved = put_back(now, place.part, moved, spots)
    said = attributes.get(CLASS)
    chosen = with_class_field(layer) if said else -1
    with editing.command(layer, tr("Correct object")):
        editing.set_shape(layer, feature_id, moved)
        if chosen >= 0:
            editing.set_value(layer, feature_id, chosen, said)
    return Written(layer.id(), (feature_id,))


def set_class(place: Place, crs: QgsCoordinateReferenceSystem, name: str) -> Written:
    """Give an existing feature a class and leave its outline, as one step of undo.

    Raises:
        TargetError: The layer or the feature is gone.
        EditError: The layer refuses it, or its field for the class cannot hold it.
    """
    layer, feature_id = _found(place, crs)
    written, index = Written(layer.id(), (feature_id,)), class_field(layer)
    if index >= 0 and layer.getFeature(feature_id).attribute(index) == name:
        return written
    chosen = with_class_field(layer)
    if chosen >= 0:
        with editing.command(layer, tr("Correct object")):
            editing.set_value(layer, feature_id, chosen, name)
    return written


def _found(place: Place, crs: QgsCoordinateReferenceSystem) -> tuple[QgsVectorLayer, int]:
    """A place's layer, and the id of its feature now.

    Raises:
        TargetError: One of them is gone, or nothing can be written into the layer.
    """
    layer = QgsProject.instance().mapLayer(place.layer_id)
    why = problem(layer if isinstance(layer, QgsVectorLayer) else None)
    if why is not None:
        raise TargetError(why)
    feature_id = feature_at(layer, place, crs)
    if feature_id is None:
        raise TargetError(tr("The object that was corrected has been deleted meanwhile."))
    return layer, feature_id


def broken_constraints(layer: QgsVectorLayer, feature: QgsFeature) -> str:
    """The fields whose hard constraints are not met, with what they want; empty where all are."""
    broken = []
    strength = QgsFieldConstraints.ConstraintStrength.ConstraintStrengthHard
    provider = layer.dataProvider()
    for index, field in enumerate(layer.fields()):
        if not field_mapping.is_stored(layer, index):
            continue  # of a joined table, or computed
        clause = provider.defaultValueClause(layer.fields().fieldOriginIndex(index))
        if clause and feature.attribute(index) in (None, NULL, clause):
            continue  # the database fills it in
        well, errors = QgsVectorLayerUtils.validateAttribute(layer, feature, index, strength)
        if not well:
            broken.append(f"{field.displayName()}: {', '.join(errors)}")
    return "; ".join(broken)


def wants_form(layer: QgsVectorLayer) -> bool:
    """The layer's own settings ask for its form at each new feature.

    QGIS's general setting is not followed here: it would open a form at each click.
    """
    config = layer.editFormConfig()
    return bool(config.suppress() == QgsEditFormConfig.FeatureFormSuppress.SuppressOff)
