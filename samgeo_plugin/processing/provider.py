# SPDX-License-Identifier: GPL-2.0-or-later
"""The provider ``samgeo``."""

from __future__ import annotations

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtGui import QIcon

from ..gui.icons import FOLDER as ICONS
from .class_algorithms import ClassifyGround, ClassifyObjects, RoadNetwork
from .evaluate_result import EvaluateResult
from .improve_model import ImproveModel
from .label_algorithms import ExportLabels, ImportLabels
from .outlines import RegularizeOutlines, RoadCenterlines
from .raster_tools import EncodeRaster, RasterStatistics
from .segment_from_prompts import SegmentFromPrompts
from .segment_raster import SegmentRaster
from .track_objects import TrackObjects
from .update_layer import UpdateLayer

ALGORITHMS = (
    SegmentRaster,
    SegmentFromPrompts,
    ClassifyObjects,
    ClassifyGround,
    RoadNetwork,
    RegularizeOutlines,
    RoadCenterlines,
    TrackObjects,
    UpdateLayer,
    ImproveModel,
    EvaluateResult,
    ExportLabels,
    ImportLabels,
    EncodeRaster,
    RasterStatistics,
)


class SamGeoProvider(QgsProcessingProvider):
    """Listed in the toolbox as "SamGeo Seamless"."""

    model_trained = pyqtSignal(str)
    """A model of the user's own that the panel is to use from now on."""

    def id(self) -> str:
        return "samgeo"

    def name(self) -> str:
        return "SamGeo Seamless"

    def icon(self) -> QIcon:
        return QIcon(str(ICONS / "samgeo.svg"))

    def svgIconPath(self) -> str:  # noqa: N802
        return str(ICONS / "samgeo.svg")

    def loadAlgorithms(self) -> None:  # noqa: N802
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())
