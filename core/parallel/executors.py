# SPDX-License-Identifier: GPL-2.0-or-later
"""Executors for stages: in this process, in worker processes, or on a Dask cluster.

A stage is a picklable function over small items (paths, indices); results come back in the order
of the items, whatever order they were made in, so that nothing downstream depends on the number
of workers.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from multiprocessing.reduction import ForkingPickler
from multiprocessing.synchronize import Event
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, cast

from ..errors import Cancelled, JobError, ParameterError, WorkerDied
from ..notes import told, with_notes
from .cancellation import check, stop_for_good_by

T = TypeVar("T")
R = TypeVar("R")

LOOK_AHEAD = 2
"""Items handed out beyond the one that is awaited, a worker: bounds memory, keeps workers busy."""


_LOOK_SECONDS = 0.2
"""Poll interval for cancellation while a process is waited for, seconds."""

CONNECT_SECONDS = 20
"""Time to wait for a Dask scheduler's answer."""

NO_WORKER_SECONDS = 60.0
"""Time for which a Dask cluster may be without any worker."""

MOST_PATHS = 16
"""Paths that a Dask worker looks for with each task."""

LOOK_WORKERS_SECONDS = 5.0
"""Poll interval for the number of workers while a task is waited for."""

_GUARD = (
    'would begin the job again: put what starts it under if __name__ == "__main__": in the '
    "script, or use one worker."
)


ONE_AT_A_TIME = threading.RLock()
"""Held while a stage works with a model: a cluster's worker may have several threads, and a model
is used by one at a time."""


def new_run() -> str:
    """A name that no other run has. A cluster's workers outlive a run, and what they have opened
    for it must not be taken for the next one's, which may have the same folder."""
    return uuid.uuid4().hex


class Executor(Protocol):
    """Maps functions over items. Use as a context manager."""

    @property
    def workers(self) -> int: ...

    @property
    def here(self) -> bool:
        """Whether the workers are on this machine: pixels may go to them."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Results in the order of the items; an exception of ``function`` is raised in its turn."""

    def require(self, paths: Sequence[Path]) -> None:
        """Refuse a run whose workers do not see the same files.

        Raises:
            JobError: Names a worker and a path that it does not see.
        """

    def __enter__(self) -> Executor: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class SerialExecutor(AbstractContextManager["SerialExecutor"]):
    """Everything in this process, one item after the other."""

    workers = 1
    here = True

    def require(self, paths: Sequence[Path]) -> None:
        """Nothing to ask: the paths are this machine's."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        return (function(item) for item in items)

    def __exit__(self, *_: object) -> None:
        return None


def check_main_module() -> None:
    """Refuse a job that a worker process begins because it imports the caller's script again.

    Raises:
        ParameterError: Says how the script has to be written.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise ParameterError(f"A worker process imports this script and {_GUARD}")


def _begin_worker(begun: Event, stopped: Any) -> None:
    """Leave Ctrl-C to the main process, which says whether the tile at work is still wanted.

    A main process that is killed cannot end its workers, and they would wait for work for ever:
    each watches it and goes when it is gone.
    """
    begun.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop_for_good_by(partial(_raise_if, stopped))
    threading.Thread(target=_end_with_main_process, name="watch", daemon=True).start()


def _raise_if(stopped: Any) -> None:
    if stopped.value:
        raise Cancelled("Stopped.")


def _end_with_main_process() -> None:
    main = multiprocessing.parent_process()
    if main is not None:
        main.join()
        os._exit(1)


