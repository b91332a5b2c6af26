# SPDX-License-Identifier: GPL-2.0-or-later
"""One module per model family: its network, and how its checkpoints are recognised and renamed."""
