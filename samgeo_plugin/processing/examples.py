# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of algorithms that learn classes from examples."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import (
    QgsFeatureSource,
    QgsProcessingException,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
)

from ..i18n import tr
from .base import EngineAlgorithm
from .given import Given, column_names
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

    def add_examples(
        self, text: str, probability: Optional[float] = None, note: str = "", *, least: bool = True
    ) -> None:
        """Examples, a saved classifier, and the least probability.

        Args:
            text: What the examples are called.
            probability: The least by default; None: the engine's choice, as ``note`` says.
            note: Of the least probability.
            least: A least probability can be asked for.
        """
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
        if least:
            text = tr("Least probability of a class")
            self.add_number(self.PROBABILITY, text, probability, most=1.0, note=note)
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
        options: dict[str, Any] = {
            "classifier": given.path(self.CLASSIFIER),
            "save_classifier": self._file_to_keep(given),
        }
        if self.parameterDefinition(self.PROBABILITY) is not None:
            options["min_class_prob"] = given.number(self.PROBABILITY)
        if given.has(self.EXAMPLES):
            options.update(self._examples(given, given.source(self.EXAMPLES)))
        if given.has(self.UNLIKE):
            options["unlike"] = [
                given.vector_path(given.source(self.UNLIKE), "unlike", lasting=True)
            ]
        return options

    def kept_classifier(self, path: Optional[str]) -> dict[str, str]:
        """The saved classifier as an output, so that a model or a script can use it."""
        return {} if path is None else {self.SAVE_CLASSIFIER: path}

    def _file_to_keep(self, given: Given) -> Optional[str]:
        """Where the classifier is saved; a temporary file has another name each time."""
        if not given.has(self.SAVE_CLASSIFIER):
            return None
        path = given.destination(self.SAVE_CLASSIFIER)
        return f"{path.removesuffix(SUFFIX)}{SUFFIX}" if path else None

    def _examples(self, given: Given, source: QgsFeatureSource) -> dict[str, Any]:
        fields = given.fields(self.CLASS_FIELD)
        if not fields:
            raise QgsProcessingException(
                tr("Choose the field of the examples that holds their class.")
            )
        path = given.vector_path(source, "examples", fields, lasting=True)
        return {"examples": path, "class_field": column_names(fields)[fields[0]]}
