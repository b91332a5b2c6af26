# SPDX-License-Identifier: GPL-2.0-or-later
"""Stages of a job that run in workers: picklable, with per-process models and rasters."""
