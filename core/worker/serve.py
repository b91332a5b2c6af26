# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine as a process: ``python -m samgeo_core.worker``, one JSON object per line.

Three threads: one reads requests and answers those that must not wait, one beats the heart, and
the main thread works, one request after the other (models and rasters belong to it alone). While
nothing is asked, it encodes ahead of the mouse. Whatever comes in, the process answers and goes
on; when standard input closes, it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import __version__, job
from ..addresses import without_secrets
from ..errors import Cancelled, SamGeoError, SamGeoWarning
from ..parallel.priority import step_back

if TYPE_CHECKING:
    from .session_methods import Engine

HEARTBEAT_SECONDS = 2.0
GRACE_SECONDS = 4.0
"""Seconds that the running request may take to end after standard input closed."""

QUIET_SECONDS = 0.15
"""Seconds without requests before a window is encoded ahead: a prompt cannot interrupt it."""

PROGRESS_SECONDS = 0.05
"""Progress of one stage is not told more often than this, but for its last step."""

MOST_UNREAD = 64 * 1024 * 1024
"""Bytes of answers that may wait for the client; one that reads none of them is gone."""

MOST_WAITING = 1000
"""Requests that may wait; further ones are refused."""

MOST_WAITING_BYTES = 64 * 1024 * 1024
"""The same in bytes."""

MOST_MESSAGE = 2000
"""Characters of a failure's sentence; a wrong value that it quotes may be of any length."""

_MAY_BE_LOST = (job.Progress, job.Log, job.Heartbeat)

_CHUNK = 1 << 16


