# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m samgeo_core.worker``: serve one client on standard input and output."""

from ..parallel.waiting import wait_asleep

wait_asleep()  # before anything imports torch

from .serve import main  # noqa: E402

if __name__ == "__main__":
    main()
