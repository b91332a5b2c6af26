# SPDX-License-Identifier: GPL-2.0-or-later
"""Points, boxes, strokes and polygons in any CRS as prompts in pixels."""
