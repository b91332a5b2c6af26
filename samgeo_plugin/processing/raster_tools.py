# SPDX-License-Identifier: GPL-2.0-or-later
"""Filling the cache of image embeddings, and the stretch that a raster gets."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterBand,
    QgsProcessingParameterFileDestination,
)

from ..i18n import tr
from ..job import OpenParameters
from .area import AreaAlgorithm


class RasterToolAlgorithm(AreaAlgorithm):
    """Common to both: a raster and its bands."""

    def group(self) -> str:
        return tr("Raster tools")

    def groupId(self) -> str:  # noqa: N802
        return "rastertools"

    def add_bands(self) -> None:
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

    def bands(self, parameters: dict[str, Any], context: QgsProcessingContext) -> Any:
        return self.parameterAsInts(parameters, self.BANDS, context) or None


class EncodeRaster(RasterToolAlgorithm):
    """Interactive work on an encoded raster answers at once."""

    icon_name = "encode"

    def name(self) -> str:
        return "encoderaster"

    def displayName(self) -> str:  # noqa: N802
        return tr("Encode raster")

    def tags(self) -> list[str]:
        return ["embeddings", "cache", "prepare", "sam"]

    def shortHelpString(self) -> str:  # noqa: N802
        return tr(
            "Lets the model look at the raster beforehand and keeps what it saw on the disk, so "
            "that clicks are answered at once later. Windows that were seen before are not "
            "seen again."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_raster()
        self.add_model()
        self.add_extent()
        self.add_bands()
        self.add_device()
        self.addOutput(QgsProcessingOutputNumber("WINDOWS", tr("Windows in the extent")))
        self.addOutput(QgsProcessingOutputNumber("ENCODED", tr("Windows encoded now")))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        path, _ = self.raster_path(feedback)
        opening = OpenParameters.from_dict(
            {
                "rasters": [path],
                **self.engine_options(parameters, context),
                "bands": self.bands(parameters, context),
            }
        )
        params = opening.to_dict()
        self.confine(params, parameters, context, feedback)
        result = self.run_engine("encode", params, feedback)
        feedback.pushInfo(
            tr("{encoded} of {windows} windows were encoded, the others were there already").format(
                encoded=result.get("encoded"), windows=result.get("windows")
            )
        )
        return {"WINDOWS": result.get("windows"), "ENCODED": result.get("encoded")}


class RasterStatistics(RasterToolAlgorithm):
    """The one stretch that every tile of a raster gets."""

    PERCENTILES = ("LOW", "HIGH")
    HTML = "OUTPUT_HTML_FILE"

    icon_name = "statistics"

    def name(self) -> str:
        return "rasterstatistics"

    def displayName(self) -> str:  # noqa: N802
        return tr("Raster statistics for segmentation")

    def tags(self) -> list[str]:
        return ["stretch", "percentiles", "contrast", "nodata"]

    def shortHelpString(self) -> str:  # noqa: N802
        return tr(
            "Computes the contrast stretch that the model sees: one for the whole raster, so that "
            "no tile differs from its neighbours. Nodata is left out."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_raster()
        self.add_bands()
        self.declare(self.number("LOW", tr("Lower percentile"), 2.0, maximum=50.0))
        self.declare(self.number("HIGH", tr("Upper percentile"), 98.0, minimum=50.0, maximum=100.0))
        self.declare(
            QgsProcessingParameterFileDestination(
                self.HTML, tr("Report"), tr("HTML files (*.html)"), None, True
            )
        )
        self.addOutput(QgsProcessingOutputString("STRETCH", tr("Stretch, as JSON")))

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        path, _ = self.raster_path(feedback)
        result = self.run_engine(
            "statistics",
            {
                "rasters": [path],
                "bands": self.bands(parameters, context),
                "percentiles": [
                    self.parameterAsDouble(parameters, "LOW", context),
                    self.parameterAsDouble(parameters, "HIGH", context),
                ],
            },
            feedback,
        )
        stretch = result.get("stretch") or []
        for number, (low, high) in enumerate(stretch, start=1):
            feedback.pushInfo(
                tr("Band {number}: {low} to {high}").format(number=number, low=low, high=high)
            )
        results: dict[str, Any] = {"STRETCH": json.dumps(stretch)}
        report = self.parameterAsFileOutput(parameters, self.HTML, context)
        if report:
            Path(report).write_text(
                _page(path, stretch, result.get("info") or {}), encoding="utf-8"
            )
            results[self.HTML] = report
        return results


def _page(path: str, stretch: list[list[float]], info: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{number}</td><td>{low:g}</td><td>{high:g}</td></tr>"
        for number, (low, high) in enumerate(stretch, start=1)
    )
    facts = "".join(
        f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in info.items()
    )
    return (
        f"<!DOCTYPE html><meta charset='utf-8'><title>{html.escape(Path(path).name)}</title>"
        f"<h3>{html.escape(Path(path).name)}</h3><table border='1' cellspacing='0' cellpadding='4'>"
        f"<tr><th>{tr('Band')}</th><th>{tr('Low')}</th><th>{tr('High')}</th></tr>{rows}</table>"
        f"<br><table border='1' cellspacing='0' cellpadding='4'>{facts}</table>"
    )
