# SPDX-License-Identifier: GPL-2.0-or-later
"""Evaluation of a result against ground truth: ``samgeo evaluate``, :func:`~.run.evaluate`.

A package of its own beside ``testing/``: users evaluate results too, and what benchmarks report
must be what a user can repeat with one command. Nothing here imports a model.
"""
