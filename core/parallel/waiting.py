# SPDX-License-Identifier: GPL-2.0-or-later
"""How the threads of a product wait for one another: asleep, not spinning.

OpenMP's threads spin at the end of each parallel part, for the few microseconds until the slowest
is done. Where another program has one of the cores, as QGIS has while it draws, they spin for a
whole slice of the scheduler, hundreds of times per prompt: a click of 31 ms of work took 272 ms of
CPU and 1.4 s on two cores beside a load of 25, and 146 ms with threads that sleep.
"""

from __future__ import annotations

import os

_ASLEEP = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",  # GNU's, on Linux
    "KMP_BLOCKTIME": "0",  # Intel's and LLVM's, on Windows and macOS
}


def wait_asleep() -> None:
    """Let the threads of torch in this process sleep where they wait; what is set stays.

    To be called before torch is imported: the libraries read these variables when they are loaded.
    """
    for name, value in _ASLEEP.items():
        os.environ.setdefault(name, value)