def _why_none_began() -> str:
    """What to change where workers ended before they could begin."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is not None and not os.path.exists(script):
        return (
            "each imports the script that started it, and this one was read from standard input: "
            "save it as a file, or use one worker."
        )
    return f"each imports the script that started it and {_GUARD}"


@dataclass(frozen=True)
class _Sent(Generic[T, R]):
    """A function as bytes: one that a worker cannot read is an error of a task, not its end."""

    pickled: bytes

    @classmethod
    def of(cls, function: Callable[[T], R]) -> _Sent[T, R]:
        try:
            return cls(bytes(ForkingPickler.dumps(function)))
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise _not_handed_over(error) from error

    def __call__(self, item: T) -> R:
        try:
            function = pickle.loads(self.pickled)
        except (AttributeError, ImportError) as error:
            raise _not_handed_over(error) from error
        return cast(R, function(item))


def _not_handed_over(error: Exception) -> ParameterError:
    return ParameterError(
        f"What is to run cannot be handed to worker processes ({error}). They import classes and "
        "functions by name, and know none that were defined in a notebook, in a Python console or "
        "within a function: put them into a module (a .py file) and import it, or use one worker."
    )


def _result(future: Future[R]) -> R:
    while not wait([future], timeout=_LOOK_SECONDS).done:
        check()
    return future.result()


class ProcessExecutor(AbstractContextManager["ProcessExecutor"]):
    """Several processes on this machine.

    They are spawned, not forked: neither torch nor GDAL survives a fork with threads.

    Args:
        workers: Number of processes, at least 1.
    """

    here = True

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ParameterError(f"The number of workers must be at least 1, not {workers}.")
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        self._begun = context.Event()
        # Without a lock: a worker that is killed while it looks would keep it.
        self._stopped = context.Value("b", 0, lock=False)
        try:
            self._pool = ProcessPoolExecutor(
                workers,
                mp_context=context,
                initializer=_begin_worker,
                initargs=(self._begun, self._stopped),
            )
        except ValueError as error:  # Windows cannot wait for more than 61
            raise ParameterError(
                f"This system cannot run {workers} worker processes ({error}): choose fewer."
            ) from error

    def require(self, paths: Sequence[Path]) -> None:
        """Nothing to ask: the paths are this machine's."""

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        waiting: deque[Future[tuple[R, tuple[str, ...]]]] = deque()
        try:
            for item in items:
                # Anew for each item: torch hands the memory of a tensor over only once.
                waiting.append(self._pool.submit(_Sent.of(with_notes(function)), item))
                if len(waiting) > self.workers * LOOK_AHEAD:
                    yield told(_result(waiting.popleft()))
            while waiting:
                yield told(_result(waiting.popleft()))
        except BrokenProcessPool as error:
            if not self._begun.is_set():
                raise JobError(
                    f"No worker process could start, most likely because {_why_none_began()}"
                ) from error
            raise WorkerDied(
                "A worker process was killed, most likely because memory ran out: "
                "use fewer workers and run the same command again; finished tiles are kept."
            ) from error
        finally:
            for future in waiting:
                future.cancel()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._stopped.value = 1  # no caller waits for the running tiles any more
        self._pool.shutdown(wait=True, cancel_futures=True)


