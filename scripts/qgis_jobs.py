# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside QGIS (``qgis --code``): jobs in the background, killed, cancelled, and left running.

    python3 scripts/screenshots.py --script scripts/qgis_jobs.py --out FOLDER

An algorithm runs as Processing's dialog runs it, off the main thread. Its engine is killed in the
middle of a tile; another run is cancelled; and QGIS is closed during a third one.
"""

from __future__ import annotations

import os
import signal
import time

from processes import below, left_of
from qgis.core import (
    QgsApplication,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
)
from qgis.PyQt.QtCore import QTimer
from qgis.utils import iface
from qgis_window import OUT, Failed, Window

RASTER = os.environ["SAMGEO_SESSION_RASTER"]


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
    """One run of *Segment raster* in the background.

    Args:
        name: Of the output.
        points: Points a side of a window; many of them make a tile last.
    """

    def __init__(self, name: str, points: int) -> None:
        self.output = OUT / f"{name}.gpkg"
        self.feedback = Feedback()
        self.context = QgsProcessingContext()
        self.context.setProject(QgsProject.instance())
        self.outcome: list[bool] = []
        parameters = {
            "INPUT": RASTER, "OUTPUT": str(self.output), "POINTS_PER_SIDE": points, "FRESH": True,
        }  # fmt: skip
        registry = QgsApplication.processingRegistry()
        self.algorithm = registry.createAlgorithmById("samgeo:segmentraster")
        task = QgsProcessingAlgRunnerTask(self.algorithm, parameters, self.context, self.feedback)
        task.executed.connect(lambda well, _: self.outcome.append(well))
        self.task = task
        QgsApplication.taskManager().addTask(task)

    @property
    def in_a_tile(self) -> bool:
        return any("tiles" in stage for stage in self.feedback.stages)


class Jobs(Window):
    """Kill, cancel, close."""

    def run(self) -> None:
        layer = QgsRasterLayer(RASTER, "raster")
        self.stalls.part("load")
        QgsProject.instance().addMapLayer(layer)
        iface.mainWindow().showMaximized()
        self.wait(2)
        self.kill()
        self.cancel()
        self.stalls.part("close")
        job = Job("closed", 64)
        self.until(lambda: job.in_a_tile, "the third job is in a tile")
        self.wait(1)
        self.closed = job  # lives as long as QGIS
        self.step("QGIS is closed during a job", engines=len(below(os.getpid())))

    def started(self, name: str) -> tuple[Job, set[int]]:
        self.stalls.part(name)
        job = Job(name, 64)
        self.until(lambda: job.in_a_tile, f"the job to be {name} is in a tile")
        self.wait(2)
        engine = below(os.getpid())
        if not engine:
            raise Failed("no engine runs")
        return job, engine

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
