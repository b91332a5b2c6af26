# SPDX-License-Identifier: GPL-2.0-or-later
"""One module per model family: what the tests of all families need to know of it."""

from __future__ import annotations

import importlib
import pkgutil

from ...parity.cases import TestedFamily


def _found() -> dict[str, TestedFamily]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    families = [importlib.import_module(f"{__name__}.{name}").FAMILY for name in names]
    return {family.name: family for family in families}


FAMILIES = _found()
"""By name; every module of this folder has a ``FAMILY``."""
