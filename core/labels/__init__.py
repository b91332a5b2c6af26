# SPDX-License-Identifier: GPL-2.0-or-later
"""Training labels exported and imported: COCO, SA-1B, YOLO-seg, mask GeoTIFFs.

A package of its own beside ``training/``: it needs no torch, and serves people who train elsewhere.
"""
