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

from osgeo import gdal, osr
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsMapLayer,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QObject, QSize, pyqtSignal
from qgis.PyQt.QtGui import QColor, QImage

from . import settings
from .i18n import tr
from .rasters import LayerError

_PREFIX = "samgeo-rendered-"

BLOCK = 1024
"""Side of the pieces that are rendered one after the other: some 30 ms each to write."""


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
    """

    extent: QgsRectangle
    crs: QgsCoordinateReferenceSystem
    resolution: float
    width: int
    height: int
    limit: int

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
    return RenderPlan(whole, crs, resolution, width, height, limit or settings.RENDER_LIMIT.get())


class RenderedTiff:
    """A GeoTIFF (RGBA) that fills up block by block.

    Args:
        plan: Size and place.
        path: Where to write; a temporary file where None.
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
        gdal.ErrorReset()
        try:
            self._file.WriteRaster(
                left,
                top,
                width,
                height,
                bytes(bits),
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


class LayerRenderer(QObject):
    """Renders layers into a GeoTIFF while QGIS stays usable.

    Args:
        layers: Topmost first.
        plan: What to render.
        parent: Qt's owner.
    """

    progress = pyqtSignal(int, int)
    finished = pyqtSignal(str)
    failed = pyqtSignal(str)

    def __init__(
        self, layers: list[QgsMapLayer], plan: RenderPlan, parent: Optional[QObject] = None
    ) -> None:
        super().__init__(parent)
        self._layers = layers
        self._plan = plan
        self._file: Optional[RenderedTiff] = None
        self._job: Optional[QgsMapRendererParallelJob] = None
        self._next = 0
        self._cancelled = False
        for layer in layers:
            layer.willBeDeleted.connect(self.cancel)

    def start(self) -> None:
        try:
            self._file = RenderedTiff(self._plan)
        except LayerError as error:
            self.failed.emit(str(error))
            return
        self._render_next()

    def cancel(self) -> None:
        self._cancelled = True
        if self._job is not None:
            self._job.cancelWithoutBlocking()

    def _render_next(self) -> None:
        file = self._file
        if file is None:
            return
        if self._next == len(file.blocks):
            try:
                self.finished.emit(file.finish())
            except LayerError as error:
                self.failed.emit(str(error))
            return
        block = file.blocks[self._next]
        self._job = QgsMapRendererParallelJob(file.settings_for(self._layers, block))
        self._job.finished.connect(self._rendered)
        self._job.start()

    def _rendered(self) -> None:
        job, file = self._job, self._file
        if job is None or file is None:
            return
        if self._cancelled:
            file.give_up()
            self._file = self._job = None
            self.failed.emit(tr("The rendering was cancelled."))
            return
        try:
            file.write(file.blocks[self._next], job.renderedImage())
        except LayerError as error:
            self._file = self._job = None
            self.failed.emit(str(error))
            return
        self._next += 1
        self.progress.emit(self._next, len(file.blocks))
        self._render_next()


def render_now(
    layers: list[QgsMapLayer],
    plan: RenderPlan,
    keep_going: Callable[[int, int], bool],
    path: Optional[str] = None,
) -> str:
    """The same in one go, for an algorithm's own thread.

    Args:
        layers: Clones that belong to this thread.
        plan: What to render.
        keep_going: Told (done, total) after each block; False stops.
        path: Where to write.

    Raises:
        LayerError: It cannot be written, or was stopped.
    """
    from qgis.core import QgsMapRendererCustomPainterJob
    from qgis.PyQt.QtGui import QPainter

    file = RenderedTiff(plan, path)
    for number, block in enumerate(file.blocks, start=1):
        image = QImage(block[2], block[3], QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(QColor(0, 0, 0, 0))
        painter = QPainter(image)
        job = QgsMapRendererCustomPainterJob(file.settings_for(layers, block), painter)
        job.renderSynchronously()
        painter.end()
        file.write(block, image)
        if not keep_going(number, len(file.blocks)):
            file.give_up()
            raise LayerError(tr("The rendering was cancelled."))
    return file.finish()
