# SPDX-License-Identifier: GPL-2.0-or-later
"""How well a result agrees with a truth: ``samgeo evaluate`` and :func:`~.run.evaluate`.

A package of its own beside ``testing/``: users evaluate results too, and what benchmarks report
must be what a user can repeat with one command. Nothing here imports a model.
"""
