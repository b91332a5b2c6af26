# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithm that makes one polygon per prompt of a layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qgis.core import QgsProcessingParameterField

from ..i18n import tr
from .given import SOURCE_FID, SOURCE_LABEL, Given
from .parameters import ANY_VECTOR
from .results import Carried
from .segment_raster import SegmentAlgorithm

PROMPT_AS = ("auto", "point", "box", "mask", "box+mask")
POLYGON_OUTLINES = ("contour", "rectangles")


class SegmentFromPrompts(SegmentAlgorithm):
    """Prompts carry their attributes over to their polygons."""

    PROMPTS = "PROMPTS"
    AS = "PROMPT_AS"
    LABEL = "LABEL_FIELD"
    KEEP = "KEEP_ATTRIBUTES"

    key = "segmentfromprompts"
    icon_name = "segment"
    keywords = ("sam", "segment anything", "points", "boxes", "prompts", "deep learning")

    def title(self) -> str:
        return tr("Segment from prompts")

    def about(self) -> str:
        return tr(
            "Makes one polygon for each feature of a layer: points mark objects, polygons are "
            "boxes or rough outlines, lines run along objects. The layer may have any CRS.\n\n"
            "“prompt_id” of a polygon is the id of its prompt; the prompts' attributes are carried "
            "over."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_raster()
        self.add_source(self.PROMPTS, tr("Prompts"), ANY_VECTOR)
        self.add_model()
        self.add_choice(self.AS, tr("Use prompts as"), PROMPT_AS)
        self.declare(
            QgsProcessingParameterField(
                self.LABEL, tr("Field with a label"), None, self.PROMPTS, optional=True
            )
        )
        self.add_flag(self.KEEP, tr("Carry the prompts' attributes over"), True)
        self.add_outlines(POLYGON_OUTLINES)
        self.add_extent()
        self.add_sizes()
        self.add_tiling()
        self.add_device()
        self.add_sink(tr("Objects"))

    def work(self, given: Given) -> dict[str, Any]:
        source = given.source(self.PROMPTS)
        label = next(iter(given.fields(self.LABEL)), None)
        result, layer = self.segment(
            given,
            {
                **self.segment_options(given),
                "prompts": given.vector_path(source, "prompts", label=label),
                "prompts_layer": "prompts",
                "prompt_id": SOURCE_FID,
                "prompt_label": None if label is None else SOURCE_LABEL,
                "prompt_as": given.word(self.AS),
            },
        )
        if given.flag(self.KEEP):
            layer = replace(layer, carried=Carried.all_of(source, "prompt_id", "prompt_"))
        return {**self.write_result(given, layer), "COUNT": result.get("features")}
