# SPDX-License-Identifier: GPL-2.0-or-later
"""The algorithm that segments a raster automatically."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsProcessingException, QgsProcessingParameterField

from .. import styles
from ..i18n import tr
from ..job import SegmentParameters
from . import jobs
from .examples import ExampleAlgorithm
from .given import RENDERED, Given, column_names
from .parameters import ALL, CLASSES, POLYGONS
from .results import ResultLayer
from .several_rasters import SeveralRasters

MODES = ("hierarchy", "flat")
SHAPES = ("objects", "coverage")
PROPOSALS = ("auto", "embedded", "grid")
SCALES = ("auto", "0.25", "0.5", "1", "2", "4")


class SegmentAlgorithm(ExampleAlgorithm):
    """What automatic and prompted segmentation have in common."""

    group_key = "segmentation"
    goes_on = False
    """A cancelled run goes on in another one, whose inputs must have the same paths."""

    def segment_options(self, given: Given) -> dict[str, Any]:
        """The engine's parameters that both algorithms share."""
        resolution = given.number(self.RESOLUTION) or None
        place = given.place()
        paths, rendered = given.raster_paths(resolution, lasting=self.goes_on)
        return {
            "rasters": paths,
            "output": str(given.folder / "result.gpkg"),
            "layer": "objects",
            "overwrite": True,
            **given.engine_options(),
            **place,
            "bands": None if rendered else given.bands(),
            "resolution": None if rendered else resolution,
            "tile_size": given.whole(self.TILE_SIZE),
            "margin": given.whole(self.MARGIN),
            "min_area": given.number(self.MIN_AREA) or 0.0,
            "min_hole": given.number(self.MIN_HOLE) or 0.0,
            "simplify": given.number(self.SIMPLIFY),
            "outlines": given.word(self.OUTLINES),
            "crs": given.crs(self.TARGET_CRS),
        }

    def segment(self, given: Given, params: dict[str, Any]) -> tuple[dict[str, Any], ResultLayer]:
        """The engine's answer, and its layer."""
        job = SegmentParameters.from_dict(params)
        result = self.run_engine(given, "segment", job.to_dict())
        style = styles.LINES if job.outlines == "centerlines" else styles.REVIEW
        if style == styles.REVIEW and (job.examples or job.unlike or job.classifier):
            style = styles.CLASS
        return result, ResultLayer(str(result["output"]), str(result.get("layer") or ""), style)


