# SPDX-License-Identifier: GPL-2.0-or-later
"""Right angles for building outlines, and centre lines of roads, from any polygon layer."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
)

from ..i18n import tr
from .base import EngineAlgorithm


class OutlineAlgorithm(EngineAlgorithm):
    """A polygon layer in, its outlines drawn anew."""

    SIMPLIFY = "SIMPLIFY"
    method = "rectangles"
    style = "review"

    def group(self) -> str:
        return tr("Outlines")

    def groupId(self) -> str:  # noqa: N802
        return "outlines"

    def add_input(self) -> None:
        self.declare(
            QgsProcessingParameterFeatureSource(
                self.INPUT, tr("Polygons"), [QgsProcessing.SourceType.TypeVectorPolygon]
            )
        )
        self.declare(
            self.number(
                self.SIMPLIFY,
                tr("Simplify (metres)"),
                help_text=tr("Chosen from each polygon's size where nothing is said"),
            )
        )

    def add_output(self, text: str, kind: Any) -> None:
        self.declare(QgsProcessingParameterFeatureSink(self.OUTPUT, text, kind))

    def outline_options(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        """What this method needs beside the input."""
        raise NotImplementedError

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        source = self.parameterAsSource(parameters, self.INPUT, context)
        if source is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, self.INPUT))
        params = {
            "input": self.save_source(source, "polygons", context, feedback),
            "output": str(self.work_folder() / "outlines.gpkg"),
            "layer": "polygons",
            "method": self.method,
            "simplify": self.given_number(parameters, self.SIMPLIFY, context),
            "overwrite": True,
            **self.outline_options(parameters, context),
        }
        result = self.run_engine("regularize", params, feedback)
        layer = self.open_result(str(result["output"]))
        written = self.write_sink(parameters, layer, context, feedback, self.style)
        return {**written, "CHANGED": result.get("changed")}


class RegularizeOutlines(OutlineAlgorithm):
    """Right angles where they fit."""

    MIN_IOU = "MIN_IOU"
    icon_name = "regularize"

    def name(self) -> str:
        return "regularizeoutlines"

    def displayName(self) -> str:  # noqa: N802
        return tr("Regularize building outlines")

    def tags(self) -> list[str]:
        return ["buildings", "roofs", "right angles", "orthogonalize", "footprints"]

    def shortHelpString(self) -> str:  # noqa: N802
        return tr(
            "Gives building outlines right angles along their main direction. A polygon keeps its "
            "own shape where the regular one would overlap it less than the least IoU."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_input()
        self.declare(
            self.number(
                self.MIN_IOU,
                tr("Least overlap with the given outline (IoU)"),
                0.85,
                maximum=1.0,
            )
        )
        self.add_output(tr("Outlines"), QgsProcessing.SourceType.TypeVectorPolygon)

    def outline_options(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        return {"min_iou": self.parameterAsDouble(parameters, self.MIN_IOU, context)}


class RoadCenterlines(OutlineAlgorithm):
    """A skeleton without spurs, with the width as an attribute."""

    MIN_WIDTH = "MIN_WIDTH"
    method = "centerlines"
    style = "lines"
    icon_name = "centerlines"

    def name(self) -> str:
        return "roadcenterlines"

    def displayName(self) -> str:  # noqa: N802
        return tr("Road centre lines")

    def tags(self) -> list[str]:
        return ["roads", "skeleton", "centerlines", "rivers", "network"]

    def shortHelpString(self) -> str:  # noqa: N802
        return tr(
            "Turns polygons of roads into their centre lines. Short spurs are pruned and loops are "
            "kept; the width stands in an attribute."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_input()
        self.declare(self.number(self.MIN_WIDTH, tr("Least width (metres)"), 0.0))
        self.add_output(tr("Centre lines"), QgsProcessing.SourceType.TypeVectorLine)

    def outline_options(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        return {"min_width": self.parameterAsDouble(parameters, self.MIN_WIDTH, context)}
