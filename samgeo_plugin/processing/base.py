# SPDX-License-Identifier: GPL-2.0-or-later
"""``EngineAlgorithm``: what all algorithms share, and one request to the engine."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterRasterLayer,
    QgsRasterLayer,
)
from qgis.PyQt.QtCore import QUrl
from qgis.PyQt.QtGui import QIcon

from ..engine.client import NoEngine
from ..engine.stages import ProgressBar, stage_text
from ..gui.icons import FOLDER as ICONS
from ..i18n import tr
from ..job import Progress
from ..setup import environment
from . import jobs
from .engine_run import EngineRun, EngineRunError
from .given import RENDERED, Given
from .parameters import ParameterAlgorithm
from .results import ResultLayer, write
from .sinks import check_sink

HELP = ICONS.parent / "help.html"


class EngineAlgorithm(ParameterAlgorithm):
    """Runs off the main thread; the engine is a process of its own, ended with the algorithm.

    A subclass fills in the five class attributes, ``title`` and ``about``, its parameters, and
    ``work``.
    """

    key = ""
    group_key = ""
    icon_name = "samgeo"
    keywords: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._layer: Optional[QgsRasterLayer] = None
        self._others: list[QgsRasterLayer] = []

    # --- names ----------------------------------------------------------------------------------

    def title(self) -> str:
        """The algorithm's name in the toolbox."""
        raise NotImplementedError

    def about(self) -> str:
        """What it does, beside its parameters."""
        raise NotImplementedError

    def createInstance(self) -> EngineAlgorithm:  # noqa: N802
        return type(self)()

    def name(self) -> str:
        return self.key

    def displayName(self) -> str:  # noqa: N802
        return self.title()

    def shortHelpString(self) -> str:  # noqa: N802
        return self.about()

    def helpUrl(self) -> str:  # noqa: N802
        page = QUrl.fromLocalFile(str(HELP))
        page.setFragment(self.key)
        return page.toString()

    def tags(self) -> list[str]:
        return list(self.keywords)

    def groupId(self) -> str:  # noqa: N802
        return self.group_key

    def group(self) -> str:
        return {
            "segmentation": tr("Segmentation"),
            "classes": tr("Classes"),
            "outlines": tr("Outlines"),
            "quality": tr("Quality"),
            "rastertools": tr("Raster tools"),
        }[self.group_key]

    def icon(self) -> QIcon:
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:  # noqa: N802
        return str(ICONS / f"{self.icon_name}.svg")

    # --- life -----------------------------------------------------------------------------------

    def canExecute(self) -> tuple[bool, str]:  # noqa: N802
        try:
            environment.engine_command()
        except NoEngine as error:
            return False, str(error)
        return True, ""

    def prepareAlgorithm(  # noqa: N802
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """On the main thread: layers may only be cloned here."""
        definition = self.parameterDefinition(self.INPUT)
        if not isinstance(definition, QgsProcessingParameterRasterLayer):
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
        why, cancelled = "", False
        try:
            with jobs.temporary_folder() as folder:
                return self._checked_work(
                    Given(
                        self,
                        parameters,
                        context,
                        feedback,
                        folder,
                        self._layer,
                        tuple(self._others),
                    )
                )
        except QgsProcessingException as error:
            why, cancelled = str(error), feedback.isCanceled()
        except OSError as error:
            why = _not_written(error)
        finally:
            self._layer = None
            self._others = []
        if cancelled:
            # An exception would be shown with its traceback; QGIS knows that the user stopped it.
            feedback.pushInfo(why)
            return {}
        # Raised anew: QGIS never lets go of an exception's frames, nor of the layers within them;
        # for the same reason no variable here holds the Given.
        raise QgsProcessingException(why)

    def _checked_work(self, given: Given) -> dict[str, Any]:
        """The work, which may take hours, once its result can be written."""
        check_sink(given)
        return self.work(given)

    def work(self, given: Given) -> dict[str, Any]:
        """What the algorithm does, in its own thread: its outputs."""
        raise NotImplementedError

    # --- the engine -----------------------------------------------------------------------------

    def run_engine(self, given: Given, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One request, with its progress on the bar and its warnings in the log, each once.

        The engine says its warnings before it answers; those of the answer are the same again, in
        the words of Python.

        Raises:
            QgsProcessingException: With the engine's own sentence, or with what became of it.
        """
        feedback = given.feedback
        bar = ProgressBar()
        last = ["", ""]  # a stage and a message
        warned: set[str] = set()
        in_use = jobs.folders_in(params)

        def warn(text: str) -> None:
            text = self._in_qgis(text, given.folder, in_use)
            if text not in warned:
                warned.add(text)
                feedback.pushWarning(text)

        def advance(progress: Progress) -> None:
            jobs.touch(in_use)
            begins = progress.stage != last[0]
            if begins:
                feedback.setProgressText(stage_text(progress.stage))
            if progress.message and progress.message != last[1]:
                # No warning: what has failed is named at the end.
                push = feedback.pushDebugInfo if begins else feedback.pushInfo
                push(self._in_qgis(progress.message, given.folder, in_use))
            last[:] = progress.stage, progress.message
            feedback.setProgress(bar.advance(progress))

        try:
            command = environment.engine_command()
            prefix = environment.qgis_prefix()
            with EngineRun(command, feedback, prefix, warn=warn) as engine:
                result = engine.call(method, params, advance)
        except NoEngine as error:
            raise QgsProcessingException(str(error)) from error
        except EngineRunError as error:
            if error.detail:
                feedback.pushDebugInfo(error.detail)
            raise QgsProcessingException(self._in_qgis(str(error), given.folder, in_use)) from error
        failed = [str(name) for name in result.get("failed") or []]
        if failed and result.get("scenes"):
            feedback.pushWarning(
                tr("{count} of {total} rasters failed, wholly or in part: {names}").format(
                    count=len(failed), total=result["scenes"], names="; ".join(failed[:10])
                )
            )
            for name in failed[10:]:
                feedback.pushInfo(name)
        elif failed:
            feedback.pushWarning(
                tr("{count} parts of the job failed and are missing: {names}").format(
                    count=len(failed), names=", ".join(failed[:10])
                )
            )
        return result

    def _in_qgis(self, sentence: str, folder: Path, others: Sequence[Path] = ()) -> str:
        """The engine's sentence without the names of temporary files.

        Args:
            sentence: The engine's.
            folder: Of the run.
            others: Folders of inputs that outlast the run.
        """
        titles = {
            "prompts": tr("the layer of prompts"),
            "polygons": tr("the input layer"),
            "truth": tr("the truth"),
            "complete": tr("the area in which every object is drawn"),
            "area": tr("the area of interest"),
            "examples": tr("the examples"),
            "unlike": tr("the examples of none of the classes"),
            "exemplars": tr("the exemplar boxes"),
            "rendered": tr("the rendered raster"),
        }

        def title(path: Path) -> str:
            what = tr("the temporary folder") if path == folder else tr("the result")
            return tr("“{what}”").format(what=titles.get(path.stem, what))

        inputs = [
            path
            for other in others
            for pattern in ("*.gpkg", RENDERED)
            for path in other.glob(pattern)
        ]
        for path in inputs:
            sentence = sentence.replace(str(path), title(path))
        whole = re.escape(str(folder)) + r"(?:[/\\][\w.-]*\w)*"
        sentence = re.sub(whole, lambda found: title(Path(found[0])), sentence)
        for path in [*inputs, *folder.glob("*.*")]:
            name = rf"(?<![\w.-]){re.escape(path.name)}(?![\w-])"
            sentence = re.sub(name, lambda found: title(Path(found[0])), sentence)
        return sentence

    def write_result(self, given: Given, result: ResultLayer) -> dict[str, Any]:
        """The engine's layer into the user's sink, with its style."""
        return {self.OUTPUT: write(given, result)}


def _not_written(error: OSError) -> str:
    """What a person can do about a file that could not be written."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        why = tr("A file could not be written ({why}); make room and run it again.")
    else:
        why = tr("A file could not be written ({why}); choose another folder and run it again.")
    return why.format(why=error)
