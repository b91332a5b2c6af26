# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's process seen from QGIS: how it is started, what it is asked, what it answers."""
