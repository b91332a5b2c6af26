# SPDX-License-Identifier: GPL-2.0-or-later
"""Sealed installs: everything that an installation needs, in one folder (``samgeo bundle``)."""
