# SPDX-License-Identifier: GPL-2.0-or-later
"""Copying the engine's layer into the algorithm's sink, with its style."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Optional

from qgis.core import (
    Qgis,
    QgsFeature,
    QgsFeatureSource,
    QgsField,
    QgsFieldConstraints,
    QgsFields,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingUtils,
    QgsProject,
    QgsProviderRegistry,
    QgsVectorLayer,
    QgsWkbTypes,
)

from .. import field_types, styles
from ..i18n import tr
from .given import (
    SOURCE_FID,
    SOURCE_LABEL,
    Given,
    handed_over,
    of_any_length,
    plain,
)
from .provenance import keep_provenance
from .sinks import Finished, into_sink, keep_aside

_STYLERS: list[QgsProcessingLayerPostProcessorInterface] = []
"""QGIS keeps no reference of its own to them before the layers are loaded."""


@dataclass(frozen=True)
class Times:
    """When features hold: from their own date until the next one.

    Args:
        field: With the date, as text.
        dates: All dates, in order: "2009", "2009-08" or "2009-08-18".
    """

    field: str
    dates: tuple[str, ...]

    def put_on(self, layer: QgsVectorLayer) -> None:
        """Let the temporal controller play the layer."""
        full = [_day(date) for date in self.dates]
        if len(full) < 2:
            return
        text = f'"{self.field}"'
        starts = " ".join(
            f"WHEN {text} = '{date}' THEN to_date('{day}')"
            for date, day in zip(self.dates, full)  # noqa: B905 - Python 3.9
        )
        ends = " ".join(
            f"WHEN {text} = '{date}' THEN to_date('{day}')"
            for date, day in zip(self.dates, full[1:])  # noqa: B905 - Python 3.9
        )
        times = layer.temporalProperties()
        times.setMode(Qgis.VectorTemporalMode.FeatureDateTimeStartAndEndFromExpressions)
        times.setStartExpression(f"CASE {starts} END")
        # What was seen last holds on.
        times.setEndExpression(f"CASE {ends} ELSE to_date('9999-12-31') END")
        times.setIsActive(True)


def _day(date: str) -> str:
    """The first day that a date can mean."""
    return "-".join([*date.split("T")[0].split("-"), "01", "01"][:3])


class _Styler(QgsProcessingLayerPostProcessorInterface):
    """Gives a result its style, and its times, when it is put into the project."""

    def __init__(self, style: str, times: Optional[Times] = None) -> None:
        super().__init__()
        self._style = style
        self._times = times

    def postProcessLayer(self, layer: Any, context: Any, feedback: Any) -> None:  # noqa: N802
        if isinstance(layer, QgsVectorLayer):
            styles.apply(layer, self._style)
            if self._times is not None:
                self._times.put_on(layer)


@dataclass(frozen=True)
class Carried:
    """Attributes of the input's features, found by the id that the engine's features name.

    Kept by columns: a list for each feature would set Python's collector to work, which looks
    through all that QGIS's Python holds while the window waits.

    Args:
        key: Field of the engine's layer with that id.
        fields: The input's fields.
        columns: A field's values, feature by feature.
        rows: A feature's place in the columns by its id.
        prefix: Of fields whose names the result needs for its own, as the engine gives it.
    """

    key: str
    fields: QgsFields
    columns: list[list[Any]]
    rows: dict[str, int]
    prefix: str = "old_"

    @classmethod
    def all_of(cls, source: QgsFeatureSource, key: str, prefix: str = "old_") -> Carried:
        """All attributes of a layer but its table's own key; objects become text in JSON, as few
        formats hold them."""
        kept = [index for index, each in enumerate(source.fields()) if not _is_key(each)]
        given = [source.fields().at(index) for index in kept]
        fields = QgsFields()
        for each in given:
            is_object = each.type() == field_types.OBJECT
            made = QgsField(each.name(), field_types.TEXT) if is_object else of_any_length(each)
            fields.append(made)
        columns: list[list[Any]] = [[] for _ in kept]
        rows: dict[str, int] = {}
        for feature in source.getFeatures():
            values, is_new = feature.attributes(), feature.id() < 0
            rows[str(feature.id())] = len(rows)
            for column, index, each in zip(columns, kept, given):  # noqa: B905 - Python 3.9
                is_list = each.type() in field_types.LISTS
                value = values[index]
                column.append(plain(value) if is_list else handed_over(each, value, is_new))
        return cls(key, fields, columns, rows, prefix)

    def of(self, feature: QgsFeature, fields: Sequence[int]) -> list[Any]:
        """Values of some of the fields for one of the engine's features."""
        row = self.rows.get(str(feature[self.key]))
        return [None if row is None else self.columns[index][row] for index in fields]


