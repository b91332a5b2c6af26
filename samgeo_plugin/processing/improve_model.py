# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithm that fine-tunes a model on the polygons of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputBoolean,
    QgsProcessingOutputString,
    QgsProcessingParameterField,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterString,
)

from .. import settings
from ..i18n import tr
from ..job import TrainParameters
from .base import EngineAlgorithm
from .given import Given, column_names
from .html import page, paragraph, table
from .parameters import POLYGONS


class ImproveModel(EngineAlgorithm):
    """Trains in the engine's process at a low priority; the model is kept only where it gains."""

    LABELS = "LABELS"
    STATUS = "STATUS_FIELD"
    CLASS = "CLASS_FIELD"
    COMPLETE = "COMPLETE"
    NAME = "NAME"
    MINUTES = "MINUTES"
    HELD_BACK = "HELD_BACK"
    CONFIDENT = "CONFIDENT"
    OVERWRITE = "OVERWRITE"
    FRESH = "FRESH"
    PERSON_MINUTES = "PERSON_MINUTES"
    USE = "USE"
    HTML = "OUTPUT_HTML_FILE"
    OFFERED = "OFFERED"
    REASON = "REASON"

    key = "improvemodel"
    group_key = "quality"
    icon_name = "encode"
    keywords = ("train", "fine-tuning", "learn", "adapter", "own model", "corrections")

    def __init__(self) -> None:
        super().__init__()
        self._use = ""

    def title(self) -> str:
        return tr("Improve the model")

    def about(self) -> str:
        return tr(
            "Trains the model on polygons that you have accepted or corrected on this raster, on "
            "this computer. Some objects of another place are held back: on them the model is "
            "measured before and after, and the new one is kept only where it is better. "
            "Rejected polygons (status field) teach what is not wanted.\n\n"
            "At least about thirty polygons at more than one place are needed. A run that was "
            "cancelled goes on when it is started again with the same name."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        fields = TrainParameters.__dataclass_fields__
        self.add_raster()
        self.add_source(self.LABELS, tr("Polygons"), POLYGONS)
        self.declare(
            QgsProcessingParameterField(
                self.STATUS,
                tr("Field with the status of the review"),
                None,
                self.LABELS,
                optional=True,
            ),
            note=tr("accepted, corrected and rejected are used; all polygons without a field"),
        )
        self.declare(
            QgsProcessingParameterField(
                self.CLASS, tr("Field with the class"), None, self.LABELS, optional=True
            ),
            folded=True,
        )
        self.add_source(
            self.COMPLETE, tr("Area in which every object is drawn"), POLYGONS, optional=True
        )
        self.declare(QgsProcessingParameterString(self.NAME, tr("Name of the new model"), "mine"))
        self.add_model()
        self.add_number(
            self.MINUTES, tr("Minutes, at most"), float(fields["minutes"].default), least=0.1
        )
        self.add_number(
            self.HELD_BACK,
            tr("Share of the polygons that is held back"),
            float(fields["held_back"].default),
            least=0.1,
            most=0.7,
            folded=True,
        )
        self.add_flag(
            self.CONFIDENT,
            tr("Learn from confident masks where nothing is drawn, too"),
            folded=True,
        )
        self.add_number(
            self.PERSON_MINUTES,
            tr("Minutes that you have worked on the polygons"),
            folded=True,
            note=tr("In all, for the log of rounds (samgeo models log)"),
        )
        self.add_flag(self.USE, tr("Use the new model from now on"), True)
        self.add_flag(self.OVERWRITE, tr("Replace a model of that name"), folded=True)
        self.add_flag(self.FRESH, tr("Forget what a cancelled run has done"), folded=True)
        self.add_device()
        self.declare(
            QgsProcessingParameterFileDestination(
                self.HTML, tr("Report"), tr("HTML files (*.html)"), None, True
            )
        )
        self.addOutput(QgsProcessingOutputBoolean(self.OFFERED, tr("The model is better")))
        self.addOutput(QgsProcessingOutputString(self.REASON, tr("Why")))

    def work(self, given: Given) -> dict[str, Any]:
        source = given.source(self.LABELS)
        status, classes = given.fields(self.STATUS), given.fields(self.CLASS)
        names = column_names([*status, *classes])
        report = given.destination(self.HTML)
        path, _ = given.raster_path()
        engine = given.engine_options()
        complete = given.source(self.COMPLETE) if given.has(self.COMPLETE) else None
        params = TrainParameters(
            [path],
            given.vector_path(source, "polygons", [*status, *classes]),
            given.text(self.NAME) or "",
            model=engine["model"],
            status_field=names[status[0]] if status else None,
            class_field=names[classes[0]] if classes else None,
            complete=None if complete is None else given.vector_path(complete, "complete"),
            held_back=given.number(self.HELD_BACK) or 0.3,
            confident=given.flag(self.CONFIDENT),
            minutes=given.number(self.MINUTES) or 20.0,
            person_minutes=given.number(self.PERSON_MINUTES),
            fresh=given.flag(self.FRESH),
            overwrite=given.flag(self.OVERWRITE),
            allow_remote=engine["allow_remote"],
            device=engine["device"],
            threads=engine["threads"],
        )
        result = self.run_engine(given, "train", params.to_dict())
        verdict = result.get("verdict") or {}
        for left in (result.get("card") or {}).get("left_out") or []:
            given.feedback.pushWarning(tr("Left out: {what}").format(what=left))
        for name, before, after, gain, spread in _rows(verdict):
            given.feedback.pushInfo(f"{name}: {before} → {after} ({gain}; {spread})")
        given.feedback.pushInfo(str(verdict.get("reason") or ""))
        offered = bool(verdict.get("offered"))
        if offered and given.flag(self.USE):
            self._use = params.name
        results: dict[str, Any] = {
            self.OFFERED: offered,
            self.REASON: str(verdict.get("reason") or ""),
        }
        if report is not None:
            Path(report).write_text(_report(params.name, verdict), encoding="utf-8")
            results[self.HTML] = report
        return results

    def postProcessAlgorithm(  # noqa: N802
        self, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """On the main thread: the panel's next click asks the new model."""
        if self._use:
            known = [name for name in str(settings.MODELS.get()).split("\n") if name]
            if self._use not in known:
                settings.MODELS.set("\n".join([*known, self._use]))
            settings.MODEL.set(self._use)
            trained = getattr(self.provider(), "model_trained", None)
            if trained is not None:  # the panel is there
                trained.emit(self._use)
            feedback.pushInfo(
                tr("{name} is the model of the panel from the next object on.").format(
                    name=self._use
                )
            )
            self._use = ""
        return {}


def _rows(verdict: Mapping[str, Any]) -> list[list[str]]:
    """Figure, before, after, gain, and the interval that holds the gain with 98 %."""
    titles = {
        "box_iou": tr("IoU for a box"),
        "click_iou": tr("IoU for a click"),
        "recall": tr("Automatic recall"),
        "precision": tr("Automatic precision"),
        "f1": tr("Automatic F1"),
        "rejected_again": tr("Rejected polygons found again"),
    }
    return [
        [
            titles.get(name, name),
            f"{change['before']:.3f}",
            f"{change['after']:.3f}",
            f"{change['after'] - change['before']:+.3f}",
            f"{change['low']:+.3f} … {change['high']:+.3f}",
        ]
        for name, change in (verdict.get("changes") or {}).items()
    ]


def _report(name: str, verdict: Mapping[str, Any]) -> str:
    head = [tr("Figure"), tr("Before"), tr("After"), tr("Gain"), tr("98 % of chances")]
    held = tr("Measured on {count} polygons that were held back.").format(
        count=verdict.get("objects")
    )
    rows = table([head, *_rows(verdict)], head=True)
    return page(name, paragraph(str(verdict.get("reason") or "")), paragraph(held), rows)
