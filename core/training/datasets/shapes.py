# SPDX-License-Identifier: GPL-2.0-or-later
"""Outlines of painted things: (n, 2) float64 of (x, y) around the origin, in pixels."""

from __future__ import annotations

import numpy as np

from ...types import AnyArray


def footprint(rng: np.random.Generator, long: float, short: float) -> AnyArray:
    """A house's outline around the origin: a rectangle, or an L, T, U or stepped shape."""
    a, b = long / 2, short / 2
    kind = rng.random()
    if kind < 0.55:
        shape = [(-a, -b), (a, -b), (a, b), (-a, b)]
    elif kind < 0.75:
        x, y = a * rng.uniform(-0.4, 0.5), b * rng.uniform(-0.4, 0.4)
        shape = [(-a, -b), (a, -b), (a, y), (x, y), (x, b), (-a, b)]
    elif kind < 0.85:
        x0, x1 = sorted(rng.uniform(-0.8 * a, 0.8 * a, 2))
        y = b * rng.uniform(-0.3, 0.4)
        shape = [(-a, -b), (a, -b), (a, y), (x1, y), (x1, b), (x0, b), (x0, y), (-a, y)]
    elif kind < 0.93:
        x0, x1 = -a * rng.uniform(0.1, 0.6), a * rng.uniform(0.1, 0.6)
        y = b * rng.uniform(-0.6, 0.2)
        shape = [(-a, -b), (a, -b), (a, b), (x1, b), (x1, y), (x0, y), (x0, b), (-a, b)]
    else:
        turn = np.linspace(0, 2 * np.pi, int(rng.choice([6, 8, 24])), endpoint=False)
        shape = list(zip(b * np.cos(turn), b * np.sin(turn), strict=True))
    out = np.array(shape)
    if rng.random() < 0.3:
        out[:, 0] += out[:, 1] * rng.normal(0, 0.12)
    return out


def turned(shape: AnyArray, angle: float, centre: AnyArray) -> AnyArray:
    cos, sin = np.cos(angle), np.sin(angle)
    out: AnyArray = shape @ np.array([[cos, sin], [-sin, cos]]) + centre
    return out


def blob(rng: np.random.Generator, radius: float, roughness: float) -> AnyArray:
    """A closed curve around the origin from a few harmonics, stretched."""
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    r = np.ones_like(turn)
    for harmonic in range(2, 8):
        phase = rng.uniform(0, 2 * np.pi)
        r += roughness / harmonic**0.8 * rng.normal() * np.cos(harmonic * turn + phase)
    r = np.maximum(r, 0.25) * radius
    stretch = float(np.exp(rng.normal(0, 0.25)))
    shape = np.stack([r * np.cos(turn) * stretch, r * np.sin(turn) / stretch], axis=1)
    return turned(shape, rng.uniform(0, np.pi), np.zeros(2))
