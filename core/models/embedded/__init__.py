# SPDX-License-Identifier: GPL-2.0-or-later
"""The small promptable model that comes with the package, and its card."""

from pathlib import Path

WEIGHTS = Path(__file__).with_name("embedded.safetensors")
CARD = Path(__file__).with_name("embedded.json")
