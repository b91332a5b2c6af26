# SPDX-License-Identifier: GPL-2.0-or-later
"""From merged masks to features.

Contours, coverages, right angles, centre lines, geodesic measures.
"""
