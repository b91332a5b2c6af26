# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading rasters.

Sources and mosaics, bands, the stretch, windows of RGB pixels, and areas of interest.
"""
