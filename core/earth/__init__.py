# SPDX-License-Identifier: GPL-2.0-or-later
"""Georeferencing: coordinate systems, longitude wrapping, poles, pixel size, reprojection."""
