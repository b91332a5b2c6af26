# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of an algorithm that takes several rasters, and the layers that it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingOutputMultipleLayers,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProject,
)

from ..i18n import tr
from ..job import SegmentParameters
from .base import EngineAlgorithm
from .given import Given
from .parameters import TEMPORARY
from .results import load_layers


def _words(name: str) -> tuple[str, ...]:
    """All values of one of the engine's options."""
    return tuple(SegmentParameters.__dataclass_fields__[name].metadata["choices"])


class SeveralRasters(EngineAlgorithm):
    """One mosaic, one layer per raster in a folder, or raster by raster into one layer."""

    MORE = "MORE_RASTERS"
    SCENES = "SCENES"
    DUPLICATES = "DUPLICATES"
    FOLDER = "OUTPUT_FOLDER"
    LAYERS = "OUTPUT_LAYERS"

    def __init__(self) -> None:
        super().__init__()
        self._unread: list[str] = []

    def add_several(self) -> None:
        """The parameters, all under "Advanced" but the destination."""
        kind = QgsProcessing.SourceType.TypeRaster
        self.declare(
            QgsProcessingParameterMultipleLayers(
                self.MORE, tr("More rasters"), kind, None, optional=True
            ),
            folded=True,
            note=tr("They are segmented together with the raster above; all must be files"),
        )
        self.add_choice(
            self.SCENES,
            tr("Several rasters"),
            _words("scenes"),
            folded=True,
            note=tr(
                "A mosaic joins objects across the rasters' borders and needs rasters of one grid; "
                "raster by raster, one that fails stops no other"
            ),
        )
        self.add_choice(
            self.DUPLICATES,
            tr("Objects that overlapping rasters show twice"),
            _words("duplicates"),
            folded=True,
            note=tr("For rasters that share a layer"),
        )

    def add_folder(self) -> None:
        """Where layers of their own go."""
        self.declare(
            QgsProcessingParameterFolderDestination(
                self.FOLDER, tr("Folder for one layer per raster"), None, True, False
            ),
            note=tr("Each raster's GeoPackage has the raster's name"),
        )
        self.addOutput(QgsProcessingOutputMultipleLayers(self.LAYERS, tr("Layers of the rasters")))

    def prepareAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """On the main thread: layers may only be cloned there."""
        if not super().prepareAlgorithm(parameters, context, feedback):
            return False
        self._unread = []
        given = parameters.get(self.MORE)
        for value in given if isinstance(given, (list, tuple)) else [given] if given else []:
            found = self.parameterAsLayerList({self.MORE: [value]}, self.MORE, context)
            if not found:  # QGIS would pass over it; an exception here would keep the layers alive
                self._unread.append(str(value))
            self._others += [layer.clone() for layer in found]
        return True

    def checkParameterValues(  # noqa: N802
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """What QGIS checks, and that the destination is the one that the choice needs."""
        good, why = super().checkParameterValues(parameters, context)
        if good:
            why = self.what_is_wrong(parameters, context)
        return good and not why, why

    def what_is_wrong(self, parameters: dict[str, Any], context: QgsProcessingContext) -> str:
        """One sentence about destinations that do not fit what is asked for; "" where they do."""
        scenes = self.chosen(parameters, self.SCENES, context)
        folder = self.written(parameters, self.FOLDER, context)
        layer = self.written(parameters, self.OUTPUT, context)
        if scenes == "each":
            if not folder:
                return tr(
                    "One layer per raster needs a folder: choose one under “Folder for one layer "
                    "per raster”."
                )
            if layer and not layer.startswith(TEMPORARY):
                return tr(
                    "With one layer per raster nothing is written to {file}: leave “Objects” as a "
                    "temporary layer; the layers go to the folder."
                ).format(file=layer)
        elif folder:
            return tr(
                "“Folder for one layer per raster” is not used here: leave it empty, or choose "
                "one layer per raster under “Several rasters”."
            )
        elif not layer:
            return tr("Choose where the layer of objects goes, under “Objects”.")
        duplicates = self.chosen(parameters, self.DUPLICATES, context)
        if scenes != "layer" and duplicates != self.choices[self.DUPLICATES][0]:
            return tr(
                "“Objects that overlapping rasters show twice” is about rasters that share a "
                "layer: choose “Raster by raster into one layer” under “Several rasters”."
            )
        return ""

    def several_options(self, given: Given) -> dict[str, Any]:
        """The engine's parameters; with one layer per raster, with their destination.

        Raises:
            QgsProcessingException: The destinations do not fit, or a raster cannot be read.
        """
        why = self.what_is_wrong(given.parameters, given.context)
        if self._unread:
            why = tr("The raster {name} cannot be read: mend it, or leave it out.").format(
                name=", ".join(self._unread)
            )
        if why:
            raise QgsProcessingException(why)
        scenes = given.word(self.SCENES)
        options = {"scenes": scenes, "duplicates": given.word(self.DUPLICATES)}
        if scenes == "each":
            path = self.parameterAsFileOutput(given.parameters, self.FOLDER, given.context)
            folder = Path(path).absolute()  # the engine works in another folder than QGIS
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise QgsProcessingException(
                    tr("The folder {folder} cannot be made ({why}); choose another.").format(
                        folder=folder, why=error.strerror
                    )
                ) from error
            options.update(output=str(folder / "{scene}.gpkg"), layer=None)
        return options

    def folder_of_layers(
        self, given: Given, outputs: Sequence[str], folder: str, style: str
    ) -> dict[str, Any]:
        """The outputs where each raster has its layer, which are loaded where QGIS was told to.

        "Open output file after running algorithm" below the objects' destination says so, and in
        scripts ``processing.runAndLoadResults``.
        """
        asked = (given.parameters.get(name) for name in (self.OUTPUT, self.FOLDER))
        project = next((found for found in map(_project_of, asked) if found is not None), None)
        layers = [f"{path}|layername={Path(path).stem}" for path in outputs]
        if project is not None:
            load_layers(given.context, project, layers, style)
        return {self.FOLDER: folder, self.LAYERS: layers}


def _project_of(value: Any) -> Optional[QgsProject]:
    """The project that a destination is to be loaded into."""
    if isinstance(value, QgsProcessingOutputLayerDefinition):
        return value.destinationProject
    return None
