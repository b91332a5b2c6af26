# SPDX-License-Identifier: GPL-2.0-or-later
"""Lower process priority for the engine, so that desktop programs stay responsive.

A model keeps every core busy. On a machine that has nothing else to do, a process of low priority
is as quick as any other; beside QGIS, the window gets its turn first, each time it asks.
"""

from __future__ import annotations

import contextlib
import os
import sys

NICENESS = 10
"""Of 19 (POSIX): a window gets about nine tenths of a core that both want."""

WHILE_TRAINING = 15
"""Training takes minutes of every core, and nobody waits for it in front of the window."""

_BELOW_NORMAL_PRIORITY_CLASS = 0x4000
"""Windows; processes that are started from one of this class get it too."""


def step_back(niceness: int = NICENESS) -> None:
    """Lower the priority of this thread, and of the threads and processes that it starts.

    To be called before anything has started a thread: on Linux a priority is a thread's own. It
    stays as it is where it is low already, or where the system refuses.

    Args:
        niceness: POSIX's; Windows has one lower class only.
    """
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        kernel.SetPriorityClass.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), _BELOW_NORMAL_PRIORITY_CLASS)
    else:
        with contextlib.suppress(OSError):
            os.nice(max(0, niceness - os.nice(0)))
