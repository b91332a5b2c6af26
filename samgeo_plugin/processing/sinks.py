# SPDX-License-Identifier: GPL-2.0-or-later
"""The sink that the user chose for a result, and a file of its own where that cannot be written."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Optional

from osgeo import gdal, ogr
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsDataSourceUri,
    QgsFeature,
    QgsFeatureRequest,
    QgsFeatureSink,
    QgsFields,
    QgsProcessingException,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from ..engine.stages import ENGINE_PERCENT
from ..i18n import tr
from ..interactive.autosave import free_path, new_path
from .given import Given, in_usable_folder
from .parameters import TEMPORARY

_NO_FILE = re.compile(r"\w{2,}:|/vsi")
"""How destinations begin that lie in a database or in one of GDAL's own file systems."""

_DATABASE = re.compile(r"(\w{2,}):(?://)?(.+)", re.DOTALL)
"""A table of a database as QGIS names it: a provider and what that one calls it."""

_TABLE = "ogr:"
"""How destinations begin that are a table in a file."""

_MEMORY = "memory"
"""QGIS's name of the provider of layers that are nowhere else."""

_ONLY_SHAPES = ("FlatGeobuf", "Geoconcept")
"""GDAL's names of formats that leave out features without a geometry."""

_COMPANIONS = {
    ".shp": (".shx", ".dbf", ".prj", ".cpg", ".qpj"),
    ".tab": (".dat", ".map", ".id", ".ind"),
    ".mif": (".mid",),
    ".gml": (".xsd", ".gfs"),
}
"""Files of the same stem that belong to one with a suffix."""


@dataclass(frozen=True)
class Finished:
    """All features of a result as the user gets them.

    Args:
        fields: Of the features.
        kind: Of their geometries, a ``QgsWkbTypes.Type``.
        crs: Of their geometries.
        count: How many features there are, at most.
        features: Gives all of them, each time it is called.
    """

    fields: QgsFields
    kind: Any
    crs: QgsCoordinateReferenceSystem
    count: int
    features: Callable[[], Iterator[QgsFeature]]


@dataclass
class _Counted:
    """How many features were handed to a sink.

    Args:
        features: All of them.
        shapes: Those with a geometry.
    """

    features: int = 0
    shapes: int = 0

    def add(self, feature: QgsFeature) -> None:
        self.features += 1
        self.shapes += not feature.geometry().isEmpty()


def check_sink(given: Given) -> None:
    """See, before the work, that the sink which the user chose can be written, where it is a file.

    The sink itself can only be made when the result's fields are known: it would be in the place of
    an older result before there is a new one.

    Raises:
        OSError: Its folder cannot be made, or nothing can be written to it; or the file that is
            there cannot be replaced.
        QgsProcessingException: The file that is there is open.
    """
    path = _file_of(given)
    if not path:
        return
    path = in_usable_folder(path)
    if not _is_table(given):
        _check_closed(path)
        if os.path.exists(path):
            os.rename(path, path)  # Windows refuses it of a file that another program has open
    elif not os.path.exists(path):
        _check_closed(path)
    elif not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def _destination(given: Given) -> str:
    """Where the user wants the result, as QGIS writes it."""
    algorithm = given.algorithm
    return algorithm.written(given.parameters, algorithm.OUTPUT, given.context)


def _is_table(given: Given) -> bool:
    """Whether the user wants the result as a table that is added to a file."""
    return _destination(given).startswith(_TABLE)


def _file_of(given: Given) -> str:
    """The file that the user wants the result in; "" where it is none."""
    sink = _destination(given)
    if sink.startswith(_TABLE):
        source = sink[len(_TABLE) :]
        return str(QgsDataSourceUri(source).database() or source)
    return "" if sink.startswith(TEMPORARY) or _NO_FILE.match(sink) else sink


def _check_closed(path: str) -> None:
    """See that no program works in a GeoPackage in whose place a new one is written.

    SQLite's log lies beside it then, as where a layer in QGIS was edited and the edits were undone,
    and stays where the file is deleted: it would be played into the new file, which nothing could
    open any more. A log that nobody uses, as a full drive or a crash leaves it, SQLite itself plays
    into its file and removes.

    Raises:
        QgsProcessingException: One does, or may.
    """
    log = f"{path}-wal"
    if not os.path.exists(log):
        return
    if not os.path.exists(path) or not os.path.getsize(path):
        raise QgsProcessingException(
            tr(
                "{file} cannot be written: {file}-wal is left of a GeoPackage of that name that "
                "is gone. If QGIS or another program still has that one open, close it there; "
                "else delete {file}-wal, or choose another file."
            ).format(file=path)
        )
    _play_log(path)
    if os.path.exists(log):
        raise QgsProcessingException(
            tr(
                "{file} cannot be written: {file}-wal beside it says that QGIS or another program "
                "has it open. Remove its layers from the project or close the program, or choose "
                "another file."
            ).format(file=path)
        )


