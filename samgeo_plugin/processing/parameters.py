# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of algorithms, each declared once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingParameterBand,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterCrs,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProperty,
)

from .. import settings
from ..i18n import tr

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16", "float16", "fastest")
OUTLINES = ("contour", "rectangles", "centerlines")


def title_of(name: str, word: str) -> str:
    """What a person reads for one of the engine's words.

    Args:
        name: Of the parameter.
        word: One of its choices.
    """
    titles = {
        "DEVICE": {
            "auto": tr("Automatic"),
            "cpu": tr("CPU"),
            "cuda": tr("NVIDIA GPU (CUDA)"),
            "mps": tr("Apple GPU (MPS)"),
        },
        "PRECISION": {"auto": tr("Automatic")},
        "OUTLINES": {
            "contour": tr("As the model sees it"),
            "rectangles": tr("Right angles (buildings)"),
            "centerlines": tr("Centre lines (roads)"),
        },
        "MODE": {
            "hierarchy": tr("Keep objects within objects"),
            "flat": tr("Join parts into one object"),
        },
        "SHAPES": {
            "objects": tr("Separate objects"),
            "coverage": tr("Without gaps and overlaps (fields)"),
        },
        "KEEP": {
            "classes": tr("Only objects of the classes"),
            "all": tr("All objects"),
        },
        "PROPOSALS": {
            "auto": tr("Automatic"),
            "embedded": tr("What the embedded model takes for objects"),
            "grid": tr("A grid of points"),
        },
        "CLASS": {
            "all": tr("Everything"),
            "building": tr("Buildings"),
            "road": tr("Roads"),
            "water": tr("Water"),
            "trees": tr("Trees"),
            "field": tr("Fields"),
            "bare ground": tr("Bare ground"),
            "vehicle": tr("Vehicles"),
            "other": tr("Other things"),
        },
        "SCALE": {"auto": tr("Automatic")},
        "FORM": {
            "coco": "COCO",
            "sa1b": "SA-1B",
            "yolo": "YOLO-seg",
            "masks": tr("GeoTIFF masks"),
        },
        "SCENES": {
            "mosaic": tr("As one mosaic"),
            "each": tr("One layer per raster, in a folder"),
            "layer": tr("Raster by raster into one layer, with source and date"),
        },
        "DUPLICATES": {
            "date": tr("Leave one of each out where the rasters are of one date"),
            "place": tr("Keep the newest of each place"),
            "keep": tr("Keep all"),
        },
        "IMAGE_FORMAT": {"tif": "GeoTIFF", "png": "PNG", "jpg": "JPEG"},
        "PROMPT_AS": {
            "auto": tr("Automatic"),
            "point": tr("Points"),
            "box": tr("Boxes"),
            "mask": tr("Masks"),
            "box+mask": tr("Boxes and masks"),
        },
    }
    return titles.get(name, {}).get(word, word)


ANY_VECTOR = QgsProcessing.SourceType.TypeVectorAnyGeometry
ALL = "all"
"""Of :data:`CLASSES`: none is chosen."""

CLASSES = (
    ALL,
    "building",
    "road",
    "water",
    "trees",
    "field",
    "bare ground",
    "vehicle",
    "other",
)
"""Choices of a class of the embedded model."""

POLYGONS = QgsProcessing.SourceType.TypeVectorPolygon
LINES = QgsProcessing.SourceType.TypeVectorLine

TEMPORARY = ("TEMPORARY_OUTPUT", "memory:")
"""How destinations begin that nobody has chosen."""


