# SPDX-License-Identifier: GPL-2.0-or-later
"""Found objects into the target layer: all of them one step of its undo history."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any, Optional

from qgis.core import (
    NULL,
    QgsCoordinateReferenceSystem,
    QgsExpression,
    QgsFeature,
    QgsFeatureRequest,
    QgsField,
    QgsFieldConstraints,
    QgsFields,
    QgsGeometry,
    QgsSpatialIndex,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QDateTime, QObject, pyqtSignal

from .. import field_types
from ..i18n import tr
from . import editing, field_mapping, reading, target
from .candidates import Refinement
from .editing import EditError
from .feature_ids import SavedIds
from .found_objects import Found
from .in_steps import InSteps
from .reading import ReadError
from .tidy import iou

SAME = 0.5
"""IoU from which on an object is in the layer already."""

SINGLE_PRECISION = 1e-7
"""Relative; some formats and databases keep real numbers in 32 bits."""

_Made = tuple[str, QgsGeometry, dict[str, Any], list[QgsFeature]]
"""An object's id, its shape in the layer, its attributes, and its features where they are made
yet."""


class TakeOver(QObject):
    """Makes features in small steps and adds them in one; the layer's edit buffer holds them.

    A command of the undo history that stayed open between steps would swallow what the user accepts
    or edits meanwhile.

    Args:
        parent: Qt's owner.
    """

    ended = pyqtSignal(int, int, int)
    """How many more there are, how many were left out (there already, or refused), and how many
    stay beside larger ones that they are parts of, as the user has changed them."""

    failed = pyqtSignal(str)
    """Why nothing was taken over."""

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._steps = InSteps(self)
        self._more = self._left = self._stayed = 0
        self._why = ""
        self.added: set[str] = set()
        """Ids of the objects that were added the last time."""
        self.refused: dict[str, str] = {}
        """Why the layer refused objects, by their ids, the last time."""
        self._given: dict[tuple[str, str], list[QgsFeature]] = {}
        """What was added, by the ids of layer and object."""
        self._parts: dict[int, QgsGeometry] = {}
        """Features that go, as larger objects come."""
        self._ids_now: dict[int, Optional[int]] = {}
        """Of features, by the ids by which the reading tells them, where saves have given them
        others since; None where that is not known."""
        self._saved_ids: Optional[SavedIds] = None

    @property
    def busy(self) -> bool:
        return self._steps.busy

    def stop(self) -> None:
        self._steps.stop()
        self._follow(None)

    def start(
        self,
        layer: QgsVectorLayer,
        crs: QgsCoordinateReferenceSystem,
        objects: Sequence[tuple[Found, str]],
        attributes: dict[str, Any],
        refinement: Refinement,
        outdated: AbstractSet[str] = frozenset(),
        taken: AbstractSet[str] = frozenset(),
        once: AbstractSet[str] = frozenset(),
    ) -> None:
        """Begin.

        Args:
            layer: Where they go.
            crs: Of the objects.
            objects: Each with its class.
            attributes: That all have in common.
            refinement: What is done to outlines in QGIS itself.
            outdated: Ids of objects that were taken before and are parts of larger ones now: their
                features go, unless the user has changed them since.
            taken: Ids of objects that were taken before: those that are in the layer still are not
                counted as left out.
            once: Ids of objects that were added before and do not come again where the user has
                deleted them. Where none of them is in the layer, they were not deleted: the step
                was undone, or it is another layer.

        Raises:
            TargetError: The layer takes nothing.
            EditError: The layer cannot be edited, or its field for the class cannot hold one of
                the classes, or there is none.
        """
        why = target.problem(layer)
        if why is not None:
            raise target.TargetError(why)
        editing.begin(layer)
        names = dict.fromkeys(name for _, name in objects if name)
        there = bool(names) and target.class_field(layer) >= 0
        chosen = target.with_class_field(layer) if there else -1
        if chosen >= 0:
            for name in names:
                editing.value_for(layer, chosen, name)
        self._more = self._left = self._stayed = 0
        self.added, self.refused = set(), {}
        work = self._work(layer, crs, objects, attributes, refinement, outdated, taken, once)
        self._why = tr(
            "Editing of the layer {name} ended before the found objects were in it; take them "
            "again."
        ).format(name=layer.name())
        self._follow(layer)
        self._steps.start(self._or_why(_while_editable(layer, work)), self._end)

    def _or_why(self, work: Iterator[None]) -> Iterator[None]:
        try:
            yield from work
        except ReadError as error:
            self._why = str(error)

    def _end(self) -> None:
        self._follow(None)
        if self._why:
            self.failed.emit(self._why)
        else:
            self.ended.emit(self._more, self._left, self._stayed)

    def _work(
        self,
        layer: QgsVectorLayer,
        crs: QgsCoordinateReferenceSystem,
        objects: Sequence[tuple[Found, str]],
        attributes: dict[str, Any],
        refinement: Refinement,
        outdated: AbstractSet[str],
        taken: AbstractSet[str],
        once: AbstractSet[str],
    ) -> Iterator[None]:
        index = QgsSpatialIndex()
        shapes: list[QgsGeometry] = []
        known: set[str] = set()
        ids = layer.fields().lookupField(field_mapping.mapping(layer).get("id", ""))
        changed: set[int] = set()
        request = QgsFeatureRequest().setSubsetOfAttributes([ids] if ids >= 0 else [])
        hidden = target.hidden_by_filter(layer, request)
        there = reading.features(layer, request)
        reads_file = False
        for feature in itertools.chain(there, hidden):
            if not reads_file and feature is not None and feature.id() >= 0:
                reads_file = True  # it has just been opened; new features come before
                self._catch_up()
                self._ids_now = {k: now for k, now in self._ids_now.items() if k < 0}
            yield
            if feature is None:
                continue
            key = str(feature.attribute(ids)) if ids >= 0 else ""
            known.add(key)
            if key in outdated:
                self._catch_up()
                feature_id = self._ids_now.get(feature.id(), feature.id())
                if feature_id is not None and self._is_as_given(layer, feature_id, key):
                    self._parts[feature_id] = feature.geometry()
                    continue
                changed.add(len(shapes))
            if feature.hasGeometry():
                index.addFeature(len(shapes), feature.geometry().boundingBox())
            shapes.append(feature.geometry())
        self._stayed = len(changed)

        def moved_to_layer(one: Found) -> QgsGeometry:
            return target.to_layer_crs(refinement.tidy(one.geometry), crs, layer)

        def there_as(moved: QgsGeometry) -> list[int]:
            near = index.intersects(moved.boundingBox())
            return [each for each in near if iou(shapes[each], moved) >= SAME]

        def is_there(one: Found) -> bool:
            try:
                return bool(there_as(moved_to_layer(one)))
            except target.TargetError:
                return False

        if not known.isdisjoint(once) or any(is_there(one) for one, _ in objects if one.id in once):
            objects = [(one, name) for one, name in objects if one.id not in once]
        field_missing = any(name for _, name in objects)
        made: list[_Made] = []
        coming = QgsSpatialIndex()
        in_turn = _looks_at_others(layer)
        for one, name in objects:
            values = {**attributes, "id": one.id, "score": one.score, target.CLASS: name}
            values.update(stability=one.stability, area_m2=one.area_m2)
            moved: Optional[QgsGeometry] = None
            try:
                moved = moved_to_layer(one)
                there = there_as(moved)
                if there:
                    self._left += one.id not in taken
                    if not changed.isdisjoint(there):
                        self._keep_parts(moved)
                else:
                    near = [made[each][1] for each in coming.intersects(moved.boundingBox())]
                    shape = editing.avoid_overlaps(layer, moved, list(self._parts), near)
                    if field_missing:  # before the first feature, so that all have it
                        field_missing = False
                        with suppress(EditError):  # those with a class are refused for it
                            target.with_class_field(layer)
                    given = target.field_values(layer, values)
                    features = [] if in_turn else _features(layer, shape, given)
                    coming.addFeature(len(made), shape.boundingBox())
                    made.append((one.id, shape, values, features))
            except (target.TargetError, EditError) as error:
                self._refuse(one.id, error, moved)
            yield
        self._catch_up()
        if made or self._parts:
            self._put(layer, made)
        self._why = ""

    def _put(self, layer: QgsVectorLayer, made: list[_Made]) -> None:
        """All of it, as one step of the undo history."""
        current = self._with_current_fields(layer, made)
        with editing.command(layer, tr("Take found objects over")):
            for key, shape, values, features in current:
                try:
                    features = features or _features(layer, shape, values)
                except target.TargetError as error:
                    self._refuse(key, error, shape)
                    continue
                if all(editing.add(layer, each) for each in features):
                    self._more += 1
                    self.added.add(key)
                    self._given[layer.id(), key] = features
                else:
                    self._refuse(key, target.refusal(layer), shape)
            if layer.deleteFeatures(list(self._parts)):
                self._more -= len(self._parts)

    def _with_current_fields(
        self, layer: QgsVectorLayer, made: list[_Made]
    ) -> list[tuple[str, QgsGeometry, dict[int, Any], list[QgsFeature]]]:
        """Objects with their values by the layer's fields, where features are still to be made:
        also those whose features were made before the layer's fields changed."""
        if any(attributes[target.CLASS] for _, _, attributes, _ in made):
            with suppress(EditError):
                target.with_class_field(layer)  # an undo may have taken it away
        fields, current = layer.fields(), []
        for key, shape, attributes, features in made:
            values: dict[int, Any] = {}
            if not features or features[0].fields() != fields:
                features = []
                try:
                    values = target.field_values(layer, attributes)
                except EditError as error:
                    self._refuse(key, error, shape)
                    continue
            current.append((key, shape, values, features))
        return current

    def _refuse(self, key: str, why: Exception, shape: Optional[QgsGeometry]) -> None:
        self._left += 1
        self.refused[key] = str(why)
        if shape is not None:
            self._keep_parts(shape)

    def _keep_parts(self, whole: QgsGeometry) -> None:
        """Parts of an object that does not come stay: there is nothing in their place."""
        self._parts = {k: part for k, part in self._parts.items() if not _within(part, whole)}

    def _saved(self, ids: dict[int, Optional[int]]) -> None:
        """A save between two steps has given features other ids (``SavedIds.changed``)."""
        renamed = {ids.get(each, each): part for each, part in self._parts.items()}
        self._parts = {each: part for each, part in renamed.items() if each is not None}
        known = {k: None if now is None else ids.get(now, now) for k, now in self._ids_now.items()}
        self._ids_now = {**ids, **known}

    def _catch_up(self) -> None:
        if self._saved_ids is not None:
            self._saved_ids.catch_up()

    def _follow(self, layer: Optional[QgsVectorLayer]) -> None:
        """Hear of the saves of a layer; of none at the end."""
        if self._saved_ids is not None:
            self._saved_ids.leave(self._saved)
        self._saved_ids = None if layer is None else SavedIds.of(layer, self._saved)
        self._parts, self._ids_now = {}, {}

    def _is_as_given(self, layer: QgsVectorLayer, feature_id: int, key: str) -> bool:
        """Nobody has changed a feature since it was added here as an object of this id."""
        now = layer.getFeature(feature_id)
        return any(_same(layer, each, now) for each in self._given.get((layer.id(), key), ()))