class Channel:
    """Sends messages, whole lines, from any thread; sending never waits for the other side.

    A thread of its own writes. Unread output is kept up to :data:`MOST_UNREAD` bytes; after
    that, and when the pipe is closed, the other side counts as gone (:attr:`broken`).
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: deque[bytes] = deque()
        self._unread = 0
        self._changed = threading.Condition()
        self._ended = False
        self.broken = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._thread.start()

    def send(self, message: job.Message) -> None:
        """Queue a message. Progress, logs and heartbeats are left out while much is unread.

        Raises:
            MessageError: It has no JSON form, or is too long for a line.
        """
        line = job.encode(message)
        with self._changed:
            if isinstance(message, _MAY_BE_LOST) and self._unread > MOST_UNREAD // 4:
                return
            self._lines.append(line)
            self._unread += len(line)
            if self._unread > MOST_UNREAD:
                self.broken.set()
                self._lines.clear()
                self._unread = 0
            self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """Wait until all is written, but not for longer than some seconds."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(seconds)

    def _write(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._ended:
                    self._changed.wait()
                if not self._lines:
                    return
                line = self._lines.popleft()
            try:
                self._stream.write(line)
                self._stream.flush()
            except (OSError, ValueError):
                self.broken.set()
                return
            with self._changed:
                self._unread = max(0, self._unread - len(line))


def lines(stream: BinaryIO, limit: int = job.MAX_LINE) -> Iterator[bytes | int]:
    """Lines of a stream with bounded memory.

    Yields:
        A line without its line feed, or the length of one that exceeds the limit (it is skipped).
    """
    buffer = bytearray()
    skipped = 0
    read = getattr(stream, "read1", stream.read)
    while chunk := read(_CHUNK):
        buffer += chunk
        while (end := buffer.find(b"\n")) >= 0:
            if skipped or end > limit:
                yield skipped + end
            else:
                yield bytes(buffer[:end])
            skipped = 0
            del buffer[: end + 1]
        if len(buffer) > limit:
            skipped += len(buffer)
            buffer.clear()
    if skipped or len(buffer) > limit:
        yield skipped + len(buffer)
    elif buffer:
        yield bytes(buffer)


@dataclass(eq=False)
class Task:
    """A request that waits or is at work."""

    request: job.Request
    size: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    last: dict[str, float] = field(default_factory=dict)

    def check(self) -> None:
        if self.stopped.is_set():
            raise Cancelled("Stopped.")


class Worker:
    """Reads requests from one stream and answers on another.

    Args:
        engine: Makes what does the work. Called after the greeting: what it imports takes seconds.
        stdin: Where requests come from.
        stdout: Where answers go; nothing else may write there.
    """

    def __init__(self, engine: Callable[[], Engine], stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._make = engine
        self._stdin = stdin
        self._channel = Channel(stdout)
        self._waiting: deque[Task] = deque()
        self._current: Task | None = None
        self._changed = threading.Condition()
        self._closing = threading.Event()

    def run(self) -> None:
        """Work until standard input closes or ``shutdown`` comes."""
        self._channel.send(
            job.Hello(job.PROTOCOL_VERSION, __version__, platform.python_version(), "auto")
        )
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        self._engine = self._make()
        while (task := self._next()) is not None:
            self._work(task)
        self._engine.close()
        self._channel.close(GRACE_SECONDS)

    # -- the reader's thread ---------------------------------------------------------------------

    def _read(self) -> None:
        try:
            for line in lines(self._stdin):
                if isinstance(line, int):
                    self._refuse(None, f"A line of {line} bytes exceeds {job.MAX_LINE}.")
                elif line.strip():
                    self._take(line)
        except (OSError, ValueError) as error:
            print(f"standard input: {error}", file=sys.stderr)
        finally:
            self._close()

    def _take(self, line: bytes) -> None:
        try:
            message = job.decode(line)
        except job.MessageError as error:
            self._refuse(_id_in(line), str(error))
            return
        except Exception as error:
            # The reader must outlive any line; what is odd about it goes back to its sender.
            self._refuse(None, f"This line cannot be read: {error!r:.200}.")
            return
        if not isinstance(message, job.Request):
            self._refuse(None, f"A {type(message).__name__.lower()} is no request.")
        elif message.method == "cancel":
            self._cancel(message)
        elif message.method == "shutdown":
            self._answer(message.id, {})
            self._close()
        else:
            self._enqueue(message, len(line))

    def _enqueue(self, request: job.Request, size: int) -> None:
        with self._changed:
            if any(task.request.id == request.id for task in self._under_way()):
                self._refuse(request.id, f"The id {request.id} is in use by another request.")
                return
            # A hover or a look is worth nothing once the mouse is elsewhere; nor is a question
            # that was changed before it was answered.
            for task in [t for t in self._waiting if _replaces(request, t.request)]:
                self._waiting.remove(task)
                self._fail(task.request.id, Cancelled("Replaced by a newer request."))
            waiting = sum(task.size for task in self._waiting)
            if len(self._waiting) >= MOST_WAITING or waiting + size > MOST_WAITING_BYTES:
                reason = f"{len(self._waiting)} requests wait already: wait for their answers."
                self._refuse(request.id, reason)
                return
            self._waiting.append(Task(request, size))
            self._changed.notify_all()

    def _under_way(self) -> list[Task]:
        return [*self._waiting, *([self._current] if self._current else [])]

    def _cancel(self, request: job.Request) -> None:
        wanted = request.params.get("id")
        found = False
        if isinstance(wanted, int) and not isinstance(wanted, bool):
            with self._changed:
                for task in [t for t in self._waiting if t.request.id == wanted]:
                    self._waiting.remove(task)
                    self._fail(wanted, Cancelled("Stopped before it began."))
                    found = True
                if self._current is not None and self._current.request.id == wanted:
                    self._current.stopped.set()
                    found = True
        self._answer(request.id, {"cancelled": found})

    def _close(self) -> None:
        with self._changed:
            self._closing.set()
            self._waiting.clear()
            if self._current is not None:
                self._current.stopped.set()
            self._changed.notify_all()
        # An encoding cannot be interrupted; the process need not wait for it either.
        timer = threading.Timer(GRACE_SECONDS, os._exit, (0,))
        timer.daemon = True
        timer.start()

    # -- the heart -------------------------------------------------------------------------------

    def _beat(self) -> None:
        while not self._closing.wait(HEARTBEAT_SECONDS):
            current = self._current
            self._channel.send(job.Heartbeat(current.request.id if current else None))
            if self._channel.broken.is_set():
                self._close()
                return

    # -- the main thread -------------------------------------------------------------------------

    def _next(self) -> Task | None:
        """The next request, encoding ahead while there is none; None at the end."""
        idle = True
        while True:
            with self._changed:
                if not self._waiting and not self._closing.is_set():
                    self._changed.wait(QUIET_SECONDS if idle else None)
                if self._closing.is_set():
                    return None
                if self._waiting:
                    self._current = self._waiting.popleft()
                    return self._current
            if not idle:
                continue
            try:
                idle = self._engine.encode_ahead()
            except Exception as error:
                # No request waits for this window; the next one for it gets the error.
                self._log("debug", f"Encoding ahead failed: {error}", None)
                self._engine.forget_ahead()
                idle = False

    def _work(self, task: Task) -> None:
        from .job_methods import Context  # loaded with the engine, after the greeting

        request = task.request
        if request.method not in self._engine.methods:
            known = ", ".join([*sorted(self._engine.methods), "cancel", "shutdown"])
            reason = f"There is no method {request.method!r:.80}; known: {known}."
            self._finish(task, partial(self._refuse, request.id, reason))
            return
        context = Context(
            check=task.check,
            progress=lambda stage, done, total, message="": self._progress(
                task, stage, done, total, message
            ),
            log=lambda level, message: self._log(level, message, request.id),
        )
        caught: list[warnings.WarningMessage] = []
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", SamGeoWarning)
                result = self._engine.methods[request.method](request.params, context)
        except BaseException as error:
            # A library's sys.exit() must not end the worker either.
            self._tell(caught, request.id)  # what was left out may be why it failed
            self._finish(task, partial(self._fail, request.id, error))
            if isinstance(error, KeyboardInterrupt):
                raise
        else:
            self._tell(caught, request.id)
            self._finish(task, partial(self._answer, request.id, result))

    def _tell(self, caught: Sequence[warnings.WarningMessage], number: int) -> None:
        for warning in caught:
            if isinstance(warning.message, SamGeoWarning):
                self._log("warning", warning.message.template, number)

    def _finish(self, task: Task, answer: Callable[[], None]) -> None:
        with self._changed:
            self._current = None
            answer()

    def _progress(self, task: Task, stage: str, done: int, total: int, message: str) -> None:
        task.check()
        now = time.monotonic()
        if done == total or now - task.last.get(stage, -1.0) >= PROGRESS_SECONDS:
            task.last[stage] = now
            self._channel.send(job.Progress(task.request.id, stage, done, total, message))

    # -- answers ---------------------------------------------------------------------------------

    def _answer(self, number: int, result: dict[str, Any]) -> None:
        try:
            self._channel.send(job.Result(number, result))
        except job.MessageError as error:
            self._channel.send(
                job.Failure(
                    number,
                    "OutputError",
                    f"The answer does not fit into a line ({error}): simplify the outline more, "
                    "or zoom out.",
                )
            )

    def _fail(self, number: int | None, error: BaseException) -> None:
        detail = "".join(traceback.format_exception(error))[-20_000:]
        if isinstance(error, SamGeoError):
            kind, message = error.kind, error.template
        elif isinstance(error, job.MessageError):
            kind, message = "ParameterError", error.template
        elif isinstance(error, MemoryError):
            kind = "ModelError"
            message = "Memory ran out: close other programs or choose a smaller model."
        else:
            kind = "InternalError"
            message = f"The engine made a mistake ({type(error).__name__}: {str(error)[:300]})."
        self._send_failure(job.Failure(number, kind, message, detail))

    def _refuse(self, number: int | None, reason: str) -> None:
        self._send_failure(job.Failure(number, "MessageError", reason))

    def _send_failure(self, failure: job.Failure) -> None:
        """Send a failure, cut to a length that a person reads: every request is answered."""
        message = without_secrets(failure.message[: 10 * MOST_MESSAGE])
        if len(message) > MOST_MESSAGE:
            message = f"{message[:MOST_MESSAGE]} ..."
        detail = without_secrets(failure.detail)
        self._channel.send(replace(failure, message=message, detail=detail))

    def _log(self, level: str, message: str, number: int | None) -> None:
        with contextlib.suppress(job.MessageError):
            self._channel.send(job.Log(level, without_secrets(message), number))


def _replaces(new: job.Request, old: job.Request) -> bool:
    return (
        new.method == old.method
        and new.method in ("prompt", "look")
        and new.params.get("session") == old.params.get("session")
    )


def _id_in(line: bytes) -> int | None:
    """The id of a request that is otherwise not understood, so that its sender need not wait."""
    if len(line) > job.MAX_LINE:
        return None
    try:
        values = json.loads(line)
        number = values.get("id") if isinstance(values, dict) else None
    except (ValueError, RecursionError):
        return None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for the protocol alone.

    Whatever prints to standard output afterwards, from Python or from a C library, prints to
    standard error: one stray line would break the protocol.
    """
    sys.stdout.flush()
    stdin = os.fdopen(os.dup(0), "rb")
    stdout = os.fdopen(os.dup(1), "wb")
    if os.name == "nt":
        import msvcrt

        for stream in (stdin, stdout):
            msvcrt.setmode(stream.fileno(), os.O_BINARY)  # type: ignore[attr-defined]
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    sys.stdout = sys.stderr
    with contextlib.suppress(AttributeError):
        sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    return stdin, stdout


def _engine() -> Engine:
    from .session_methods import Engine

    return Engine()


def main(engine: Callable[[], Engine] = _engine) -> None:
    """Serve one client on standard input and output until it is gone."""
    step_back()
    stdin, stdout = own_streams()
    Worker(engine, stdin, stdout).run()
    sys.stderr.flush()
    # Threads of libraries (torch, GDAL) must not keep a process alive that has said good-bye.
    os._exit(0)