def _is_key(each: QgsField) -> bool:
    """Whether a field is the id that a GeoPackage gives its features; others may be called so."""
    constraints = each.constraints()
    origin = constraints.constraintOrigin(QgsFieldConstraints.Constraint.ConstraintUnique)
    by_source = QgsFieldConstraints.ConstraintOrigin.ConstraintOriginProvider
    return each.name().lower() == "fid" and origin == by_source


@dataclass(frozen=True)
class ResultLayer:
    """The engine's layer, and what of it the user gets.

    Args:
        path: Of the file.
        layer: Its name in the file; the first one where there is no name.
        style: One of the plugin's.
        carried: What the input's features bring along.
        names: The engine's fields that are kept, with their names in the sink; None for all of
            them under their own.
        single: Each feature has one part only.
        times: When the features hold, for QGIS's temporal controller.
    """

    path: str
    layer: str = ""
    style: str = "review"
    carried: Optional[Carried] = None
    names: Optional[dict[str, str]] = None
    single: bool = False
    times: Optional[Times] = None

    def open(self) -> QgsVectorLayer:
        """Raises QgsProcessingException where it cannot be read."""
        uri = f"{self.path}|layername={self.layer}" if self.layer else self.path
        result = QgsVectorLayer(uri, "result", "ogr")
        if not result.isValid():
            raise QgsProcessingException(
                tr("The engine's result {file} cannot be read; see the log.").format(file=self.path)
            )
        return result


@dataclass
class _Columns:
    """Which values a feature of the sink gets, in the order of its fields.

    Args:
        fields: Of the sink.
        engine: Places of the engine's values.
        carried: Places of the input's values.
        renamed: Fields of the input that are called otherwise in the sink.
    """

    fields: QgsFields = field(default_factory=QgsFields)
    engine: list[int] = field(default_factory=list)
    carried: list[int] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, wanted: ResultLayer, result: QgsVectorLayer) -> _Columns:
        columns = cls()
        handed = ("fid", "ogc_fid", SOURCE_FID, SOURCE_LABEL)
        own = [f for f in result.fields() if f.name().lower() not in handed]
        names = wanted.names
        if names is None:
            names = {f.name(): f.name() for f in own}
        kept = [f for f in own if f.name() in names]
        columns.engine = [result.fields().lookupField(f.name()) for f in kept]
        made = [_called(each, names[each.name()]) for each in kept]
        brought = []
        if wanted.carried is not None:
            brought = columns._bring(wanted.carried, {each.name().lower() for each in made})
        # Where the engine only adds to the user's own attributes, theirs come first.
        for each in [*made, *brought] if wanted.names is None else [*brought, *made]:
            columns.fields.append(each)
        return columns

    def _bring(self, carried: Carried, said: set[str]) -> list[QgsField]:
        """The input's fields, under names that are free in the sink.

        Where the input has all that is said, an earlier run has said it, and the new takes its
        place. Any other field of such a name is the user's own and goes on under another one.

        Args:
            carried: What the input's features bring along.
            said: Names of the fields that the result has anyway, in small letters.
        """
        inputs = list(carried.fields)
        given = {each.name().lower() for each in inputs}
        earlier = said if said <= given else set()
        taken = said | {"fid", "geom"}  # the key and the shapes of a GeoPackage
        brought = []
        for index, each in enumerate(inputs):
            if each.name().lower() in earlier:
                continue
            name = each.name()
            while name.lower() in taken or (name != each.name() and name.lower() in given):
                name = carried.prefix + name
            if name != each.name():
                self.renamed[each.name()] = name
                taken.add(name.lower())
            self.carried.append(index)
            brought.append(_called(each, name))
        return brought

    def row(self, wanted: ResultLayer, feature: QgsFeature) -> list[Any]:
        values = feature.attributes()
        made = [values[index] for index in self.engine]
        brought: list[Any] = []
        if wanted.carried is not None:
            brought = wanted.carried.of(feature, self.carried)
        return made + brought if wanted.names is None else brought + made


