# SPDX-License-Identifier: GPL-2.0-or-later
"""Digitising with prompts: the session, its candidates, and the layer for accepted objects."""
