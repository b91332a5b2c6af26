# SPDX-License-Identifier: GPL-2.0-or-later
"""What a raster consists of, and how it is opened: names, references, mosaics, dates."""
