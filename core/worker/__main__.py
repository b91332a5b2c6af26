# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m samgeo_core.worker``: serve one client on standard input and output."""

from .serve import main

if __name__ == "__main__":
    main()