def _same(layer: QgsVectorLayer, given: QgsFeature, now: QgsFeature) -> bool:
    """Same shape and values, but for those that the source fills in."""
    shape, other = given.geometry(), now.geometry()
    if not (shape.equals(other) or shape.isGeosEqual(other)):
        return False
    provider, fields = layer.dataProvider(), layer.fields()
    for index, field in enumerate(fields):
        saved = fields.fieldOrigin(index) == QgsFields.OriginProvider
        by_source = saved and provider.defaultValueClause(fields.fieldOriginIndex(index))
        if field_mapping.is_stored(layer, index) and not by_source:
            place = given.fields().lookupField(field.name())
            before = given.attribute(place) if place >= 0 else NULL
            if not _alike(field, before, now.attribute(index)):
                return False
    return True


def _alike(field: QgsField, given: Any, now: Any) -> bool:
    """A value that was given to a field is what a format gives back after a save: numbers lose
    digits."""
    given, now = _plain(field, given), _plain(field, now)
    if isinstance(given, float) and isinstance(now, float):
        places = field.precision()
        last = 0.51 * 10.0**-places if places > 0 else 0.0  # a half is rounded up or down
        return math.isclose(given, now, rel_tol=SINGLE_PRECISION, abs_tol=last)
    return bool(given == now)


