# SPDX-License-Identifier: GPL-2.0-or-later
"""Reference values from the families' official code; see README.md."""
