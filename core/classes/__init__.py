# SPDX-License-Identifier: GPL-2.0-or-later
"""What objects and pixels are: classes that are learnt from a few examples of the user's own."""
