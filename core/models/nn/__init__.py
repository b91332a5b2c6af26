# SPDX-License-Identifier: GPL-2.0-or-later
"""Network parts that several families share.

Encoders, feature pyramids, prompt encoders, mask decoders, memory (SAM 2), positional encodings.
"""
