# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are on Earth: coordinate systems, turns of longitude, poles, reprojection."""
