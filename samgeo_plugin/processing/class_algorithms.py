# SPDX-License-Identifier: GPL-2.0-or-later
"""Classes from examples, or as the embedded model knows them: of a layer's objects, of a raster's
ground; and roads."""

from __future__ import annotations

from typing import Any

from .. import styles
from ..i18n import tr
from ..job import ClassifyParameters, MapParameters
from .examples import ExampleAlgorithm
from .given import SOURCE_FID, Given
from .parameters import ALL, CLASSES, LINES, POLYGONS
from .results import Carried, ResultLayer

KEEP = ("classes", "all")


class ClassAlgorithm(ExampleAlgorithm):
    """What algorithms that only classify have in common."""

    group_key = "classes"

    def add_workers(self) -> None:
        self.add_device()
        self.add_number(
            self.WORKERS, tr("Processes"), 1, least=1, most=256, whole=True, folded=True
        )

    def class_options(self, given: Given) -> dict[str, Any]:
        """Raster, examples and model as the engine names them.

        Raises:
            QgsProcessingException: The examples have no field with the class.
        """
        path, rendered = given.raster_path(given.number(self.RESOLUTION) or None)
        return {
            "rasters": [path],
            "layer": "result",
            "overwrite": True,
            **given.engine_options(),
            "bands": None if rendered else given.bands(),
            "resolution": None if rendered else given.number(self.RESOLUTION) or None,
            "tile_size": given.whole(self.TILE_SIZE),
            "margin": given.whole(self.MARGIN),
            "workers": given.whole(self.WORKERS),
            "crs": given.crs(self.TARGET_CRS),
            **self.example_options(given),
        }


