# SPDX-License-Identifier: GPL-2.0-or-later
"""The client of the engine's process: starting it, requests, answers."""
