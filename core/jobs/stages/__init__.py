# SPDX-License-Identifier: GPL-2.0-or-later
"""What workers do: stages of a job, picklable, and what a process has open for them."""