class SegmentRaster(SeveralRasters, SegmentAlgorithm):
    """Every object of a raster as one polygon, across tiles; of several as the user chooses."""

    MODE = "MODE"
    SHAPES = "SHAPES"
    PROPOSALS = "PROPOSALS"
    CLASS = "CLASS"
    SCALE = "SCALE"
    POINTS = "POINTS_PER_SIDE"
    SCORE = "MIN_SCORE"
    STABILITY = "MIN_STABILITY"
    FRESH = "FRESH"
    WORDS = "WORDS"
    DETECTOR = "DETECTOR"
    EXEMPLARS = "EXEMPLARS"
    EXEMPLAR_FIELD = "EXEMPLAR_FIELD"
    RULES = "RULES"

    key = "segmentraster"
    goes_on = True
    icon_name = "automatic"
    keywords = (
        *("sam", "segment anything", "automatic", "objects", "polygons", "deep learning"),
        *("words", "text prompt", "examples", "similar", "find all like these"),
    )

    def title(self) -> str:
        return tr("Segment raster")

    def about(self) -> str:
        return tr(
            "Finds every object in a raster and writes one polygon for each, however many tiles it "
            "crosses. Each polygon carries its score, stability, area and perimeter, so that weak "
            "ones can be filtered afterwards without running again.\n\n"
            "“hierarchy” keeps objects within objects; “flat” joins parts into one. “coverage” "
            "gives polygons without gaps and overlaps, as for fields. “rectangles” makes right "
            "angles, as for buildings; “centerlines” gives lines, as for roads.\n\n"
            "With examples, only objects of their classes are written: points or strokes on a few "
            "of them, and on a few others without a class. With words, only what a model that "
            "understands words finds; with exemplar boxes, what SAM 3 takes for the same; with "
            "examples beside them, those decide among what is found.\n\n"
            "A run that was cancelled goes on where it was when it is started again with the same "
            "raster and model.\n\n"
            "A layer that is not a file (XYZ, WMS) is rendered first: name an extent and a working "
            "resolution.\n\n"
            "Several rasters (advanced) are one mosaic, or are segmented one by one: into one "
            "layer that says source and date of each object, or into a folder with one layer each. "
            "One that fails stops no other and is named at the end."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_raster()
        self.add_model()
        self.add_extent()
        self.add_area()
        self.add_choice(self.MODE, tr("Objects within objects"), MODES)
        self.add_outlines()
        self.add_sizes()
        self.add_examples(tr("Examples of the objects to find"), 0.5)
        self.add_text(
            self.WORDS,
            tr("Words for the objects to find"),
            note=tr("Separated by commas; for SAM 3, or with a model that finds words"),
        )
        self.add_text(
            self.DETECTOR,
            tr("Model that finds words or exemplars"),
            note=tr("grounding-dino-tiny, owlv2-base or others of the list of models on disk"),
        )
        self.add_source(self.EXEMPLARS, tr("Exemplar boxes"), POLYGONS, optional=True)
        field = QgsProcessingParameterField(
            self.EXEMPLAR_FIELD,
            tr("Field of the exemplars with the class"),
            None,
            self.EXEMPLARS,
            optional=True,
        )
        self.declare(
            field,
            note=tr("For SAM 3: what looks like the exemplars is found; what has no class is not"),
        )
        self.add_text(
            self.RULES,
            tr("Post-processing"),
            note=tr(
                "Rules of the command line, separated by semicolons, e.g. "
                "building: square, min-area=10; largest-part"
            ),
        )
        self.add_several()
        self.add_choice(self.SHAPES, tr("Shapes"), SHAPES, folded=True)
        self.add_choice(
            self.PROPOSALS,
            tr("Where to look for objects"),
            PROPOSALS,
            folded=True,
            note=tr("Automatic: proposals for the embedded model, a grid for other models"),
        )
        self.add_choice(
            self.CLASS,
            tr("Keep only"),
            CLASSES,
            folded=True,
            note=tr("What the embedded model takes an object for; other models know no classes"),
        )
        self.add_choice(
            self.SCALE,
            tr("Magnification for the embedded model"),
            SCALES,
            folded=True,
            note=tr("Automatic: by the ground resolution and the size of the objects"),
        )
        self.add_number(
            self.POINTS,
            tr("Points per side of a window"),
            32,
            least=1,
            most=256,
            whole=True,
            folded=True,
        )
        self.add_number(self.SCORE, tr("Least score"), most=1.0, folded=True)
        self.add_number(self.STABILITY, tr("Least stability"), most=1.0, folded=True)
        self.add_tiling()
        self.add_device()
        self.add_number(
            self.WORKERS, tr("Processes"), 1, least=1, most=256, whole=True, folded=True
        )
        self.add_flag(self.FRESH, tr("Forget what a cancelled run has done"), folded=True)
        self.add_sink(tr("Objects"), optional=True)
        self.add_folder()

    def exemplar_options(self, given: Given) -> dict[str, Any]:
        """The exemplars as the engine names them.

        Raises:
            QgsProcessingException: Examples have their class in a field of another name.
        """
        if not given.has(self.EXEMPLARS):
            return {}
        source, fields = given.source(self.EXEMPLARS), given.fields(self.EXEMPLAR_FIELD)
        if given.has(self.EXAMPLES) and fields != given.fields(self.CLASS_FIELD):
            raise QgsProcessingException(
                tr("Examples and exemplar boxes need a field of the same name for the class.")
            )
        path = given.vector_path(source, "exemplars", fields, lasting=True)
        options: dict[str, Any] = {"exemplars": path}
        if fields:
            options["class_field"] = column_names(fields)[fields[0]]
        return options

    def work(self, given: Given) -> dict[str, Any]:
        kept, scale = given.word(self.CLASS), given.word(self.SCALE)
        params = {
            **self.segment_options(given),
            "mode": given.word(self.MODE),
            "shapes": given.word(self.SHAPES),
            "proposals": given.word(self.PROPOSALS),
            "classes": [] if kept == ALL else [kept],
            "scale": None if scale == "auto" else float(scale),
            "points_per_side": given.whole(self.POINTS),
            "min_score": given.number(self.SCORE),
            "min_stability": given.number(self.STABILITY),
            "workers": given.whole(self.WORKERS),
            **self.example_options(given),
            **self.exemplar_options(given),
            "words": _parts(given.text(self.WORDS), ","),
            "detector": given.text(self.DETECTOR),
            "rules": _parts(given.text(self.RULES), ";"),
            "fresh": given.flag(self.FRESH),
            **self.several_options(given),
        }
        folder = jobs.folder_for(params)
        result, layer = self.segment(given, {**params, "job_folder": str(folder)})
        if params["scenes"] == "each":
            written = self.folder_of_layers(
                given, result.get("outputs") or [], layer.path, layer.style
            )
        else:
            written = self.write_result(given, layer)
        if not result.get("failed"):
            jobs.forget(folder)
            for kept in jobs.folders_in({"rasters": params["rasters"]}):
                if (kept / RENDERED).exists():
                    jobs.forget(kept)  # large, and of use to this job only
        return {
            **written,
            **self.kept_classifier(params["save_classifier"]),
            "COUNT": result.get("features"),
            "TILES": result.get("tiles"),
        }


def _parts(text: Optional[str], separator: str) -> list[str]:
    return [part.strip() for part in (text or "").split(separator) if part.strip()]
