# SPDX-License-Identifier: GPL-2.0-or-later
"""Data for training the small model: packs of crops, composed scenes, real pictures."""
