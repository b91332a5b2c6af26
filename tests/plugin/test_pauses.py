# SPDX-License-Identifier: GPL-2.0-or-later
"""The watchers that tell a pause of the machine from a stall of QGIS (``tests/gui/pauses.py``)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from real_engine import ROOT

sys.path.insert(0, str(ROOT / "tests" / "gui"))

from pauses import Watch
from processes import alive, below

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches CPUs on Linux only")


def test_watchers_end_whether_or_not_they_saw_anything():
    before = below(os.getpid())
    for wait in (0.0, 0.3):
        watch = Watch()
        time.sleep(wait)
        watch.stop()
        assert below(os.getpid()) <= before
        assert watch.longest(0.0, 0.001) in (None, 0.0), "nothing was watched then"


def test_a_pause_is_seen_with_its_length():
    watch = Watch()
    pids = [watcher.pid for watcher in watch._watchers]
    time.sleep(0.3)
    begin = time.monotonic()
    os.kill(pids[0], signal.SIGSTOP)
    time.sleep(0.1)
    os.kill(pids[0], signal.SIGCONT)
    time.sleep(0.1)
    end = time.monotonic()
    watch.stop()
    paused = watch.longest(begin, end)
    if paused is None:
        pytest.skip("no right to a real-time priority")
    assert 80 <= paused <= 1000 * (end - begin)


def test_watchers_do_not_outlive_who_started_them():
    code = "from pauses import Watch\nprint(*[each.pid for each in Watch()._watchers])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "tests" / "gui", stdout=subprocess.PIPE, check=True
    )
    pids = [int(word) for word in done.stdout.split()]
    assert pids
    end = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)
