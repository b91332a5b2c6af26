# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithm that tracks objects of a layer through rasters of several dates."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterString,
)

from .. import rasters, styles
from ..i18n import tr
from ..job import TrackParameters
from . import jobs
from .base import EngineAlgorithm
from .given import SOURCE_FID, Given, column_names
from .html import line_chart, page, paragraph, table
from .parameters import POLYGONS
from .results import ResultLayer, Times

_MOST_CHARTS = 500
"""Objects in the report: more make a page that no viewer shows at once."""


class TrackObjects(EngineAlgorithm):
    """One polygon per object and date, a table of areas and a page with charts."""

    RASTERS = "RASTERS"
    AT = "AT"
    DATES = "DATES"
    ID = "ID_FIELD"
    LABEL = "LABEL_FIELD"
    REACH = "REACH"
    CLOUDS = "CLOUDS"
    TABLE = "OUTPUT_TABLE"
    HTML = "OUTPUT_HTML_FILE"

    key = "trackobjects"
    group_key = "segmentation"
    icon_name = "segment"
    keywords = ("time series", "change", "tracking", "dates", "temporal", "sam 2", "video")

    def __init__(self) -> None:
        super().__init__()
        self._paths: list[str] = []
        self._names: dict[str, str] = {}

    def title(self) -> str:
        return tr("Track objects through time")

    def about(self) -> str:
        return tr(
            "Follows the polygons of a layer through rasters of several dates: where each is "
            "present, gone or hidden by clouds or missing data, its outline and its area. Dates "
            "come from the rasters’ names, tags or STAC items, or from a CSV with the columns "
            "raster and date.\n\n"
            "The result can be played with QGIS’s temporal controller. The table has one row per "
            "object and one column per date."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_source(self.INPUT, tr("Polygons at one of the dates"), POLYGONS)
        kind = QgsProcessing.SourceType.TypeRaster
        self.declare(QgsProcessingParameterMultipleLayers(self.RASTERS, tr("Dated rasters"), kind))
        self.declare(
            QgsProcessingParameterString(
                self.AT, tr("Date of the polygons (YYYY-MM-DD)"), None, False, True
            ),
            note=tr("The earliest date of the rasters where nothing is said"),
        )
        self.declare(
            QgsProcessingParameterFile(
                self.DATES, tr("Dates of the rasters (CSV)"), extension="csv", optional=True
            ),
            folded=True,
        )
        self.declare(
            QgsProcessingParameterField(
                self.ID, tr("Field with the objects’ names"), None, self.INPUT, optional=True
            )
        )
        self.declare(
            QgsProcessingParameterField(
                self.LABEL, tr("Field with a label"), None, self.INPUT, optional=True
            )
        )
        self.add_model()
        defaults = TrackParameters.__dataclass_fields__
        self.add_number(
            self.REACH,
            tr("How far objects may move between dates (in their own sides)"),
            float(defaults["reach"].default),
        )
        self.add_flag(self.CLOUDS, tr("Objects under clouds are hidden"), True)
        self.add_number(
            self.RESOLUTION,
            tr("Working resolution (ground units per pixel)"),
            folded=True,
            note=tr("The raster's own where nothing is said"),
        )
        self.add_target_crs()
        self.add_device()
        self.add_sink(tr("Objects at each date"), POLYGONS)
        self.declare(
            QgsProcessingParameterFileDestination(
                self.TABLE, tr("Areas by date"), tr("CSV files (*.csv)"), None, True
            )
        )
        self.declare(
            QgsProcessingParameterFileDestination(
                self.HTML, tr("Report"), tr("HTML files (*.html)"), None, True
            )
        )

    def prepareAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """On the main thread: layers may only be asked there."""
        if not super().prepareAlgorithm(parameters, context, feedback):
            return False
        self._paths, self._names = [], {}
        for layer in self.parameterAsLayerList(parameters, self.RASTERS, context) or []:
            try:
                path = rasters.file_as_shown(layer, jobs.root())
            except rasters.LayerError as error:
                raise QgsProcessingException(str(error)) from error
            if path is None:
                raise QgsProcessingException(
                    tr("{name} is not a file: only files can be followed through time.").format(
                        name=layer.name()
                    )
                )
            self._paths.append(path)
            file = str(rasters.file_of(layer))  # or its name alone, as a table of dates has them
            self._names.update({file: path, Path(file).name: Path(path).name})
        if len(self._paths) < 2:
            raise QgsProcessingException(tr("Choose rasters of at least two dates."))
        return True

    def work(self, given: Given) -> dict[str, Any]:
        source = given.source(self.INPUT)
        ids, labels = given.fields(self.ID), given.fields(self.LABEL)
        names = column_names([*ids, *labels])
        csv_file, report = given.destination(self.TABLE), given.destination(self.HTML)
        params = TrackParameters(
            given.vector_path(source, "polygons", [*ids, *labels]),
            self._paths,
            str(given.folder / "tracks.gpkg"),
            at=given.text(self.AT),
            dates=self._dates(given),
            id_field=names[ids[0]] if ids else SOURCE_FID,
            label_field=names[labels[0]] if labels else None,
            resolution=given.number(self.RESOLUTION) or None,
            reach=given.number(self.REACH) or 0.0,
            clouds=given.flag(self.CLOUDS),
            crs=given.crs(self.TARGET_CRS),
            **given.engine_options(),
        )
        result = self.run_engine(given, "track", params.to_dict())
        times = Times("date", tuple(result.get("dates") or ()))
        layer = ResultLayer(str(result["output"]), style=styles.REVIEW, times=times)
        results: dict[str, Any] = {
            key.upper(): result.get(key) for key in ("objects", "present", "gone", "hidden")
        }
        try:  # table and page are there also where the sink is refused, and the other way round
            areas = Path(result["tables"][1]).read_text(encoding="utf-8")
            if csv_file is not None:
                Path(csv_file).write_text(areas, encoding="utf-8")
                results[self.TABLE] = csv_file
            if report is not None:
                Path(report).write_text(_report(areas), encoding="utf-8")
                results[self.HTML] = report
        finally:
            results.update(self.write_result(given, layer))
        return results

    def _dates(self, given: Given) -> Optional[str]:
        """The table of dates; a copy where rasters have other names for the engine than in it."""
        table = given.path(self.DATES)
        if table is None or all(name == other for name, other in self._names.items()):
            return table
        try:
            with Path(table).open(newline="", encoding="utf-8-sig") as file:
                head, *rows = [row for row in csv.reader(file) if row]
            column = head.index("raster")
            for row in rows:
                row[column] = self._names.get(row[column], row[column])
        except (OSError, ValueError, IndexError, csv.Error):
            return table  # the engine says what is wrong with it
        copy = given.folder / "dates.csv"
        with copy.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([head, *rows])
        return str(copy)


def _report(areas: str) -> str:
    """A page with one chart per object, from the table of areas (CSV)."""
    head, *rows = list(csv.reader(areas.splitlines()))
    lines: list[Sequence[Any]] = [[tr("Object"), tr("Area over time"), *head[1:]]]
    for row in rows[:_MOST_CHARTS]:
        values: list[Optional[float]] = [float(cell) if cell else None for cell in row[1:]]
        shown = ["–" if value is None else f"{value:,.0f}" for value in values]
        lines.append([row[0], line_chart(values), *shown])
    notes = [paragraph(tr("Square metres; 0 where an object is gone, – where it is hidden."))]
    if len(rows) > _MOST_CHARTS:
        notes.append(
            paragraph(
                tr("The first {shown} of {count} objects; the table has all.").format(
                    shown=_MOST_CHARTS, count=len(rows)
                )
            )
        )
    return page(tr("Areas of objects by date"), *notes, table(lines, head=True, raw=(1,)))
