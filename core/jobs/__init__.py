# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole jobs, from parameters to a layer.

Automatic and prompted, resumable, in any number of workers.
"""
