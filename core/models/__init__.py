# SPDX-License-Identifier: GPL-2.0-or-later
"""The Segment Anything family behind one interface: images in, low-resolution mask logits out."""
