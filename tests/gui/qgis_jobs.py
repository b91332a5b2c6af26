# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): jobs finished, killed, cancelled, and left running.

    python3 tests/gui/screenshots.py --script tests/gui/qgis_jobs.py --out FOLDER

An algorithm runs as Processing's dialog runs it, off the main thread. One comes to its end; the
engine of another is killed in the middle of a tile; a third is cancelled; and QGIS is closed during
the last one.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from processes import below, left_of
from qgis.core import (
    QgsApplication,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QApplication, QMessageBox
from qgis.utils import iface
from qgis_window import OUT, Failed, Window

RASTER = os.environ["SAMGEO_SESSION_RASTER"]
TRUTH = os.environ["SAMGEO_SESSION_TRUTH"]


class Feedback(QgsProcessingFeedback):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: list[str] = []
        self.errors: list[str] = []

    def setProgressText(self, text: str) -> None:  # noqa: N802
        self.stages.append(text)

    def reportError(self, error: str, fatalError: bool = False) -> None:  # noqa: N802, N803
        self.errors.append(error)


class Job:
    """One run of an algorithm in the background.

    Args:
        algorithm: Its name without the provider.
        name: Of the output.
        parameters: All others.
    """

    def __init__(self, algorithm: str, name: str, **parameters: object) -> None:
        self.output = OUT / f"{name}.gpkg"
        self.feedback = Feedback()
        self.context = QgsProcessingContext()
        self.context.setProject(QgsProject.instance())
        self.outcome: list[bool] = []
        registry = QgsApplication.processingRegistry()
        self.algorithm = registry.createAlgorithmById(f"samgeo:{algorithm}")
        given = {"OUTPUT": str(self.output), **parameters}
        task = QgsProcessingAlgRunnerTask(self.algorithm, given, self.context, self.feedback)
        task.executed.connect(lambda well, _: self.outcome.append(well))
        self.task = task
        QgsApplication.taskManager().addTask(task)

    @property
    def in_a_tile(self) -> bool:
        return any("tiles" in stage for stage in self.feedback.stages)


def long_job(name: str) -> Job:
    """A segmentation whose tiles take half a minute and more."""
    return Job("segmentraster", name, INPUT=RASTER, POINTS_PER_SIDE=64, FRESH=True)


class Jobs(Window):
    """Finish, kill, cancel, close."""

    def run(self) -> None:
        layer = QgsRasterLayer(RASTER, "raster")
        self.stalls.part("load")
        QgsProject.instance().addMapLayer(layer)
        iface.mainWindow().showMaximized()
        self.wait(2)
        self.finish()
        self.kill()
        self.cancel()
        job = self.asked("close", lambda: long_job("closed"))
        self.until(lambda: job.in_a_tile, "the third job is in a tile")
        self.wait(1)
        self.step("QGIS is closed during a job", engines=len(below(os.getpid())))
        self.job = job  # lives as long as QGIS
        self.answering = QTimer()
        self.answering.timeout.connect(self.answer)
        self.answering.start(200)

    def answer(self) -> None:
        """QGIS asks whether the job may be cancelled, and then wants to be closed again."""
        asked = QApplication.activeModalWidget()
        if isinstance(asked, QMessageBox):
            print(f"[session] QGIS asks: {asked.text()}", flush=True)
            asked.button(QMessageBox.StandardButton.Yes).click()
        elif self.job.outcome:
            self.answering.stop()
            iface.actionExit().trigger()

    def asked(self, name: str, make: Callable[[], Job]) -> Job:
        """A new job. Until it is handed to QGIS's tasks no engine runs: a part of its own."""
        self.stalls.part(f"asking: {name}")
        job = make()
        self.wait(0)
        self.stalls.part(name)
        return job

    def started(self, name: str) -> tuple[Job, set[int]]:
        job = self.asked(name, lambda: long_job(name))
        self.until(lambda: job.in_a_tile, f"the job to be {name} is in a tile")
        self.wait(2)
        engine = below(os.getpid())
        if not engine:
            raise Failed("no engine runs")
        own = os.getpriority(os.PRIO_PROCESS, 0)
        if own < 19 and any(os.getpriority(os.PRIO_PROCESS, pid) <= own for pid in engine):
            raise Failed("the engine's priority is not below that of QGIS")
        return job, engine

    def finish(self) -> None:
        job = self.asked(
            "finish", lambda: Job("regularizeoutlines", "regular", INPUT=TRUTH, SIMPLIFY=1.0)
        )
        self.until(lambda: job.outcome, "the outlines are drawn")
        if job.outcome != [True]:
            raise Failed(f"the job failed: {job.feedback.errors}")
        count = QgsVectorLayer(str(job.output), "regular", "ogr").featureCount()
        self.step("job finished", features=count)

    def kill(self) -> None:
        job, engine = self.started("killed")
        for pid in engine:
            os.kill(pid, signal.SIGKILL)
        self.until(lambda: job.outcome, "the job ends", 20)
        said = " ".join(job.feedback.errors)
        if job.outcome != [False] or "stopped by the system" not in said:
            raise Failed(f"outcome {job.outcome}, said: {said}")
        self.nothing_left(job, engine)
        self.step("engine killed in a job", said=said)

    def cancel(self) -> None:
        job, engine = self.started("cancelled")
        started = time.monotonic()
        job.task.cancel()
        self.until(lambda: job.outcome, "the job ends", 20)
        seconds = time.monotonic() - started
        self.nothing_left(job, engine)
        self.step("job cancelled in a tile", seconds=round(seconds, 1))

    def nothing_left(self, job: Job, engine: set[int]) -> None:
        if left_of(engine, 5):
            raise Failed("an engine is left")
        if job.output.exists():
            raise Failed("an output is there that is not whole")


QTimer.singleShot(1500, lambda: Jobs().tell())
