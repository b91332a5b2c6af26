# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's client: requests are sent, answers come as signals, the main thread never waits.

Everything is driven by the event loop of the main thread. The engine is started by the first
request, watched by its heartbeats, and started anew by the next request after it died.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Optional

from qgis.PyQt.QtCore import QObject, QProcess, QTimer, pyqtSignal

from ..i18n import tr
from ..job import (
    PROTOCOL_VERSION,
    Failure,
    Heartbeat,
    Hello,
    Log,
    MessageError,
    Progress,
    Request,
    Result,
    decode,
    encode,
)
from .knobs import in_our_words
from .process import EngineCommand, LineBuffer, configure, describe_end, died_failure

STOPPED = "stopped"
STARTING = "starting"
READY = "ready"

_MAX_STRAY_LINES = 50
"""Lines on standard output that are not messages, from one engine, before it is given up."""


class NoEngine(Exception):
    """There is no environment to start an engine from; the text says what to do."""


@dataclass(frozen=True)
class Patience:
    """Seconds after which the engine is taken for dead."""

    start: float = 180.0
    silence: float = 30.0
    stop: float = 5.0
    check: float = 2.0


@dataclass
class _Call:
    line: bytes
    on_result: Optional[Callable[[dict[str, Any]], None]]
    on_failure: Optional[Callable[[Failure], None]]
    on_progress: Optional[Callable[[Progress], None]]
    sent: bool = False


