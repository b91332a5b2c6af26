# SPDX-License-Identifier: GPL-2.0-or-later
"""Algorithms for polygon layers: right angles of buildings, centre lines of roads."""

from __future__ import annotations

from typing import Any, ClassVar

from qgis.core import QgsFeatureSource

from .. import styles
from ..i18n import tr
from ..job import RegularizeParameters
from .base import EngineAlgorithm
from .given import SOURCE_FID, Given, units_a_metre
from .parameters import LINES, POLYGONS
from .results import Carried, ResultLayer


class OutlineAlgorithm(EngineAlgorithm):
    """A polygon layer in, its outlines drawn anew; features keep their attributes."""

    method = ""
    style = ""
    names: ClassVar[dict[str, str]]
    """The engine's fields that are added, with their names in the result."""

    group_key = "outlines"

    def add_input(self) -> None:
        self.add_source(self.INPUT, tr("Polygons"), POLYGONS)
        self.add_number(
            self.SIMPLIFY,
            tr("Simplify (metres)"),
            note=tr("Chosen from each polygon's size where nothing is said"),
        )

    def outline_options(self, given: Given, source: QgsFeatureSource) -> dict[str, Any]:
        """What this method needs beside the input."""
        raise NotImplementedError

    def work(self, given: Given) -> dict[str, Any]:
        source = given.source(self.INPUT)
        metres = given.number(self.SIMPLIFY)
        params = RegularizeParameters(
            given.vector_path(source, "polygons"),
            str(given.folder / "outlines.gpkg"),
            layer="polygons",
            method=self.method,
            simplify=None if metres is None else metres * _units_a_metre(source),
            overwrite=True,
            **self.outline_options(given, source),
        )
        result = self.run_engine(given, "regularize", params.to_dict())
        layer = ResultLayer(
            str(result["output"]),
            style=self.style,
            carried=Carried.all_of(source, SOURCE_FID),
            names=self.names,
            single=self.method == "centerlines",
        )
        return {**self.write_result(given, layer), "CHANGED": result.get("changed")}


class RegularizeOutlines(OutlineAlgorithm):
    """Right angles where they fit."""

    MIN_IOU = "MIN_IOU"

    key = "regularizeoutlines"
    icon_name = "regularize"
    keywords = ("buildings", "roofs", "right angles", "orthogonalize", "footprints")
    method = "rectangles"
    style = styles.REVIEW
    names: ClassVar[dict[str, str]] = {"area_m2": "area_m2", "perimeter_m": "perimeter_m"}

    def title(self) -> str:
        return tr("Regularize building outlines")

    def about(self) -> str:
        return tr(
            "Gives building outlines right angles along their main direction. A polygon keeps its "
            "own shape where the regular one would overlap it less than the least IoU."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_input()
        self.add_number(
            self.MIN_IOU, tr("Least overlap with the given outline (IoU)"), 0.85, most=1.0
        )
        self.add_sink(tr("Outlines"), POLYGONS)

    def outline_options(self, given: Given, source: QgsFeatureSource) -> dict[str, Any]:
        return {"min_iou": given.number(self.MIN_IOU)}


class RoadCenterlines(OutlineAlgorithm):
    """A skeleton without spurs, with the width as an attribute."""

    MIN_WIDTH = "MIN_WIDTH"

    key = "roadcenterlines"
    icon_name = "centerlines"
    keywords = ("roads", "skeleton", "centerlines", "rivers", "network")
    method = "centerlines"
    style = styles.LINES
    names: ClassVar[dict[str, str]] = {"perimeter_m": "length_m", "width_m": "width_m"}

    def title(self) -> str:
        return tr("Road centre lines")

    def about(self) -> str:
        return tr(
            "Turns polygons of roads into their centre lines. Short spurs are pruned and loops are "
            "kept; the width stands in an attribute."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_input()
        self.add_number(self.MIN_WIDTH, tr("Least width (metres)"), 0.0)
        self.add_sink(tr("Centre lines"), LINES)

    def outline_options(self, given: Given, source: QgsFeatureSource) -> dict[str, Any]:
        # In degrees the engine measures widths in metres, elsewhere in the CRS's own units.
        units = 1.0 if source.sourceCrs().isGeographic() else _units_a_metre(source)
        return {"min_width": (given.number(self.MIN_WIDTH) or 0.0) * units}


def _units_a_metre(source: QgsFeatureSource) -> float:
    """Ground units in a metre, in the middle of a layer."""
    return units_a_metre(source.sourceCrs(), source.sourceExtent().center())
