# SPDX-License-Identifier: GPL-2.0-or-later
"""Creating the engine's environment, command by command, without blocking QGIS.

An interrupted setup goes on at the step that was not finished; pip keeps what it has downloaded.
"""

from __future__ import annotations

import math
import re
import shutil
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Optional

from qgis.core import QgsApplication, QgsTask
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QProcess, QTimer, pyqtSignal

from .. import log, settings
from ..engine.process import EngineCommand, LineBuffer, configure
from ..i18n import tr
from ..job import MessageError
from . import environment, network, setup_plan
from .setup_plan import Plan, PythonFacts, Step

_PROGRESS = re.compile(r"^Progress (\d+) of (\d+)$")
"""What pip says with --progress-bar raw."""

_TASKS: list[QgsTask] = []
"""A task that only the task manager knows is forgotten by Python before it has run."""

_HINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        # OSGeo4W's Python and QGIS's on macOS, where their libraries are not found.
        (
            "SSL module is not available",
            "ssl module in Python is not available",
            "lacks SSL or SQLite",
            "No module named 'encodings'",
            "Fatal Python error",
            "Library not loaded",
        ),
        "This Python cannot run the engine; install Python 3.12 from python.org, restart QGIS, "
        "then retry.",
    ),
    (
        ("Long Path support", "WinError 206", "filename or extension is too long"),
        "A path in the folder is too long for Windows; choose a folder with a shorter path, such "
        "as C:\\samgeo.",
    ),
    (
        ("Visual C++ Redistributable", "WinError 126", "WinError 1114", "DLL load failed"),
        "Libraries of Microsoft Visual C++ are missing or too old; install them from "
        "https://aka.ms/vs/17/release/vc_redist.x64.exe, then retry.",
    ),
    (
        ("WinError 32", "used by another process", "WinError 5]"),
        "A file of the environment is in use or protected; close other windows of QGIS and "
        "programs that use the engine, then retry, or choose another folder.",
    ),
    (
        ("No space left", "not enough space", "Errno 28", "ENOSPC"),
        "The disk is full; free some space or choose another folder, then retry.",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED", "SSLError", "certificate verify failed"),
        "The server's certificate is not trusted; add your network's authority to QGIS's "
        "authentication settings, then retry.",
    ),
    (
        ("407 Proxy", "407 Client Error"),
        "The proxy asks for a user name and a password; enter them in QGIS's network settings "
        "(Settings > Options > Network), then retry.",
    ),
    (
        ("ProxyError", "Cannot connect to proxy"),
        "The proxy refuses the connection; check QGIS's network settings, then retry.",
    ),
    (
        (
            "IncompleteRead",
            "Connection broken",
            "ConnectionResetError",
            "incomplete-download",
            "is invalid.",  # a wheel without its end, to older pips
        ),
        "The connection was cut in the middle of a download; retry, and the setup goes on at this "
        "step.",
    ),
    (
        ("Error: This bundle is for",),
        "The bundle is for another Python; see the log for which one.",
    ),
    (
        ("is damaged: copy it again", "is missing: copy the whole folder"),
        "A file of the bundle is damaged or missing; copy the bundle again, then retry.",
    ),
    (
        (
            "NewConnectionError",
            "Temporary failure in name resolution",
            "getaddrinfo failed",
            "Network is unreachable",
            "ConnectTimeout",
            "Read timed out",
            "Max retries exceeded",
            "Connection refused",
            "nodename nor servname",
        ),
        "The package servers cannot be reached; check the network or QGIS's proxy, then retry.",
    ),
    (
        (
            "ensurepip is not available",
            "No module named ensurepip",
            "No module named venv",
            "install the python3-venv",
        ),
        "This Python cannot make environments; install python3-venv (on Debian and Ubuntu: sudo "
        "apt install python3-venv) or choose another Python, then retry.",
    ),
    (
        ("from versions: none",),  # an older pip says no more of an answer like 407
        "The package server shows no such package; check the proxy and the mirror, or choose "
        "another Python, then retry.",
    ),
    (
        ("No matching distribution", "Could not find a version"),
        "A package does not exist for this Python and system; choose another Python.",
    ),
    (
        ("PermissionError", "Permission denied", "Access is denied"),
        "The folder cannot be written to; choose another folder.",
    ),
)


