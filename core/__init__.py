# SPDX-License-Identifier: GPL-2.0-or-later
"""SamGeo Seamless: georeferenced rasters in, seam-free polygons out."""

__version__ = "0.1.0"
