# SPDX-License-Identifier: GPL-2.0-or-later
"""Training on a user's own layer, and what is gained by it."""
