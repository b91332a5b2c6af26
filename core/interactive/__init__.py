# SPDX-License-Identifier: GPL-2.0-or-later
"""Interactive sessions: prompts in, the polygon of one object out, followed across windows."""
