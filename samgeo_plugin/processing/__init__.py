# SPDX-License-Identifier: GPL-2.0-or-later
"""Algorithms for the toolbox, the model builder, batch and ``qgis_process``."""
