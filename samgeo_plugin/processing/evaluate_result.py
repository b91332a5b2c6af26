# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithm that compares a result with ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from qgis.core import QgsProcessingParameterField, QgsProcessingParameterFileDestination

from .. import styles
from ..i18n import tr
from ..job import EvaluateParameters
from .base import EngineAlgorithm
from .given import Given, column_names
from .html import page, table
from .parameters import ANY_VECTOR, POLYGONS
from .results import ResultLayer


class EvaluateResult(EngineAlgorithm):
    """Figures in a report and as outputs; errors as features."""

    TRUTH = "TRUTH"
    CLASS = "CLASS_FIELD"
    TRUTH_CLASS = "TRUTH_CLASS_FIELD"
    HTML = "OUTPUT_HTML_FILE"

    key = "evaluateresult"
    group_key = "quality"
    icon_name = "statistics"
    keywords = ("accuracy", "recall", "precision", "IoU", "panoptic quality", "APLS", "compare")

    def title(self) -> str:
        return tr("Compare a result with the truth")

    def about(self) -> str:
        return tr(
            "Compares polygons with true polygons (recall, precision, panoptic quality, IoU, by "
            "class and by size), or lines with true lines (correctness and completeness within 4 "
            "and 8 m, APLS). The layers may have different CRSs.\n\n"
            "The output shows what went wrong: missed, false, merged, split, duplicate, imprecise "
            "objects and wrong classes."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_source(self.INPUT, tr("Result"), ANY_VECTOR)
        self.add_source(self.TRUTH, tr("Truth"), ANY_VECTOR)
        self.declare(
            QgsProcessingParameterField(
                self.CLASS, tr("Field with the class"), None, self.INPUT, optional=True
            )
        )
        self.declare(
            QgsProcessingParameterField(
                self.TRUTH_CLASS,
                tr("Field with the class in the truth"),
                None,
                self.TRUTH,
                optional=True,
            )
        )
        self.add_source(
            self.AREA, tr("Area in which the truth is complete"), POLYGONS, optional=True
        )
        self.add_sink(tr("Errors"))
        self.declare(
            QgsProcessingParameterFileDestination(
                self.HTML, tr("Report"), tr("HTML files (*.html)"), None, True
            )
        )

    def work(self, given: Given) -> dict[str, Any]:
        result, truth = given.source(self.INPUT), given.source(self.TRUTH)
        classes, true_classes = given.fields(self.CLASS), given.fields(self.TRUTH_CLASS)
        report = given.destination(self.HTML)
        known = {field.name() for field in result.fields()}
        kept = [*classes, *(["score"] if "score" in known and "score" not in classes else [])]
        names, true_names = column_names(kept), column_names(true_classes)
        area = given.source(self.AREA) if given.has(self.AREA) else None
        params = EvaluateParameters(
            given.vector_path(result, "polygons", kept),
            given.vector_path(truth, "truth", true_classes),
            class_field=names[classes[0]] if classes else None,
            truth_class_field=true_names[true_classes[0]] if true_classes else None,
            area=None if area is None else given.vector_path(area, "area"),
            errors=str(given.folder / "errors.gpkg"),
        )
        figures = self.run_engine(given, "evaluate", params.to_dict())
        rows = _rows(figures)
        for row in rows[1:]:
            pairs = zip(rows[0][1:], row[1:])  # noqa: B905 - Python 3.9
            said = ", ".join(f"{name} {value}" for name, value in pairs if value is not None)
            given.feedback.pushInfo(f"{row[0]}: {said}")
        overall = figures.get("overall") or {}
        results: dict[str, Any] = {
            key.upper(): overall.get(key) for key in ("recall", "precision", "pq", "mean_iou")
        }
        layer = ResultLayer(str(params.errors), style=styles.REVIEW)
        try:  # the page is there also where the sink is refused, and the other way round
            if report is not None:
                title = tr("{result} against {truth}").format(
                    result=result.sourceName(), truth=truth.sourceName()
                )
                Path(report).write_text(page(title, table(rows, head=True)), encoding="utf-8")
                results[self.HTML] = report
        finally:
            results.update(self.write_result(given, layer))
        return results


def _rows(figures: Mapping[str, Any]) -> list[list[Any]]:
    """A header and a row for all objects, for each class and each range of sizes; or for lines."""
    if not figures.get("overall"):
        rows: list[list[Any]] = [[tr("Within"), tr("Correctness"), tr("Completeness")]]
        for each in figures.get("relaxed") or []:
            within = f"{each['buffer']:g} m"
            rows.append([within, _share(each["correctness"]), _share(each["completeness"])])
        apls = figures.get("apls") or {}
        if apls:
            rows.append(["APLS", _share(apls.get("score")), None])
        return rows
    head = ["", tr("True"), tr("Found"), tr("Recall"), tr("Precision"), "PQ", "IoU"]
    parts = {tr("All"): figures["overall"], **(figures.get("classes") or {})}
    for size in figures.get("sizes") or []:
        limit = size.get("above")
        bound = f"< {limit:.4g} m²" if limit is not None else f"≥ {size['least']:.4g} m²"
        parts[bound] = size["figures"]
    keys = ("recall", "precision", "pq", "mean_iou")
    return [
        head,
        *(
            [name, part["truth"], part["found"], *(_share(part.get(key)) for key in keys)]
            for name, part in parts.items()
        ),
    ]


def _share(value: Optional[float]) -> Optional[str]:
    return None if value is None else f"{value:.3f}"
