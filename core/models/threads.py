# SPDX-License-Identifier: GPL-2.0-or-later
"""Batches decoded in parallel on a CPU, one thread per batch.

A small batch of prompts is some hundred short operations. Split over the cores, each of them ends
with a wait for the slowest core, and where another program has one of the cores, all others wait
for it a hundred times per batch: on a crowded machine of two cores a prompt took 6 times as long as
with a lane for each core (``benchmarks/decoder.py --busy`` asks the same question). In lanes
nothing waits, and where there are batches enough for all lanes, the numbers do not depend on how
many there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier, Lock
from typing import TypeVar

import torch

from ..notes import for_threads

T = TypeVar("T")
R = TypeVar("R")

MOST = 32
"""Lanes at most; each holds about 50 MB of a decoder's work."""

_LOCK = Lock()
_POOLS: dict[tuple[int, int], ThreadPoolExecutor] = {}
"""By process and number of lanes."""


def side_by_side(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``[work(item) for item in items]`` in as many lanes as torch has threads.

    Args:
        work: Runs in a thread in which torch has one thread; in inference mode if the caller is.
        items: Any number; where there are fewer than lanes, all threads work on each in turn.

    Raises:
        Exception: The first that ``work`` raised, once no lane is at work any more.
    """
    count = min(torch.get_num_threads(), MOST)
    if count < 2 or len(items) < count or not _by_thread():
        return [work(item) for item in items]
    inference = torch.is_inference_mode_enabled()

    def run(item: T) -> R:
        with torch.inference_mode(inference):
            return work(item)

    pool = _pool(count)
    running = [pool.submit(for_threads(run), item) for item in items]
    try:
        return [future.result() for future in running]
    except BaseException:
        for future in running:
            future.cancel()
        for future in running:
            if not future.cancelled():
                future.exception()
        raise


def _pool(count: int) -> ThreadPoolExecutor:
    with _LOCK:
        key = os.getpid(), count
        if key not in _POOLS:
            pool = ThreadPoolExecutor(count, thread_name_prefix="lane")
            before = torch.get_num_threads()
            started = Barrier(count)

            def alone() -> None:
                # OpenMP keeps the number for each thread. Torch gives its own to a thread when that
                # first asks, so it must have asked; and to all threads to come, hence "before".
                torch.get_num_threads()
                torch.set_num_threads(1)
                started.wait()

            for future in [pool.submit(alone) for _ in range(count)]:
                future.result()
            torch.set_num_threads(before)
            _POOLS[key] = pool
        return _POOLS[key]


@lru_cache
def _by_thread() -> bool:
    """Whether each thread may have a number of torch threads of its own."""
    return "ATen parallel backend: OpenMP" in torch.__config__.parallel_info()
