# SPDX-License-Identifier: GPL-2.0-or-later
"""Algorithms for rasters: fill the embedding cache, compute the stretch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterFileDestination,
)

from .. import settings
from ..i18n import tr
from ..job import EncodeParameters
from .base import EngineAlgorithm
from .given import Given
from .stretch_report import stretch_report


class EncodeRaster(EngineAlgorithm):
    """Interactive work on an encoded raster answers at once."""

    WINDOWS = "WINDOWS"
    ENCODED = "ENCODED"

    key = "encoderaster"
    group_key = "rastertools"
    icon_name = "encode"
    keywords = ("embeddings", "cache", "prepare", "sam")

    def title(self) -> str:
        return tr("Encode raster")

    def about(self) -> str:
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
        self.addOutput(QgsProcessingOutputNumber(self.WINDOWS, tr("Windows in the extent")))
        self.addOutput(QgsProcessingOutputNumber(self.ENCODED, tr("Windows encoded now")))

    def work(self, given: Given) -> dict[str, Any]:
        place = given.place()
        path, _ = given.raster_path()
        options = {**given.engine_options(), **place, "bands": given.bands()}
        params = EncodeParameters([path], **options)
        result = self.run_engine(given, "encode", params.to_dict())
        windows, encoded = result.get("windows"), result.get("encoded")
        given.feedback.pushInfo(
            tr("{encoded} of {windows} windows were encoded, the others were there already").format(
                encoded=encoded, windows=windows
            )
        )
        return {self.WINDOWS: windows, self.ENCODED: encoded}


class RasterStatistics(EngineAlgorithm):
    """The one stretch that every tile of a raster gets."""

    LOW = "LOW"
    HIGH = "HIGH"
    HTML = "OUTPUT_HTML_FILE"
    STRETCH = "STRETCH"

    key = "rasterstatistics"
    group_key = "rastertools"
    icon_name = "statistics"
    keywords = ("stretch", "percentiles", "contrast", "nodata")

    def title(self) -> str:
        return tr("Raster statistics for segmentation")

    def about(self) -> str:
        return tr(
            "Computes the contrast stretch that the model sees: one for the whole raster, so that "
            "no tile differs from its neighbours. Nodata is left out."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_raster()
        self.add_bands()
        self.add_number(self.LOW, tr("Lower percentile"), 2.0, most=50.0)
        self.add_number(self.HIGH, tr("Upper percentile"), 98.0, least=50.0, most=100.0)
        report = QgsProcessingParameterFileDestination(
            self.HTML, tr("Report"), tr("HTML files (*.html)"), None, True
        )
        self.declare(report)
        self.addOutput(QgsProcessingOutputString(self.STRETCH, tr("Stretch, as JSON")))

    def work(self, given: Given) -> dict[str, Any]:
        report = given.destination(self.HTML)
        path, _ = given.raster_path()
        result = self.run_engine(
            given,
            "statistics",
            {
                "rasters": [path],
                "bands": given.bands(),
                "allow_remote": bool(settings.ALLOW_REMOTE.get()),
                "percentiles": [given.number(self.LOW), given.number(self.HIGH)],
            },
        )
        info = result.get("info") or {}
        stretch = result.get("stretch") or []
        used = info.get("used_bands") or range(1, len(stretch) + 1)
        for number, (low, high) in zip(used, stretch):  # noqa: B905 - Python 3.9
            given.feedback.pushInfo(
                tr("Band {number}: {low} to {high}").format(number=number, low=low, high=high)
            )
        results: dict[str, Any] = {self.STRETCH: json.dumps(stretch)}
        if report is not None:
            page = stretch_report(Path(path).name, stretch, info)
            Path(report).write_text(page, encoding="utf-8")
            results[self.HTML] = report
        return results
