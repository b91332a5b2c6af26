# SPDX-License-Identifier: GPL-2.0-or-later
"""Running stages: executors, cancellation inside a stage, and process priority."""
