# SPDX-License-Identifier: GPL-2.0-or-later
"""How long the machine itself stood still: a virtual one is stopped by its host now and then.

A watcher on each CPU (Linux) asks for its turn every 5 ms, with a priority above every other
program's; where it comes late, nobody else ran on that CPU either. Needs the right to set a
real-time priority (root); without it, nothing is known.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Optional

_STEP = 0.005
_LATE = 0.003
_PATIENCE = 10.0


class Watch:
    """Watchers on all CPUs, from the call to :meth:`stop`."""

    def __init__(self) -> None:
        self._watchers = [
            subprocess.Popen(
                [sys.executable, __file__, str(cpu), str(os.getpid())],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
            for cpu in (sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else ())
        ]  # fmt: skip
        self._late: list[list[tuple[float, float]]] = []

    def stop(self) -> None:
        for watcher in self._watchers:
            watcher.terminate()
        for watcher in self._watchers:
            try:
                told, _ = watcher.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                watcher.kill()
                told, _ = watcher.communicate()
            if watcher.returncode == 0:
                lines = [line.split() for line in told.decode().splitlines()]
                self._late.append([(float(begin), float(end)) for begin, end in lines])
        self._watchers = []

    def longest(self, begin: float, end: float) -> Optional[float]:
        """Milliseconds of the longest pause of a CPU within a time (``time.monotonic``)."""
        if not self._late:
            return None
        within = [min(b, end) - max(a, begin) for cpu in self._late for a, b in cpu]
        return 1000 * max([0.0, *within])


def _stop(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    # SIGTERM, not SIGINT, which a shell's background jobs are born deaf to.
    signal.signal(signal.SIGTERM, _stop)
    try:
        os.sched_setaffinity(0, {int(sys.argv[1])})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    except OSError:
        sys.exit(1)
    late = []
    parent = int(sys.argv[2])
    try:
        while os.getppid() == parent:
            due = time.monotonic() + _STEP
            time.sleep(_STEP)
            now = time.monotonic()
            if now - due > _LATE:
                late.append(f"{due} {now}\n")
    except KeyboardInterrupt:
        sys.stdout.writelines(late)


if __name__ == "__main__":
    main()
