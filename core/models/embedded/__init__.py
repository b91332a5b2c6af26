# SPDX-License-Identifier: GPL-2.0-or-later
"""The small promptable model that comes with the package, and its card."""