def _plain(field: QgsField, value: Any) -> Any:
    """To be compared: as the field's type; formats know no empty text, and keep moments to the
    second at least, each its own way."""
    is_real = field.type() == field_types.REAL and isinstance(value, float)
    if value != NULL and not is_real:  # would be rounded, a half in another way than in files
        try:
            value = field.convertCompatible(value)
        except ValueError:
            value = field_mapping.fitting(field, value)
    if isinstance(value, QDateTime):
        return value.toSecsSinceEpoch() if value.isValid() else None
    return None if value == NULL or value == "" else value


def _within(part: QgsGeometry, whole: QgsGeometry) -> bool:
    return bool(part.intersection(whole).area() >= 0.5 * part.area())


def _while_editable(layer: QgsVectorLayer, work: Iterator[None]) -> Iterator[None]:
    """The steps of work on a layer, up to where its editing ends."""
    while not sip.isdeleted(layer) and layer.isEditable():
        try:
            next(work)
        except StopIteration:
            return
        yield


def _looks_at_others(layer: QgsVectorLayer) -> bool:
    """A feature's values depend on the ones before it, as unique ones and ``maximum("nr") + 1``:
    each must be in the layer before the next one is made."""
    provider, fields = layer.dataProvider(), layer.fields()
    unique = QgsFieldConstraints.Constraint.ConstraintUnique
    groups = {each.name(): each.groups() for each in QgsExpression.Functions()}
    for index, field in enumerate(fields):
        if not field_mapping.is_stored(layer, index):
            continue
        by_source = provider.defaultValueClause(fields.fieldOriginIndex(index))
        if field.constraints().constraints() & unique and not by_source:
            return True
        default = QgsExpression(field.defaultValueDefinition().expression())
        if any("Aggregates" in groups.get(each, ()) for each in default.referencedFunctions()):
            return True
    return False


def _features(
    layer: QgsVectorLayer, shape: QgsGeometry, values: dict[int, Any]
) -> list[QgsFeature]:
    """One object as features that the layer takes.

    Raises:
        TargetError: It takes none; the text says which of its constraints are not met.
    """
    made = target.features_for(layer, shape, values)
    broken = target.broken_constraints(layer, made[0])  # all parts have the same values
    if broken:
        raise target.TargetError(broken)
    return made
