# SPDX-License-Identifier: GPL-2.0-or-later
"""What the user sees; the logic stands in the modules above."""
