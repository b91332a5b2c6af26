# SPDX-License-Identifier: GPL-2.0-or-later
"""Tracking objects through rasters of several dates."""
