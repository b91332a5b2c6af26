# SPDX-License-Identifier: GPL-2.0-or-later
"""The classes that the embedded model knows, and sets of them as bits."""

from __future__ import annotations

CLASSES = ("building", "road", "water", "trees", "field", "bare ground", "vehicle", "other")
"""In the order of the network's logits."""


def bits(*names: str) -> int:
    """A set of classes as a number of 8 bits, the first class in the lowest.

    Raises:
        ValueError: A name is none of :data:`CLASSES`.
    """
    return sum(1 << CLASSES.index(name) for name in names)
