# SPDX-License-Identifier: GPL-2.0-or-later
"""Many rasters one by one: planned, run, gone on with, and put into one layer."""
