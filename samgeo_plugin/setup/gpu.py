# SPDX-License-Identifier: GPL-2.0-or-later
"""Which NVIDIA GPU there is, which build of PyTorch its driver can run, and why none is used."""

from __future__ import annotations

import platform
import re
import shutil
from dataclasses import dataclass
from typing import Optional

from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QProcess, QTimer, pyqtSignal

from .. import settings
from ..engine.process import EngineCommand, configure
from ..i18n import tr

QUERIES = (
    ("--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"),
    ("--query-gpu=name,driver_version", "--format=csv,noheader"),
)
"""What ``nvidia-smi`` is asked: older ones do not know the compute capability."""

LEAST_DRIVER = 525
"""Of CUDA 12, on Linux and Windows. NVIDIA, CUDA Compatibility, table 1, read in November 2026:
https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html"""

NEWEST_DRIVER = 580
"""Of CUDA 13, which PyPI has for Linux; the same table."""

CUDA_12 = "https://download.pytorch.org/whl/cu126"
CUDA_13 = "https://download.pytorch.org/whl/cu130"
"""Indices of PyTorch's builds. torch 2.13 has 12.6 and 13.0 (and 13.2 on trial):
https://github.com/pytorch/pytorch/pull/187075. From 2.15 on there is none for CUDA 12:
https://github.com/pytorch/pytorch/issues/190385"""

OLDEST_CARD, TURING, BLACKWELL = 5.0, 7.5, 10.0
"""Compute capabilities: builds for CUDA 12.6 run on Maxwell (5.0) to Hopper (9.0), those for 13.0
on Turing (7.5) and all that came after. https://github.com/pytorch/pytorch/issues/190355"""


@dataclass(frozen=True)
class Gpu:
    """What ``nvidia-smi`` says of the first card.

    Args:
        name, driver: As they are written there.
        capability: Compute capability, e.g. 8.6; 0 where ``nvidia-smi`` does not know it.
    """

    name: str
    driver: str
    capability: float = 0.0

    @property
    def major(self) -> int:
        first = self.driver.split(".")[0]
        return int(first) if first.isdigit() else 0

    @property
    def too_old(self) -> bool:
        """Whether no build of PyTorch has code for the card."""
        return 0 < self.capability < OLDEST_CARD

    @property
    def cuda(self) -> int:
        """Major version of CUDA whose build of PyTorch runs on this card with this driver, or 0."""
        if self.major < LEAST_DRIVER or self.too_old:
            return 0
        if self.major >= NEWEST_DRIVER and not 0 < self.capability < TURING:
            return 13
        return 12 if self.capability < BLACKWELL else 0

    @property
    def driver_needed(self) -> int:
        """The oldest driver with which a build of PyTorch runs on this card."""
        return NEWEST_DRIVER if self.capability >= BLACKWELL else LEAST_DRIVER


def parsed(text: str) -> Optional[Gpu]:
    """The first line of an answer to one of :data:`QUERIES`; None where it names no card."""
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        capability = 0.0
        if len(parts) > 2 and re.fullmatch(r"\d{1,2}\.\d", parts[-1]):
            capability = float(parts.pop())
        if len(parts) > 1 and parts[-1][:1].isdigit():
            return Gpu(", ".join(parts[:-1]), parts[-1], capability)
    return None


def needs_cuda_12(gpu: Optional[Gpu]) -> bool:
    """Whether only the build for CUDA 12 runs: the driver or the card is too old for another."""
    return gpu is not None and gpu.cuda == 12


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
    if gpu.too_old:
        return tr("{name} is too old for PyTorch: choose CPU.").format(name=gpu.name)
    if gpu.cuda == 0:
        return tr(
            "{name}: its driver {driver} is too old for PyTorch; update it to {least} or newer, "
            "or choose CPU."
        ).format(name=gpu.name, driver=gpu.driver, least=gpu.driver_needed)
    if cuda:
        return tr("{name}, driver {driver}: PyTorch for CUDA {version} fits.").format(
            name=gpu.name, driver=gpu.driver, version=gpu.cuda
        )
    return tr("{name} is here: it is used if you choose CUDA instead of CPU.").format(name=gpu.name)


def why_not(gpu: Optional[Gpu], build: str, device: str, chosen: str) -> str:
    """Why the engine does not run on a GPU; empty where it does.

    Args:
        gpu: What was found.
        build: Of the environment's torch; empty for an environment of one's own.
        device: On which the engine runs; "auto" as long as it has loaded no model, empty where it
            does not run.
        chosen: What the user asked for: "auto", "cpu" ...
    """
    if device.startswith(("cuda", "mps")):
        return ""
    if chosen == "cpu":
        return tr("the device is set to CPU")
    if gpu is None:
        return tr("no NVIDIA GPU was found (nvidia-smi is missing or names none)")
    if gpu.too_old:
        return tr("PyTorch has no code for a card as old as {name}").format(name=gpu.name)
    if gpu.cuda == 0:
        return tr("the driver {driver} is older than {least}").format(
            driver=gpu.driver, least=gpu.driver_needed
        )
    if build == "cpu":
        return tr("the environment has the CPU build; choose CUDA and set up again")
    if device in ("", "auto"):
        return tr("not known yet: no model has run")
    return tr("PyTorch cannot use it; the engine's log says why")


class GpuSearch(QObject):
    """Asks ``nvidia-smi``; never blocks. ``found`` gets a :class:`Gpu` or None."""

    found = pyqtSignal(object)
    latest: Optional[Gpu] = None

    def __init__(self, program: Optional[str] = None, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._program = shutil.which("nvidia-smi") if program is None else program
        self._process: Optional[QProcess] = None
        self._queries = list(QUERIES)

    def start(self) -> None:
        if not self._program:
            QTimer.singleShot(0, lambda: self._tell(None))
            return
        process = self._process = QProcess(self)
        configure(process, EngineCommand(self._program, self._queries.pop(0)))
        process.finished.connect(lambda *_: self._answered(process))
        process.errorOccurred.connect(lambda error: self._failed(error))
        process.start()
        QTimer.singleShot(10_000, process.kill)

    def _failed(self, error: object) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._tell(None)

    def _answered(self, process: QProcess) -> None:
        if sip.isdeleted(process):  # its window is being deleted, which ends it
            return
        text = bytes(process.readAllStandardOutput()).decode("utf-8", "replace")
        gpu = parsed(text)
        if gpu is None and self._queries:
            self.start()
        else:
            self._tell(gpu)

    def _tell(self, gpu: Optional[Gpu]) -> None:
        GpuSearch.latest = gpu
        settings.CUDA_12.set(needs_cuda_12(gpu))
        self.found.emit(gpu)
