# SPDX-License-Identifier: GPL-2.0-or-later
"""An old layer against a new raster: what became of each polygon, and what is new."""
