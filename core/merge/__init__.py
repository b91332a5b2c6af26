# SPDX-License-Identifier: GPL-2.0-or-later
"""Instance masks of tiles -> objects of the raster: edges, components, fusion."""
