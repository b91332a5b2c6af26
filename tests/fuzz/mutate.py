# SPDX-License-Identifier: GPL-2.0-or-later
"""Seeded damage to bytes and values, and limits on what a damaged file may cost."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = os.environ.get("SAMGEO_FUZZ")
"""Cases of each kind in a long run by hand; unset, tests take a short run."""


def rounds(short: int) -> int:
    """How many cases to try."""
    return int(ROUNDS) if ROUNDS else short


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail where a block takes longer; Python code only is interrupted."""

    def late(*_: Any) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def memory_from_now() -> Callable[[], float]:
    """A function for how much more memory this process has held since than it holds now, megabytes.

    Other tests of this process may have held more before: Linux forgets their peak; elsewhere only
    what goes beyond it is seen.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before = _peak_megabytes()
    return lambda: _peak_megabytes() - before


def _peak_megabytes() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """One of the ways in which files break: bits, blocks, lengths, ends, swaps."""
    data = bytearray(content)
    kind = int(rng.integers(8))

    # Headers and directories are small and at the ends: half of the damage goes there.
    def place(span: int = 1) -> int:
        most = max(1, len(data) - span)
        if rng.random() < 0.5:
            near = min(most, 4096)
            at = int(rng.integers(near))
            return at if rng.random() < 0.5 else max(0, most - 1 - at)
        return int(rng.integers(most))

    if kind == 0:
        for _ in range(int(rng.integers(1, 16))):
            data[place()] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        for _ in range(int(rng.integers(1, 8))):
            data[place()] = int(rng.integers(256))
    elif kind == 2:
        del data[int(rng.integers(len(data))) :]
    elif kind == 3:
        at = place()
        del data[at : at + int(rng.integers(1, 2000))]
    elif kind == 4:
        at = place()
        data[at:at] = rng.bytes(int(rng.integers(1, 2000)))
    elif kind == 5:
        at, value = place(8), (0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1)[int(rng.integers(5))]
        data[at : at + 8] = value.to_bytes(8, "little" if rng.random() < 0.5 else "big")
    elif kind == 6:
        size = min(len(data) // 3, int(rng.integers(1, 512)))
        one, two = place(size), place(size)
        data[one : one + size], data[two : two + size] = (
            data[two : two + size],
            data[one : one + size],
        )
    else:
        at = place(64)
        data[at : at + 64] = bytes([int(rng.integers(256))]) * 64
    return bytes(data)