def _play_log(path: str) -> None:
    """Let SQLite play a GeoPackage's log into it and remove it, which it does for its last user.

    By GDAL, which has QGIS's own SQLite: another one in this process would not see that QGIS has
    the file open, and would end its locks.
    """
    gdal.PushErrorHandler("CPLQuietErrorHandler")
    try:
        with suppress(RuntimeError):  # it cannot be opened
            gdal.OpenEx(path, gdal.OF_VECTOR | gdal.OF_UPDATE)  # closed at once
    finally:
        gdal.PopErrorHandler()


def into_sink(given: Given, finished: Finished) -> str:
    """Write all features to the sink that the user chose; the sink's name.

    Args:
        given: The run's parameters.
        finished: The features.

    Raises:
        OSError: See :func:`check_sink`.
        QgsProcessingException: It cannot be written; what was written in part is removed.
    """
    algorithm = given.algorithm
    check_sink(given)  # again: hours may have passed
    is_table = _is_table(given) and os.path.exists(_file_of(given))
    sink, destination = algorithm.parameterAsSink(
        given.parameters, algorithm.OUTPUT, given.context, finished.fields, finished.kind,
        finished.crs,
    )  # fmt: skip
    if sink is None:
        raise QgsProcessingException(algorithm.invalidSinkError(given.parameters, algorithm.OUTPUT))
    written, why = _Counted(), ""
    for feature in finished.features():
        written.add(feature)
        if not sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert):
            why = algorithm.writeFeatureError(sink, given.parameters, algorithm.OUTPUT)
            break
        share = written.features / max(finished.count, written.features)
        given.feedback.setProgress(ENGINE_PERCENT + (100 - ENGINE_PERCENT) * share)
    del sink  # closes the file
    layer = _table_anew(given, destination)
    holds = partial(_file_holds, destination) if layer is None else partial(_holds, layer)
    if not why and not holds(written):
        # What is written last may be refused when the file is closed, which says nothing.
        why = tr("{file} did not take all features").format(file=_destination(given))
    if why:
        is_left = layer is not None and layer.isValid() and layer.providerType() != _MEMORY
        if is_left or (layer is None and _discard(destination, is_table)):
            why = tr("{why} (a part of the result stays there)").format(why=why)
        raise QgsProcessingException(why)
    return str(destination)


def _table_anew(given: Given, destination: str) -> Optional[QgsVectorLayer]:
    """What was written into a database, opened anew, or into memory; None where it is a file."""
    layer = given.context.temporaryLayerStore().mapLayer(destination)
    if layer is not None and layer.providerType() == _MEMORY:
        return layer
    if layer is not None:
        return QgsVectorLayer(layer.source(), "again", layer.providerType())
    parts = _DATABASE.match(destination)
    if parts is None:
        return None
    provider = "postgres" if parts[1] == "postgis" else parts[1]
    return QgsVectorLayer(parts[2], "again", provider)


def _holds(layer: QgsVectorLayer, written: _Counted) -> bool:
    """Whether a database's table has all features that were written to it, as memory always has."""
    if layer.providerType() == _MEMORY:
        return True
    # The layer's own count may be the database's estimate.
    request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry).setNoAttributes()
    return layer.isValid() and sum(1 for _ in layer.getFeatures(request)) >= written.features


def _file_holds(destination: str, written: _Counted) -> bool:
    """Whether a file, opened anew, has all features that were written to it.

    Args:
        destination: As QGIS names it.
        written: Where it is nothing, the file need not be readable: an empty one is not in some
            formats.
    """
    path, name = _file_and_table(destination)
    gdal.PushErrorHandler("CPLQuietErrorHandler")
    file = layers = layer = None
    try:
        file = gdal.OpenEx(path, gdal.OF_VECTOR)
        if file is None:
            return not written.features or _is_never_read(path)
        layers = [file.GetLayer(index) for index in range(file.GetLayerCount())]
        layers = [layer for layer in layers if name in ("", layer.GetName())]
        gdal.ErrorReset()
        has_shapes, found, shapes = False, 0, 0
        for layer in layers:
            has_shapes = has_shapes or layer.GetGeomType() != ogr.wkbNone
            for feature in layer:
                found += 1
                shapes += feature.GetGeometryRef() is not None
        if gdal.GetLastErrorType() >= gdal.CE_Failure:
            return False
        only_shapes = file.GetDriver().ShortName in _ONLY_SHAPES
        wanted = written.shapes if only_shapes else written.features
        return found >= wanted and (not has_shapes or shapes >= written.shapes)
    except RuntimeError:  # where GDAL raises
        return not written.features or _is_never_read(path)
    finally:
        layer = layers = file = None  # in this order, which closes the file
        gdal.PopErrorHandler()


