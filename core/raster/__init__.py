# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading rasters: windows of RGB pixels, one stretch, where data are, areas of interest."""
