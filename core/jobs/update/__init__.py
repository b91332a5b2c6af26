# SPDX-License-Identifier: GPL-2.0-or-later
"""The job that updates a layer of an earlier date from newer imagery."""
