# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine as a process that QGIS talks to: one JSON object per line."""