def _called(each: QgsField, name: str) -> QgsField:
    """A copy of a field under a name."""
    made = QgsField(each)
    made.setName(name)
    return made


def write(given: Given, wanted: ResultLayer) -> str:
    """Copy a result into the sink that the user chose; the sink's name.

    Cancelling has no effect any more: what appears is whole. Where the sink cannot be written, as
    it is only now that another program has locked it, the work is not lost: the result is kept in a
    file of its own.

    Raises:
        OSError: The sink's folder or file cannot be written, nor a file of the result's own.
        QgsProcessingException: The sink cannot be written; it says where the result is kept.
    """
    context = given.context
    result = wanted.open()
    columns = _Columns.of(wanted, result)
    if columns.renamed:
        given.feedback.pushWarning(
            tr(
                "Fields of the input have names that the result needs for its own; there they are "
                "called otherwise: {names}"
            ).format(names=", ".join(f"{old} → {new}" for old, new in columns.renamed.items()))
        )
    kind = result.wkbType()
    if kind in (QgsWkbTypes.Type.Unknown, QgsWkbTypes.Type.NoGeometry):
        kind = QgsWkbTypes.Type.MultiPolygon
    kind = QgsWkbTypes.singleType(kind) if wanted.single else QgsWkbTypes.multiType(kind)
    features = partial(_made, wanted, result, columns)
    finished = Finished(columns.fields, kind, result.crs(), result.featureCount(), features)
    try:
        destination = into_sink(given, finished)
    except (OSError, QgsProcessingException) as error:
        path = keep_aside(given, finished)
        if path is None:
            raise
        _keep_style(given, path, wanted)
        raise QgsProcessingException(
            tr(
                "The result is kept in {file}, as it could not be written where it was wanted: "
                "{why}"
            ).format(file=path, why=error)
        ) from error
    _keep_style(given, destination, wanted)
    if context.willLoadLayerOnCompletion(destination):
        styler = _Styler(wanted.style, wanted.times)
        _STYLERS.append(styler)
        del _STYLERS[:-20]
        context.layerToLoadOnCompletionDetails(destination).setPostProcessor(styler)
    return str(destination)


def _made(wanted: ResultLayer, result: QgsVectorLayer, columns: _Columns) -> Iterator[QgsFeature]:
    """The engine's features as the user gets them."""
    for feature in result.getFeatures():
        made = QgsFeature(columns.fields)
        geometry = feature.geometry()
        if wanted.single:
            geometry.convertToSingleType()
        else:
            geometry.convertToMultiType()
        made.setGeometry(geometry)
        made.setAttributes(columns.row(wanted, feature))
        yield made


def load_layers(
    context: QgsProcessingContext, project: QgsProject, layers: Sequence[str], style: str
) -> None:
    """Let QGIS put layers of a GeoPackage each into a project when the algorithm is done.

    Args:
        context: Of the run.
        project: That gets them.
        layers: ``path|layername=name``.
        style: One of the plugin's.
    """
    for uri in layers:
        name = uri.rpartition("=")[2]
        details = QgsProcessingContext.LayerDetails(name, project, name)
        styler = _Styler(style)
        _STYLERS.append(styler)
        details.setPostProcessor(styler)
        context.addLayerToLoadOnCompletion(uri, details)
    del _STYLERS[: -max(20, len(layers))]


def _keep_style(given: Given, destination: str, wanted: ResultLayer) -> None:
    """Put style and provenance into the file, where it can hold them, for later users.

    In the algorithm's own thread, with a layer of its own: it waits for the disk.
    """
    own = QgsProcessingContext()
    layer = QgsProcessingUtils.mapLayerFromString(destination, own)
    if isinstance(layer, QgsVectorLayer) and layer.dataProvider().storageType() == "GPKG":
        known = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
        styles.store(layer, wanted.style, is_new=True)
        kept = str(known.get("path")), str(known.get("layerName") or "")
        keep_provenance((wanted.path, wanted.layer), kept, given.handed)