class ClassifyObjects(ClassAlgorithm):
    """The engine's ``classify``: classes for polygons that are there."""

    OBJECTS = "OBJECTS"
    KEEP = "KEEP"

    key = "classifyobjects"
    icon_name = "segment"
    keywords = ("classes", "examples", "classification", "similar", "buildings", "deep learning")

    def title(self) -> str:
        return tr("Classify objects")

    def about(self) -> str:
        return tr(
            "Gives the polygons of a layer classes, from a few examples on the same raster: points "
            "or strokes on polygons, boxes around them, or polygons. Nothing is segmented again; "
            "ten examples of each class and ten of none are a good beginning.\n\n"
            "The result has the polygons' attributes, their class and its probability. “Only "
            "objects of the classes” leaves out what is of none, and of objects that share ground "
            "keeps the one that fits its class best.\n\n"
            "The project's layer “Examples” can be used as it is, with its field “class”."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_source(self.OBJECTS, tr("Polygons"), POLYGONS)
        self.add_raster()
        self.add_examples(tr("Examples"), 0.5)
        self.add_choice(self.KEEP, tr("What is written"), KEEP)
        self.add_model()
        self.add_tiling()
        self.add_workers()
        self.add_sink(tr("Classified objects"), POLYGONS)

    def work(self, given: Given) -> dict[str, Any]:
        source = given.source(self.OBJECTS)
        known = [name for name in ("score", "stability") if source.fields().lookupField(name) >= 0]
        job = ClassifyParameters.from_dict(
            {
                **self.class_options(given),
                "input": given.vector_path(source, "polygons", known),
                "output": str(given.folder / "result.gpkg"),
                "keep": given.word(self.KEEP),
            }
        )
        result = self.run_engine(given, "classify", job.to_dict())
        layer = ResultLayer(
            str(result["output"]),
            str(result.get("layer") or ""),
            styles.CLASS,
            carried=Carried.all_of(source, SOURCE_FID),
            names={"class": "class", "class_prob": "class_prob"},
        )
        return {
            **self.write_result(given, layer),
            **self.kept_classifier(job.save_classifier),
            "COUNT": result.get("features"),
        }


class MapAlgorithm(ClassAlgorithm):
    """The engine's ``map``: of the whole ground."""

    shapes = ""
    style = ""

    def map_options(self, given: Given) -> dict[str, Any]:
        """What this kind of map is told besides."""
        raise NotImplementedError

    def work(self, given: Given) -> dict[str, Any]:
        job = MapParameters.from_dict(
            {
                **given.place(),
                **self.class_options(given),
                "output": str(given.folder / "result.gpkg"),
                "shapes": self.shapes,
                "simplify": given.number(self.SIMPLIFY),
                **self.map_options(given),
            }
        )
        result = self.run_engine(given, "map", job.to_dict())
        layer = ResultLayer(
            str(result["output"]),
            str(result.get("layer") or ""),
            self.style,
            single=self.shapes == "network",
        )
        return {
            **self.write_result(given, layer),
            **self.kept_classifier(job.save_classifier),
            "COUNT": result.get("features"),
        }


class ClassifyGround(MapAlgorithm):
    """Polygons that share their borders."""

    CLASS = "CLASS"

    key = "classifyground"
    icon_name = "automatic"
    keywords = ("land cover", "classes", "surfaces", "examples", "classification", "fields")
    shapes = "coverage"
    style = styles.CLASS

    def title(self) -> str:
        return tr("Classify ground")

    def about(self) -> str:
        return tr(
            "Divides all of a raster, or of an extent, into classes. The polygons share their "
            "borders, without gaps and overlaps, and no seam of the tiles shows. Each has its "
            "class, the class's probability, and its area.\n\n"
            "The classes are those of examples: strokes, points or polygons on ground of each "
            "class. Without examples they are those that the embedded model knows: building, road, "
            "water, trees, field, bare ground, vehicle, other."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_raster()
        self.add_extent()
        # All ground is of its likeliest class, however unlikely: there is no least probability.
        self.add_examples(tr("Examples"), least=False)
        self.add_choice(
            self.CLASS,
            tr("Keep only"),
            CLASSES,
            folded=True,
            note=tr("Without examples: one class of the embedded model"),
        )
        self.add_number(
            self.MIN_AREA,
            tr("Smallest object (m²)"),
            0.0,
            note=tr("Smaller ones go to their neighbours"),
        )
        self.add_number(self.SIMPLIFY, tr("Simplify (ground units of the raster)"), folded=True)
        self.add_model()
        self.add_tiling()
        self.add_workers()
        self.add_sink(tr("Classes of ground"), POLYGONS)

    def map_options(self, given: Given) -> dict[str, Any]:
        wanted = given.word(self.CLASS)
        return {
            "min_area": given.number(self.MIN_AREA) or 0.0,
            "classes": [] if wanted == ALL else [wanted],
        }


class RoadNetwork(MapAlgorithm):
    """Centre lines that meet at junctions."""

    ROAD_CLASS = "ROAD_CLASS"
    MIN_LENGTH = "MIN_LENGTH"
    MAX_GAP = "MAX_GAP"

    key = "roadnetwork"
    icon_name = "centerlines"
    keywords = ("roads", "streams", "network", "centerlines", "strokes", "examples")
    shapes = "network"
    style = styles.LINES

    def title(self) -> str:
        return tr("Road network")

    def about(self) -> str:
        return tr(
            "Draws the centre lines of all roads (or streams) of a raster or an extent. Lines end "
            "at junctions and meet there exactly; each has its width, its length and its "
            "probability.\n\n"
            "Roads are what a few strokes along some of them, and some on other ground, say; "
            "without strokes, what the embedded model takes for roads. "
            "Five strokes give a first map; ten give a good one. Strokes whose class is empty, and "
            "those of the second layer, are on other ground."
        )

    def initAlgorithm(self, configuration: Any = None) -> None:  # noqa: N802
        self.add_raster()
        self.add_extent()
        self.add_examples(
            tr("Strokes"), None, tr("0.65 where nothing is said; without strokes, 0.5")
        )
        self.add_text(
            self.ROAD_CLASS,
            tr("Class of the roads"),
            note=tr("Needed where the strokes are of several classes"),
        )
        self.add_number(self.MIN_LENGTH, tr("Shortest dead end (metres)"), 20.0)
        self.add_number(
            self.MAX_GAP,
            tr("Widest gap that is bridged (metres)"),
            note=tr("A few road widths where nothing is said"),
        )
        self.add_number(self.SIMPLIFY, tr("Simplify (ground units of the raster)"), folded=True)
        self.add_model()
        self.add_tiling()
        self.add_workers()
        self.add_sink(tr("Roads"), LINES)

    def map_options(self, given: Given) -> dict[str, Any]:
        return {
            "road_class": given.text(self.ROAD_CLASS),
            "min_length": given.number(self.MIN_LENGTH),
            "max_gap": given.number(self.MAX_GAP),
        }
