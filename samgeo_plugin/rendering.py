# SPDX-License-Identifier: GPL-2.0-or-later
"""Layers that are not files (XYZ, WMS) as GeoTIFFs of what QGIS shows of them."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Optional
from urllib.parse import unquote

from osgeo import gdal, osr
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsDateTimeRange,
    QgsMapLayer,
    QgsMapRendererJob,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsNetworkAccessManager,
    QgsNetworkReplyContent,
    QgsNetworkRequestParameters,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QObject, QSize, QUrl, pyqtSignal
from qgis.PyQt.QtGui import QColor, QImage
from qgis.PyQt.QtNetwork import QNetworkReply, QNetworkRequest

from . import settings
from .i18n import tr
from .rasters import LayerError

_PREFIX = "samgeo-rendered-"

BLOCK = 1024
"""Side of the pieces that are rendered one after the other: some 30 ms each to write."""

_LATER = (401, 407, 408, 429)
"""Refusals below 500 after which another try may go well. The others (404, or 403 of some stores)
say that there is no such tile: a layer ends somewhere."""


@dataclass(frozen=True)
class RenderPlan:
    """What a temporary rendering would be.

    Args:
        extent: In ``crs``.
        crs: Of the picture.
        resolution: Ground units of ``crs`` a pixel.
        width: Pixels.
        height: Pixels.
        limit: Largest side that is allowed.
        times: Of a layer with times, which to show; None for what it shows without.
    """

    extent: QgsRectangle
    crs: QgsCoordinateReferenceSystem
    resolution: float
    width: int
    height: int
    limit: int
    times: Optional[QgsDateTimeRange] = None

    @property
    def fits(self) -> bool:
        return max(self.width, self.height) <= self.limit

    @property
    def megabytes(self) -> float:
        return self.width * self.height * 4 / 1e6


def plan_rendering(
    extent: QgsRectangle,
    crs: QgsCoordinateReferenceSystem,
    resolution: float,
    limit: Optional[int] = None,
    times: Optional[QgsDateTimeRange] = None,
) -> RenderPlan:
    """Whole pixels around an extent.

    Raises:
        LayerError: The extent is empty, or the resolution is no positive number.
    """
    if extent.isEmpty() or not extent.isFinite():
        raise LayerError(tr("The extent is empty; zoom to the place that you mean."))
    if not (resolution > 0 and math.isfinite(resolution)):
        raise LayerError(tr("The resolution must be a positive number."))
    width = max(1, math.ceil(extent.width() / resolution - 1e-9))
    height = max(1, math.ceil(extent.height() / resolution - 1e-9))
    whole = QgsRectangle(
        extent.xMinimum(),
        extent.yMaximum() - height * resolution,
        extent.xMinimum() + width * resolution,
        extent.yMaximum(),
    )
    limit = limit or int(settings.RENDER_LIMIT.get())
    return RenderPlan(whole, crs, resolution, width, height, limit, times)


class RenderedTiff:
    """A GeoTIFF (RGBA) that fills up block by block.

    Args:
        plan: Size and place.
        path: Where to write; a temporary file where None.

    Attributes:
        empty: Pixels so far that the layers show nothing in.
    """

    def __init__(self, plan: RenderPlan, path: Optional[str] = None) -> None:
        if not plan.fits:
            raise LayerError(
                tr(
                    "{width} × {height} pixels exceed the limit of {limit}; zoom in or choose a "
                    "coarser resolution."
                ).format(width=plan.width, height=plan.height, limit=plan.limit)
            )
        if path is None:
            folder = tempfile.mkdtemp(prefix=_PREFIX)
            path = str(Path(folder) / "rendered.tif")
        self.plan = plan
        self.path = path
        self.empty = 0
        self.blocks = [
            (left, top, min(BLOCK, plan.width - left), min(BLOCK, plan.height - top))
            for top in range(0, plan.height, BLOCK)
            for left in range(0, plan.width, BLOCK)
        ]
        try:
            self._file = gdal.GetDriverByName("GTiff").Create(
                path,
                plan.width,
                plan.height,
                4,
                gdal.GDT_Byte,
                ["TILED=YES", "COMPRESS=LZW", "ALPHA=YES", "PHOTOMETRIC=RGB"],
            )
        except RuntimeError:  # where another plugin has told GDAL to raise them
            self._file = None
        if self._file is None:
            self.give_up()
            raise LayerError(tr("{file} cannot be written; is the disk full?").format(file=path))
        extent, step = plan.extent, plan.resolution
        self._file.SetGeoTransform([extent.xMinimum(), step, 0, extent.yMaximum(), 0, -step])
        if plan.crs.isValid():
            reference = osr.SpatialReference()
            reference.ImportFromWkt(
                plan.crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED_GDAL)
            )
            self._file.SetSpatialRef(reference)

    def settings_for(
        self, layers: list[QgsMapLayer], block: tuple[int, int, int, int]
    ) -> QgsMapSettings:
        """What QGIS must render for one block."""
        left, top, width, height = block
        extent, step = self.plan.extent, self.plan.resolution
        wanted = QgsMapSettings()
        wanted.setLayers(layers)
        wanted.setDestinationCrs(self.plan.crs)
        wanted.setOutputSize(QSize(width, height))
        wanted.setOutputDpi(96)
        wanted.setBackgroundColor(QColor(0, 0, 0, 0))
        wanted.setFlag(QgsMapSettings.Flag.Antialiasing, False)
        if self.plan.times is not None:
            wanted.setIsTemporal(True)
            wanted.setTemporalRange(self.plan.times)
        wanted.setExtent(
            QgsRectangle(
                extent.xMinimum() + left * step,
                extent.yMaximum() - (top + height) * step,
                extent.xMinimum() + (left + width) * step,
                extent.yMaximum() - top * step,
            ),
            False,
        )
        return wanted

    def write(self, block: tuple[int, int, int, int], image: QImage) -> None:
        """Put one rendered block in its place.

        Raises:
            LayerError: It could not be written.
        """
        left, top, width, height = block
        rgba = image.convertToFormat(QImage.Format.Format_RGBA8888)
        bits = rgba.constBits()
        bits.setsize(rgba.sizeInBytes())
        pixels = bytes(bits)
        self.empty += pixels[3::4].count(0)
        gdal.ErrorReset()
        try:
            self._file.WriteRaster(
                left,
                top,
                width,
                height,
                pixels,
                band_list=[1, 2, 3, 4],
                buf_pixel_space=4,
                buf_line_space=rgba.bytesPerLine(),
                buf_band_space=1,
            )
            self._file.FlushCache()  # now: at the end, all blocks would be compressed at once
            failed = gdal.GetLastErrorType() >= gdal.CE_Failure
        except RuntimeError:
            failed = True
        if failed:
            raise self._not_in_full()

    def finish(self) -> str:
        """Close the file.

        Raises:
            LayerError: Its last bytes could not be written.
        """
        gdal.ErrorReset()
        try:
            self._file.FlushCache()
            self._file = None  # closes it, which writes, too
            failed = gdal.GetLastErrorType() >= gdal.CE_Failure
        except RuntimeError:
            self._file, failed = None, True
        if failed:
            raise self._not_in_full()
        return self.path

    def give_up(self) -> None:
        """Close and delete a file that nobody will use."""
        self._file = None
        remove_rendering(self.path)

    def _not_in_full(self) -> LayerError:
        self.give_up()
        return LayerError(
            tr("{file} could not be written in full; is the disk full?").format(file=self.path)
        )


def remove_rendering(path: str) -> None:
    """Delete a temporary rendering with its folder; nothing else is ever deleted."""
    folder = Path(path).parent
    if folder.name.startswith(_PREFIX) and folder.parent == Path(tempfile.gettempdir()):
        shutil.rmtree(folder, ignore_errors=True)


class _ServerErrors:
    """Hears which requests for a layer fail while it is rendered.

    QGIS draws nothing there and says so only in its log. Of several threads with requests, the
    main one hears of all; any other one hears of its own.

    Args:
        layer: Whose servers are meant.
    """

    def __init__(self, layer: QgsMapLayer) -> None:
        self._layer = layer.name()
        self._source = unquote(layer.source()).lower()
        self._why = ""
        network = QgsNetworkAccessManager.instance()
        self._finished = network.finished[QgsNetworkReplyContent]
        self._timed_out = network.requestTimedOut[QgsNetworkRequestParameters]
        self._finished.connect(self._answered)
        self._timed_out.connect(self._not_answered)

    def stop(self) -> None:
        """Hear no more; to be called once."""
        self._finished.disconnect(self._answered)
        self._timed_out.disconnect(self._not_answered)

    def add(self, job: QgsMapRendererJob) -> None:
        """What the layer itself says of a job that has ended."""
        for error in job.errors():
            self._note(error.message)

    def missing(self, file: RenderedTiff) -> str:
        """The sentence about parts that could not be loaded; empty where none is missing.

        Raises:
            LayerError: Nothing could be loaded.
        """
        if not self._why or not file.empty:  # what is repeated may come at last
            return ""
        if file.empty < file.plan.width * file.plan.height:
            return tr(
                "Parts of {layer} could not be loaded ({why}); nothing is found there."
            ).format(layer=self._layer, why=self._why)
        raise LayerError(
            tr("{layer} could not be loaded ({why}); try again when its server answers.").format(
                layer=self._layer, why=self._why
            )
        )

    def _note(self, why: str) -> None:
        self._why = self._why or why

    def _is_own(self, url: QUrl) -> bool:
        return bool(url.host()) and url.host().lower() in self._source

    def _answered(self, reply: QgsNetworkReplyContent) -> None:
        errors = QNetworkReply.NetworkError
        passed_over = (errors.NoError, errors.OperationCanceledError)
        if reply.error() in passed_over or not self._is_own(reply.request().url()):
            return
        status = reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute)
        if status is None:
            self._note(reply.errorString())
        elif int(status) >= 500 or int(status) in _LATER:
            phrase = reply.attribute(QNetworkRequest.Attribute.HttpReasonPhraseAttribute)
            self._note(f"{int(status)} {phrase or ''}".strip())

    def _not_answered(self, request: QgsNetworkRequestParameters) -> None:
        if self._is_own(request.request().url()):
            self._note(tr("no answer in time"))


class LayerRenderer(QObject):
    """Renders a layer into a GeoTIFF while QGIS stays usable.

    Args:
        layer: What to render.
        plan: How.
        parent: Qt's owner.

    Attributes:
        missing: The sentence about parts that could not be loaded, once it has finished; empty
            where none is missing.
    """

    progress = pyqtSignal(int, int)
    finished = pyqtSignal(str)
    failed = pyqtSignal(str)

    def __init__(
        self, layer: QgsMapLayer, plan: RenderPlan, parent: Optional[QObject] = None
    ) -> None:
        super().__init__(parent)
        self.missing = ""
        self._layer = layer
        self._plan = plan
        self._file: Optional[RenderedTiff] = None
        self._errors: Optional[_ServerErrors] = None
        self._job: Optional[QgsMapRendererParallelJob] = None
        self._next = 0
        self._cancelled = False
        layer.willBeDeleted.connect(self.cancel)

    def start(self) -> None:
        try:
            self._file = RenderedTiff(self._plan)
        except LayerError as error:
            self.failed.emit(str(error))
            return
        self._errors = _ServerErrors(self._layer)
        self._render_next()

    def cancel(self, at_once: bool = False) -> None:
        """Give it up.

        Args:
            at_once: QGIS or the plugin ends: what is written is deleted before this returns.
        """
        self._cancelled = True
        if self._job is None:
            return
        if at_once:
            self._job.cancel()
        else:
            self._job.cancelWithoutBlocking()

    def _render_next(self) -> None:
        file = self._file
        if file is None:
            return
        if self._next == len(file.blocks):
            self._finish(file)
            return
        block = file.blocks[self._next]
        self._job = QgsMapRendererParallelJob(file.settings_for([self._layer], block))
        self._job.finished.connect(self._rendered)
        self._job.start()

    def _rendered(self) -> None:
        job, file, errors = self._job, self._file, self._errors
        if job is None or file is None or errors is None:
            return
        if self._cancelled:
            self._give_up(file, tr("The rendering was cancelled."))
            return
        errors.add(job)
        try:
            file.write(file.blocks[self._next], job.renderedImage())
        except LayerError as error:
            self._give_up(file, str(error))
            return
        self._next += 1
        self.progress.emit(self._next, len(file.blocks))
        self._render_next()

    def _finish(self, file: RenderedTiff) -> None:
        try:
            if self._errors is not None:
                self.missing = self._errors.missing(file)
            path = file.finish()
        except LayerError as error:
            self._give_up(file, str(error))
            return
        self._stop()
        self.finished.emit(path)

    def _give_up(self, file: RenderedTiff, why: str) -> None:
        file.give_up()
        self._stop()
        self.failed.emit(why)

    def _stop(self) -> None:
        if self._errors is not None:
            self._errors.stop()
        self._file = self._job = self._errors = None


def render_now(
    layer: QgsMapLayer,
    plan: RenderPlan,
    keep_going: Callable[[int, int], bool],
    path: Optional[str] = None,
    warn: Callable[[str], None] = lambda sentence: None,
) -> str:
    """The same in one go, for an algorithm's own thread.

    Args:
        layer: A clone that belongs to this thread.
        plan: How to render it.
        keep_going: Told (done, total) after each block; False stops.
        path: Where to write.
        warn: Gets the sentence about parts that could not be loaded.

    Raises:
        LayerError: It cannot be loaded or written, or was stopped.
    """
    from qgis.core import QgsMapRendererCustomPainterJob
    from qgis.PyQt.QtGui import QPainter

    file, errors = RenderedTiff(plan, path), _ServerErrors(layer)
    try:
        for number, block in enumerate(file.blocks, start=1):
            image = QImage(block[2], block[3], QImage.Format.Format_ARGB32_Premultiplied)
            image.fill(QColor(0, 0, 0, 0))
            painter = QPainter(image)
            job = QgsMapRendererCustomPainterJob(file.settings_for([layer], block), painter)
            job.renderSynchronously()
            painter.end()
            errors.add(job)
            file.write(block, image)
            if not keep_going(number, len(file.blocks)):
                raise LayerError(tr("The rendering was cancelled."))
        missing = errors.missing(file)
        if missing:
            warn(missing)
        return file.finish()
    except LayerError:
        file.give_up()
        raise
    finally:
        errors.stop()
