# SPDX-License-Identifier: GPL-2.0-or-later
"""Masks as stored data: quantised logits in cells, and the job folder that keeps them."""
