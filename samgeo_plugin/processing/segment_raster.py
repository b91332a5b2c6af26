# SPDX-License-Identifier: GPL-2.0-or-later
"""Automatic segmentation of a raster."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterBand,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterCrs,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
)

from ..i18n import tr
from ..job import SegmentParameters
from ..session import crs_text
from . import jobs
from .area import AreaAlgorithm

MODES = ["hierarchy", "flat"]
SHAPES = ["objects", "coverage"]
OUTLINES = ["contour", "rectangles", "centerlines"]


class SegmentAlgorithm(AreaAlgorithm):
    """What automatic and prompted segmentation have in common."""

    MIN_AREA = "MIN_AREA"
    MIN_HOLE = "MIN_HOLE"
    SIMPLIFY = "SIMPLIFY"
    OUTLINES = "OUTLINES"
    RESOLUTION = "RESOLUTION"
    TILE_SIZE = "TILE_SIZE"
    MARGIN = "MARGIN"
    TARGET_CRS = "TARGET_CRS"

    def group(self) -> str:
        return tr("Segmentation")

    def groupId(self) -> str:  # noqa: N802
        return "segmentation"

    def add_shape_parameters(self) -> None:
        self.declare(self.number(self.MIN_AREA, tr("Smallest object (m²)"), 0.0))
        self.declare(self.advanced(self.number(self.MIN_HOLE, tr("Smallest hole (m²)"), 0.0)))
        self.declare(
            self.advanced(
                self.number(
                    self.SIMPLIFY,
                    tr("Simplify (ground units of the raster)"),
                    help_text=tr("Half a working pixel where nothing is said"),
                )
            )
        )

    def add_work_parameters(self) -> None:
        self.declare(
            self.advanced(
                QgsProcessingParameterBand(
                    self.BANDS,
                    tr("Bands shown as red, green and blue"),
                    None,
                    self.INPUT,
                    True,
                    True,
                )
            )
        )
        self.declare(
            self.advanced(
                self.number(
                    self.RESOLUTION,
                    tr("Working resolution (ground units a pixel)"),
                    help_text=tr("The raster's own where nothing is said"),
                )
            )
        )
        self.declare(
            self.advanced(
                self.number(
                    self.TILE_SIZE, tr("Side of a window (pixels)"), minimum=256, whole=True
                )
            )
        )
        self.declare(
            self.advanced(
                self.number(self.MARGIN, tr("Overlap of windows (pixels)"), minimum=16, whole=True)
            )
        )
        self.declare(
            self.advanced(
                QgsProcessingParameterCrs(
                    self.TARGET_CRS, tr("CRS of the result"), None, optional=True
                )
            )
        )

    def common(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """The engine's parameters that both algorithms share."""
        extent, _ = self.extent_of(parameters, context)
        resolution = self.given_number(parameters, self.RESOLUTION, context) or None
        path, rendered = self.raster_path(feedback, extent, resolution)
        bands = [] if rendered else self.parameterAsInts(parameters, self.BANDS, context)
        tile_size = self.given_number(parameters, self.TILE_SIZE, context)
        margin = self.given_number(parameters, self.MARGIN, context)
        crs = self.parameterAsCrs(parameters, self.TARGET_CRS, context)
        params: dict[str, Any] = {
            "rasters": [path],
            "output": str(self.work_folder() / "result.gpkg"),
            "layer": "objects",
            "overwrite": True,
            **self.engine_options(parameters, context),
            "bands": bands or None,
            "resolution": None if rendered else resolution,
            "tile_size": int(tile_size) if tile_size else None,
            "margin": int(margin) if margin else None,
            "min_area": self.given_number(parameters, self.MIN_AREA, context) or 0.0,
            "min_hole": self.given_number(parameters, self.MIN_HOLE, context) or 0.0,
            "simplify": self.given_number(parameters, self.SIMPLIFY, context),
            "crs": crs_text(crs),
        }
        self.confine(params, parameters, context, feedback)
        return params


