# SPDX-License-Identifier: GPL-2.0-or-later
"""Which NVIDIA GPU there is, which build of PyTorch its driver can run, and why none is used."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from typing import Optional

from qgis.PyQt.QtCore import QObject, QProcess, QTimer, pyqtSignal

from .. import settings
from ..engine.process import EngineCommand, configure
from ..i18n import tr

QUERY = ("--query-gpu=name,driver_version", "--format=csv,noheader")

LEAST_DRIVER = 525
"""Of CUDA 12 on Linux and Windows (NVIDIA's table of minor version compatibility)."""

NEWEST_DRIVER = 580
"""From which on CUDA 13 runs: what PyPI has for Linux."""

CUDA_12 = "https://download.pytorch.org/whl/cu126"
"""Index of PyTorch's builds for CUDA 12."""


@dataclass(frozen=True)
class Gpu:
    """What ``nvidia-smi`` says of the first card."""

    name: str
    driver: str

    @property
    def major(self) -> int:
        first = self.driver.split(".")[0]
        return int(first) if first.isdigit() else 0


def parsed(text: str) -> Optional[Gpu]:
    """The first line of :data:`QUERY`'s answer; None where it names no card."""
    for line in text.splitlines():
        name, comma, driver = line.rpartition(",")
        if comma and driver.strip()[:1].isdigit():
            return Gpu(name.strip(), driver.strip())
    return None


def needs_cuda_12(gpu: Optional[Gpu]) -> bool:
    """Whether the driver is too old for what PyPI has, and new enough for CUDA 12."""
    return gpu is not None and LEAST_DRIVER <= gpu.major < NEWEST_DRIVER


def advice(gpu: Optional[Gpu], build: str) -> str:
    """One sentence about the GPU and the build that is chosen, before anything is downloaded."""
    cuda = build == "cuda"
    if platform.system() == "Darwin":
        return tr("On Apple's chips the GPU is used with either build.")
    if gpu is None:
        if cuda:
            return tr(
                "No NVIDIA GPU was found (nvidia-smi is missing or names none): the CUDA build "
                "would run on the CPU, too; choose CPU."
            )
        return tr("No NVIDIA GPU was found: the CPU build is right.")
    if gpu.major < LEAST_DRIVER:
        return tr(
            "{name}: its driver {driver} is too old for PyTorch; update it to {least} or newer, "
            "or choose CPU."
        ).format(name=gpu.name, driver=gpu.driver, least=LEAST_DRIVER)
    version = "13" if gpu.major >= NEWEST_DRIVER else "12"
    if cuda:
        return tr("{name}, driver {driver}: PyTorch for CUDA {version} fits.").format(
            name=gpu.name, driver=gpu.driver, version=version
        )
    return tr("{name} is here: it is used if you choose CUDA instead of CPU.").format(name=gpu.name)


def why_not(gpu: Optional[Gpu], build: str, device: str, chosen: str) -> str:
    """Why the engine does not run on a GPU; empty where it does.

    Args:
        gpu: What was found.
        build: Of the environment's torch; empty for an environment of one's own.
        device: On which the engine runs; empty where it does not run.
        chosen: What the user asked for: "auto", "cpu" ...
    """
    if device.startswith(("cuda", "mps")):
        return ""
    if chosen == "cpu":
        return tr("the device is set to CPU")
    if gpu is None:
        return tr("no NVIDIA GPU was found (nvidia-smi is missing or names none)")
    if gpu.major < LEAST_DRIVER:
        return tr("the driver {driver} is older than {least}").format(
            driver=gpu.driver, least=LEAST_DRIVER
        )
    if build == "cpu":
        return tr("the environment has the CPU build; choose CUDA and set up again")
    if not device:
        return tr("not known yet: the engine has not run")
    return tr("PyTorch cannot use it; the engine's log says why")


class GpuSearch(QObject):
    """Asks ``nvidia-smi``; never blocks. ``found`` gets a :class:`Gpu` or None."""

    found = pyqtSignal(object)
    latest: Optional[Gpu] = None

    def __init__(self, program: Optional[str] = None, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._program = shutil.which("nvidia-smi") if program is None else program
        self._process: Optional[QProcess] = None

    def start(self) -> None:
        if not self._program:
            QTimer.singleShot(0, lambda: self._tell(None))
            return
        process = self._process = QProcess(self)
        configure(process, EngineCommand(self._program, QUERY))
        process.finished.connect(lambda *_: self._answered(process))
        process.errorOccurred.connect(lambda error: self._failed(error))
        process.start()
        QTimer.singleShot(10_000, process.kill)

    def _failed(self, error: object) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._tell(None)

    def _answered(self, process: QProcess) -> None:
        text = bytes(process.readAllStandardOutput()).decode("utf-8", "replace")
        self._tell(parsed(text))

    def _tell(self, gpu: Optional[Gpu]) -> None:
        GpuSearch.latest = gpu
        settings.CUDA_12.set(needs_cuda_12(gpu))
        self.found.emit(gpu)
