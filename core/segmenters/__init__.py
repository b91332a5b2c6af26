# SPDX-License-Identifier: GPL-2.0-or-later
"""From a tile's image to its instance masks.

Automatic mode, words, and the interface of a segmenter.
"""