_NO_ROOM = 100e6
"""Bytes: with less free, a command has failed for want of room, whatever it says (ensurepip says
nothing)."""


def explain(step: Step, output: str, folder: Path) -> str:
    """One sentence with a way out from a failed command's output."""
    output = " ".join(output.split())  # Debian's ensurepip breaks its sentence over two lines
    if _free(folder) < _NO_ROOM:
        output = "No space left"
    for marks, sentence in _HINTS:
        if any(mark in output for mark in marks):
            return tr(sentence)
    return tr("{step} failed; see the log, then retry.").format(step=step.title)


def _free(folder: Path) -> float:
    """Bytes on the disk of a folder that may not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return math.inf


def _translated() -> list[str]:
    """Never called: names the sentences above for the translations."""
    return [
        tr(
            "This Python cannot run the engine; install Python 3.12 from python.org, restart QGIS, "
            "then retry."
        ),
        tr(
            "A path in the folder is too long for Windows; choose a folder with a shorter path, "
            "such as C:\\samgeo."
        ),
        tr(
            "Libraries of Microsoft Visual C++ are missing or too old; install them from "
            "https://aka.ms/vs/17/release/vc_redist.x64.exe, then retry."
        ),
        tr(
            "A file of the environment is in use or protected; close other windows of QGIS and "
            "programs that use the engine, then retry, or choose another folder."
        ),
        tr("The disk is full; free some space or choose another folder, then retry."),
        tr(
            "The server's certificate is not trusted; add your network's authority to QGIS's "
            "authentication settings, then retry."
        ),
        tr(
            "The proxy asks for a user name and a password; enter them in QGIS's network settings "
            "(Settings > Options > Network), then retry."
        ),
        tr("The proxy refuses the connection; check QGIS's network settings, then retry."),
        tr(
            "The connection was cut in the middle of a download; retry, and the setup goes on at "
            "this step."
        ),
        tr("The bundle is for another Python; see the log for which one."),
        tr("A file of the bundle is damaged or missing; copy the bundle again, then retry."),
        tr("The package servers cannot be reached; check the network or QGIS's proxy, then retry."),
        tr(
            "This Python cannot make environments; install python3-venv (on Debian and Ubuntu: "
            "sudo apt install python3-venv) or choose another Python, then retry."
        ),
        tr(
            "The package server shows no such package; check the proxy and the mirror, or choose "
            "another Python, then retry."
        ),
        tr("A package does not exist for this Python and system; choose another Python."),
        tr("The folder cannot be written to; choose another folder."),
    ]


class PythonSearch(QObject):
    """Asks candidates for their version until one suits; never blocks."""

    found = pyqtSignal(object)

    def __init__(
        self,
        candidates: Optional[list[str]] = None,
        parent: Optional[QObject] = None,
        version: Optional[tuple[int, ...]] = None,
    ) -> None:
        super().__init__(parent)
        self._version = version
        self._left = list(setup_plan.python_candidates() if candidates is None else candidates)
        self._second_best: Optional[PythonFacts] = None
        self._process: Optional[QProcess] = None
        self.searching = True

    def start(self) -> None:
        if not self._left:
            # One that cannot make environments by itself is still better than none: uv may help.
            QTimer.singleShot(0, lambda: self._tell(self._second_best))
            return
        path = self._left.pop(0)
        process = QProcess(self)
        configure(process, EngineCommand(path, ("-I", "-c", setup_plan.PROBE)))
        process.finished.connect(lambda *_: self._answered(path, process))
        process.errorOccurred.connect(lambda error: self._failed(process, error))
        self._process = process
        process.start()
        QTimer.singleShot(10_000, process.kill)

    def _tell(self, facts: Optional[PythonFacts]) -> None:
        self.searching = False
        self.found.emit(facts)

    def _failed(self, process: QProcess, error: object) -> None:
        if sip.isdeleted(process):  # its window is being deleted, which ends it
            return
        if error == QProcess.ProcessError.FailedToStart:
            process.deleteLater()
            self.start()

    def _answered(self, path: str, process: QProcess) -> None:
        if sip.isdeleted(process):
            return
        text = bytes(process.readAllStandardOutput()).decode("utf-8", "replace")
        process.deleteLater()
        facts = PythonFacts.from_answer(path, text)
        if facts is not None and facts.suits and self._version in (None, facts.version[:2]):
            if facts.can_make:
                self._tell(facts)
                return
            self._second_best = self._second_best or facts
        self.start()


class EnvironmentJob(QObject):
    """One setup: start, progress, output, cancel; start it again to resume or retry."""

    step_started = pyqtSignal(str, int, int)
    downloaded = pyqtSignal(float, float)
    """Megabytes of the file that is being downloaded, so far and in all."""
    output = pyqtSignal(str)
    finished = pyqtSignal(bool, str)

    def __init__(self, plan: Plan, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._plan = plan
        self._marker = plan.marker
        self._at = 0
        self._process: Optional[QProcess] = None
        self._lines = LineBuffer(limit=1 << 20)
        self._tail: list[str] = []
        self._variables: dict[str, str] = {}
        self._cancelled = False

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        why = setup_plan.refuse_folder(self._plan.folder, self._plan.size)
        if why is not None:
            QTimer.singleShot(0, lambda: self.finished.emit(False, why))
            return
        try:
            self._variables = {
                **network.proxy_variables(),
                **network.certificate_variables(self._plan.folder.parent),
            }
            # From the first step on the folder is ours: a setup that is cancelled there can go on.
            environment.write_marker(self._plan.folder, self._marker)
        except OSError as error:
            reason = tr("The folder cannot be written to; choose another folder.")
            self.output.emit(str(error))
            QTimer.singleShot(0, lambda: self.finished.emit(False, reason))
            return
        self._next()

    def cancel(self) -> None:
        """Stop the command that runs; what is finished stays."""
        self._cancelled = True
        if self._process is not None:
            self._process.terminate()
            QTimer.singleShot(3000, self._process.kill)

    def cancel_and_wait(self) -> None:
        """For QGIS's end."""
        process, self._process = self._process, None
        if process is not None:
            process.blockSignals(True)
            process.kill()
            process.waitForFinished(2000)

    def _next(self) -> None:
        if self._at == len(self._plan.steps):
            self.finished.emit(True, tr("The engine is ready."))
            return
        step = self._plan.steps[self._at]
        title = step.title
        if step.megabytes:
            title = tr("{step}, about {size} MB").format(step=title, size=step.megabytes)
        self.step_started.emit(title, self._at, len(self._plan.steps))
        process = QProcess(self)
        variables = dict(self._variables) if step.network else {}
        variables["PIP_REQUIRE_VIRTUALENV"] = "false"
        configure(process, EngineCommand(step.program, step.arguments, variables))
        process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        process.readyRead.connect(lambda: self._read(process))
        process.finished.connect(lambda code, status: self._done(process, step, code, status))
        process.errorOccurred.connect(lambda error: self._not_started(process, step, error))
        self._process = process
        self._lines.clear()
        self._tail = []
        self.output.emit("$ " + " ".join((step.program, *step.arguments)))
        process.start()

    def _read(self, process: QProcess) -> None:
        try:
            lines = self._lines.feed(bytes(process.readAll()))
        except MessageError:
            self._lines.clear()
            return
        for line in lines:
            text = network.without_secrets(line.decode("utf-8", "replace").rstrip())
            count = _PROGRESS.match(text)
            if count is not None:
                self.downloaded.emit(int(count[1]) / 1e6, int(count[2]) / 1e6)
                continue
            self._tail = [*self._tail[-200:], text]
            self.output.emit(text)

    def _not_started(self, process: QProcess, step: Step, error: object) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._end(process)
            self.output.emit(process.errorString())
            self.finished.emit(False, explain(step, process.errorString(), self._plan.folder))

    def _done(self, process: QProcess, step: Step, code: int, status: object) -> None:
        self._read(process)
        self._end(process)
        if self._cancelled:
            self.finished.emit(False, tr("The setup was cancelled; it can go on from here."))
            return
        if code != 0 or status != QProcess.ExitStatus.NormalExit:
            self.finished.emit(False, explain(step, "\n".join(self._tail), self._plan.folder))
            return
        done = () if step.name == setup_plan.CLEAR else (step.name,)
        self._marker = replace(
            self._marker,
            done=(*self._marker.done, *done),
            engine=self._plan.engine if step.name == "engine" else self._marker.engine,
        )
        try:
            environment.write_marker(self._plan.folder, self._marker)
        except OSError as error:
            self.output.emit(str(error))
            self.finished.emit(False, explain(step, str(error), self._plan.folder))
            return
        self._at += 1
        self._next()

    def _end(self, process: QProcess) -> None:
        self._process = None
        process.deleteLater()


