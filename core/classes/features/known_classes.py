# SPDX-License-Identifier: GPL-2.0-or-later
"""What the embedded model itself takes objects for, where a class has the name of one of its own.

Who calls a class "building" wants buildings, and the model knows something of these before the
first example. The log-odds that it gives this class are one column more of the objects' features,
which counts more than the others as far as the examples agree with it. A class of any other name
is learned from examples alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...models.embedded.classes import CLASSES, HALF_SIZE_WEIGHT
from .object_table import FeatureTable

Doubles = NDArray[np.float64]

LEAST_SHARE = 1e-4
"""Probabilities closer to 0 or 1 than this are hardly told apart."""

NAMES = {
    "building": "building buildings house houses roof roofs rooftop rooftops footprint footprints "
    "gebäude haus häuser dach dächer bâtiment bâtiments maison maisons toit toits edificio "
    "edificios casa casas tejado tejados",
    "road": "road roads street streets highway highways straße straßen strasse strassen route "
    "routes rue rues carretera carreteras calle calles",
    "water": "water lake lakes pond ponds river rivers wasser gewässer teich teiche fluss flüsse "
    "eau lac lacs étang étangs agua lago lagos",
    "trees": "tree trees crown crowns forest forests wood woods baum bäume baumkrone baumkronen "
    "wald wälder arbre arbres forêt forêts árbol árboles bosque bosques",
    "field": "field fields parcel parcels farmland cropland feld felder acker äcker schlag schläge "
    "champ champs parcelle parcelles campo campos parcela parcelas",
    "vehicle": "vehicle vehicles car cars truck trucks fahrzeug fahrzeuge auto autos véhicule "
    "véhicules voiture voitures vehículo vehículos coche coches",
}
"""Words, in lower case, for the classes that objects can be of."""

_NUMBERS = {word: CLASSES.index(name) for name, words in NAMES.items() for word in words.split()}


def known_class(name: str) -> int | None:
    """Number of the class of :data:`~...models.embedded.classes.CLASSES` that a name means."""
    return _NUMBERS.get(name.strip().lower())


def can_ask(columns: Sequence[str]) -> bool:
    """Whether a table of these columns holds what the embedded model says."""
    return set(_columns("classes") + _columns("classes_by2")) <= set(columns)


def known_classes(table: FeatureTable, names: Sequence[str]) -> tuple[int, ...]:
    """Numbers of the model's classes that names mean, each once, in their order; none where the
    table is not of the embedded model."""
    if not can_ask(table.names):
        return ()
    found = (known_class(name) for name in names)
    return tuple(dict.fromkeys(number for number in found if number is not None))


def class_log_odds(table: FeatureTable, numbers: Sequence[int]) -> Doubles:
    """(n, m) log-odds of the model's classes for the objects of a table."""
    places = {name: place for place, name in enumerate(table.names)}
    near, far = (
        table.values[:, [places[name] for name in _columns(channel)]].astype(np.float64)
        for channel in ("classes", "classes_by2")
    )
    logits = near + HALF_SIZE_WEIGHT * (far - near)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    share = odds[:, list(numbers)] / odds.sum(axis=1, keepdims=True)
    return np.asarray(np.log((share + LEAST_SHARE) / (1 - share + LEAST_SHARE)), np.float64)


def _columns(channel: str) -> list[str]:
    return [f"{channel}:{number}|in" for number in range(len(CLASSES))]
