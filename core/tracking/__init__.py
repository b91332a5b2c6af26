# SPDX-License-Identifier: GPL-2.0-or-later
"""The same objects followed through dated rasters."""
