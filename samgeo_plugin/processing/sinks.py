# SPDX-License-Identifier: GPL-2.0-or-later
"""The sink that the user chose for a result, and a file of its own where that cannot be written."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsDataSourceUri,
    QgsFeature,
    QgsFeatureSink,
    QgsFields,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingUtils,
    QgsProviderRegistry,
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

_TABLE = "ogr:"
"""How destinations begin that are a table in a file."""


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
    open any more.

    Raises:
        QgsProcessingException: One does.
    """
    if os.path.exists(f"{path}-wal"):
        raise QgsProcessingException(
            tr(
                "{file} cannot be written: {file}-wal beside it says that QGIS or another program "
                "has it open. Remove its layers from the project or close the program, or choose "
                "another file."
            ).format(file=path)
        )


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
    number, why = 0, ""
    for number, feature in enumerate(finished.features(), start=1):
        if not sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert):
            why = algorithm.writeFeatureError(sink, given.parameters, algorithm.OUTPUT)
            break
        share = number / max(finished.count, number)
        given.feedback.setProgress(ENGINE_PERCENT + (100 - ENGINE_PERCENT) * share)
    del sink  # closes the file
    if not why and _file_of(given) and not _holds(destination, number):
        # What is written last may be refused when the file is closed, which says nothing.
        why = tr("{file} did not take all features").format(file=destination)
    if why:
        _discard(destination, is_table)
        raise QgsProcessingException(why)
    return str(destination)


def _holds(destination: str, count: int) -> bool:
    """Whether a GeoPackage has so many features; of other files nothing is known."""
    own = QgsProcessingContext()
    layer = QgsProcessingUtils.mapLayerFromString(destination, own)
    if not isinstance(layer, QgsVectorLayer) or layer.dataProvider().storageType() != "GPKG":
        return True
    return bool(layer.featureCount() >= count)


def _discard(destination: str, is_table: bool) -> None:
    """Remove a layer that was written in part.

    Args:
        destination: As QGIS names it.
        is_table: It was added to a file that was there before.
    """
    parts = QgsProviderRegistry.instance().decodeUri("ogr", destination)
    path = str(parts.get("path") or "")
    if not os.path.isfile(path):
        return  # in a database, whose own transaction ends
    file = None
    try:
        file = gdal.OpenEx(path, gdal.OF_VECTOR | gdal.OF_UPDATE)
        if is_table:
            names = [file.GetLayer(index).GetName() for index in range(file.GetLayerCount())]
            file.DeleteLayer(names.index(str(parts.get("layerName"))))
        else:
            driver = file.GetDriver()
            file = None  # closes it
            driver.Delete(path)
    except (AttributeError, RuntimeError, ValueError):
        return  # it cannot be opened


def keep_aside(given: Given, finished: Finished) -> Optional[str]:
    """Write a result into a new GeoPackage.

    It lies beside the file that was wanted; where that is none, or its folder takes no files,
    where the layers of the panel lie.

    Args:
        given: The run's parameters.
        finished: The result.

    Returns:
        The file; None where it cannot be written either.
    """
    wanted = _file_of(given)
    if wanted:
        path = free_path(Path(wanted).absolute().parent, f"{Path(wanted).stem}_kept")
        if _is_written(given, finished, path):
            return str(path)
    try:
        path = new_path(given.algorithm.key)
    except OSError:
        return None
    return str(path) if _is_written(given, finished, path) else None


def _is_written(given: Given, finished: Finished, path: Path) -> bool:
    """Whether a new GeoPackage has all features; nothing of it is left where it has not."""
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = path.stem
    writer = QgsVectorFileWriter.create(
        str(path), finished.fields, finished.kind, finished.crs,
        given.context.transformContext(), options,
    )  # fmt: skip
    good = writer.hasError() == QgsVectorFileWriter.WriterError.NoError
    if good:
        fast = QgsFeatureSink.Flag.FastInsert
        good = all(writer.addFeature(feature, fast) for feature in finished.features())
        good = writer.flushBuffer() and good
    del writer  # closes the file
    if not good:
        path.unlink(missing_ok=True)
    return good