class SegmentRaster(SegmentAlgorithm):
    """Every object of a raster as one polygon, across tiles."""

    MODE = "MODE"
    SHAPES = "SHAPES"
    POINTS = "POINTS_PER_SIDE"
    SCORE = "MIN_SCORE"
    STABILITY = "MIN_STABILITY"
    WORKERS = "WORKERS"
    FRESH = "FRESH"

    icon_name = "automatic"

    def name(self) -> str:
        return "segmentraster"

    def displayName(self) -> str:  # noqa: N802
        return tr("Segment raster")

    def tags(self) -> list[str]:
        return ["sam", "segment anything", "automatic", "objects", "polygons", "deep learning"]

    def shortHelpString(self) -> str:  # noqa: N802
        return tr(
            "Finds every object in a raster and writes one polygon for each, however many tiles it "
            "crosses. Each polygon carries its score, stability, area and perimeter, so that weak "
            "ones can be filtered afterwards without running again.\n\n"
            "“hierarchy” keeps objects within objects; “flat” joins parts into one. “coverage” "
            "gives polygons without gaps and overlaps, as for fields. “rectangles” makes right "
            "angles, as for buildings; “centerlines” gives lines, as for roads.\n\n"
            "A run that was cancelled goes on where it was when it is started again with the same "
            "raster and model.\n\n"
            "A layer that is not a file (XYZ, WMS) is rendered first: name an extent and a working "
            "resolution."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_raster()
        self.add_model()
        self.add_extent()
        self.add_area()
        self.declare(
            QgsProcessingParameterEnum(
                self.MODE, tr("Objects within objects"), MODES, False, MODES[0], False, True
            )
        )
        self.declare(
            QgsProcessingParameterEnum(
                self.OUTLINES, tr("Outlines"), OUTLINES, False, OUTLINES[0], False, True
            )
        )
        self.add_shape_parameters()
        self.declare(
            self.advanced(
                QgsProcessingParameterEnum(
                    self.SHAPES, tr("Shapes"), SHAPES, False, SHAPES[0], False, True
                )
            )
        )
        self.declare(
            self.advanced(
                self.number(
                    self.POINTS, tr("Points a side of a window"), 32, minimum=1, maximum=256,
                    whole=True,
                )
            )
        )  # fmt: skip
        self.declare(self.advanced(self.number(self.SCORE, tr("Least score"), maximum=1.0)))
        self.declare(self.advanced(self.number(self.STABILITY, tr("Least stability"), maximum=1.0)))
        self.add_work_parameters()
        self.add_device()
        self.declare(
            self.advanced(
                self.number(self.WORKERS, tr("Processes"), 1, minimum=1, maximum=256, whole=True)
            )
        )
        self.declare(
            self.advanced(
                QgsProcessingParameterBoolean(
                    self.FRESH, tr("Forget what a cancelled run has done"), False
                )
            )
        )
        self.declare(
            QgsProcessingParameterFeatureSink(
                self.OUTPUT, tr("Objects"), QgsProcessing.SourceType.TypeVectorAnyGeometry
            )
        )

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        params = self.common(parameters, context, feedback)
        params.update(
            mode=self.parameterAsEnumString(parameters, self.MODE, context),
            shapes=self.parameterAsEnumString(parameters, self.SHAPES, context),
            outlines=self.parameterAsEnumString(parameters, self.OUTLINES, context),
            points_per_side=self.parameterAsInt(parameters, self.POINTS, context),
            min_score=self.given_number(parameters, self.SCORE, context),
            min_stability=self.given_number(parameters, self.STABILITY, context),
            workers=self.parameterAsInt(parameters, self.WORKERS, context),
            fresh=self.parameterAsBoolean(parameters, self.FRESH, context),
        )
        folder = jobs.folder_for(params)
        params["job_folder"] = str(folder)
        job = SegmentParameters.from_dict(params)
        result = self.run_engine("segment", job.to_dict(), feedback)
        layer = self.open_result(str(result["output"]), str(result.get("layer") or ""))
        style = "review" if params["outlines"] != "centerlines" else "lines"
        written = self.write_sink(parameters, layer, context, feedback, style)
        if not result.get("failed"):
            jobs.forget(folder)
        return {**written, "COUNT": result.get("features"), "TILES": result.get("tiles")}
