# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of weights.

Downloading them, finding them on this computer, reading their tensors safely.
"""