class DaskExecutor(AbstractContextManager["DaskExecutor"]):
    """A Dask cluster (extra ``cluster``); its machines must see the same paths.

    Tasks whose worker dies are given to others; a run without workers ends after
    :data:`NO_WORKER_SECONDS` with a sentence instead of waiting for ever.

    Args:
        address: Scheduler's address, e.g. ``tcp://10.0.0.1:8786``.

    Raises:
        ParameterError: The extra is not installed, or no scheduler answers there.
        JobError: No worker is connected.
    """

    here = False

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError as error:
            raise ParameterError(
                "Running on Dask needs the extra 'cluster': pip install 'samgeo-seamless[cluster]'."
            ) from error
        self.address = address
        try:
            self._client: Any = _untyped(distributed).Client(
                address, timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, ValueError) as error:
            raise ParameterError(
                f"No Dask scheduler answers at {address} ({error}): give the address that it "
                "prints when it starts, e.g. tcp://10.0.0.1:8786."
            ) from error
        self._alone_since: float | None = None
        self._paths: tuple[str, ...] = ()
        try:
            while not self._threads():
                self._check_workers()
                time.sleep(_LOOK_SECONDS)
        except BaseException:
            self._client.close()
            raise
        self.workers = max(1, self._threads())

    def _threads(self) -> int:
        """Threads of all workers that are connected now; 0 while the scheduler cannot be asked."""
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, ValueError, KeyError, TimeoutError):
            return 0
        return sum(int(worker["nthreads"]) for worker in workers.values())

    def _check_workers(self) -> None:
        """Raise where the job must stop, or no worker has been there for too long."""
        check()
        if self._threads():
            self._alone_since = None
            return
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        if now - self._alone_since > NO_WORKER_SECONDS:
            raise JobError(
                f"No worker is connected to the Dask scheduler at {self.address}: start workers, "
                "and run the same job again; what is finished is kept."
            )

    def require(self, paths: Sequence[Path]) -> None:
        """See :meth:`Executor.require`; every worker that is connected is asked.

        One that comes later is asked with each task, about the first :data:`MOST_PATHS` of them.
        """
        self._paths = tuple(str(path) for path in paths[:MOST_PATHS])
        try:
            missing = self._client.run(_missing, [str(path) for path in paths])
        except (OSError, ValueError, TimeoutError) as error:
            raise JobError(f"A Dask worker does not answer ({error}): start it again.") from error
        for worker, gone in missing.items():
            if gone:
                raise _not_seen(worker, gone[0])

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        waiting: deque[Any] = deque()
        sent = _WhereSeen(with_notes(function), self._paths)
        try:
            for item in items:
                waiting.append(self._client.submit(sent, item, pure=False))
                if len(waiting) > self.workers * LOOK_AHEAD:
                    yield told(self._result(waiting.popleft()))
            while waiting:
                yield told(self._result(waiting.popleft()))
        finally:
            for future in waiting:
                with contextlib.suppress(Exception):  # the scheduler may be gone
                    future.cancel()

    def _result(self, future: Any) -> Any:
        """The result of a task, however often its worker dies."""
        from distributed import CancelledError, KilledWorker
        from distributed.comm.core import CommClosedError

        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        looked = time.monotonic()
        while not done.wait(_LOOK_SECONDS):
            check()
            if time.monotonic() - looked > LOOK_WORKERS_SECONDS:
                self._check_workers()
                looked = time.monotonic()
        try:
            return future.result()
        except KilledWorker as error:
            raise WorkerDied(
                "Several Dask workers died at the same task, most likely because memory ran out: "
                "use workers with more memory or smaller tiles, and run the same job again; what "
                "is finished is kept."
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise JobError(
                f"The Dask scheduler at {self.address} was lost: start it, and run the same job "
                "again; what is finished is kept."
            ) from error

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self._client.close(timeout=5)


def _untyped(module: Any) -> Any:
    return module


@dataclass(frozen=True)
class _WhereSeen(Generic[T, R]):
    """A stage that refuses to work where the job's paths are not. Picklable."""

    function: Callable[[T], R]
    paths: tuple[str, ...]

    def __call__(self, item: T) -> R:
        if gone := _missing(list(self.paths)):
            from distributed import get_worker

            raise _not_seen(_untyped(get_worker)().address, gone[0])
        return self.function(item)


def _not_seen(worker: str, path: str) -> JobError:
    return JobError(
        f"The Dask worker at {worker} does not see {path}: mount the same folders under the same "
        "names on all machines of the cluster, or end that worker, and run the same job again; "
        "what is finished is kept."
    )


def _missing(paths: list[str]) -> list[str]:
    """Which paths this process does not see."""
    return [path for path in paths if not Path(path).exists()]


def make_executor(workers: int = 1, address: str | None = None) -> Executor:
    """The executor for a number of workers on this machine, or for a cluster's address."""
    if address:
        return DaskExecutor(address)
    return SerialExecutor() if workers == 1 else ProcessExecutor(workers)