class EngineClient(QObject):
    """One engine, started on demand.

    Args:
        command: Called at every start; raises :class:`NoEngine` where there is none.
        prefix: QGIS's own folder, whose libraries the engine must not see.
        patience: When to give up.
        parent: Qt's owner.
    """

    state_changed = pyqtSignal(str)
    greeted = pyqtSignal(object)
    died = pyqtSignal(str, str)
    logged = pyqtSignal(str, str)
    busy_changed = pyqtSignal(bool)

    def __init__(
        self,
        command: Callable[[], EngineCommand],
        prefix: str = "",
        patience: Optional[Patience] = None,
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self._command = command
        self._prefix = prefix
        self._patience = patience or Patience()
        self._process: Optional[QProcess] = None
        self._out = LineBuffer()
        self._err = LineBuffer(limit=1 << 20)
        self._last_words: deque[str] = deque(maxlen=40)
        self._leaving: list[QProcess] = []
        """Engines that were asked to end and still run."""
        self._afterwards: list[Callable[[], None]] = []
        self._calls: dict[int, _Call] = {}
        self._next_id = 1
        self._state = STOPPED
        self._hello: Optional[Hello] = None
        self._heard = 0.0
        self._checked = 0.0
        self._stray = 0
        self._verdict = ""
        self._busy = False
        self._watch = QTimer(self)
        self._watch.setInterval(int(self._patience.check * 1000))
        self._watch.timeout.connect(self._check_life)

    # --- what others use ------------------------------------------------------------------------

    @property
    def state(self) -> str:
        return self._state

    @property
    def hello(self) -> Optional[Hello]:
        """The running engine's greeting; its device is "auto" until a model is loaded."""
        return self._hello

    def note_device(self, device: str) -> None:
        """What the engine's model runs on, which the greeting leaves open."""
        if self._hello is not None and device:
            self._hello = replace(self._hello, device=device)

    @property
    def pid(self) -> int:
        """The engine's process, 0 where none runs."""
        return int(self._process.processId()) if self._process is not None else 0

    def request(
        self,
        method: str,
        params: Optional[dict[str, Any]] = None,
        on_result: Optional[Callable[[dict[str, Any]], None]] = None,
        on_failure: Optional[Callable[[Failure], None]] = None,
        on_progress: Optional[Callable[[Progress], None]] = None,
    ) -> int:
        """Ask the engine; start it first where needed. Answers come through the event loop.

        Returns:
            The request's id, for :meth:`cancel`.
        """
        request_id = self._next_id
        self._next_id += 1
        call = _Call(b"", on_result, on_failure, on_progress)
        self._calls[request_id] = call
        try:
            call.line = encode(Request(request_id, method, params or {}))
            if self._process is None:
                self._start()
        except (MessageError, NoEngine) as error:
            kind = type(error).__name__
            failure = Failure(request_id, kind, str(error))
            # Never from within request(): the caller does not have the id yet.
            QTimer.singleShot(0, lambda: self._fail(request_id, failure))
            return request_id
        if self._state == READY:
            self._send(call)
        self._update_busy()
        return request_id

    def cancel(self, request_id: int) -> None:
        """Stop a request; its failure of kind ``Cancelled`` arrives as usual."""
        call = self._calls.get(request_id)
        if call is None:
            return
        if not call.sent:
            self._fail(request_id, Failure(request_id, "Cancelled", tr("Cancelled.")))
        elif self._process is not None:
            line = encode(Request(self._next_id, "cancel", {"id": request_id}))
            self._next_id += 1
            self._process.write(line)

    def forget(self, request_id: int) -> None:
        """Drop a request's callbacks: its owner is gone."""
        call = self._calls.get(request_id)
        if call is not None:
            call.on_result = call.on_failure = call.on_progress = None

    def stop(self, then: Optional[Callable[[], None]] = None) -> None:
        """Ask the engine to end, and see to it; returns at once.

        Args:
            then: Called when it has ended, at once where none runs: Windows neither replaces nor
                deletes the files of a program that runs.
        """
        process = self._process
        if process is not None:
            self._part_from(process)
            QTimer.singleShot(int(self._patience.stop * 1000), lambda: _kill(process))
        if then is not None:
            self._afterwards.append(then)
            self._call_afterwards()

    def stop_and_wait(self, seconds: float = 4.0) -> None:
        """For QGIS's end: no process may be left behind."""
        process = self._process
        if process is None:
            return
        self._part_from(process)
        if not process.waitForFinished(int(seconds * 1000)):
            process.kill()
            process.waitForFinished(2000)

    # --- start and end --------------------------------------------------------------------------

    def _start(self) -> None:
        command = self._command()
        process = QProcess(self)
        configure(process, command, self._prefix)
        process.readyReadStandardOutput.connect(self._read_out)
        process.readyReadStandardError.connect(self._read_err)
        # Methods, not lambdas: Qt takes them off before it deletes a client and with it its engine.
        process.finished.connect(self._ended)
        process.errorOccurred.connect(self._start_failed)
        self._process = process
        self._out.clear()
        self._err.clear()
        self._last_words.clear()
        self._hello = None
        self._stray = 0
        self._verdict = ""
        self._heard = self._checked = time.monotonic()
        self._set_state(STARTING)
        self._watch.start()
        process.start()

    def _part_from(self, process: QProcess) -> None:
        """Say goodbye on purpose: what comes from this process no longer counts."""
        self._process = None
        self._watch.stop()
        for signal in (
            process.readyReadStandardOutput,
            process.readyReadStandardError,
            process.finished,
            process.errorOccurred,
        ):
            signal.disconnect()
        self._leaving.append(process)
        process.finished.connect(self._left)
        process.errorOccurred.connect(self._never_came)
        process.write(encode(Request(self._next_id, "shutdown")))
        self._next_id += 1
        process.closeWriteChannel()
        self._hello = None
        self._set_state(STOPPED)
        self._fail_all(list(self._calls), Failure(None, "Cancelled", tr("The engine was stopped.")))

    def _left(self, *_: Any) -> None:
        process = self.sender()
        if process in self._leaving:
            self._leaving.remove(process)
            process.deleteLater()
        self._call_afterwards()

    def _never_came(self, error: Any) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._left()

    def _call_afterwards(self) -> None:
        waiting = [] if self._leaving else self._afterwards
        if waiting:
            self._afterwards = []
        for call in waiting:
            call()

    def _start_failed(self, error: Any) -> None:
        process = self.sender()
        if process is not self._process or error != QProcess.ProcessError.FailedToStart:
            return
        sentence = tr(
            "The engine's Python {program} cannot be started; check it in the settings."
        ).format(program=process.program())
        self._bury(process, sentence, process.errorString())

    def _ended(self, *_: Any) -> None:
        process = self.sender()
        if process is not self._process:
            return
        self._read_out()
        self._read_err()
        if process is not self._process:  # its last lines may have ended it already
            return
        sentence = self._verdict or describe_end(process, self._last_words)
        self._bury(process, sentence, "\n".join(self._last_words))

    def _bury(self, process: QProcess, sentence: str, detail: str) -> None:
        lost = list(self._calls)  # what is asked from now on, is asked of the next engine
        self._process = None
        self._watch.stop()
        self._hello = None
        process.deleteLater()
        self._set_state(STOPPED)
        self.logged.emit("error", f"{sentence}\n{detail}".strip())
        self.died.emit(sentence, detail)
        self._fail_all(lost, died_failure(sentence, detail))

    def _kill(self, sentence: str) -> None:
        self._verdict = sentence
        if self._process is not None:
            self._process.kill()

    def _check_life(self) -> None:
        now = time.monotonic()
        late = now - self._checked > 2 * self._patience.check + 1
        self._checked = now
        process = self._process
        if process is None:
            return
        if late or process.bytesAvailable():
            # It was QGIS that did not listen (a long modal action, a suspended laptop).
            self._heard = now
            return
        if self._state == STARTING and now - self._heard > self._patience.start:
            self._kill(tr("The engine did not start in time; see the log, then try again."))
        elif self._state == READY and now - self._heard > self._patience.silence:
            self._kill(
                tr("The engine stopped answering and was ended; the next click restarts it.")
            )

    # --- lines ----------------------------------------------------------------------------------

    def _send(self, call: _Call) -> None:
        if self._process is not None:
            call.sent = True
            self._process.write(call.line)

    def _read_err(self) -> None:
        if self._process is None:
            return
        data = bytes(self._process.readAllStandardError())
        try:
            lines = self._err.feed(data)
        except MessageError:
            self._err.clear()
            return
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self._last_words.append(text)
                self.logged.emit("debug", text)

    def _read_out(self) -> None:
        process = self._process
        if process is None:
            return
        data = bytes(process.readAllStandardOutput())
        if not data:
            return
        self._heard = time.monotonic()
        try:
            lines = self._out.feed(data)
        except MessageError as error:
            self._kill(tr("The engine sent more than the protocol allows and was ended."))
            self._last_words.append(str(error))
            return
        for line in lines:
            if self._process is not process:
                return
            if line.strip():
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            message = in_our_words(decode(line))
        except MessageError as error:
            self._stray_line(line, str(error))
            return
        if self._hello is None and not isinstance(message, (Hello, Log)):
            self._stray_line(line, "It came before the greeting.")
        elif isinstance(message, Hello):
            self._greet(message)
        elif isinstance(message, Result):
            call = self._calls.pop(message.id, None)
            self._update_busy()
            if call is not None and call.on_result is not None:
                call.on_result(message.result)
        elif isinstance(message, Failure):
            if message.id is None:
                self.logged.emit("warning", f"{message.kind}: {message.message}\n{message.detail}")
            else:
                self._fail(message.id, message)
        elif isinstance(message, Progress):
            call = self._calls.get(message.id) if message.id is not None else None
            if call is not None and call.on_progress is not None:
                call.on_progress(message)
        elif isinstance(message, Log):
            self.logged.emit(message.level, message.message)
        elif not isinstance(message, Heartbeat):
            self._stray_line(line, "The engine may not ask.")

    def _greet(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL_VERSION:
            self._kill(
                tr(
                    "The engine speaks version {theirs} of the protocol and the plugin {ours}; "
                    "update the engine in the settings."
                ).format(theirs=hello.protocol, ours=PROTOCOL_VERSION)
            )
            return
        self._hello = hello
        self._set_state(READY)
        self.greeted.emit(hello)
        for call in list(self._calls.values()):
            if not call.sent and call.line:
                self._send(call)

    def _stray_line(self, line: bytes, why: str) -> None:
        """Ignore a library's lines on standard output; a flood of them means another program."""
        self._stray += 1
        text = line[:200].decode("utf-8", "replace")
        self._last_words.append(text)
        self.logged.emit("warning", f"Not a message of the protocol ({why}): {text}")
        if self._stray > _MAX_STRAY_LINES:
            self._kill(tr("What was started is not the engine; check its Python in the settings."))

    # --- calls ----------------------------------------------------------------------------------

    def _fail(self, request_id: int, failure: Failure) -> None:
        call = self._calls.pop(request_id, None)
        self._update_busy()
        if call is not None and call.on_failure is not None:
            call.on_failure(failure)

    def _fail_all(self, request_ids: list[int], failure: Failure) -> None:
        for request_id in request_ids:
            self._fail(request_id, replace(failure, id=request_id))

    def _set_state(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self.state_changed.emit(state)

    def _update_busy(self) -> None:
        busy = bool(self._calls)
        if busy != self._busy:
            self._busy = busy
            self.busy_changed.emit(busy)


def _kill(process: QProcess) -> None:
    """End a process that was asked to and did not; it may be gone by now."""
    try:
        if process.state() != QProcess.ProcessState.NotRunning:
            process.kill()
    except RuntimeError:  # Qt has deleted it already, which is what was wanted
        return