class Setup(QObject):
    """The plugin's one setup at a time; windows come and go while it runs."""

    changed = pyqtSignal()
    output = pyqtSignal(str)
    finished = pyqtSignal(bool, str)

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self._job: Optional[EnvironmentJob] = None
        self.text = ""
        self._step = ""
        self._begun: Optional[tuple[float, float, float]] = None
        self.at = 0
        self.total = 0
        self.lines: deque[str] = deque(maxlen=5000)

    @property
    def running(self) -> bool:
        return self._job is not None

    def start(self, plan: Plan) -> None:
        """Run a plan, unless one is running."""
        if self._job is not None:
            return
        self._job = EnvironmentJob(plan, self)
        self._job.step_started.connect(self._step_started)
        self._job.downloaded.connect(self._downloaded)
        self._job.output.connect(self._take_output)
        self._job.finished.connect(self._finished)
        self.at = self.total = 0
        self.text = ""
        self._job.start()
        self.changed.emit()

    def cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def shut_down(self) -> None:
        """QGIS is closing: leave no process behind."""
        if self._job is not None:
            self._job.cancel_and_wait()
            self._job = None

    def tell(self, text: str) -> None:
        """Show a sentence where the step stands."""
        self.text = text
        self.changed.emit()

    def _step_started(self, title: str, at: int, total: int) -> None:
        self.at, self.total = at, total
        self._step = tr("Step {at} of {total}: {title}").format(at=at + 1, total=total, title=title)
        self._begun = None
        self.tell(self._step)

    def _downloaded(self, done: float, total: float) -> None:
        """The step's sentence with how far its present file is, once per second."""
        now = time.monotonic()
        if self._begun is None or done < self._begun[1]:  # another file
            self._begun = (now, done, now)
        start, first, told = self._begun
        if total < 1 or (now - told < 1 and told != start):
            return
        self._begun = (start, first, now)
        text = tr("{step}; {done} of {total} MB").format(
            step=self._step, done=int(done), total=int(total)
        )
        if now - start > 2 and done > first:
            left = (total - done) * (now - start) / (done - first)
            text += tr(", {seconds} s left").format(seconds=int(left) + 1)
        self.tell(text)

    def _take_output(self, line: str) -> None:
        self.lines.append(line)
        self.output.emit(line)

    def _finished(self, well: bool, sentence: str) -> None:
        if self._job is not None:
            self._job.deleteLater()
        self._job = None
        log.write(sentence, "info" if well else "error")
        if not well:
            settings.LAST_ERROR.set(sentence)
        self.tell(sentence)
        self.finished.emit(well, sentence)


def remove(done: Callable[[str], None]) -> None:
    """Delete the managed environment in the background; ``done`` gets an error or nothing.

    A folder without our marker is left alone.
    """
    target = environment.folder()
    if environment.read_marker(target) is None:
        done(tr("{folder} was not made by this plugin and is left alone.").format(folder=target))
        return

    def delete(task: QgsTask) -> None:
        # The marker goes last, so that an interrupted removal can be repeated.
        for child in list(target.iterdir()):
            if child.name == environment.MARKER:
                continue
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
        (target / environment.MARKER).unlink()
        target.rmdir()

    def finished(error: Optional[Exception], result: object = None) -> None:
        _TASKS.clear()
        done(str(error) if error else "")

    task = QgsTask.fromFunction(tr("Remove the engine's environment"), delete, on_finished=finished)
    _TASKS.append(task)
    QgsApplication.taskManager().addTask(task)
