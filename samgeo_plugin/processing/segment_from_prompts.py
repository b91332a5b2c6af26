# SPDX-License-Identifier: GPL-2.0-or-later
"""One polygon a prompt, from a layer of points, lines or polygons."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
)

from ..i18n import tr
from ..job import SegmentParameters
from .base import SOURCE_FID
from .segment_raster import OUTLINES, SegmentAlgorithm

PROMPT_AS = ["auto", "point", "box", "mask", "box+mask"]


class SegmentFromPrompts(SegmentAlgorithm):
    """Prompts carry their attributes over to their polygons."""

    PROMPTS = "PROMPTS"
    AS = "PROMPT_AS"
    LABEL = "LABEL_FIELD"
    KEEP = "KEEP_ATTRIBUTES"

    icon_name = "segment"

    def name(self) -> str:
        return "segmentfromprompts"

    def displayName(self) -> str:  # noqa: N802
        return tr("Segment from prompts")

    def tags(self) -> list[str]:
        return ["sam", "segment anything", "points", "boxes", "prompts", "deep learning"]

    def shortHelpString(self) -> str:  # noqa: N802
        return tr(
            "Makes one polygon for each feature of a layer: points mark objects, polygons are "
            "boxes or rough outlines, lines run along objects. The layer may have any CRS.\n\n"
            "“prompt_id” of a polygon is the id of its prompt; the prompts' attributes are carried "
            "over."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_raster()
        self.declare(
            QgsProcessingParameterFeatureSource(
                self.PROMPTS, tr("Prompts"), [QgsProcessing.SourceType.TypeVectorAnyGeometry]
            )
        )
        self.add_model()
        self.declare(
            QgsProcessingParameterEnum(
                self.AS, tr("Use prompts as"), PROMPT_AS, False, PROMPT_AS[0], False, True
            )
        )
        self.declare(
            QgsProcessingParameterField(
                self.LABEL, tr("Field with a label"), None, self.PROMPTS, optional=True
            )
        )
        self.declare(
            QgsProcessingParameterBoolean(self.KEEP, tr("Carry the prompts' attributes over"), True)
        )
        self.declare(
            QgsProcessingParameterEnum(
                self.OUTLINES, tr("Outlines"), OUTLINES, False, OUTLINES[0], False, True
            )
        )
        self.add_extent()
        self.add_shape_parameters()
        self.add_work_parameters()
        self.add_device()
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
        source = self.parameterAsSource(parameters, self.PROMPTS, context)
        if source is None:
            from qgis.core import QgsProcessingException

            raise QgsProcessingException(self.invalidSourceError(parameters, self.PROMPTS))
        labels = self.parameterAsFields(parameters, self.LABEL, context)
        params.update(
            prompts=self.save_source(source, "prompts", context, feedback),
            prompts_layer="prompts",
            prompt_id=SOURCE_FID,
            prompt_label=labels[0] if labels else None,
            prompt_as=self.parameterAsEnumString(parameters, self.AS, context),
            outlines=self.parameterAsEnumString(parameters, self.OUTLINES, context),
        )
        job = SegmentParameters.from_dict(params)
        result = self.run_engine("segment", job.to_dict(), feedback)
        layer = self.open_result(str(result["output"]), str(result.get("layer") or ""))
        extra = None
        if self.parameterAsBoolean(parameters, self.KEEP, context):
            rows = {str(f.id()): f.attributes() for f in source.getFeatures()}
            extra = (source.fields(), rows)
        written = self.write_sink(parameters, layer, context, feedback, "review", extra)
        return {**written, "COUNT": result.get("features")}
