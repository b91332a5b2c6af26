# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions about the engine, each answered by one command that prints a table."""
