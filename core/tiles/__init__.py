# SPDX-License-Identifier: GPL-2.0-or-later
"""Tiles of a raster, and the grid of mask cells that all tiles share."""
