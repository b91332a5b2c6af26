# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs that give classes: to the objects of a layer, to all that a raster shows, to its ground."""