class ParameterAlgorithm(QgsProcessingAlgorithm):
    """Declares parameters; ``folded`` ones lie under "Advanced".

    A choice takes its number (as QGIS writes it) and the engine's word (as scripts do).
    """

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"
    MODEL = "MODEL"
    DEVICE = "DEVICE"
    PRECISION = "PRECISION"
    THREADS = "THREADS"
    BANDS = "BANDS"
    EXTENT = "EXTENT"
    AREA = "AREA"
    OUTLINES = "OUTLINES"
    SIMPLIFY = "SIMPLIFY"
    MIN_AREA = "MIN_AREA"
    MIN_HOLE = "MIN_HOLE"
    RESOLUTION = "RESOLUTION"
    TILE_SIZE = "TILE_SIZE"
    MARGIN = "MARGIN"
    TARGET_CRS = "TARGET_CRS"

    def __init__(self) -> None:
        super().__init__()
        self.choices: dict[str, tuple[str, ...]] = {}

    def checkParameterValues(  # noqa: N802
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """QGIS knows a choice by its number only, and only models that were listed before."""
        numbered = dict(parameters)
        for name, words in self.choices.items():
            if parameters.get(name) in words:
                numbered[name] = words.index(parameters[name])
        if str(parameters.get(self.MODEL) or "").strip():
            numbered.pop(self.MODEL, None)
        return super().checkParameterValues(numbered, context)

    def chosen(self, parameters: dict[str, Any], name: str, context: QgsProcessingContext) -> str:
        """The engine's word for what was chosen."""
        words, value = self.choices[name], parameters.get(name)
        if value in words:
            return str(value)
        return words[self.parameterAsEnum(parameters, name, context)]

    def written(self, parameters: dict[str, Any], name: str, context: QgsProcessingContext) -> str:
        """A destination, or a word that need not be among the choices, as the user has written it;
        "" for nothing."""
        value = parameters.get(name)
        if isinstance(value, QgsProcessingOutputLayerDefinition):
            value = value.sink
        if isinstance(value, QgsProperty):
            value, _ = value.valueAsString(context.expressionContext(), "")
        return "" if value is None else str(value).strip()

    # --- kinds ----------------------------------------------------------------------------------

    def declare(
        self, parameter: QgsProcessingParameterDefinition, folded: bool = False, note: str = ""
    ) -> None:
        """Add a parameter; one that is refused (a name twice) is a mistake of ours."""
        if folded:
            parameter.setFlags(
                parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced
            )
        if note:
            parameter.setHelp(note)
        name = parameter.name()  # a parameter that was added belongs to QGIS
        if not self.addParameter(parameter):
            raise ValueError(name)

    def add_number(
        self,
        name: str,
        text: str,
        default: Optional[float] = None,
        *,
        least: float = 0.0,
        most: float = 1e9,
        whole: bool = False,
        folded: bool = False,
        note: str = "",
    ) -> None:
        """A number, which may be left out where it has no default."""
        kinds = QgsProcessingParameterNumber.Type
        kind = kinds.Integer if whole else kinds.Double
        number = QgsProcessingParameterNumber(
            name, text, kind, default, default is None, least, most
        )
        self.declare(number, folded, note)

    def add_choice(
        self,
        name: str,
        text: str,
        choices: Sequence[str],
        *,
        folded: bool = False,
        note: str = "",
    ) -> None:
        """One of the engine's own words, shown by its title; the first is the default."""
        self.choices[name] = tuple(choices)
        titles = [title_of(name, word) for word in choices]
        self.declare(QgsProcessingParameterEnum(name, text, titles, False, 0), folded, note)

    def add_flag(
        self, name: str, text: str, default: bool = False, *, folded: bool = False
    ) -> None:
        self.declare(QgsProcessingParameterBoolean(name, text, default), folded)

    def add_text(self, name: str, text: str, *, note: str = "") -> None:
        """A word, which may be left out."""
        self.declare(QgsProcessingParameterString(name, text, None, False, True), note=note)

    def add_source(self, name: str, text: str, kind: Any, *, optional: bool = False) -> None:
        self.declare(QgsProcessingParameterFeatureSource(name, text, [kind], None, optional))

    def add_sink(self, text: str, kind: Any = ANY_VECTOR, *, optional: bool = False) -> None:
        self.declare(QgsProcessingParameterFeatureSink(self.OUTPUT, text, kind, None, optional))

    # --- what several algorithms ask for --------------------------------------------------------

    def add_raster(self) -> None:
        self.declare(QgsProcessingParameterRasterLayer(self.INPUT, tr("Raster")))

    def add_model(self) -> None:
        """The models that the engine listed last, and the one that the panel uses (perhaps a file
        of the user's own); scripts may name any other."""
        names = ["embedded", *str(settings.MODELS.get()).split("\n"), str(settings.MODEL.get())]
        known = list(dict.fromkeys(name for name in names if name))
        self.declare(
            QgsProcessingParameterEnum(
                self.MODEL, tr("Model"), known, False, "embedded", False, True
            ),
            note=tr(
                "Models are downloaded, and files of weights named, in the panel's list of models"
            ),
        )

    def add_bands(self) -> None:
        text = tr("Bands shown as red, green and blue")
        self.declare(
            QgsProcessingParameterBand(self.BANDS, text, None, self.INPUT, True, True), folded=True
        )

    def add_extent(self) -> None:
        self.declare(QgsProcessingParameterExtent(self.EXTENT, tr("Extent"), None, optional=True))

    def add_area(self) -> None:
        self.add_source(self.AREA, tr("Area of interest"), POLYGONS, optional=True)

    def add_outlines(self, kinds: Optional[Sequence[str]] = None) -> None:
        self.add_choice(self.OUTLINES, tr("Outlines"), OUTLINES if kinds is None else kinds)

    def add_sizes(self) -> None:
        """What is too small or too detailed for the result."""
        self.add_number(self.MIN_AREA, tr("Smallest object (m²)"), 0.0)
        self.add_number(self.MIN_HOLE, tr("Smallest hole (m²)"), 0.0, folded=True)
        self.add_number(
            self.SIMPLIFY,
            tr("Simplify (ground units of the raster)"),
            folded=True,
            note=tr("Half a working pixel where nothing is said"),
        )

    def add_tiling(self) -> None:
        """How the raster is looked at."""
        self.add_bands()
        self.add_number(
            self.RESOLUTION,
            tr("Working resolution (ground units per pixel)"),
            folded=True,
            note=tr("The raster's own where nothing is said"),
        )
        self.add_number(
            self.TILE_SIZE,
            tr("Side of a window (pixels)"),
            least=256,
            most=32768,
            whole=True,
            folded=True,
        )
        self.add_number(
            self.MARGIN,
            tr("Overlap of windows (pixels)"),
            least=16,
            most=16384,
            whole=True,
            folded=True,
        )
        self.add_target_crs()

    def add_target_crs(self) -> None:
        self.declare(
            QgsProcessingParameterCrs(self.TARGET_CRS, tr("CRS of the result"), optional=True),
            folded=True,
        )

    def add_device(self) -> None:
        self.add_choice(self.DEVICE, tr("Device"), DEVICES, folded=True)
        self.add_choice(
            self.PRECISION,
            tr("Number type of the model"),
            PRECISIONS,
            folded=True,
            note=tr("bfloat16 halves the time on processors that have it (Intel's AMX)"),
        )
        self.add_number(
            self.THREADS,
            tr("CPU threads"),
            least=1,
            whole=True,
            folded=True,
            note=tr("As many as there are cores where nothing is said"),
        )
