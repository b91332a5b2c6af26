# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's own Python environment: making it, checking it, and what to report about it."""
