# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM 3: the hub's layout, official files, and EfficientSAM3's light encoders."""
