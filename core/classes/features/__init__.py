# SPDX-License-Identifier: GPL-2.0-or-later
"""Features: of windows, of objects, of shapes, and the table that joins them."""
