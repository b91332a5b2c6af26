# SPDX-License-Identifier: GPL-2.0-or-later
"""Training data in the formats of others, out and in: COCO, SA-1B, YOLO-seg, mask GeoTIFFs.

A package of its own beside ``training/``: it needs no torch, and serves people who train elsewhere.
"""
