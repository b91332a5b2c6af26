# SPDX-License-Identifier: GPL-2.0-or-later
"""Vector layers on disk: formats, the writer, and the style that a layer carries."""
