# SPDX-License-Identifier: GPL-2.0-or-later
"""What all algorithms share: the engine, inputs as files, results into any sink, styles."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureSink,
    QgsFeatureSource,
    QgsField,
    QgsFields,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsRasterLayer,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtGui import QIcon

from .. import environment, field_types, rasters, target
from ..engine_client import NoEngine
from ..gui.icons import FOLDER as ICONS
from ..i18n import tr
from ..job import Progress
from .engine_run import EngineRun, EngineRunError

SOURCE_FID = "samgeo_source_fid"
"""Field of the temporary prompt layer that carries the feature's own id."""

DEVICES = ["auto", "cpu", "cuda", "mps"]

_STAGES = {"stretch": (0, 3), "tiles": (3, 80), "merge": (80, 88), "vectors": (88, 94)}
"""Where an engine's stage begins and ends on the progress bar, in percent."""

_STYLERS: list[QgsProcessingLayerPostProcessorInterface] = []
"""QGIS keeps no reference of its own to them before the layers are loaded."""


class _Styler(QgsProcessingLayerPostProcessorInterface):
    """Gives a result its style when it is put into the project."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._style = style

    def postProcessLayer(self, layer: Any, context: Any, feedback: Any) -> None:  # noqa: N802
        if isinstance(layer, QgsVectorLayer):
            target.style(layer, self._style)


class EngineAlgorithm(QgsProcessingAlgorithm):
    """Runs off the main thread; the engine is a process of its own, ended with the algorithm."""

    INPUT = "INPUT"
    OUTPUT = "OUTPUT"
    MODEL = "MODEL"
    DEVICE = "DEVICE"
    THREADS = "THREADS"
    BANDS = "BANDS"

    icon_name = "samgeo"

    def __init__(self) -> None:
        super().__init__()
        self._layer: Optional[QgsRasterLayer] = None
        self._folder: Optional[tempfile.TemporaryDirectory[str]] = None

    def createInstance(self) -> EngineAlgorithm:  # noqa: N802
        return type(self)()

    def icon(self) -> QIcon:
        return QIcon(str(ICONS / f"{self.icon_name}.svg"))

    def svgIconPath(self) -> str:  # noqa: N802
        return str(ICONS / f"{self.icon_name}.svg")

    def canExecute(self) -> tuple[bool, str]:  # noqa: N802
        try:
            environment.engine_command()
        except NoEngine as error:
            return False, str(error)
        return True, ""

    # --- parameters -----------------------------------------------------------------------------

    def add_raster(self) -> None:
        self.addParameter(QgsProcessingParameterRasterLayer(self.INPUT, tr("Raster")))

    def add_model(self) -> None:
        model = QgsProcessingParameterString(self.MODEL, tr("Model"), "embedded")
        model.setHelp(
            tr("“embedded”, a name from the list of models, or the path of a file of weights")
        )
        self.addParameter(model)

    def add_device(self) -> None:
        self.addParameter(
            self.advanced(
                QgsProcessingParameterEnum(
                    self.DEVICE, tr("Device"), DEVICES, False, "auto", False, True
                )
            )
        )
        self.addParameter(
            self.advanced(
                self.number(
                    self.THREADS,
                    tr("CPU threads"),
                    minimum=1,
                    whole=True,
                    help_text=tr("As many as there are cores where nothing is said"),
                )
            )
        )

    @staticmethod
    def advanced(parameter: QgsProcessingParameterDefinition) -> QgsProcessingParameterDefinition:
        parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
        return parameter

    @staticmethod
    def number(
        name: str,
        text: str,
        default: Optional[float] = None,
        minimum: float = 0.0,
        maximum: float = 1e9,
        whole: bool = False,
        help_text: str = "",
    ) -> QgsProcessingParameterNumber:
        """A number that may be left out where it has no default."""
        kinds = QgsProcessingParameterNumber.Type
        parameter = QgsProcessingParameterNumber(
            name,
            text,
            kinds.Integer if whole else kinds.Double,
            default,
            default is None,
            minimum,
            maximum,
        )
        if help_text:
            parameter.setHelp(help_text)
        return parameter

    def given_number(
        self, parameters: dict[str, Any], name: str, context: QgsProcessingContext
    ) -> Optional[float]:
        """None where the user left it out."""
        if parameters.get(name) in (None, ""):
            return None
        return float(self.parameterAsDouble(parameters, name, context))

    def engine_options(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        """Model, device and threads as the engine names them."""
        threads = self.given_number(parameters, self.THREADS, context)
        return {
            "model": self.parameterAsString(parameters, self.MODEL, context) or "embedded",
            "device": self.parameterAsEnumString(parameters, self.DEVICE, context) or "auto",
            "threads": int(threads) if threads else None,
        }

    # --- inputs ---------------------------------------------------------------------------------

    def prepareAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """On the main thread: layers may only be cloned here."""
        if self.parameterDefinition(self.INPUT) is None or not isinstance(
            self.parameterDefinition(self.INPUT), QgsProcessingParameterRasterLayer
        ):
            return True
        layer = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if layer is None:
            raise QgsProcessingException(
                self.invalidRasterError(parameters, self.INPUT)
                + " "
                + tr("Choose a raster that exists and can be read.")
            )
        self._layer = layer.clone()
        return True

    def processAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        try:
            return self.work(parameters, context, feedback)
        finally:
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def work(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """What the algorithm does, in its own thread."""
        raise NotImplementedError

    def work_folder(self) -> Path:
        """A temporary folder that goes with the algorithm."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="samgeo-")
        return Path(self._folder.name)

    def raster_path(
        self,
        feedback: QgsProcessingFeedback,
        extent: Optional[Any] = None,
        resolution: Optional[float] = None,
    ) -> tuple[str, bool]:
        """The input's file, and whether it was rendered for want of one.

        Args:
            feedback: For the rendering.
            extent: In the layer's CRS; needed where the layer is not a file.
            resolution: Likewise.
        """
        layer = self._layer
        if layer is None:
            raise QgsProcessingException(tr("Choose a raster layer first."))
        try:
            path = rasters.file_of(layer)
            if path is not None:
                return path, False
            if extent is None or extent.isEmpty() or not resolution:
                raise rasters.LayerError(
                    tr(
                        "{name} is not a file: name an extent and a resolution, with which it is "
                        "rendered."
                    ).format(name=layer.name())
                )
            plan = rasters.plan_rendering(extent, layer.crs(), resolution)
            feedback.pushInfo(
                tr("Rendering {width} × {height} pixels").format(
                    width=plan.width, height=plan.height
                )
            )

            def keep_going(done: int, total: int) -> bool:
                feedback.setProgress(3.0 * done / total)
                return not feedback.isCanceled()

            file = str(self.work_folder() / "rendered.tif")
            return rasters.render_now([layer], plan, keep_going, file), True
        except rasters.LayerError as error:
            raise QgsProcessingException(str(error)) from error

    def save_source(
        self,
        source: QgsFeatureSource,
        name: str,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> str:
        """A vector input as a GeoPackage with its features' ids; the engine reads only files."""
        path = str(self.work_folder() / f"{name}.gpkg")
        fields = QgsFields()
        fields.append(QgsField(SOURCE_FID, field_types.LONG))
        for field in source.fields():
            if field.name().lower() not in ("fid", SOURCE_FID):
                fields.append(field)
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.driverName = "GPKG"
        options.layerName = name
        writer = QgsVectorFileWriter.create(
            path,
            fields,
            source.wkbType(),
            source.sourceCrs(),
            context.transformContext(),
            options,
        )
        if writer.hasError() != QgsVectorFileWriter.WriterError.NoError:
            raise QgsProcessingException(
                tr("The layer {name} could not be handed to the engine: {why}").format(
                    name=source.sourceName(), why=writer.errorMessage()
                )
            )
        kept = [source.fields().lookupField(field.name()) for field in list(fields)[1:]]
        count = 0
        for feature in source.getFeatures():
            if feedback.isCanceled():
                break
            if not feature.hasGeometry():
                continue
            copy = QgsFeature(fields)
            copy.setGeometry(feature.geometry())
            values = feature.attributes()
            copy.setAttributes([feature.id(), *(values[index] for index in kept)])
            if not writer.addFeature(copy, QgsFeatureSink.Flag.FastInsert):
                raise QgsProcessingException(writer.errorMessage())
            count += 1
        del writer
        if not count and not feedback.isCanceled():
            raise QgsProcessingException(
                tr("The layer {name} has no features with a geometry; choose another one.").format(
                    name=source.sourceName()
                )
            )
        return path

    # --- the engine -----------------------------------------------------------------------------

    def run_engine(
        self, method: str, params: dict[str, Any], feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """One request, with its progress on the bar and its warnings in the log."""
        last = [""]

        def advance(progress: Progress) -> None:
            if progress.stage != last[0]:
                last[0] = progress.stage
                feedback.setProgressText(stage_text(progress.stage))
            if progress.message:
                feedback.pushWarning(progress.message)
            first, end = _STAGES.get(progress.stage, (0, 94))
            if progress.total > 0:
                done = min(progress.done / progress.total, 1.0)
                feedback.setProgress(first + (end - first) * done)

        try:
            command = environment.engine_command()
            with EngineRun(command, feedback, environment.qgis_prefix()) as engine:
                result = engine.call(method, params, advance)
        except NoEngine as error:
            raise QgsProcessingException(str(error)) from error
        except EngineRunError as error:
            if error.detail:
                feedback.pushDebugInfo(error.detail)
            raise QgsProcessingException(str(error)) from error
        for warning in result.get("warnings") or []:
            feedback.pushWarning(str(warning))
        failed = result.get("failed") or []
        if failed:
            feedback.pushWarning(
                tr("{count} tiles failed and are missing: {names}").format(
                    count=len(failed), names=", ".join(map(str, failed[:10]))
                )
            )
        return result

    # --- results --------------------------------------------------------------------------------

    @staticmethod
    def open_result(path: str, layer: str = "") -> QgsVectorLayer:
        """What the engine has written."""
        uri = f"{path}|layername={layer}" if layer else path
        result = QgsVectorLayer(uri, "result", "ogr")
        if not result.isValid():
            raise QgsProcessingException(
                tr("The engine's result {file} cannot be read; see the log.").format(file=path)
            )
        return result

    def write_sink(
        self,
        parameters: dict[str, Any],
        result: QgsVectorLayer,
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
        style: str,
        extra: Optional[tuple[QgsFields, dict[Any, list[Any]]]] = None,
    ) -> dict[str, Any]:
        """Copy a result into the sink that the user chose.

        Args:
            parameters: The algorithm's.
            result: The engine's layer.
            context: The algorithm's.
            feedback: The algorithm's.
            style: Of the layer, where it is put into the project.
            extra: Fields and their values by ``prompt_id``, carried over from the prompts.
        """
        kept = [
            index
            for index, field in enumerate(result.fields())
            if field.name().lower() not in ("fid", "ogc_fid", SOURCE_FID)
        ]
        fields = QgsFields()
        for index in kept:
            fields.append(result.fields().at(index))
        by_prompt: dict[Any, list[Any]] = {}
        empty: list[Any] = []
        if extra is not None:
            names = {field.name().lower() for field in fields}
            chosen = [
                index for index, field in enumerate(extra[0]) if field.name().lower() not in names
            ]
            for index in chosen:
                fields.append(extra[0].at(index))
            by_prompt = {key: [row[i] for i in chosen] for key, row in extra[1].items()}
            empty = [None] * len(chosen)
        prompt_index = result.fields().lookupField("prompt_id")
        kind = result.wkbType()
        if kind in (QgsWkbTypes.Type.Unknown, QgsWkbTypes.Type.NoGeometry):
            kind = QgsWkbTypes.Type.MultiPolygon
        crs: QgsCoordinateReferenceSystem = result.crs()
        sink, destination = self.parameterAsSink(
            parameters, self.OUTPUT, context, fields, QgsWkbTypes.multiType(kind), crs
        )
        if sink is None:
            raise QgsProcessingException(self.invalidSinkError(parameters, self.OUTPUT))
        count = max(result.featureCount(), 1)
        for number, feature in enumerate(result.getFeatures()):
            if feedback.isCanceled():
                break
            values = feature.attributes()
            row = [values[index] for index in kept]
            if extra is not None:
                key = str(values[prompt_index]) if prompt_index >= 0 else ""
                row += by_prompt.get(key, empty)
            made = QgsFeature(fields)
            geometry = feature.geometry()
            geometry.convertToMultiType()
            made.setGeometry(geometry)
            made.setAttributes(row)
            if not sink.addFeature(made, QgsFeatureSink.Flag.FastInsert):
                raise QgsProcessingException(self.writeFeatureError(sink, parameters, self.OUTPUT))
            feedback.setProgress(94 + 6 * number / count)
        if context.willLoadLayerOnCompletion(destination):
            styler = _Styler(style)
            _STYLERS.append(styler)
            del _STYLERS[:-20]
            context.layerToLoadOnCompletionDetails(destination).setPostProcessor(styler)
        return {self.OUTPUT: destination}


def stage_text(name: str) -> str:
    """The engine's stages in the user's language."""
    return {
        "stretch": tr("Reading the raster's values"),
        "tiles": tr("Segmenting tiles"),
        "merge": tr("Joining tiles"),
        "vectors": tr("Drawing polygons"),
        "encode": tr("Looking at the image"),
    }.get(name, name)
