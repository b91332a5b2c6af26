# SPDX-License-Identifier: GPL-2.0-or-later
"""One request to an engine process of its own, in an algorithm's thread.

The interactive client lives in the main thread's event loop; an algorithm has neither. Both speak
the same lines and start the same process.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Optional

from qgis.core import QgsProcessingFeedback
from qgis.PyQt.QtCore import QProcess

from ..engine.client import Patience
from ..engine.knobs import in_our_words
from ..engine.process import (
    EngineCommand,
    LineBuffer,
    configure,
    describe_end,
    describe_engine,
)
from ..i18n import tr
from ..job import (
    PROTOCOL_VERSION,
    Failure,
    Hello,
    Log,
    MessageError,
    Progress,
    Request,
    Result,
    decode,
    encode,
)

_TICK = 100
"""Milliseconds between two looks at the cancel button."""

_CANCEL_PATIENCE = 3.0
"""Seconds to stop by itself after a cancel; then the process is ended. Nothing is lost but the tile
in work, which may take minutes: a job can be killed at any moment and goes on from there."""


class EngineRunError(Exception):
    """The engine refused, failed or died; the text is a sentence for a person.

    Args:
        message: The sentence.
        kind: The failure's kind.
        detail: For the log.
    """

    def __init__(self, message: str, kind: str = "EngineDied", detail: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.detail = detail


class EngineRun:
    """Runs requests one after the other in one engine; a context manager that leaves no process.

    Args:
        command: How to start the engine.
        feedback: Progress, log and cancel.
        prefix: QGIS's own folder.
        patience: When to give up.
        warn: Gets the engine's warnings instead of the feedback.
    """

    def __init__(
        self,
        command: EngineCommand,
        feedback: QgsProcessingFeedback,
        prefix: str = "",
        patience: Optional[Patience] = None,
        warn: Optional[Callable[[str], None]] = None,
    ) -> None:
        self._feedback = feedback
        self._warn = warn or feedback.pushWarning
        self._patience = patience or Patience()
        self._out = LineBuffer()
        self._err = LineBuffer(limit=1 << 20)
        self._last_words: deque[str] = deque(maxlen=40)
        self._lines: deque[bytes] = deque()
        self._heard = time.monotonic()
        self._greeted = False
        self._next_id = 1
        self._process = QProcess()
        configure(self._process, command, prefix)

    def __enter__(self) -> EngineRun:
        self._process.start()
        if not self._process.waitForStarted(30_000):
            raise EngineRunError(
                tr(
                    "The engine's Python {program} cannot be started; check it in the settings."
                ).format(program=self._process.program()),
                detail=self._process.errorString(),
            )
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process.state() != QProcess.ProcessState.NotRunning:
            process.write(encode(Request(self._next_id, "shutdown")))
            process.closeWriteChannel()
            if not process.waitForFinished(int(self._patience.stop * 1000)):
                process.kill()
                process.waitForFinished(2000)

    def call(
        self,
        method: str,
        params: dict[str, Any],
        on_progress: Optional[Callable[[Progress], None]] = None,
    ) -> dict[str, Any]:
        """Ask and wait.

        Raises:
            EngineRunError: With the engine's own sentence, or with what became of it.
        """
        request_id = self._next_id
        self._next_id += 1
        question = encode(Request(request_id, method, params))
        asked = False
        cancelled: Optional[float] = None
        while True:
            if self._greeted and not asked:
                asked = True
                self._process.write(question)
                self._process.waitForBytesWritten(1000)
            if self._feedback.isCanceled():
                if cancelled is None:
                    cancelled = time.monotonic()
                    self._feedback.pushInfo(tr("Stopping…"))
                    if not asked:
                        raise EngineRunError(tr("Cancelled."), "Cancelled")
                    self._process.write(
                        encode(Request(self._next_id, "cancel", {"id": request_id}))
                    )
                    self._next_id += 1
                    self._process.waitForBytesWritten(1000)
                elif time.monotonic() - cancelled > _CANCEL_PATIENCE:
                    self._process.kill()
                    raise EngineRunError(tr("Cancelled."), "Cancelled")
            result = self._take(request_id, on_progress)
            if result is not None:
                return result
            self._read()

    # --- lines ----------------------------------------------------------------------------------

    def _read(self) -> None:
        process = self._process
        process.waitForReadyRead(_TICK)
        data = bytes(process.readAllStandardOutput())
        try:
            self._lines.extend(self._out.feed(data))
            for line in self._err.feed(bytes(process.readAllStandardError())):
                text = line.decode("utf-8", "replace").rstrip()
                if text:
                    self._last_words.append(text)
                    self._feedback.pushConsoleInfo(text)
        except MessageError as error:
            process.kill()
            raise EngineRunError(
                tr("The engine sent more than the protocol allows and was ended."),
                detail=str(error),
            ) from error
        now = time.monotonic()
        if data:
            self._heard = now
        elif process.state() == QProcess.ProcessState.NotRunning and not self._lines:
            raise EngineRunError(
                describe_end(process, self._last_words), detail="\n".join(self._last_words)
            )
        elif now - self._heard > (
            self._patience.silence if self._greeted else self._patience.start
        ):
            process.kill()
            raise EngineRunError(
                tr("The engine stopped answering and was ended; run the algorithm again."),
                detail="\n".join(self._last_words),
            )

    def _take(
        self, request_id: int, on_progress: Optional[Callable[[Progress], None]]
    ) -> Optional[dict[str, Any]]:
        while self._lines:
            line = self._lines.popleft()
            try:
                message = in_our_words(decode(line))
            except MessageError:
                if line.strip():
                    self._last_words.append(line[:200].decode("utf-8", "replace"))
                    self._feedback.pushDebugInfo(self._last_words[-1])
                continue
            if isinstance(message, Hello):
                self._greet(message)
            elif isinstance(message, Result) and message.id == request_id:
                return message.result
            elif isinstance(message, Failure) and message.kind == "Cancelled":
                raise EngineRunError(tr("Cancelled."), "Cancelled", message.detail)
            elif isinstance(message, Failure) and message.id in (request_id, None):
                raise EngineRunError(message.message, message.kind, message.detail)
            elif isinstance(message, Progress) and on_progress is not None:
                on_progress(message)
            elif isinstance(message, Log):
                if message.level in ("warning", "error"):
                    self._warn(message.message)
                else:
                    self._feedback.pushDebugInfo(message.message)
        return None

    def _greet(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL_VERSION:
            raise EngineRunError(
                tr(
                    "The engine speaks version {theirs} of the protocol and the plugin {ours}; "
                    "update the engine in the settings."
                ).format(theirs=hello.protocol, ours=PROTOCOL_VERSION)
            )
        self._greeted = True
        self._feedback.pushDebugInfo(describe_engine(hello))
