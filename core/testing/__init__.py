# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenes with known objects, models that answer perfectly, and metrics.

For tests and benchmarks.
"""
