# SPDX-License-Identifier: GPL-2.0-or-later
"""Opening vector layers as inputs: prompts, areas of interest, polygons."""
