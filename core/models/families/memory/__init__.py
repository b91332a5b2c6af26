# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks with memory: objects tracked from image to image."""
