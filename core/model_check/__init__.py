# SPDX-License-Identifier: GPL-2.0-or-later
"""Does a checkpoint work as it should on this computer: ``samgeo models check``.

A picture with known houses comes with the package. Weights that cannot be had where this project
is developed are thereby tried by the first person who has them.
"""