def _is_never_read(path: str) -> bool:
    """Whether GDAL writes the file's format, but does not read it: of it nothing can be known."""
    name = QgsVectorFileWriter.driverForExtension(Path(path).suffix[1:])
    driver = gdal.GetDriverByName(name) if name else None
    return driver is not None and driver.GetMetadataItem("DCAP_OPEN") is None


def _file_and_table(destination: str) -> tuple[str, str]:
    """A file and the layer in it, "" for its only one, of what QGIS calls a sink."""
    path, _, name = destination.partition("|layername=")
    return path, name


def _discard(destination: str, is_table: bool) -> bool:
    """Remove a layer that was written in part; whether any of it stays.

    Args:
        destination: As QGIS names it.
        is_table: It was added to a file that was there before.
    """
    path, name = _file_and_table(destination)
    if not os.path.isfile(path):
        return False
    gdal.PushErrorHandler("CPLQuietErrorHandler")
    try:
        if is_table:
            _drop_table(path, name)
            tables = _tables(path)
            return tables is None or name in tables
        _remove(path)
    finally:
        gdal.PopErrorHandler()
    return os.path.exists(path)


def _drop_table(path: str, name: str) -> None:
    """Take a layer out of a file, where that can be written."""
    with suppress(AttributeError, RuntimeError, ValueError):  # it cannot be opened, or is not there
        file = gdal.OpenEx(path, gdal.OF_VECTOR | gdal.OF_UPDATE)
        names = [file.GetLayer(index).GetName() for index in range(file.GetLayerCount())]
        file.DeleteLayer(names.index(name))


def _tables(path: str) -> Optional[list[str]]:
    """Names of a file's layers; None where it cannot be opened."""
    with suppress(AttributeError, RuntimeError):
        file = gdal.OpenEx(path, gdal.OF_VECTOR)
        return [file.GetLayer(index).GetName() for index in range(file.GetLayerCount())]
    return None


def _remove(path: str) -> None:
    """Remove a file with those that belong to it, as far as that can be done."""
    with suppress(AttributeError, RuntimeError):  # it cannot be opened
        file = gdal.OpenEx(path, gdal.OF_VECTOR)
        driver = file.GetDriver()
        file = None  # closes it
        driver.Delete(path)
    stem, suffix = os.path.splitext(path)
    companions = [stem + other for other in _COMPANIONS.get(suffix.lower(), ())]
    for each in (path, *companions, *(f"{path}-{log}" for log in ("journal", "wal", "shm"))):
        with suppress(OSError):
            os.remove(each)


def keep_aside(given: Given, finished: Finished) -> Optional[str]:
    """Write a result into a new GeoPackage.

    It lies beside the file that was wanted; where that is none, or its folder takes no files,
    where the layers of the panel lie: beside the project, or in the user's profile.

    Args:
        given: The run's parameters.
        finished: The result.

    Returns:
        The file; None where it cannot be written either.
    """
    wanted = _file_of(given)
    places: list[Callable[[], Path]] = [
        lambda: new_path(given.algorithm.key),
        lambda: new_path(given.algorithm.key, in_profile=True),
    ]
    if wanted:
        stem = f"{Path(wanted).stem}_kept"
        places.insert(0, lambda: free_path(Path(wanted).absolute().parent, stem))
    for place in places:
        with suppress(OSError):  # as of a drive that is no longer there
            path = place()
            if _is_written(given, finished, path):
                return str(path)
    return None


def _is_written(given: Given, finished: Finished, path: Path) -> bool:
    """Whether a new GeoPackage has all features; nothing of it is left where it has not."""
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = path.stem
    writer = QgsVectorFileWriter.create(
        str(path), finished.fields, finished.kind, finished.crs,
        given.context.transformContext(), options,
    )  # fmt: skip
    written, good = _Counted(), writer.hasError() == QgsVectorFileWriter.WriterError.NoError
    if good:
        for feature in finished.features():
            written.add(feature)
            if not writer.addFeature(feature, QgsFeatureSink.Flag.FastInsert):
                good = False
                break
        good = writer.flushBuffer() and good
    del writer  # closes the file
    if good and path.exists() and _file_holds(str(path), written):
        return True
    _remove(str(path))
    return False
