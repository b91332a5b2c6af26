# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the stages run: in this process, in several, or on a Dask cluster. The same functions.

A stage is a picklable function over small items (paths, indices); results come back in the order
of the items, whatever order they were made in, so that nothing downstream depends on the number
of workers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from functools import partial
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Any, Protocol, TypeVar

from ..errors import Cancelled, JobError, ParameterError
from .cancellation import check, stop_for_good_by

T = TypeVar("T")
R = TypeVar("R")

LOOK_AHEAD = 2
"""Items handed out beyond the one that is awaited, a worker: bounds memory, keeps workers busy."""


_LOOK_SECONDS = 0.2
"""While a process is waited for, the job is asked so often whether it is to stop."""

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

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Results in the order of the items; an exception of ``function`` is raised in its turn."""

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

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(function, item))
                if len(waiting) > self.workers * LOOK_AHEAD:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        except BrokenProcessPool as error:
            if not self._begun.is_set():
                raise JobError(
                    "No worker process could start, most likely because each imports the script "
                    f"that started it and {_GUARD}"
                ) from error
            raise JobError(
                "A worker process was killed, most likely because memory ran out: "
                "use fewer workers and run the same command again; finished tiles are kept."
            ) from error
        finally:
            for future in waiting:
                future.cancel()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._stopped.value = 1  # nobody waits for the tiles at work any more
        self._pool.shutdown(wait=True, cancel_futures=True)


class DaskExecutor(AbstractContextManager["DaskExecutor"]):
    """A Dask cluster (extra ``cluster``); its machines must see the same paths.

    Args:
        address: Scheduler's address, e.g. ``tcp://10.0.0.1:8786``.

    Raises:
        ParameterError: The extra is not installed, or nobody answers there.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise ParameterError(
                "Running on Dask needs the extra 'cluster': pip install 'samgeo-seamless[cluster]'."
            ) from error
        try:
            self._client: Any = Client(address)
        except (OSError, ValueError) as error:
            raise ParameterError(
                f"No Dask scheduler answers at {address} ({error}): give the address that it "
                "prints when it starts, e.g. tcp://10.0.0.1:8786."
            ) from error
        self.workers = max(1, sum(self._client.nthreads().values()))

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        waiting: deque[Any] = deque()
        try:
            for item in items:
                waiting.append(self._client.submit(function, item, pure=False))
                if len(waiting) > self.workers * LOOK_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def __exit__(self, *_: object) -> None:
        self._client.close()


def make_executor(workers: int = 1, address: str | None = None) -> Executor:
    """The executor for a number of workers on this machine, or for a cluster's address."""
    if address:
        return DaskExecutor(address)
    return SerialExecutor() if workers == 1 else ProcessExecutor(workers)
