# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of algorithms that learn classes from examples."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsFeatureSource,
    QgsProcessingException,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
)

from ..i18n import tr
from .base import EngineAlgorithm
from .given import Given
from .parameters import ANY_VECTOR

SUFFIX = ".samgeo-classes"


class ExampleAlgorithm(EngineAlgorithm):
    """What algorithms with examples have in common."""

    EXAMPLES = "EXAMPLES"
    CLASS_FIELD = "CLASS_FIELD"
    UNLIKE = "UNLIKE"
    CLASSIFIER = "CLASSIFIER"
    SAVE_CLASSIFIER = "SAVE_CLASSIFIER"
    PROBABILITY = "MIN_CLASS_PROB"
    WORKERS = "WORKERS"

    def add_examples(self, text: str, probability: float) -> None:
        self.add_source(self.EXAMPLES, text, ANY_VECTOR, optional=True)
        field = QgsProcessingParameterField(
            self.CLASS_FIELD, tr("Field with the class"), None, self.EXAMPLES, optional=True
        )
        self.declare(
            field, note=tr("Features without a class are examples of what belongs to none of them")
        )
        self.add_source(
            self.UNLIKE, tr("Examples of none of the classes"), ANY_VECTOR, optional=True
        )
        self.add_number(self.PROBABILITY, tr("Least probability of a class"), probability, most=1.0)
        self.declare(
            QgsProcessingParameterFile(
                self.CLASSIFIER,
                tr("Saved classifier, instead of examples"),
                extension=SUFFIX[1:],
                optional=True,
            ),
            folded=True,
        )
        kinds = tr("Classifier") + f" (*{SUFFIX})"
        keep = QgsProcessingParameterFileDestination(
            self.SAVE_CLASSIFIER, tr("Keep the classifier"), kinds, None, True, False
        )
        self.declare(keep, folded=True)

    def example_options(self, given: Given) -> dict[str, Any]:
        """Examples, classifier and least probability as the engine names them.

        Raises:
            QgsProcessingException: The examples have no field with the class.
        """
        keep = str(given.parameters.get(self.SAVE_CLASSIFIER) or "")
        if keep and not keep.endswith(SUFFIX):
            keep += SUFFIX
        options: dict[str, Any] = {
            "classifier": str(given.parameters.get(self.CLASSIFIER) or "") or None,
            "save_classifier": keep or None,
            "min_class_prob": given.number(self.PROBABILITY),
        }
        if given.has(self.EXAMPLES):
            options.update(self._examples(given, given.source(self.EXAMPLES)))
        if given.has(self.UNLIKE):
            options["unlike"] = [given.vector_path(given.source(self.UNLIKE), "unlike")]
        return options

    def _examples(self, given: Given, source: QgsFeatureSource) -> dict[str, Any]:
        fields = given.fields(self.CLASS_FIELD)
        if not fields:
            raise QgsProcessingException(
                tr("Choose the field of the examples that holds their class.")
            )
        path = given.vector_path(source, "examples", fields)
        return {"examples": path, "class_field": source.fields().field(fields[0]).name()}
